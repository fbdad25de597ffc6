"""Frames as people read them.

Rules of this file:
- On a terminal a frame is a head line and its payload as JSON with members below each other, folded to the
  width. In a pipe it is one line, so that grep works.
- What a peer wrote is shown without control characters and never read as markup.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len, chop_cells

from edgegw.cli.tables import USUAL_WIDTH, size
from edgegw.control.frame_models import FrameView
from edgegw.redaction import plain

DEPTH_MAX = 32  # as `wire.json_text`: what is deeper is shown as it came
_WAYS = {
    ("charger", "in"): "charger > box",
    ("charger", "out"): "charger < box",
    ("cloud", "out"): "box > cloud",
    ("cloud", "in"): "box < cloud",
}


def terminal_width() -> int | None:
    """None in a pipe."""
    if not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or USUAL_WIDTH


def shown(frame: FrameView, width: int | None) -> str:
    """`width` None: one line."""
    if width is None:
        return plain(f"{frame.at} {_head(frame)} {frame.text}{_marks(frame)}")
    lines = [f"{frame.at[11:23]} {_head(frame)} {size(frame.size_bytes)}"]
    lines += [f"  {line}" for line in payload_lines(frame.text)]
    lines += [f"  ! {complaint}" for complaint in frame.complaints]
    if frame.missed:
        lines.insert(0, f"({frame.missed} frames are missing here: too many came at once)")
    return "\n".join(folded for line in lines for folded in fold(plain(line), width))


def _head(frame: FrameView) -> str:
    way = _WAYS[frame.leg, frame.direction]
    what = frame.action if frame.kind == "CALL" else f"{frame.action} {frame.kind}".strip()
    return " ".join(filter(None, (f"{frame.charger:<12} {way:<13} {what}", frame.message_id)))


def _marks(frame: FrameView) -> str:
    return "".join(f" ! {complaint}" for complaint in frame.complaints)


def payload_lines(text: str) -> list[str]:
    """The payload of a frame, indented; the text itself where it is no frame. Not `plain` yet."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    if not isinstance(found, list) or len(found) < 3:
        return [text]
    payload = found[3] if found[0] in (2, 6) and len(found) > 3 else found[2]
    if found[0] in (4, 5):
        payload = found[2:]
    return _pretty(payload).split("\n")


def _pretty(value: Any) -> str:
    try:
        short = json.dumps(value, ensure_ascii=False)
        return short if len(short) <= 60 else json.dumps(value, ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return str(value)


def fold(line: str, width: int) -> Iterator[str]:
    """In pieces of at most `width` cells; what follows the first stands below its text."""
    if cell_len(line) <= width:
        yield line
        return
    indent = " " * min(len(line) - len(line.lstrip()) + 2, width // 2)
    first, rest = _cut(line, width)
    yield first
    while rest:
        piece, rest = _cut(rest, width - len(indent))
        yield indent + piece


def _cut(line: str, width: int) -> tuple[str, str]:
    """At the last blank that fits, or in the middle of a word that is too long."""
    if cell_len(line) <= width:
        return line, ""
    head = chop_cells(line, max(2, width))[0]
    blank = head.rstrip().rfind(" ")
    if blank > len(head) - len(head.lstrip()) and blank > len(head) // 2:
        return head[:blank], line[blank + 1 :]
    return head, line[len(head) :]
