"""What a charging profile must look like, whatever stands beside it: one table.

Rules of this file: a row says when a profile is wrong, which reasonCode OCPP 2.x names for it and why, with
the requirement. Rows of `RULES_2X` do not hold for 1.6, which leaves more open; rows of `RULES` hold for
both. The first row that is broken answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from edgegw.balance.profile_fields import Refusal
from edgegw.balance.profiles import Kind, Period, Profile, Purpose


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """How a profile came: the version of the charger, the connector, what the charger can do."""

    is_2x: bool
    is_21: bool = False
    connector: int
    received_at: float
    for_start: bool = False  # in a remote start
    dc: bool = False
    phase_switching: bool = True


class Rule(NamedTuple):
    broken: Callable[[Profile, Origin], bool]
    reason: str
    text: str


def broken_rule(profile: Profile, origin: Origin) -> Refusal | None:
    """The first rule that `profile` breaks. `schedules[].start` must be as on the wire."""
    for rule in (*RULES, *RULES_2X) if origin.is_2x else RULES:
        if rule.broken(profile, origin):
            return Refusal("Rejected", rule.reason, rule.text)
    return None


def _periods(profile: Profile) -> list[Period]:
    return [period for schedule in profile.schedules for period in schedule.periods]


def _wire_periods(profile: Profile) -> list[Mapping[str, Any]]:
    schedules = profile.raw["chargingSchedule"]
    schedules = schedules if isinstance(schedules, list) else [schedules]
    return [period for schedule in schedules for period in schedule["chargingSchedulePeriod"]]


def _out_of_order(profile: Profile, _: Origin) -> bool:
    return any(
        later.start_s <= earlier.start_s
        for schedule in profile.schedules
        for earlier, later in zip(schedule.periods, schedule.periods[1:], strict=False)
    )


def _starts_late(profile: Profile, _: Origin) -> bool:
    return any(schedule.periods[0].start_s != 0 for schedule in profile.schedules)


def _no_start(profile: Profile, origin: Origin) -> bool:
    # 1.6 7.13: an absolute schedule without a start is relative to the start of charging.
    kinds = (Kind.DAILY, Kind.WEEKLY) + ((Kind.ABSOLUTE,) if origin.is_2x else ())
    return profile.kind in kinds and any(schedule.start is None for schedule in profile.schedules)


def _relative_with_start(profile: Profile, _: Origin) -> bool:
    return profile.kind is Kind.RELATIVE and any(schedule.start is not None for schedule in profile.schedules)


def _one_phase_too_many(profile: Profile, _: Origin) -> bool:
    return any(period.phase_to_use is not None and period.phases != 1 for period in _periods(profile))


def _cannot_switch(profile: Profile, origin: Origin) -> bool:
    return not origin.phase_switching and any(period.phase_to_use is not None for period in _periods(profile))


def _phases_of_dc(profile: Profile, origin: Origin) -> bool:
    return origin.dc and any(period.phases or period.phase_to_use for period in _periods(profile))


def _phase_limits(profile: Profile, _: Origin) -> bool:
    return any(
        period.get(key) is not None and (profile.purpose is not Purpose.TX or period.get("limit") is None)
        for period in _wire_periods(profile)
        for key in ("limit_L2", "limit_L3")
    )


def _not_charging_only(profile: Profile, _: Origin) -> bool:
    modes = [period.get("operationMode") for period in _wire_periods(profile)]
    return profile.purpose is Purpose.PRIORITY and any(mode not in (None, "ChargingOnly") for mode in modes)


def _not_one_period(profile: Profile, _: Origin) -> bool:
    shape = [len(schedule.periods) for schedule in profile.schedules]
    return profile.kind is Kind.DYNAMIC and shape != [1]


def _update_of_no_dynamic(profile: Profile, _: Origin) -> bool:
    updates = (profile.raw.get("dynUpdateInterval"), profile.raw.get("dynUpdateTime"))
    return profile.kind is not Kind.DYNAMIC and updates != (None, None)


def _delay_of_others(profile: Profile, _: Origin) -> bool:
    may = profile.purpose in (Purpose.TX, Purpose.TX_DEFAULT)
    return not may and any(schedule.random_delay_s for schedule in profile.schedules)


def _never_valid(profile: Profile, _: Origin) -> bool:
    begin, end = profile.valid_from, profile.valid_to
    return begin is not None and end is not None and end <= begin


RULES = (
    Rule(
        lambda profile, origin: origin.for_start and profile.purpose is not Purpose.TX,
        "InvalidProfile",
        "the profile of a remote start must be a TxProfile (1.6 5.16.2, F01.FR.10)",
    ),
    Rule(
        lambda profile, origin: profile.purpose is Purpose.MAX and origin.connector != 0,
        "InvalidProfile",
        "a maximum profile is for the whole charger: connector 0 (1.6 3.13.1, 2.x K 3.2)",
    ),
    Rule(
        lambda profile, origin: (
            profile.purpose is Purpose.TX and origin.connector == 0 and not origin.for_start
        ),
        "InvalidProfile",
        "a TxProfile needs a connector above 0 (1.6 3.13.1, K01.FR.16)",
    ),
    Rule(lambda profile, _: profile.stack_level < 0, "InvalidStackLevel", "stackLevel must not be negative"),
    Rule(_never_valid, "InvalidProfile", "validTo is not after validFrom"),
    Rule(_no_start, "InvalidSchedule", "startSchedule is missing (1.6 7.8, K01.FR.40)"),
    Rule(_starts_late, "InvalidSchedule", "the first startPeriod must be 0 (1.6 errata 3.45, K01.FR.31)"),
    Rule(_out_of_order, "InvalidSchedule", "startPeriod must increase from period to period (K01.FR.35)"),
)

RULES_2X = (
    Rule(
        lambda profile, _: profile.purpose is Purpose.EXTERNAL,
        "InvalidProfile",
        "a CSMS must not set ChargingStationExternalConstraints (K01.FR.22)",
    ),
    Rule(
        lambda profile, _: profile.purpose is Purpose.MAX and profile.kind is Kind.RELATIVE,
        "InvalidProfile",
        "a ChargingStationMaxProfile must not be Relative (K01.FR.38)",
    ),
    Rule(
        lambda profile, origin: (
            profile.purpose is Purpose.TX and not profile.transaction and not origin.for_start
        ),
        "MissingParam",
        "a TxProfile needs a transactionId (K01.FR.03)",
    ),
    Rule(
        _relative_with_start, "InvalidSchedule", "a Relative profile must have no startSchedule (K01.FR.41)"
    ),
    Rule(_phases_of_dc, "NoPhaseForDC", "phases cannot be chosen for DC (K01.FR.44)"),
    Rule(_one_phase_too_many, "InvalidSchedule", "phaseToUse needs numberPhases 1 (K01.FR.19)"),
    Rule(_cannot_switch, "InvalidSchedule", "the phase of this EVSE cannot be chosen (K01.FR.20, K01.FR.48)"),
    Rule(
        _phase_limits, "PhaseConflict", "limit_L2 and limit_L3 need limit and a TxProfile (K01.FR.143 to 146)"
    ),
    Rule(_not_one_period, "InvalidSchedule", "a Dynamic profile has one schedule of one period (K28.FR.01)"),
    Rule(_update_of_no_dynamic, "InvalidProfile", "dynUpdate... is for Dynamic profiles (K01.FR.122)"),
    Rule(
        lambda profile, _: (
            profile.purpose is Purpose.PRIORITY
            and any(schedule.duration_s is not None for schedule in profile.schedules)
        ),
        "InvalidSchedule",
        "a PriorityCharging profile must have no duration (K01.FR.70)",
    ),
    Rule(_not_charging_only, "InvalidSchedule", "PriorityCharging is ChargingOnly (K01.FR.71)"),
    Rule(_delay_of_others, "InvalidSchedule", "randomizedDelay is for Tx and TxDefault profiles (K01.FR.95)"),
)
