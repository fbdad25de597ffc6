"""What `/` means: which rows of a table somebody wants to see. Pure, but for how long patterns take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from edgegw.tui.patterns import Budget, TooMuch, compiled
from edgegw.tui.table import Line

L = TypeVar("L", bound=Line)

SLOW = "this pattern takes too long: all is shown; use words"


@dataclass(frozen=True, slots=True)
class Filter:
    """Words that must all be in a row, whatever their case; `!word` must not be; `/text/` is a pattern.

    `complaint` says why a text is not understood: then everything is shown.
    """

    text: str = ""
    wrong: str = ""
    _tests: tuple[Callable[[str], bool], ...] = field(default=(), repr=False, compare=False)
    _budget: Budget | None = field(default=None, repr=False, compare=False)

    @property
    def complaint(self) -> str:
        """It may come while rows are asked for."""
        return SLOW if self._budget is not None and self._budget.over else self.wrong

    def takes(self, text: str) -> bool:
        if not self:
            return True
        folded = text.casefold()
        return all(test(folded) for test in self._tests) or not self

    def rows(self, rows: Iterable[L]) -> list[L]:
        """Those whose cells, joined, are wanted."""
        every = list(rows)
        if not self:
            return every
        wanted = [row for row in every if self.takes(text_of(row))]
        return wanted if self else every

    def __bool__(self) -> bool:
        return bool(self._tests) and not self.complaint


def parse(text: str, clock: Callable[[], float] = time.perf_counter) -> Filter:
    """`clock`: what tells how long patterns take, in seconds."""
    tests: list[Callable[[str], bool]] = []
    budget = Budget(clock)
    for word in text.split():
        wanted, word = not word.startswith("!"), word.removeprefix("!")
        if not word:
            continue
        if len(word) > 2 and word.startswith("/") and word.endswith("/"):
            try:
                pattern = compiled(word[1:-1])  # not folded: \S is not \s
            except TooMuch as why:
                return Filter(text, f"{word}: {why}")
            tests.append(lambda row, p=pattern, w=wanted: budget.search(p, row) is w)  # type: ignore[misc]
        else:
            folded = word.casefold()
            tests.append(lambda row, part=folded, w=wanted: (part in row) is w)  # type: ignore[misc]
    return Filter(text, "", tuple(tests), budget)


def text_of(row: Line) -> str:
    return " ".join(cell if isinstance(cell, str) else cell[0] for cell in row.cells)
