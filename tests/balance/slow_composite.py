"""A second opinion on composite schedules: every rule spelled out, one second at a time, no cleverness.

It shares nothing with `edgegw.balance` but the data. Times are whole seconds; random delays are not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from fractions import Fraction

from edgegw.balance.profiles import Kind, Profile, Purpose, Unit

EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Site:
    """Everything but the instant."""

    connector: int
    transaction: str
    started: int
    zone: tzinfo
    offline_since: int | None
    priority: bool
    soc: int | None


@dataclass(frozen=True)
class Limits:
    """Amps per phase; None: none."""

    own: Fraction | None
    charger: Fraction | None
    both: Fraction | None
    phases: int | None


def limits(profiles: tuple[Profile, ...], site: Site, second: int) -> Limits:
    def best(purpose: Purpose, connectors: tuple[int, ...]) -> tuple[Fraction | None, int | None] | None:
        for stack in range(20, -1, -1):
            for connector in connectors:
                for profile in profiles:
                    where = (profile.purpose, profile.connector, profile.stack_level)
                    if where != (purpose, connector, stack) or not for_this(profile, site):
                        continue
                    found = value(profile, site, second)
                    if found is not None:
                        return found
        return None

    here = site.connector
    own, whole = [], [best(Purpose.MAX, (0,)), best(Purpose.EXTERNAL, (0,))]
    if here:
        layer = best(Purpose.PRIORITY, (here, 0))
        layer = layer if layer is not None else best(Purpose.TX, (here, 0))
        layer = layer if layer is not None else best(Purpose.TX_DEFAULT, (here, 0))
        own = [layer, best(Purpose.EXTERNAL, (here,))]
    sun = best(Purpose.LOCAL_GENERATION, (here, 0))
    extra = sun[0] if sun is not None and sun[0] is not None else Fraction(0)

    def lowest(several: list[tuple[Fraction | None, int | None] | None]) -> Fraction | None:
        known = [one[0] for one in several if one is not None and one[0] is not None]
        return min(known) + extra if known else None

    phases = [one[1] for one in own + whole if one is not None and one[1] is not None]
    return Limits(lowest(own), lowest(whole), lowest(own + whole), min(phases) if phases else None)


def for_this(profile: Profile, site: Site) -> bool:
    if profile.purpose is Purpose.TX:
        return site.transaction != "" and profile.transaction == site.transaction
    if profile.purpose is Purpose.PRIORITY:
        return site.transaction != "" and site.priority
    return True


def value(profile: Profile, site: Site, second: int) -> tuple[Fraction | None, int | None] | None:
    """None: the profile has no period in this second. Else (amps per phase or None, phases or None)."""
    if profile.lapsed:
        return None
    if profile.valid_from is not None and second < profile.valid_from:
        return None
    if profile.valid_to is not None and second >= profile.valid_to:
        return None
    if (
        profile.max_offline_s is not None
        and site.offline_since is not None
        and second - site.offline_since >= profile.max_offline_s
    ):
        return None
    schedule = profile.schedules[0]
    since = seconds_into(profile, site, second)
    if since is None or (schedule.duration_s is not None and since >= schedule.duration_s):
        return None
    running = None
    for period in schedule.periods:
        if period.start_s <= since:
            running = period
    assert running is not None
    if running.limit is None:
        return None, running.phases
    limit = Fraction(running.limit)
    if site.soc is not None and schedule.soc_percent is not None and site.soc >= schedule.soc_percent:
        limit = min(limit, Fraction(schedule.soc_limit or 0))
    if schedule.unit is Unit.WATTS:
        limit = limit / 230 / (running.phases if running.phases is not None else 3)
    return limit, running.phases


def seconds_into(profile: Profile, site: Site, second: int) -> int | None:
    """How far the schedule is, counted from its newest beginning; None before the first one."""
    schedule = profile.schedules[0]
    if profile.kind is Kind.RELATIVE:
        return max(second - site.started, 0)
    if profile.kind is Kind.DYNAMIC:
        return max(second - int(profile.received_at), 0)
    assert schedule.start is not None
    clock, begin = clock_at(second, UTC), EPOCH + timedelta(seconds=schedule.start)
    if schedule.local_time:
        clock = clock_at(second, site.zone)
    if clock < begin:
        return None
    every = {Kind.DAILY: timedelta(days=1), Kind.WEEKLY: timedelta(days=7)}.get(profile.kind)
    while every is not None and begin + every <= clock:
        begin += every
    return int((clock - begin).total_seconds())


def clock_at(second: int, zone: tzinfo) -> datetime:
    """What a clock on the wall shows."""
    return datetime.fromtimestamp(second, zone).replace(tzinfo=None)
