"""Uploads through the HTTP door: raw bodies, forms, and bodies that never end."""

from __future__ import annotations

import asyncio
import hashlib
import random
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from edgegw.files.doors import DoorSettings
from edgegw.files.upload_index import UploadSlot
from tests.files.doorstep import DEADLINE_S, NOW, Doorstep, Wire, doorstep, split_answer
from tests.links.house import eventually

DATA = random.Random(2).randbytes(300_001)


async def slot_of(box: Doorstep, order: str = "o1", charger: str = "CP-1") -> UploadSlot:
    return await box.uploads.open_slot(order, charger, expires_at=NOW + 3600, remote_url="http://x.example/")


def kept(box: Doorstep, order: str = "o1") -> tuple[UploadSlot, bytes]:
    path = box.uploads.path_of(order)
    assert path is not None
    return box.uploads.slots[order], path.read_bytes()


def files_in(box: Doorstep) -> list[str]:
    return [path.name for path in box.uploads.folder.iterdir()]


async def test_put_of_a_raw_body(tmp_path: Path):
    async with doorstep(tmp_path) as box, httpx.AsyncClient() as client:
        slot = await slot_of(box)
        url = box.url(f"/up/{slot.token}/CP-1%20diag.zip")
        answer = await client.put(url, content=DATA, headers={"Content-Type": "application/zip"})
        assert answer.status_code == 201
        slot, data = kept(box)
        assert data == DATA
        assert (slot.state, slot.method, slot.sent_name) == ("received", "PUT", "CP-1 diag.zip")
        assert (slot.content_type, slot.field) == ("application/zip", "")
        assert slot.sha256 == hashlib.sha256(DATA).hexdigest()
        (transfer,) = box.server.transfers
        assert (transfer.state, transfer.direction, transfer.bytes_moved) == ("done", "up", len(DATA))
        assert (await client.put(url, content=b"again")).status_code == 200
        assert kept(box)[1] == b"again"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('form-data; name="uploadfile"; filename="logfile_20210420.zip"', "logfile_20210420.zip"),
        ("attachment; filename*=UTF-8''S%C3%A4ule.zip", "Säule.zip"),
        ('attachment; filename="..\\\\..\\\\x/y.zip"', "y.zip"),
        ("attachment", "link.zip"),
        (";;=", "link.zip"),
    ],
)
async def test_the_name_in_a_content_disposition_is_kept(tmp_path: Path, said: str, name: str):
    """OCPP 2.0.1 N01.FR.19: mandatory in a POST."""
    async with doorstep(tmp_path) as box, httpx.AsyncClient() as client:
        slot = await slot_of(box)
        headers = {"Content-Disposition": said, "Content-Type": "application/octet-stream"}
        answer = await client.post(box.url(f"/up/{slot.token}/link.zip"), content=DATA, headers=headers)
        assert answer.status_code == 200
        slot, data = kept(box)
        assert (data, slot.sent_name, slot.disposition, slot.field) == (DATA, name, said, "")


async def test_post_of_a_raw_body_in_chunks(tmp_path: Path):
    async def pieces():
        for start in range(0, len(DATA), 7000):
            yield DATA[start : start + 7000]

    async with doorstep(tmp_path) as box, httpx.AsyncClient() as client:
        slot = await slot_of(box)
        answer = await client.post(box.url(f"/up/{slot.token}"), content=pieces())
        assert answer.status_code == 200
        slot, data = kept(box)
        assert (data, slot.method, slot.sent_name) == (DATA, "POST", "")


async def test_post_of_a_form_takes_its_first_file(tmp_path: Path):
    async with doorstep(tmp_path) as box, httpx.AsyncClient() as client:
        slot = await slot_of(box)
        answer = await client.post(
            box.url(f"/up/{slot.token}/"),
            data={"serial": "4711"},
            files={"logfile": ("CP-1_log.tar.gz", DATA, "application/gzip"), "more": ("b.txt", b"no")},
        )
        assert answer.status_code == 200
        slot, data = kept(box)
        assert data == DATA
        assert (slot.method, slot.field, slot.sent_name) == ("POST", "logfile", "CP-1_log.tar.gz")
        assert slot.content_type == "application/gzip"


@pytest.mark.parametrize("data", [b"", b"\r\n", b"--", b"\r\n--XYZ", b"\r\n--XY\r\n" * 20_000, DATA])
async def test_a_file_in_a_form_may_look_like_a_boundary(tmp_path: Path, data: bytes):
    form = (
        b'--XYZ1\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
        + data
        + b"\r\n--XYZ1--\r\n"
    )
    async with doorstep(tmp_path) as box, httpx.AsyncClient() as client:
        slot = await slot_of(box)
        headers = {"Content-Type": "multipart/form-data; boundary=XYZ1"}
        answer = await client.post(box.url(f"/up/{slot.token}/"), content=form, headers=headers)
        assert answer.status_code == 200
        assert kept(box)[1] == data


async def test_an_http_1_0_upload(tmp_path: Path):
    async with doorstep(tmp_path) as box:
        slot = await slot_of(box)
        head = f"PUT /up/{slot.token}/a HTTP/1.0\nContent-Length: 5\nExpect: 100-continue"
        status, _, _ = split_answer(await box.ask(head, b"hello"))
        assert status.split()[1] == "201"
        assert kept(box)[1] == b"hello"


async def test_a_charger_that_waits_to_be_asked_is_asked(tmp_path: Path):
    async with doorstep(tmp_path) as box, Wire.to(box.port) as wire:
        slot = await slot_of(box)
        await wire.send(
            f"PUT /up/{slot.token}/a HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\n"
            "Expect: 100-continue\r\nConnection: close\r\n\r\n".encode()
        )
        assert await wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(b"hello")
        assert (await wire.rest()).startswith(b"HTTP/1.1 201 ")
        assert kept(box)[1] == b"hello"


@pytest.mark.parametrize(("length", "status"), [(9_000, b"413"), (3_500, b"507")])
async def test_a_charger_that_waits_to_be_asked_sends_nothing_in_vain(
    tmp_path: Path, length: int, status: bytes
):
    async with (
        doorstep(tmp_path, file_bytes_max=8000, charger_quota_bytes=3000) as box,
        Wire.to(box.port) as wire,
    ):
        slot = await slot_of(box)
        await wire.send(
            f"PUT /up/{slot.token}/a HTTP/1.1\r\nHost: b\r\nContent-Length: {length}\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        head = await wire.until(b"\r\n\r\n")
        assert head.split()[1] == status
        assert box.server.transfers[0].state == "refused"


async def test_gzip_stays_gzip(tmp_path: Path):
    """Fault 81: nothing is unpacked, so no bomb goes off."""
    async with doorstep(tmp_path) as box, httpx.AsyncClient() as client:
        slot = await slot_of(box)
        headers = {"Content-Encoding": "gzip"}
        answer = await client.put(
            box.url(f"/up/{slot.token}/a"), content=b"\x1f\x8bnot gzip", headers=headers
        )
        assert answer.status_code == 201
        slot, data = kept(box)
        assert (data, slot.content_encoding) == (b"\x1f\x8bnot gzip", "gzip")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("..%2F..%2Fetc%2Fcron.d%2Fx", "x"),
        ("..", ""),
        ("CON", "_CON"),
        ("d" * 3000 + ".zip", "d" * 196 + ".zip"),
        ("%00%0d%0aX: y", "X_ y"),
    ],
)
async def test_a_name_in_the_path_is_no_path(tmp_path: Path, path: str, shown: str):
    """Fault 81."""
    async with doorstep(tmp_path) as box:
        slot = await slot_of(box)
        lines = f"PUT /up/{slot.token}/{path.replace(' ', '%20')} HTTP/1.1\nHost: b\nContent-Length: 4"
        status, _, _ = split_answer(await box.ask(lines + "\nConnection: close", b"data"))
        assert status.split()[1] == "201"
        slot, data = kept(box)
        assert (data, slot.sent_name) == (b"data", shown)
        assert files_in(box) == [slot.path_name]


async def test_deeper_paths_and_wrong_tokens_get_the_404_of_everybody(tmp_path: Path):
    """Faults 80 and 81: `a/b`, and no word about which token is which."""
    async with doorstep(tmp_path) as box:
        slot = await slot_of(box)

        async def put(path: str, method: str = "PUT") -> bytes:
            head = f"{method} {path} HTTP/1.1\nHost: b\nContent-Length: 4\nConnection: close"
            answer = await box.ask(head, b"data")
            return b"\r\n".join(line for line in answer.split(b"\r\n") if not line.startswith(b"Date:"))

        refusal = await put("/up/unknown/x")
        assert b" 404 " in refusal
        for path in (f"/up/{slot.token}/a/b/c", f"/up/{slot.token}x/a", f"/fw/{slot.token}/a", "/up//a"):
            assert await put(path) == refusal
        assert await put(f"/up/{slot.token}/a", "DELETE") == refusal
        await box.uploads.update("o1", expires_at=NOW)
        assert await put(f"/up/{slot.token}/a") == refusal
        assert files_in(box) == []


# --- what is too much (fault 81) ------------------------------------------------------------------


async def test_100_gb_are_refused_by_their_length(tmp_path: Path):
    """Fault 81."""
    async with doorstep(tmp_path) as box, Wire.to(box.port) as wire:
        slot = await slot_of(box)
        head = f"PUT /up/{slot.token}/a HTTP/1.1\r\nHost: b\r\nContent-Length: {100 * 10**9}\r\n\r\n"
        await wire.send(head.encode() + b"data")
        status, headers, _ = split_answer(await wire.until(b"bytes\n"))
        assert status.split()[1] == "413"
        assert headers["connection"] == "close"
        assert files_in(box) == []


@pytest.mark.parametrize(("limit", "status"), [("file_bytes_max", "413"), ("charger_quota_bytes", "507")])
async def test_a_body_without_length_is_stopped_as_it_grows(tmp_path: Path, limit: str, status: str):
    """Fault 81: the limits hold while it streams."""
    async with doorstep(tmp_path, **{limit: 100_000}) as box, Wire.to(box.port) as wire:
        slot = await slot_of(box)
        head = f"PUT /up/{slot.token}/a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n"
        await wire.send(head.encode())
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        answer = asyncio.create_task(wire.until(b"\r\n\r\n"))
        while not answer.done():
            await wire.send(chunk)
        assert answer.result().split()[1] == status.encode()
        await eventually(lambda: files_in(box) == [])


async def test_a_form_of_nothing_but_fields_ends(tmp_path: Path):
    async with doorstep(tmp_path) as box, httpx.AsyncClient(timeout=DEADLINE_S) as client:
        slot = await slot_of(box)
        field = b'--B\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=B"}
        for form in (field * 3 + b"--B--\r\n", field * 1000, b"--B--\r\n", b"", b"no form at all\r\n"):
            answer = await client.post(box.url(f"/up/{slot.token}/"), content=form, headers=headers)
            assert answer.status_code == 400
        headers = {"Content-Type": "multipart/form-data"}
        answer = await client.post(box.url(f"/up/{slot.token}/"), content=field, headers=headers)
        assert answer.status_code == 400
        assert files_in(box) == []


async def test_uploads_have_seats_too(tmp_path: Path):
    """Fault 81: an upload flood."""
    async with doorstep(tmp_path, DoorSettings(uploads_max=2, queue_s=0.0)) as box, AsyncExitStack() as stack:
        slots = [await slot_of(box, f"o{n}", f"CP-{n}") for n in range(3)]
        for slot in slots[:2]:
            wire = await stack.enter_async_context(Wire.to(box.port))
            head = (
                f"PUT /up/{slot.token}/a HTTP/1.1\r\nHost: b\r\nContent-Length: 9\r\nExpect: 100-continue\r\n"
            )
            await wire.send(head.encode() + b"\r\n")
            await wire.until(b"\r\n\r\n")
        head = f"PUT /up/{slots[2].token}/a HTTP/1.1\nHost: b\nContent-Length: 4\nConnection: close"
        status, headers, _ = split_answer(await box.ask(head, b"data"))
        assert (status.split()[1], headers["retry-after"]) == ("503", "10")


# --- what is cut ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 100",
        "Transfer-Encoding: chunked",
        "Content-Length: 500\r\nContent-Type: multipart/form-data; boundary=B",
    ],
)
@pytest.mark.parametrize("how", ["abort", "eof"])
async def test_a_cut_upload_leaves_nothing_and_is_repeated(tmp_path: Path, head: str, how: str):
    form = b'--B\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nhalf'
    body = form if "boundary" in head else b"a\r\nhalf of it" if "chunked" in head else b"half"
    async with doorstep(tmp_path) as box:
        slot = await slot_of(box)
        async with Wire.to(box.port) as wire:
            await wire.send(f"PUT /up/{slot.token}/a HTTP/1.1\r\nHost: b\r\n{head}\r\n\r\n".encode() + body)
            await eventually(lambda: box.uploads.slots["o1"].state == "receiving")
            if how == "eof":
                wire.writer.close()
                await wire.writer.wait_closed()
        await eventually(lambda: box.uploads.slots["o1"].state == "open" and files_in(box) == [])
        await eventually(lambda: box.server.transfers[0].state == "cut")
        async with httpx.AsyncClient() as client:
            answer = await client.put(box.url(f"/up/{slot.token}/a"), content=DATA)
        assert answer.status_code == 201
        assert kept(box)[1] == DATA


async def test_a_form_that_ends_without_its_boundary_is_not_a_whole_file(tmp_path: Path):
    async with doorstep(tmp_path) as box, httpx.AsyncClient() as client:
        slot = await slot_of(box)
        form = b'--B\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n' + DATA
        headers = {"Content-Type": "multipart/form-data; boundary=B"}
        answer = await client.post(box.url(f"/up/{slot.token}/"), content=form, headers=headers)
        assert answer.status_code == 400
        assert files_in(box) == []


async def test_an_upload_that_stands_still_or_drips_is_cut(tmp_path: Path):
    async with doorstep(tmp_path, DoorSettings(stall_timeout_s=0.3)) as box, Wire.to(box.port) as wire:
        slot = await slot_of(box)
        await wire.send(f"PUT /up/{slot.token}/a HTTP/1.1\r\nHost: b\r\nContent-Length: 500\r\n\r\n".encode())
        answer = asyncio.create_task(wire.until(b"\r\n\r\n"))
        while not answer.done():
            await wire.send(b"x")
            await asyncio.sleep(0.01)
        assert answer.result().split()[1] == b"400"
        await eventually(lambda: files_in(box) == [])


async def test_a_file_that_is_on_its_way_is_not_replaced(tmp_path: Path):
    async with doorstep(tmp_path) as box, httpx.AsyncClient() as client:
        slot = await slot_of(box)
        url = box.url(f"/up/{slot.token}/a")
        await client.put(url, content=b"first")
        await box.uploads.hand_over("o1")
        assert (await client.put(url, content=b"second")).status_code == 409
        assert kept(box)[1] == b"first"


@pytest.mark.parametrize(
    "disposition",
    [
        "attachment; filename*=utf-8''a; filename*1=b",
        "attachment; filename*=idna''abc",
        "attachment; filename*=undefined''abc",
    ],
)
async def test_a_disposition_that_nobody_can_read_names_nothing(tmp_path: Path, disposition: str):
    async with doorstep(tmp_path) as box:
        slot = await slot_of(box)
        head = (
            f"PUT /up/{slot.token}/log.zip HTTP/1.1\nHost: b\nContent-Length: 4\nConnection: close\n"
            f"Content-Disposition: {disposition}"
        )
        assert b" 201 " in (await box.ask(head, b"data")).splitlines()[0]


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Type: \xff/x",
        b"Content-Encoding: \xff",
        b'Content-Disposition: attachment; filename="\xff\xfe.bin"',
    ],
)
async def test_bytes_in_a_header_that_are_no_text_poison_nothing(tmp_path: Path, header: bytes):
    """They are in the one list of all uploads: it could not be written any more, by anybody."""
    async with doorstep(tmp_path) as box, Wire.to(box.port) as wire:
        slot = await slot_of(box)
        head = f"PUT /up/{slot.token} HTTP/1.0\r\nContent-Length: 5\r\n".encode()
        await wire.send(head + header + b"\r\n\r\nhello")
        assert (await wire.rest()).split()[1] == b"201"
        kept = await box.uploads.open_slot("o-2", "CP-2", expires_at=NOW + 60)
        assert kept.order == "o-2"
        there = box.uploads.slots[slot.order]
        assert (there.content_type, there.content_encoding, there.disposition) == ("", "", "")
        assert there.size_bytes == 5


async def test_bytes_in_a_form_that_are_no_text_poison_nothing(tmp_path: Path):
    body = (
        b'--b\r\nContent-Disposition: form-data; name="\xff"; filename="\xff"\r\n'
        b"Content-Type: \xff\r\n\r\nhello\r\n--b--\r\n"
    )
    async with doorstep(tmp_path) as box, Wire.to(box.port) as wire:
        slot = await slot_of(box)
        head = f"PUT /up/{slot.token} HTTP/1.0\r\nContent-Length: {len(body)}\r\n"
        kind = "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        await wire.send((head + kind).encode() + body)
        assert (await wire.rest()).split()[1] == b"201"
        assert (await box.uploads.open_slot("o-2", "CP-2", expires_at=NOW + 60)).order == "o-2"
