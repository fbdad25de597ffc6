"""What happens when, in a world without a clock: a heap of (time, order, action). Nothing here is real.

Time is seconds since the world began. Actions due at one instant run in the order they were planned.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

Action = Callable[[], None]


class Agenda:
    __slots__ = ("_heap", "_order", "now", "steps")

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self._heap: list[tuple[float, int, Action]] = []
        self._order = 0

    def at(self, when: float, action: Action) -> None:
        self._order += 1
        heappush(self._heap, (max(when, self.now), self._order, action))

    def after(self, delay_s: float, action: Action) -> None:
        self.at(self.now + delay_s, action)

    def next(self, until: float) -> Action | None:
        """The next action due before `until`; the time is then its time. None: `until` has come."""
        if not self._heap or self._heap[0][0] > until:
            self.now = until
            return None
        self.now, _, action = heappop(self._heap)
        self.steps += 1
        return action
