"""Is a copied database whole? Looked at by somebody else than who made it, and never changed by that.

Rules of this file: every page (integrity_check), every row (its checksum), every table (the number of rows
that was counted when it was copied). Nothing writes: the file is opened as one that cannot change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from edgegw.errors import StoreFault
from edgegw.store import rows, statements
from edgegw.store.copying import Counts, count
from edgegw.store.database import Damaged, Database, inspect
from edgegw.store.rows import BadRow, Values

PAGE_ROWS: Final = 2000
SCANS: Final[tuple[tuple[str, str, Callable[[Values], None]], ...]] = (
    ("journal", statements.SCAN_JOURNAL, rows.check_journal),
    ("document", statements.SCAN_DOCUMENTS, rows.check_document),
    ("transaction_record", statements.SCAN_TRANSACTIONS, rows.check_transaction),
)

Told = Callable[[int, int], None]  # rows looked at, of how many


class NotWhole(StoreFault):
    """The copy is not what was copied. The text says where."""


def _no_news(done: int, total: int) -> None:
    """For a check that nobody watches."""


async def check_journal(file: Path, counts: Counts | None = None, told: Told = _no_news) -> Counts:
    """Look at all of a copied `edgegw.db`; what is in it. Raises NotWhole, StoreNewer, StoreFault.

    `counts`: what must be in it.
    """
    try:
        database = await Database.connect(file, read_only=True, immutable=True)
        try:
            await inspect(database)
        finally:
            await database.close()
    except (Damaged, sqlite3.Error) as error:
        raise NotWhole(f"{file.name} is damaged: {error}") from error
    return check_file(file, counts, told)


def check_file(file: Path, counts: Counts | None = None, told: Told = _no_news) -> Counts:
    """The same without asking whose file it is: for the telemetry file too. Raises NotWhole."""
    uri = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as database:
            ((said,),) = database.execute("PRAGMA integrity_check(1)").fetchall()
            if said != "ok":
                raise NotWhole(f"{file.name} is damaged: {said}")
            found = count(database)
            if counts is not None and found != counts:
                raise NotWhole(f"{file.name} holds {_words(found)}, and {_words(counts)} were counted")
            database.text_factory = bytes
            _check_rows(database, found, told)
            return found
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise NotWhole(f"{file.name} is damaged: {error}") from error


def _check_rows(database: sqlite3.Connection, found: Counts, told: Told) -> None:
    scans = [scan for scan in SCANS if scan[0] in found.tables]
    total, done = sum(found.tables[table] for table, _, _ in scans), 0
    for table, sql, check in scans:
        after = -(2**63)
        while page := database.execute(sql, (after, PAGE_ROWS)).fetchall():
            for row_id, *values in page:
                try:
                    check(tuple(values))
                except BadRow as why:
                    raise NotWhole(f"row {row_id} of {table} is damaged: {why}") from why
            after = page[-1][0]
            done += len(page)
            told(done, total)


def _words(counts: Counts) -> str:
    numbers = {**counts.tables, **{f"{state} messages": n for state, n in counts.states.items()}}
    return ", ".join(f"{name} {rows}" for name, rows in sorted(numbers.items()))


def fold(file: Path) -> None:
    """Bring the write-ahead log of a copy into it, so that the file is whole by itself. Raises NotWhole."""
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error as error:
        raise NotWhole(f"{file.name} is damaged: {error}") from error
