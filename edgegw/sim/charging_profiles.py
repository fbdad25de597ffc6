"""The charging profiles a simulated charger keeps: what it takes, what it refuses, what a clear removes.

Rules of this file:
- Pure. Profiles stay as they came on the wire (1.6 or 2.x); `power_limit` says what they allow.
- The rules are the specification's as a strict charger reads them (1.6 3.13 and 5.16, 2.x K01), written
  apart from the gateway's. A refusal is a reasonCode of 2.x; 1.6 says just Rejected.
- Recurring and Dynamic profiles are refused: this charger does not know them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from edgegw.sim.desk import V16, Payload

MAX, TX_DEFAULT, TX = "max", "tx_default", "tx"
PURPOSES = {
    "ChargePointMaxProfile": MAX,
    "ChargingStationMaxProfile": MAX,
    "TxDefaultProfile": TX_DEFAULT,
    "TxProfile": TX,
}
KINDS = ("Absolute", "Relative")
PERIODS_MAX = 24
PROFILES_MAX = 32


class Kept(msgspec.Struct, kw_only=True):
    """One profile in the charger's memory. `place`: 1.6 connectorId, 2.x evseId."""

    place: int
    profile: dict[str, Any]
    session: str = ""  # of a TxProfile: the charger's own name of the transaction
    got_at: float = 0.0  # wall clock
    lapsed: bool = False  # 2.1 invalidAfterOfflineDuration came true

    @property
    def id(self) -> int:
        return int(self.profile.get("chargingProfileId", self.profile.get("id", 0)))

    @property
    def purpose(self) -> str:
        return PURPOSES.get(self.profile["chargingProfilePurpose"], "")

    @property
    def stack_level(self) -> int:
        return int(self.profile.get("stackLevel", 0))

    @property
    def schedule(self) -> Payload:
        """2.x carries up to three; only a car that speaks ISO 15118 chooses, others get the first."""
        schedule: Any = self.profile["chargingSchedule"]
        chosen: Payload = schedule[0] if isinstance(schedule, list) else schedule
        return chosen


@dataclass(slots=True)
class Manners:
    """How a charger takes profiles; may change while it runs."""

    rejects: set[str] = field(default_factory=set)  # of MAX, TX_DEFAULT, TX
    stack_level_max: int = 8
    units: tuple[str, ...] = ("A", "W")
    disobeys: bool = False  # accepts and draws what it likes
    answer_delay_s: float = 0.0  # of everything about profiles


@dataclass(frozen=True, slots=True)
class Place:
    """What the charger knows of the place a profile is for. `running`: transaction id -> session name."""

    version: str
    connectors: int
    running: Mapping[str, str]


def refusal(wanted: Kept, kept: Iterable[Kept], place: Place, manners: Manners) -> str:
    """Why `wanted` is not taken, as reasonCode; "" when it is."""
    profile = wanted.profile
    if not 0 <= wanted.place <= place.connectors:
        return "UnknownEvse"
    if not wanted.purpose or wanted.purpose in manners.rejects:
        return "UnsupportedPurpose"
    if profile.get("chargingProfileKind") not in KINDS:
        return "UnsupportedKind"
    if not 0 <= wanted.stack_level <= manners.stack_level_max:
        return "InvalidStackLevel"
    return (
        _place_fault(wanted, place)
        or _schedule_fault(wanted, place, manners)
        or _neighbour_fault(wanted, list(kept), place)
    )


def _place_fault(wanted: Kept, place: Place) -> str:
    if wanted.purpose == MAX and wanted.place != 0:
        return "InvalidProfile"  # it is the whole charger's
    if wanted.purpose != TX:
        return ""
    if wanted.place == 0:
        return "InvalidProfile"
    named = wanted.profile.get("transactionId")
    if named is None:
        # 1.6 leaves it optional: then it is for the transaction that runs there. 2.x K01.FR.03 does not.
        return "" if place.version == V16 and wanted.session else "TxNotFound"
    return "" if place.running.get(str(named)) == wanted.session != "" else "TxNotFound"


def _schedule_fault(wanted: Kept, place: Place, manners: Manners) -> str:
    schedule = wanted.schedule
    periods = schedule.get("chargingSchedulePeriod") or []
    starts = [period["startPeriod"] for period in periods]
    if not starts or starts[0] != 0 or starts != sorted(set(starts)) or len(starts) > PERIODS_MAX:
        return "InvalidSchedule"
    if schedule.get("chargingRateUnit") not in manners.units:
        return "UnsupportedRateUnit"
    relative = wanted.profile["chargingProfileKind"] == "Relative"
    has_start = "startSchedule" in schedule
    if relative and (has_start or wanted.purpose == MAX):
        return "InvalidProfile"  # 2.x K01.FR.38, K01.FR.41
    if not relative and not has_start and place.version != V16:
        return "InvalidSchedule"  # 2.x K01.FR.40; 1.6: it counts from the start of charging
    return ""


def _neighbour_fault(wanted: Kept, kept: list[Kept], place: Place) -> str:
    others = [k for k in kept if k.id != wanted.id]
    if place.version == V16:
        return "TooManyProfiles" if len(others) >= PROFILES_MAX else ""
    others = [k for k in others if not _over(k, wanted.got_at)]
    same = [k for k in others if k.purpose == wanted.purpose and k.stack_level == wanted.stack_level]
    for other in same:
        if other.place == wanted.place and other.session == wanted.session and _overlap(other, wanted):
            return "DuplicateProfile"  # 2.x K01.FR.06, K01.FR.39
        if wanted.purpose == TX_DEFAULT and 0 in (other.place, wanted.place) and other.place != wanted.place:
            return "DuplicateProfile"  # 2.x K01.FR.52, K01.FR.53
    return "TooManyProfiles" if len(others) >= PROFILES_MAX else ""


def instant(text: str) -> float:
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _over(kept: Kept, now: float) -> bool:
    valid_to = kept.profile.get("validTo")
    return valid_to is not None and instant(valid_to) <= now


def _overlap(one: Kept, other: Kept) -> bool:
    def span(kept: Kept) -> tuple[float, float]:
        bounds = (kept.profile.get(name) for name in ("validFrom", "validTo"))
        begin, end = (None if text is None else instant(text) for text in bounds)
        return -math.inf if begin is None else begin, math.inf if end is None else end

    (from_1, to_1), (from_2, to_2) = span(one), span(other)
    return from_1 < to_2 and from_2 < to_1


def with_profile(kept: Iterable[Kept], new: Kept, version: str) -> list[Kept]:
    """`kept` with `new` in it, without what it replaces."""

    def replaced(old: Kept) -> bool:
        same_level = (old.purpose, old.stack_level, old.place) == (new.purpose, new.stack_level, new.place)
        return old.id == new.id or (version == V16 and same_level)

    return [old for old in kept if not replaced(old)] + [new]


def without(kept: Iterable[Kept], payload: Payload) -> list[Kept]:
    """After a ClearChargingProfile: an id alone decides, else every criterion that is given must hold."""
    wanted = payload.get("id", payload.get("chargingProfileId"))
    criteria = payload.get("chargingProfileCriteria", payload)

    def hit(old: Kept) -> bool:
        if wanted is not None:
            return bool(old.id == wanted)
        facts = {
            "connectorId": old.place,
            "evseId": old.place,
            "chargingProfilePurpose": old.profile["chargingProfilePurpose"],
            "stackLevel": old.stack_level,
        }
        return all(criteria[name] == value for name, value in facts.items() if name in criteria)

    return [old for old in kept if not hit(old)]
