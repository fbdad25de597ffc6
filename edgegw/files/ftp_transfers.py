"""What one FTP command moves or tells: RETR, STOR, SIZE, MDTM.

Rules of this file:
- The same seats, throttle, list and stores as the HTTP door; one refusal for whatever opens nothing.
- FTP says "complete" by closing the data connection, as a charger that dies does too. So an upload only
  counts while the control connection lives: when that ends first, the upload was cut.
- Type A moves the same bytes as type I: a firmware whose line ends were changed would be another file.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from aioftp import Connection, StreamIO

from edgegw.files.doors import (
    Busy,
    Direction,
    Doorkeeper,
    GrantView,
    Shelf,
    Transfer,
    Unservable,
    Write,
    grant_for,
    opened,
)
from edgegw.files.receiving import RefusalKind, UploadRefused
from edgegw.files.upload_index import UploadSlot, shown_name
from edgegw.files.uploads import UploadStore

log = logging.getLogger(__name__)

# A process that dies closes both connections at once, and the end of the data may be seen first.
LAST_WORD_S: Final = 0.05
REFUSED: Final = ("550", "not found")  # the one answer to everything that opens nothing
BUSY: Final = ("450", "busy, try again later")
CUT: Final = ("426", "the transfer was cut")
_UPLOAD_CODES: dict[RefusalKind, str] = {
    "too_large": "552",
    "no_room": "552",
    "closed": "553",
    "broken": "451",
}

Place = tuple[str, ...]


def walked(current: Place, text: str) -> Place:
    """Where a path leads, by its words alone: nothing on disk is asked, so nothing is told."""
    parts = [] if text.startswith("/") else list(current)
    for part in text.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


def is_place(path: Place) -> bool:
    """Whether CWD may go there: a charger may take the last name of an upload's address for a folder."""
    deepest = {"fw": 2, "up": 3}
    return not path or len(path) <= deepest.get(path[0], 0)


class Talk(msgspec.Struct, frozen=True):
    """One command under way: the connection it came on and how to answer it."""

    connection: Connection
    path: Place
    start: int = 0  # of REST

    def say(self, code: str, text: str) -> None:
        self.connection.response(code, text)


class FtpTransfers:
    """Carries out the commands that need a file."""

    def __init__(
        self, keeper: Doorkeeper, shelf: Shelf, uploads: UploadStore, wall: Callable[[], float]
    ) -> None:
        self._keeper = keeper
        self._shelf = shelf
        self._uploads = uploads
        self._wall = wall

    async def guarded(
        self, talk: Talk, direction: Direction, work: Callable[[Talk], Awaitable[None]]
    ) -> None:
        """Run `work`; whatever stops it becomes one answer. aioftp's dispatcher needs it never to raise."""
        try:
            async with self._keeper.seat(direction):
                await work(talk)
        except Busy:
            self._note_refused(talk, direction)
            talk.say(*BUSY)
        except Unservable as error:
            self._note_refused(talk, direction)
            log.warning("%s", error)
            talk.say(*REFUSED)
        except UploadRefused as error:
            log.warning("an upload was refused: %s", error)
            talk.say(_UPLOAD_CODES[error.kind], error.text)
        except OSError as error:
            log.info("an FTP transfer was cut: %s", error)
            talk.say(*CUT)
        except asyncio.CancelledError:
            # ABOR, or the control connection has ended: to raise it would end the dispatcher in both.
            talk.say(*CUT)
            talk.say("226", "aborted")
        return None

    def _note_refused(self, talk: Talk, direction: Direction) -> None:
        grant = self._grant(talk.path) if direction == "down" else None
        if grant is not None:
            self._keeper.note_refused(self._transfer(talk, grant, grant.name, "down"))

    # --- downloads --------------------------------------------------------------------------------

    async def send(self, talk: Talk) -> None:
        """RETR, from the offset of REST on."""
        grant = self._grant(talk.path)
        if grant is None:
            return talk.say(*REFUSED)
        with self._keeper.share(grant.token):
            async with opened(self._keeper, self._shelf, grant.sha256) as file:
                if talk.start > file.size_bytes:
                    return talk.say("554", "the file ends before that")
                transfer = self._transfer(talk, grant, grant.name, "down")
                transfer.total_bytes = file.size_bytes - talk.start
                async with self._data(talk, transfer) as stream:
                    await self._keeper.move(
                        transfer, file.reader(talk.start, file.size_bytes), _writes(stream)
                    )
                    if transfer.bytes_moved == transfer.total_bytes:
                        await self._close(stream)
                        transfer.state = "done"
        return talk.say("226", "sent") if transfer.state == "done" else talk.say(*CUT)

    async def tell_size(self, talk: Talk) -> None:
        await self._tell(talk, lambda size_bytes, modified_at: str(size_bytes))

    async def tell_time(self, talk: Talk) -> None:
        await self._tell(talk, lambda size_bytes, modified_at: _ftp_time(modified_at))

    async def _tell(self, talk: Talk, about: Callable[[int, float], str]) -> None:
        grant = self._grant(talk.path)
        if grant is None:
            return talk.say(*REFUSED)
        with self._keeper.share(grant.token):
            async with opened(self._keeper, self._shelf, grant.sha256) as file:
                talk.say("213", about(file.size_bytes, file.modified_at))
        return None

    def _grant(self, path: Place) -> GrantView | None:
        if len(path) != 3 or path[0] != "fw":
            return None
        return grant_for(self._shelf, path[1], path[2])

    # --- uploads ----------------------------------------------------------------------------------

    async def store(self, talk: Talk) -> None:
        """STOR, whole files only."""
        slot = self._slot(talk.path)
        if slot is None:
            return talk.say(*REFUSED)
        if talk.start:
            return talk.say("554", "an upload begins at its beginning")
        name = talk.path[-1] if len(talk.path) > 2 else ""
        with self._keeper.share(slot.token):
            reception = await self._uploads.receive(slot.token)
            transfer = self._transfer(talk, slot, shown_name(name), "up")
            try:
                async with self._data(talk, transfer) as stream:
                    await self._keeper.move(transfer, stream.reader.read, reception.write)
                    await asyncio.sleep(LAST_WORD_S)
                    await reception.finish(method="FTP", sent_name=name)
                    transfer.state = "done"
            finally:
                await reception.abort()
        log.info("received %d bytes of %s from %s", transfer.bytes_moved, slot.kind, slot.charger)
        return talk.say("226", "received")

    def _slot(self, path: Place) -> UploadSlot | None:
        if not 2 <= len(path) <= 4 or path[0] != "up":  # its own name behind what it takes for a folder
            return None
        return self._uploads.slot_of(path[1])

    # --- the data connection ----------------------------------------------------------------------

    @asynccontextmanager
    async def _data(self, talk: Talk, transfer: Transfer) -> AsyncIterator[StreamIO]:
        """The connection that the peer opens to our passive port; a transfer in the list while it moves."""
        with self._keeper.listed(transfer):
            if not talk.connection.future.passive_server.done():
                raise ConnectionRefusedError("PASV or EPSV first")
            talk.say("150", "go ahead")
            arriving = asyncio.shield(talk.connection.future.data_connection)
            stream = await asyncio.wait_for(arriving, self._keeper.settings.idle_timeout_s)
            del talk.connection.data_connection
            try:
                yield stream
            finally:
                # After a whole transfer it is closed already; what is left of another is worth nothing.
                stream.close() if transfer.state == "done" else stream.writer.transport.abort()

    async def _close(self, stream: StreamIO) -> None:
        """Wait until the peer's system has been handed the last byte."""
        stream.writer.close()
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(stream.writer.wait_closed(), self._keeper.settings.stall_timeout_s)

    def _transfer(
        self, talk: Talk, owner: GrantView | UploadSlot, name: str, direction: Direction
    ) -> Transfer:
        return Transfer(
            charger=owner.charger,
            name=name,
            order=owner.order,
            direction=direction,
            protocol="ftp",
            peer_ip=talk.connection.client_host,
            started_at=self._wall(),
        )


def _writes(stream: StreamIO) -> Write:
    async def write(block: bytes) -> None:
        if stream.writer.is_closing():  # uvloop would raise RuntimeError, which is nobody's to catch
            raise ConnectionResetError("the data connection is gone")
        stream.writer.write(block)
        await stream.writer.drain()

    return write


def _ftp_time(at: float) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(at))
