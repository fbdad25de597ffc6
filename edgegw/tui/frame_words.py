"""One OCPP frame as a line of the list, and as a text to read. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from rich.text import Text

from edgegw.control.frame_models import FrameView
from edgegw.redaction import plain
from edgegw.tui.json_text import pretty
from edgegw.tui.table import Cell, Column, Row
from edgegw.tui.words import number

TEXT_SHOWN_MAX = 300  # characters of a frame in its line

COLUMNS = (
    Column("", 1),
    Column("TIME", 12),
    Column("CHARGER", 8, 1),
    Column("WAY", 8),
    Column("KIND", 6),
    Column("ACTION", 18, 1),
    Column("BYTES", 6, right=True, rank=2),
    Column("CONTENT", 20, 4, rank=1),
)

# Whoever reads this thinks of the charger, the box and the cloud, not of in and out.
_WAYS = {
    ("charger", "in"): "CP > box",
    ("charger", "out"): "box > CP",
    ("cloud", "in"): "cl > box",
    ("cloud", "out"): "box > cl",
}
_WAYS_IN_WORDS = {
    ("charger", "in"): "charger to box",
    ("charger", "out"): "box to charger",
    ("cloud", "in"): "cloud to box",
    ("cloud", "out"): "box to cloud",
}
_KINDS = {
    "CALL": "CALL",
    "CALLRESULT": "result",
    "CALLERROR": "ERROR",
    "CALLRESULTERROR": "ERROR",
    "SEND": "SEND",
    "bad": "BAD",
}
_HEAD = re.compile(
    r'\s*\[\s*(?:[26]\s*,\s*"(?:[^"\\]|\\.)*"\s*,\s*"(?:[^"\\]|\\.)*"|[345]\s*,\s*"(?:[^"\\]|\\.)*")\s*,\s*'
)
_FAULTS = ("CALLERROR", "CALLRESULTERROR", "bad")


def key_of(frame: FrameView) -> str:
    return str(frame.n)


def is_fault(frame: FrameView) -> bool:
    return frame.kind in _FAULTS or bool(frame.complaints)


def row_of(frame: FrameView) -> Row:
    style = "red" if frame.kind in _FAULTS else "yellow" if frame.complaints else ""
    text = plain(payload_of(frame.text[:TEXT_SHOWN_MAX]))
    if frame.missed:
        text = f"({number(frame.missed, 'message')} before this one are not shown) {text}"
    cells: tuple[Cell, ...] = (
        (_sign(frame), style),
        frame.at[11:23].rstrip("Z"),
        plain(frame.charger),
        (_WAYS[frame.leg, frame.direction], "cyan" if frame.leg == "cloud" else ""),
        (_KINDS[frame.kind], style),
        (plain(frame.action) or "-", style),
        str(frame.size_bytes),
        text,
    )
    return Row(key_of(frame), cells)


def payload_of(text: str) -> str:
    """What the other columns do not say: the frame without its type, its id, its action and its brackets."""
    head = _HEAD.match(text)
    return text[head.end() :].removesuffix("]") if head is not None else text


def _sign(frame: FrameView) -> str:
    return "x" if frame.kind in _FAULTS else "!" if frame.complaints else " "


def searched(frame: FrameView, row: Row) -> str:
    """What the filter looks at: the line and the whole frame."""
    cells = " ".join(cell if isinstance(cell, str) else cell[0] for cell in row.cells[:-1])
    complaints = " ".join(frame.complaints)
    return f"{cells} {frame.kind} {frame.message_id} {complaints} {frame.text}"


def pair_of(frame: FrameView, held: Iterable[FrameView]) -> FrameView | None:
    """The answer to a CALL, or the CALL of an answer, on the same connection."""
    if not frame.message_id or frame.kind in ("bad", "SEND"):
        return None
    mine = (frame.charger, frame.leg, frame.message_id)
    for other in held:
        is_pair = (other.charger, other.leg, other.message_id) == mine and other.n != frame.n
        if is_pair and (other.kind == "CALL") is not (frame.kind == "CALL"):
            return other
    return None


def about(frame: FrameView, pair: FrameView | None = None) -> Text:
    """What is wrong with it comes first; `pair` as `pair_of` gives it."""
    text = Text()
    for complaint in frame.complaints:
        text.append(f"! does not fit its schema: {plain(complaint)}\n", "yellow")
    if frame.kind == "bad":
        text.append("x no OCPP frame: it was refused and went no further\n", "red")
    text.append(f"{plain(frame.action) or 'unknown action'}, {frame.kind}", "bold")
    way = _WAYS_IN_WORDS[frame.leg, frame.direction]
    text.append(f"  {way}, {frame.at[11:23].rstrip('Z')}Z, {frame.size_bytes} bytes\n", "dim")
    text.append(pretty(frame.text))
    if pair is not None:
        text.append("\n")
        text.append(_pair_words(frame, pair), "bold")
        text.append("\n").append(pretty(pair.text))
    return text


def _pair_words(frame: FrameView, pair: FrameView) -> str:
    """When the numbers are of another time, a message id was used twice: then nothing is said of the time."""
    call, answer = (pair, frame) if pair.kind == "CALL" else (frame, pair)
    after = datetime.fromisoformat(answer.at) - datetime.fromisoformat(call.at)
    took = f" after {after.total_seconds() * 1000:.0f} ms" if call.n < answer.n else ""
    return f"answers{took} this:" if answer is frame else f"was answered{took} with {_KINDS[answer.kind]}:"
