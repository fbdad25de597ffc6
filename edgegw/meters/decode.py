"""Registers to values. Pure: no connection, no clock, no opinion about what is plausible.

Rules of this file:
- What is not there is None, never zero: NaN, infinity, the type's "not available" patterns, an absurd ratio.
- A name is in the answer when all its registers were read; None then means that the meter has no value.
- A block never splits a value, never runs over a gap wider than the template allows, and never reads an
  optional point together with another one.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from edgegw.meters.template import FREQUENCY_HZ, WORDS, Identify, Point, ProbeStep, Template

Registers = Mapping[tuple[int, int], int]
"""(function, address) -> 16-bit word."""

EXPONENT_MAX = 10  # SunSpec information model specification: a scale factor is -10..10
FREQUENCY_UNLIKELY_HZ = 100.0  # above it the firmware sends one decimal more than its manual says

_FORMATS = {
    "u16": ">H",
    "i16": ">h",
    "u32": ">I",
    "i32": ">i",
    "u64": ">Q",
    "i64": ">q",
    "f32": ">f",
    "f64": ">d",
}
_SUBNORMAL = {"f32": 2.0**-126, "f64": sys.float_info.min}
_ENCODINGS = {"ascii": "ascii", "utf16": "utf-16-be"}
_SUFFIXES = ("", "_l1", "_l2", "_l3")


class Block(NamedTuple):
    """One read request."""

    function: int
    address: int
    count: int  # type: ignore[assignment]  # registers; hides tuple.count, which nobody needs here


# --- which registers ------------------------------------------------------------------------------


class _Span(NamedTuple):
    optional: bool
    address: int
    end: int  # the first address behind it


def blocks(template: Template, names: Sequence[str]) -> tuple[Block, ...]:
    """The fewest reads that bring `names` and what they need (scale factors, ratios), in address order.

    Names that the template lacks are left out; what only optional points need comes last.
    """
    spans = sorted({span for name in names for span in _spans(template, name)})
    merged: list[_Span] = []
    for span in spans:
        if merged and _fits(template, merged[-1], span):
            merged[-1] = merged[-1]._replace(end=max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return tuple(Block(template.function, span.address, span.end - span.address) for span in merged)


def _fits(template: Template, before: _Span, span: _Span) -> bool:
    return (
        before.optional == span.optional
        and span.address - before.end <= template.gap_max
        and span.end - before.address <= template.max_registers_per_read
    )


def _spans(template: Template, name: str) -> Iterator[_Span]:
    point = template.points.get(name)
    if point is None:
        return
    yield _Span(point.optional, point.address, point.address + point.words)
    if point.scale_from is not None:
        yield _Span(point.optional, point.scale_from, point.scale_from + 1)
    for factor in point.times:
        yield from _spans(template, factor)


# --- values ---------------------------------------------------------------------------------------


def decode(template: Template, registers: Registers) -> dict[str, float | None]:
    """Values in V, A, W, Wh, Hz; import positive. Net power is reckoned where the meter gives import and
    export apart, the total where it gives phases only."""
    values: dict[str, float | None] = {}
    for name, point in template.points.items():
        if _was_read(template, name, registers):
            values[name] = _value(template, name, point, registers)
    _derive(template, values)
    if template.sign == "export_positive":
        values.update({name: _negative(value) for name, value in values.items() if _is_signed(name)})
    return values


def _was_read(template: Template, name: str, registers: Registers) -> bool:
    function = template.function
    return all(
        (function, address) in registers
        for span in _spans(template, name)
        for address in range(span.address, span.end)
    )


def _value(template: Template, name: str, point: Point, registers: Registers) -> float | None:
    number = _raw(template, point, registers)
    factor = _factor(template, point, registers)
    if number is None or factor is None:
        return None
    if name == "frequency":
        return _frequency(number, factor, point)
    return number * point.scale * factor


def _raw(template: Template, point: Point, registers: Registers) -> float | None:
    words = [registers[template.function, point.address + offset] for offset in range(point.words)]
    ordered = words if template.word_order == "big" else words[::-1]
    if len(words) > 1 and ordered[0] == template.missing_high_word:
        return None
    number = number_of(words, point.type, template.word_order)
    return None if number in point.missing else number


def number_of(words: Sequence[int], type: str, word_order: str) -> float | None:
    """The number in `words`; None when they say "not available" or cannot be a measurement.

    All-ones of an unsigned type and both ends of a signed one mean "not available" on every meter known here.
    """
    ordered = words if word_order == "big" else words[::-1]
    data = struct.pack(f">{len(words)}H", *ordered)
    number: float = struct.unpack(_FORMATS[type], data)[0]
    if type[0] == "f":
        # A subnormal number is a sane one with its words swapped: 230.5 then reads as -2.4e-41.
        return number if math.isfinite(number) and (number == 0 or abs(number) >= _SUBNORMAL[type]) else None
    bits = 16 * WORDS[type]
    not_available = {2**bits - 1} if type[0] == "u" else {2 ** (bits - 1) - 1, -(2 ** (bits - 1))}
    return None if number in not_available else number


def _factor(template: Template, point: Point, registers: Registers) -> float | None:
    """Scale factor times ratios; None when one of them is missing, or absurd."""
    factor = 1.0
    if point.scale_from is not None:
        exponent = number_of([registers[template.function, point.scale_from]], "i16", "big")
        if exponent is None or abs(exponent) > EXPONENT_MAX:
            return None
        factor = 10.0**exponent
    for name in point.times:
        ratio = _value(template, name, template.points[name], registers)
        if ratio is None or ratio <= 0:
            return None
        factor *= ratio
    return factor


def _frequency(number: float, factor: float, point: Point) -> float:
    """The scale of a frequency differs between firmware of one meter; what lies within 45..65 Hz is taken."""
    usual = _within_hundred(number * point.scale * factor)
    if point.scale_alt is None or FREQUENCY_HZ[0] <= usual <= FREQUENCY_HZ[1]:
        return usual
    other = _within_hundred(number * point.scale_alt * factor)
    return other if FREQUENCY_HZ[0] <= other <= FREQUENCY_HZ[1] else usual


def _within_hundred(value: float) -> float:
    while value > FREQUENCY_UNLIKELY_HZ:
        value /= 10
    return value


def _derive(template: Template, values: dict[str, float | None]) -> None:
    for suffix in _SUFFIXES:
        if f"power_import{suffix}" in values and f"power_export{suffix}" in values:
            imported, exported = values[f"power_import{suffix}"], values[f"power_export{suffix}"]
            values[f"power{suffix}"] = None if imported is None or exported is None else imported - exported
    for counter in ("import", "export"):
        second = f"{counter}_t2"
        if counter in values and second in template.points:  # a counter for each tariff
            values[counter] = _sum([values[counter], values.get(second)])
    phases = [name for name in ("power_l1", "power_l2", "power_l3") if name in values]
    if phases and "power" not in values and "power" not in template.points:
        values["power"] = _sum([values[name] for name in phases])


def _sum(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _is_signed(name: str) -> bool:
    return name.startswith(("power", "current")) and not name.startswith("power_factor")


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


# --- who is it ------------------------------------------------------------------------------------


def text(words: Sequence[int], encoding: str) -> str:
    """Characters of registers ("ascii" or "utf16"), without the blanks and NULs around them."""
    data = struct.pack(f">{len(words)}H", *words)
    return data.decode(_ENCODINGS[encoding], errors="replace").strip("\0 \t\r\n")


def identity(step: Identify | ProbeStep, words: Sequence[int], word_order: str = "big") -> float | str | None:
    """What the words of an identification say: a text, a number, or None for "not available"."""
    if step.type in _ENCODINGS:
        return text(words, step.type)
    return number_of(words[: WORDS[step.type]], step.type, word_order)


def matches(step: Identify | ProbeStep, words: Sequence[int], word_order: str = "big") -> bool:
    """Whether the words say that it is this meter; False where `step` expects nothing, and for short answers.

    `word_order` is the template's; a ProbeStep brings its own.
    """
    if len(words) != step.count:
        return False
    found = identity(step, words, step.word_order if isinstance(step, ProbeStep) else word_order)
    if found is None:
        return False
    if isinstance(step, Identify):
        return found in step.values or bool(step.prefix and str(found).startswith(step.prefix))
    if step.low is not None and step.high is not None and not isinstance(found, str):
        return step.low <= found <= step.high
    return found in step.values
