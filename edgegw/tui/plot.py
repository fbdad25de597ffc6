"""Lines over time, drawn with the dots of a terminal: a pure `draw`, and the widget that shows it.

Rules of this file:
- A curve may have holes: where a value is None, or none came for longer than `gap`.
- A sign stands beside every colour: each curve's own at its right end.
- Where several points fall on one dot the highest counts: a peak is never drawn away.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.widget import Widget

LEFT, RIGHT = 6, 6  # cells for the scale, and for the signs
STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


@dataclass(frozen=True, slots=True)
class Dots:
    """What one cell can show: `glyphs` by the bits of its dots."""

    wide: int
    high: int
    bits: tuple[tuple[int, ...], ...]  # by row, then column
    glyphs: str

    def __getitem__(self, bits: int) -> str:
        return self.glyphs[bits]


BRAILLE = Dots(
    2,
    4,
    ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80)),
    " " + "".join(chr(0x2800 + bits) for bits in range(1, 256)),
)
BLOCKS = Dots(1, 2, ((1,), (2,)), " ▀▄█")  # in every font of the kernel's own console


def dots_of(term: str | None = None) -> Dots:
    """`term`: as in $TERM; the kernel's console has no Braille in its fonts."""
    return BLOCKS if (term if term is not None else os.environ.get("TERM", "")) == "linux" else BRAILLE


@dataclass(frozen=True, slots=True)
class Curve:
    """`points`: (x, value), x rising. `sign`: one character. `dashed`: as limits are."""

    sign: str
    style: str
    points: Sequence[tuple[float, float | None]]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """What part of the world is drawn; `labels`: under the left end, the middle and the right end."""

    x_from: float
    x_to: float
    gap: float = math.inf
    labels: tuple[str, str, str] = ("", "", "")


class _Canvas:
    """Cells of dots; y counts dots from the bottom."""

    def __init__(self, columns: int, rows: int, dots: Dots) -> None:
        self.dots = dots
        self.columns, self.rows = columns, rows
        self.wide, self.high = columns * dots.wide, rows * dots.high
        self._bits = [[0] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]

    def rise(self, x: int, low: int, high: int, style: str) -> None:
        """Dots of one column, both ends included."""
        column, in_cell = divmod(x, self.dots.wide)
        for y in range(max(0, low), min(self.high - 1, high) + 1):
            row, from_top = divmod(self.high - 1 - y, self.dots.high)
            self._bits[row][column] |= self.dots.bits[from_top][in_cell]
            self._styles[row][column] = style

    def onto(self, text: Text, row: int) -> None:
        begin, bits, styles = 0, self._bits[row], self._styles[row]
        for column in range(1, self.columns + 1):
            if column == self.columns or styles[column] != styles[begin]:
                text.append("".join(self.dots[one] for one in bits[begin:column]), styles[begin])
                begin = column


def draw(curves: Sequence[Curve], frame: Frame, width: int, height: int, dots: Dots = BRAILLE) -> list[Text]:
    """`height` lines of `width` cells; later curves lie above earlier ones. Too small for a plot: empty."""
    columns, rows = width - LEFT - RIGHT, height - 1
    if columns < 4 or rows < 2 or frame.x_to <= frame.x_from:
        return [Text(" " * max(0, width)) for _ in range(height)]
    low, high = scale_of(curves)
    canvas = _Canvas(columns, rows, dots)
    ends = [""] * rows
    for curve in curves:
        end = _trace(canvas, curve, frame, low, high)
        if end is not None:
            row = (canvas.high - 1 - end) // dots.high
            ends[row] += curve.sign
    return [*_rows(canvas, ends, curves, low, high), _under(frame.labels, width)]


def _trace(canvas: _Canvas, curve: Curve, frame: Frame, low: float, high: float) -> int | None:
    """Draw one curve; the height of its last dot when it reaches the right end."""
    before: int | None = None
    for x, value in enumerate(_columns(curve, frame, canvas.wide)):
        if value is None:
            before = None
            continue
        y = round((value - low) / (high - low) * (canvas.high - 1))
        y = max(0, min(canvas.high - 1, y))
        if not curve.dashed or x % 6 < 3:
            begin = y if before is None else before + (before < y) - (before > y)
            canvas.rise(x, min(begin, y), max(begin, y), curve.style)
        before = y
    return before


def _columns(curve: Curve, frame: Frame, count: int) -> list[float | None]:
    """The highest value in each column of dots; short holes are filled with the value before them."""
    found: list[float | None] = [None] * count
    per_column = (frame.x_to - frame.x_from) / count
    last_x: float | None = None
    last_column = 0
    last_value = 0.0
    for x, value in curve.points:
        if value is None or not math.isfinite(value):
            last_x = None
            continue
        column = min(count - 1, int((x - frame.x_from) / per_column)) if x <= frame.x_to else count
        if 0 <= column < count:
            there = found[column]
            found[column] = value if there is None else max(there, value)
        if last_x is not None and x - last_x <= frame.gap:
            for hole in range(max(0, last_column + 1), min(column, count)):
                found[hole] = last_value
        last_x, last_column, last_value = x, column, value
    if last_x is not None and frame.x_to - last_x <= frame.gap:
        for hole in range(max(0, last_column + 1), count):
            found[hole] = last_value
    return found


def scale_of(curves: Sequence[Curve]) -> tuple[float, float]:
    """From where to where: 0 is always in it, and the ends are round numbers."""
    values = [
        value for curve in curves for _, value in curve.points if value is not None and math.isfinite(value)
    ]
    high, low = max(values, default=0.0), min(values, default=0.0)
    return -_round_up(-low) if low < 0 else 0.0, _round_up(high) if high > 0 else 1.0


def _round_up(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    return next(step * decade for step in STEPS if step * decade >= value * 0.999)


def _rows(canvas: _Canvas, ends: list[str], curves: Sequence[Curve], low: float, high: float) -> list[Text]:
    lines = []
    for row in range(canvas.rows):
        text = Text(f"{_label(row, canvas.rows, low, high):>{LEFT - 2}} ┤", "dim", no_wrap=True)
        text = Text("", no_wrap=True).append_text(text)
        canvas.onto(text, row)
        text.append(" ")
        text.append_text(_signs(ends[row], curves))
        lines.append(text)
    return lines


def _signs(ended: str, curves: Sequence[Curve]) -> Text:
    """Who ends in this row: "-L123". Phases without their L beside a scale in amps would read as amps."""
    text = Text(no_wrap=True)
    for sign in ended:
        if sign.isdigit() and "L" not in text.plain:
            text.append("L", "dim")
        text.append(sign, next(curve.style for curve in curves if curve.sign == sign))
    text.truncate(RIGHT - 1, pad=True)
    return text


def _label(row: int, rows: int, low: float, high: float) -> str:
    marked = {0, rows - 1} | ({(rows - 1) // 2} if rows >= 5 else set())
    if row not in marked:
        return ""
    return f"{high - (high - low) * row / (rows - 1):.4g}"[: LEFT - 2]


def _under(labels: tuple[str, str, str], width: int) -> Text:
    room = width - LEFT - RIGHT
    left, middle, right = labels
    if len(left) + len(middle) + len(right) + 4 > room:
        middle = ""
    line = f"{left:<{room}}"
    at = (room - len(middle)) // 2
    line = line[:at] + middle + line[at + len(middle) :]
    line = line[: max(0, room - len(right))] + right
    return Text(" " * LEFT + line[:room] + " " * RIGHT, "dim", no_wrap=True)


class Plot(Widget):
    """Give it curves with `show`."""

    DEFAULT_CSS = "Plot { height: 1fr; }"
    HELP = (
        "Amps (or kW) of each phase over time. L1, L2, L3 stand at the right end where they are now, L123"
        " when all three are there; - is the limit."
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._dots = dots_of()
        self._shown: tuple[Sequence[Curve], Frame, str] = ((), Frame(0.0, 0.0), "")

    def show(self, curves: Sequence[Curve], frame: Frame, instead: str = "") -> None:
        """`instead`: a text when there is nothing to draw, or why."""
        if (curves, frame, instead) != self._shown:
            self._shown = (curves, frame, instead)
            self.refresh()

    def render(self) -> Text:
        curves, frame, instead = self._shown
        if instead:
            return Text(instead)
        return Text("\n", no_wrap=True).join(
            draw(curves, frame, self.size.width, self.size.height, self._dots)
        )
