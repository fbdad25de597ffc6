"""The flight recorder's part of the telemetry file: blocks of records, the oldest of which go.

Rules of this file:
- A block is about a second of all chargers: they talk alike, so it compresses well, and the disk is asked
  once. An index says which chargers are in it, so the newest of one charger are found without the others.
- No more than the quota: in the commit that adds a block the oldest go.
- Compressing and unpacking happen in a thread of its own. A block that cannot be unpacked is left out.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from edgegw.core.flight import Line
from edgegw.core.flight_block import Block, lines
from edgegw.store.batch import Statement
from edgegw.store.telemetry import Telemetry

log = logging.getLogger(__name__)

LEVEL: Final = 1
ROW_BYTES: Final = 60  # of a row beside its body
INDEX_BYTES: Final = 70  # of a charger in the index, in both orders
OLDEST_MAX: Final = 64  # looked at in one go when room is needed
READ_BLOCKS: Final = 8
UNPACKED_BYTES_MAX: Final = 16 * 1024 * 1024  # of a block; a larger one was not written here
NUMBERS_LOST: Final = 100_000  # numbers that a process may have given when it was killed

_ADD: Final = "INSERT INTO flight VALUES (?, ?, ?, ?, ?, ?)"
_ADD_CHARGER: Final = "INSERT INTO flight_charger VALUES (?, ?)"
_DROP: Final = "DELETE FROM flight WHERE block <= ?"
_DROP_CHARGER: Final = "DELETE FROM flight_charger WHERE block <= ?"
_ABOUT: Final = "SELECT coalesce(max(block), 0), coalesce(max(last_n), 0), coalesce(sum(size), 0) FROM flight"
_OLDEST: Final = "SELECT block, size FROM flight WHERE block > ? ORDER BY block LIMIT ?"
_NEWEST: Final = (
    "SELECT block, first_n, body FROM flight WHERE block < ? AND first_n < ? AND last_at >= ?"
    " ORDER BY block DESC LIMIT ?"
)
_NEWEST_OF: Final = (
    "SELECT f.block, f.first_n, f.body FROM flight_charger c JOIN flight f ON f.block = c.block"
    " WHERE c.charger = ? AND f.block < ? AND f.first_n < ? AND f.last_at >= ?"
    " ORDER BY c.block DESC LIMIT ?"
)
_FROM: Final = (
    "SELECT block, first_n, body FROM flight WHERE block > ? AND last_at >= ? ORDER BY block LIMIT ?"
)
_FROM_OF: Final = (
    "SELECT block, first_n, body FROM flight WHERE block > ? AND last_at >= ? AND block IN"
    " (SELECT block FROM flight_charger WHERE charger IN (?, '')) ORDER BY block LIMIT ?"
)

T = TypeVar("T")


class FlightFile:
    """Made by `await FlightFile.open(...)`; fulfils `runtime.flight_recorder.Sink`."""

    def __init__(self, telemetry: Telemetry, quota_bytes: int) -> None:
        self.next_n = 1
        self.kept_bytes = 0
        self._telemetry = telemetry
        self._quota_bytes = quota_bytes
        self._block = 0
        self._files = 0
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="flight")

    @classmethod
    async def open(cls, telemetry: Telemetry, quota_bytes: int) -> FlightFile:
        """`quota_bytes` 0: nothing is kept, and what was kept goes."""
        self = cls(telemetry, quota_bytes)
        await self._look()
        if self.next_n > 1:
            self.next_n += NUMBERS_LOST
        if self.kept_bytes > quota_bytes:
            await self._telemetry.keep(await self._room_for(0))
            await self._look()
        return self

    def close(self) -> None:
        self._threads.shutdown(wait=False)

    async def _look(self) -> None:
        self._files = self._telemetry.files
        found = await self._telemetry.rows(_ABOUT)
        self._block, last_n, self.kept_bytes = found[0] if found else (0, 0, 0)
        self.next_n = max(self.next_n, last_n + 1)

    # --- in -----------------------------------------------------------------------------------------

    async def write(self, block: Block) -> bool:
        if not block.count or not self._quota_bytes:
            return False
        body = await self._run(lambda: zlib.compress(block.pack(), LEVEL))
        chargers = sorted(block.chargers)
        size = len(body) + ROW_BYTES + INDEX_BYTES * len(chargers)
        if size > self._quota_bytes:
            return False
        if self._telemetry.files != self._files:  # another file: the old one was damaged, or deleted
            await self._look()
        room = await self._room_for(size)
        number = self._block + 1
        row = (number, block.first_n, block.next_n - 1, block.last_at, size, body)
        rows: list[Statement] = [(_ADD, [row]), (_ADD_CHARGER, [(number, charger) for charger in chargers])]
        if not await self._telemetry.keep([*room, *rows]):
            self._files = 0  # what is in the file is not known until it is looked at again
            return False
        self._block = number
        self.kept_bytes += size
        return True

    async def _room_for(self, size: int) -> list[Statement]:
        """What must go, by the way off `kept_bytes`."""
        last = 0
        while self.kept_bytes and self.kept_bytes + size > self._quota_bytes:
            oldest = await self._telemetry.rows(_OLDEST, (last, OLDEST_MAX))
            if not oldest:
                break
            for block, block_size in oldest:
                if self.kept_bytes + size <= self._quota_bytes:
                    break
                last = block
                self.kept_bytes -= block_size
        return [(_DROP, [(last,)]), (_DROP_CHARGER, [(last,)])] if last else []

    # --- out ----------------------------------------------------------------------------------------

    async def newest(
        self, charger: str | None, *, before_n: int, since_at: float = 0.0, below: int | None = None
    ) -> tuple[list[Line], int | None]:
        """Some lines with n < `before_n`, oldest first, of one charger or all; and where to go on (`below`).

        Call again with that, until it is None.
        """
        top = 2**62 if below is None else below
        if charger is None:
            found = await self._telemetry.rows(_NEWEST, (top, before_n, since_at, READ_BLOCKS))
        else:
            found = await self._telemetry.rows(_NEWEST_OF, (charger, top, before_n, since_at, READ_BLOCKS))
        bodies = [(first_n, body) for _, first_n, body in reversed(found)]
        found_lines = await self._run(lambda: [line for one in bodies for line in _lines(*one, charger)])
        kept = [
            line
            for line in found_lines
            if line.n < before_n and line.at >= since_at and charger in (None, line.charger)
        ]
        return kept, found[-1][0] if len(found) == READ_BLOCKS else None

    async def since(self, charger: str | None, since_at: float, after: int) -> tuple[list[Line], int]:
        """Lines, oldest first, of blocks behind block `after`, and where to go on.

        Of one charger with those of the box itself. No lines and the same `after`: that was all.
        """
        if charger is None:
            found = await self._telemetry.rows(_FROM, (after, since_at, READ_BLOCKS))
        else:
            found = await self._telemetry.rows(_FROM_OF, (after, since_at, charger, READ_BLOCKS))
        bodies = [(first_n, body) for _, first_n, body in found]
        kept = await self._run(lambda: [line for one in bodies for line in _lines(*one, charger)])
        return kept, found[-1][0] if found else after

    async def unpacked(self, packed: Iterable[tuple[int, bytes]], charger: str | None) -> list[Line]:
        """Of what is not written yet (`flight_block.lines`)."""
        return await self._run(lambda: [line for one in packed for line in lines(*one, charger)])

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _lines(first_n: int, body: bytes, charger: str | None) -> list[Line]:
    """Of a block; none of one that cannot be read."""
    unpacker = zlib.decompressobj()
    try:
        packed = unpacker.decompress(body, UNPACKED_BYTES_MAX)
        if unpacker.eof:
            return list(lines(first_n, packed, charger))
    except (zlib.error, ValueError):
        pass
    log.warning("telemetry: a block of frames cannot be read; it is left out")
    return []
