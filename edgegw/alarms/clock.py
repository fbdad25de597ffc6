"""What is wrong with the wall clock. The rules of `alarms.conditions` hold here too."""

from __future__ import annotations

from collections.abc import Iterator

from edgegw.core.alarms import Condition
from edgegw.core.events import Instant
from edgegw.wording import span

STEP_S = 5.0  # a time service moves a clock slowly; less than this disturbs no record
STEP_HOLD_S = 60.0  # what is told of a jump; how long it stays stands in the catalogue


class ClockEyes:
    """Compares both clocks from look to look."""

    def __init__(self) -> None:
        self._before: Instant | None = None
        self._stepped_at = float("-inf")  # mono
        self._text = ""

    def look(self, now: Instant) -> Iterator[Condition]:
        before, self._before = self._before, now
        if not now.trusted:
            yield Condition(code="clock_not_set", text="the clock of this box is not set")
        elif before is not None and before.trusted:
            step_s = (now.wall - before.wall) - (now.mono - before.mono)
            if abs(step_s) >= STEP_S:
                self._stepped_at, self._text = now.mono, _words(step_s)
        if now.mono - self._stepped_at < STEP_HOLD_S:
            yield Condition(code="clock_stepped", text=self._text)


def _words(step_s: float) -> str:
    return f"the clock of this box was set {'forward' if step_s > 0 else 'back'} by {span(abs(step_s))}"
