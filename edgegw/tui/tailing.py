"""Following a stream of the gateway: it comes in batches, and comes back when it broke.

Rules of this file:
- Bounded: at most KEPT_MAX items wait to be shown; the oldest of them go first, and `came` counts all.
- It never raises: that the line is down is a state, and the next attempt is made by itself.
- What went by while the line was down is the reader's to ask for: `on_begin` is called at every attempt.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Generic, TypeVar

from edgegw.control.client import ControlFault
from edgegw.control.live_client import LiveClient
from edgegw.tui.link import AGAIN_FIRST_S, AGAIN_MAX_S

KEPT_MAX = 2_000
TAKEN_PER_S = 4.0  # how often a screen takes what came

T = TypeVar("T")
Stream = Callable[[LiveClient], AsyncIterator[T]]


class Tail(Generic[T]):
    """`await run()` until cancelled; `take()` what came since, as often as there is something to draw."""

    def __init__(
        self, connect: Callable[[], LiveClient], stream: Stream[T], on_begin: Callable[[], None]
    ) -> None:
        self._connect = connect
        self._stream = stream
        self._on_begin = on_begin
        self._waiting: deque[T] = deque(maxlen=KEPT_MAX)
        self.came = 0  # since the last `take`
        self.fault = ""  # why nothing comes; "" while the line is up, as far as known

    async def run(self) -> None:
        again_s = AGAIN_FIRST_S
        while True:
            self._on_begin()
            try:
                # of a generator only `aclosing` makes sure that it is closed when the task is cancelled
                async with self._connect() as live, aclosing(self._stream(live)) as items:  # type: ignore[type-var]
                    async for item in items:
                        again_s, self.fault = AGAIN_FIRST_S, ""
                        self._waiting.append(item)
                        self.came += 1
            except ControlFault as fault:
                self.fault = str(fault)
            await asyncio.sleep(again_s)
            again_s = min(again_s * 2, AGAIN_MAX_S)

    def is_well(self) -> None:
        """The gateway answered something else: what was wrong is over."""
        self.fault = ""

    @property
    def overflowed(self) -> bool:
        """More came than could be kept."""
        return self.came > len(self._waiting)

    def take(self) -> list[T]:
        """What came since the last time, the newest last."""
        items = list(self._waiting)
        self._waiting.clear()
        self.came = 0
        return items
