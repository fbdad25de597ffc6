"""JSON as people read it: indented, names in colour, nothing that a terminal would obey. Pure."""

from __future__ import annotations

import json
import re

from rich.text import Text

from edgegw.redaction import plain

CHARACTERS_MAX = 30_000  # of one text; more is cut off, and it is said
ONE_LINE = 60  # characters that need no lines of their own
_NAME = re.compile(r'^(\s*)("(?:[^"\\]|\\.)*"):', re.MULTILINE)


def pretty(raw: str) -> Text:
    """`raw` indented; as it is when it is short, or no JSON (cut off, or never was)."""
    if len(raw) <= ONE_LINE and raw.isprintable():
        return Text(raw)
    try:
        lines = json.dumps(json.loads(raw), indent=2, ensure_ascii=False).split("\n")
    except (ValueError, RecursionError):
        lines = raw.split("\n")
    whole = "\n".join(plain(line) for line in lines)
    text = Text(whole[:CHARACTERS_MAX])
    for found in _NAME.finditer(text.plain):
        text.stylize("cyan", *found.span(2))
    if len(whole) > CHARACTERS_MAX:
        text.append(f"\n... {len(whole) - CHARACTERS_MAX} more characters; the export has them", "yellow")
    return text
