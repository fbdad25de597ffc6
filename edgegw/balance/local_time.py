"""The local clock of the site, for OCPP 2.1 schedules with useLocalTime (K01.FR.90, K01.FR.91).

Rules of this file: local seconds count as if the local clock showed UTC; wall seconds are since 1970, UTC.
Where the local clock is set forward or back, local seconds jump, and with them the position in a schedule.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from functools import lru_cache

DAY_S = 86400
HOUR_S = 3600
# How far `next_change` looks ahead. A later change is found when this time has passed.
HORIZON_DAYS = 14


def offset_s(zone: tzinfo | None, wall: float) -> float:
    """How far the local clock is ahead of UTC."""
    offset = None if zone is None else datetime.fromtimestamp(wall, zone).utcoffset()
    return 0.0 if offset is None else offset.total_seconds()


def next_change(zone: tzinfo | None, wall: float, remaining_s: float) -> float:
    """When (wall) the local clock has moved on by `remaining_s`, or jumps before that: the earlier one.

    At most `HORIZON_DAYS` ahead, even when `remaining_s` is infinite.
    """
    due = wall + min(remaining_s, HORIZON_DAYS * DAY_S)
    if zone is None:
        return due
    for jump in _jumps(zone, int(wall // DAY_S)):
        if wall < jump < due:
            return jump
    return due


@lru_cache(maxsize=64)
def _jumps(zone: tzinfo, day: int) -> tuple[float, ...]:
    """The changes of the offset from the start of `day` (since 1970) to beyond the horizon, ascending."""
    begin = day * DAY_S
    hours = range(begin, begin + (HORIZON_DAYS + 2) * DAY_S, HOUR_S)
    return tuple(
        _jump_between(zone, hour, hour + HOUR_S)
        for hour in hours
        if offset_s(zone, hour) != offset_s(zone, hour + HOUR_S)
    )


def _jump_between(zone: tzinfo, before: int, after: int) -> float:
    """The first whole second with the offset of `after`."""
    new = offset_s(zone, after)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if offset_s(zone, middle) == new else (middle, after)
    return float(after)
