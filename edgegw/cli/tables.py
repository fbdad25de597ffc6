"""Tables and words for people.

Rules of this file:
- On a terminal a table fits its width and long cells are folded, never cut. In a pipe every row is one
  line, without colours, so that grep and cut work.
- What peers wrote is shown without control characters and never read as markup.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgegw.redaction import plain

PIPE_WIDTH = 100_000
Cell = str | int | None


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, width: int | None = None) -> str:
    """Text of a table. A column named ">Wh" is right-aligned. `width` None: that of the terminal, if any."""
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        right = column.startswith(">")
        grid.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(_shown(cell)) for cell in row))
    is_terminal = width is None and sys.stdout.isatty()
    console = Console(
        file=io.StringIO(),
        width=None if is_terminal else width or PIPE_WIDTH,
        force_terminal=is_terminal,
        highlight=False,
    )
    with console.capture() as capture:
        console.print(grid)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Label and words, one below the other; pairs without words are left out."""
    return "\n".join(f"{label:<13} {plain(words)}" for label, words in pairs if words)


def _shown(cell: Cell) -> str:
    return "-" if cell is None or cell == "" else plain(str(cell))


def age(time: str | None, now: datetime | None = None) -> str:
    """How long ago an RFC 3339 time was: "12 s", "5 min", "3 h", "2 days"; "" for none."""
    if not time:
        return ""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(time)).total_seconds()
    return span(max(0.0, seconds))


def span(seconds: float) -> str:
    """A length of time in its largest unit that fits twice; people compare, they do not calculate."""
    for name, unit in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def minute(time: str | None) -> str:
    """`2026-11-21 03:44Z`"""
    return f"{time[:10]} {time[11:16]}Z" if time else ""


def size(count: int | None) -> str:
    if count is None:
        return "unknown"
    for name, unit in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
