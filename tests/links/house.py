"""What the tests of this room share: a gatekeeper, a listener that remembers, raw sockets, a deadline."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from functools import partial
from typing import ClassVar

from websockets.asyncio import client
from websockets.frames import Frame, Opcode

from edgegw.links.charger_server import ChargerServer, ServerSettings
from edgegw.runtime.ports import Admitted, HandshakeRequest, Refused

DEADLINE_S = 30.0
connect = partial(client.connect, open_timeout=DEADLINE_S)  # of its own accord it gives up after 10 s


async def eventually(condition) -> None:
    """For states that send no event (the kernel's, other libraries'); everything else is waited for."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class Listener:
    """Remembers what it was told; echoes when `echo`."""

    def __init__(self, echo: bool = False) -> None:
        self.echo = echo
        self.leg = None
        self.texts: list[bytes] = []
        self.closed: list[tuple[int, str]] = []
        self._changed = asyncio.Event()

    def on_open(self, leg) -> None:
        assert self.leg is None
        self.leg = leg
        self._changed.set()

    def on_text(self, data: bytes) -> None:
        assert type(data) is bytes
        assert self.leg is not None
        self.texts.append(data)
        if self.echo:
            self.leg.send(data)
        self._changed.set()

    def on_closed(self, code: int, reason: str) -> None:
        assert type(code) is int
        self.closed.append((code, reason))
        self._changed.set()

    async def until(self, condition) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    async def until_open(self):
        await self.until(lambda me: me.leg is not None)
        return self.leg

    async def until_closed(self) -> tuple[int, str]:
        await self.until(lambda me: me.closed)
        return self.closed[0]

    async def until_texts(self, count: int) -> list[bytes]:
        await self.until(lambda me: len(me.texts) >= count)
        return self.texts


class Gate:
    """A gatekeeper: `decide(request)` gives the decision; everything it was told stays in lists."""

    def __init__(self, decide=None, **listener) -> None:
        self.decide = decide or self.welcome
        self.requests: list[HandshakeRequest] = []
        self.failures: list[tuple[str, str]] = []
        self.listeners: list[Listener] = []
        self.cancelled = 0
        self._listener = listener
        self._changed = asyncio.Event()

    def welcome(self, request: HandshakeRequest) -> Admitted:
        chosen = request.subprotocols[0] if request.subprotocols else None
        return self.admitted(chosen)

    def admitted(self, subprotocol: str | None, **more) -> Admitted:
        listener = Listener(**self._listener)
        self.listeners.append(listener)
        return Admitted(subprotocol=subprotocol, listener=listener, **more)

    async def admit(self, request: HandshakeRequest) -> Admitted | Refused:
        self.requests.append(request)
        self._changed.set()
        try:
            decision = self.decide(request)
            return await decision if asyncio.iscoroutine(decision) else decision
        except asyncio.CancelledError:
            self.cancelled += 1
            self._changed.set()
            raise

    def handshake_failed(self, peer_ip: str, reason: str) -> None:
        self.failures.append((peer_ip, reason))
        self._changed.set()

    async def until(self, condition) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    async def until_failure(self) -> str:
        await self.until(lambda me: me.failures)
        return self.failures[0][1]


@contextlib.asynccontextmanager
async def serving(gate: Gate, settings: ServerSettings | None = None, tls=None):
    """A started ChargerServer on a free loopback port; yields (server, port)."""
    server = ChargerServer(gate, settings)
    [(_, port)] = await server.start("127.0.0.1", 0, tls=tls)
    try:
        yield server, port
    finally:
        RawPeer.end_all()
        await server.stop(timeout_s=1.0)


class RawPeer:
    """A TCP client that says exactly what it is told to."""

    _made: ClassVar[list[RawPeer]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._made.append(self)

    @classmethod
    def end_all(cls) -> None:
        """What a test that failed left open would fail the next ones too."""
        while cls._made:
            cls._made.pop().writer.transport.abort()

    @classmethod
    async def connect(cls, port: int, **kwargs) -> RawPeer:
        return cls(*await asyncio.open_connection("127.0.0.1", port, **kwargs))

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hear_head(self) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def hear_all(self) -> bytes:
        """Everything until the other side closes."""
        received = b""
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(ConnectionError):
                while data := await self.reader.read(65536):
                    received += data
        return received

    async def hear_frame(self, masked: bool = False) -> Frame:
        async with asyncio.timeout(DEADLINE_S):
            return await read_frame(self.reader)

    async def upgrade(
        self, target: str = "/ocpp/CP1", protocol: str | None = "ocpp1.6", more: str = ""
    ) -> bytes:
        await self.say(upgrade_request(target, protocol, more))
        return await self.hear_head()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, OSError):
            await self.writer.wait_closed()


def upgrade_request(target: str = "/ocpp/CP1", protocol: str | None = "ocpp1.6", more: str = "") -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {target} HTTP/1.1",
        "Host: gateway",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    if protocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    return ("\r\n".join(lines) + "\r\n" + more + "\r\n").encode("utf-8")


def frame(opcode: int, data: bytes = b"", fin: bool = True, mask: bool = True) -> bytes:
    return Frame(Opcode(opcode), data, fin).serialize(mask=mask)


def text(data: bytes, fin: bool = True) -> bytes:
    return frame(1, data, fin)


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next unmasked frame."""
    head = await reader.readexactly(2)
    length = head[1] & 127
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2), "big")
    elif length == 127:
        length = int.from_bytes(await reader.readexactly(8), "big")
    return Frame(Opcode(head[0] & 15), await reader.readexactly(length), bool(head[0] & 128))
