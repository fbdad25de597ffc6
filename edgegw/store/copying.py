"""A copy of a database that is in use, made page by page while commits go on.

Rules of this file:
- The copy reads over a connection of its own that can neither write nor checkpoint: what SQLite before 3.51.3
  may damage is two connections that do (see `store.database`). One read transaction holds one moment of the
  file, so counts and copy are of the same moment however long the copying takes.
- While it is held the write-ahead log only grows: `Session` leaves its checkpoints out, and a copy that lets
  the log grow beyond LOG_BYTES_MAX is given up.
- Paced: after each CHUNK_BYTES the pages are synced and the copy rests as long as that took, so that the
  syncs of commits find the disk free half of the time.
- `copy_database` blocks: for a thread of its own. `Copies` is the loop's side of it.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from edgegw.errors import StoreFault, StoreFull

STEP_PAGES: Final = 64
CHUNK_BYTES: Final = 4 * 1024 * 1024
REST_MAX_S: Final = 1.0
LOG_BYTES_MAX: Final = 256 * 1024 * 1024  # beside it: the disk must not fill because somebody copies

Told = Callable[[int, int], None]  # bytes copied, of how many; called from the copying thread


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What was in a file at one moment: rows by table, and of the journal by state."""

    tables: dict[str, int]
    states: dict[str, int] = {}


class CopyStopped(StoreFault):
    """Somebody did not want the copy any more."""


class _Copying:
    def __init__(self, source: Path, target: Path, told: Told, stop: threading.Event) -> None:
        self._log = source.with_name(f"{source.name}-wal")
        self._target = target
        self._told = told
        self._stop = stop
        self._page_bytes = 4096
        self._synced_bytes = 0
        self._began = time.monotonic()

    def copy(self, source: sqlite3.Connection) -> None:
        ((self._page_bytes,),) = source.execute("PRAGMA page_size").fetchall()
        handle = os.open(self._target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with closing(sqlite3.connect(self._target, isolation_level=None)) as target:
                target.execute("PRAGMA synchronous = OFF")  # synced below, in pieces
                target.execute("PRAGMA journal_mode = OFF")  # what is cut off is thrown away
                source.backup(target, pages=STEP_PAGES, progress=lambda *at: self._step(handle, *at))
            os.fsync(handle)
        finally:
            os.close(handle)

    def _step(self, handle: int, status: int, remaining: int, total: int) -> None:
        if self._stop.is_set():
            raise CopyStopped("the copy was given up")
        if _size(self._log) > LOG_BYTES_MAX:
            raise StoreFault(
                "the copy takes too long: so much is written meanwhile; try again at a quiet hour"
            )
        done_bytes = (total - remaining) * self._page_bytes
        self._told(done_bytes, total * self._page_bytes)
        if done_bytes - self._synced_bytes >= CHUNK_BYTES:
            self._synced_bytes = done_bytes
            os.fdatasync(handle)
            self._stop.wait(min(REST_MAX_S, time.monotonic() - self._began))
            self._began = time.monotonic()


def copy_database(source: Path, target: Path, told: Told, stop: threading.Event) -> Counts:
    """Copy `source` as it is at one moment to `target`, which must not exist. On disk when this returns.

    Raises StoreFull, CopyStopped, StoreFault; then nothing of the copy is left.
    """
    copying = _Copying(source, target, told, stop)
    try:
        uri = f"{source.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            counts = count(reader)
            copying.copy(reader)
            return counts
    except FileExistsError as error:
        raise StoreFault(f"{target} exists already; it is not replaced") from error
    except (sqlite3.Error, OSError, StoreFault) as error:
        target.unlink(missing_ok=True)
        raise _fault(source, error) from error


def _fault(source: Path, error: Exception) -> StoreFault:
    if isinstance(error, StoreFault):
        return error
    is_full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    if is_full or (isinstance(error, OSError) and error.errno == 28):
        return StoreFull(f"the disk is full: {source.name} was not copied; free some space")
    return StoreFault(f"{source.name} cannot be copied: {error}")


def count(database: sqlite3.Connection) -> Counts:
    """Of a journal or a telemetry file, by its own indexes. Raises sqlite3.Error."""
    found = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    names = sorted(name for (name,) in found if not name.startswith("sqlite_"))
    tables = {name: _rows(database, name) for name in names if name != "meta"}
    if "journal" not in tables:
        return Counts(tables=tables)
    states = database.execute("SELECT state, count(*) FROM journal INDEXED BY journal_state GROUP BY state")
    return Counts(tables=tables, states=dict(states.fetchall()))


def _rows(database: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    ((rows,),) = database.execute(f'SELECT count(*) FROM "{quoted}"').fetchall()  # noqa: S608
    return int(rows)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class Copies:
    """The copies of one store that are being made."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Future[Counts], threading.Event] = {}

    @property
    def running(self) -> bool:
        """The log must stay as it is: nothing of it may be moved into the database."""
        return any(not work.done() for work in self._running)

    async def make(self, source: Path, target: Path, told: Told) -> Counts:
        """As `copy_database`. Cancelling it ends the copy, and waits until it has."""
        stop = threading.Event()
        thread = ThreadPoolExecutor(1, thread_name_prefix="store-copy")
        work = asyncio.get_running_loop().run_in_executor(thread, copy_database, source, target, told, stop)
        self._running[work] = stop
        try:
            return await asyncio.shield(work)
        finally:
            stop.set()
            await asyncio.wait([work])
            work.exception()  # looked at: nobody else may be there to hear it
            del self._running[work]
            thread.shutdown(wait=False)

    async def end(self) -> None:
        """Stop all of them, and wait until the last has let go of the file."""
        for stop in self._running.values():
            stop.set()
        if self._running:
            await asyncio.wait(list(self._running))
