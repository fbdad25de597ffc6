"""The handshakes that are not finished yet: how many of them strangers may keep open.

Rules of this file:
- A young handshake (GRACE_S) is nobody's fault: after a power cut every charger of a site comes in
  the same second, perhaps all from the address of one router. While YOUNG_MAX of them are under way,
  further connections wait in the kernel's queue.
- What is no longer young holds a place, of which there are few per address and few in all. Who finds
  none is closed and counted (faults 10 and 11).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

GRACE_S = 2.0
YOUNG_MAX = 256


@dataclass(eq=False, slots=True)
class Entry:
    ip: str
    task: asyncio.Task[None]
    timer: asyncio.TimerHandle | None = None


class Unfinished:
    """Keeps count. `on_full(True)` when no more may be accepted for now, `on_full(False)` when again."""

    def __init__(self, per_ip_max: int, total_max: int, on_full: Callable[[bool], None]) -> None:
        self._per_ip_max = per_ip_max
        self._total_max = total_max
        self._on_full = on_full
        self._young: set[Entry] = set()
        self._old: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._young) + self._old.total()

    def begin(self, ip: str, task: asyncio.Task[None], on_excess: Callable[[str], None]) -> Entry:
        """A connection came. `on_excess(limit)` is told before its task is cancelled for want of a place."""
        entry = Entry(ip, task)
        entry.timer = asyncio.get_running_loop().call_later(GRACE_S, self._grow_old, entry, on_excess)
        self._young.add(entry)
        if len(self._young) == YOUNG_MAX:
            self._on_full(True)
        return entry

    def end(self, entry: Entry) -> None:
        """The handshake is finished, or its connection is gone."""
        if entry in self._young:
            if entry.timer is not None:
                entry.timer.cancel()
            self._leave_young(entry)
        else:
            self._old[entry.ip] -= 1
            if not self._old[entry.ip]:
                del self._old[entry.ip]

    def _grow_old(self, entry: Entry, on_excess: Callable[[str], None]) -> None:
        self._leave_young(entry)
        limit = ""
        if self._old[entry.ip] >= self._per_ip_max:
            limit = "too many unfinished handshakes from this address"
        elif self._old.total() >= self._total_max:
            limit = "too many unfinished handshakes"
        self._old[entry.ip] += 1
        if limit:
            on_excess(limit)
            entry.task.cancel()

    def _leave_young(self, entry: Entry) -> None:
        self._young.discard(entry)
        if len(self._young) == YOUNG_MAX - 1:
            self._on_full(False)
