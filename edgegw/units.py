"""Durations and sizes as people write them, and back.

Rules of this file:
- A duration is a float of seconds inside edgegw, a size an int of bytes; text only at the edges.
- Text carries its unit. A bare number is refused: 20 of what?
- Never negative. Whether zero makes sense is the caller's question.
- `format_*` writes what `parse_*` reads back to the same value.
"""

from __future__ import annotations

import re
from decimal import Decimal

SECONDS_PER_UNIT: dict[str, Decimal] = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
    "day": Decimal(86_400),
    "days": Decimal(86_400),
}

BYTES_PER_UNIT: dict[str, int] = {
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}

# Fifteen digits stay exact in a float; more is a typing error.
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)", re.ASCII)

DURATION_ALLOWED = 'a duration such as "500 ms", "20 s", "5 min", "2 h" or "14 days"'
SIZE_ALLOWED = 'a size such as "64 KiB", "512 MiB", "10 MB" or "1 GiB"'


def parse_duration(text: str) -> float:
    """Seconds in "500 ms", "20 s", "5 min", "2 h", "14 days". Raises ValueError saying what is allowed."""
    number, unit = _split(text, DURATION_ALLOWED)
    seconds = SECONDS_PER_UNIT.get(unit)
    if seconds is None:
        raise ValueError(f'unknown unit "{unit}"; {_one_of(SECONDS_PER_UNIT)}')
    return float(number * seconds)


def format_duration(seconds: float) -> str:
    """The shortest text in one unit that `parse_duration` reads back to the same number of seconds."""
    value = Decimal(repr(float(seconds)))
    if value and value < 1:
        return f"{_plain(value * 1000)} ms"
    for unit in ("days", "h", "min"):
        count, rest = divmod(value, SECONDS_PER_UNIT[unit])
        if count and not rest:
            return "1 day" if unit == "days" and count == 1 else f"{_plain(count)} {unit}"
    return f"{_plain(value)} s"


def parse_size(text: str) -> int:
    """Bytes in "4 KiB", "512 MiB", "10 MB", "100 B". Raises ValueError saying what is allowed."""
    number, unit = _split(text, SIZE_ALLOWED)
    factor = BYTES_PER_UNIT.get(unit)
    if factor is None:
        raise ValueError(f'unknown unit "{unit}"; {_one_of(BYTES_PER_UNIT)}')
    count = number * factor
    if count != int(count):
        raise ValueError(f'"{text}" is not a whole number of bytes')
    return int(count)


def format_size(count: int) -> str:
    """The shortest text in one unit that `parse_size` reads back to the same number of bytes."""
    for unit in ("GiB", "GB", "MiB", "MB", "KiB", "kB"):
        whole, rest = divmod(count, BYTES_PER_UNIT[unit])
        if whole and not rest:
            return f"{whole} {unit}"
    return f"{count} B"


def _split(text: str, allowed: str) -> tuple[Decimal, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        hint = "a unit is missing: " if text.isascii() and text.strip().isdigit() else ""
        raise ValueError(f"{hint}write {allowed}")
    return Decimal(match[1]), match[2]


def _one_of(units: dict[str, Decimal] | dict[str, int]) -> str:
    return "known are " + ", ".join(units)


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
