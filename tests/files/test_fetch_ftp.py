"""Fetching from FTP servers: faults 75, 76 and 77 again."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from pathlib import Path

import pytest

from edgegw.files.addresses import parse_location
from edgegw.files.fetch import FetchFailed
from edgegw.files.ftp_client import dialled
from tests.files.ftp_origin import FtpOrigin
from tests.files.origin import FIRMWARE, OTHER_FIRMWARE
from tests.files.rig import Box, box

SHA256 = hashlib.sha256(FIRMWARE).hexdigest()
OTHER_SHA256 = hashlib.sha256(OTHER_FIRMWARE).hexdigest()


async def refusal(here: Box, url: str) -> FetchFailed:
    with pytest.raises(FetchFailed) as caught:
        await here.fetcher.fetch(url)
    assert here.cache.files == {}
    return caught.value


async def test_a_file_is_fetched(tmp_path: Path):
    async with FtpOrigin(FIRMWARE) as origin, box(tmp_path) as here:
        file = await here.fetcher.fetch(origin.url())
        assert (file.sha256, file.name, file.size_bytes) == (SHA256, "charger-1.2.bin", len(FIRMWARE))
        assert "USER anonymous" in origin.log
        assert "RETR fw/charger-1.2.bin" in origin.log
        assert here.parts() == []


@pytest.mark.parametrize(
    ("path", "asked"),
    [("%2Fabs/fw.bin", "/abs/fw.bin"), ("/abs/fw.bin", "/abs/fw.bin"), ("a%20b/fw.bin?x", "a b/fw.bin")],
)
async def test_paths_are_what_rfc_1738_says(tmp_path: Path, path: str, asked: str):
    async with FtpOrigin(FIRMWARE) as origin, box(tmp_path) as here:
        await here.fetcher.fetch(origin.url(path))
        assert origin.log[-1] == f"RETR {asked}"


async def test_user_and_password_reach_the_origin_and_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    async with FtpOrigin(FIRMWARE) as origin, box(tmp_path) as here:
        file = await here.fetcher.fetch(origin.url("fw.bin", "hans:ge%68eim@"))
        assert origin.log[:2] == ["USER hans", "PASS geheim"]
        assert file.origin == origin.url("fw.bin")
    assert "geheim" not in caplog.text
    assert "hans" not in caplog.text


async def test_size_and_mdtm_tell_whether_it_is_still_current(tmp_path: Path):
    async with FtpOrigin(FIRMWARE) as origin, box(tmp_path) as here:
        await here.fetcher.fetch(origin.url())
        await here.fetcher.fetch(origin.url())
        assert origin.data_connections == 1
        origin.data, origin.modified = OTHER_FIRMWARE, "20240102100000"
        assert (await here.fetcher.fetch(origin.url())).sha256 == OTHER_SHA256


async def test_without_mdtm_the_file_is_fetched_again(tmp_path: Path):
    async with FtpOrigin(FIRMWARE, modified="") as origin, box(tmp_path) as here:
        await here.fetcher.fetch(origin.url())
        origin.data = OTHER_FIRMWARE
        assert (await here.fetcher.fetch(origin.url())).sha256 == OTHER_SHA256


async def test_an_origin_without_size_is_believed_when_it_says_done(tmp_path: Path):
    async with FtpOrigin(FIRMWARE, knows_size=False) as origin, box(tmp_path, attempts=2) as here:
        origin.says_done = False
        assert (await refusal(here, origin.url())).kind == "unreachable"
        origin.says_done = True
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256


# --- fault 75 -------------------------------------------------------------------------------------


async def test_fault_75_an_inner_server_hears_nothing(tmp_path: Path):
    async with FtpOrigin(FIRMWARE) as origin, box(tmp_path, inward=()) as here:
        assert (await refusal(here, origin.url())).kind == "forbidden"
        assert origin.log == []


async def test_fault_75_the_data_connection_goes_where_the_control_connection_went(tmp_path: Path):
    """PASV names another machine (a bounce): the address is ignored, only the port is used."""
    async with (
        FtpOrigin(FIRMWARE, knows_epsv=False, pasv_address="10,0,0,1") as origin,
        box(tmp_path) as here,
    ):
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256
        assert origin.data_connections == 1


async def test_fault_75_the_checked_address_is_the_connected_one(tmp_path: Path):
    asked: list[str] = []

    def rebinding(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    async with FtpOrigin(FIRMWARE) as origin, box(tmp_path, lookup=rebinding) as here:
        file = await here.fetcher.fetch(f"ftp://rebind.example:{origin.port}/fw.bin")
        assert (file.sha256, asked) == (SHA256, ["rebind.example"])


@pytest.mark.parametrize("path", ["a%0d%0aDELE%20x", "a%00b", "", "folder/"])
async def test_fault_75_a_path_is_one_command(tmp_path: Path, path: str):
    async with FtpOrigin(FIRMWARE) as origin, box(tmp_path) as here:
        assert (await refusal(here, origin.url(path))).kind in ("forbidden", "refused")
        assert origin.log == []


# --- faults 76 and 77 -----------------------------------------------------------------------------


async def test_fault_76_a_file_that_is_too_large_is_not_begun(tmp_path: Path):
    async with FtpOrigin(FIRMWARE) as origin, box(tmp_path, file_bytes_max=1000) as here:
        assert (await refusal(here, origin.url())).kind == "too_large"


async def test_fault_76_a_file_that_does_not_end_is_ended(tmp_path: Path):
    async with (
        FtpOrigin(FIRMWARE, knows_size=False) as origin,
        box(tmp_path, file_bytes_max=1_000_000) as here,
    ):
        assert (await refusal(here, origin.url())).kind == "too_large"
        assert here.parts() == []


async def test_fault_76_an_origin_that_falls_silent_is_given_up(tmp_path: Path):
    async with (
        FtpOrigin(FIRMWARE, cuts=[1000] * 2, hold=True) as origin,
        box(tmp_path, attempts=2, stall_timeout_s=0.2) as here,
    ):
        assert (await refusal(here, origin.url())).kind == "unreachable"


async def test_fault_77_a_cut_download_goes_on_where_it_was_cut(tmp_path: Path):
    async with FtpOrigin(FIRMWARE, cuts=[1_500_000]) as origin, box(tmp_path) as here:
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256
        [rest] = [line for line in origin.log if line.startswith("REST")]
        assert 1_000_000 < int(rest.split()[1]) <= 1_500_000


async def test_fault_77_a_download_goes_on_after_a_restart(tmp_path: Path):
    async with FtpOrigin(FIRMWARE, cuts=[1_500_000]) as origin:
        async with box(tmp_path, attempts=1) as before:
            await refusal(before, origin.url())
        async with box(tmp_path) as after:
            assert (await after.fetcher.fetch(origin.url())).sha256 == SHA256
            assert any(line.startswith("REST 1") for line in origin.log)


async def test_fault_77_an_origin_without_rest_is_read_from_the_start(tmp_path: Path):
    async with FtpOrigin(FIRMWARE, cuts=[1_500_000], knows_rest=False) as origin, box(tmp_path) as here:
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256


@pytest.mark.parametrize("modified", ["20240102100000", "20240101100000"])
async def test_fault_77_content_that_changes_between_parts_is_read_anew(tmp_path: Path, modified: str):
    """With another time, and within the same second."""
    async with (
        FtpOrigin(FIRMWARE, cuts=[1_500_000], hold=True) as origin,
        box(tmp_path) as here,
    ):
        fetching = asyncio.ensure_future(here.fetcher.fetch(origin.url()))
        await here.has_received(1_500_000)
        origin.data, origin.modified = OTHER_FIRMWARE, modified
        origin.release()
        assert (await fetching).sha256 == OTHER_SHA256


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "answer", "why"),
    [
        ("PASS", "530 no", "log-in"),
        ("RETR", "550 no such file", "does not have"),
        ("USER", "530 no", "log-in"),
    ],
)
async def test_a_no_is_final_at_once(tmp_path: Path, command: str, answer: str, why: str):
    async with FtpOrigin(FIRMWARE, answers={command: answer}) as origin, box(tmp_path) as here:
        failed = await refusal(here, origin.url())
        assert (failed.kind, why in failed.text) == ("refused", True)
        assert sum(line.startswith(command) for line in origin.log) == 1


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("", "421 too many users"),
        ("RETR", "450 busy"),
        ("EPSV", "229 passive (nonsense)"),
        ("TYPE", "\x00\xff\xfe"),
        ("", "220-never\r\n ends"),
        ("PASS", "230" + "x" * 100_000),
    ],
)
async def test_a_not_now_and_nonsense_are_tried_again(tmp_path: Path, command: str, answer: str):
    async with (
        FtpOrigin(FIRMWARE, answers={command: answer}) as origin,
        box(tmp_path, attempts=2, stall_timeout_s=0.2, connect_timeout_s=0.5) as here,
    ):
        assert (await refusal(here, origin.url())).kind == "unreachable"


async def test_dialling_that_is_cancelled_before_the_greeting_leaves_no_connection():
    ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    came = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        ended.set_result(await reader.read())
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        there = parse_location(f"ftp://box:{server.sockets[0].getsockname()[1]}/fw.bin")
        async with asyncio.timeout(30):
            async with asyncio.TaskGroup() as group:
                dialling = group.create_task(
                    dialled(there, ["127.0.0.1"], connect_timeout_s=30, stall_timeout_s=30)
                )
                await came.wait()
                dialling.cancel()
            assert await ended == b""
