"""How slow a peer may be: the lowest average rate over a window (curl calls it the low-speed limit).

Rules of this file:
- A peer has patience for one window. Every second it is waited for costs one; every `rate_min` bytes earn
  one back, never more than the window holds. So who stands still, who drips a byte just inside every
  time-out and who sends much that is no file all end after one window.
- Only waiting for the peer counts, not our throttle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class TooSlow(TimeoutError):
    """The peer was slower than the lowest average rate."""


class Pace:
    """The patience with one peer during one transfer."""

    def __init__(self, rate_min_bytes_per_s: float, window_s: float) -> None:
        self._rate_min_bytes_per_s = rate_min_bytes_per_s
        self._window_s = window_s
        self.left_s = window_s

    async def of(self, peer: Awaitable[T]) -> T:
        """Wait for the peer. Raises TooSlow."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(max(0.0, self.left_s)) as limit:
                return await peer
        except TimeoutError:
            if not limit.expired():
                raise
            raise TooSlow(self._words()) from None
        finally:
            self.left_s -= clock() - began

    def moved(self, size_bytes: int) -> None:
        earned_s = size_bytes / self._rate_min_bytes_per_s
        self.left_s = min(self._window_s, self.left_s + earned_s)

    def _words(self) -> str:
        rate = self._rate_min_bytes_per_s / 1000
        return f"too slow: less than {rate:g} kB/s on average over {self._window_s:g} s"
