"""One rate for everything that moves over the site's file doors, shared fairly.

Rules of this file:
- A token bucket that may go into debt: who asks is told at once how long to wait, and everybody who asks
  later waits longer. Each transfer asks for one block at a time, so transfers take turns.
- Nothing is held while waiting: a slow reader has asked for no more than the one block it has not read yet.
- The clock is an argument.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

BLOCK_BYTES_MAX = (
    64 * 1024
)  # one read of a file, one write to a socket: the default high-water mark of a socket
BLOCK_BYTES_MIN = 4 * 1024  # below this the cost per block counts more than smoothness
BLOCKS_PER_S = 16  # at a low rate blocks get smaller, so that many transfers all move within a second or two
BURST_S = 0.25  # what an idle door has saved up: enough to hide the timer, too little to hurt the link


class Bucket:
    """Pure: bytes and seconds in, seconds to wait out. A rate of 0 is no limit."""

    __slots__ = ("_room", "_tokens", "_updated", "rate_bytes_per_s")

    def __init__(self, rate_bytes_per_s: float) -> None:
        self.rate_bytes_per_s = rate_bytes_per_s
        self._room = rate_bytes_per_s * BURST_S
        self._tokens = self._room
        self._updated: float | None = None

    def reserve(self, size_bytes: int, now: float) -> float:
        """Seconds to wait before `size_bytes` may move. They are taken from the bucket now."""
        if self.rate_bytes_per_s <= 0:
            return 0.0
        if self._updated is not None:
            gained = max(0.0, now - self._updated) * self.rate_bytes_per_s
            self._tokens = min(self._room, self._tokens + gained)
        self._updated = now
        self._tokens -= size_bytes
        return max(0.0, -self._tokens / self.rate_bytes_per_s)

    def give_back(self, size_bytes: int) -> None:
        """What was reserved will not move after all."""
        self._tokens = min(self._room, self._tokens + size_bytes)


def block_bytes(rate_bytes_per_s: float, most_bytes: int) -> int:
    """How much moves at once."""
    if rate_bytes_per_s <= 0:
        return most_bytes
    return max(BLOCK_BYTES_MIN, min(most_bytes, int(rate_bytes_per_s / BLOCKS_PER_S)))


def loop_time() -> float:
    return asyncio.get_running_loop().time()


class Throttle:
    """A bucket with a way to wait."""

    def __init__(
        self,
        rate_bytes_per_s: float,
        clock: Callable[[], float] = loop_time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._bucket = Bucket(rate_bytes_per_s)
        self._clock = clock
        self._sleep = sleep
        self.block_bytes = block_bytes(rate_bytes_per_s, BLOCK_BYTES_MAX)

    async def take(self, size_bytes: int) -> None:
        """Returns when `size_bytes` may move. Who is cancelled while waiting has used nothing."""
        wait_s = self._bucket.reserve(size_bytes, self._clock())
        if wait_s <= 0:
            return
        try:
            await self._sleep(wait_s)
        except asyncio.CancelledError:
            self._bucket.give_back(size_bytes)
            raise
