"""From a charging profile on the wire (OCPP 1.6, 2.0.1, 2.1) to `Profile`, or why not.

Rules of this file:
- A limit is taken with one decimal, rounded down: 16.15 A becomes 16.1 A. `Profile.raw` keeps what was
  written.
- What may not be at all is in `profile_rules`; here is only how it is read.
- A period of 2.1 comes down to one limit for charging: the lowest of its phases, of limit and setpoint. A
  setpoint below 0 and the mode Idle allow no charging; discharging is not granted by anybody here.
- Schedules for ISO 15118 (up to three) are kept in `raw`; the first one is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from edgegw.balance.profile_fields import LIMIT_MAX, Fields, Refusal, Refused, floor_tenth, rejected
from edgegw.balance.profile_rules import Origin, broken_rule
from edgegw.balance.profiles import Kind, Period, Profile, Purpose, Schedule, Unit
from edgegw.wire.timestamps import format_timestamp

PERIODS_MAX = 1024  # of one schedule: the schema of 2.x
SCHEDULES_MAX = 3  # OCPP 2.x

_PURPOSES_16 = {
    "ChargePointMaxProfile": Purpose.MAX,
    "TxDefaultProfile": Purpose.TX_DEFAULT,
    "TxProfile": Purpose.TX,
}
_PURPOSES_201 = {
    "ChargingStationMaxProfile": Purpose.MAX,
    "ChargingStationExternalConstraints": Purpose.EXTERNAL,
    "TxDefaultProfile": Purpose.TX_DEFAULT,
    "TxProfile": Purpose.TX,
}
_PURPOSES_21 = {
    **_PURPOSES_201,
    "PriorityCharging": Purpose.PRIORITY,
    "LocalGeneration": Purpose.LOCAL_GENERATION,
}
_KINDS = {"Absolute": (Kind.ABSOLUTE,), "Relative": (Kind.RELATIVE,), "Recurring": ()}
_KINDS_21 = {**_KINDS, "Dynamic": (Kind.DYNAMIC,)}
_RECURRING = {"Daily": Kind.DAILY, "Weekly": Kind.WEEKLY}
_UNITS = {"A": Unit.AMPS, "W": Unit.WATTS}
# What a ChargingScheduleUpdateType may carry; nothing else of a period may change with it.
_UPDATES = ("limit", "dischargeLimit", "setpoint", "setpointReactive")
_UPDATE_KEYS = frozenset(f"{name}{phase}" for name in _UPDATES for phase in ("", "_L2", "_L3"))


def parse_profile(
    payload: Mapping[str, Any],
    *,
    is_2x: bool,
    connector: int,
    received_at: float,
    is_21: bool = False,
    for_start: bool = False,
    dc: bool = False,
    phase_switching: bool = True,
) -> Profile | Refusal:
    """`payload` is csChargingProfiles (1.6) or chargingProfile (2.x), JSON as a decoder gives it.

    `connector` is the 1.6 connectorId or the 2.x evseId of the request; that it exists is for the caller to
    check. `is_21` lets in what 2.1 added and implies `is_2x`. `for_start`: it came with a remote start, so it
    must be a TxProfile without a transaction, and `connector` may be 0 (any): see `for_transaction`. `dc` and
    `phase_switching` (2.x ACPhaseSwitchingSupported) are of the EVSE.
    """
    origin = Origin(
        is_2x=is_2x or is_21,
        is_21=is_21,
        connector=connector,
        received_at=received_at,
        for_start=for_start,
        dc=dc,
        phase_switching=phase_switching,
    )
    try:
        profile = _read_profile(Fields(payload, "the profile"), origin)
    except Refused as refused:
        return refused.refusal
    return broken_rule(profile, origin) or _settled(profile, origin)


def updated(profile: Profile, update: Mapping[str, Any], at: float) -> Profile | Refusal:
    """A Dynamic profile with the values of `update` (2.1 ChargingScheduleUpdateType), received `at`
    (wall)."""
    wire_schedule = profile.raw["chargingSchedule"][0]
    try:
        members = Fields(update, "scheduleUpdate").members
        changes = {key: value for key, value in members.items() if key in _UPDATE_KEYS}
        wire_period = {**wire_schedule["chargingSchedulePeriod"][0], **changes}
        period = _read_period(Fields(wire_period, "scheduleUpdate"), profile.schedules[0].unit, is_21=True)
    except Refused as refused:
        return refused.refusal
    raw = {
        **profile.raw,
        "dynUpdateTime": format_timestamp(at),  # K28.FR.09
        "chargingSchedule": [{**wire_schedule, "chargingSchedulePeriod": [wire_period]}],
    }
    schedule = msgspec.structs.replace(profile.schedules[0], periods=(period,))
    return msgspec.structs.replace(profile, schedules=(schedule,), received_at=at, raw=raw)


def purposes_of(*, is_2x: bool) -> Mapping[str, Purpose]:
    """chargingProfilePurpose as on the wire -> Purpose; for 2.x those of 2.1."""
    return _PURPOSES_21 if is_2x else _PURPOSES_16


def _read_profile(fields: Fields, origin: Origin) -> Profile:
    named = _PURPOSES_21 if origin.is_21 else _PURPOSES_201 if origin.is_2x else _PURPOSES_16
    purpose = fields.choice("chargingProfilePurpose", named)
    kind = _read_kind(fields, origin)
    is_for_transaction = purpose is Purpose.TX and not origin.for_start
    return Profile(
        id=fields.whole("id" if origin.is_2x else "chargingProfileId"),
        connector=origin.connector,
        purpose=purpose,
        kind=kind,
        stack_level=fields.whole("stackLevel"),
        schedules=_read_schedules(fields, origin),
        transaction=_read_transaction(fields, origin) if is_for_transaction else "",
        valid_from=fields.time_or_none("validFrom"),
        valid_to=fields.time_or_none("validTo"),
        received_at=origin.received_at,
        max_offline_s=fields.whole_or_none("maxOfflineDuration", 0) if origin.is_21 else None,
        invalid_after_offline=origin.is_21 and fields.flag("invalidAfterOfflineDuration"),
        pull_interval_s=(fields.whole_or_none("dynUpdateInterval", 0) or None) if origin.is_21 else None,
        raw=dict(fields.members),
    )


def _read_kind(fields: Fields, origin: Origin) -> Kind:
    kind = fields.choice("chargingProfileKind", _KINDS_21 if origin.is_21 else _KINDS)
    recurring = fields.choice_or_none("recurrencyKind", _RECURRING)
    if kind:
        return kind[0]
    if recurring is None:
        raise rejected("MissingParam", "a Recurring profile needs recurrencyKind")
    return recurring


def _read_transaction(fields: Fields, origin: Origin) -> str:
    if origin.is_2x:
        return fields.text_or_none("transactionId") or ""
    number = fields.whole_or_none("transactionId")
    return "" if number is None else str(number)


def _read_schedules(fields: Fields, origin: Origin) -> tuple[Schedule, ...]:
    if not origin.is_2x:
        return (_read_schedule(Fields(fields.required("chargingSchedule"), "chargingSchedule"), origin),)
    several = fields.objects("chargingSchedule", SCHEDULES_MAX)
    return tuple(_read_schedule(one, origin) for one in several)


def _read_schedule(fields: Fields, origin: Origin) -> Schedule:
    unit = fields.choice("chargingRateUnit", _UNITS)
    local = origin.is_21 and fields.flag("useLocalTime")
    soc = Fields(fields.members.get("limitAtSoC") or {}, "limitAtSoC")
    has_soc = origin.is_21 and fields.has("limitAtSoC")
    return Schedule(
        unit=unit,
        periods=tuple(
            _read_period(period, unit, is_21=origin.is_21)
            for period in fields.objects("chargingSchedulePeriod", PERIODS_MAX)
        ),
        start=fields.time_or_none("startSchedule", as_local=local),
        duration_s=fields.whole_or_none("duration", 0),
        min_rate=fields.limit_or_none("minChargingRate"),
        local_time=local,
        random_delay_s=(fields.whole_or_none("randomizedDelay", 0) or 0) if origin.is_21 else 0,
        soc_percent=soc.whole("soc") if has_soc else None,
        soc_limit=soc.limit_or_none("limit") if has_soc else None,
    )


def _read_period(fields: Fields, unit: Unit, *, is_21: bool) -> Period:
    if not is_21:
        fields.required("limit")
    phases = fields.whole_or_none("numberPhases")
    if phases is not None and not 1 <= phases <= 3:
        raise rejected("InvalidSchedule", f"{fields.name}: numberPhases {phases} is not 1, 2 or 3")
    phase_to_use = fields.whole_or_none("phaseToUse")
    if phase_to_use is not None and not 1 <= phase_to_use <= 3:
        raise rejected("InvalidSchedule", f"{fields.name}: phaseToUse {phase_to_use} is not 1, 2 or 3")
    return Period(
        start_s=fields.whole("startPeriod", 0),
        limit=_charging_limit(fields, unit) if is_21 else fields.limit_or_none("limit"),
        phases=phases,
        phase_to_use=phase_to_use,
    )


def _charging_limit(fields: Fields, unit: Unit) -> float | None:
    """What a 2.1 period allows for charging: per phase in A, total in W; None: it says nothing."""
    if fields.members.get("operationMode") == "Idle":
        return 0.0
    limits = [fields.limit_or_none(key) for key in ("limit", "limit_L2", "limit_L3")]
    targets = [fields.number_or_none(key) for key in ("setpoint", "setpoint_L2", "setpoint_L3")]
    charging = [None if target is None else floor_tenth(min(max(target, 0), LIMIT_MAX)) for target in targets]
    caps = [cap for cap in (_symmetric(limits, unit), _symmetric(charging, unit)) if cap is not None]
    return min(caps, default=None)


def _symmetric(by_phase: list[float | None], unit: Unit) -> float | None:
    """One limit that keeps all of (L1 or all, L2, L3): the same current on every phase."""
    first, *others = by_phase
    given = [value for value in (first, *others) if value is not None]
    if not given or others == [None, None]:
        return first
    # With L2 or L3 given each value is of its phase alone, in watts too.
    return min(given) * (len(given) if unit is Unit.WATTS else 1)


def _settled(profile: Profile, origin: Origin) -> Profile:
    """With the start that the version gives a schedule without one."""
    if profile.kind is Kind.DYNAMIC:
        return _dynamic(profile)
    if origin.is_2x or profile.kind not in (Kind.ABSOLUTE, Kind.RELATIVE):
        return profile
    schedule = profile.schedules[0]
    if profile.kind is Kind.ABSOLUTE and schedule.start is not None:
        return profile
    # 1.6 7.13: without a start it counts from the start of charging. The charger's maximum has none.
    is_max = profile.purpose is Purpose.MAX
    schedule = msgspec.structs.replace(schedule, start=profile.received_at if is_max else None)
    kind = Kind.ABSOLUTE if is_max else Kind.RELATIVE
    return msgspec.structs.replace(profile, kind=kind, schedules=(schedule,))


def _dynamic(profile: Profile) -> Profile:
    """K28.FR.05: dynUpdateTime is now, if the CSMS did not say; never later than now."""
    try:
        said = Fields(profile.raw, "the profile").time_or_none("dynUpdateTime")
    except Refused:
        said = None
    at = profile.received_at if said is None else min(said, profile.received_at)
    raw = {**profile.raw, "dynUpdateTime": format_timestamp(at)}
    return msgspec.structs.replace(profile, received_at=at, raw=raw)
