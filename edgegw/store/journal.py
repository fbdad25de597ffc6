"""The store as the rest of the house sees it: one object, one directory, one process.

`Journal` fulfils `runtime.ports.JournalPort`. It joins the session (one connection), the writer (group
commit), the reader and the caretaker, and decides nothing itself.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from edgegw.core.records import JournalRow, Recovery, RowState, Settle, StoreOp, TransactionRecord
from edgegw.errors import StoreFault
from edgegw.runtime.histogram import Histogram
from edgegw.runtime.tasks import Tasks
from edgegw.store import recovery
from edgegw.store.batch import encode
from edgegw.store.caretaker import Caretaker
from edgegw.store.copying import Counts, Told
from edgegw.store.directory import StoreDirectory
from edgegw.store.reader import Reader, StoreCounts
from edgegw.store.session import Session, StoreAlarm
from edgegw.store.writer import Writer

log = logging.getLogger(__name__)


def _no_news(done_bytes: int, total_bytes: int) -> None:
    """For a copy that nobody watches."""


def _nobody(_: object) -> None:
    """For callers that do not want to be told."""


class Journal:
    """Made by `await Journal.open(...)`, ended by `await close()`."""

    def __init__(self, session: Session, retention_s: float) -> None:
        self._session = session
        self._writer = Writer(session)
        self._reader = Reader(session)
        self._caretaker = Caretaker(session, self._reader, retention_s)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._tasks = Tasks()
        self._writing = self._tasks.spawn(self._writer.run(), "store writer")
        self._tasks.spawn(self._caretaker.run(), "store caretaker")

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        retention_s: float,
        reserve_bytes: int,
        wall: Callable[[], float],
        on_alarm: Callable[[StoreAlarm], None] = _nobody,
        on_broken: Callable[[str], None] = _nobody,
    ) -> Journal:
        """Open the store in `directory`, making it (not its parents) when it is not there.

        `retention_s`: how long delivered and recorded rows are kept. `reserve_bytes`: disk space kept
        back for messages when the disk is full, 0 for none. `wall`: seconds since 1970. `on_alarm` and
        `on_broken` are called from the event loop; after `on_broken` only a restart of the process helps.

        Raises StoreLocked, StoreNewer, StoreFault; each says what to do.
        """
        place = StoreDirectory(directory, reserve_bytes)
        session = Session(place, wall, on_alarm, on_broken)
        try:
            place.make_reserve()
            await session.open()
        except BaseException:
            place.close()
            raise
        log.info("store: %s, SQLite %s, one connection", directory, sqlite3.sqlite_version)
        return cls(session, retention_s)

    async def close(self) -> None:
        """Write what was asked for before, then leave one complete file. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._writer.stop()
        await asyncio.wait([self._writing])
        await self._tasks.cancel()
        await self._session.close()

    # --- the port ---------------------------------------------------------------------------------

    def commit(self, ops: Sequence[StoreOp]) -> asyncio.Future[None]:
        """All `ops` in one transaction, in order, behind those of earlier calls. Resolves after the sync.

        Fails with StoreFull (nothing written), StoreUnknownOutcome (maybe written: answer nobody, call
        `recover`) or StoreFault (these operations can never be stored, or the store is broken). A call
        whose operations all may ride along waits up to 20 ms for one that may not.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        try:
            self._writer.put(encode(ops, done, self._session.wall()))
        except StoreFault as fault:
            done.set_exception(fault)
        return done

    async def recover(self, charger: str | None = None) -> Recovery:
        """Everything, or all of one charger, but the waiting rows of lane TRANSACTION, which `rows` hands
        out. Raises StoreFault."""
        return await recovery.recover(self._session, self._reader, charger)

    async def rows(self, charger: str, *, after_seq: int, limit: int) -> Sequence[JournalRow]:
        """Waiting (`stored`) rows of lane TRANSACTION with seq > after_seq, in order."""
        return await self._reader.waiting(charger, after_seq, limit)

    async def listing(
        self,
        *,
        state: RowState | None = None,
        charger: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[tuple[int, JournalRow]]:
        """(row id, row), newest first, for people. `before` pages on."""
        return await self._reader.listing(state, charger, limit, before)

    async def transactions(
        self,
        *,
        charger: str | None = None,
        running: bool | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[tuple[int, TransactionRecord]]:
        """(row id, record), newest first. `before` pages on."""
        return await self._reader.transactions(charger, running, limit, before)

    # --- for operators ----------------------------------------------------------------------------

    @property
    def broken(self) -> bool:
        """Nothing can be stored until the process is restarted."""
        return bool(self._session.broken)

    @property
    def queued_ops(self) -> int:
        """Operations that wait for the writer."""
        return self._writer.queued_ops

    @property
    def commits(self) -> int:
        """Transactions since the start; rows by commits is how well callers share them."""
        return self._writer.commits

    @property
    def commit_seconds(self) -> Histogram:
        """How long transactions took."""
        return self._writer.commit_seconds

    async def counts(self) -> StoreCounts:
        return await self._reader.counts()

    async def resend(self, charger: str, seqs: Sequence[int] | None = None) -> int:
        """Parked rows back to stored, all of the charger or those of `seqs`. Returns how many."""
        wanted = None if seqs is None else set(seqs)
        parked = await self._reader.parked_seqs(charger)
        chosen = [seq for seq in parked if wanted is None or seq in wanted]
        if chosen:
            await self.commit([Settle(charger=charger, seq=seq, state=RowState.STORED) for seq in chosen])
        return len(chosen)

    async def prune(self, now: float) -> int:
        """Delete what is older than the retention; also done every hour. Returns how many rows went."""
        return await self._caretaker.prune(now)

    async def verify(self) -> bool:
        """Check every row and the whole file. False: damage was found and dealt with.

        Writers wait while SQLite checks the file: about a second for 200 MB. After each start the same
        is done in the background without making anybody wait, the file only when it is small.
        """
        return await self._caretaker.verify(whole_file=True)

    @property
    def directory(self) -> Path:
        """The folder of the store; what is temporary may stand there under `copying.STAGE`."""
        return self._session.directory.path

    async def copy(self, target: Path, told: Told = _no_news) -> Counts:
        """A copy of this moment at `target`, which must not exist; commits go on. `told`: in a thread.

        Raises StoreFull, StoreFault; then there is no copy.
        """
        return await self._session.copy(target, told)
