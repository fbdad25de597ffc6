"""Tables and words for people.

Rules of this file:
- On a terminal a table fits its width and long cells are folded between words, never cut; inside a word only
  where there is no room for it. What people copy from it stays in one piece where there is room. Lines are
  folded by the same rule (`fit`). In a pipe every row is one line, without colours: grep and cut work.
- What peers wrote is shown without control characters and never read as markup.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgegw.redaction import plain
from edgegw.wording import number as number
from edgegw.wording import seconds_since
from edgegw.wording import size as size
from edgegw.wording import span as span

PIPE_WIDTH = 100_000
USUAL_WIDTH = 80  # of a terminal that does not say
GAP = 2  # between columns
WHOLE_SHARE = 3  # a column takes no more than that part of the width in one piece: others need some too
Cell = str | int | None
_LABELLED = re.compile(r" *\S+(?: \S+)*? {2,}")  # a first column and the gap behind it
_INDENTED = re.compile(r" *(?:- |-> )?")  # and the mark of a list


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
    grid = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    cells = [[head.lstrip(">="), *(line[n] for line in lines)] for n, head in enumerate(columns)]
    widths = _widths(columns, cells, console.width)
    for column, width_of in zip(columns, widths, strict=True):
        grid.add_column(
            column.lstrip(">="),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            width=width_of,
        )
    for line in lines:
        grid.add_row(*(Text(cell) for cell in line))
    with console.capture() as capture:
        console.print(grid)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def _terminal_width() -> int:
    """Of stdout itself: $COLUMNS may be that of another terminal, which this one runs in."""
    return os.get_terminal_size(sys.stdout.fileno()).columns or USUAL_WIDTH


def _widths(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """Of every column: all of it where there is room, else its longest word, and the rest shared out."""
    lengths = [[cell_len(cell) for cell in column] for column in cells]
    wanted = [max(column) for column in lengths]
    room = width - GAP * (len(columns) - 1)
    if sum(wanted) <= room:
        return wanted
    least = _least(columns, cells, lengths, width)
    widths = [n if head.startswith("=") else 1 for head, n in zip(columns, least, strict=True)]
    for goal in (least, wanted):
        _share_out(widths, goal, room)
    return widths


def _least(
    columns: Sequence[str], cells: Sequence[Sequence[str]], lengths: Sequence[Sequence[int]], width: int
) -> list[int]:
    """How narrow each column should stay: its longest word, or cell if it is not folded; within limits."""
    most = width // WHOLE_SHARE
    least = []
    for head, column, cell_lengths in zip(columns, cells, lengths, strict=True):
        words = [cell_len(word) for cell in column for word in cell.split()]
        whole = [n for n in cell_lengths if n <= most] if head.startswith("=") else []
        least.append(max([*whole, *(min(n, most) for n in words), 1]))
    return least


def _share_out(widths: list[int], wanted: Sequence[int], room: int) -> None:
    """Widen towards `wanted`, those that want least first, as far as there is room."""
    left = room - sum(widths)
    waiting = sorted(range(len(widths)), key=lambda n: wanted[n] - widths[n])
    for place, column in enumerate(waiting):
        more = max(0, min(wanted[column] - widths[column], left // (len(waiting) - place)))
        widths[column] += more
        left -= more


# --- lines ----------------------------------------------------------------------------------------


def fit(text: str, *, width: int | None = None, err: bool = False) -> str:
    """Long lines folded between words, each below where its words began. `width` None: that of the terminal.

    In a pipe, and what is coloured, stays as it is: tables fit already. `err`: it goes to stderr.
    """
    if width is None:
        stream = sys.stderr if err else sys.stdout
        if not stream.isatty():
            return text
        width = os.get_terminal_size(stream.fileno()).columns or USUAL_WIDTH
    return "\n".join(_folded(line, width) for line in text.split("\n"))


def _folded(line: str, width: int) -> str:
    if cell_len(line) <= width or "\x1b" in line:
        return line
    label, plainly = _LABELLED.match(line), _INDENTED.match(line)
    assert plainly is not None, "it matches anything"
    indent = label.end() if label is not None and label.end() <= width // 2 else plainly.end()
    lines = [line[:indent]]
    for word in line[indent:].split(" "):
        gap = " " if len(lines[-1]) > indent else ""
        if cell_len(lines[-1]) + len(gap) + cell_len(word) > width and len(lines[-1]) > indent:
            lines.append(" " * indent)
            gap = ""
        lines[-1] += gap + word
    return "\n".join(lines)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Label and words, one below the other; pairs without words are left out."""
    return "\n".join(f"{label:<13} {plain(words)}" for label, words in pairs if words)


def _shown(cell: Cell) -> str:
    return "-" if cell is None or cell == "" else plain(str(cell))


def age(time: str | None, now: datetime | None = None) -> str:
    """How long ago an RFC 3339 time was: "12 s", "5 min", "3 h", "2 days"; "" for none."""
    if not time:
        return ""
    return span(seconds_since(time, now or datetime.now(UTC)))


def minute(time: str | None) -> str:
    """`2026-11-21 03:44Z`"""
    return f"{time[:10]} {time[11:16]}Z" if time else ""


def second(time: str | None) -> str:
    """`2026-11-21 03:44:07Z`"""
    return f"{time[:10]} {time[11:19]}Z" if time else ""
