"""How a simulated charger answers the cloud's CALLs about charging profiles.

Rules of this file:
- A row is a function of charger and payload, as in `commands`. What is taken and what it means is
  `charging_profiles` and `power_limit`; what is kept is on disk before it is answered.
- `Manners` may make it refuse, answer late, or take a profile and not obey it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgegw.sim.charging_profiles import (
    PERIODS_MAX,
    PROFILES_MAX,
    TX,
    Kept,
    Place,
    refusal,
    with_profile,
    without,
)
from edgegw.sim.desk import V16, Payload, timestamp
from edgegw.sim.memory import Session
from edgegw.sim.peer import FollowUp
from edgegw.sim.power_limit import composite_periods

if TYPE_CHECKING:
    from edgegw.sim.charger import SimCharger

Row = Callable[["SimCharger", Payload], tuple[Payload, FollowUp | None]]
UNIT_NAMES_16 = {"A": "Current", "W": "Power"}  # ChargingScheduleAllowedChargingRateUnit


def smart_settings(charger: SimCharger) -> dict[str, str]:
    """1.6 configuration keys, or the variables of the 2.x component SmartChargingCtrlr."""
    manners = charger.manners
    if charger.version == V16:
        return {
            "ChargeProfileMaxStackLevel": str(manners.stack_level_max),
            "ChargingScheduleAllowedChargingRateUnit": ",".join(UNIT_NAMES_16[u] for u in manners.units),
            "ChargingScheduleMaxPeriods": str(PERIODS_MAX),
            "MaxChargingProfilesInstalled": str(PROFILES_MAX),
            "ConnectorSwitch3to1PhaseSupported": "false",
        }
    return {
        "Enabled": "true",
        "Available": "true",
        "ProfileStackLevel": str(manners.stack_level_max),
        "RateUnit": ",".join(manners.units),
        "PeriodsPerSchedule": str(PERIODS_MAX),
        "Entries": str(len(charger.memory.profiles)),
        "Phases3to1": "false",
        "LimitChangeSignificance": "1",
    }


def set_profile(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    profile = payload.get("csChargingProfiles") or payload["chargingProfile"]
    reason = keep(charger, _place(payload), profile)
    if not reason:
        return {"status": "Accepted"}, charger.power.update
    if charger.version == V16:
        return {"status": "Rejected"}, None
    return {"status": "Rejected", "statusInfo": {"reasonCode": reason}}, None


def keep(charger: SimCharger, place: int, profile: Payload) -> str:
    """Take the profile in; "" or the reason why not."""
    memory = charger.memory
    profile = _plain_numbers(profile)
    session = _session_meant(charger, place, profile)
    new = Kept(place=place, profile=profile, session=session, got_at=time.time())
    running = {s.tx: s.name for s in memory.sessions.values() if s.tx}
    here = Place(charger.version, charger.habits.connectors, running)
    reason = refusal(new, memory.profiles, here, charger.manners)
    if not reason:
        memory.profiles = with_profile(memory.profiles, new, charger.version)
        charger.file.save()
    return reason


def _session_meant(charger: SimCharger, place: int, profile: Payload) -> str:
    session = charger.session(place)
    return session.name if session is not None and profile["chargingProfilePurpose"] == "TxProfile" else ""


def keep_for(charger: SimCharger, session: Session, profile: Payload) -> str:
    """A profile that came with a remote start; it is for the transaction that began."""
    own = {key: value for key, value in profile.items() if key != "transactionId"}
    if charger.version != V16:
        own["transactionId"] = session.tx
    return keep(charger, session.connector, own)


def forget_session(charger: SimCharger, session: Session) -> None:
    """2.x K02.FR.05: a TxProfile ends with its transaction."""
    memory = charger.memory
    memory.profiles = [k for k in memory.profiles if k.purpose != TX or k.session != session.name]


def clear_profile(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    memory = charger.memory
    left = without(memory.profiles, payload)
    found = len(left) < len(memory.profiles)
    memory.profiles = left
    charger.file.save()
    return {"status": "Accepted" if found else "Unknown"}, charger.power.update


def composite(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    place, duration = _place(payload), payload["duration"]
    unit = payload.get("chargingRateUnit") or charger.manners.units[0]
    if not 0 <= place <= charger.habits.connectors or unit not in charger.manners.units:
        return {"status": "Rejected"}, None
    whole = charger.habits.max_a * (1 if place else charger.habits.connectors)
    periods = composite_periods(
        charger.memory.profiles, charger.power.situation(place), time.time(), duration, unit=unit, max_a=whole
    )
    schedule = {"duration": duration, "chargingRateUnit": unit, "chargingSchedulePeriod": periods}
    begin = timestamp()
    if charger.version == V16:
        answer = {"connectorId": place, "scheduleStart": begin, "chargingSchedule": schedule}
        return {"status": "Accepted", **answer}, None
    return {"status": "Accepted", "schedule": {"evseId": place, "scheduleStart": begin, **schedule}}, None


def _place(payload: Payload) -> int:
    return int(payload.get("connectorId") or payload.get("evseId") or 0)


def _plain_numbers(value: Any) -> Any:
    """The `ocpp` package hands limits over as Decimal."""
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    return value if isinstance(value, str | int | float | None) else float(value)
