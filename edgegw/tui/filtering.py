"""What `/` means: which rows of a table somebody wants to see. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from edgegw.tui.table import Line

L = TypeVar("L", bound=Line)


@dataclass(frozen=True, slots=True)
class Filter:
    """Words that must all be in a row, whatever their case; `!word` must not be; `/text/` is a pattern.

    `complaint` says why a text is not understood: then everything is shown.
    """

    text: str = ""
    complaint: str = ""
    _tests: tuple[Callable[[str], bool], ...] = field(default=(), repr=False, compare=False)

    def takes(self, text: str) -> bool:
        folded = text.casefold()
        return all(test(folded) for test in self._tests)

    def rows(self, rows: Iterable[L]) -> list[L]:
        """Those whose cells, joined, are wanted."""
        return list(rows) if not self._tests else [row for row in rows if self.takes(text_of(row))]

    def __bool__(self) -> bool:
        return bool(self._tests)


def parse(text: str) -> Filter:
    tests: list[Callable[[str], bool]] = []
    for word in text.split():
        wanted, word = not word.startswith("!"), word.removeprefix("!")
        if not word:
            continue
        if len(word) > 2 and word.startswith("/") and word.endswith("/"):
            try:
                pattern = re.compile(word[1:-1], re.IGNORECASE)  # not folded: \S is not \s
            except re.error as error:
                return Filter(text, f"{word}: {error}")
            tests.append(lambda row, p=pattern, w=wanted: (p.search(row) is not None) is w)  # type: ignore[misc]
        else:
            folded = word.casefold()
            tests.append(lambda row, part=folded, w=wanted: (part in row) is w)  # type: ignore[misc]
    return Filter(text, "", tuple(tests))


def text_of(row: Line) -> str:
    return " ".join(cell if isinstance(cell, str) else cell[0] for cell in row.cells)
