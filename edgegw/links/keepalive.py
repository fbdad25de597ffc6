"""The site-wide timer wheel: the one clock that keep-alive and silence are measured with.

Rules of this file:
- One timer for all legs. A leg is visited when its slot comes round and says when it wants the
  next visit; a message costs a leg one attribute read of `now`, never a clock call or a timer.
- Time is counted in ticks that this process lived through. A process that was stopped for two
  minutes does not find, when it goes on, that every charger has been silent for two minutes.
"""

from __future__ import annotations

import asyncio
import math
from typing import Protocol

TICK_S = 1.0
SLOTS = 512  # a visit further away than this many ticks is clipped to it


class Member(Protocol):
    def visit(self, now: int) -> int | None:
        """Do what is due at tick `now`. Ticks until the next visit (>= 1), or None to leave the wheel."""


class KeepAlive:
    """A hashed timer wheel. `now` is the number of ticks since the first member came."""

    __slots__ = ("_loop", "_slot_of", "_slots", "_timer", "now", "tick_s")

    def __init__(self, tick_s: float = TICK_S) -> None:
        self.now = 0
        self.tick_s = tick_s
        self._slots: list[set[Member]] = [set() for _ in range(SLOTS)]
        self._slot_of: dict[Member, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def ticks(self, seconds: float) -> int:
        """Whole ticks that last at least `seconds`."""
        return max(1, math.ceil(seconds / self.tick_s))

    def add(self, member: Member, delay: int) -> None:
        """Visit `member` in `delay` ticks. The timer runs while there is a member."""
        self.discard(member)
        slot = (self.now + min(max(delay, 1), SLOTS - 1)) % SLOTS
        self._slots[slot].add(member)
        self._slot_of[member] = slot
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(self.tick_s, self._turn)

    def discard(self, member: Member) -> None:
        slot = self._slot_of.pop(member, None)
        if slot is not None:
            self._slots[slot].discard(member)

    @property
    def members(self) -> int:
        return len(self._slot_of)

    def close(self) -> None:
        """Stop the timer and forget every member."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._slot_of.clear()
        for slot in self._slots:
            slot.clear()

    def _turn(self) -> None:
        self.now += 1
        index = self.now % SLOTS
        due, self._slots[index] = self._slots[index], set()
        for member in due:
            # A visit may close other members of the same slot.
            if self._slot_of.get(member) != index:
                continue
            del self._slot_of[member]
            delay = member.visit(self.now)
            if delay is not None:
                self.add(member, delay)
        self._timer = None
        if self._slot_of and self._loop is not None:
            self._timer = self._loop.call_later(self.tick_s, self._turn)
