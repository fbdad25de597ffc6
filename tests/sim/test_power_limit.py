"""Which profiles a simulated charger takes, and what they allow."""

from __future__ import annotations

import math
from typing import Any

import pytest

from edgegw.sim.charging_profiles import MAX, Kept, Manners, Place, refusal, with_profile, without
from edgegw.sim.desk import V16, V21, V201
from edgegw.sim.power_limit import Situation, composite_periods, limit_a

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
HERE = Situation(place=1, session="s1", began_at=NOON)
NEXT_ID = iter(range(1, 10_000))


def kept(purpose: str = "TxDefaultProfile", limit: float = 10.0, **more: Any) -> Kept:
    """One period unless `periods`; the rest are members of profile or schedule."""
    schedule: dict[str, Any] = {
        "chargingRateUnit": more.pop("unit", "A"),
        "chargingSchedulePeriod": more.pop("periods", [{"startPeriod": 0, "limit": limit}]),
    }
    for name in ("duration", "startSchedule"):
        if name in more:
            schedule[name] = more.pop(name)
    place = more.pop("place", 0 if "Max" in purpose else 1)
    profile = {
        "id": more.pop("id", next(NEXT_ID)),
        "stackLevel": more.pop("level", 0),
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": more.pop(
            "kind", "Relative" if "startSchedule" not in schedule else "Absolute"
        ),
        "chargingSchedule": [schedule],
    }
    session = more.pop("session", "s1" if purpose == "TxProfile" else "")
    return Kept(place=place, profile=profile | more, session=session, got_at=NOON)


def at(minutes: float) -> str:
    return f"2026-01-01T12:{int(minutes):02}:{int(minutes % 1 * 60):02}Z"


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        ([], math.inf),
        ([kept(limit=10)], 10),
        ([kept(limit=10, place=0)], 10),
        ([kept(limit=10, place=2)], math.inf),
        ([kept(limit=10), kept(limit=16, level=1)], 16),
        ([kept(limit=10), kept("TxProfile", 16)], 16),
        ([kept(limit=10), kept("TxProfile", 16, session="other")], 10),
        ([kept("TxProfile", 16), kept("ChargePointMaxProfile", 8)], 8),
        ([kept(unit="W", limit=6900)], 10),
        ([kept(unit="W", periods=[{"startPeriod": 0, "limit": 2300, "numberPhases": 1}])], 10),
        ([kept(limit=10), kept(limit=16, level=1, validTo=at(0))], 10),
        ([kept(limit=10), kept(limit=16, level=1, validFrom=at(1))], 10),
    ],
)
def test_what_holds_at_noon(profiles: list[Kept], expected: float):
    assert limit_a(profiles, HERE, NOON) == pytest.approx(expected)


def test_a_live_limit_ends_in_the_safe_one_below_it():
    live = kept(limit=20, level=1, startSchedule=at(0), duration=300)
    profiles = [kept(limit=6), live]
    assert [limit_a(profiles, HERE, NOON + s) for s in (0, 299, 300)] == [20, 20, 6]
    assert limit_a([live], HERE, NOON + 300) == math.inf


def test_periods_and_relative_start():
    profile = kept(periods=[{"startPeriod": 0, "limit": 16}, {"startPeriod": 60, "limit": 0}])
    assert [limit_a([profile], HERE, NOON + s) for s in (0, 59, 60, 999)] == [16, 16, 0, 0]


def test_the_maximum_is_shared_by_the_connectors_in_use():
    two = Situation(place=1, session="s1", began_at=NOON, in_use=2)
    assert limit_a([kept("ChargingStationMaxProfile", 20)], two, NOON) == 10


def test_max_offline_duration():
    profiles = [kept(limit=6), kept(limit=20, level=1, maxOfflineDuration=60)]
    limits = []
    for offline_s in (0, 60, 61):
        here = Situation(place=1, session="s1", began_at=NOON, offline_s=offline_s)
        limits.append(limit_a(profiles, here, NOON))
    assert limits == [20, 20, 6]
    profiles[1].lapsed = True
    assert limit_a(profiles, HERE, NOON) == 6


def test_the_composite_schedule_of_ten_minutes():
    profiles = [kept(limit=6), kept(limit=20, level=1, startSchedule=at(0), duration=300)]
    assert composite_periods(profiles, HERE, NOON + 60, 600, unit="A", max_a=32) == [
        {"startPeriod": 0, "limit": 20, "numberPhases": 3},
        {"startPeriod": 240, "limit": 6, "numberPhases": 3},
    ]
    assert composite_periods([], HERE, NOON, 600, unit="W", max_a=32)[0]["limit"] == 22080


def accepted(version: str, wanted: Kept, others: list[Kept] = [], **manners: Any) -> str:  # noqa: B006
    return refusal(wanted, others, Place(version, 2, {"77": "s1"}), Manners(**manners))


@pytest.mark.parametrize(
    ("wanted", "manners", "reason"),
    [
        (kept(), {}, ""),
        (kept("TxProfile", transactionId="77"), {}, ""),
        (kept("TxProfile", transactionId="78"), {}, "TxNotFound"),
        (kept("TxProfile", transactionId="77", place=0, session=""), {}, "InvalidProfile"),
        (kept("ChargingStationMaxProfile", place=1, startSchedule=at(0)), {}, "InvalidProfile"),
        (kept("ChargingStationMaxProfile", startSchedule=at(0)), {}, ""),
        (kept("ChargingStationMaxProfile", startSchedule=at(0)), {"rejects": {MAX}}, "UnsupportedPurpose"),
        (kept("ChargingStationExternalConstraints"), {}, "UnsupportedPurpose"),
        (kept(level=9), {}, "InvalidStackLevel"),
        (kept(level=1), {"stack_level_max": 0}, "InvalidStackLevel"),
        (kept(), {"units": ("W",)}, "UnsupportedRateUnit"),
        (kept(kind="Recurring"), {}, "UnsupportedKind"),
        (kept(kind="Absolute"), {}, "InvalidSchedule"),
        (kept(periods=[{"startPeriod": 5, "limit": 1}]), {}, "InvalidSchedule"),
        (kept(place=3), {}, "UnknownEvse"),
    ],
)
def test_what_a_2x_charger_takes(wanted: Kept, manners: dict[str, Any], reason: str):
    assert accepted(V201, wanted, **manners) == reason


def test_two_of_one_stack_level_are_replaced_in_1_6_and_refused_in_2x():
    old, new = kept(limit=6, level=1), kept(limit=8, level=1)
    assert with_profile([old], new, V16) == [new]
    again = kept(limit=9, level=2, id=old.id)
    assert with_profile([old, kept(id=50)], again, V21)[1:] == [again]
    assert accepted(V21, new, [old]) == "DuplicateProfile"
    assert accepted(V21, kept(level=1, place=0), [old]) == "DuplicateProfile"
    assert accepted(V21, kept(level=1, id=old.id), [old]) == ""
    old.profile["validTo"] = at(0)
    assert accepted(V21, new, [old]) == ""  # it is over


def test_what_a_clear_removes():
    profiles = [kept(id=1, level=0), kept(id=2, level=3), kept("ChargePointMaxProfile", id=3)]
    ids = lambda payload: [k.id for k in without(profiles, payload)]  # noqa: E731
    assert ids({"id": 2, "stackLevel": 0}) == [1, 3]
    assert ids({"stackLevel": 3}) == [1, 3]
    assert ids({"connectorId": 1}) == [3]
    assert ids({"chargingProfileCriteria": {"chargingProfilePurpose": "ChargePointMaxProfile"}}) == [1, 2]
    assert ids({}) == []
    assert ids({"id": 9}) == [1, 2, 3]
