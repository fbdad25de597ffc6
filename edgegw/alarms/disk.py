"""The disk of [files], when it is not that of the store. The rules of `alarms.conditions` hold here too.

A disk is asked in a thread, and one that hangs is not asked again: it may be a share of another machine.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from edgegw.alarms.store import COUNTS_EVERY_S, FREE_LOW_BYTES, FREE_OK_BYTES
from edgegw.core.alarms import Condition
from edgegw.core.events import Instant
from edgegw.runtime.tasks import Tasks

TODO = "Remove firmware that nobody needs (edgegw firmware), or lower cache_bytes in [files]."


def free_bytes(directory: Path, store: Path) -> int | None:
    """None: it is the disk of the store, which is looked after. Raises OSError. Blocks: for a thread."""
    if directory.stat().st_dev == store.stat().st_dev:
        return None
    seen = os.statvfs(directory)
    return seen.f_bavail * seen.f_frsize


class DiskEyes:
    def __init__(self, directory: Path, store: Path, tasks: Tasks) -> None:
        self._directory = directory
        self._store = store
        self._tasks = tasks
        self._asked_at = float("-inf")
        self._answered = True
        self._free_bytes: int | None = None
        self._low = False

    def look(self, now: Instant) -> Iterator[Condition]:
        if self._answered and now.mono - self._asked_at >= COUNTS_EVERY_S:
            self._asked_at, self._answered = now.mono, False
            self._tasks.spawn(self._ask(), "disk of files for alarms")
        free = self._free_bytes
        self._low = free is not None and free < (FREE_OK_BYTES if self._low else FREE_LOW_BYTES)
        if self._low:
            text = f"less than {FREE_OK_BYTES // 2**20} MiB are free on the disk of {self._directory}"
            title = "The disk for firmware and logs is nearly full"
            yield Condition(code="disk_low", target="disk files", text=text, title=title, todo=TODO)

    async def _ask(self) -> None:
        try:
            self._free_bytes = await asyncio.to_thread(free_bytes, self._directory, self._store)
        except OSError:
            self._free_bytes = None  # why it cannot be used is told elsewhere
        finally:
            self._answered = True
