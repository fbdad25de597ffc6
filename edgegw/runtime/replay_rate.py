"""The site's replay rate: how many stored messages per second reach the cloud, over all chargers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class ReplayRate:
    """Grants one message at a time, first come first served, never faster than `per_second`.

    A charger has one message on its way at a time, so the queue is as long as there are chargers.
    """

    def __init__(self, per_second: float) -> None:
        """0: unlimited."""
        self._gap_s = 1.0 / per_second if per_second > 0 else 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._next_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, grant: Callable[[], None]) -> None:
        self._waiting.append(grant)
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        # Through the loop even when free: a grant must not run inside the decision that asked for it.
        self._timer = loop.call_at(max(loop.time(), self._next_at), self._grant)

    def _grant(self) -> None:
        self._timer = None
        grant = self._waiting.popleft()
        self._next_at = max(self._next_at, asyncio.get_running_loop().time() - self._gap_s) + self._gap_s
        if self._waiting:
            self._arm()
        grant()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
