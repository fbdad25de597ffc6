"""One line of the gateway's log as a line of the list, and as a text to read. Pure."""

from __future__ import annotations

from rich.text import Text

from edgegw.control.live_models import LevelName, LogLine
from edgegw.redaction import plain
from edgegw.tui.table import Column, Row

COLUMNS = (
    Column("", 1),
    Column("TIME", 8),
    Column("LEVEL", 8, rank=1),
    Column("WHERE", 14, 1, rank=2),
    Column("TEXT", 48, 6),
)
LEVELS: tuple[LevelName, ...] = ("debug", "info", "warning", "error", "critical")
_SIGNS: dict[LevelName, tuple[str, str]] = {
    "debug": (".", "dim"),
    "info": (" ", ""),
    "warning": ("!", "yellow"),
    "error": ("x", "bold red"),
    "critical": ("X", "bold white on red"),
}


def key_of(line: LogLine) -> str:
    """Numbers begin anew with the gateway."""
    return f"{line.at} {line.n}"


def is_at_least(line: LogLine, level: LevelName) -> bool:
    return LEVELS.index(line.level) >= LEVELS.index(level)


def next_level(level: LevelName) -> LevelName:
    """One more strict; after "error" everything again."""
    order: tuple[LevelName, ...] = ("debug", "info", "warning", "error")
    return order[(order.index(level) + 1) % len(order)] if level in order else "debug"


def row_of(line: LogLine) -> Row:
    sign, style = _SIGNS[line.level]
    where = plain(line.logger.removeprefix("edgegw."))
    cells = ((sign, style), line.at[11:19], (line.level, style), where, (plain(line.text), style))
    return Row(key_of(line), cells)


def about(line: LogLine) -> Text:
    sign, style = _SIGNS[line.level]
    text = Text()
    text.append(f"{sign} {line.level}".strip(), style)
    text.append(f"  {line.at}  {plain(line.logger)}\n", "dim")
    return text.append("\n".join(plain(part) for part in line.text.split("\n")))
