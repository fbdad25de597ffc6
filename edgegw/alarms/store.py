"""What is wrong with the store and its disk. The rules of `alarms.conditions` hold here too.

Counting takes a turn of the store, so it is asked every COUNTS_EVERY_S, by a task; a store that hangs is one
that does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgegw.core.alarms import Condition
from edgegw.core.events import Instant
from edgegw.errors import StoreFault
from edgegw.runtime.tasks import Tasks
from edgegw.store.journal import Journal
from edgegw.store.reader import StoreCounts

COUNTS_EVERY_S = 10.0
FREE_LOW_BYTES = 256 * 1024 * 1024  # as `control.health` warns
FREE_OK_BYTES = 384 * 1024 * 1024  # a disk at the edge must not come and go


class StoreEyes:
    def __init__(self, journal: Journal, tasks: Tasks) -> None:
        self._journal = journal
        self._tasks = tasks
        self._asked_at: float | None = None
        self._answered = True
        self._failed = False
        self._low = False
        self.counts: StoreCounts | None = None

    def look(self, now: Instant) -> Iterator[Condition]:
        if self._answered and (self._asked_at is None or now.mono - self._asked_at >= COUNTS_EVERY_S):
            self._asked_at, self._answered = now.mono, False
            self._tasks.spawn(self._count(), "store counts for alarms")
        if self._journal.broken:
            yield Condition(code="store_broken", text="nothing can be kept until edgegw is started again")
        elif self._failed or self._hangs(now):
            yield Condition(code="store_unreadable", text="the store does not say what is in it")
        elif self.counts is not None:
            yield from self._of(self.counts)

    def _hangs(self, now: Instant) -> bool:
        asked_at = self._asked_at
        return not self._answered and asked_at is not None and now.mono - asked_at > COUNTS_EVERY_S

    async def _count(self) -> None:
        try:
            self.counts = await self._journal.counts()
            self._failed = False
        except (StoreFault, OSError):
            self._failed = True
        finally:
            self._answered = True

    def _of(self, counts: StoreCounts) -> Iterator[Condition]:
        self._low = counts.free_bytes < (FREE_OK_BYTES if self._low else FREE_LOW_BYTES)
        if not counts.reserve:
            yield Condition(code="disk_full", text="the space kept back for messages is in use")
        elif self._low:
            text = f"less than {FREE_OK_BYTES // 2**20} MiB are free on the disk of the store"
            yield Condition(code="disk_low", text=text)
        if counts.quarantined:
            text = f"{counts.quarantined} damaged rows are in the quarantine of the store"
            yield Condition(code="rows_damaged", text=text)
