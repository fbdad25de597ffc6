"""Saving what is still itself from a database that cannot be trusted.

Rules of this file:
- The damaged file is read only, is never written and is kept.
- Tables are read by row id, without their indexes, from both ends towards the damage, then by halves
  around it. What is still missing after that is looked for in the raw pages (`carve`).
- A row is taken only with a good checksum; others go to the quarantine, bytes and all.
- The new file is complete and on disk before the old one loses its name (`StoreDirectory`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from edgegw.errors import StoreFault
from edgegw.store import rows, statements
from edgegw.store.carve import carve
from edgegw.store.database import Database, build
from edgegw.store.directory import SHM, WAL, StoreDirectory
from edgegw.store.rows import BadRow, Values

log = logging.getLogger(__name__)

CHUNK_ROWS: Final = 500
PROBES_MAX: Final = 20_000  # reads spent on the inside of a damaged stretch; about ten seconds


class Salvage(msgspec.Struct, frozen=True, kw_only=True):
    """What came out of a damaged database."""

    reason: str
    kept: int = 0  # journal rows with good checksums
    carved: int = 0  # of these, how many SQLite itself could not reach any more
    documents: int = 0
    transactions: int = 0
    quarantined: int = 0
    unreadable: bool = False  # a part of the file could not be read at all
    aside: str = ""  # where the damaged file is now


class _Table(msgspec.Struct, frozen=True):
    name: str
    select: str  # ends in WHERE id > ? ORDER BY id LIMIT ?
    insert: str
    insert_missing: str
    check: Callable[[Values], None]
    blobs: tuple[int, ...]  # columns that stay bytes


def _anything(values: Values) -> None:
    """The quarantine has no checksums: what is in it was bad to begin with."""


TABLES: Final = (
    _Table(
        "journal",
        statements.SCAN_JOURNAL,
        statements.INSERT_SALVAGED,
        statements.INSERT_SALVAGED,
        rows.check_journal,
        (12, 13),
    ),
    _Table(
        "document",
        statements.SCAN_DOCUMENTS,
        statements.SAVE_DOCUMENT,
        statements.MISSING_DOCUMENT,
        rows.check_document,
        (3,),
    ),
    _Table(
        "transaction_record",
        statements.SCAN_TRANSACTIONS,
        statements.SAVE_TRANSACTION,
        statements.MISSING_TRANSACTION,
        rows.check_transaction,
        (4,),
    ),
    _Table(
        "quarantine",
        statements.SCAN_QUARANTINE,
        statements.QUARANTINE,
        statements.QUARANTINE,
        _anything,
        (4,),
    ),
)


async def salvage(directory: StoreDirectory, reason: str, now: float) -> Salvage:
    """Build a new database from the good rows of the present one and swap them. Raises StoreFault."""
    log.error("store: %s; saving what is intact into a new file", reason)
    directory.remove_leftovers()
    try:
        new = await build(directory.building)
        try:
            counts, unreadable = await _copy_all(directory, new, now)
            await new.checkpoint()
        finally:
            await new.close()
    except sqlite3.Error as error:
        raise StoreFault(
            f"store directory {directory.path}: {reason}, and no new database could be written ({error});"
            " the damaged one is untouched. Free some space or replace the disk, then start again"
        ) from error
    directory.building.rename(directory.salvaged)
    aside = directory.swap_in_salvaged(now)
    return Salvage(
        reason=reason,
        kept=counts["journal"] + counts["carved"],
        carved=counts["carved"],
        documents=counts["document"],
        transactions=counts["transaction_record"],
        quarantined=counts["bad"] + counts["quarantine"],
        unreadable=unreadable,
        aside=str(aside or ""),
    )


async def _copy_all(directory: StoreDirectory, new: Database, now: float) -> tuple[dict[str, int], bool]:
    counts = {table.name: 0 for table in TABLES} | {"bad": 0, "carved": 0}
    try:
        unreadable = await _copy_readable(directory, new, counts, now)
    except sqlite3.Error as error:
        log.error("store: SQLite cannot read the damaged file: %s", error)
        unreadable = True
    if unreadable and directory.database.exists():
        await _copy_carved(directory, new, counts)
    return counts, unreadable


async def _copy_readable(
    directory: StoreDirectory, new: Database, counts: dict[str, int], now: float
) -> bool:
    """Returns whether a part could not be read. Raises sqlite3.Error."""
    old = await _open_damaged(directory)
    try:
        present = await _present(old)
        unreadable = len(present) < len(TABLES)
        for table in present:
            reader = _Reader(old, table)
            async for chunk in reader.chunks():
                await _copy_chunk(new, table, chunk, counts, now)
            unreadable |= reader.damaged
        await _copy_marks(old, new)
        return unreadable
    finally:
        await old.close()


async def _copy_carved(directory: StoreDirectory, new: Database, counts: dict[str, int]) -> None:
    """Rows of the raw pages that the new database does not have yet."""
    try:
        for found in carve(directory.database, directory.beside(WAL)):
            for table in TABLES:
                await _keep_carved(new, table, [f.values for f in found if f.table == table.name], counts)
            await asyncio.sleep(0)
    except OSError as error:
        log.error("store: the damaged file ends here: %s", error)


async def _keep_carved(new: Database, table: _Table, found: list[Values], counts: dict[str, int]) -> None:
    good: list[Values] = []
    for values in found:
        try:
            table.check(values)
            good.append(tuple(_text(list(values), table)))
        except (BadRow, UnicodeDecodeError):
            log.debug("store: a row of %s in a damaged page is not intact", table.name)
    if good:
        before = new.total_changes
        await new.transaction([(table.insert_missing, good)])
        counts["carved" if table.name == "journal" else table.name] += new.total_changes - before


async def _present(old: Database) -> list[_Table]:
    names = {name for (name,) in await old.fetch("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return [table for table in TABLES if table.name.encode() in names]


async def _open_damaged(directory: StoreDirectory) -> Database:
    """Read-only. Without a write-ahead log the file is read as it stands, so that none is made."""
    no_log = not directory.beside(WAL).exists()
    old = await Database.connect(directory.database, read_only=True, immutable=no_log)
    try:
        await old.fetch("SELECT count(*) FROM sqlite_schema")
    except sqlite3.Error:
        await old.close()
        raise
    return old


async def _copy_chunk(
    new: Database, table: _Table, chunk: list[Values], counts: dict[str, int], now: float
) -> None:
    good: list[Values] = []
    bad: list[Values] = []
    for row_id, *values in chunk:
        try:
            table.check(tuple(values))
            good.append(tuple(_text(values, table)))
        except (BadRow, UnicodeDecodeError) as error:
            bad.append((now, table.name, row_id, str(error), rows.packed(tuple(values))))
    await new.transaction([(sql, v) for sql, v in ((table.insert, good), (statements.QUARANTINE, bad)) if v])
    counts[table.name] += len(good)
    counts["bad"] += len(bad)


def _text(values: list[object], table: _Table) -> list[object]:
    """Columns that are text in the schema become text again."""
    return [v.decode() if isinstance(v, bytes) and i not in table.blobs else v for i, v in enumerate(values)]


async def _copy_marks(old: Database, new: Database) -> None:
    try:
        marks = [(charger.decode(), seq, epoch) for charger, seq, epoch in await old.fetch(statements.MARKS)]
    except (sqlite3.Error, UnicodeDecodeError, AttributeError) as error:
        log.warning("store: the marks of discarded rows are lost: %s", error)
        return
    await new.transaction([("INSERT OR IGNORE INTO charger_mark VALUES (?, ?, ?)", marks)] if marks else [])


class _Reader:
    """Every row of one table that SQLite can still reach, in chunks, each row once."""

    def __init__(self, database: Database, table: _Table) -> None:
        self._database = database
        self._range = statements.ID_RANGE.get(table.name, "")
        self._forward = select = table.select
        self._backward = select.replace("id > ?", "id < ?").replace("ORDER BY id", "ORDER BY id DESC")
        self._between = select.replace("id > ?", "id BETWEEN ? AND ?")
        self._probes = 0
        self.damaged = False

    async def chunks(self) -> AsyncIterator[list[Values]]:
        low, high = -(2**63), 2**63 - 1
        while (chunk := await self._read(self._forward, (low, CHUNK_ROWS))) is not None:
            if not chunk:
                return
            yield chunk
            low = chunk[-1][0]
        while chunk := await self._read(self._backward, (high, CHUNK_ROWS)):
            chunk = [row for row in chunk if row[0] > low]
            if not chunk:
                return
            yield chunk
            high = chunk[-1][0]
        first, last = await self._ids()
        async for chunk in self._halves(max(low + 1, first), min(high - 1, last)):
            yield chunk

    async def _ids(self) -> tuple[int, int]:
        found = await self._read(self._range, ()) if self._range else None
        return (found[0][0], found[0][1]) if found and isinstance(found[0][0], int) else (1, PROBES_MAX)

    async def _halves(self, low: int, high: int) -> AsyncIterator[list[Values]]:
        stretches = [(low, high)]
        while stretches and self._probes < PROBES_MAX:
            low, high = stretches.pop()
            self._probes += 1
            chunk = await self._read(self._between, (low, high, CHUNK_ROWS))
            if chunk is None and low < high:
                middle = (low + high) // 2
                stretches += [(middle + 1, high), (low, middle)]
            elif chunk:
                yield chunk
                if len(chunk) == CHUNK_ROWS:
                    stretches.append((chunk[-1][0] + 1, high))

    async def _read(self, sql: str, values: tuple[int, ...]) -> list[Values] | None:
        try:
            return await self._database.fetch(sql, values)
        except sqlite3.Error:
            self.damaged = True
            return None


def log_tail_lost(before: bytes, after: bytes, *, same_boot: bool) -> bool:
    """Whether the write-ahead log holds fewer committed frames than the index beside it had counted.

    Both are the head of a `-shm` file: `before` as the last process left it, `after` as SQLite made it
    anew from the log. With `synchronous=FULL` the index never counts a frame that was not synced, so a
    shorter log was cut or damaged afterwards. Same salt: the same generation of the log. The index
    itself is never synced: after a reboot it may be of an earlier generation, and then says nothing.
    Offsets: SQLite "WAL-mode File Format" 2.1, header of the WAL-index.
    """
    same_log = len(before) >= 48 and len(after) >= 48 and before[32:40] == after[32:40]
    if not same_log and not same_boot:
        return False
    return (_frames(after) if same_log else 0) < _frames(before)


def _frames(index: bytes) -> int:
    return int.from_bytes(index[16:20], sys.byteorder)


def read_index_head(directory: StoreDirectory) -> bytes:
    try:
        with directory.beside(SHM).open("rb") as file:
            return file.read(48)
    except OSError:
        return b""


def damage_before_opening(directory: StoreDirectory) -> str | None:
    """What the files say without being opened: the reason to trust none of them, or None."""
    exists = {suffix: directory.beside(suffix).exists() for suffix in ("", WAL, SHM)}
    if not exists[""]:
        if directory.previous_state or exists[WAL] or exists[SHM]:
            return "edgegw.db is missing"
        return None
    if directory.database.stat().st_size == 0:
        return "edgegw.db is empty"
    if not exists[WAL] and (exists[SHM] or directory.previous_state == "open"):
        return "the write-ahead log edgegw.db-wal is missing"
    return None
