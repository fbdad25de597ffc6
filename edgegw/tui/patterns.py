"""A regular expression that somebody types as a filter, held so that it cannot hang the console.

Rules of this file:
- `re` cannot be stopped and tries everything there is: nothing is compiled of which the tries multiply
  without end. A group is never repeated, there are at most REPEATS_MAX of * + ? { } and CHOICES_MAX of | in
  groups, no look-ahead and no back-reference; and only the first READ_MAX characters of a line are searched.
- All lines together have one as well: who used up BUDGET_S within a second is not asked any more (`Budget`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

REPEATS_MAX, CHOICES_MAX = 2, 3
PATTERN_MAX = 100  # characters
READ_MAX = 200  # characters of one line: about their cube is tried at most
BUDGET_S, BUDGET_PER_S = 0.25, 1.0

INSTEAD = "; several words do as well"

_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\d*,?\d*\}|.", re.DOTALL)
_REPEATS = frozenset("*+?")


class TooMuch(ValueError):
    """What is wrong with a pattern, in words."""


class Budget:
    """Time that patterns take; `over` for good once it was too much. `clock`: seconds, of any beginning."""

    __slots__ = ("_clock", "_since", "_used_s", "over")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._used_s = 0.0
        self.over = False

    def search(self, pattern: re.Pattern[str], text: str) -> bool:
        began = self._clock()
        found = pattern.search(text, 0, READ_MAX) is not None
        ended = self._clock()
        if ended - self._since > BUDGET_PER_S:
            self._since, self._used_s = began, 0.0
        self._used_s += ended - began
        self.over = self.over or self._used_s > BUDGET_S
        return found


def compiled(text: str) -> re.Pattern[str]:
    """Raises TooMuch, also for what is no pattern."""
    complaint = _complaint(text)
    if complaint:
        raise TooMuch(complaint)
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise TooMuch(str(error)) from error


def _complaint(text: str) -> str:
    if len(text) > PATTERN_MAX:
        return f"at most {PATTERN_MAX} characters{INSTEAD}"
    repeats = choices = depth = 0
    before = ""
    for part in _PART.findall(text):
        if (part == "?" and before == "(") or re.fullmatch(r"\\[1-9].*", part):
            return f"no (?...) and no back-references here{INSTEAD}"
        if _is_repeat(part) and before == ")":
            return f"a group ( ) must not be repeated here{INSTEAD}"
        repeats += _is_repeat(part) and not (part == "?" and _is_repeat(before))  # *? is one
        depth += (part == "(") - (part == ")")
        choices += part == "|" and depth > 0
        before = part
    if repeats > REPEATS_MAX:
        return f"at most {REPEATS_MAX} of * + ? {{ }}{INSTEAD}"
    return f"at most {CHOICES_MAX} of | within ( ){INSTEAD}" if choices > CHOICES_MAX else ""


def _is_repeat(part: str) -> bool:
    return part in _REPEATS or (len(part) > 1 and part[0] == "{")
