"""Group commit: many callers, one transaction, one sync; then all of them are told.

Rules of this file:
- The operations of one call share a transaction; calls keep their order.
- An idle writer starts at once with whatever is there; while it commits, the others gather. Only calls
  that nobody waits for (documents and transactions that may ride along) are held back, RIDE_ALONG_S at
  most, for a durable call to come by.
- Right after a batch of several calls the writer waits a moment for as many again: who has just been
  answered often writes again at once, and two half batches would cost everyone two syncs. The moment is
  a quarter of the last transaction, at most SIBLINGS_S.
- A caller learns exactly one of: it is on disk; StoreFull, nothing of it was written; StoreFault, this
  call is a mistake and nothing of it was written; StoreUnknownOutcome, nobody knows before a reopen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from edgegw.errors import StoreFault, StoreFull, StoreUnknownOutcome
from edgegw.runtime.histogram import Histogram
from edgegw.store import statements
from edgegw.store.batch import Call, Step, statements_of, statements_one_by_one
from edgegw.store.database import Database
from edgegw.store.rows import Values
from edgegw.store.session import Session, is_corruption, primary_code

log = logging.getLogger(__name__)

BATCH_OPS_MAX: Final = 512
RIDE_ALONG_S: Final = 0.020
SIBLINGS_S: Final = 0.003


class _NotWritten(Exception):
    """The transaction was rolled back: nothing of it is in the file, now or after a crash."""

    def __init__(self, cause: sqlite3.Error) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Unknown(Exception):
    """A COMMIT or a ROLLBACK failed."""


class Writer:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._queue: deque[Call] = deque()
        self._current: list[Call] = []
        self._some = asyncio.Event()
        self._durable = asyncio.Event()
        self._stopping = False
        self._enough = asyncio.Event()
        self._wanted = 0  # durable calls of the last batch: as many may come again
        self._last_began = 0.0
        self._last_ended = 0.0
        self.commits = 0  # transactions so far
        self.commit_seconds = Histogram()  # of all of them, the sync included; failed ones too
        self.queued_ops = 0

    def put(self, call: Call) -> None:
        if self._stopping or self._session.broken:
            _fail([call], StoreFault(self._session.broken or "the store is closed"))
            return
        self._queue.append(call)
        self.queued_ops += call.size
        self._some.set()
        if call.durable:
            self._durable.set()
        if len(self._queue) >= self._wanted:
            self._enough.set()

    def stop(self) -> None:
        """Take no more calls; `run` returns when those it has are done."""
        self._stopping = True
        self._some.set()
        self._durable.set()

    async def run(self) -> None:
        """The writer's task. Ends after `stop`, or by cancellation or a bug: then every caller is told."""
        try:
            while await self._gather():
                self._current = self._take()
                async with self._session.turn():
                    await self._write_timed(self._current)
                    self._current = []
                    await self._session.shorten_log()
        except StoreFault as fault:  # the turn was refused: broken
            log.error("store: the writer ends: %s", fault)
            _fail(self._current, fault)
        finally:
            if not self._stopping and not self._session.broken:
                self._session.fail("the store's writer ended")
            self._stopping = True
            _fail(self._current, StoreUnknownOutcome("the store's writer ended while it was writing"))
            _fail(self._queue, StoreFault(self._session.broken or "the store is closed"))

    async def _gather(self) -> bool:
        """Wait for something to write. False when there is nothing and never will be."""
        if not self._queue:
            self._some.clear()
            self._durable.clear()
            if self._stopping:
                return False
            await self._some.wait()
        if self._queue and not self._stopping and not self._durable.is_set():
            try:
                await asyncio.wait_for(self._durable.wait(), RIDE_ALONG_S)
            except TimeoutError:
                log.debug("store: no durable call came by")
        if self._wanted > 1 and not self._stopping:
            await self._wait_for_siblings()
        return bool(self._queue)

    async def _wait_for_siblings(self) -> None:
        now = asyncio.get_running_loop().time()
        moment_s = min(SIBLINGS_S, (self._last_ended - self._last_began) / 4)
        if len(self._queue) >= self._wanted or now - self._last_ended > moment_s:
            return
        self._enough.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._enough.wait(), moment_s)

    async def _write_timed(self, calls: list[Call]) -> None:
        loop = asyncio.get_running_loop()
        self._last_began = loop.time()
        self._wanted = sum(call.durable for call in calls)
        await self._write(calls)
        self._last_ended = loop.time()
        self.commit_seconds.observe(self._last_ended - self._last_began)

    def _take(self) -> list[Call]:
        calls: list[Call] = []
        size = 0
        while self._queue and (not calls or size + self._queue[0].size <= BATCH_OPS_MAX):
            calls.append(self._queue.popleft())
            size += calls[-1].size
        self.queued_ops -= size
        if not any(call.durable for call in self._queue):
            self._durable.clear()
        return calls

    # --- one transaction --------------------------------------------------------------------------

    async def _write(self, calls: list[Call]) -> None:
        try:
            try:
                refused = await self._transaction(calls)
            except _NotWritten as failure:
                await self._make_good(failure.cause)
                refused = await self._transaction(calls)
        except _NotWritten as failure:
            _fail(calls, StoreFull(f"nothing was written: {failure}"))
        except _Unknown as failure:
            await self._lose_track(calls, str(failure))
        else:
            self.commits += 1
            self._session.on_trial = False
            for call in calls:
                _settle(call, refused.get(id(call)))

    async def _transaction(self, calls: Sequence[Call]) -> dict[int, StoreFault]:
        """Write `calls`; the faults of those left out, by id(). Raises _NotWritten, _Unknown."""
        database = self._session.database
        refused: dict[int, StoreFault] = {}
        try:
            await database.begin()
            try:
                await database.run(statements_of(calls))
            except sqlite3.IntegrityError:
                await self._roll_back(database)
                await database.begin()
                refused = await _one_by_one(database, calls)
        except sqlite3.Error as error:
            await self._roll_back(database)
            raise _NotWritten(error) from error
        try:
            await database.commit()
        except sqlite3.Error as error:
            if primary_code(error) == sqlite3.SQLITE_FULL:
                # Writing the log came to an end before its last frame, the one that makes a commit.
                await self._roll_back(database)
                raise _NotWritten(error) from error
            raise _Unknown(f"COMMIT failed: {error}") from error
        return refused

    @staticmethod
    async def _roll_back(database: Database) -> None:
        if not await database.rollback():
            raise _Unknown("ROLLBACK failed")

    async def _make_good(self, error: sqlite3.Error) -> None:
        """Before the one retry: remove the cause where that can be done. Raises StoreFault when broken."""
        log.error("store: a batch was not written, trying once more: %s", error)
        if primary_code(error) == sqlite3.SQLITE_FULL:
            self._session.give_up_reserve()
        elif is_corruption(error):
            await self._session.rebuild(f"edgegw.db cannot be written: {error}")

    async def _lose_track(self, calls: list[Call], reason: str) -> None:
        queued, self._queue = list(self._queue), deque()
        self.queued_ops = 0
        _fail([*calls, *queued], StoreUnknownOutcome(reason))
        await self._session.reopen(reason)


# --- the careful way, when a unique key was hit ---------------------------------------------------


async def _one_by_one(database: Database, calls: Iterable[Call]) -> dict[int, StoreFault]:
    """Each call in a savepoint, so that one that is a mistake costs the others nothing."""
    refused: dict[int, StoreFault] = {}
    for call in calls:
        await database.fetch("SAVEPOINT one_call")
        try:
            for step, values, found in statements_one_by_one(call):
                if step is not Step.INSERT or not await _is_there(database, values):
                    await database.run(found)
        except (StoreFault, sqlite3.IntegrityError) as error:
            await database.fetch("ROLLBACK TO one_call")
            refused[id(call)] = StoreFault(f"a call was refused: {error}")
            log.error("store: %s", refused[id(call)])
        await database.fetch("RELEASE one_call")
    return refused


async def _is_there(database: Database, values: Values) -> bool:
    """Whether this very message is stored already. Raises StoreFault when another one has its key."""
    charger, seq, epoch, message_id, raw = values[0], values[1], values[2], values[3], values[12]
    for (stored,) in await database.fetch(statements.SAME_MESSAGE, (charger, epoch, message_id)):
        if stored == raw:
            return True
        raise StoreFault(f"{charger}: message id {message_id!r} of epoch {epoch} is taken by another message")
    if await database.fetch(statements.SAME_SEQ, (charger, seq)):
        raise StoreFault(f"{charger}: row number {seq} is taken by another message")
    return False


def _settle(call: Call, fault: StoreFault | None) -> None:
    if call.done.done():
        return  # the caller was cancelled; its rows are stored all the same
    if fault is None:
        call.done.set_result(None)
    else:
        call.done.set_exception(fault)


def _fail(calls: Iterable[Call], fault: StoreFault) -> None:
    for call in calls:
        if not call.done.done():
            call.done.set_exception(type(fault)(str(fault)))
