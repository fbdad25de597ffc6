"""`edgegw firmware` and `edgegw diagnostics` against a running gateway."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgegw.cli import diagnostics, rollouts
from edgegw.cli.tables import table
from edgegw.control.firmware_models import UploadView
from edgegw.files.doors import Transfer
from edgegw.files.download import FetchProgress
from tests.cli.conftest import Shell
from tests.control.file_house import FilesHouse
from tests.control.house import House
from tests.e2e.signed_firmware import make_firmware, sign

FIRMWARE = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(FIRMWARE).hexdigest()
FOR = ("--vendor", "Acme", "--model", "Wall", "--version", "2.0")


@pytest.fixture
async def house(tmp_path, monkeypatch) -> AsyncIterator[FilesHouse]:
    monkeypatch.setattr(rollouts, "POLL_S", 0.02)
    monkeypatch.setattr(diagnostics, "POLL_S", 0.02)
    house = FilesHouse(tmp_path)
    await house.start()
    yield house
    await house.stop()


@pytest.fixture
def shell(house: FilesHouse) -> Shell:
    return Shell(house)


@pytest.fixture
def source(tmp_path) -> Path:
    (tmp_path / "mine").mkdir()
    path = tmp_path / "mine" / "fw-2.0.bin"
    path.write_bytes(FIRMWARE)
    return path


async def test_without_files_in_the_site_file_it_says_so(tmp_path):
    plain = House(tmp_path)
    await plain.start()
    shell = Shell(plain)
    for words in (("firmware",), ("firmware", "rollouts"), ("diagnostics",), ("diagnostics", "get", "CP-1")):
        assert "[files] is not in the site file" in (await shell(*words, code=1)).stderr
    assert (await shell.json("firmware", code=1))["error"]["code"] == "no_files"
    await plain.stop()


# --- files ------------------------------------------------------------------------------------------


async def test_add_list_and_remove(house: FilesHouse, shell: Shell, source: Path):
    assert "no firmware is kept here" in (await shell("firmware")).stdout
    told = await shell("firmware", "add", str(source), *FOR)
    assert told.stdout == f"fw-2.0.bin: 1000.0 KiB, sha256 {SHA256}\n"
    assert told.stderr == ""
    lines = (await shell("firmware")).stdout.splitlines()
    assert lines[0].split()[:4] == ["FILE", "VERSION", "FOR", "SIZE"]
    assert lines[1].split() == [
        "fw-2.0.bin", "2.0", "Acme", "Wall", "1000.0", "KiB", SHA256[:12], "-", "added", "here", "-",
    ]  # fmt: skip
    assert (await shell.json("firmware"))["files"][0]["sha256"] == SHA256
    short = (await shell("firmware", "remove", SHA256[:5], code=1)).stderr
    assert f"{SHA256[:5]} is too short to name a file by its hash: give 6 characters of it" in short
    assert (await shell("firmware", "remove", SHA256[:8])).stdout == "fw-2.0.bin removed\n"
    assert "is not kept here" in (await shell("firmware", "remove", SHA256[:8], code=1)).stderr
    assert house.shelf.files == {}


async def test_what_moves_is_listed(house: FilesHouse, shell: Shell):
    fetch = FetchProgress(key="k", shown="http://origin/fw.bin", name="fw.bin", started_at=1.8e9)
    fetch.received_bytes, fetch.total_bytes = 2048, 4096
    house.shelf.fetching.append(fetch)
    house.shelf.transfers += [
        Transfer(charger=name, name="fw.bin", order="o", direction="down", protocol="http", state=state,
                 peer_ip="192.0.2.7", started_at=1.8e9, total_bytes=4096, bytes_moved=1024)
        for name, state in (("CP-1", "running"), ("CP-2", "done"))
    ]  # fmt: skip
    text = (await shell("firmware")).stdout
    assert "http://origin/fw.bin" in text
    assert "2.0 KiB" in text
    assert [line.split()[0] for line in text.splitlines() if "to it" in line] == ["CP-1"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("add", "no-such-file.bin", *FOR), 2, "does not exist"),
        (("add", "FILE", "--vendor", "Acme"), 2, "Missing option"),
        (("add", "FILE", *FOR, "--name", "a/b"), 1, "is no name of a file"),
        (("remove", "12345"), 1, "is not kept here"),
        (("rollout", "fw-9.bin"), 1, '"edgegw firmware add" keeps a file'),
        (("rollout", "x", "--window", "22"), 2, 'such as "22:00-05:00"'),
        (("rollout", "x", "--at-once", "0"), 2, "not in the range"),
        (("pause", "7"), 1, "there is no rollout '7'"),
        (("rollouts", "7"), 1, "there is no rollout '7'"),
    ],
)
async def test_what_cannot_be_done_is_said(
    shell: Shell, source: Path, arguments: tuple[str, ...], code: int, words: str
):
    told = (str(source) if word == "FILE" else word for word in arguments)
    assert words in (await shell("firmware", *told, code=code)).stderr


async def test_two_files_of_one_name_are_told_apart(shell: Shell, source: Path):
    await shell("firmware", "add", str(source), *FOR)
    await asyncio.to_thread(source.write_bytes, b"another")
    await shell("firmware", "add", str(source), *FOR)
    refused = await shell("firmware", "remove", "fw-2.0.bin", code=1)
    assert "2 files here are called fw-2.0.bin" in refused.stderr
    assert SHA256[:12] in refused.stderr
    assert (await shell("firmware", "remove", str(source))).stdout == "fw-2.0.bin removed\n"  # the same file
    assert (await shell("firmware", "remove", "fw-2.0.bin")).stdout == "fw-2.0.bin removed\n"


# --- rollouts ---------------------------------------------------------------------------------------


async def test_a_rollout_is_followed_to_its_end(house: FilesHouse, shell: Shell, source: Path):
    charger = await house.idles("CP-1")
    await shell("firmware", "add", str(source), *FOR)
    following = asyncio.create_task(
        shell("firmware", "rollout", "fw-2.0.bin", "--stop-after-failures", "1", "--follow", code=1)
    )
    await house.gets_update(charger)
    await house.reports(charger, "Downloading", "InstallationFailed")
    lines = (await following).stdout.splitlines()
    assert lines[-2:] == [
        "1/1 CP-1 failed: InstallationFailed",
        "rollout 1: ended: 1 failed",
    ]
    detail = (await shell("firmware", "rollouts", "1")).stdout
    assert "rollout 1 of fw-2.0.bin 2.0: ended: 1 failed" in detail
    assert "1 at once, only idle ones, stops after 1 failure" in detail
    assert "InstallationFailed" in detail


async def test_pause_resume_stop_and_the_list(house: FilesHouse, shell: Shell, source: Path):
    await house.boots("CP-1")
    await shell("firmware", "add", str(source), *FOR)
    assert "no rollouts" in (await shell("firmware", "rollouts")).stdout
    begun = await shell(
        "firmware", "rollout", SHA256[:10], "--charger", "CP-1", "--at-once", "3", "--window", "22:00-05:00"
    )
    assert begun.stdout == "rollout 1 of fw-2.0.bin: 1 charger; see: edgegw firmware rollouts 1\n"
    assert (await shell("firmware", "pause", "1")).stdout == "rollout 1 is paused; 0 chargers still at it\n"
    line = (await shell("firmware", "rollouts")).stdout.splitlines()[1]
    assert "paused: by a person" in line
    assert "1 waiting" in line
    assert (await shell("firmware", "resume", "1")).stdout == "rollout 1 goes on: 1 waiting\n"
    assert (await shell("firmware", "stop", "1")).stdout == "rollout 1 is over: 1 skipped, 0 down\n"
    assert (await shell.json("firmware", "rollouts", "1"))["window"] == "22:00-05:00"
    assert "is over" in (await shell("firmware", "resume", "1", code=1)).stderr


async def test_with_json_following_prints_one_document(house: FilesHouse, shell: Shell, source: Path):
    await house.idles("CP-1")
    await shell("firmware", "add", str(source), *FOR)
    done = await shell.json("firmware", "rollout", "fw-2.0.bin", "--version", "1.2", "--follow")
    assert (done["state"], done["counts"]) == ("ended", {"skipped": 1})


# --- diagnostics ------------------------------------------------------------------------------------


async def test_a_log_is_fetched_and_saved(house: FilesHouse, shell: Shell, tmp_path):
    charger = await house.boots("CP-1")
    target = tmp_path / "out.zip"
    getting = asyncio.create_task(shell("diagnostics", "get", "CP-1", "--output", str(target)))
    order = await house.uploads_log(charger, b"what happened")
    told = await getting
    assert target.read_bytes() == b"what happened"
    assert told.stdout == f"{target}: 13 B, sha256 {hashlib.sha256(b'what happened').hexdigest()}\n"
    lines = (await shell("diagnostics")).stdout.splitlines()
    assert lines[1].split()[:4] == [order, "CP-1", "site", "kept"]
    again = await shell.json("diagnostics", "save", order, "--output", str(tmp_path / "again.zip"))
    assert again["saved_as"] == str(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == b"what happened"
    bad = await shell("diagnostics", "save", order, "--output", str(tmp_path / "none" / "x"), code=1)
    assert "cannot write" in bad.stderr


async def test_a_charger_that_gives_none(house: FilesHouse, shell: Shell):
    charger = await house.boots("CP-1")
    getting = asyncio.create_task(shell("diagnostics", "get", "CP-1", code=1))
    frame = await charger.hears()
    charger.says([4, frame[1], "NotSupported", "", {}])
    assert "CP-1 gives no log now: NotSupported" in (await getting).stderr
    getting = asyncio.create_task(shell("diagnostics", "get", "CP-1", code=1))
    await house.takes_log_order(charger)
    await house.reports(charger, "Uploading", "UploadFailed", log=True)
    assert "CP-1 gave no log: UploadFailed" in (await getting).stderr
    assert "no charger 'CP-77'" in (await shell("diagnostics", "get", "CP-77", code=1)).stderr
    assert "there is no upload 'x'" in (await shell("diagnostics", "save", "x", code=1)).stderr


async def test_one_that_does_not_come_in_time(house: FilesHouse, shell: Shell):
    charger = await house.boots("CP-1")
    getting = asyncio.create_task(shell("diagnostics", "get", "CP-1", "--timeout", "0 s", code=4))
    await house.takes_log_order(charger)
    assert "CP-1 sent no log within 0 s: log-" in (await getting).stderr
    assert "a unit is missing" in (await shell("diagnostics", "get", "CP-1", "--timeout", "5", code=2)).stderr


async def test_no_uploads(shell: Shell):
    assert (await shell("diagnostics")).stdout == "no uploads\n"


def upload(**about: object) -> UploadView:
    known = {
        "order": "log-1", "charger": "CP/1", "kind": "diagnostics", "asked_by": "site", "state": "kept",
        "status": "", "error": "", "file_name": "", "size_bytes": 1, "sha256": "", "target": "",
        "attempts": 0, "created_at": None, "received_at": None, "available": True,
    }  # fmt: skip
    return UploadView.model_validate({**known, **about})


@pytest.mark.parametrize(
    ("sent", "saved"),
    [
        ("log.zip", "CP_1-log.zip"),
        ("../../etc/cron.d/x", "CP_1-.._.._etc_cron.d_x"),
        ("a b\x1b[31m;rm.txt", "CP_1-a_b_x1b_31m_rm.txt"),
        ("", "CP_1-diagnostics.log"),
        ("/etc/passwd", "CP_1-_etc_passwd"),
    ],
)
def test_a_charger_cannot_choose_where_its_file_goes(tmp_path, monkeypatch, sent: str, saved: str):
    monkeypatch.chdir(tmp_path)
    assert diagnostics.free_name(upload(file_name=sent)) == Path(saved)
    Path(saved).touch()
    other = diagnostics.free_name(upload(file_name=sent))
    assert other != Path(saved)
    assert other.parent == Path()


def test_a_long_name_keeps_its_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = diagnostics.free_name(upload(file_name="x" * 5000 + ".zip")).name
    assert (len(name), name[-4:]) == (diagnostics.NAME_CHARACTERS_MAX, ".zip")


def test_what_people_copy_stays_in_one_piece_where_there_is_room():
    uuid = "0b0e7a40-7d0e-4b0e-9f39-000000000001"
    rows = [("log-0123456789ab", "x" * 200), (uuid, "y" * 40)]
    narrow = table(("=ORDER", "FILE"), rows, width=80)
    assert "log-0123456789ab" in narrow
    assert max(map(len, narrow.splitlines())) <= 80
    assert all(uuid in table(("=ORDER", "FILE"), rows, width=width) for width in (120, None))


def test_tables_fit_a_terminal():
    """80 columns: long cells are folded, never cut."""
    columns = ("FILE", "VERSION", "FOR", ">SIZE", "SHA256", "SIGNATURE", "FROM", "CHARGERS")
    origin = "https://updates.example.com/acme/wallbox-firmware-2.0.1.bin"
    row = ("wallbox-firmware-2.0.1.bin", "2.0.1", "Acme Wall*", "12.3 MiB", SHA256[:12], "not understood")
    row = (*row, origin, "12 installed, 3 downloading")
    lines = table(columns, [row], width=80).splitlines()
    assert max(len(line) for line in lines) <= 80
    assert json.dumps(lines).count("2.0.1") >= 2


# --- signed files -----------------------------------------------------------------------------------


async def test_a_signed_file_is_kept_with_its_signature(house: FilesHouse, shell: Shell, tmp_path: Path):
    firmware = sign(make_firmware("9.1", 20_000))
    file, pem, signature = (tmp_path / name for name in ("fw.bin", "fw.pem", "fw.sig"))
    file.write_bytes(firmware.content)
    pem.write_text(firmware.certificate)
    for told in (firmware.signature.encode() + b"\n", base64.b64decode(firmware.signature)):
        signature.write_bytes(told)
        words = ("--certificate", str(pem), "--signature", str(signature))
        assert (await shell("firmware", "add", str(file), *FOR, *words)).stdout.endswith(", signed\n")
        [kept] = (await shell.json("firmware"))["files"]
        assert kept["signature"] == "verified"
        await shell("firmware", "remove", "fw.bin")


async def test_a_file_whose_signature_does_not_fit_is_not_kept(shell: Shell, source: Path, tmp_path: Path):
    firmware = sign(make_firmware("9.1", 20_000))
    (tmp_path / "fw.pem").write_text(firmware.certificate)
    (tmp_path / "fw.sig").write_text(firmware.signature)
    words = ("--certificate", str(tmp_path / "fw.pem"), "--signature", str(tmp_path / "fw.sig"))
    told = await shell("firmware", "add", str(source), *FOR, *words, code=1)
    assert "is not one of this file" in told.stderr
    assert "no firmware is kept here" in (await shell("firmware")).stdout
    lone = await shell("firmware", "add", str(source), *FOR, *words[:2], code=2)
    assert "go together" in lone.stderr
