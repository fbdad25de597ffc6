"""What a charger says that it draws: the newest meter values are kept as they came, and read when asked."""

from __future__ import annotations

from typing import Any

import pytest

from edgegw.core import samples
from edgegw.core.draw import Said, said
from edgegw.core.events import Instant
from edgegw.core.site import Policy, Site
from edgegw.core.state import ChargerState
from edgegw.wire.frames import Call

NOW = Instant(50.0, 1.8e9)
VALUES = [{"timestamp": "2026-11-20T10:00:00Z", "sampledValue": [{"value": "7"}]}]


@pytest.fixture
def state() -> ChargerState:
    return ChargerState("CP-1", Site(Policy(), lambda: "id"))


def hears(state: ChargerState, raw: bytes = b"raw", **payload: Any) -> dict[int, bytes]:
    samples.heard(state, Call("m", "MeterValues", {"meterValue": VALUES, **payload}, raw), NOW)
    return {connector: sample.raw for connector, sample in state.samples.items()}


def test_the_newest_of_each_connector_is_kept(state: ChargerState):
    hears(state, b"first", connectorId=1)
    hears(state, b"other", evseId=2)
    assert hears(state, b"second", connectorId=1) == {1: b"second", 2: b"other"}
    assert state.samples[1].at == NOW.mono


@pytest.mark.parametrize("connector", [0, -1, 65, "1", True, None, 10**9])
def test_what_is_no_connector_is_not_kept(state: ChargerState, connector: object):
    assert hears(state, connectorId=connector) == {}


def test_what_is_long_or_of_another_time_is_not_kept(state: ChargerState):
    assert hears(state, b"x" * (samples.BYTES_MAX + 1), connectorId=1) == {}
    assert hears(state, connectorId=1, offline=True) == {}


def test_an_end_says_nothing_of_the_time_after_it(state: ChargerState):
    hears(state, evse={"id": 2}, eventType="Updated")
    assert hears(state, evse={"id": 2}, eventType="Ended") == {}


def read(*sampled: dict[str, Any]) -> Said | None:
    return said([{"sampledValue": list(sampled)}], 230.0)


def power(value: object, **more: Any) -> dict[str, Any]:
    return {"measurand": "Power.Active.Import", "value": value, **more}


def amps(value: object, **more: Any) -> dict[str, Any]:
    return {"measurand": "Current.Import", "value": value, **more}


NONE = (None, None, None)


@pytest.mark.parametrize(
    ("sampled", "found"),
    [
        ([power("7.35", unit="kW")], Said(7350.0, NONE)),
        ([power("2000", phase="L1"), power("2100", phase="L2")], Said(4100.0, NONE)),
        ([power("7000"), power("1", phase="L1"), amps("10", phase="L2")], Said(7000.0, (None, 10.0, None))),
        ([amps("10", phase="L1"), amps("5", phase="L3")], Said(3450.0, (10.0, None, 5.0))),
        ([amps("10", phase="L1"), {"measurand": "Voltage", "phase": "L1-N", "value": "240"}],
         Said(2400.0, (10.0, None, None))),
        ([amps("16")], None),  # of which phases, or of how many, nobody knows
        ([power("NaN"), {"value": "1000"}], None),
    ],
)  # fmt: skip
def test_nothing_is_assumed(sampled: list[dict[str, Any]], found: Said | None):
    assert read(*sampled) == found


def test_the_newest_that_says_anything_counts():
    old, new = {"sampledValue": [power("7000")]}, {"sampledValue": [{"value": "5"}]}
    assert said([old, new, "junk"], 230.0) == Said(7000.0, NONE)
    assert said("junk", 230.0) is None
