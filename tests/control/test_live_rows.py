"""One charger in one line: what is told of it, by what it says and what is granted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from edgegw.control.live_models import ChargerRow
from edgegw.control.live_parts import by_charger
from tests.control.house import GARAGE, House, Wire
from tests.control.watched import alarm

NAMES = frozenset({"CP-1", "CP-2", "CP-9"})


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[House]:
    house = House(tmp_path, standalone=True, known=NAMES, plan=GARAGE)
    await house.start()
    yield house
    await house.stop()


async def _rows(house: House) -> dict[str, ChargerRow]:
    await house.all_is_stored()
    async with house.http() as http:
        rows = (await http.get("/v1/snapshot")).json()["chargers"]
    return {row["identity"]: ChargerRow.model_validate(row) for row in rows}


async def _says(wire: Wire, connector: int, status: str, error: str = "NoError", **more: str) -> None:
    wire.calls("StatusNotification", {"connectorId": connector, "status": status, "errorCode": error, **more})
    await wire.hears()


async def _draws(wire: Wire, connector: int, *amps: float) -> None:
    sampled = [
        {"measurand": "Current.Import", "phase": f"L{n}", "value": str(a), "unit": "A"}
        for n, a in enumerate(amps, start=1)
    ]
    sample = {"timestamp": "2026-11-20T10:00:00Z", "sampledValue": sampled}
    wire.calls("MeterValues", {"connectorId": connector, "meterValue": [sample]})
    await wire.hears()


async def test_one_that_was_never_here(house: House):
    row = (await _rows(house))["CP-9"]
    assert (row.connected, row.status, row.last_seen, row.cloud) == (False, "", None, "none")
    assert (row.limit_a, row.why, row.control) == (None, "", "none")
    assert row.verdict == "has never connected"
    balanced = (await _rows(house))["CP-2"]
    assert balanced.control == "unknown"
    assert balanced.limit_a is not None


async def test_what_it_draws_is_the_highest_phase_of_all_its_connectors(house: House):
    wire = await house.connects("CP-9")
    assert (await _rows(house))["CP-9"].current_a is None
    await _says(wire, 1, "Charging")
    await _says(wire, 2, "Charging")
    await _draws(wire, 1, 10.0, 4.0)
    await _draws(wire, 2, 0.0, 7.5, 1.0)
    row = (await _rows(house))["CP-9"]
    assert (row.current_a, row.status) == (11.5, "Charging")
    await _says(wire, 1, "Available")
    await _draws(wire, 2, 1.0, 2.0, 3.0)
    assert (await _rows(house))["CP-9"].current_a == 3.0  # nothing flows where nobody is
    wire.cut()
    assert (await _rows(house))["CP-9"].current_a is None


async def test_the_worst_status_and_the_error_in_words(house: House):
    wire = await house.boots("CP-9")
    await _says(wire, 1, "Charging")
    await _says(wire, 2, "Faulted", "GroundFailure", info="\x1b[2J")
    row = (await _rows(house))["CP-9"]
    assert row.status == "Faulted"
    assert row.error.startswith("GroundFailure: ")
    assert row.error.isprintable()
    await _says(wire, 2, "Available")
    row = (await _rows(house))["CP-9"]
    assert (row.status, row.error) == ("Charging", "")
    await _says(wire, 2, "Faulted")
    assert "did not say why" in (await _rows(house))["CP-9"].error


async def test_long_and_strange_words_are_short_and_printable(house: House):
    wire = await house.connects("CP-9")
    wire.calls("BootNotification", {"chargePointVendor": "V" * 500, "chargePointModel": "\x07[bold]M"})
    await wire.hears()
    row = (await _rows(house))["CP-9"]
    assert len(row.vendor) == 64
    assert row.model == "\\x07[bold]M"


async def test_energy_and_limit_with_its_reason(house: House):
    wire = await house.boots("CP-1")
    house.reads(10.0, 10.0, 10.0)
    await house.starts(wire)
    wire.calls("MeterValues", {"connectorId": 1, "transactionId": 1, "meterValue": []})
    row = (await _rows(house))["CP-1"]
    assert row.transactions == 1
    assert row.limit_a is not None
    assert row.why != ""


def test_alarms_are_those_of_the_charger_and_of_its_connectors():
    from msgspec.structs import replace

    known = {"CP-7", "a/1", "a"}
    found = by_charger(
        (
            replace(alarm("one", "warning"), target="CP-7"),
            replace(alarm("two", "critical"), target="CP-7/1"),
            replace(alarm("three", "error", state="cleared"), target="CP-7/2"),
            replace(alarm("four", "info"), target="a/1"),
            replace(alarm("five", "error"), target="a/2"),
            replace(alarm("six", "error"), target="meter grid"),
        ),
        known.__contains__,
    )
    assert found == {"CP-7": (2, "critical"), "a/1": (1, "info"), "a": (1, "error")}
