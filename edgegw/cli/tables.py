"""Tables and words for people.

Rules of this file:
- On a terminal a table fits its width and long cells are folded, never cut; what people copy from it stays
  in one piece where there is room. In a pipe every row is one line, without colours, so that grep and cut
  work.
- What peers wrote is shown without control characters and never read as markup.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgegw.redaction import plain

PIPE_WIDTH = 100_000
USUAL_WIDTH = 80  # of a terminal that does not say
WHOLE_SHARE = 3  # a column takes no more than that part of the width in one piece: others need some too
Cell = str | int | None


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, width: int | None = None) -> str:
    """Text of a table. `width` None: that of the terminal, if any.

    A column named ">Wh" is right-aligned, the cells of one named "=SHA256" are not folded.
    """
    is_terminal = width is None and sys.stdout.isatty()
    console = Console(
        file=io.StringIO(),
        width=_terminal_width() if is_terminal else width or PIPE_WIDTH,
        force_terminal=is_terminal,
        highlight=False,
    )
    lines = [[_shown(cell) for cell in row] for row in rows]
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, column in enumerate(columns):
        head = column.lstrip(">=")
        lengths = [cell_len(head), *(cell_len(line[number]) for line in lines)]
        grid.add_column(
            head,
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            width=_whole(lengths, console.width) if column.startswith("=") else None,
        )
    for line in lines:
        grid.add_row(*(Text(cell) for cell in line))
    with console.capture() as capture:
        console.print(grid)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def _terminal_width() -> int:
    """Of stdout itself: $COLUMNS may be that of another terminal, which this one runs in."""
    return os.get_terminal_size(sys.stdout.fileno()).columns or USUAL_WIDTH


def _whole(lengths: Sequence[int], width: int) -> int | None:
    """Wide enough for those cells that may stay in one piece."""
    return max((length for length in lengths if length <= width // WHOLE_SHARE), default=None)


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


def second(time: str | None) -> str:
    """`2026-11-21 03:44:07Z`"""
    return f"{time[:10]} {time[11:19]}Z" if time else ""


def size(count: int | None) -> str:
    if count is None:
        return "unknown"
    for name, unit in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
