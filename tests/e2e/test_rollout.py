"""A rollout on a site as people run it: by the command line, over a box that dies, with a charger that fails.

Who was down when is told by the chargers' own ledgers, of which the gateway knows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edgegw.sim.cloud import SimCloud
from edgegw.sim.desk import V16, V21, V201
from edgegw.sim.ledger import Entry, read
from tests.e2e.faults import ask, until
from tests.e2e.file_site import EAGER, ORDERED_WITHIN_S, Fleet, files_table
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.e2e.signed_firmware import make_firmware

pytestmark = pytest.mark.timeout(600)  # a charger that loses a download waits for a minute
CHARGERS = 8
AT_ONCE = 2
BUSY, BROKEN = "CP001", "CP007"
FIRMWARE = make_firmware("3.1")
HABITS = replace(EAGER, file_protocols=("HTTP",), install_s=0.5)
REPORTS = ("FirmwareStatusNotification", "SignedFirmwareStatusNotification")


# --- what the ledgers say -------------------------------------------------------------------------


class Down(NamedTuple):
    """One charger, from when it took the update until it told that it booted anew, or that it failed."""

    charger: str
    begins: float
    ends: float


def entries(folder: Path, identity: str) -> list[Entry]:
    return list(read(folder / f"{identity}.jsonl"))


def orders(folder: Path, identity: str) -> list[Entry]:
    return [e for e in entries(folder, identity) if (e.kind, e.action) == ("received_call", "UpdateFirmware")]


def down(folder: Path, fleet: Fleet) -> Iterator[Down]:
    for identity in fleet.chargers:
        ordered = orders(folder, identity)
        if ordered:
            ends = (e.at for e in entries(folder, identity) if _is_back(e, ordered[0]))
            yield Down(identity, ordered[0].at, next(ends, float("inf")))


def _is_back(entry: Entry, order: Entry) -> bool:
    # What it told, not what it was answered: the box may order the next one before that answer is here.
    booted = (entry.kind, entry.action) == ("sent_call", "BootNotification") and entry.boot > order.boot
    return booted or (entry.kind == "sent_call" and "InstallationFailed" in entry.raw)


def most_at_once(spans: list[Down]) -> int:
    return max(sum(other.begins <= one.begins < other.ends for other in spans) for one in spans)


# --- the site ---------------------------------------------------------------------------------------


async def rollout(gateway: GatewayProcess) -> dict[str, Any]:
    seen: dict[str, Any] = await ask(gateway, "/v1/firmware/rollouts/1")
    return seen


async def reaches(gateway: GatewayProcess, state: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        seen = await rollout(gateway)
        return seen if seen["state"] == state else None

    found = await until(look, ORDERED_WITHIN_S)
    assert found is not None
    return found


async def waits_for_its_transaction(gateway: GatewayProcess) -> bool:
    waiting = {c["charger"]: c["why"] for c in (await rollout(gateway))["chargers"]}
    return waiting[BUSY] == "a transaction is running"


async def begins_to_charge(cloud: SimCloud, fleet: Fleet) -> None:
    charger = fleet.chargers[BUSY]
    assert await charger.begin(1, "TAG1", authorize=False) is not None
    await charger.drained()


async def test_a_rollout_over_a_dead_box_and_a_charger_that_fails(tmp_path: Path, gateways: Gateways):
    image = tmp_path / "fw-3.1.bin"
    image.write_bytes(FIRMWARE.content)
    ledgers = tmp_path / "ledgers"
    async with SimCloud(ledger=tmp_path / "cloud.jsonl") as cloud:
        with files_table() as files:
            gateway = await gateways(cloud.url, {"files": files})
            fleet = Fleet(gateway.url, CHARGERS, versions=(V16, V201, V21), habits=HABITS, folder=ledgers)
            fleet.chargers[BROKEN].habits = replace(HABITS, install_fails=True)
            async with fleet:
                await fleet.online(cloud)
                await begins_to_charge(cloud, fleet)
                makes = ("--vendor", "*", "--model", "*", "--version", FIRMWARE.version)
                added = await gateway.command("firmware", "add", str(image), *makes)
                begun = await gateway.command(
                    "firmware", "rollout", added["sha256"], "--at-once", str(AT_ONCE)
                )
                assert len(begun["chargers"]) == CHARGERS

                # Not during a download: a charger that loses one waits for a minute, as its order says.
                await fleet.told("downloaded", 4)
                assert any(charger.memory.update for charger in fleet.chargers.values())
                await gateway.restart()  # kill -9

                stopped = await reaches(gateway, "paused")
                assert stopped["why"] == f"1 failed: {BROKEN}"
                told = {identity for identity in fleet.chargers if orders(ledgers, identity)}
                assert told.isdisjoint({BUSY})

                await gateway.command("firmware", "resume", "1")
                await fleet.told("installed", CHARGERS - 2)
                await until(lambda: waits_for_its_transaction(gateway))
                assert orders(ledgers, BUSY) == []
                fleet.chargers[BUSY].finish(1)
                over = await reaches(gateway, "ended")
            assert over["counts"] == {"installed": CHARGERS - 1, "failed": 1}
            assert {facts["sha256"] for facts in fleet.of("installed").values()} == {FIRMWARE.sha256}
        assert [call for action in REPORTS for call in cloud.calls(action)] == []
    spans = list(down(ledgers, fleet))
    assert {span.charger for span in spans} == set(fleet.chargers)
    assert most_at_once(spans) == AT_ONCE
    assert "Traceback" not in gateway.log
