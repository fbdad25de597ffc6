"""A proxy between a Modbus client and a Modbus server that lies as it is told.

Rules of this file:
- It knows the frames of Modbus TCP and of RTU by itself and shares no code with the client or the server.
- Without a lie every byte goes through unchanged. A lie changes one answer at a time, in the order given.
- Nothing is timed: an answer that is late waits for the next request or the next connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

EXCEPTION_BIT = 0x80

Until = Literal["next request", "next connection"]


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    transaction: int
    unit: int
    function: int
    address: int
    count: int


@dataclass
class Told:
    """One answer on its way; a lie changes it."""

    asked: Asked
    transaction: int
    unit: int
    function: int
    words: list[int]
    code: int | None = None  # of an exception
    cut: int = 0  # bytes missing at the end
    garbage: bytes = b""  # bytes before it
    copies: int = 1
    drop: bool = False
    close: bool = False
    hold: Until | None = None
    last: list[int] = field(default_factory=list)  # words of the answer before this one

    def frame(self, rtu: bool) -> bytes:
        if self.code is not None:
            pdu = bytes([self.function | EXCEPTION_BIT, self.code])
        else:
            data = b"".join(word.to_bytes(2, "big") for word in self.words)
            pdu = bytes([self.function, len(data)]) + data
        body = bytes([self.unit]) + pdu
        if rtu:
            frame = body + crc(body)
        else:
            frame = self.transaction.to_bytes(2, "big") + b"\0\0" + len(body).to_bytes(2, "big") + body
        return self.garbage + frame[: len(frame) - self.cut] * self.copies


Lie = Callable[[Told], None]


# --- lies -----------------------------------------------------------------------------------------


def drop(told: Told) -> None:
    told.drop = True


def close(told: Told) -> None:
    told.close = True


def previous(told: Told) -> None:
    """The words of the answer before, in the frame of this one."""
    told.words = told.last[: len(told.words)]


def swapped(told: Told) -> None:
    """The words of every pair in the other order."""
    for at in range(0, len(told.words) - 1, 2):
        told.words[at : at + 2] = told.words[at + 1], told.words[at]


def late(until: Until) -> Lie:
    def lie(told: Told) -> None:
        told.hold = until

    return lie


def unit(number: int) -> Lie:
    def lie(told: Told) -> None:
        told.unit = number

    return lie


def transaction(number: int) -> Lie:
    def lie(told: Told) -> None:
        told.transaction = number

    return lie


def older_transaction(told: Told) -> None:
    told.transaction -= 1


def function(number: int) -> Lie:
    def lie(told: Told) -> None:
        told.function = number

    return lie


def exception(code: int) -> Lie:
    def lie(told: Told) -> None:
        told.code = code

    return lie


def cut(count: int) -> Lie:
    def lie(told: Told) -> None:
        told.cut = count

    return lie


def shorter(words: int) -> Lie:
    """A sound frame that holds fewer words than asked."""

    def lie(told: Told) -> None:
        told.words = told.words[:-words]

    return lie


def garbage(text: bytes) -> Lie:
    def lie(told: Told) -> None:
        told.garbage = text

    return lie


def twice(told: Told) -> None:
    told.copies = 2


def put(address: int, words: Sequence[int]) -> Lie:
    """Other words from this address on, in every answer that covers them."""

    def lie(told: Told) -> None:
        for offset, word in enumerate(words):
            at = address + offset - told.asked.address
            if 0 <= at < len(told.words):
                told.words[at] = word

    return lie


def frozen() -> Lie:
    """The first answer to each request, for ever."""
    first: dict[tuple[int, int, int], list[int]] = {}

    def lie(told: Told) -> None:
        key = (told.asked.function, told.asked.address, told.asked.count)
        told.words = first.setdefault(key, told.words)

    return lie


# --- the proxy ------------------------------------------------------------------------------------


class LyingProxy:
    """`once` holds lies for the next answers, one each; `always` those that every answer gets."""

    def __init__(self, port: int, rtu: bool) -> None:
        self.port = 0
        self.asked: list[Asked] = []
        self.connections = 0
        self.once: deque[Lie] = deque()
        self.always: list[Lie] = []
        self._to = port
        self._rtu = rtu
        self._last: list[int] = []
        self._held: list[tuple[Until, bytes]] = []
        self._news = asyncio.Condition()
        self._open: set[asyncio.StreamWriter] = set()
        self._onward: set[asyncio.StreamWriter] = set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until this holds; it is looked at after every request and connection."""
        async with self._news:
            await self._news.wait_for(is_so)

    async def speak(self, data: bytes) -> None:
        """Bytes that nobody asked for, to everyone who is connected."""
        for writer in self._open:
            writer.write(data)
            await writer.drain()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward = await asyncio.open_connection("127.0.0.1", self._to)
        self._open.add(writer)
        self._onward.add(onward)
        self.connections += 1
        try:
            self._release(writer, "next connection")
            await self._tell()
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._one(reader, writer, onward_reader, onward):
                    pass
        finally:
            self._open.discard(writer)
            self._onward.discard(onward)
            onward.close()
            writer.close()
            for one in (onward, writer):
                with suppress(ConnectionError):
                    await one.wait_closed()

    async def _one(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        onward_reader: asyncio.StreamReader,
        onward: asyncio.StreamWriter,
    ) -> bool:
        raw, asked = await self._request(reader)
        self.asked.append(asked)
        self._release(writer, "next request")
        onward.write(raw)
        told = await self._answer(onward_reader, asked)
        for lie in (*self.always, *([self.once.popleft()] if self.once else [])):
            lie(told)
        if not told.code:
            self._last = told.words
        if told.hold is not None:
            self._held.append((told.hold, told.frame(self._rtu)))
        elif not told.drop and not told.close:
            writer.write(told.frame(self._rtu))
            await writer.drain()
        await self._tell()
        return not told.close

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _release(self, writer: asyncio.StreamWriter, when: Until) -> None:
        for _, frame in (one for one in self._held if one[0] == when):
            writer.write(frame)
        self._held = [one for one in self._held if one[0] != when]

    async def _request(self, reader: asyncio.StreamReader) -> tuple[bytes, Asked]:
        if self._rtu:
            raw = await reader.readexactly(8)
            body, number = raw[:6], 0
        else:
            head = await reader.readexactly(6)
            body = await reader.readexactly(int.from_bytes(head[4:6], "big"))
            raw, number = head + body, int.from_bytes(head[:2], "big")
        address, count = int.from_bytes(body[2:4], "big"), int.from_bytes(body[4:6], "big")
        return raw, Asked(number, body[0], body[1], address, count)

    async def _answer(self, reader: asyncio.StreamReader, asked: Asked) -> Told:
        if not self._rtu:
            head = await reader.readexactly(6)
            body = await reader.readexactly(int.from_bytes(head[4:6], "big"))
        else:
            body = await reader.readexactly(3)
            if not body[1] & EXCEPTION_BIT:
                body += await reader.readexactly(body[2])
            await reader.readexactly(2)
        code = body[2] if body[1] & EXCEPTION_BIT else None
        data = b"" if code else body[3:]
        words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
        function = body[1] & ~EXCEPTION_BIT
        return Told(asked, asked.transaction, body[0], function, words, code, last=self._last)

    def close(self) -> None:
        """Ends every connection, and with it who serves it."""
        for writer in (*self._open, *self._onward):
            writer.close()


@asynccontextmanager
async def lying_proxy(port: int, *, rtu: bool = False) -> AsyncIterator[LyingProxy]:
    """Listens on a free port; `port` is the server's."""
    proxy = LyingProxy(port, rtu)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await proxy.serve(reader, writer)
        except OSError:  # no server behind it
            writer.close()
        finally:
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.close()
        await asyncio.gather(*serving)


def crc(data: bytes) -> bytes:
    """CRC-16 of Modbus (over serial line 1.02, 6.2.2), low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")
