"""`edgegw backup` and `restore`: what comes back, what is refused, and that neither ever loses a thing."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import tarfile
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from edgegw.cli import edgegw, restore
from edgegw.control import backup_desk
from edgegw.errors import StoreFault
from edgegw.store import archive
from tests.cli.conftest import Shell
from tests.control.house import DEADLINE_S, House, Wire
from tests.links.house import eventually

SITE = """\
[site]
id = "{site}"
[chargers]
listen = "127.0.0.1:0"
[store]
directory = "store"
reserve = "1 MiB"
[control]
socket = "control.sock"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "site.toml"
    file.write_text(SITE.format(site="depot-1"))
    return file


async def run(*words: str | Path, code: int = 0) -> Result:
    result = await asyncio.to_thread(CliRunner().invoke, edgegw, [str(word) for word in words])
    assert result.exit_code == code, (result.output, result.exception)
    return result


async def charges(house: House, identity: str, times: int = 1) -> Wire:
    """Transactions that wait for a cloud that is away."""
    house.cloud.up = True
    charger = await house.boots(identity)
    house.cloud.goes_down()
    for _ in range(times):
        await house.stops(charger, await house.starts(charger))
    await house.all_is_stored()
    return charger


def store_files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "store").iterdir())


# --- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz"])
async def test_what_was_backed_up_comes_back(
    house: House, shell: Shell, config: Path, tmp_path: Path, name: str
):
    house.server.service.backups.site_file = config
    charger = await charges(house, "CP-1", times=3)
    file = tmp_path / name
    told = await shell("backup", str(file))
    assert "checked, all of it is whole" in told.stdout
    assert "of site depot-1" in told.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    before = await house.journal.listing(limit=1000)
    await house.stops(charger, await house.starts(charger))  # after it
    await house.all_is_stored()
    await house.stop()
    refused = await run("restore", file, "--config", config, code=2)
    assert "give --yes" in refused.stderr
    assert "no longer\n    in this store" in refused.stderr
    done = await run("restore", file, "--config", config, "--yes")
    assert "the old store is kept" in done.stdout
    assert f"{len(before)} messages" in done.stdout
    await house.start()
    assert [row for _, row in await house.journal.listing(limit=1000)] == [row for _, row in before]
    aside = [name for name in store_files(tmp_path) if "before-restore" in name]
    assert len(aside) == 1
    assert not [
        left
        for left in store_files(tmp_path)
        if "backup" in left or "restore-" in left.removeprefix(aside[0])
    ]


async def test_an_id_that_was_given_after_the_backup_is_never_given_again(
    house: House, shell: Shell, config: Path, tmp_path: Path
):
    charger = await charges(house, "CP-1")
    await shell("backup", str(tmp_path / "b.tar"))
    given = await house.starts(charger)
    await house.all_is_stored()
    await house.stop()
    await run("restore", tmp_path / "b.tar", "--config", config, "--yes")
    await house.start()
    house.cloud.up = True
    other = await house.boots("CP-2")
    house.cloud.goes_down()
    assert await house.starts(other) > given


async def test_the_archive_says_what_is_in_it(house: House, shell: Shell, config: Path, tmp_path: Path):
    house.server.service.backups.site_file = config
    await charges(house, "CP-1")
    told = await shell("backup", str(tmp_path / "b.tar"), "--json")
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert {line["progress"]["stage"] for line in lines[:-1]} == {
        "copying",
        "hashing",
        "fetching",
        "unpacking",
        "checking",
    }
    manifest = lines[-1]["backup"]["manifest"]
    assert (manifest["site"], manifest["schema"], manifest["format"]) == ("depot-1", 1, 1)
    assert manifest["counts"]["tables"]["transaction_record"] == 1
    assert [member["name"] for member in manifest["members"]] == ["site.toml", "edgegw.db"]
    with tarfile.open(tmp_path / "b.tar") as tar:
        assert tar.extractfile("site.toml").read() == SITE.format(site="depot-1").encode()
        assert json.load(tar.extractfile("manifest.json")) == manifest


async def test_the_old_store_aside_is_whole(house: House, shell: Shell, config: Path, tmp_path: Path):
    """It is a store like any other: moved back it has what came after the backup."""
    await shell("backup", str(tmp_path / "b.tar"))
    await charges(house, "CP-2", times=2)
    after = await house.journal.listing(limit=1000)
    await house.stop()
    await run("restore", tmp_path / "b.tar", "--config", config, "--yes")
    (aside,) = (tmp_path / "store").glob("edgegw.db.before-restore-*")
    aside.replace(tmp_path / "store" / "edgegw.db")
    await house.start()
    assert [row for _, row in await house.journal.listing(limit=1000)] == [row for _, row in after]


async def test_a_store_that_was_killed_is_kept_with_its_log(
    house: House, shell: Shell, config: Path, tmp_path: Path
):
    await shell("backup", str(tmp_path / "b.tar"))
    await charges(house, "CP-2")
    await house.stop()
    store = tmp_path / "store"
    (store / "edgegw.db-wal").write_bytes(b"what a kill left")
    (store / "edgegw.salvaged").write_bytes(b"and a salvage")
    await run("restore", tmp_path / "b.tar", "--config", config, "--yes")
    kept = {path.read_bytes() for path in store.glob("*before-restore*") if path.stat().st_size < 100}
    assert kept == {b"what a kill left", b"and a salvage"}
    await house.start()
    assert not await house.journal.listing(limit=10)


async def test_a_new_box_is_filled_from_a_backup(house: House, shell: Shell, config: Path, tmp_path: Path):
    house.server.service.backups.site_file = config
    await charges(house, "CP-1")
    await shell("backup", str(tmp_path / "b.tar"))
    await house.stop()
    (tmp_path / "new").mkdir()
    box = tmp_path / "new" / "site.toml"
    box.write_text(SITE.format(site="depot-1"))
    told = await run(
        "restore", tmp_path / "b.tar", "--config", box, "--yes", "--site-file", tmp_path / "new" / "old.toml"
    )
    assert "there was no old store" in told.stdout
    assert (tmp_path / "new" / "old.toml").read_bytes() == SITE.format(site="depot-1").encode()
    again = await run("restore", tmp_path / "b.tar", "--config", box, "--yes", "--site-file", box, code=1)
    assert "is not replaced" in again.stderr


# --- refusals -------------------------------------------------------------------------------------


async def test_nothing_is_replaced_without_force(house: House, shell: Shell, tmp_path: Path):
    (tmp_path / "b.tar").write_text("mine")
    refused = await shell("backup", str(tmp_path / "b.tar"), code=1)
    assert "--force" in refused.stderr
    assert (tmp_path / "b.tar").read_text() == "mine"
    await shell("backup", str(tmp_path / "b.tar"), "--force")
    assert (tmp_path / "b.tar").read_bytes().startswith(b"manifest.json")


async def test_where_nothing_can_be_written_is_said(house: House, shell: Shell, tmp_path: Path):
    refused = await shell("backup", str(tmp_path / "nowhere" / "b.tar"), code=1)
    assert "No such file or directory; no backup was made" in refused.stderr
    refused = await shell("backup", "/dev/full/b.tar", code=1)
    assert "Not a directory" in refused.stderr


async def test_a_store_without_room_for_a_copy_refuses(
    house: House, shell: Shell, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(backup_desk, "FREE_BYTES_MIN", 2**60)
    refused = await shell("backup", str(tmp_path / "b.tar"), code=1)
    assert "free some space" in refused.stderr
    assert not [name for name in os.listdir(tmp_path) if "b.tar" in name]


async def test_what_fails_in_the_gateway_is_told_and_leaves_nothing(
    house: House, shell: Shell, tmp_path: Path, monkeypatch
):
    async def fails(*_):
        raise StoreFault("the disk has a bad day")

    monkeypatch.setattr(house.journal, "copy", fails)
    refused = await shell("backup", str(tmp_path / "b.tar"), code=1)
    assert "the disk has a bad day" in refused.stderr
    assert not [name for name in os.listdir(tmp_path) if "b.tar" in name]
    monkeypatch.undo()
    await shell("backup", str(tmp_path / "b.tar"))


async def test_a_running_gateway_is_not_restored_over(
    house: House, shell: Shell, config: Path, tmp_path: Path
):
    await shell("backup", str(tmp_path / "b.tar"))
    refused = await run("restore", tmp_path / "b.tar", "--config", config, "--yes", code=1)
    assert "stop that one first" in refused.stderr
    looked = await run("restore", tmp_path / "b.tar", "--config", config, "--dry-run")
    assert "nothing was changed" in looked.stdout
    assert "must be stopped first" in looked.stderr


async def test_no_word_of_a_backup_reaches_the_terminal_as_a_command(
    house: House, shell: Shell, config: Path, tmp_path: Path
):
    file = tmp_path / "b.tar"
    await shell("backup", str(file))
    whole = file.read_bytes()
    end = 512 + int(whole[124:135], 8)
    told = json.loads(whole[512:end])
    papers = json.dumps({**told, "made_at": "\x1b]0;x\x07\x1b[2J\x1b[31m", "site": "\x1b[2J"}).encode()
    head = archive.head(archive.MANIFEST, len(papers), 0)
    file.write_bytes(head + papers + archive.padding(len(papers)) + whole[end + -end % 512 :])
    looked = await run("restore", file, "--config", config, "--dry-run")
    assert "nothing was changed" in looked.stdout
    assert looked.output.isascii()
    assert looked.output.replace("\n", "").isprintable()


def test_no_link_that_waits_is_followed_when_the_site_file_is_written(tmp_path: Path):
    """Whoever may write into a folder guesses names there."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / ".new.toml.part").symlink_to(tmp_path / "mine")
    (tmp_path / "source").write_text("[site]\n")
    restore._extract(tmp_path / "source", tmp_path / "new.toml")
    assert (tmp_path / "new.toml").read_text() == "[site]\n"
    assert (tmp_path / "mine").read_text() == "mine"
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(archive.ArchiveFault, match="not replaced"):
        restore._extract(tmp_path / "source", tmp_path / "dangling")


async def test_a_damaged_or_newer_backup_changes_nothing(
    house: House, shell: Shell, config: Path, tmp_path: Path
):
    file = tmp_path / "b.tar"
    await charges(house, "CP-1")
    await shell("backup", str(file))
    await house.stop()
    before = store_files(tmp_path)
    whole = file.read_bytes()
    newer = whole.replace(b'"schema": 1', b'"schema": 9', 1)
    middle = len(whole) // 2
    for raw in (whole[:-20_000], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], b"no"):
        file.write_bytes(raw)
        refused = await run("restore", file, "--config", config, "--yes", code=1)
        assert "is not restored" in refused.stderr
    file.write_bytes(newer)
    assert "newer edgegw" in (await run("restore", file, "--config", config, "--yes", code=1)).stderr
    as_json = (await run("restore", file, "--config", config, "--yes", "--json", code=1)).stdout.splitlines()[
        -1
    ]
    assert json.loads(as_json)["error"]["code"] == "refused"
    assert store_files(tmp_path) == before


async def test_words_of_a_wrong_site_file(tmp_path: Path):
    (tmp_path / "bad.toml").write_text("[site]\n")
    (tmp_path / "b.tar").write_text("")
    assert (
        "is required"
        in (await run("restore", tmp_path / "b.tar", "--config", tmp_path / "bad.toml", code=2)).stderr
    )


# --- the API --------------------------------------------------------------------------------------


async def made(http: httpx.AsyncClient) -> dict:
    answer = await http.post("/v1/backup", json={})
    assert answer.status_code == 200
    events = [part.split("\ndata: ") for part in answer.text.strip().split("\n\n")]
    assert events[-1][0] == "event: ready", answer.text
    return json.loads(events[-1][1])


async def test_an_archive_is_handed_out_once_and_only_to_who_was_told(house: House):
    async with house.http() as http:
        ready = await made(http)
        assert (await http.get(f"/v1/backup/{'0' * 32}")).status_code == 404
        answer = await http.get(f"/v1/backup/{ready['id']}")
        assert len(answer.content) == ready["size_bytes"] == int(answer.headers["content-length"])
        assert (await http.get(f"/v1/backup/{ready['id']}")).status_code == 404
        first, second = await made(http), await made(http)
        assert (await http.get(f"/v1/backup/{first['id']}")).status_code == 404
        assert (await http.get(f"/v1/backup/{second['id']}")).status_code == 200
    stage = house.folder / "store" / "edgegw.backup"
    await eventually(lambda: not stage.exists())


async def test_one_at_a_time_and_who_goes_away_ends_it(house: House, monkeypatch):
    begun, gone = asyncio.Event(), asyncio.Event()

    async def waits(*_):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    monkeypatch.setattr(house.journal, "copy", waits)
    async with house.http() as http, house.http() as other:
        async with http.stream("POST", "/v1/backup", json={}) as answer:
            assert answer.status_code == 200
            await asyncio.wait_for(begun.wait(), DEADLINE_S)
            refused = await other.post("/v1/backup", json={})
            assert refused.status_code == 409
            assert refused.json()["error"]["code"] == "backup_running"
        await asyncio.wait_for(gone.wait(), DEADLINE_S)
        monkeypatch.undo()
        await eventually(lambda: not house.server.service.backups._busy)
        await made(other)


async def test_a_gateway_that_stops_ends_a_backup_and_keeps_its_store_whole(house: House, monkeypatch):
    begun = asyncio.Event()

    async def waits(*_):
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(house.journal, "copy", waits)
    async with house.http() as http:
        asked = asyncio.create_task(http.post("/v1/backup", json={}))
        await asyncio.wait_for(begun.wait(), DEADLINE_S)
        await house.stop()
        assert "event: failed" in (await asked).text

    assert not (house.folder / "store" / "edgegw.db-wal").exists()
    await house.start()


async def test_a_gateway_that_stops_begins_no_backup(house: House):
    async with house.http() as http:
        await house.server.service.close()
        refused = await http.post("/v1/backup", json={})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "stopping")


async def test_telemetry_goes_along_when_it_is_asked_for(
    house: House, shell: Shell, config: Path, tmp_path: Path
):
    from edgegw.store.telemetry import Telemetry

    store = tmp_path / "store"
    telemetry = await Telemetry.open(
        store, events_kept=100, reserve_bytes=0, wall=lambda: 1.8e9, on_damage=lambda text: None
    )
    try:
        told = await shell("backup", str(tmp_path / "b.tar.gz"), "--telemetry", "--json")
    finally:
        await telemetry.close()
    members = json.loads(told.stdout.splitlines()[-1])["backup"]["manifest"]["members"]
    assert members[-1]["name"] == "telemetry.db"
    await house.stop()
    done = await run("restore", tmp_path / "b.tar.gz", "--config", config, "--yes", "--json")
    aside = json.loads(done.stdout.splitlines()[-1])["restore"]["aside"]
    assert {os.path.basename(path).split(".before")[0] for path in aside} == {"telemetry.db", "edgegw.db"}
    with gzip.open(tmp_path / "b.tar.gz") as file:
        assert file.read(13) == b"manifest.json"
    await house.start()
