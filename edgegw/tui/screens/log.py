"""Log: the newest lines of the gateway's log, and what comes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from edgegw.control.client import ControlFault
from edgegw.control.live_models import LevelName, LogLine, LogLines, Snapshot
from edgegw.tui.listing import or_fault
from edgegw.tui.log_words import COLUMNS, about, is_at_least, key_of, next_level, row_of
from edgegw.tui.tail_screen import TailScreen
from edgegw.tui.tailing import KEPT_MAX, Tail

PAGE = 500
FAULT: LevelName = "warning"  # from here on it is a fault


class LogScreen(TailScreen):
    NAME = "Log"
    ABOUT = """
What the gateway writes into its log, the newest at the bottom; it
keeps the last 2,000 lines. Passwords and card ids are left out. l
chooses from which level on; enter shows a line in full.
"""
    HAS_FILTER = True
    HAS_FAULTS_ONLY = True
    COLUMNS = COLUMNS
    EMPTY = "no line yet; what the gateway writes from now on comes here"
    THINGS = "line"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("l", "level", "Level")]

    def __init__(self) -> None:
        super().__init__()
        self.level: LevelName = "info"
        self._lines: dict[str, LogLine] = {}

    @property
    def marks(self) -> tuple[str, ...]:
        return (f"{self.level} and worse" if self.level != "debug" else "all levels", *super().marks)

    def make_tail(self) -> Tail[LogLine]:
        return Tail(lambda: self.console.where.live(), lambda live: live.log(), self.begin)

    def ask_newest(self) -> None:
        self.ask(or_fault(lambda client: client.log(limit=PAGE)), self._got_newest, group="newest")

    def _got_newest(self, page: LogLines | ControlFault) -> None:
        if self.answered(page) and not self.paused:
            assert isinstance(page, LogLines)
            self._keep(page.lines)

    def took(self, items: list[Any], overflowed: bool) -> None:
        if overflowed:
            self.ask_newest()
        self._keep(items)

    def _keep(self, lines: Iterable[LogLine]) -> None:
        """Each once, by time and number."""
        fresh = {key_of(line): line for line in lines}
        self._lines |= fresh
        places = [_place(line) for line in self._lines.values()]
        if any(one > other for one, other in pairwise(places)):
            self._lines = {key_of(line): line for line in sorted(self._lines.values(), key=_place)}
        for key in list(self._lines)[:-KEPT_MAX]:
            del self._lines[key]
        self.redraw()

    def show(self, snapshot: Snapshot) -> None:
        wanted = (line for line in self._lines.values() if is_at_least(line, self._least))
        self.list_rows([row_of(line) for line in wanted])

    @property
    def _least(self) -> LevelName:
        return FAULT if self.faults_only and self.level in ("debug", "info") else self.level

    def about(self, key: str) -> Text:
        line = self._lines.get(key)
        return about(line) if line is not None else Text()

    def title_of(self, key: str) -> str:
        line = self._lines.get(key)
        return line.logger if line is not None else key

    def action_level(self) -> None:
        self.level = next_level(self.level)
        self.redraw()


def _place(line: LogLine) -> tuple[str, int]:
    return line.at, line.n
