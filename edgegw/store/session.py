"""The open store: its directory, its one connection, whose turn it is, and what happens when it breaks.

Rules of this file:
- Statements run in a `turn`; there is one connection, so the writer and the readers take turns.
- What the file says about its own damage (SQLITE_CORRUPT, SQLITE_NOTADB, a bad checksum that cannot be
  deleted) leads to one rebuild from the rows that are intact, never to going on as if nothing was.
- After a COMMIT of unknown outcome the connection is opened anew. When that fails, or the next COMMIT
  does, the store is broken for good: every use raises StoreFault, and whoever runs the process is told
  to restart it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from edgegw.errors import StoreFault
from edgegw.store import salvage, statements
from edgegw.store.copying import Copies, Counts, Told
from edgegw.store.database import Damaged, Database, build, inspect, migrate, schema_version
from edgegw.store.directory import WAL, StoreDirectory, begin_file, finish_file
from edgegw.store.rows import Values
from edgegw.store.salvage import Salvage

log = logging.getLogger(__name__)

LOG_BYTES_MAX: Final = 4 * 1024 * 1024  # 1,000 pages, SQLite's own figure for an automatic checkpoint
CORRUPTIONS: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

AlarmKind = Literal["corrupt", "quarantined", "disk_full", "disk_recovered", "unknown_outcome", "broken"]


class StoreAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """Something about the store that a person should know."""

    kind: AlarmKind
    text: str
    salvage: Salvage | None = None  # with "corrupt"


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; -1 for errors that Python's module made up."""
    return getattr(error, "sqlite_errorcode", -1) & 0xFF


def is_corruption(error: sqlite3.Error) -> bool:
    return primary_code(error) in CORRUPTIONS


class Session:
    def __init__(
        self,
        directory: StoreDirectory,
        wall: Callable[[], float],
        on_alarm: Callable[[StoreAlarm], None],
        on_broken: Callable[[str], None],
    ) -> None:
        self.directory = directory
        self.wall = wall
        self.broken = ""  # why, once it is
        self.on_trial = False  # opened anew after a failure and no batch has been written since
        self._on_alarm = on_alarm
        self._on_broken = on_broken
        self._database: Database | None = None
        self._lock = asyncio.Lock()
        self._space_short = False
        self.damage_found = 0  # alarms about damage so far
        self._copies = Copies()

    # --- turns ------------------------------------------------------------------------------------

    @property
    def database(self) -> Database:
        if self._database is None:
            raise StoreFault(f"the store is not open{': ' + self.broken if self.broken else ''}")
        return self._database

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Database]:
        """Nobody else's statement runs in between. Raises StoreFault when the store is broken or closed."""
        async with self._lock:
            yield self.database

    async def fetch(self, sql: str, values: Iterable[Any] = ()) -> list[Values]:
        """One statement in a turn of its own; a corrupt file is rebuilt once. Raises StoreFault."""
        values = tuple(values)
        async with self.turn() as database:
            try:
                return await database.fetch(sql, values)
            except sqlite3.Error as error:
                if not is_corruption(error):
                    raise StoreFault(f"the store cannot be read: {error}") from error
                await self.rebuild(f"edgegw.db cannot be read: {error}")
            try:
                return await self.database.fetch(sql, values)
            except sqlite3.Error as error:
                raise StoreFault(f"the store cannot be read: {error}") from error

    # --- opening ----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open or create the database, or save what is left of it. Raises StoreFault, StoreNewer."""
        directory, now = self.directory, self.wall()
        found: Salvage | None = None
        if directory.salvaged.exists():  # a crash came between salvage and swap
            aside = directory.swap_in_salvaged(now)
            found = Salvage(reason="a salvage was finished", aside=str(aside or ""))
        try:
            await self._open_existing()
        except Damaged as damage:
            found = await self._salvage(str(damage), now)
            await self._open_existing()
        await self._begin_life()
        if found:
            self._report_salvage(found)

    async def _open_existing(self) -> None:
        directory = self.directory
        if reason := salvage.damage_before_opening(directory):
            raise Damaged(reason)
        try:
            if not directory.database.exists():
                await self._create()
            elif directory.beside(WAL).exists():
                await self._compare_log()
            self._database = await Database.connect(directory.database)
            await self._upgrade(await inspect(self._database))
        except sqlite3.Error as error:
            await self._drop()
            if is_corruption(error):
                raise Damaged(f"edgegw.db: {error}") from error
            raise StoreFault(
                f"store directory {directory.path}: the database cannot be opened: {error}"
            ) from error
        except (Damaged, StoreFault):
            await self._drop()
            raise

    async def _create(self) -> None:
        self.directory.remove_leftovers()
        await (await build(self.directory.building)).close()
        self.directory.adopt(self.directory.building)

    async def _compare_log(self) -> None:
        """Look at the log of a process that was killed, read-only, so that damage stays as it is."""
        before = salvage.read_index_head(self.directory)
        reader = await Database.connect(self.directory.database, read_only=True)
        try:
            await reader.fetch("SELECT count(*) FROM sqlite_schema")
            after = salvage.read_index_head(self.directory)
        finally:
            await reader.close()
        if salvage.log_tail_lost(before, after, same_boot=self.directory.same_boot):
            raise Damaged("the end of the write-ahead log edgegw.db-wal is missing or damaged")

    async def _upgrade(self, version: int) -> None:
        if version == schema_version():
            return
        copy = self.directory.path / f"edgegw.db.before-schema-{schema_version():04d}"
        part = begin_file(copy, replace=True)
        try:
            await self.database.copy_to(part)
            finish_file(part, copy)
        except OSError as error:
            raise StoreFault(f"the store cannot be copied before its schema changes: {error}") from error
        await migrate(self.database, version)

    async def copy(self, target: Path, told: Told) -> Counts:
        """A copy of this moment while commits go on. Raises StoreFault; then there is no copy."""
        return await self._copies.make(self.directory.database, target, told)

    async def _begin_life(self) -> None:
        """The first commit shows that the disk takes one; from then on a log must exist after a crash."""
        try:
            await self.database.transaction([(statements.SET_META, [("opened_at", str(self.wall()))])])
        except sqlite3.Error as error:
            await self._drop()
            raise StoreFault(
                f"store directory {self.directory.path}: the database cannot be written: {error};"
                " check that the disk is writable and has space"
            ) from error
        self.directory.mark("open")

    async def shorten_log(self) -> None:
        """After a transaction. The caller has the turn."""
        if not self.broken and self.directory.sizes()[1] > LOG_BYTES_MAX:
            await self.checkpoint()

    async def checkpoint(self) -> None:
        """Move the write-ahead log into the database. The caller has the turn."""
        if self._copies.running:
            return  # it would wait for the copy, and everybody with it
        try:
            if not await self.database.checkpoint():
                log.warning("store: another process reads edgegw.db and keeps its log from shrinking")
        except sqlite3.Error as error:
            # Nothing is lost: the log still has it all. A full or failing disk shows at the next commit.
            log.error("store: the write-ahead log could not be moved into the database: %s", error)

    # --- damage -----------------------------------------------------------------------------------

    async def rebuild(self, reason: str) -> None:
        """Save the intact rows into a new file and go on with that. The caller has the turn."""
        await self._drop()
        try:
            found = await self._salvage(reason, self.wall())
            self._database = await Database.connect(self.directory.database)
            await self._begin_life()
        except (StoreFault, sqlite3.Error) as error:
            self.fail(f"the damaged store could not be rebuilt: {error}")
            raise StoreFault(self.broken) from error
        self._report_salvage(found)

    async def _salvage(self, reason: str, now: float) -> Salvage:
        if self.directory.free_bytes() < 2 * sum(self.directory.sizes()):
            self.directory.give_up_reserve()
        return await salvage.salvage(self.directory, reason, now)

    def _report_salvage(self, found: Salvage) -> None:
        text = (
            f"{found.reason}. Saved: {found.kept} messages ({found.carved} of them from raw pages),"
            f" {found.documents} documents,"
            f" {found.transactions} transactions. In quarantine: {found.quarantined}."
            f"{' A part of the file could not be read.' if found.unreadable else ''}"
            f" The damaged file is kept: {found.aside or 'there was none'}"
        )
        self.alarm("corrupt", text, found)

    async def reopen(self, reason: str) -> None:
        """After a COMMIT of unknown outcome: a new connection, once. The caller has the turn."""
        if self.on_trial:
            await self._drop()
            self.fail(f"{reason}, again and right after the store was opened anew")
            return
        self.on_trial = True
        self.alarm("unknown_outcome", f"{reason}; nobody was answered, opening the store again")
        if self.directory.free_bytes() < 1024 * 1024:
            self.give_up_reserve()
        await self._drop()
        try:
            self._database = await Database.connect(self.directory.database)
            await inspect(self._database)
            # The kernel may hold pages that never reached the disk and call them clean: an fsync that
            # failed is not made good by one that succeeds later. So what the log says is written once
            # more, into the database, and the log starts again.
            if not await self._database.checkpoint(waits=True):
                raise sqlite3.OperationalError("the write-ahead log could not be moved into the database")
            await self._begin_life()
        except (sqlite3.Error, Damaged, StoreFault) as error:
            await self._drop()
            self.fail(f"{reason}; opening it again failed: {error}")

    def fail(self, reason: str) -> None:
        """Broken for good."""
        self.broken = reason
        self.alarm("broken", reason)
        self._on_broken(reason)

    async def _drop(self) -> None:
        """Close the connection. SQLite may remove its log, so the lock file stops promising one first."""
        await self._copies.end()
        database, self._database = self._database, None
        if database is not None:
            try:
                self.directory.mark("closing")
            except StoreFault as fault:
                log.error("store: %s", fault)
            await database.close()

    # --- space ------------------------------------------------------------------------------------

    def give_up_reserve(self) -> None:
        """The disk is full: free the space kept back, so that billing rows still go in."""
        had = self.directory.give_up_reserve()
        if had or not self._space_short:
            more = "the space kept back for messages is in use now" if had else "no space is left"
            self.alarm("disk_full", f"the disk under {self.directory.path} is full; {more}")
        self._space_short = True

    def restore_reserve(self) -> None:
        """Make the reserve again when there is space for it."""
        if self.directory.make_reserve() and self._space_short:
            self._space_short = False
            self.alarm("disk_recovered", f"the disk under {self.directory.path} has space again")

    def alarm(self, kind: AlarmKind, text: str, found: Salvage | None = None) -> None:
        log.error("store: %s: %s", kind, text)
        self.damage_found += kind in {"corrupt", "quarantined"}
        self._on_alarm(StoreAlarm(kind=kind, text=text, salvage=found))

    # --- the end ----------------------------------------------------------------------------------

    async def close(self) -> None:
        """Leave the database complete in one file. The lock goes last."""
        async with self._lock:
            if self._database is not None:
                await self._drop()
                if not self.directory.beside(WAL).exists():
                    self.directory.mark("closed")
        self.directory.close()
