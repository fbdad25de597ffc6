"""What one charging profile allows at an instant, and how long that stays so.

Rules of this file:
- Intervals begin with their first instant and end before their last (K01.FR.36, K01.FR.37).
- A period lasts until the next one, the end of `duration` or of the recurrence, whichever comes first; what
  lies beyond duration or recurrence is not executed (OCPP 1.6 5.16.4, K01.FR.11 to 13).
- Daily is every 24 hours and Weekly every 7 days from startSchedule (1.6 errata 3.79): the local clock
  matters only to schedules with useLocalTime.
- "Until" is never later than the next change; it may be earlier, when nothing changes then.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import tzinfo
from operator import attrgetter
from zlib import crc32

import msgspec

from edgegw.balance.local_time import next_change, offset_s
from edgegw.balance.profiles import Kind, Period, Profile, Schedule

INFINITE = float("inf")
_CYCLES_S = {Kind.DAILY: 86400.0, Kind.WEEKLY: 604800.0}
_START = attrgetter("start_s")


class Moment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """When and where a limit is asked. Times are wall clock seconds since 1970."""

    now: float
    connector: int  # 1.6 connectorId, 2.x evseId; 0: the whole charger, without any connector's own profiles
    transaction: str = ""  # running on it, id as the charger knows it; "" for none
    started: float | None = None  # when it began; Relative counts from here, or from now where it is None
    tz: tzinfo | None = None  # the site's zone, for useLocalTime; None: UTC
    offline_since: float | None = None  # since when the cloud is away; None: it is there
    priority: bool = False  # 2.1: priority charging is on for the transaction
    nominal_v: float = 230.0
    phases: int = 3  # as the connector is wired
    soc_percent: float | None = None  # of the car, where it is known


def period_at(profile: Profile, when: Moment) -> tuple[Period | None, float]:
    """The period that runs now (None: the profile allows nothing and forbids nothing), and until when that
    holds at least (wall; infinity: for ever)."""
    now = when.now
    until = INFINITE
    if profile.lapsed:
        return None, until
    if profile.valid_from is not None and now < profile.valid_from:
        return None, profile.valid_from
    for end in (profile.valid_to, _end_offline(profile, when)):
        if end is not None and now >= end:
            return None, INFINITE
        until = until if end is None else min(until, end)
    schedule = profile.schedules[0]
    elapsed = _elapsed(profile, schedule, when)
    period, remaining_s = _period_after(profile, schedule, elapsed, when)
    if schedule.local_time:
        return period, min(until, next_change(when.tz, now, remaining_s))
    return period, min(until, now + remaining_s)


def _end_offline(profile: Profile, when: Moment) -> float | None:
    """K01.FR.101: not valid while the charger is offline for longer than maxOfflineDuration."""
    if profile.max_offline_s is None or when.offline_since is None:
        return None
    return when.offline_since + profile.max_offline_s


def _elapsed(profile: Profile, schedule: Schedule, when: Moment) -> float:
    """Seconds since the schedule began; negative before it does."""
    if profile.kind is Kind.RELATIVE:
        return 0.0 if when.started is None else max(0.0, when.now - when.started)
    if profile.kind is Kind.DYNAMIC or schedule.start is None:
        return max(0.0, when.now - profile.received_at)
    if schedule.local_time:
        return when.now + offset_s(when.tz, when.now) - schedule.start
    return when.now - schedule.start


def _period_after(
    profile: Profile, schedule: Schedule, elapsed: float, when: Moment
) -> tuple[Period | None, float]:
    """The period that runs `elapsed` seconds after the start, and for how long."""
    if elapsed < 0:
        return None, -elapsed
    end = INFINITE if schedule.duration_s is None else schedule.duration_s
    cycle = _CYCLES_S.get(profile.kind)
    if cycle is not None:
        elapsed %= cycle
        if elapsed >= end:
            return None, cycle - elapsed
        end = min(end, cycle)
    elif elapsed >= end:
        return None, INFINITE
    if schedule.random_delay_s and when.transaction:
        return _delayed(profile, schedule, elapsed, end, when.transaction)
    periods = schedule.periods
    following = bisect_right(periods, elapsed, key=_START)
    change = periods[following].start_s if following < len(periods) else INFINITE
    return periods[following - 1], min(change, end) - elapsed


def _delayed(
    profile: Profile, schedule: Schedule, elapsed: float, end: float, transaction: str
) -> tuple[Period | None, float]:
    """K01.FR.92 to 94: every period but the first begins up to `random_delay_s` later.

    The delay is drawn from the ids of transaction and profile, so it is the same as long as both last.
    """
    running, change = schedule.periods[0], end
    for number, period in enumerate(schedule.periods[1:], 1):
        dice = crc32(f"{transaction}/{profile.id}/{number}".encode())
        begin = period.start_s + dice % int(schedule.random_delay_s + 1)
        if begin <= elapsed:
            running = period
        else:
            change = min(change, begin)
    return running, change - elapsed
