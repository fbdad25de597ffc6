"""Events on their way to the broker: what such a queue can do, and the one in memory.

`store.telemetry.Telemetry` is the durable one. Without it events live as long as the process.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Protocol

MEMORY_EVENTS = 1_000  # about 500 KiB


class EventQueue(Protocol):
    """First in, first out; the oldest goes when it is full."""

    stream: str  # stands in the ids: numbers of another queue are not these
    on_added: Callable[[], None]

    @property
    def waiting(self) -> int: ...

    @property
    def dropped(self) -> int:
        """Events that never went out, since the start."""

    def add(self, make: Callable[[int], bytes]) -> None:
        """Never blocks, never raises. `make` is given the number of the event."""

    async def read(self, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        """(number, body) in order, of those that are not done."""

    def done(self, seq: int) -> None:
        """All up to this number have arrived."""


class MemoryEvents:
    """The queue of a box without a telemetry file."""

    def __init__(self, kept: int = MEMORY_EVENTS) -> None:
        self.stream = secrets.token_hex(4)
        self.on_added: Callable[[], None] = lambda: None
        self.dropped = 0
        self._last_seq = 0
        self._kept = kept
        self._events: deque[tuple[int, bytes]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._events)

    def add(self, make: Callable[[int], bytes]) -> None:
        self._last_seq += 1
        self._events.append((self._last_seq, make(self._last_seq)))
        while len(self._events) > self._kept:
            self._events.popleft()
            self.dropped += 1
        self.on_added()

    async def read(self, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        return list(islice((one for one in self._events if one[0] > after_seq), limit))

    def done(self, seq: int) -> None:
        while self._events and self._events[0][0] <= seq:
            self._events.popleft()
