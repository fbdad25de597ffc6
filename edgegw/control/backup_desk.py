"""A backup of the running box: copied beside the store, handed out once, as one archive.

Rules of this file:
- The archive goes to whoever asked, over the connection it asked on. The box writes to no path that a client
  names, and holds nothing of it in memory but blocks.
- One at a time. What is copied stands in a folder of the store (`directory.STAGE`) and goes when it was
  fetched, when its asker goes away, after KEPT_S, and at the next start.
- The disk must have room for the copy and more: a backup never costs the reserve.
- The site file is in it as it is: it holds no passwords, only the names of their files. Those stay out.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from edgegw import __version__
from edgegw.control.backup_models import BackupOrder, BackupProgress, BackupReady
from edgegw.control.file_streams import FileStreams
from edgegw.control.models import ErrorBody, ErrorText
from edgegw.control.problem import Problem
from edgegw.errors import StoreFault, StoreFull
from edgegw.runtime import clock
from edgegw.runtime.tasks import Tasks
from edgegw.store import archive
from edgegw.store.copying import Copies, Counts
from edgegw.store.database import schema_version
from edgegw.store.directory import STAGE
from edgegw.store.journal import Journal
from edgegw.wire.timestamps import format_timestamp

log = logging.getLogger("edgegw.control")

TELL_EVERY_S: Final = 0.25
KEPT_S: Final = 300.0
FREE_BYTES_MIN: Final = 64 * 1024 * 1024  # left on the disk beside the copy


_STOPPED = StoreFault("no backup was made: edgegw stops; ask again when it runs")


class Progress:
    """How far it is; written by the copying thread, read by the loop."""

    def __init__(self) -> None:
        self.now = BackupProgress(phase="copying", done_bytes=0, total_bytes=0)

    def copied(self, done_bytes: int, total_bytes: int) -> None:
        self.now = BackupProgress(phase="copying", done_bytes=done_bytes, total_bytes=total_bytes)

    def hashed(self, done_bytes: int, total_bytes: int) -> None:
        self.now = BackupProgress(phase="hashing", done_bytes=done_bytes, total_bytes=total_bytes)


class Made:
    """An archive that waits to be fetched: its list, and the folder its members lie in."""

    def __init__(self, backup_id: str, manifest: archive.Manifest, folder: Path, made_at_s: float) -> None:
        self.id = backup_id
        self.manifest = manifest
        self.folder = folder
        self.made_at_s = made_at_s
        self.size_bytes = archive.archive_bytes(manifest)


class BackupDesk:
    def __init__(
        self,
        journal: Journal,
        streams: FileStreams,
        *,
        site_id: str,
        firmware: Callable[[], BaseModel],
        started_at: float = 0.0,
    ) -> None:
        self._journal = journal
        self._streams = streams
        self._site_id = site_id
        self._firmware = firmware
        self._started_at = started_at
        self.site_file: Path | None = None  # None: nobody knows; then it is not in a backup
        self._copies = Copies()
        self._tasks = Tasks()
        self._busy = self._stopping = False
        self._waiting: Made | None = None

    async def close(self) -> None:
        """Before the journal is closed: a copy must not hold its log."""
        self._stopping = True
        await self._tasks.cancel()
        if self._waiting is not None:
            _remove(self._waiting.folder)

    # --- making ---------------------------------------------------------------------------------

    def make(self, order: BackupOrder, asker: str) -> AsyncIterator[bytes]:
        """Events for whoever waits; who stops listening ends the work. Raises Problem."""
        if self._stopping:
            raise Problem(503, "stopping", str(_STOPPED))
        if self._busy:
            raise Problem(409, "backup_running", "a backup is being made or fetched: wait until it is done")
        self._room(order)
        self._forget()
        self._busy = True
        progress = Progress()
        work = self._tasks.spawn(self._work(order, progress, asker), "backup")
        return self._events(work, progress)

    async def _work(self, order: BackupOrder, progress: Progress, asker: str) -> Made | StoreFault | OSError:
        backup_id = secrets.token_hex(16)
        folder = self._journal.directory / STAGE / backup_id
        made: Made | None = None
        try:
            made = await self._build(order, progress, backup_id, folder)
            self._keep(made)
            log.info("%s made a backup of %d bytes", asker, made.size_bytes)
            return made
        except (StoreFault, OSError) as fault:
            log.error("no backup was made: %s", fault)
            return fault
        finally:
            self._busy = False
            if made is None:
                _remove(folder)

    async def _events(
        self, work: asyncio.Task[Made | StoreFault | OSError], progress: Progress
    ) -> AsyncIterator[bytes]:
        try:
            while not work.done():
                yield _event("progress", progress.now)
                await asyncio.wait([work], timeout=TELL_EVERY_S)
            yield _event("progress", progress.now)
            yield _last_event(_STOPPED if work.cancelled() else work.result())
        finally:
            work.cancel()

    def _room(self, order: BackupOrder) -> None:
        folder = self._journal.directory
        files = [folder / archive.JOURNAL, *([folder / archive.TELEMETRY] if order.telemetry else [])]
        needed = sum(file.stat().st_size for file in files if file.exists()) + FREE_BYTES_MIN
        free = shutil.disk_usage(folder).free
        if free < needed:
            text = (
                f"{folder} has {free // 2**20} MiB free and a backup needs {needed // 2**20} MiB there for a"
            )
            raise Problem(507, "disk_full", f"{text} moment: free some space")

    async def _build(self, order: BackupOrder, progress: Progress, backup_id: str, folder: Path) -> Made:
        await self._streams.run(lambda: folder.mkdir(mode=0o700, parents=True))
        made_at_s = clock.now().wall
        counts = await self._journal.copy(folder / archive.JOURNAL, progress.copied)
        if order.telemetry and (self._journal.directory / archive.TELEMETRY).exists():
            source = self._journal.directory / archive.TELEMETRY
            await self._copies.make(source, folder / archive.TELEMETRY, progress.copied)
        listed = self._listed()
        newer = await self._streams.run(lambda: self._write_papers(folder, listed))
        members = await self._streams.run(lambda: _members(folder, progress))
        return Made(backup_id, self._manifest(counts, members, made_at_s, newer), folder, made_at_s)

    def _listed(self) -> bytes:
        """Which firmware is kept here; nothing on a box that keeps none."""
        try:
            return self._firmware().model_dump_json(indent=1).encode()
        except Problem:
            return b""

    def _write_papers(self, folder: Path, firmware: bytes) -> bool:
        """The small members. True: the site file was changed after it was read."""
        if firmware:
            (folder / archive.FIRMWARE).write_bytes(firmware)
        if self.site_file is None:
            return False
        with suppress(OSError):  # moved away: then it cannot be in it
            (folder / archive.SITE_FILE).write_bytes(self.site_file.read_bytes())
            return self.site_file.stat().st_mtime > self._started_at
        return False

    def _manifest(
        self, counts: Counts, members: tuple[archive.Member, ...], made_at_s: float, newer: bool
    ) -> archive.Manifest:
        return archive.Manifest(
            format=archive.FORMAT,
            edgegw=__version__,
            schema=schema_version(),
            site=self._site_id,
            made_at=format_timestamp(made_at_s),
            counts=counts,
            members=members,
            site_file_newer=newer,
        )

    # --- handing out ----------------------------------------------------------------------------

    def _keep(self, made: Made) -> None:
        self._waiting = made
        self._tasks.spawn(self._forget_later(made), "backup waits")

    async def _forget_later(self, made: Made) -> None:
        await asyncio.sleep(KEPT_S)
        if self._waiting is made:
            self._forget()

    def _forget(self) -> None:
        made, self._waiting = self._waiting, None
        if made is not None:
            self._remove(made)

    def _remove(self, made: Made) -> None:
        """In a thread: deleting a long file takes a while."""
        self._tasks.spawn(asyncio.to_thread(_remove, made.folder), "backup removed")

    def take(self, backup_id: str) -> tuple[Made, AsyncIterator[bytes]]:
        """The archive, once; tell `done` however its sending ends. Raises Problem."""
        made = self._waiting
        if made is None or not secrets.compare_digest(made.id, backup_id):
            raise Problem(404, "no_such_backup", "no such backup waits here: it was fetched, or is too old")
        self._waiting, self._busy = None, True
        return made, self._blocks(made)

    def done(self, made: Made) -> None:
        self._busy = False
        self._remove(made)

    async def _blocks(self, made: Made) -> AsyncIterator[bytes]:
        papers = archive.manifest_bytes(made.manifest)
        yield archive.head(archive.MANIFEST, len(papers), made.made_at_s)
        yield papers + archive.padding(len(papers))
        for member in made.manifest.members:
            yield archive.head(member.name, member.size_bytes, made.made_at_s)
            file = await self._streams.open(made.folder / member.name)
            try:
                async for block in self._streams.read(file):
                    yield block
            finally:
                file.close()
            yield archive.padding(member.size_bytes)
        yield archive.END


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # another one is being made beside it
        folder.parent.rmdir()


def _members(folder: Path, progress: Progress) -> tuple[archive.Member, ...]:
    names = [name for name in archive.ORDER if (folder / name).exists()]
    total, done, found = sum((folder / name).stat().st_size for name in names), 0, []
    for name in names:
        digest, size_bytes = hashlib.sha256(), 0
        with (folder / name).open("rb") as file:
            while block := file.read(archive.BLOCK_BYTES):
                digest.update(block)
                size_bytes += len(block)
                progress.hashed(done + size_bytes, total)
        done += size_bytes
        found.append(archive.Member(name=name, size_bytes=size_bytes, sha256=digest.hexdigest()))
    return tuple(found)


def _ready(made: Made) -> BackupReady:
    counts, at = made.manifest.counts, made.manifest.made_at
    stamp = re.sub(r"[^0-9]", "", at)[:14]
    return BackupReady(
        id=made.id,
        name=f"edgegw-{made.manifest.site}-{stamp}.tar",
        size_bytes=made.size_bytes,
        made_at=at,
        messages=counts.tables.get("journal", 0),
        transactions=counts.tables.get("transaction_record", 0),
    )


def _last_event(outcome: Made | StoreFault | OSError) -> bytes:
    if isinstance(outcome, Made):
        return _event("ready", _ready(outcome))
    code = "disk_full" if isinstance(outcome, StoreFull) else "store"
    return _event("failed", ErrorBody(error=ErrorText(code=code, text=str(outcome))))


def _event(name: str, model: BaseModel) -> bytes:
    return f"event: {name}\ndata: {model.model_dump_json()}\n\n".encode()
