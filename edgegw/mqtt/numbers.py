"""Numbers, times and texts as they stand in payloads: finite, rounded, short, no secrets; None for what
nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from edgegw.core.records import TransactionRecord
from edgegw.mqtt.payloads import PhaseValues
from edgegw.redaction import plain, redact
from edgegw.wire.timestamps import format_timestamp

TEXT_MAX = 400  # characters of a text that a charger, a cloud or a library wrote
WALL_MAX_S = 253_402_300_799.0  # the end of the year 9999


def rounded(value: float | None, digits: int = 1) -> float | None:
    if value is None or not isfinite(value):
        return None
    return round(value, digits) + 0.0  # -0.0 is none


def whole(value: float | None) -> int | None:
    return None if value is None or not isfinite(value) else round(value)


def phases(values: Iterable[float | None] | None) -> PhaseValues:
    """As a triple, whatever is missing None."""
    if values is None:
        return None, None, None
    return _triple(rounded(value) for value in values)


def watts(values: Iterable[float | None]) -> PhaseValues:
    """`phases`, whole numbers."""
    return _triple(whole(value) for value in values)


def _triple(values: Iterable[float | None]) -> PhaseValues:
    first, second, third = [*values, None, None, None][:3]
    return first, second, third


def lowest(values: Iterable[float | None]) -> float | None:
    """The lowest finite one, rounded."""
    known = [value for value in values if value is not None and isfinite(value)]
    return rounded(min(known)) if known else None


def utc(wall_s: float | None) -> str | None:
    """RFC 3339; None for never (None, 0) and for what is no time."""
    if not wall_s or not 0.0 < wall_s < WALL_MAX_S:
        return None
    return format_timestamp(wall_s)


def energy_wh(record: TransactionRecord) -> int | None:
    """None while a reading is missing, or when they run backwards: then it is not known."""
    end_wh = record.meter_stop_wh if record.meter_stop_wh is not None else record.meter_last_wh
    if end_wh is None or record.meter_start_wh is None or end_wh < record.meter_start_wh:
        return None
    return end_wh - record.meter_start_wh


def clipped(text: str) -> str:
    """As anybody on the broker may read it."""
    text = plain(redact(text))
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"
