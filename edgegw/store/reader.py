"""Reading the store: every row is checked, and a row that is no longer itself is never handed out.

Rules of this file:
- A bad row goes to the quarantine with all its bytes, an alarm is raised, and reading goes on behind it.
- Every query has a limit and nothing stays open behind it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from edgegw.core.records import Document, JournalRow, RowState, TransactionRecord
from edgegw.errors import StoreFault
from edgegw.store import rows, statements
from edgegw.store.database import Database
from edgegw.store.rows import BadRow, Values
from edgegw.store.session import Session

PAGE_ROWS_MAX: Final = 1000
NEWEST: Final = 2**63 - 1

T = TypeVar("T")


class StoreCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The store at a glance."""

    stored: int
    parked: int
    settled: int  # delivered or recorded
    quarantined: int
    oldest_stored_at: float | None
    database_bytes: int
    log_bytes: int
    free_bytes: int  # of the disk
    reserve: bool  # whether the space kept back is still kept back


class Reader:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def waiting(self, charger: str, after_seq: int, limit: int) -> list[JournalRow]:
        """Waiting rows of lane TRANSACTION behind `after_seq`, in order. Fewer than `limit`: no more."""
        found: list[JournalRow] = []
        while len(found) < limit:
            wanted = min(limit - len(found), PAGE_ROWS_MAX)
            page = await self._session.fetch(statements.WAITING, (charger, after_seq, wanted))
            good = await self.good("journal", page, rows.journal_row)
            found += [row for _, row in good]
            if len(page) < wanted or page[-1][2] <= after_seq:
                break
            after_seq = page[-1][2]
        return found

    async def head(self, charger: str, limit: int) -> list[JournalRow]:
        """Stored rows of the lanes before TRANSACTION, in replay order."""
        page = await self._session.fetch(statements.WAITING_HEAD, (charger, limit))
        return [row for _, row in await self.good("journal", page, rows.journal_row)]

    async def recent(self, charger: str, limit: int) -> list[JournalRow]:
        """The last rows of lane TRANSACTION in any state, oldest first."""
        page = await self._session.fetch(statements.RECENT, (charger, limit))
        return [row for _, row in reversed(await self.good("journal", page, rows.journal_row))]

    async def listing(
        self, state: RowState | None, charger: str | None, limit: int, before: int | None
    ) -> list[tuple[int, JournalRow]]:
        sql = statements.LISTING[state is not None, charger is not None]
        given = [value for value in (state.value if state else None, charger) if value is not None]
        return await self._page("journal", sql, given, rows.journal_row, limit, before)

    async def transactions(
        self, charger: str | None, running: bool | None, limit: int, before: int | None
    ) -> list[tuple[int, TransactionRecord]]:
        sql = statements.TRANSACTIONS[charger is not None, running is not None]
        given = [value for value in (charger, None if running is None else int(running)) if value is not None]
        return await self._page("transaction_record", sql, given, rows.transaction_record, limit, before)

    async def _page(
        self,
        table: str,
        sql: str,
        given: list[str | int] | list[str],
        decode: Callable[[Values], T],
        limit: int,
        before: int | None,
    ) -> list[tuple[int, T]]:
        """Newest first; goes on behind bad rows until `limit` good ones are found or none are left."""
        found: list[tuple[int, T]] = []
        below = NEWEST if before is None else before
        while len(found) < limit:
            wanted = min(limit - len(found), PAGE_ROWS_MAX)
            page = await self._session.fetch(sql, (*given, below, wanted))
            found += await self.good(table, page, decode)
            if len(page) < wanted:
                break
            below = page[-1][0]
        return found

    async def documents(self, charger: str | None = None) -> list[Document]:
        """All there are, or those of one charger."""
        if charger is None:
            return await self._all("document", statements.SCAN_DOCUMENTS, rows.document)
        page = await self._session.fetch(statements.DOCUMENTS_OF, (charger,))
        return [document for _, document in await self.good("document", page, rows.document)]

    async def _all(self, table: str, sql: str, decode: Callable[[Values], T]) -> list[T]:
        found: list[T] = []
        after = -NEWEST
        while page := await self._session.fetch(sql, (after, 10 * PAGE_ROWS_MAX)):
            found += [record for _, record in await self.good(table, page, decode)]
            after = page[-1][0]
        return found

    async def running(self, charger: str | None = None) -> list[TransactionRecord]:
        if charger is None:
            page = await self._session.fetch(statements.RUNNING)
        else:
            page = await self._session.fetch(statements.RUNNING_OF, (charger,))
        return [record for _, record in await self.good("transaction_record", page, rows.transaction_record)]

    async def ended(self, charger: str, limit: int) -> list[TransactionRecord]:
        """The newest finished transactions, oldest first."""
        page = await self._session.fetch(statements.ENDED, (charger, limit))
        found = await self.good("transaction_record", page, rows.transaction_record)
        return [record for _, record in reversed(found)]

    async def parked_seqs(self, charger: str) -> list[int]:
        return [seq for (seq,) in await self._session.fetch(statements.PARKED_SEQS, (charger,))]

    async def counts(self) -> StoreCounts:
        ((stored, parked, settled, quarantined, oldest),) = await self._session.fetch(statements.COUNTS)
        database_bytes, log_bytes = self._session.directory.sizes()
        return StoreCounts(
            stored=stored,
            parked=parked,
            settled=settled,
            quarantined=quarantined,
            oldest_stored_at=oldest,
            database_bytes=database_bytes,
            log_bytes=log_bytes,
            free_bytes=self._session.directory.free_bytes(),
            reserve=self._session.directory.has_reserve,
        )

    # --- rows that are no longer themselves -------------------------------------------------------

    async def good(
        self, table: str, page: Iterable[Values], decode: Callable[[Values], T]
    ) -> list[tuple[int, T]]:
        """(id, record) of the rows of `page` (id first) that pass; the others are moved out of the way."""
        found: list[tuple[int, T]] = []
        bad: list[Values] = []
        for row_id, *rest in page:
            values = tuple(rest)
            try:
                found.append((row_id, decode(values)))
            except BadRow as why:
                bad.append((self._session.wall(), table, row_id, str(why), rows.packed(values)))
        if bad:
            await self._quarantine(table, bad)
        return found

    async def _quarantine(self, table: str, bad: Sequence[Values]) -> None:
        moves = [
            (statements.QUARANTINE, list(bad)),
            (statements.DELETE_BAD[table], [(values[2],) for values in bad]),
        ]
        async with self._session.turn() as database:
            present = await self._still_there(database, table, bad)
            if not present:
                return  # another reader was faster, or a rebuild was
            try:
                await database.transaction(moves)
            except sqlite3.Error as error:
                # An index still knows what the row was before: only a rebuild gets the two together.
                await self._session.rebuild(f"a row of {table} is damaged and cannot be moved: {error}")
                return
        text = f"{len(bad)} rows of {table} failed their checksum; they are in quarantine and are not sent"
        self._session.alarm("quarantined", text)

    @staticmethod
    async def _still_there(database: Database, table: str, bad: Sequence[Values]) -> bool:
        try:
            found = await database.fetch(statements.EXISTS[table], (bad[0][2],))
        except sqlite3.Error as error:
            raise StoreFault(f"the store cannot be read: {error}") from error
        return bool(found)
