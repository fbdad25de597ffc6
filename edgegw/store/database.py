"""One connection to one SQLite file, and how it is opened.

Why one connection in one process: SQLite before 3.51.3 can corrupt a file in WAL mode when two
connections write or checkpoint at the same moment, and most systems ship an older one. With a single
connection that cannot happen. So nothing else opens the file, and readers take turns with the writer.

"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any, Final

import aiosqlite

from edgegw.errors import StoreFault, StoreNewer
from edgegw.store import statements
from edgegw.store.batch import Statement
from edgegw.store.directory import sync_file
from edgegw.store.rows import Values

log = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x65647731  # "edw1"
JOURNAL_SIZE_LIMIT: Final = 16 * 1024 * 1024
CACHE_KIB: Final = 8 * 1024

# On a new file this comes before anything that writes a page, later it has no effect.
AUTO_VACUUM: Final = "PRAGMA auto_vacuum = INCREMENTAL"  # on a file that has it this would be a write
PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # NORMAL loses the last commits in a power cut
    "PRAGMA foreign_keys = ON",
    f"PRAGMA journal_size_limit = {JOURNAL_SIZE_LIMIT}",
    "PRAGMA wal_autocheckpoint = 0",  # the caretaker does it, between commits and not inside one
    "PRAGMA temp_store = MEMORY",
    "PRAGMA mmap_size = 0",  # an I/O error must come back as an error, not as SIGBUS
    "PRAGMA cell_size_check = ON",
    f"PRAGMA cache_size = -{CACHE_KIB}",
)
READ_ONLY_PRAGMAS: Final = ("PRAGMA temp_store = MEMORY", "PRAGMA cell_size_check = ON")


class Garbled(sqlite3.DatabaseError):
    """SQLite quoted something from a damaged file that Python could not even decode."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


class Damaged(Exception):
    """The file cannot be trusted as it is. The text says why."""


def _uri(path: Path, read_only: bool, immutable: bool) -> str:
    mode = "mode=ro" if read_only else "mode=rw"
    return f"{path.absolute().as_uri()}?{mode}{'&immutable=1' if immutable else ''}"


def _make_private(path: Path) -> None:
    """SQLite gives its log and index the mode of the database."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise sqlite3.OperationalError(f"unable to open {path.name}: {error.strerror}") from error


class Database:
    """A connection. Who may use it when is `Session.turn`'s business."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    @classmethod
    async def connect(
        cls, path: Path, *, new: bool = False, read_only: bool = False, immutable: bool = False
    ) -> Database:
        """Open `path`. Raises sqlite3.Error."""
        if new:
            _make_private(path)
        uri = _uri(path, read_only, immutable)
        connection = await aiosqlite.connect(uri, uri=True, isolation_level=None)
        self = cls(connection)
        try:
            # Text comes as bytes: a row whose text is broken must reach its checksum.
            connection.text_factory = bytes
            if new:
                await self.fetch(AUTO_VACUUM)
            for pragma in READ_ONLY_PRAGMAS if read_only else PRAGMAS:
                await self.fetch(pragma)
        except BaseException:
            await self.close()
            raise
        return self

    async def fetch(self, sql: str, values: Iterable[Any] = ()) -> list[Values]:
        """Run one statement and return all its rows; nothing stays open behind it."""
        try:
            return [tuple(row) for row in await self._connection.execute_fetchall(sql, tuple(values))]
        except UnicodeDecodeError as error:
            raise Garbled(f"malformed: {error.object!r}") from error

    async def execute_many(self, sql: str, values: Sequence[Values]) -> int:
        """Returns how many rows it changed."""
        # Not closed: that is a second trip to the connection's thread, for a cursor without rows.
        return (await self._connection.executemany(sql, values)).rowcount

    async def run(self, found: Iterable[Statement]) -> None:
        for sql, values in found:
            changed = await self.execute_many(sql, values)
            if sql is statements.SETTLE and changed != len(values):
                log.warning("store: %d of %d settled rows are not there", len(values) - changed, len(values))

    async def begin(self) -> None:
        await self.fetch("BEGIN IMMEDIATE")

    async def commit(self) -> None:
        await self.fetch("COMMIT")

    @property
    def total_changes(self) -> int:
        return self._connection.total_changes

    async def rollback(self) -> bool:
        """True when no transaction is open any more, whoever ended it."""
        try:
            if self._connection.in_transaction:
                await self.fetch("ROLLBACK")
        except (sqlite3.Error, ValueError) as error:
            log.error("store: ROLLBACK failed: %s", error)
            return False
        return not self._connection.in_transaction

    async def transaction(self, found: Iterable[Statement]) -> None:
        """`found` in a transaction of its own. Raises sqlite3.Error."""
        await self.begin()
        try:
            await self.run(found)
            await self.commit()
        except sqlite3.Error:
            await self.rollback()
            raise

    async def script(self, sql: str) -> None:
        cursor = await self._connection.executescript(sql)
        await cursor.close()

    async def checkpoint(self, *, waits: bool = False) -> bool:
        """Move the write-ahead log into the database and cut it to nothing. True when all of it went.

        `waits`: for somebody who reads, a few seconds; whoever commits would wait too.
        """
        if waits:
            return await self._checkpoint()
        ((patience_ms,),) = await self.fetch("PRAGMA busy_timeout")
        await self.fetch("PRAGMA busy_timeout = 0")
        try:
            return await self._checkpoint()
        finally:
            await self.fetch(f"PRAGMA busy_timeout = {patience_ms}")

    async def _checkpoint(self) -> bool:
        ((busy, *_),) = await self.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
        return not busy

    async def copy_to(self, path: Path) -> None:
        """A compact copy, on disk when this returns. Raises sqlite3.Error, OSError."""
        await self.fetch("VACUUM INTO ?", (str(path),))
        os.chmod(path, 0o600)
        sync_file(path)

    async def close(self) -> None:
        try:
            await self._connection.close()
        except sqlite3.Error as error:
            log.error("store: closing the database failed: %s", error)


# --- schema ---------------------------------------------------------------------------------------


def schema_steps(folder_name: str = "schema") -> list[tuple[int, str]]:
    """(number, SQL) of schema/NNNN_name.sql, ascending."""
    folder = resources.files("edgegw.store") / folder_name
    return sorted((int(f.name[:4]), f.read_text()) for f in folder.iterdir() if f.name.endswith(".sql"))


def schema_version() -> int:
    return schema_steps()[-1][0]


async def migrate(database: Database, current: int, steps: Sequence[tuple[int, str]] | None = None) -> None:
    """Apply the steps after `current`, each in one transaction with its number. Raises sqlite3.Error.

    The last statement of a step writes its number into `meta`; see `inspect`.
    """
    for number, sql in schema_steps() if steps is None else steps:
        if number > current:
            try:
                await database.script(f"BEGIN IMMEDIATE; {sql} PRAGMA user_version = {number}; COMMIT;")
            except sqlite3.Error:
                await database.rollback()
                raise
            log.info("store: schema is now %04d", number)


async def build(path: Path) -> Database:
    """A new, empty database with the newest schema. Raises sqlite3.Error."""
    database = await Database.connect(path, new=True)
    try:
        await database.fetch(f"PRAGMA application_id = {APPLICATION_ID}")
        await migrate(database, 0)
    except BaseException:
        await database.close()
        raise
    return database


DEFINITIONS: Final = "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name"


async def _definitions(database: Database) -> list[Values]:
    return [(name.decode(), sql.decode()) for name, sql in await database.fetch(DEFINITIONS)]


def expected_definitions(version: int) -> list[Values]:
    """What a file of schema `version` says about its own tables: no checksum covers that text."""
    with closing(sqlite3.connect(":memory:")) as scratch:
        for number, sql in schema_steps():
            if number <= version:
                scratch.executescript(sql)
        return scratch.execute(DEFINITIONS).fetchall()


async def inspect(database: Database) -> int:
    """The schema version of an existing file. Raises Damaged, StoreFault, StoreNewer.

    The number stands twice, in the file's header and in a row, because a flipped bit in the header
    must look like neither a newer edgegw nor somebody else's file.
    """
    ((version,),) = await database.fetch("PRAGMA user_version")
    ((application,),) = await database.fetch("PRAGMA application_id")
    tables = {name for (name,) in await database.fetch("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not {b"journal", b"meta"} & tables:
        if application != APPLICATION_ID and tables:
            raise StoreFault("edgegw.db is not a store of edgegw; move it away or change [store] directory")
        raise Damaged("its tables are gone")
    found = await database.fetch(statements.GET_META, ("schema",))
    recorded = int(found[0][0]) if found and found[0][0].isdigit() else 0
    if version != recorded or application != APPLICATION_ID:
        raise Damaged(f"its header says schema {version}, its content {recorded}")
    if version <= schema_version() and await _definitions(database) != expected_definitions(version):
        raise Damaged("the definitions of its tables are not as they were made")
    if version > schema_version():
        raise StoreNewer(
            f"the store was written by a newer edgegw (schema {version}, this one knows {schema_version()});"
            " install that version again, or restore a backup made before the upgrade"
        )
    return recorded
