"""The site's replay rate: how many stored messages per second reach the cloud, over all chargers.

Two rules make a grant wait: the even pace (which may catch up after a late timer) and the window (which
never holds more than the rate, however late a timer was). The window is a little longer than it need be,
because what leaves here evenly may arrive a few milliseconds closer together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from edgegw.runtime import clock

WINDOW_MARGIN = 1.02


class ReplayRate:
    """Grants one message at a time, first come first served, never faster than `per_second`.

    A charger has one message on its way at a time, so the queue is as long as there are chargers.
    """

    def __init__(self, per_second: float) -> None:
        """0: unlimited."""
        self._gap_s = 1.0 / per_second if per_second > 0 else 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        # The last grants, as many as may fall into one window; mono.
        self._granted: deque[float] = deque(maxlen=max(1, int(per_second)))
        self._window_s = self._gap_s * max(1, int(per_second)) * WINDOW_MARGIN
        self._next_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, grant: Callable[[], None]) -> None:
        """Who waits already keeps its place: a leg that flaps must not take the others' share."""
        if grant in self._waiting:
            return
        self._waiting.append(grant)
        if self._timer is None:
            self._arm()

    def _due_at(self) -> float:
        if len(self._granted) < (self._granted.maxlen or 1):
            return self._next_at
        return max(self._next_at, self._granted[0] + self._window_s)

    def _arm(self) -> None:
        # Through the loop even when free: a grant must not run inside the decision that asked for it.
        wait_s = max(0.0, self._due_at() - clock.now().mono)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._grant)

    def _grant(self) -> None:
        self._timer = None
        now = clock.now().mono
        if now < self._due_at():  # the loop counts from when this turn of it began, and in whole ms
            self._arm()
            return
        grant = self._waiting.popleft()
        self._next_at = max(self._next_at, now - self._gap_s) + self._gap_s
        self._granted.append(now)
        if self._waiting:
            self._arm()
        grant()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
