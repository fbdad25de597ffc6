"""Is a command new enough, and are there not too many? Time is an argument.

Rules of this file:
- `ts` is judged by the wall clock, everything else by `mono`. While the wall clock cannot be right, a command
  that must not be an old one is refused; what does no harm when it is old, or more harm when it is not
  taken, is taken.
- A command that was made before this process began is old: the process before it may have carried it out.
"""

from __future__ import annotations

import msgspec

from edgegw.core.events import Instant
from edgegw.wire.timestamps import NO_ZONE, format_timestamp, parse_timestamp

OLD_S = 30.0  # longer than any broker on a site takes; short enough that nobody has acted on its absence
AHEAD_S = 30.0
START_SLACK_S = 2.0  # `ts` in whole seconds, and a clock that runs a little behind


class Untimely(msgspec.Struct, frozen=True):
    """Why a command is not carried out."""

    code: str
    text: str


def judge(
    ts: str | None, now: Instant, started: Instant, *, required: bool, fine_when_old: bool
) -> Untimely | None:
    """`fine_when_old`: it is taken whatever its `ts` says while nobody here knows the time."""
    if ts is None:
        return _MISSING if required else None
    moment = parse_timestamp(ts)
    if moment is None or NO_ZONE in moment[1]:
        return Untimely("malformed", 'ts: must be RFC 3339 with a zone, such as "2026-11-20T23:40:01Z"')
    if not now.trusted:
        return None if fine_when_old else _NO_CLOCK
    return _judge_age(now.wall - moment[0], now, now.mono - started.mono)


_MISSING = Untimely(
    "no_timestamp",
    'add "ts", the time now in RFC 3339 such as "2026-11-20T23:40:01Z": a command without it could be an old '
    "one; [mqtt] require_timestamp = false takes them all the same",
)

_NO_CLOCK = Untimely(
    "clock_not_set",
    "the clock of this gateway is not set yet, so it cannot tell whether this command is an old one: "
    "see to its time server, then ask again; limits, alarm/ack and health_check are taken all the same",
)


def _judge_age(age_s: float, now: Instant, running_s: float) -> Untimely | None:
    here = f"it is {format_timestamp(now.wall)} here"
    if age_s > OLD_S:
        return Untimely("stale", f"ts is {age_s:.0f} s old and may be {OLD_S:.0f}; {here}")
    if age_s < -AHEAD_S:
        return Untimely("clock_differs", f"ts is {-age_s:.0f} s ahead: set the clock of the asker; {here}")
    if age_s > running_s + START_SLACK_S:
        return Untimely("stale", "ts is before this gateway started; ask again")
    return None


class Bucket:
    """So many at once, so many per second. Not for sums of money: it counts in floats."""

    def __init__(self, burst: float, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left = burst
        self._at = float("-inf")

    def take(self, now_mono: float, cost: float = 1.0) -> bool:
        """Whether that much was left."""
        since_s = max(0.0, now_mono - self._at)
        self._left = min(self._burst, self._left + since_s * self._per_s)
        self._at = max(self._at, now_mono)
        if self._left < cost:
            return False
        self._left -= cost
        return True
