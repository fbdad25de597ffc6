"""The second file: events that wait for the broker, the audit log, frames; never in the way of the journal.

Rules of this file:
- Nothing raises into the caller and nothing waits: what is added is queued in memory, bounded, and written
  in batches by one task over one connection.
- What cannot be written is dropped and counted. Nothing is written while the disk has less free than the
  journal keeps back for messages that are billed.
- An event is handed out only when it is in the file, so its number never comes again, not even after a
  power cut. It goes when the broker has it; the oldest goes when there are more than `events_kept`.
- A file that turns out damaged is moved aside and begun anew: what was in it is lost, and said so.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from edgegw.errors import StoreFault
from edgegw.runtime.audit import AuditEntry
from edgegw.runtime.loop_guard import LoopGuard
from edgegw.runtime.tasks import Tasks
from edgegw.store.batch import Statement
from edgegw.store.database import Database
from edgegw.store.rows import Values
from edgegw.store.session import is_corruption
from edgegw.store.telemetry_file import NAME, SET_META, Opened, open_file, size

log = logging.getLogger(__name__)

AUDIT_ENTRIES_MAX: Final = 100_000
WAITING_MAX: Final = 2_000  # in memory for the next batch; a disk that stands still for longer costs events
BODY_BYTES_MAX: Final = 16 * 1024
BATCH_MAX: Final = 500
GROUP_S: Final = 0.1  # at most ten syncs a second: they are the journal's first
FREE_BYTES_MIN: Final = 1024 * 1024
LOG_BYTES_MAX: Final = 4 * 1024 * 1024

_ADD_EVENT: Final = "INSERT INTO event VALUES (?, ?)"
_DONE: Final = "DELETE FROM event WHERE seq <= ?"
_OLDEST: Final = "DELETE FROM event WHERE seq IN (SELECT seq FROM event ORDER BY seq LIMIT ?)"
_READ: Final = "SELECT seq, body FROM event WHERE seq > ? ORDER BY seq LIMIT ?"
_ADD_AUDIT: Final = "INSERT INTO audit (body) VALUES (?)"
_SHORTEN_AUDIT: Final = "DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?"
_READ_AUDIT: Final = "SELECT id, body FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?"

_ENCODE: Final = msgspec.json.Encoder()
_DECODE: Final = msgspec.json.Decoder(AuditEntry)


def _nobody(_: str) -> None:
    """For callers that do not want to be told."""


class Telemetry:
    """Made by `await Telemetry.open(...)`, ended by `await close()`. Fulfils `runtime.audit.AuditLog`."""

    def __init__(
        self,
        directory: Path,
        opened: Opened,
        events_kept: int,
        reserve_bytes: int,
        wall: Callable[[], float],
        on_damage: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._events_kept = events_kept
        self._free_min = max(reserve_bytes, FREE_BYTES_MIN)
        self._wall = wall
        self._on_damage = on_damage
        self._turn = asyncio.Lock()
        self._work = asyncio.Event()
        self._closing = False
        self._events: deque[tuple[int, bytes]] = deque()  # not written yet
        self._audit: deque[bytes] = deque()
        self._done = self._done_written = 0
        self._database: Database | None = None
        self._distrust = ""  # why the file is to be moved aside
        self.files = 0  # how often a file was opened: what somebody knows of the one before is void
        self._take(opened)
        self.dropped = 0  # events, since the start
        self.audit_dropped = 0
        self.trouble = ""  # why nothing is written; "" while all is well
        self.on_added: Callable[[], None] = lambda: None  # events are there to be read
        self._guard = LoopGuard(log, "writing telemetry")
        self._tasks = Tasks()
        self._writing = self._tasks.spawn(self._run(), "telemetry writer")

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        events_kept: int,
        wall: Callable[[], float],
        reserve_bytes: int = 0,
        on_damage: Callable[[str], None] = _nobody,
    ) -> Telemetry:
        """`telemetry.db` in `directory`, which must exist; made when it is not there.

        `reserve_bytes`: what the journal keeps back; with less free on the disk nothing is written.
        `on_damage` is told, now or later, when the file was moved aside. Raises StoreFault.
        """
        opened = await open_file(directory, wall())
        if opened.moved_aside:
            log.error("telemetry: %s", opened.moved_aside)
            on_damage(opened.moved_aside)
        return cls(directory, opened, events_kept, reserve_bytes, wall, on_damage)

    async def close(self) -> None:
        """Write what waits, then leave one complete file. Safe to call twice."""
        if self._closing:
            return
        self._closing = True
        self._work.set()
        await asyncio.wait((self._writing,))
        async with self._turn:
            database, self._database = self._database, None
            if database is not None:
                await database.close()

    def _take(self, opened: Opened) -> None:
        self.files += 1
        self._database = opened.database
        self.stream = opened.begun.stream
        self._last_seq = opened.begun.last_seq
        self._kept = opened.begun.events
        self._dropped_before = opened.begun.dropped

    # --- events -----------------------------------------------------------------------------------

    def add(self, make: Callable[[int], bytes]) -> None:
        """One more event; `make` is given its number. Numbers rise, also over restarts."""
        self._last_seq += 1
        body = make(self._last_seq)
        if len(body) > BODY_BYTES_MAX or self._closing:
            self._drop(1)
            return
        if len(self._events) >= WAITING_MAX:
            self._events.popleft()
            self._drop(1)
        self._events.append((self._last_seq, body))
        self._work.set()

    async def read(self, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        """(number, body) of events that wait, in order. Empty when the file cannot be read."""
        rows = await self._fetch(_READ, (max(after_seq, self._done), limit))
        return [(seq, body) for seq, body in rows]

    def done(self, seq: int) -> None:
        """All up to this number need not be kept any longer."""
        if seq > self._done:
            self._done = seq
            self._work.set()

    @property
    def waiting(self) -> int:
        """Events that the broker has not, as far as they are kept."""
        return self._kept + len(self._events)

    @property
    def dropped_ever(self) -> int:
        """Events that never went out, since the file was begun."""
        return self._dropped_before + self.dropped

    def _drop(self, count: int) -> None:
        self.dropped += count

    # --- the audit log ----------------------------------------------------------------------------

    def write(self, entry: AuditEntry) -> None:
        body = _ENCODE.encode(entry)
        if len(self._audit) >= WAITING_MAX or len(body) > BODY_BYTES_MAX or self._closing:
            self.audit_dropped += 1
            return
        self._audit.append(body)
        self._work.set()

    async def audit_entries(
        self, limit: int = 100, before: int | None = None
    ) -> list[tuple[int, AuditEntry]]:
        """(id, entry), newest first, of those that are written. `before` pages on."""
        rows = await self._fetch(_READ_AUDIT, (2**63 - 1 if before is None else before, limit))
        found = []
        for number, body in rows:
            try:
                found.append((number, _DECODE.decode(body)))
            except (msgspec.DecodeError, UnicodeDecodeError):
                log.warning("telemetry: entry %d of the audit log cannot be read", number)
        return found

    # --- other tables (`flight`) --------------------------------------------------------------------

    async def keep(self, found: list[Statement]) -> bool:
        """In one transaction. False when nothing of it was written; `trouble` says why. Never raises."""
        async with self._turn:
            try:
                database = await self._usable()
                await database.transaction(found)
                if size(self._directory / f"{NAME}-wal") > LOG_BYTES_MAX:
                    await database.checkpoint()
            except (sqlite3.Error, StoreFault, OSError) as error:
                await self._failed(error)
                return False
            self.trouble = ""
            return True

    async def rows(self, sql: str, values: tuple[int | float | str, ...] = ()) -> list[Values]:
        """Empty when the file cannot be read."""
        async with self._turn:
            if self._database is None:
                return []
            try:
                return await self._database.fetch(sql, values)
            except sqlite3.Error as error:
                await self._failed(error)
                return []

    # --- the file ---------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Until all that was added before is written or dropped."""
        while self._events or self._audit:
            await self._write_batch()

    async def _run(self) -> None:
        while not self._closing:
            await self._work.wait()
            self._work.clear()
            await self._write_batch()
            if self._events or self._audit:
                self._work.set()
            if not self._closing:
                await self._pause()
        await self.flush()
        await self._write_batch()  # what is done, and the counts

    async def _pause(self) -> None:
        """Let a group gather; not at the end."""
        if not (self._events or self._audit):
            await asyncio.sleep(GROUP_S)

    async def _write_batch(self) -> None:
        """What it takes is written or dropped, whatever happens."""
        with self._guard:
            async with self._turn:
                events = [self._events.popleft() for _ in range(min(BATCH_MAX, len(self._events)))]
                audit = [self._audit.popleft() for _ in range(min(BATCH_MAX, len(self._audit)))]
                await self._write(events, audit)
            if events:
                self.on_added()

    async def _write(self, events: list[tuple[int, bytes]], audit: list[bytes]) -> None:
        try:
            await self._commit(events, audit)
            self.trouble = ""
        except Exception as error:
            self._drop(len(events))
            self.audit_dropped += len(audit)
            if not isinstance(error, sqlite3.Error | StoreFault | OSError):
                raise
            await self._failed(error)

    async def _commit(self, events: list[tuple[int, bytes]], audit: list[bytes]) -> None:
        database = await self._usable()
        found: list[Statement] = []
        if events:
            found.append((_ADD_EVENT, list(events)))
        if audit:
            found += [(_ADD_AUDIT, [(body,) for body in audit]), (_SHORTEN_AUDIT, [(AUDIT_ENTRIES_MAX,)])]
        done = self._done
        removed, dropped = await self._transaction(database, found, done, len(events))
        self._done_written = done
        self._kept += len(events) - removed - dropped
        self._drop(dropped)
        if size(self._directory / f"{NAME}-wal") > LOG_BYTES_MAX:
            await database.checkpoint()

    async def _transaction(
        self, database: Database, found: list[Statement], done: int, added: int
    ) -> tuple[int, int]:
        """How many events were done, and how many had to go for those that came. Raises sqlite3.Error."""
        await database.begin()
        try:
            removed = await database.execute_many(_DONE, [(done,)]) if done > self._done_written else 0
            await database.run(found)
            excess = self._kept + added - removed - self._events_kept
            dropped = await database.execute_many(_OLDEST, [(excess,)]) if excess > 0 else 0
            last_seq = self._events[0][0] - 1 if self._events else self._last_seq
            meta = [("last_seq", str(last_seq)), ("dropped", str(self.dropped_ever + dropped))]
            await database.execute_many(SET_META, list(meta))
            await database.commit()
        except sqlite3.Error:
            await database.rollback()
            raise
        return removed, dropped

    async def _usable(self) -> Database:
        """Raises StoreFault, OSError."""
        free = shutil.disk_usage(self._directory).free
        if free < self._free_min:
            raise StoreFault(f"only {free // 1024} KiB are free on the disk")
        if self._database is not None and not (self._directory / NAME).exists():
            lost, self._database = self._database, None
            await lost.close()
            log.error("telemetry: %s was deleted while edgegw runs; it is begun anew", NAME)
            self._drop(self._kept)
            self._on_damage(f"{NAME} was deleted while edgegw runs: events and orders in it are lost")
        if self._database is None:
            self._renew(await open_file(self._directory, self._wall(), distrust=self._distrust))
        assert self._database is not None
        return self._database

    def _renew(self, opened: Opened) -> None:
        """Numbers and counts go on where they are: those of a new file would come again."""
        last_seq, dropped_before = self._last_seq, self._dropped_before
        if opened.moved_aside:
            self._drop(self._kept)
            log.error("telemetry: %s", opened.moved_aside)
            self._on_damage(opened.moved_aside)
        self._distrust = ""
        self._take(opened)
        self._last_seq, self._dropped_before = max(last_seq, self._last_seq), dropped_before

    async def _failed(self, error: Exception) -> None:
        text = f"nothing is written to {NAME}: {error}"
        if not self.trouble:
            log.error("telemetry: %s", text)
        self.trouble = text
        if isinstance(error, sqlite3.Error) and self._database is not None:
            # After a COMMIT of unknown outcome only a new connection says what is there.
            database, self._database = self._database, None
            self._distrust = str(error) if is_corruption(error) else ""
            await database.close()

    async def _fetch(self, sql: str, values: tuple[int, ...]) -> list[tuple[int, bytes]]:
        return [(number, body) for number, body in await self.rows(sql, values)]
