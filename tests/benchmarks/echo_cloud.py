"""A cloud that accepts everything at the price of a slice: `python -m tests.benchmarks.echo_cloud`.

It looks at message id and action with one split and answers; so what is measured beside it is the proxy.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
import time
from collections.abc import Callable
from typing import cast

import uvloop

from tests.benchmarks import frames

_KEY = re.compile(rb"sec-websocket-key:\s*(\S+)", re.IGNORECASE)
_TRANSACTIONS = itertools.count(1)
_TIME = b'"currentTime":"2026-07-01T12:00:00Z"'
_TAG = b'"idTagInfo":{"status":"Accepted"}'

Heard = Callable[[float, bytes], None]


def answer(text: bytes) -> bytes:
    """CALLRESULT for a CALL with id and action where the benchmark's chargers write them."""
    parts = text.split(b'"', 4)
    return b'[3,"' + parts[1] + b'",{' + _payload(parts[3]) + b"}]"


def _payload(action: bytes) -> bytes:
    if action == b"BootNotification":
        return _TIME + b',"interval":86400,"status":"Accepted"'
    if action == b"StartTransaction":
        return b'"transactionId":%d,' % next(_TRANSACTIONS) + _TAG
    if action == b"Heartbeat":
        return _TIME
    return b""


class CloudLeg(asyncio.Protocol):
    def __init__(self, heard: Heard | None = None, legs: set[asyncio.Transport] | None = None) -> None:
        self._heard = heard
        self._legs = legs
        self._head: bytes | None = b""
        self._reader = frames.Reader()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._legs is not None:
            self._legs.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._legs is not None:
            self._legs.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            data = self._shake_hands(self._head + data)
        out = []
        for opcode, payload in self._reader.feed(data):
            if opcode == frames.TEXT and payload.startswith(b"[2"):
                if self._heard is not None:
                    self._heard(time.monotonic(), payload)
                out.append(frames.plain(answer(payload)))
            elif opcode == frames.PING:
                out.append(frames.plain(payload, frames.PONG))
            elif opcode == frames.CLOSE:
                self._transport.close()
        if out:
            self._transport.write(b"".join(out))

    def _shake_hands(self, data: bytes) -> bytes:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            self._head = data
            return b""
        self._head = None
        key = _KEY.search(head)
        assert key is not None
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + frames.accept_key(key[1]) + b"\r\n"
            b"Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
        )
        return rest


class EchoCloud:
    """The same cloud inside the benchmark's process, for those that cut it or read its clock."""

    def __init__(self, heard: Heard | None = None) -> None:
        self.port = 0
        self._heard = heard
        self._legs: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/csms"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: CloudLeg(self._heard, self._legs), "127.0.0.1", self.port, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Break every connection and listen no more; `start` listens at the same port again."""
        if self._server is not None:
            self._server.close()
            for transport in list(self._legs):
                transport.abort()
            await self._server.wait_closed()
            self._server = None


async def _main() -> None:
    cloud = EchoCloud()
    await cloud.start()
    print(f"listening on {cloud.port}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await cloud.cut()


if __name__ == "__main__":
    uvloop.run(_main())
