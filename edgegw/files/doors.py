"""What the HTTP and the FTP door share: who gets a seat, how fast bytes move, and the list of what moved.

Rules of this file:
- A token is the only key. Whoever has none, an old one or another file's gets the one refusal of his
  door, after the same steps, before any file is touched (fault 80).
- Seats are counted before tokens are looked at, and a full house says one thing to everybody: it tells
  nothing about a token. Whose order was turned away is only noted.
- A peer that stands still or drips is cut, and so is a transfer that takes `time_max_s`: nobody keeps a seat
  for ever.
- A file is opened once, never through a symbolic link, and read by position in threads of the doors' own.
"""

from __future__ import annotations

import asyncio
import hmac
import io
import os
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from edgegw.errors import EdgegwError
from edgegw.files.disk import Disk, open_plain
from edgegw.files.pace import Pace
from edgegw.files.throttle import Throttle

TRANSFERS_KEPT = 500  # five rollouts of a hundred chargers, for the screen

READ_AHEAD_BYTES = 256 * 1024  # of a file at once: what a thread costs is shared by four blocks and more

Direction = Literal["down", "up"]


class DoorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of both doors together. A rate of 0 is no limit."""

    downloads_max: int = 64  # at once; a usual site's chargers all at once, each at its share of the rate
    uploads_max: int = 8
    queue_s: float = 45.0  # then who waits is told to come back: chargers give up after 60 s and more
    per_token_max: int = 4  # a charger that loads in several pieces at once; more is a fault in it
    connections_max: int = 200  # HTTP sockets, idle ones included: two per charger of a big site
    ftp_connections_max: int = 64  # a session has one transfer at a time
    rate_bytes_per_s: float = 0.0
    idle_timeout_s: float = 30.0  # a socket that has not said what it wants
    ftp_idle_timeout_s: float = (
        120.0  # between two commands; RFC 1123 asks for 5 minutes, chargers need seconds
    )
    stall_timeout_s: float = 60.0  # for one block, and the window of the rate below
    rate_min_bytes_per_s: float = 1000.0  # on average, our own throttle not counted: 20 MB in 5.5 h
    time_max_s: float = 12 * 3600.0  # one transfer: as long as one of ours from an origin
    retry_after_s: int = 10


class Transfer(msgspec.Struct, kw_only=True):
    """One file on its way through a door."""

    charger: str
    name: str
    order: str
    direction: Direction
    protocol: Literal["http", "https", "ftp"]
    peer_ip: str
    started_at: float
    total_bytes: int | None = None
    bytes_moved: int = 0
    ended_at: float | None = None
    state: Literal["running", "done", "cut", "refused"] = "running"
    by_us: bool = False  # cut by one of our limits or by our stop, not by its peer


class GrantView(Protocol):
    """What a door must know of a grant; `cache.Grant` is one."""

    @property
    def token(self) -> str: ...
    @property
    def charger(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def order(self) -> str: ...


class Shelf(Protocol):
    """Where firmware stands; `FirmwareCache` is one."""

    def grant_of(self, token: str) -> GrantView | None: ...
    async def open_verified(self, sha256: str) -> Path: ...


class Busy(EdgegwError):
    """No seat is free: come back in a while."""


class Unservable(EdgegwError):
    """The file is not there, or is not what it should be."""


class Doorkeeper:
    """Seats, speed and the list of transfers, for every door of the box."""

    def __init__(
        self, settings: DoorSettings, wall: Callable[[], float], throttle: Throttle | None = None
    ) -> None:
        self.settings = settings
        self.throttle = throttle or Throttle(settings.rate_bytes_per_s)
        self.transfers: deque[Transfer] = deque()
        self.stopping = False  # what is cut from here on is not its peer's doing
        self._wall = wall
        self._seats: dict[Direction, asyncio.Semaphore] = {
            "down": asyncio.Semaphore(settings.downloads_max),
            "up": asyncio.Semaphore(settings.uploads_max),
        }
        self._by_token: Counter[str] = Counter()
        self.disk = Disk()

    def close(self) -> None:
        self.disk.close()

    @asynccontextmanager
    async def seat(self, direction: Direction) -> AsyncIterator[None]:
        """One of the seats of this direction; who came first sits first. Busy when none gets free in time.

        A hundred chargers that are told to update come at once, and many never try again when they are
        turned away.
        """
        seats = self._seats[direction]
        try:
            async with asyncio.timeout(self.settings.queue_s):
                await seats.acquire()
        except TimeoutError:
            raise Busy("no seat is free") from None
        try:
            yield
        finally:
            seats.release()

    @contextmanager
    def share(self, token: str) -> Iterator[None]:
        """One of the connections that this token may have at once; Busy when it has them all."""
        if self._by_token[token] >= self.settings.per_token_max:
            raise Busy("this token has all its connections")
        self._by_token[token] += 1
        try:
            yield
        finally:
            self._by_token[token] -= 1
            if not self._by_token[token]:
                del self._by_token[token]

    @contextmanager
    def listed(self, transfer: Transfer) -> Iterator[Transfer]:
        """`transfer` in the list while it runs and after it. Who does not say "done" was cut."""
        self._make_place()
        self.transfers.append(transfer)
        try:
            yield transfer
        finally:
            if transfer.state == "running":
                transfer.state = "cut"
                transfer.by_us = transfer.by_us or self.stopping
            transfer.ended_at = self._wall()

    def note_refused(self, transfer: Transfer) -> None:
        """A peer with a good token was turned away."""
        with self.listed(transfer):
            transfer.state = "refused"

    def troubled(self, order: str) -> bool:
        """Whether this order's file did not get through the doors, and at least once it was our doing."""
        mine = [transfer for transfer in self.transfers if transfer.order == order]
        ours = any(t.by_us or t.state == "refused" for t in mine)
        return ours and not any(t.state == "done" for t in mine)

    def _make_place(self) -> None:
        """Drop the oldest that has ended; there are fewer running ones than places."""
        if len(self.transfers) < TRANSFERS_KEPT:
            return
        for transfer in self.transfers:
            if transfer.state != "running":
                self.transfers.remove(transfer)
                return

    async def move(self, transfer: Transfer, read: Read, write: Write) -> None:
        """Blocks from `read` to `write` until `read` has no more.

        Raises TimeoutError when the peer is too slow or it takes too long in all.
        """
        try:
            async with asyncio.timeout(self.settings.time_max_s) as limit:
                await self._move(transfer, read, write)
        except OSError as error:
            transfer.by_us = not isinstance(error, ConnectionError)
            if limit.expired():
                hours = self.settings.time_max_s / 3600
                raise TimeoutError(f"it was not through after {hours:.3g} h") from None
            raise

    async def _move(self, transfer: Transfer, read: Read, write: Write) -> None:
        pace = Pace(self.settings.rate_min_bytes_per_s, self.settings.stall_timeout_s)
        while block := await pace.of(_block(read, self.throttle.block_bytes)):
            await self.throttle.take(len(block))
            await pace.of(write(block))
            transfer.bytes_moved += len(block)
            pace.moved(len(block))


Read = Callable[[int], Awaitable[bytes]]
Write = Callable[[bytes], Awaitable[Any]]


async def _block(read: Read, size_bytes: int) -> bytes:
    """A full block, or less at the end: who drips bytes gets no more time than who sends none."""
    first = await read(size_bytes)
    if len(first) >= size_bytes or not first:
        return first
    parts, missing = [first], size_bytes - len(first)
    while missing > 0 and (more := await read(missing)):
        parts.append(more)
        missing -= len(more)
    return b"".join(parts)


def same(one: str, other: str) -> bool:
    """Compared in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def grant_for(shelf: Shelf, token: str, name: str) -> GrantView | None:
    """The grant that this token and this name open. Nothing tells which of the two was wrong."""
    grant = shelf.grant_of(token)
    fits = same(name, grant.name if grant is not None else token)
    return grant if fits else None


class OpenFile:
    """A file that is being served; it stays readable when it is evicted meanwhile."""

    def __init__(self, keeper: Doorkeeper, file: io.FileIO) -> None:
        status = os.fstat(file.fileno())
        self._keeper = keeper
        self._file = file
        self.size_bytes = status.st_size
        self.modified_at = status.st_mtime

    def reader(self, start: int, stop: int) -> Read:
        """Reads of the bytes from `start` up to `stop`, one after the other."""
        position, ahead = start, memoryview(b"")

        async def read(size_bytes: int) -> bytes:
            nonlocal position, ahead
            if not ahead and position < stop:
                wanted = min(max(size_bytes, READ_AHEAD_BYTES), stop - position)
                ahead = memoryview(
                    await self._keeper.disk.run(os.pread, self._file.fileno(), wanted, position)
                )
                position += len(ahead)
            block, ahead = bytes(ahead[:size_bytes]), ahead[size_bytes:]
            return block

        return read


@asynccontextmanager
async def opened(keeper: Doorkeeper, shelf: Shelf, sha256: str) -> AsyncIterator[OpenFile]:
    """The verified file with this hash, open. Raises Unservable, and says no more than that."""
    try:
        path = await shelf.open_verified(sha256)
        file = await keeper.disk.run(_open_regular, path)
    except (EdgegwError, OSError, KeyError) as error:
        raise Unservable(f"{sha256[:12]} is not served: {error}") from error
    with file:
        yield OpenFile(keeper, file)


def _open_regular(path: Path) -> io.FileIO:
    return io.FileIO(open_plain(path), "rb")
