"""The gateway's own charging profiles: payloads that fit their schemas, limits that are never rounded up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.core import limit_profiles
from edgegw.core.limit_profiles import LimitPlan
from edgegw.core.power import Wiring
from edgegw.wire.schemas import Schemas
from tests.core.story import V16, V21, V201, Version

SCHEMAS = Schemas()
EVERY = [V16, V201, V21]


def plan(version: Version = V16, **known: Any) -> LimitPlan:
    defaults: dict[str, Any] = {
        "method": "tx",
        "connector": 1,
        "profile_id": limit_profiles.own_id("tx", 1),
        "stack_level": 3,
        "unit": "A",
        "limit": 15.9,
        "transaction": "7",
    }
    return LimitPlan(version=version, **(defaults | known))


@given(
    version=st.sampled_from(EVERY),
    method=st.sampled_from(["tx", "tx_default", "max"]),
    limit_a=st.floats(0, 3000),
    start=st.sampled_from(["", "2026-01-01T00:00:00.000Z"]),
    duration_s=st.none() | st.integers(1, 100_000),
    after_s=st.none() | st.integers(1, 100_000),
    phases=st.none() | st.sampled_from([1, 3]),
    unit=st.sampled_from(["A", "W"]),
)
def test_every_payload_fits_its_schema(
    version: Version, method: str, limit_a: float, unit: str, **rest: Any
) -> None:
    limit = limit_profiles.amount(limit_a, unit, Wiring(connector=1), 230.0)
    payload = limit_profiles.set_payload(plan(version, method=method, limit=limit, unit=unit, **rest))
    assert SCHEMAS.complaints(version, "request", "SetChargingProfile", payload) == ()


def test_2_1_ends_when_the_charger_is_offline() -> None:
    payload = limit_profiles.set_payload(plan(V21, offline_s=300))
    assert SCHEMAS.complaints(V21, "request", "SetChargingProfile", payload) == ()
    profile = payload["chargingProfile"]
    assert (profile["maxOfflineDuration"], profile["invalidAfterOfflineDuration"]) == (300, True)


@given(st.floats(0, 5000))
def test_a_limit_is_never_rounded_up(value: float) -> None:
    rounded = limit_profiles.round_down(value)
    assert value - 0.1 - 1e-6 < rounded <= value + 1e-6
    assert rounded == round(rounded, 1)


@pytest.mark.parametrize("tenths", range(0, 640))
def test_a_limit_of_one_decimal_stays_as_it_is(tenths: int) -> None:
    assert limit_profiles.round_down(tenths / 10) == tenths / 10


@pytest.mark.parametrize(
    ("wiring", "unit", "expected"),
    [
        (Wiring(connector=1), "A", 16.0),
        (Wiring(connector=1), "W", 11040.0),
        (Wiring(connector=1, phases=1), "W", 3680.0),
        (Wiring(connector=1, dc=True, efficiency=0.9), "W", 9936.0),
    ],
)
def test_amounts(wiring: Wiring, unit: str, expected: float) -> None:
    assert limit_profiles.amount(16.0, unit, wiring, 230.0) == expected


def test_ids_are_stable_and_all_different() -> None:
    ids = [
        limit_profiles.own_id(kind, c)
        for kind in ("safe", "tx", "tx_default", "max", "safe_max")
        for c in range(100)
    ]
    assert len(set(ids)) == len(ids)
    assert all(limit_profiles.is_own_id(i) and i < 2**31 for i in ids)
    assert not limit_profiles.is_own_id(0x3FFF0001)
    assert not limit_profiles.is_own_id(17)


@pytest.mark.parametrize("version", EVERY)
def test_clearing_fits_its_schema(version: Version) -> None:
    payloads = [*limit_profiles.clear_payloads(version), limit_profiles.clear_one(version, 1_000_000_001)]
    for payload in payloads:
        assert SCHEMAS.complaints(version, "request", "ClearChargingProfile", payload) == ()
