"""Chargers that cost little: one asyncio.Protocol each, frames written by hand, no task per message.

Rules of this file:
- A charger has one CALL outstanding, as OCPP-J 4.1.1 wants; `closed_loop` sends the next on the answer.
- Latency is from writing the CALL to reading its answer, on the clock of this process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import cast
from urllib.parse import urlsplit

from tests.benchmarks import frames
from tests.benchmarks.payloads import Words

DEADLINE_S = 60.0  # for anything: a machine that needs longer is not measured but broken

Say = Callable[[Words], bytes]


class Charger(asyncio.Protocol):
    """Made by `connect`. `on_answer` is called with the text of each answer."""

    def __init__(self, number: int, identity: str, base_url: str) -> None:
        self.words = Words(number)
        self.identity = identity
        self.on_answer: Callable[[bytes], None] = _nobody
        self.on_lost: Callable[[str], None] = _nobody
        self.closed = False
        self.said_last = ""  # the proxy's reason for closing
        self.transport: asyncio.Transport
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._path = f"{urlsplit(base_url).path}/{identity}"
        self._reader = frames.Reader()
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: benchmark\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n"
            "Sec-WebSocket-Key: YmVuY2htYXJrLWJlbmNoIQ==\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if not self.opened.done():
            self.opened.set_exception(ConnectionResetError(self.identity))
        self.on_lost(f"{self.identity}: {self.said_last or exc or 'connection closed'}")

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head[:16]:
                self.opened.set_exception(ConnectionRefusedError(head.decode("latin-1")))
                return
            self.opened.set_result(None)
        for opcode, payload in self._reader.feed(data):
            if opcode == frames.TEXT:
                self.on_answer(payload)
            elif opcode == frames.CLOSE:
                self.said_last = payload[2:].decode("utf-8", "replace")
                self.transport.close()
            elif opcode == frames.PING:
                self.transport.write(frames.masked(payload, frames.PONG))

    def say(self, text: bytes) -> None:
        self.transport.write(frames.masked(text))

    async def ask(self, text: bytes) -> bytes:
        """One CALL and its answer."""
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.on_answer = answered.set_result
        self.say(text)
        async with asyncio.timeout(DEADLINE_S):
            return await answered

    def note_transaction(self, answer: bytes) -> None:
        """StartTransaction.conf: the id that later messages carry."""
        _, found, rest = answer.partition(b'"transactionId":')
        if found:
            self.words.transaction = int(rest.partition(b",")[0].rstrip(b"}]"))


def _nobody(_: object) -> None:
    """Nothing is waited for."""


async def connect(base_url: str, number: int, name: str = "CP") -> Charger:
    """One charger whose WebSocket is open."""
    url = urlsplit(base_url)
    loop = asyncio.get_running_loop()
    _, charger = await loop.create_connection(
        lambda: Charger(number, f"{name}-{number:04d}", base_url), url.hostname, url.port
    )
    async with asyncio.timeout(DEADLINE_S):
        await charger.opened
    return charger


async def fleet(base_url: str, count: int, name: str = "CP") -> list[Charger]:
    """`count` chargers, connected and booted, each with a transaction under way."""
    chargers: list[Charger] = []
    for first in range(0, count, 50):
        batch = range(first, min(first + 50, count))
        chargers += await asyncio.gather(*(_booted(base_url, number, name) for number in batch))
    return chargers


async def _booted(base_url: str, number: int, name: str) -> Charger:
    charger = await connect(base_url, number, name)
    await charger.ask(charger.words.boot())
    await charger.ask(charger.words.status())
    charger.note_transaction(await charger.ask(charger.words.start()))
    await charger.ask(charger.words.meter())
    return charger


async def closed_loop(chargers: Sequence[Charger], total: int, say: Say) -> list[float]:
    """`total` round trips, shared by all; each charger sends its next CALL on the answer. Seconds of each."""
    took: list[float] = []
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    left = total
    clock = time.perf_counter

    def begin(charger: Charger) -> None:
        began = 0.0

        def send() -> None:
            nonlocal left, began
            if left <= 0:
                return
            left -= 1
            text = frames.masked(say(charger.words))
            began = clock()
            charger.transport.write(text)

        def answered(text: bytes) -> None:
            took.append(clock() - began)
            if b'"transactionId"' in text:
                charger.note_transaction(text)
            if len(took) >= total:
                if not done.done():
                    done.set_result(None)
                return
            send()

        charger.on_answer = answered
        send()

    def lost(text: str) -> None:
        if not done.done():
            done.set_exception(ConnectionResetError(text))

    for charger in chargers:
        charger.on_lost = lost
        begin(charger)
    async with asyncio.timeout(DEADLINE_S):
        await done
    return took


class Conversation:
    """For `closed_loop`: every charger begins a transaction, meters, ends it, and begins the next."""

    def __init__(self) -> None:
        self._lives: dict[Words, Iterator[str]] = {}

    def __call__(self, words: Words) -> bytes:
        life = self._lives.get(words)
        if life is None:
            life = self._lives[words] = words.life()
        said: bytes = getattr(words, next(life))()
        return said


def hang_up(chargers: Sequence[Charger]) -> None:
    for charger in chargers:
        charger.on_lost = _nobody
        charger.transport.abort()
