"""The charging profiles the gateway itself puts into a charger. Pure: a plan in, a payload out.

Rules of this file:
- Two profiles per connector: the standing safe limit (TxDefaultProfile, stack level 0, without an end) and
  the live limit above it, which ends by itself when nobody renews it.
- Ids are the gateway's own, stable per purpose and connector, so that a new limit replaces the one before
  (OCPP 1.6 5.16.2, 2.x K01.FR.05).
- A limit is rounded down, to one decimal (OCPP 1.6 7.12: at most one).
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from edgegw.balance.model import watts
from edgegw.core.power import Wiring
from edgegw.quirks.model import Method
from edgegw.wire.versions import Version

OWN_ID_FIRST = 1_000_000_000  # far above what clouds count up to
_CONNECTORS_MAX = 1000
_ID_BLOCKS = {"safe": 0, "tx": 1, "tx_default": 2, "max": 3, "safe_max": 4}

_PURPOSES_16 = {"tx": "TxProfile", "tx_default": "TxDefaultProfile", "max": "ChargePointMaxProfile"}
_PURPOSES_2X = _PURPOSES_16 | {"max": "ChargingStationMaxProfile"}


class LimitPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One profile to set."""

    version: Version
    method: Method
    connector: int  # 1.6 connectorId, 2.x evseId; 0 the whole charger
    profile_id: int
    stack_level: int
    unit: str  # "A" or "W"
    limit: float  # in `unit`, see `amount`
    phases: int | None = None  # numberPhases; None: not said, which means three
    transaction: str = ""  # of a TxProfile, as the charger knows it
    start: str = ""  # startSchedule; "" makes it Relative
    duration_s: int | None = None  # from the start; then the profile does not hold any more
    valid_to: str = ""
    # Where nothing lies below: `after_limit` follows at `after_s` from the start, for ever.
    after_s: int | None = None
    after_limit: float = 0.0
    offline_s: int | None = None  # 2.1 maxOfflineDuration


def own_id(kind: str, connector: int) -> int:
    """The id of the profile of this kind (of `_ID_BLOCKS`) on this connector."""
    return OWN_ID_FIRST + _ID_BLOCKS[kind] * _CONNECTORS_MAX + connector


def is_own_id(profile_id: int) -> bool:
    return OWN_ID_FIRST <= profile_id < OWN_ID_FIRST + len(_ID_BLOCKS) * _CONNECTORS_MAX


def round_down(value: float) -> float:
    """To one decimal; 15.9 stays 15.9 whatever binary makes of it."""
    return math.floor(value * 10 + 1e-6) / 10


def amount(limit_a: float, unit: str, wiring: Wiring, nominal_v: float) -> float:
    """`limit_a` per phase in `unit`: amps per phase, or watts of all phases together (DC: for the car)."""
    if unit == "A":
        return round_down(limit_a)
    power_w = watts(limit_a, wiring.phases, nominal_v)
    return round_down(power_w * wiring.efficiency if wiring.dc else power_w)


def set_payload(plan: LimitPlan) -> dict[str, Any]:
    """The payload of SetChargingProfile."""
    if plan.version.is_2x:
        profile = {"id": plan.profile_id, **_profile(plan, _PURPOSES_2X)}
        profile["chargingSchedule"] = [{"id": 1, **_schedule(plan)}]
        return {"evseId": plan.connector, "chargingProfile": profile}
    profile = {"chargingProfileId": plan.profile_id, **_profile(plan, _PURPOSES_16)}
    profile["chargingSchedule"] = _schedule(plan)
    return {"connectorId": plan.connector, "csChargingProfiles": profile}


def clear_payloads(version: Version) -> list[dict[str, Any]]:
    """ClearChargingProfile for everything that others have set; one payload after the other."""
    if not version.is_2x:
        return [{}]  # without a field it means all (OCPP 1.6 5.4)
    purposes = ["TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile"]  # K10: at least one criterion
    if version is Version.V21:
        purposes.append("PriorityCharging")
    return [{"chargingProfileCriteria": {"chargingProfilePurpose": purpose}} for purpose in purposes]


def clear_one(version: Version, profile_id: int) -> dict[str, Any]:
    """ClearChargingProfile for one profile of ours."""
    return {"chargingProfileId": profile_id} if version.is_2x else {"id": profile_id}


def _profile(plan: LimitPlan, purposes: dict[str, str]) -> dict[str, Any]:
    profile: dict[str, Any] = {
        "stackLevel": plan.stack_level,
        "chargingProfilePurpose": purposes[plan.method],
        "chargingProfileKind": "Absolute" if plan.start else "Relative",
    }
    if plan.method == "tx":
        profile["transactionId"] = plan.transaction if plan.version.is_2x else int(plan.transaction)
    if plan.valid_to:
        profile["validTo"] = plan.valid_to
    if plan.offline_s is not None:
        profile["maxOfflineDuration"] = plan.offline_s
        profile["invalidAfterOfflineDuration"] = True
    return profile


def _schedule(plan: LimitPlan) -> dict[str, Any]:
    periods = [_period(plan, 0, plan.limit)]
    if plan.after_s is not None:
        periods.append(_period(plan, plan.after_s, plan.after_limit))
    schedule: dict[str, Any] = {"chargingRateUnit": plan.unit, "chargingSchedulePeriod": periods}
    if plan.start:
        schedule["startSchedule"] = plan.start
    if plan.duration_s is not None:
        schedule["duration"] = plan.duration_s
    return schedule


def _period(plan: LimitPlan, start_s: int, limit: float) -> dict[str, Any]:
    period: dict[str, Any] = {"startPeriod": start_s, "limit": limit}
    if plan.phases is not None:
        period["numberPhases"] = plan.phases
    return period
