"""Frames in the telemetry file: the quota, the newest of one charger, damage, and what a full disk costs."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from edgegw.core.flight_block import CODES, Block
from edgegw.store import telemetry as telemetry_module
from edgegw.store.database import schema_steps
from edgegw.store.flight import NUMBERS_LOST, FlightFile
from edgegw.store.telemetry import Telemetry

NOW = 1_800_000_000.0


@asynccontextmanager
async def flight(directory: Path, quota_bytes: int = 1_000_000, reserve_bytes: int = 0):
    directory.mkdir(exist_ok=True)  # noqa: ASYNC240
    found = await Telemetry.open(
        directory, events_kept=10, wall=lambda: NOW, reserve_bytes=reserve_bytes, on_damage=lambda text: None
    )
    file = await FlightFile.open(found, quota_bytes)
    try:
        yield file
    finally:
        file.close()
        await found.close()


def block(first: int, count: int, chargers: tuple[str, ...] = ("CP-1",), size: int = 20) -> Block:
    """Of frames that do not compress."""
    made = Block(first)
    for n in range(first, first + count):
        text = b'"%0*x"' % (size, n * 7919)
        made.add((CODES["charger_spoke"], chargers[n % len(chargers)], float(n), NOW + n, text))
    return made


async def numbers(file: FlightFile, charger: str | None = None, **asked) -> list[int]:
    found, below = await file.newest(charger, before_n=asked.pop("before_n", 2**60), **asked)
    while below is not None:
        page, below = await file.newest(charger, before_n=2**60, below=below)
        found = page + found
    return [line.n for line in found]


async def test_lines_come_back_as_they_were(tmp_path: Path):
    async with flight(tmp_path) as file:
        kept = block(1, 3)
        assert await file.write(kept)
        found, after = await file.since(None, 0.0, 0)
        assert found == await file.unpacked([(1, kept.pack())], None)
        assert len(found) == 3
        assert await file.since(None, 0.0, after) == ([], after)
    async with flight(tmp_path) as file:  # a restart later, numbers go on
        assert await numbers(file) == [1, 2, 3]
        assert file.next_n == 4 + NUMBERS_LOST


async def test_the_newest_of_one_charger_are_found_without_the_others(tmp_path: Path):
    async with flight(tmp_path) as file:
        for n in range(1, 60, 2):
            await file.write(block(n, 2, ("CP-2", "CP-1")))
        assert await numbers(file, "CP-2") == list(range(2, 61, 2))
        page, below = await file.newest("CP-2", before_n=41)
        assert [line.n for line in page] == list(range(26, 41, 2))
        assert below is not None
        assert await numbers(file, "CP-3") == []
        exported, _ = await file.since("CP-1", 0.0, 0)
        assert {line.charger for line in exported} == {"CP-1"}


async def test_the_oldest_go_when_the_quota_is_full(tmp_path: Path):
    quota = 20_000
    async with flight(tmp_path, quota) as file:
        for n in range(1, 1001, 10):
            assert await file.write(block(n, 10, size=60))
        assert file.kept_bytes <= quota
        found = await numbers(file)
        assert found[-1] == 1000
        assert found[0] > 1
        assert found == list(range(found[0], 1001))
        assert len(await numbers(file, "CP-1")) == len(found)
    async with flight(tmp_path, quota // 4) as file:  # the site file says less now
        assert 0 < file.kept_bytes <= quota // 4
        assert (await numbers(file))[-1] == 1000
    async with flight(tmp_path, 0) as file:
        assert file.kept_bytes == 0
        assert await numbers(file) == []
        assert not await file.write(block(2000, 1))
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as raw:
        assert raw.execute("SELECT count(*) FROM flight_charger").fetchone() == (0,)


async def test_what_is_larger_than_the_quota_is_not_kept(tmp_path: Path):
    async with flight(tmp_path, 500) as file:
        assert not await file.write(block(1, 200, size=60))
        assert await file.write(block(300, 1))


async def test_a_block_that_cannot_be_read_costs_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async with flight(tmp_path) as file:
        for n in (1, 2, 3):
            await file.write(block(n, 1))
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as raw, raw:
        raw.execute("UPDATE flight SET body = x'00ff00ff' WHERE block = 2")
    async with flight(tmp_path) as file:
        assert await numbers(file) == [1, 3]
    assert "left out" in caplog.text


async def test_a_file_that_is_deleted_or_damaged_is_begun_anew(tmp_path: Path):
    async with flight(tmp_path) as file:
        await file.write(block(1, 5))
        (tmp_path / "telemetry.db").unlink()
        assert await file.write(block(6, 1))
        assert await numbers(file) == [6]
        assert file.kept_bytes < 500


async def test_a_full_disk_costs_frames_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with flight(tmp_path, reserve_bytes=4096) as file:
        await file.write(block(1, 1))
        with monkeypatch.context() as full:
            free = type("Free", (), {"free": 100})
            full.setattr(telemetry_module.shutil, "disk_usage", lambda path: free)  # type: ignore[attr-defined]
            assert not await file.write(block(2, 1))
        assert await file.write(block(3, 1))
        assert await numbers(file) == [1, 3]


async def test_a_file_from_before_there_were_frames_is_migrated_once(tmp_path: Path):
    path = tmp_path / "telemetry.db"
    number, sql = schema_steps("telemetry_schema")[0]
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(sql)
        old.execute("INSERT INTO event VALUES (7, x'61')")
        old.execute(f"PRAGMA user_version = {number}")
        old.execute("PRAGMA application_id = 0x65647431")
    for _ in range(2):
        async with flight(tmp_path) as file:
            assert await file._telemetry.read(0, 10) == [(7, b"a")]
            assert await file.write(block(file.next_n, 1))
    assert not list(tmp_path.glob("*corrupt*"))  # noqa: ASYNC240
