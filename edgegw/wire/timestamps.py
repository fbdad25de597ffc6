"""Reading the times chargers write, writing the times edgegw writes. No clock in here.

Rules of this file:
- RFC 3339 and the ISO 8601 forms met in the field are read (OCPP 1.6 errata 3.10); nothing is guessed
  silently: what had to be assumed or looks wrong comes back as a flag.
- A stored timestamp is never written anew from what was read here; the charger's own text is kept.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

NO_ZONE = "no_zone"  # no offset given, read as UTC
CLOCK_SUSPECT = "clock_suspect"  # readable, but the charger's clock or time zone is probably wrong

# Before 2010 there was no charger of this kind; 1970 and 2000 are clocks that were never set.
YEAR_MIN, YEAR_MAX = 2010, 2100
# The largest offset of a country with charging stations is that of the Chatham Islands in summer.
OFFSET_USUAL_MAX = timedelta(hours=13, minutes=45)
TEXT_MAX = 64  # characters

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r" ?(?:(?P<utc>[Zz])|(?P<sign>[+-])(?P<hours>\d\d)(?::?(?P<minutes>\d\d))?)?",
    re.ASCII,
)


def parse_timestamp(text: str) -> tuple[float, tuple[str, ...]] | None:
    """(seconds since 1970, flags), or None for what is no time at all.

    Flags: NO_ZONE and CLOCK_SUSPECT when no zone is given (it may be local time); CLOCK_SUSPECT for a
    year outside 2010..2100, a 60th second, an offset no charging station has.
    """
    found = _TIMESTAMP.fullmatch(text) if len(text) <= TEXT_MAX else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    offset = _offset(found)
    is_leap_second = second == 60
    try:
        moment = datetime(year, month, day, hour, minute, second - is_leap_second, tzinfo=UTC)
    except ValueError:
        return None
    if offset is None or abs(offset) >= timedelta(days=1):
        return None
    seconds = (moment - _EPOCH - offset).total_seconds() + is_leap_second + float(f"0.{found[7] or 0}")
    has_zone = bool(found["utc"] or found["sign"])
    is_suspect = is_leap_second or not YEAR_MIN <= year <= YEAR_MAX or abs(offset) > OFFSET_USUAL_MAX
    if not has_zone:
        return seconds, (NO_ZONE, CLOCK_SUSPECT)
    return seconds, (CLOCK_SUSPECT,) if is_suspect else ()


def format_timestamp(epoch_s: float) -> str:
    """`2026-11-20T23:40:01.250Z`: UTC, milliseconds. OverflowError outside the years 1 to 9999."""
    moment = _EPOCH + timedelta(milliseconds=round(epoch_s * 1000))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _offset(found: re.Match[str]) -> timedelta | None:
    """How far the text is ahead of UTC; zero without a zone, None when the minutes are no minutes."""
    if not found["sign"]:
        return timedelta()
    hours, minutes = int(found["hours"]), int(found["minutes"] or 0)
    if minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return -offset if found["sign"] == "-" else offset
