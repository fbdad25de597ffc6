"""A stranger whose request is refused costs nothing that lasts, at any of the three HTTP doors.

The gateway collects garbage seldom (`app_run`), so what stays in a cycle of references stays: measured, a
quarter of a megabyte per refused request, without end in sight below half a gigabyte.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edgegw.control.listener import Listener
from edgegw.links.charger_server import ChargerServer
from edgegw.runtime.ports import HandshakeRequest, Refused
from edgegw.runtime.tasks import Tasks
from tests.files.doorstep import DEADLINE_S, doorstep

KEPT_PER_REQUEST_MAX = 40_000  # bytes; one of these heads has 200,000
REQUESTS = 40
HEADS = {
    "a long line": b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n",
    "a long header": b"GET /x HTTP/1.1\r\nHost: box\r\nA: " + b"x" * 200_000 + b"\r\n\r\n",
    "many headers": b"GET /x HTTP/1.1\r\nHost: box\r\n" + (b"A: " + b"x" * 2000 + b"\r\n") * 100 + b"\r\n",
    "no HTTP": b"\x00" * 200_000,
}


class Nobody:
    async def admit(self, question: HandshakeRequest) -> Refused:
        return Refused(status=404, reason="unknown")

    def handshake_failed(self, ip: str, reason: str) -> None:
        pass


@asynccontextmanager
async def charger_door(tmp_path: Path) -> AsyncIterator[int]:
    server = ChargerServer(Nobody())
    try:
        yield (await server.start("127.0.0.1", 0))[0][1]
    finally:
        await server.stop()


@asynccontextmanager
async def file_door(tmp_path: Path) -> AsyncIterator[int]:
    async with doorstep(tmp_path) as door:
        yield door.port


@asynccontextmanager
async def control_door(tmp_path: Path) -> AsyncIterator[int]:
    async def nothing(scope: object, receive: object, send: object) -> None:
        raise AssertionError("a refused head reaches nobody")

    tasks = Tasks()
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.setblocking(False)
        listener = Listener(nothing, door, tasks)
        await listener.start("door")
        try:
            yield door.getsockname()[1]
        finally:
            await listener.stop()
            await tasks.cancel()


async def refused(port: int, head: bytes) -> None:
    """Until the door has closed the connection, however it does that."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(DEADLINE_S):
            writer.write(head)
            while await reader.read(4096):
                pass
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()


@pytest.fixture
def no_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("door", [charger_door, file_door, control_door], ids=["charger", "files", "control"])
@pytest.mark.parametrize("kind", HEADS)
async def test_a_refused_head_is_not_kept(
    tmp_path: Path, no_collections: None, caplog: pytest.LogCaptureFixture, door: object, kind: str
):
    caplog.set_level(logging.CRITICAL, "uvicorn.error")
    async with door(tmp_path) as port:  # type: ignore[operator]
        await refused(port, HEADS[kind])  # what is made once is made now
        tracemalloc.start()
        try:
            for _ in range(REQUESTS):
                await refused(port, HEADS[kind])
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert kept < REQUESTS * KEPT_PER_REQUEST_MAX
