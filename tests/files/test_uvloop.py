"""What breaks only in the loop that the box really runs in.

uvloop answers a write to a connection that is closed already with RuntimeError, where asyncio says OSError:
whoever expects the one must know the other.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.files.doorstep import NAME, TOKEN, Wire
from tests.files.test_forwarding import office
from tests.files.test_ftp_server import ftp_box

BREAKS = 40  # which of them meets the box between two blocks is luck
DATA = bytes(4_000_000)


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def reset(writer: asyncio.StreamWriter) -> None:
    """As a crash ends a connection: RST, no FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def test_an_ftp_peer_that_breaks_off_its_download(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async def work() -> None:
        async with ftp_box(tmp_path) as box:
            box.shelf.put(DATA)
            async with box.session() as talk:
                for size_bytes in range(1, BREAKS):
                    port = await talk.passive()
                    async with Wire.to(port) as data:
                        await talk.say(f"RETR /fw/{TOKEN}/{NAME}")
                        await data.reader.readexactly(size_bytes * 16_384)
                        reset(data.writer)
                    assert (await talk.read()).startswith("426 ")

    run(work())
    assert errors(caplog) == []


def test_an_ftp_peer_that_dies_in_its_download(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async def work() -> None:
        async with ftp_box(tmp_path) as box:
            box.shelf.put(DATA)
            for size_bytes in range(1, BREAKS):
                async with box.session() as talk, Wire.to(await talk.passive()) as data:
                    await talk.say(f"RETR /fw/{TOKEN}/{NAME}")
                    await data.reader.readexactly(size_bytes * 16_384)
                    reset(talk.wire.writer)
                    reset(data.writer)
            async with box.session() as talk:
                assert (await talk.say("NOOP")).startswith("200 ")

    run(work())
    assert errors(caplog) == []


def test_sessions_that_are_open_when_the_door_closes(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async def work() -> None:
        async with AsyncExitStack() as wires:
            async with ftp_box(tmp_path) as box:
                box.shelf.put(DATA)
                idle = await wires.enter_async_context(Wire.to(box.port))
                await idle.until(b"220 ready\r\n")
                talk = await wires.enter_async_context(box.session())
                data = await wires.enter_async_context(Wire.to(await talk.passive()))
                await talk.say(f"RETR /fw/{TOKEN}/{NAME}")
            for wire in (idle, talk.wire, data):
                with suppress(ConnectionError):
                    await wire.rest()

    run(work())
    assert errors(caplog) == []


def test_a_target_that_breaks_off_uploads(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """The file arrives all the same: the next attempt is not lost with this one."""

    async def work() -> None:
        target = Target(BREAKS)
        async with target.serving(), office(tmp_path) as box:
            assert await box.send(target.url, data=DATA) == (True, "")
        assert target.taken_bytes == len(DATA)

    run(work())
    assert errors(caplog) == []


class Target:
    """An FTP server that resets so many uploads after a bit of them, every other one with its control."""

    def __init__(self, breaks: int) -> None:
        self.breaks = breaks
        self.taken_bytes = 0
        self.url = ""
        self._transfers: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async def arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._transfers.put((reader, writer))

        data = await asyncio.start_server(arrived, "127.0.0.1", 0)
        self._answers = {
            "USER": "331 password",
            "PASS": "230 welcome",
            "TYPE": "200 ok",
            "CWD": "250 ok",
            "EPSV": f"229 passive (|||{data.sockets[0].getsockname()[1]}|)",
        }
        control = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.url = f"ftp://127.0.0.1:{control.sockets[0].getsockname()[1]}/in/"
        try:
            yield
        finally:
            for server in (control, data):
                server.close()
                await server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        try:
            while line := (await reader.readline()).decode():
                word = line.split()[0]
                writer.write(f"{self._answers.get(word, '150 go ahead')}\r\n".encode())
                if word == "STOR":
                    await self._take(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _take(self, control: asyncio.StreamWriter) -> None:
        reader, data = await self._transfers.get()
        if self.breaks:
            await reader.readexactly(self.breaks * 16_384)
            self.breaks -= 1
            if self.breaks % 2:
                reset(control)
            reset(data)
            return
        self.taken_bytes = len(await reader.read())
        data.close()
        control.write(b"226 taken\r\n")
