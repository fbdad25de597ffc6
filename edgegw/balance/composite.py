"""What a set of charging profiles comes to at an instant, and over a time: the composite schedule.

Rules of this file (OCPP 1.6 3.13, OCPP 2.x K 3.5, 3.6, SC.01, K08):
- Within a purpose the profile with the highest stackLevel that has a period now decides, whatever its limit
  is; between one for the connector and one for the whole charger of the same stackLevel, the connector's.
- Across purposes the lowest limit decides, of: the charger's maximum, external constraints, and one of
  PriorityCharging (when it is on), TxProfile, TxDefaultProfile, in this order. LocalGeneration is added on
  top.
- Without a transaction the limit is that of one that begins now (K08.FR.06).
- Limits are compared in amps per phase: W become I = P / (nominal V x numberPhases), 3 when it is absent
  (1.6 errata 3.69, K01.FR.49 to 51). A limit is not reckoned anew because fewer phases are there (errata
  3.34).
- The charger's maximum is for all its connectors together. `Cap` says both: what the connector may have alone
  and what all may have together. Who steers several connectors must divide the second among them.
- Limits are unrounded, but for a `Composite`: that is sent, with one decimal, rounded down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from edgegw.balance.profile_book import ProfileBook, Ranking
from edgegw.balance.profile_fields import floor_tenth
from edgegw.balance.profile_timing import INFINITE, Moment, period_at
from edgegw.balance.profiles import Period, Profile, Schedule, Unit

__all__ = ["Cap", "Composite", "Moment", "charger_schedule", "limit_at", "schedule"]

PERIODS_MAX = 1024  # of a composite schedule: the schema of 2.x
# Instants that one composite is reckoned at. A book of daily profiles with a thousand periods each asked for
# a year would otherwise hold the gateway up for seconds.
STEPS_MAX = 4096
# The least time from one step to the next, so that rounding cannot make it stand still.
STEP_MIN_S = 0.001


class Cap(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the cloud allows a connector, or with connector 0 the whole charger. None: no limit. Unrounded."""

    limit_a: float | None  # per phase: the lower of `own_a` and `charger_a`
    limit_w: float | None  # the same in watts, on all phases that may be used together
    own_a: float | None  # what the profiles of the connector (Tx, TxDefault, ...) allow it
    charger_a: float | None  # what all connectors TOGETHER may draw: the caller divides it
    phases: int | None  # on so many at most; None: as wired
    phase_to_use: int | None  # 2.1: this one of the connector's own (1..3), when `phases` is 1
    until: float  # wall: it does not change before (infinity: never)
    bound_by: tuple[int, ...]  # ids of the profiles that make `limit_a` what it is


class Composite(msgspec.Struct, frozen=True, kw_only=True):
    """A composite schedule from the moment it was asked for. Start of a period in seconds from there."""

    periods: tuple[Period, ...]  # limit in the unit that was asked; None: no limit
    duration_s: float  # what was asked for, or less where there would be too many periods
    unit: Unit


class _Leading(NamedTuple):
    """The profile that decides for its purpose, and what it allows."""

    id: int
    period: Period
    amps: float | None


def limit_at(book: ProfileBook, when: Moment) -> Cap:
    """The limit for `when.connector` at `when.now`; with connector 0 that of the charger alone."""
    own, whole, extra, until = _deciding(book.ranking, when)
    binding = own + whole
    own_a, charger_a, lowest = _lowest(own), _lowest(whole), _lowest(binding)
    limit_a = None if lowest is None else lowest + extra
    phases = min((found.period.phases for found in binding if found.period.phases), default=None)
    wired = min(phases or when.phases, when.phases)
    return Cap(
        limit_a=limit_a,
        limit_w=None if limit_a is None else limit_a * when.nominal_v * wired,
        own_a=None if own_a is None else own_a + extra,
        charger_a=None if charger_a is None else charger_a + extra,
        phases=phases,
        phase_to_use=_phase_to_use(binding) if phases == 1 else None,
        until=max(until, when.now + STEP_MIN_S),
        bound_by=tuple([found.id for found in binding if lowest is not None and found.amps == lowest]),
    )


def schedule(
    book: ProfileBook, when: Moment, duration_s: float, unit: Unit, *, ceiling_a: float = INFINITE
) -> Composite:
    """GetCompositeSchedule of one connector (of connector 0: the charger's maximum alone) from `when.now` on.

    `ceiling_a` is what the gateway or the hardware allows now, taken as lasting. Without one, a time without
    any limit becomes a period with limit None, which cannot be sent.
    """
    return _composite(book, [(when, ceiling_a)], duration_s, unit, is_sum=False)


def charger_schedule(
    book: ProfileBook,
    connectors: Sequence[tuple[Moment, float]],
    duration_s: float,
    unit: Unit,
) -> Composite:
    """GetCompositeSchedule of connector 0: the sum of what the connectors (moment, ceiling_a) may draw,
    within the maximum of the charger (K08.FR.03). All moments have the same `now`; at least one is there.

    In A it is the sum of the currents per phase as if all were on the same phases. So it may say too much for
    connectors on different phases, never too little.
    """
    return _composite(book, connectors, duration_s, unit, is_sum=True)


def _composite(
    book: ProfileBook,
    connectors: Sequence[tuple[Moment, float]],
    duration_s: float,
    unit: Unit,
    *,
    is_sum: bool,
) -> Composite:
    begin = connectors[0][0].now
    end = begin + duration_s
    moments = [_as_if_charging(moment) for moment, _ in connectors]
    ceilings = [ceiling for _, ceiling in connectors]
    periods: list[Period] = []
    now, steps = begin, 0
    while now < end or not periods:
        if steps * len(moments) >= STEPS_MAX or len(periods) > PERIODS_MAX:
            end = now
            break
        period, until = _expected(book, moments, ceilings, now, unit, is_sum)
        _append(periods, msgspec.structs.replace(period, start_s=float(round(now - begin))))
        now, steps = until, steps + 1
    return _cut(periods, end - begin, unit)


def _as_if_charging(moment: Moment) -> Moment:
    return moment if moment.started is not None else msgspec.structs.replace(moment, started=moment.now)


def _expected(
    book: ProfileBook, moments: list[Moment], ceilings: list[float], now: float, unit: Unit, is_sum: bool
) -> tuple[Period, float]:
    """What may be drawn at `now` as a period, and until when that holds."""
    at = [msgspec.structs.replace(moment, now=now) for moment in moments]
    caps = [limit_at(book, moment) for moment in at]
    until = min(cap.until for cap in caps)
    if not is_sum:
        return _period(caps[0], at[0], ceilings[0], unit), until
    own = [_or_infinite(cap.own_a) for cap in caps]
    drawn = [min(*both) for both in zip(own, ceilings, strict=True)]
    whole = limit_at(book, msgspec.structs.replace(at[0], connector=0))
    if unit is Unit.AMPS:
        return _rounded(min(sum(drawn), _or_infinite(whole.charger_a)), None), min(until, whole.until)
    phases = [_phases(cap, moment) for cap, moment in zip(caps, at, strict=True)]
    watts = sum(amps * count for amps, count in zip(drawn, phases, strict=True))
    most = _or_infinite(whole.charger_a) * _phases(whole, max(at, key=lambda moment: moment.phases))
    return _rounded(min(watts, most) * at[0].nominal_v, None), min(until, whole.until)


def _period(cap: Cap, when: Moment, ceiling_a: float, unit: Unit) -> Period:
    amps = min(_or_infinite(cap.limit_a), ceiling_a)
    phases = _phases(cap, when)
    limit = amps if unit is Unit.AMPS else amps * when.nominal_v * phases
    return msgspec.structs.replace(_rounded(limit, phases), phase_to_use=cap.phase_to_use)


def _rounded(limit: float, phases: int | None) -> Period:
    return Period(0.0, None if limit == INFINITE else floor_tenth(limit), phases)


def _phases(cap: Cap, when: Moment) -> int:
    return min(cap.phases or when.phases, when.phases)


def _or_infinite(limit: float | None) -> float:
    return INFINITE if limit is None else limit


def _append(periods: list[Period], period: Period) -> None:
    """Unless it says nothing new; instead of the last one, where both begin in the same second."""
    if periods and periods[-1].start_s == period.start_s:
        periods.pop()
    if not periods or msgspec.structs.replace(period, start_s=periods[-1].start_s) != periods[-1]:
        periods.append(period)


def _cut(periods: list[Period], duration_s: float, unit: Unit) -> Composite:
    if len(periods) > PERIODS_MAX:
        duration_s = periods[PERIODS_MAX].start_s
    kept = [period for period in periods if period.start_s < max(duration_s, 1.0)]
    return Composite(periods=tuple(kept), duration_s=duration_s, unit=unit)


# --- who decides ------------------------------------------------------------------------------------


def _deciding(ranking: Ranking, when: Moment) -> tuple[list[_Leading], list[_Leading], float, float]:
    """Who decides about the connector, who about the charger as a whole, the amps of local generation on top,
    and until when nothing of this changes."""
    here = when.connector
    whole = [_first(ranking.maximum, when, 0), _first(ranking.external, when, 0)]
    extra = _first(ranking.generation, when, here)
    own = []
    if here != 0:
        # External constraints bind on both levels; a limit of the charger does not lift one of the connector.
        constraints = tuple(one for one in ranking.external if one.connector != 0)
        own = [_for_transaction(ranking, when), _first(constraints, when, here)]
    until = min(change for _, change in (*own, *whole, extra))
    generated = 0.0 if extra[0] is None else extra[0].amps or 0.0
    return _found(own), _found(whole), generated, until


def _for_transaction(ranking: Ranking, when: Moment) -> tuple[_Leading | None, float]:
    """PriorityCharging, TxProfile, TxDefaultProfile: the first that has a period."""
    transaction = when.transaction
    until = INFINITE
    if transaction:
        bound = tuple(one for one in ranking.tx if one.transaction == transaction)
        for profiles in (ranking.priority, bound) if when.priority else (bound,):
            found, change = _first(profiles, when, when.connector)
            until = min(until, change)
            if found is not None:
                return found, until
    found, change = _first(ranking.tx_default, when, when.connector)
    return found, min(until, change)


def _first(profiles: tuple[Profile, ...], when: Moment, connector: int) -> tuple[_Leading | None, float]:
    """The first of `profiles` for `connector` that has a period now. Those below it do not count before it
    ends."""
    until = INFINITE
    for profile in profiles:
        if profile.connector in (0, connector):
            period, change = period_at(profile, when)
            until = min(until, change)
            if period is not None:
                return _Leading(profile.id, period, _amps(profile.schedules[0], period, when)), until
    return None, until


def _found(several: list[tuple[_Leading | None, float]]) -> list[_Leading]:
    return [found for found, _ in several if found is not None]


def _amps(schedule: Schedule, period: Period, when: Moment) -> float | None:
    limit = period.limit
    if limit is None:
        return None
    if schedule.soc_limit is not None and _is_full(schedule, when):
        limit = min(limit, schedule.soc_limit)
    return limit if schedule.unit is Unit.AMPS else limit / (when.nominal_v * (period.phases or 3))


def _is_full(schedule: Schedule, when: Moment) -> bool:
    """K01.FR.100: without a measured state of charge the limit above it does not count."""
    known = when.soc_percent is not None and schedule.soc_percent is not None
    return known and (when.soc_percent or 0) >= (schedule.soc_percent or 0)


def _lowest(several: list[_Leading]) -> float | None:
    return min([one.amps for one in several if one.amps is not None], default=None)


def _phase_to_use(binding: list[_Leading]) -> int | None:
    return next((found.period.phase_to_use for found in binding if found.period.phase_to_use), None)
