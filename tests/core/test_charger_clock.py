"""How far a charger's clock is from ours: only by what it writes of now, and cheaply."""

from __future__ import annotations

import pytest

from edgegw.core.charger_clock import AFTER_CONNECT_S, EVERY_S, ClockWatch, heard
from edgegw.core.events import Instant
from edgegw.wire import frames
from edgegw.wire.timestamps import format_timestamp
from edgegw.wire.versions import Version

WALL = 1_800_000_000.0
V16, V201 = Version.V16, Version.V201


def at(seconds: float, *, trusted: bool = True) -> Instant:
    return Instant(seconds, WALL + seconds, trusted)


def says(watch: ClockWatch, action: str, offset_s: float, seconds: float, version=V16, **payload) -> None:
    """A CALL whose time is `offset_s` ahead of ours."""
    stamp = format_timestamp(WALL + seconds + offset_s)
    raw = frames.call("m", action, {"timestamp": stamp, **payload})
    heard(watch, version, frames.parse(raw, version), at(seconds))


def fresh() -> ClockWatch:
    watch = ClockWatch()
    watch.start_over(at(0.0), connected=True)
    return watch


def test_a_status_tells_how_far_the_clock_is():
    watch = fresh()
    assert watch.offset_s is None
    says(watch, "StatusNotification", 37.0, 5.0)
    assert watch.offset_s == pytest.approx(37.0, abs=0.01)
    assert watch.due_at == 5.0 + EVERY_S, "the next message is not read before"


def test_what_was_written_late_makes_no_clock_slow():
    watch = fresh()
    says(watch, "StatusNotification", -3600.0, 5.0)  # the state is an hour old
    says(watch, "StatusNotification", 1.5, 70.0)
    assert watch.offset_s == pytest.approx(1.5, abs=0.01)


def test_a_clock_that_was_put_right_is_believed_after_a_few():
    watch = fresh()
    for n in range(6):
        says(watch, "StatusNotification", 600.0 if n == 0 else 0.0, 70.0 * (n + 1))
    assert watch.offset_s == pytest.approx(0.0, abs=0.01)


def test_billing_of_16_counts_when_the_charger_has_been_here_for_a_while():
    watch = fresh()
    says(watch, "StartTransaction", -86_400.0, 10.0)
    assert watch.offset_s is None
    says(watch, "StartTransaction", -2.0, AFTER_CONNECT_S + 10)
    assert watch.offset_s == pytest.approx(-2.0, abs=0.01)


def test_of_meter_values_the_newest_counts():
    watch = fresh()
    values = [{"timestamp": "2026-01-01T00:00:00Z"}, {"timestamp": format_timestamp(WALL + 203.0)}]
    raw = frames.call("m", "MeterValues", {"connectorId": 1, "meterValue": values})
    heard(watch, V16, frames.parse(raw, V16), at(200.0))
    assert watch.offset_s == pytest.approx(3.0, abs=0.01)


def test_what_a_2x_charger_kept_says_nothing():
    watch = fresh()
    says(watch, "TransactionEvent", -500.0, 5.0, V201, offline=True)
    assert watch.offset_s is None
    says(watch, "TransactionEvent", 4.0, 6.0, V201)
    assert watch.offset_s == pytest.approx(4.0, abs=0.01)


@pytest.mark.parametrize("stamp", [None, 5, "soon", "2027-01-15T08:00:00", ["x"]])
def test_what_is_no_time_or_has_no_zone_says_nothing(stamp: object):
    watch = fresh()
    raw = frames.call("m", "StatusNotification", {"timestamp": stamp})
    heard(watch, V16, frames.parse(raw, V16), at(1.0))
    assert watch.offset_s is None
    assert watch.due_at == 0.0, "the next one is read"


def test_while_our_own_clock_is_not_set_nothing_is_told():
    watch = fresh()
    raw = frames.call("m", "StatusNotification", {"timestamp": format_timestamp(WALL)})
    heard(watch, V16, frames.parse(raw, V16), at(1.0, trusted=False))
    assert watch.offset_s is None


def test_a_boot_starts_over():
    watch = fresh()
    says(watch, "StatusNotification", 37.0, 5.0)
    watch.start_over(at(9.0))
    assert (watch.offset_s, watch.due_at) == (None, 9.0)
