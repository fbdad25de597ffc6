"""What the store does when nobody asks: checkpoints, retention, the reserve, and looking at itself.

Rules of this file:
- Short pieces, each in a turn of its own: no answer to a charger waits for more than one of them.
- What waits for the cloud or was refused by it is never deleted, nor is the newest row of a charger.
- Old rows go by a clock that can be believed: one that has run evenly for a day, or one that never
  jumped and is near the newest settled row. A clock thrown into the future must not empty the store.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Final

from edgegw.errors import StoreFault
from edgegw.store import rows, statements
from edgegw.store.batch import Statement
from edgegw.store.reader import Reader
from edgegw.store.rows import Values
from edgegw.store.session import Session

log = logging.getLogger(__name__)

TEND_EVERY_S: Final = 1.0
CHECKPOINT_EVERY_S: Final = 60.0  # what is in the write-ahead log is at risk as a whole: keep it short
PRUNE_EVERY_S: Final = 3600.0
CHUNK_ROWS: Final = 500
VACUUM_PAGES: Final = 256
EARLIEST_SANE_S: Final = 1_577_836_800.0  # 2020-01-01: a clock before that was never set
JUMP_S: Final = 60.0  # more than this against the time that passed is a jump of the wall clock
EVEN_S: Final = 86_400.0
NEAR_S: Final = 30 * 86_400.0
VERIFY_AFTER_S: Final = 10.0  # the first seconds after a start belong to the chargers
CHECK_BYTES_MAX: Final = 32 * 1024 * 1024  # a file this small is checked whole in 0.15 s


class Caretaker:
    def __init__(self, session: Session, reader: Reader, retention_s: float) -> None:
        self._session = session
        self._reader = reader
        self._retention_s = retention_s
        self._checkpoint_due_s = CHECKPOINT_EVERY_S
        self._prune_due_s = VERIFY_AFTER_S
        self._verify_due_s = VERIFY_AFTER_S
        self._wall: float | None = None
        self._even_s = 0.0  # for so long the wall clock has not jumped
        self._jumped = False  # since the start

    async def run(self) -> None:
        """The caretaker's task, for life; ends when the store breaks."""
        while not self._session.broken:
            await asyncio.sleep(TEND_EVERY_S)
            await self._try(self.tend(TEND_EVERY_S))

    @staticmethod
    async def _try(work: Awaitable[object]) -> None:
        try:
            await work
        except StoreFault as fault:  # a full disk, perhaps: billing goes on, and so does the next round
            log.error("store: left undone: %s", fault)

    async def tend(self, passed_s: float) -> None:
        """One round. `passed_s` is how long ago the last one was. Raises StoreFault when broken."""
        self._watch_clock(passed_s)
        self._session.restore_reserve()
        self._checkpoint_due_s -= passed_s
        self._prune_due_s -= passed_s
        if self._checkpoint_due_s <= 0 and self._session.directory.sizes()[1]:
            await self.checkpoint()
        self._verify_due_s -= passed_s
        if self._verify_due_s <= 0:
            self._verify_due_s = math.inf
            await self.verify(whole_file=self._session.directory.sizes()[0] <= CHECK_BYTES_MAX)
        if self._prune_due_s <= 0:
            self._prune_due_s = PRUNE_EVERY_S
            now = self._session.wall()
            if await self._believes(now):
                await self.prune(now)

    def _watch_clock(self, passed_s: float) -> None:
        wall = self._session.wall()
        if self._wall is not None and abs(wall - self._wall - passed_s) > JUMP_S:
            self._even_s, self._jumped = 0.0, True
        else:
            self._even_s += passed_s
        self._wall = wall

    async def _believes(self, now: float) -> bool:
        if self._even_s >= EVEN_S:
            return True
        ((newest,),) = await self._session.fetch(statements.NEWEST_SETTLED)
        return not self._jumped and newest is not None and abs(now - newest) <= NEAR_S

    async def checkpoint(self) -> None:
        self._checkpoint_due_s = CHECKPOINT_EVERY_S
        async with self._session.turn():
            await self._session.checkpoint()

    # --- retention --------------------------------------------------------------------------------

    async def prune(self, now: float) -> int:
        """Delete delivered and recorded rows, and finished transactions, that are older than the retention.

        `now` is the wall clock; nothing happens before 2020. Rows settled under such a clock get `now`
        as their time first. Returns how many rows went. Raises StoreFault.
        """
        if now < EARLIEST_SANE_S:
            return 0
        await self._date_the_undated(now)
        before, deleted = now - self._retention_s, 0
        for sql in (statements.PRUNE_JOURNAL, statements.PRUNE_TRANSACTIONS):
            while count := await self._change([(sql, [(before, CHUNK_ROWS)])]):
                deleted += count
        if deleted:
            await self._session.fetch(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
        return deleted

    async def _date_the_undated(self, now: float) -> None:
        undated = (EARLIEST_SANE_S, CHUNK_ROWS)
        while page := await self._session.fetch(statements.UNDATED, undated):
            good = await self._reader.good("journal", page, _itself(rows.check_journal))
            dated = [rows.restamped(values, now) for _, values in good]
            if dated:
                await self._change([(statements.SETTLE, dated)])
        while page := await self._session.fetch(statements.UNDATED_TRANSACTIONS, undated):
            records = await self._reader.good("transaction_record", page, rows.transaction_record)
            values = [rows.transaction_values(record, now) for _, record in records]
            if values:
                await self._change([(statements.SAVE_TRANSACTION, values)])

    async def _change(self, found: list[Statement]) -> int:
        """One transaction. Returns the rows it changed. Raises StoreFault."""
        async with self._session.turn() as database:
            try:
                before = database.total_changes
                await database.transaction(found)
                changed = database.total_changes - before
            except sqlite3.Error as error:
                raise StoreFault(f"the store could not be tidied: {error}") from error
            await self._session.shorten_log()
            return changed

    # --- looking at itself ------------------------------------------------------------------------

    async def verify(self, *, whole_file: bool) -> bool:
        """Check every row, and that the indexes know it. False: damage was found and dealt with.

        Rows are read in chunks, so nobody waits long; with `whole_file` SQLite then checks every page in
        one go, during which everybody waits (about a second for 200 MB). Raises StoreFault.
        """
        before = self._session.damage_found
        await self._verify_rows("document", statements.SCAN_DOCUMENTS, rows.check_document)
        await self._verify_rows("transaction_record", statements.SCAN_TRANSACTIONS, rows.check_transaction)
        await self._verify_rows("journal", statements.SCAN_JOURNAL, rows.check_journal)
        if whole_file:
            await self._verify_file("PRAGMA integrity_check(1)")
        return self._session.damage_found == before

    async def _verify_rows(self, table: str, sql: str, check: Callable[[Values], None]) -> None:
        after = -(2**63)
        while page := await self._session.fetch(sql, (after, CHUNK_ROWS)):
            await self._reader.good(table, page, _itself(check))
            if table == "journal":
                await self._verify_indexes(after, page[-1][0])
            after = page[-1][0]

    async def _verify_indexes(self, after: int, last: int) -> None:
        """A row that is there but that no index knows would never be sent."""
        if missing := await self._session.fetch(statements.NOT_INDEXED, (after, last)):
            async with self._session.turn():
                await self._session.rebuild(f"edgegw.db: row {missing[0][0]} is missing from an index")

    async def _verify_file(self, pragma: str) -> None:
        async with self._session.turn() as database:
            try:
                found = str((await database.fetch(pragma))[0][0], "utf-8", "replace")
            except sqlite3.Error as error:
                found = str(error)
            if found != "ok":
                await self._session.rebuild(f"edgegw.db is damaged: {found}")


def _itself(check: Callable[[Values], None]) -> Callable[[Values], Values]:
    """A decoder that leaves a checked row as it is."""

    def decode(values: Values) -> Values:
        check(values)
        return values

    return decode
