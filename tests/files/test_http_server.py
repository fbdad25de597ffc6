"""The HTTP door: real sockets, real files, and requests as bad chargers write them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from msgspec import structs

from edgegw.files.doors import TRANSFERS_KEPT, Doorkeeper, DoorSettings, Transfer
from edgegw.files.http_server import target_of
from edgegw.files.ranges import Span, span_of
from tests.files.doorstep import (
    DEADLINE_S,
    NAME,
    NOW,
    OTHER_TOKEN,
    TOKEN,
    Doorstep,
    Wire,
    doorstep,
    split_answer,
)
from tests.links.house import eventually

DATA = random.Random(1).randbytes(300_001)
PATH = f"/fw/{TOKEN}/{NAME}"


# --- ranges, as numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("", Span(0, 100, False)),
        ("bytes=0-", Span(0, 100, True)),
        ("bytes=0-0", Span(0, 1, True)),
        ("bytes=10-19", Span(10, 20, True)),
        ("Bytes = 10-19", Span(0, 100, False)),
        ("BYTES=10 - 19", Span(10, 20, True)),
        ("bytes=10-1000000", Span(10, 100, True)),
        ("bytes=-30", Span(70, 100, True)),
        ("bytes=-1000", Span(0, 100, True)),
        ("bytes=99-", Span(99, 100, True)),
        ("bytes=100-", None),
        ("bytes=500-600", None),
        ("bytes=-0", None),
        ("bytes=20-10", Span(0, 100, False)),
        ("bytes=-", Span(0, 100, False)),
        ("bytes=--5", Span(0, 100, False)),
        ("bytes=5", Span(0, 100, False)),
        ("lines=1-2", Span(0, 100, False)),
        ("bytes=0-9,5-20", Span(0, 100, False)),
        ("bytes=0-9,20-29", Span(0, 100, False)),
        ("bytes=" + "0-," * 1000 + "0-", Span(0, 100, False)),
        ("bytes=" + "9" * 50 + "-", Span(0, 100, False)),
        ("bytes=0-" + "9" * 19, Span(0, 100, True)),
        ("bytes=\u0661-\u0662", Span(0, 100, False)),
        ("bytes=0x1-0x2", Span(0, 100, False)),
    ],
)
def test_one_range_or_the_whole_file(header: str, span: Span | None):
    """Fault 79: byte ranges `0-,0-,0-...` x 1000, negative, overlapping."""
    assert span_of(header, 100) == span


def test_an_empty_file_has_no_range():
    assert span_of("bytes=0-", 0) is None
    assert span_of("bytes=-5", 0) is None
    assert span_of("", 0) == Span(0, 0, False)


# --- downloads ------------------------------------------------------------------------------------


async def test_a_file_is_served_whole_with_what_a_charger_needs_to_resume(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        box.shelf.put(DATA)
        status, headers, body = await box.get(PATH)
        assert status == "HTTP/1.1 200 OK"
        assert body == DATA
        assert headers["content-length"] == str(len(DATA))
        assert headers["content-type"] == "application/octet-stream"
        assert headers["accept-ranges"] == "bytes"
        assert headers["etag"] == f'"{hashlib.sha256(DATA).hexdigest()}"'
        assert "transfer-encoding" not in headers
        assert headers["server"] == "edgegw"
        (transfer,) = box.server.transfers
        assert (transfer.state, transfer.bytes_moved, transfer.peer_ip) == ("done", len(DATA), "127.0.0.1")
        assert (transfer.charger, transfer.order, transfer.direction) == ("CP-1", "o-CP-1", "down")


async def test_head_tells_the_same_and_moves_nothing(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        box.shelf.put(DATA)
        _, told, _ = await box.get(PATH)
        status, headers, body = await box.get(PATH, "Range: bytes=0-9", method="HEAD")
        assert status == "HTTP/1.1 200 OK"
        assert body == b""
        assert {**headers, "date": ""} == {**told, "date": ""}
        assert len(box.server.transfers) == 1


async def test_an_empty_file_is_served(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        box.shelf.put(b"")
        status, headers, body = await box.get(PATH)
        assert (status, headers["content-length"], body) == ("HTTP/1.1 200 OK", "0", b"")
        assert box.server.transfers[0].state == "done"


async def test_a_name_with_spaces_and_umlauts_is_found_by_its_encoding(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        box.shelf.put(DATA, name="Säule 2 (neu).bin")
        status, _, body = await box.get(f"/fw/{TOKEN}/S%C3%A4ule%202%20(neu).bin?x=1")
        assert (status, body) == ("HTTP/1.1 200 OK", DATA)


async def test_a_cut_download_is_resumed_where_it_stopped(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        box.shelf.put(DATA)
        etag = hashlib.sha256(DATA).hexdigest()
        status, headers, body = await box.get(PATH, "Range: bytes=100000-", f'If-Range: "{etag}"')
        assert status == "HTTP/1.1 206 Partial Content"
        assert headers["content-range"] == f"bytes 100000-{len(DATA) - 1}/{len(DATA)}"
        assert body == DATA[100_000:]


@pytest.mark.parametrize("validator", ['"other"', 'W/"{etag}"', "Sat, 01 Jan 2000 00:00:00 GMT", "{etag}"])
async def test_a_charger_that_has_a_part_of_another_file_gets_the_whole(tmp_path: Path, validator: str):
    async with doorstep(tmp_path) as box:
        etag = box.shelf.put(DATA).sha256
        status, _, body = await box.get(PATH, "Range: bytes=5-", "If-Range: " + validator.format(etag=etag))
        assert (status, body) == ("HTTP/1.1 200 OK", DATA)


async def test_a_date_that_is_the_one_we_sent_joins_too(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        box.shelf.put(DATA)
        _, told, _ = await box.get(PATH, method="HEAD")
        status, _, body = await box.get(PATH, "Range: bytes=5-", "If-Range: " + told["last-modified"])
        assert (status, body) == ("HTTP/1.1 206 Partial Content", DATA[5:])


async def test_who_has_everything_is_told_so(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        box.shelf.put(DATA)
        status, headers, body = await box.get(PATH, f"Range: bytes={len(DATA)}-")
        assert status.split()[1] == "416"
        assert headers["content-range"] == f"bytes */{len(DATA)}"
        assert body == b""


@pytest.mark.parametrize(
    "lines",
    [
        ["Range: bytes=" + "0-," * 600 + "0-"],
        ["Range: bytes=0-100,50-150"],
        ["Range: bytes=0-1", "Range: bytes=2-3"],
    ],
)
async def test_many_ranges_are_the_whole_file_once(tmp_path: Path, lines: list[str]):
    """Fault 79."""
    async with doorstep(tmp_path) as box:
        box.shelf.put(DATA)
        status, _, body = await box.get(PATH, *lines)
        assert (status, body) == ("HTTP/1.1 200 OK", DATA)


async def test_a_header_beyond_all_limits_is_refused_without_being_repeated(tmp_path: Path):
    """Fault 79: ranges x 1000 and more."""
    async with doorstep(tmp_path) as box:
        box.shelf.put(DATA)
        status, _, body = await box.get(PATH, "Range: bytes=" + "0-," * 5000)
        assert status.split()[1] == "400"
        assert body == b"bad request\n"


async def test_an_http_1_0_client_is_served_and_left(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        box.shelf.put(DATA)
        status, headers, body = split_answer(await box.ask(f"GET {PATH} HTTP/1.0"))
        assert status.split()[1] == "200"
        assert headers["content-length"] == str(len(DATA))
        assert "transfer-encoding" not in headers
        assert body == DATA


async def test_several_requests_go_over_one_connection(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        box.shelf.put(DATA)
        async with httpx.AsyncClient() as client:
            for start in (0, 1000, 300_000):
                answer = await client.get(box.url(PATH), headers={"Range": f"bytes={start}-"})
                assert answer.content == DATA[start:]
            assert (await client.get(box.url("/fw/x/y"))).status_code == 404


# --- what opens nothing (fault 80) ----------------------------------------------------------------

NOTHING = [
    "/",
    "/fw",
    "/fw/",
    "/fw//",
    "/fw/../../db",
    "/fw/..%2f..%2fdb",
    f"/fw/{TOKEN}",
    f"/fw/{TOKEN}/",
    f"/fw/{TOKEN}/other.bin",
    f"/fw/{TOKEN}/{NAME}/",
    f"/fw/{TOKEN}/{NAME}/more",
    f"/fw/{TOKEN}/../{TOKEN}/{NAME}",
    f"/fw/{TOKEN}/%2e%2e%2f{NAME}",
    f"/fw/{TOKEN}/..%2F..%2Fuploads%2Fuploads.json",
    f"/fw/{TOKEN}/%2Fetc%2Fpasswd",
    f"/fw/{TOKEN}/{NAME}%00",
    f"/fw/{TOKEN}%00/{NAME}",
    f"/fw/{TOKEN}/%FF%FE",
    f"/fw/{TOKEN}/wallbox-2.4.1%252ebin",
    f"//fw/{TOKEN}/{NAME}",
    f"/FW/{TOKEN}/{NAME}",
    f"/fw/{TOKEN.lower()}/{NAME}",
    f"/fw/{TOKEN[:-1]}/{NAME}",
    f"/fw/{TOKEN}x/{NAME}",
    f"/fw/{OTHER_TOKEN}/{NAME}",  # another charger's token with this charger's file
    "/fw/x/x",
    "/etc/passwd",
    f"http://elsewhere/fw/{TOKEN}/{NAME}",
    f"/up/{TOKEN}/{NAME}",
    "/up",
    "/up/",
    "/up/x/a/b",
]


async def ask_raw(box: Doorstep, method: str, path: str) -> bytes:
    """The whole answer, but for the date."""
    answer = await box.ask(f"{method} {path} HTTP/1.1\nHost: box\nConnection: close")
    return b"\r\n".join(line for line in answer.split(b"\r\n") if not line.startswith(b"Date:"))


@pytest.mark.parametrize("path", NOTHING)
async def test_what_opens_nothing_gets_the_same_bytes_whatever_is_wrong(tmp_path: Path, path: str):
    """Fault 80: traversal, encodings, NUL, absolute, other tokens: one answer, and no file is touched."""
    async with doorstep(tmp_path) as box:
        box.shelf.put(DATA)
        box.shelf.put(DATA[:10], token=OTHER_TOKEN, name="other.bin", charger="CP-2")
        refusal = await ask_raw(box, "GET", f"/fw/{'A' * len(TOKEN)}/{NAME}")
        assert refusal.startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert await ask_raw(box, "GET", path) == refusal
        assert box.shelf.opened == 0
        assert not box.server.transfers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "TRACE", "LOCK"])
async def test_a_wrong_method_on_a_good_token_tells_nothing_either(tmp_path: Path, method: str):
    """Fault 80: no oracle."""
    async with doorstep(tmp_path) as box:
        box.shelf.put(DATA)
        assert await ask_raw(box, method, PATH) == await ask_raw(box, method, "/fw/x/y")
        assert (await ask_raw(box, method, PATH)).startswith(b"HTTP/1.1 404 ")


async def test_an_expired_token_is_an_unknown_one(tmp_path: Path):
    """Fault 80."""
    async with doorstep(tmp_path) as box:
        box.shelf.put(DATA)
        unknown = await ask_raw(box, "GET", "/fw/x/y")
        box.shelf.now = NOW + 3600
        assert await ask_raw(box, "GET", PATH) == unknown
        box.shelf.now = NOW
        assert (await ask_raw(box, "GET", PATH)).startswith(b"HTTP/1.1 200 ")


async def test_raw_rubbish_gets_two_words(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        for rubbish in (
            b"GET /fw/\x00 HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
            b"x\r\n\r\n",
        ):
            async with Wire.to(box.port) as wire:
                await wire.send(rubbish)
                status, _, body = split_answer(await wire.rest())
                assert status.split()[1] == "400"
                assert body == b"bad request\n"


# --- the file on disk (faults 80, 83) -------------------------------------------------------------


async def test_a_symbolic_link_in_the_cache_is_not_followed(tmp_path: Path):
    """Fault 80."""
    async with doorstep(tmp_path) as box:
        grant = box.shelf.put(DATA)
        secret = tmp_path / "secret"
        secret.write_bytes(DATA)
        box.shelf.paths[grant.sha256].unlink()
        box.shelf.paths[grant.sha256].symlink_to(secret)
        assert await ask_raw(box, "GET", PATH) == await ask_raw(box, "GET", "/fw/x/y")


async def test_a_pipe_or_a_folder_in_the_cache_is_not_served(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        grant = box.shelf.put(DATA)

        async def verified(sha256: str) -> Path:
            return tmp_path / "odd"

        box.shelf.open_verified = verified  # type: ignore[method-assign]
        unknown = await ask_raw(box, "GET", "/fw/x/y")
        os.mkfifo(tmp_path / "odd")
        assert await ask_raw(box, "GET", PATH) == unknown
        (tmp_path / "odd").unlink()
        (tmp_path / "odd").mkdir()
        assert await ask_raw(box, "GET", PATH) == unknown
        assert grant.sha256


async def test_a_file_that_was_edited_or_is_gone_is_not_served(tmp_path: Path):
    """Fault 83: the hash is asked for before each serve."""
    async with doorstep(tmp_path) as box:
        grant = box.shelf.put(DATA)
        unknown = await ask_raw(box, "GET", "/fw/x/y")
        assert (await ask_raw(box, "GET", PATH)).startswith(b"HTTP/1.1 200 ")
        box.shelf.paths[grant.sha256].write_bytes(b"evil" + DATA[4:])
        assert await ask_raw(box, "GET", PATH) == unknown
        box.shelf.paths[grant.sha256].unlink()
        assert await ask_raw(box, "GET", PATH) == unknown


async def test_a_file_that_shrinks_while_it_is_served_ends_the_connection(tmp_path: Path):
    """Fault 83: never a body that looks whole and is not."""
    async with doorstep(tmp_path) as box:
        grant = box.shelf.put(bytes(8_000_000))
        async with Wire.to(box.port) as wire:
            await wire.send(f"GET {PATH} HTTP/1.1\r\nHost: box\r\n\r\n".encode())
            await wire.until(b"\r\n\r\n")
            os.truncate(box.shelf.paths[grant.sha256], 100_000)
            assert len(await wire.rest()) < 8_000_000  # and the head has promised that many
            await eventually(lambda: box.server.transfers[0].state == "cut")


# --- many at once (fault 79) ----------------------------------------------------------------------


async def start_and_stall(box: Doorstep, wire: Wire, path: str = PATH) -> None:
    """Ask for the file, read the head, then nothing more."""
    await wire.send(f"GET {path} HTTP/1.1\r\nHost: box\r\n\r\n".encode())
    head = await wire.until(b"\r\n\r\n")
    assert b" 200 " in head
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]


async def test_fifty_chargers_at_once_all_get_it_in_the_end(tmp_path: Path):
    """Fault 79: bounded concurrency; whoever is told to come back comes back."""
    async with doorstep(tmp_path, DoorSettings(downloads_max=4, queue_s=0.0)) as box:
        for n in range(50):
            box.shelf.put(DATA, token=f"token-of-charger-{n:02}-xxxx", charger=f"CP-{n}")
        most = 0

        async def download(client: httpx.AsyncClient, n: int) -> int:
            nonlocal most
            turned_away = 0
            while True:
                answer = await client.get(box.url(f"/fw/token-of-charger-{n:02}-xxxx/{NAME}"))
                most = max(most, sum(t.state == "running" for t in box.server.transfers))
                if answer.status_code == 200:
                    assert answer.content == DATA
                    return turned_away
                assert answer.status_code == 503
                assert answer.headers["retry-after"] == "10"
                turned_away += 1
                await asyncio.sleep(random.Random(n).random() / 50)

        async with (
            httpx.AsyncClient(limits=httpx.Limits(max_connections=50), timeout=DEADLINE_S) as client,
            asyncio.TaskGroup() as group,
        ):
            downloads = [group.create_task(download(client, n)) for n in range(50)]
        assert most <= 4
        assert sum(task.result() for task in downloads) > 0
        done = [t for t in box.server.transfers if t.state == "done"]
        assert {t.charger for t in done} == {f"CP-{n}" for n in range(50)}


async def test_whoever_finds_no_seat_waits_for_one_instead_of_being_turned_away(tmp_path: Path):
    """Fault 79: a charger that is told 503 may never come again."""
    async with doorstep(tmp_path, DoorSettings(downloads_max=2, queue_s=DEADLINE_S)) as box:
        for n in range(40):
            box.shelf.put(DATA, token=f"token-of-charger-{n:02}-xxxx", charger=f"CP-{n}")
        limits = httpx.Limits(max_connections=40)
        async with httpx.AsyncClient(limits=limits, timeout=DEADLINE_S) as client:
            asked = [client.get(box.url(f"/fw/token-of-charger-{n:02}-xxxx/{NAME}")) for n in range(40)]
            answers = await asyncio.gather(*asked)
        assert [(a.status_code, a.content == DATA) for a in answers] == [(200, True)] * 40


async def test_fault_79_what_the_box_did_to_an_order_is_known(tmp_path: Path):
    """A DownloadFailed after it is worth another try; who hangs up himself has nobody to blame."""
    async with doorstep(tmp_path, DoorSettings(downloads_max=1, queue_s=0.0)) as box:
        box.shelf.put(bytes(20_000_000))
        box.shelf.put(DATA, token=OTHER_TOKEN, charger="CP-2")
        keeper, troubled = box.server.keeper, box.server.keeper.troubled
        async with Wire.to(box.port) as slow:
            await start_and_stall(box, slow)
            assert (await box.get(f"/fw/{OTHER_TOKEN}/{NAME}"))[0].split()[1] == "503"
            assert (troubled("o-CP-1"), troubled("o-CP-2"), troubled("other")) == (False, True, False)
        await eventually(lambda: not keeper._seats["down"].locked())
        assert not troubled("o-CP-1"), "it hung up itself"
        patient, keeper.settings = keeper.settings, structs.replace(keeper.settings, stall_timeout_s=0.2)
        async with Wire.to(box.port) as slow:
            await start_and_stall(box, slow)
            await eventually(lambda: troubled("o-CP-1") and not keeper._seats["down"].locked())
        keeper.settings = patient
        assert (await box.get(f"/fw/{OTHER_TOKEN}/{NAME}"))[2] == DATA
        assert not troubled("o-CP-2"), "it has its file after all"


async def test_who_hangs_up_was_not_cut_by_the_box(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        box.shelf.put(bytes(20_000_000))
        async with Wire.to(box.port) as gone:
            await start_and_stall(box, gone)
        await eventually(lambda: box.server.transfers[0].state == "cut")
        assert not box.server.keeper.troubled("o-CP-1")


async def test_a_file_that_is_not_what_it_was_is_the_boxs_doing(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        grant = box.shelf.put(DATA)
        box.shelf.paths[grant.sha256].write_bytes(b"evil")
        assert (await box.get(PATH))[0].split()[1] == "404"
        assert box.server.keeper.troubled("o-CP-1")


async def test_who_hangs_up_in_the_queue_takes_no_seat(tmp_path: Path):
    settings = DoorSettings(downloads_max=1, queue_s=DEADLINE_S)
    async with doorstep(tmp_path, settings) as box, Wire.to(box.port) as slow:
        box.shelf.put(bytes(20_000_000))
        box.shelf.put(DATA, token=OTHER_TOKEN, charger="CP-2")
        await start_and_stall(box, slow)
        seats = box.server.keeper._seats["down"]
        async with Wire.to(box.port) as waiting:
            await waiting.send(f"GET /fw/{OTHER_TOKEN}/{NAME} HTTP/1.1\r\nHost: box\r\n\r\n".encode())
            await eventually(lambda: bool(seats._waiters))
        sockets = box.server._runner.server.connections
        await eventually(lambda: any(socket.transport is None for socket in sockets))
        slow.writer.transport.abort()
        await eventually(lambda: not seats.locked())
        assert box.server.keeper.troubled("o-CP-2"), "it waited in vain"
        assert box.shelf.opened == 1


async def test_a_full_house_says_so_before_it_looks_at_the_token(tmp_path: Path):
    """Faults 79 and 80: 503 is no oracle."""
    async with (
        doorstep(tmp_path, DoorSettings(downloads_max=1, queue_s=0.0)) as box,
        Wire.to(box.port) as slow,
    ):
        box.shelf.put(bytes(20_000_000))
        box.shelf.put(DATA, token=OTHER_TOKEN, charger="CP-2")
        await start_and_stall(box, slow)
        answers = {await ask_raw(box, "GET", path) for path in (f"/fw/{OTHER_TOKEN}/{NAME}", "/fw/x/y", "/")}
        assert len(answers) == 1
        assert b" 503 " in answers.pop()


async def test_one_token_has_four_connections(tmp_path: Path):
    """Fault 79: one charger does not take all seats."""
    async with doorstep(tmp_path) as box, AsyncExitStack() as stack:
        box.shelf.put(bytes(20_000_000))
        box.shelf.put(DATA, token=OTHER_TOKEN, charger="CP-2")
        for _ in range(4):
            await start_and_stall(box, await stack.enter_async_context(Wire.to(box.port)))
        status, headers, _ = await box.get(PATH)
        assert (status.split()[1], headers["retry-after"]) == ("503", "10")
        assert box.server.transfers[-1].state == "refused"
        status, _, body = await box.get(f"/fw/{OTHER_TOKEN}/{NAME}")
        assert body == DATA


async def test_a_reader_that_stands_still_is_cut_and_holds_up_nobody(tmp_path: Path):
    async with doorstep(tmp_path, DoorSettings(stall_timeout_s=0.3)) as box, Wire.to(box.port) as slow:
        box.shelf.put(bytes(20_000_000))
        box.shelf.put(DATA, token=OTHER_TOKEN, charger="CP-2")
        await start_and_stall(box, slow)
        await eventually(lambda: box.server.transfers[0].bytes_moved > 0)
        box.server.keeper.settings = DoorSettings()  # for who comes now: this machine may be slow too
        _, _, body = await box.get(f"/fw/{OTHER_TOKEN}/{NAME}")
        assert body == DATA
        await eventually(lambda: box.server.transfers[0].state == "cut")
        await eventually(lambda: not box.server.keeper._seats["down"].locked())


async def test_a_charger_that_hangs_up_frees_its_seat(tmp_path: Path):
    async with doorstep(tmp_path, DoorSettings(downloads_max=1, queue_s=0.0)) as box:
        box.shelf.put(bytes(20_000_000))
        async with Wire.to(box.port) as gone:
            await start_and_stall(box, gone)
        await eventually(lambda: not box.server.keeper._seats["down"].locked())
        assert box.server.transfers[0].state == "cut"


async def test_a_socket_that_says_nothing_is_closed(tmp_path: Path):
    async with doorstep(tmp_path, DoorSettings(idle_timeout_s=0.2)) as box, Wire.to(box.port) as silent:
        await silent.send(b"GET /fw/")
        assert await silent.rest() == b""


async def test_sockets_are_counted(tmp_path: Path):
    async with doorstep(tmp_path, DoorSettings(connections_max=2)) as box:
        box.shelf.put(DATA)
        async with Wire.to(box.port) as one, Wire.to(box.port) as two:
            for wire in (one, two):
                await wire.send(b"GET /x HTTP/1.1\r\nHost: box\r\n\r\n")
                await wire.until(b"not found\n")
            async with Wire.to(box.port) as three:
                with pytest.raises((ConnectionError, AssertionError)):
                    assert await three.rest()
        await eventually(lambda: len(box.server._runner.server.connections) == 0)
        assert (await box.get(PATH))[2] == DATA


async def test_the_rate_holds_for_all_together(tmp_path: Path):
    """Downloads never starve OCPP: every byte is taken from the one bucket."""
    async with doorstep(tmp_path, DoorSettings(rate_bytes_per_s=20_000_000)) as box:
        box.shelf.put(DATA)
        taken: list[int] = []
        take = box.server.keeper.throttle.take

        async def noted(size_bytes: int) -> None:
            taken.append(size_bytes)
            await take(size_bytes)

        box.server.keeper.throttle.take = noted  # type: ignore[method-assign]
        answers = await asyncio.gather(*(box.get(PATH) for _ in range(3)))
        assert all(body == DATA for _, _, body in answers)
        assert sum(taken) == 3 * len(DATA)
        assert max(taken) <= box.server.keeper.throttle.block_bytes


async def test_stop_cuts_what_is_running(tmp_path: Path):
    async with doorstep(tmp_path) as box, Wire.to(box.port) as slow:
        box.shelf.put(bytes(20_000_000))
        await start_and_stall(box, slow)
        await box.server.stop()
        assert box.server.transfers[0].state == "cut"
        assert box.server.keeper.troubled("o-CP-1")
        with pytest.raises(OSError, match=r"refused|Connect"):
            await asyncio.open_connection("127.0.0.1", box.port)


def test_the_list_drops_what_ended_first_and_nothing_that_runs():
    keeper = Doorkeeper(DoorSettings(), lambda: NOW)

    def transfer(name: str) -> Transfer:
        return Transfer(
            charger="CP",
            name=name,
            order="o",
            direction="down",
            protocol="http",
            peer_ip="::1",
            started_at=NOW,
        )

    with keeper.listed(transfer("running")):
        for n in range(TRANSFERS_KEPT + 10):
            keeper.note_refused(transfer(str(n)))
        assert len(keeper.transfers) == TRANSFERS_KEPT
        assert keeper.transfers[0].name == "running"
        assert keeper.transfers[1].name == "11"
    keeper.close()


def test_a_path_is_read_in_one_form_only():
    assert target_of("/fw/a/b%20c").name == "b c"  # type: ignore[union-attr]
    assert target_of("/up/a").name == ""  # type: ignore[union-attr]
    assert target_of("/up/a/in/log.zip").name == "log.zip"  # type: ignore[union-attr]
    for other in ("", "x", "fw/a/b", "/fw/a/b/c", "/x/a/b", "/up/a/b/c/d", "*"):
        assert target_of(other) is None


async def test_a_door_that_cannot_be_opened_leaves_nothing_behind(tmp_path: Path):
    """It is tried again every few seconds, for as long as another program has the port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        async with doorstep(tmp_path) as box:
            for _ in range(3):
                with pytest.raises(OSError, match="in use"):
                    await box.server.start("127.0.0.1", other.getsockname()[1])
            assert box.server._runner is not None
            assert len(box.server._runner.sites) == 1
