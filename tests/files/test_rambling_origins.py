"""Origins that never come to an end: they drip just inside every time-out, or flood with what is no file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from edgegw.files.fetch import FetchFailed
from edgegw.files.ftp_client import LINES_MAX
from edgegw.files.pace import Pace, TooSlow
from tests.files.ftp_origin import FtpOrigin
from tests.files.origin import FIRMWARE
from tests.files.rig import box
from tests.files.test_fetch_sftp import HOST_KEY, Doorman

GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
CHUNKED = GOOD + b"Transfer-Encoding: chunked\r\n\r\n"
# Far above what such a test may let an origin send before it is hung up on: it would do so for ever.
FLOOD_BYTES_MAX = 200_000_000
DRIP_EVERY_S = 0.01


@asynccontextmanager
async def speaker(begin: bytes, again: bytes, *, drips: bool) -> AsyncIterator[tuple[int, list[int]]]:
    """A server that says `begin` and then `again` for ever; its port, and the bytes of each connection."""
    sent: list[int] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent.append(0)
        at = len(sent) - 1
        writer.write(begin)
        try:
            while sent[at] < FLOOD_BYTES_MAX:
                writer.write(again)
                sent[at] += len(again)
                await writer.drain()
                await asyncio.sleep(DRIP_EVERY_S if drips else 0)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], sent


async def refusal(tmp_path: Path, url: str, **settings: object) -> FetchFailed:
    async with box(tmp_path, **settings) as here:
        with pytest.raises(FetchFailed) as caught:
            await here.fetcher.fetch(url)
        assert here.cache.files == {}
        return caught.value


# --- drips ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        pytest.param(GOOD + b"Content-Length: 100000\r\n\r\n", b"x", id="the file"),
        pytest.param(CHUNKED + b"5;", b"x", id="a chunk extension"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n0\r\n", b"A: b\r\n", id="trailers"),
    ],
)
async def test_who_drips_just_inside_every_time_out_is_too_slow(tmp_path: Path, begin: bytes, again: bytes):
    async with speaker(begin, again, drips=True) as (port, sent):
        failed = await refusal(tmp_path, f"http://127.0.0.1:{port}/fw.bin", attempts=2, rate_window_s=0.3)
        assert failed.kind == "unreachable"
        assert "too slow: less than 1 kB/s on average over 0.3 s" in failed.text
        assert len(sent) == 2


async def test_a_head_that_drips_in_ends(tmp_path: Path):
    settings = {"connect_timeout_s": 0.2, "stall_timeout_s": 0.2, "attempts": 2}
    async with speaker(GOOD + b"A: ", b"x", drips=True) as (port, _):
        failed = await refusal(tmp_path, f"http://127.0.0.1:{port}/fw.bin", **settings)
        assert failed.kind == "unreachable"


async def test_an_ftp_answer_that_drips_in_ends(tmp_path: Path):
    settings = {"connect_timeout_s": 0.2, "stall_timeout_s": 0.2, "attempts": 2}
    async with speaker(b"220-", b"x\r\n", drips=True) as (port, _):
        failed = await refusal(tmp_path, f"ftp://127.0.0.1:{port}/fw.bin", **settings)
        assert failed.kind == "unreachable"  # too late or too long: whichever it comes to first


async def test_sftp_that_is_asked_for_and_never_begins_ends(tmp_path: Path):
    class Silent(Doorman):
        async def session_requested(self) -> bool:
            await asyncio.Event().wait()
            return False

    server = await asyncssh.listen("127.0.0.1", 0, server_factory=Silent, server_host_keys=[HOST_KEY])
    try:
        known = tmp_path / "known"
        known.write_text(f"[127.0.0.1]:{server.get_port()} {HOST_KEY.export_public_key().decode()}")
        url = f"sftp://hans:geheim@127.0.0.1:{server.get_port()}/fw.bin"
        failed = await refusal(tmp_path / "box", url, known_hosts=known, attempts=1, connect_timeout_s=1.0)
        assert failed.kind == "unreachable"
    finally:
        server.close()
        await server.wait_closed()


# --- floods ---------------------------------------------------------------------------------------

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "again", "why"),
    [
        pytest.param(b"", INTERIM * 1000, "the headers of its answer have no end", id="interim answers"),
        pytest.param(CHUNKED, b"1\r\nx\r\n" * 4000, "more around the file", id="chunks of one byte"),
        pytest.param(CHUNKED + b"5;", b"x" * 64_000, "more around the file", id="a chunk extension"),
    ],
)
async def test_what_is_no_file_is_hung_up_on(
    tmp_path: Path, begin: bytes, again: bytes, why: str, caplog: pytest.LogCaptureFixture
):
    async with speaker(begin, again, drips=False) as (port, sent):
        failed = await refusal(tmp_path, f"http://127.0.0.1:{port}/fw.bin")
        assert failed.kind == "refused"
        assert why in failed.text
        assert sent[0] < FLOOD_BYTES_MAX
        assert len(sent) == 1  # it is not asked again
    assert why in caplog.text


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        pytest.param(GOOD, b"A: b\r\n" * 1000, id="headers"),
        pytest.param(GOOD + b"A: ", b"x" * 10_000, id="one header"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n0\r\n", b"A: b\r\n" * 1000, id="trailers"),
    ],
)
async def test_more_headers_than_are_read_are_an_answer_that_cannot_be_read(
    tmp_path: Path, begin: bytes, again: bytes
):
    async with speaker(begin, again, drips=False) as (port, sent):
        failed = await refusal(tmp_path, f"http://127.0.0.1:{port}/fw.bin", attempts=2)
        assert failed.kind in ("unreachable", "refused")
        assert max(sent) < FLOOD_BYTES_MAX
        assert len(sent) <= 2


@pytest.mark.parametrize("line", [b"220-rules of the house\r\n", b"no number at all\r\n"])
async def test_an_ftp_answer_without_end_is_hung_up_on(tmp_path: Path, line: bytes):
    async with speaker(line, line * 1000, drips=False) as (port, sent):
        failed = await refusal(tmp_path, f"ftp://127.0.0.1:{port}/fw.bin", attempts=2)
        assert (failed.kind, "cannot be read" in failed.text) == ("unreachable", True)
        assert max(sent) < FLOOD_BYTES_MAX


async def test_many_lines_of_greeting_are_no_fault(tmp_path: Path):
    greeting = "220-\r\n" + "220-the rules of the house\r\n" * (LINES_MAX - 2) + "220 ready"
    async with FtpOrigin(FIRMWARE, answers={"": greeting}) as origin, box(tmp_path) as here:
        assert (await here.fetcher.fetch(origin.url())).size_bytes == len(FIRMWARE)


# --- the pace -------------------------------------------------------------------------------------


async def test_who_keeps_the_rate_has_all_the_time_he_needs():
    """A window is far shorter than the transfer."""
    pace = Pace(rate_min_bytes_per_s=1000, window_s=30.0)
    for _ in range(5):
        await pace.of(asyncio.sleep(0.01))
        pace.moved(1_000_000)
        assert pace.left_s == 30.0


async def test_bytes_that_came_earlier_are_no_credit_for_ever():
    pace = Pace(rate_min_bytes_per_s=1000, window_s=0.2)
    pace.moved(1_000_000_000)
    with pytest.raises(TooSlow, match="less than 1 kB/s on average"):
        await pace.of(asyncio.Event().wait())


async def test_a_time_out_of_the_peers_own_stays_what_it_is():
    async def broken() -> None:
        raise TimeoutError("the socket's own")

    with pytest.raises(TimeoutError, match="the socket's own"):
        await Pace(rate_min_bytes_per_s=1000, window_s=30.0).of(broken())


# --- words that nobody can keep -------------------------------------------------------------------


@pytest.mark.parametrize("tag", [b'ETag: "\xff"', b'ETag: "' + b"x" * 8000 + b'"', b"Last-Modified: \xff"])
async def test_a_version_tag_that_cannot_be_kept_is_none(tmp_path: Path, tag: bytes):
    """Two thousand long ones would make the manifest one that is too large to be read again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(GOOD + tag + b"\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, box(tmp_path) as here:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/fw.bin"
        for _ in range(2):
            file = await here.fetcher.fetch(url)
            assert (file.size_bytes, file.etag, file.last_modified) == (5, "", "")
