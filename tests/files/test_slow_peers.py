"""Chargers, and who poses as one, that read or write drop by drop: nobody keeps a seat or a socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from edgegw.files.doors import DoorSettings
from tests.files.doorstep import DEADLINE_S, NAME, NOW, TOKEN, Wire, doorstep
from tests.links.house import eventually

LARGE = bytes(8_000_000)  # more than two kernels and a transport hold between them
DRIP_EVERY_S = 0.01
GET = f"GET /fw/{TOKEN}/{NAME} HTTP/1.1\r\nHost: box\r\n\r\n".encode()


@asynccontextmanager
async def small_window(port: int) -> AsyncIterator[socket.socket]:
    """A peer whose system takes little that it does not read."""
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.setblocking(False)
        await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", port))
        yield peer


async def drips_in(peer: socket.socket) -> None:
    """Read byte by byte for ever."""
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while await loop.sock_recv(peer, 1):  # noqa: ASYNC110
            await asyncio.sleep(DRIP_EVERY_S)


@asynccontextmanager
async def beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    running = asyncio.create_task(work)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait((running,))


async def test_a_reader_that_drips_frees_its_seat(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", "edgegw.files")
    settings = DoorSettings(stall_timeout_s=1.5, downloads_max=1, rate_min_bytes_per_s=10_000_000)
    async with doorstep(tmp_path, settings) as door, small_window(door.port) as peer:
        door.shelf.put(LARGE)
        peer.send(GET)
        async with beside(drips_in(peer)):
            await eventually(lambda: door.server.transfers and door.server.transfers[0].state == "cut")
        assert door.server.keeper.troubled("o-CP-1")  # it was the box that cut it: the order may try again
        await eventually(lambda: not door.server.keeper._seats["down"].locked())
    assert "too slow: less than 10000 kB/s on average over 1.5 s" in caplog.text


async def test_a_transfer_has_an_end_even_when_it_keeps_the_rate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO", "edgegw.files")
    settings = DoorSettings(time_max_s=0.5, rate_bytes_per_s=100_000)
    async with doorstep(tmp_path, settings) as door, Wire.to(door.port) as wire:
        door.shelf.put(LARGE)
        await wire.send(GET)
        with suppress(ConnectionError):
            assert len(await wire.rest()) < len(LARGE)
        await eventually(lambda: door.server.transfers[0].state == "cut")
    assert "it was not through after" in caplog.text


async def test_an_upload_that_drips_is_cut_with_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", "edgegw.files")
    async with doorstep(tmp_path, DoorSettings(stall_timeout_s=1.5)) as door, Wire.to(door.port) as wire:
        slot = await door.uploads.open_slot("o-1", "CP-1", expires_at=NOW + 60)
        await wire.send(f"PUT /up/{slot.token} HTTP/1.1\r\nHost: b\r\nContent-Length: 9999\r\n\r\n".encode())
        async with beside(drips_out(wire)):
            answer = await wire.until(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
        await eventually(lambda: list(door.uploads.folder.iterdir()) == [])
    assert "upload of CP-1 was cut: too slow: less than 1 kB/s on average over 1.5 s" in caplog.text


async def drips_out(wire: Wire) -> None:
    with suppress(ConnectionError):
        while True:
            await wire.send(b"x")
            await asyncio.sleep(DRIP_EVERY_S)


async def test_a_head_that_drips_in_keeps_no_socket(tmp_path: Path):
    async with doorstep(tmp_path, DoorSettings(idle_timeout_s=0.3)) as door, Wire.to(door.port) as wire:
        await wire.send(b"GET / HTTP/1.1\r\nA: ")
        async with asyncio.timeout(DEADLINE_S):
            await drips_out(wire)  # until it is hung up on
        await eventually(lambda: door.server.sockets == 0)


@pytest.mark.parametrize("drips", [False, True])
async def test_who_asks_and_does_not_read_the_answers_keeps_no_socket(tmp_path: Path, drips: bool):
    """Needs no token: two hundred of them would shut the door."""
    settings = DoorSettings(stall_timeout_s=0.4)
    async with (
        doorstep(tmp_path, settings) as door,
        small_window(door.port) as peer,
        beside(drips_in(peer) if drips else asyncio.sleep(0)),
        asyncio.timeout(DEADLINE_S),
    ):
        await asks_for_ever(peer)  # until it is hung up on
        await eventually(lambda: door.server.sockets == 0)


async def asks_for_ever(peer: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while True:
            await loop.sock_sendall(peer, b"GET / HTTP/1.1\r\nHost: box\r\n\r\n" * 100)


async def test_who_takes_the_last_block_and_reads_no_more_keeps_no_socket(tmp_path: Path):
    """All is written, the door closes its side, and the peer's system says that it is still there."""
    settings = DoorSettings(stall_timeout_s=0.4, idle_timeout_s=0.2)
    async with doorstep(tmp_path, settings) as door, small_window(door.port) as peer:
        door.shelf.put(LARGE)
        peer.send(GET.replace(b"Host", b"Connection: close\r\nHost"))
        await eventually(lambda: door.server.transfers and door.server.transfers[0].state != "running")
        await eventually(lambda: door.server.sockets == 0)
