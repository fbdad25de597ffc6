"""What a page may say to its console: keys, the size of its terminal, and whether it is looked at. Pure.

Rules of this file: a visitor has the token and is believed no further. What makes no sense is None and costs
nothing: no traceback, no console that draws a terminal of a million lines.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal, NamedTuple

SIDE_MAX: Final = 1_000  # cells; a wall of screens has fewer
PING_MAX: Final = 40  # characters
TYPED_MAX: Final = 8_192  # characters at once: what is pasted by mistake is cut


class Typed(NamedTuple):
    text: bytes


class Resized(NamedTuple):
    width: int
    height: int


class Ping(NamedTuple):
    word: str  # the page wants it back


Said = Typed | Resized | Ping | Literal["blur", "focus"] | None


def read(raw: str) -> Said:
    try:
        given = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, list) or not given:
        return None
    kind, about = given[0], given[1] if len(given) > 1 else None
    if kind == "stdin" and isinstance(about, str):
        return Typed(about[:TYPED_MAX].encode("utf-8", "ignore"))
    if kind == "resize" and isinstance(about, dict):
        return _size(about.get("width"), about.get("height"))
    if kind == "ping":
        return Ping(about[:PING_MAX] if isinstance(about, str) else "")
    if kind == "blur":
        return "blur"
    return "focus" if kind == "focus" else None


def _size(width: Any, height: Any) -> Resized | None:
    """One that is hidden has no cells: that is no news."""
    if type(width) is not int or type(height) is not int:
        return None
    if not (1 <= width <= SIDE_MAX and 1 <= height <= SIDE_MAX):
        return None
    return Resized(width, height)


def is_size(text: str) -> bool:
    """Of an address."""
    return text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= SIDE_MAX
