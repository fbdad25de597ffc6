"""How people are told counts, lengths of time and sizes: command line, console and building alike.

Rules of this file:
- People compare, they do not calculate: one unit, the largest that fits twice.
- It is for reading. What is read back again is in `units`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

_SPANS: Final = (("days", "d", 86_400), ("h", "h", 3600), ("min", "m", 60))
_SIZES: Final = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def number(count: int, noun: str) -> str:
    """ "1 message", "2 messages"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def span(seconds: float) -> str:
    """ "12 s", "5 min", "3 h", "2 days"."""
    for unit, _, unit_s in _SPANS:
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def short_span(seconds: float) -> str:
    """ "12s", "5m", "3h", "2d": `span` where a table has five cells for it."""
    for _, sign, unit_s in _SPANS:
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f}{sign}"
    return f"{seconds:.0f}s"


def seconds_since(time: str, now: datetime) -> float:
    """Of an RFC 3339 time; 0 for one that is still to come, as clocks differ."""
    return max(0.0, (now - datetime.fromisoformat(time)).total_seconds())


def size(count: float | None) -> str:
    """ "512 B", "1.5 MiB"; "unknown" for None."""
    if count is None:
        return "unknown"
    for unit, unit_bytes in _SIZES:
        if count >= unit_bytes:
            return f"{count / unit_bytes:.1f} {unit}"
    return f"{count:.0f} B"
