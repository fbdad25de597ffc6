"""Every released schema opens, is brought up to date once, and keeps all it held (scorecard R18)."""

from __future__ import annotations

import shutil
import sqlite3
import zlib
from pathlib import Path

import pytest

from edgegw.core.records import Append, Lane, RowState
from edgegw.errors import StoreFault
from edgegw.store import database, rows
from tests.store.make_database import DATABASES
from tests.store.rig import opened, row

SECOND = (
    2,
    "ALTER TABLE journal ADD COLUMN tariff TEXT NOT NULL DEFAULT '';"
    "REPLACE INTO meta VALUES ('schema', '2');",
)

GOLDEN_CRC, GOLDEN_STATE_CRC = 685372223, 2052460348


def put(source: Path, directory: Path) -> None:
    directory.mkdir(mode=0o700)
    shutil.copyfile(source, directory / "edgegw.db")


async def check_content(directory: Path) -> None:
    async with opened(directory) as it:
        assert not it.alarms
        stored = await it.all_rows()
        assert len(stored) == 31
        assert stored["CP2", 29] == row("CP2", 29)
        assert stored["CP1", 40].flags == ("clock_suspect",)
        assert (stored["CP0", 6].state, stored["CP0", 6].attempts) == (RowState.PARKED, 3)
        recovery = await it.journal.recover()
        zero, one, two = recovery.chargers
        assert (zero.stored, zero.parked) == ({Lane.TRANSACTION: 8}, 1)
        assert (one.seq_last, one.documents[0].value) == (41, b'{"vendor":"x"}')
        assert [r.id for r in two.open_transactions] == ["8"]
        assert recovery.documents[0].value == b"[1.10]"
        assert await it.journal.verify()


def test_every_released_schema_has_its_database():
    assert [path.name for path in sorted(DATABASES.glob("*.db"))] == [
        f"{number:04d}.db" for number, _ in database.schema_steps()
    ]


@pytest.mark.parametrize("source", sorted(DATABASES.glob("*.db")), ids=lambda path: path.name)
async def test_a_released_database_opens_twice_and_keeps_all_it_held(tmp_path, source):
    put(source, tmp_path / "store")
    await check_content(tmp_path / "store")
    await check_content(tmp_path / "store")


async def test_a_step_is_applied_once_and_a_copy_is_made_before(tmp_path, monkeypatch):
    put(DATABASES / "0001.db", tmp_path / "store")
    steps = [*database.schema_steps(), SECOND]
    monkeypatch.setattr(database, "schema_steps", lambda: steps)
    await check_content(tmp_path / "store")
    await check_content(tmp_path / "store")
    connection = sqlite3.connect(tmp_path / "store" / "edgegw.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert connection.execute("SELECT count(tariff) FROM journal").fetchone() == (31,)
    connection.close()
    put(tmp_path / "store" / "edgegw.db.before-schema-0002", tmp_path / "before")
    monkeypatch.undo()
    await check_content(tmp_path / "before")


async def test_a_step_that_fails_changes_nothing(tmp_path, monkeypatch):
    put(DATABASES / "0001.db", tmp_path / "store")
    steps = [*database.schema_steps(), (2, SECOND[1] + "INSERT INTO nowhere VALUES (1);")]
    with monkeypatch.context() as patched:
        patched.setattr(database, "schema_steps", lambda: steps)
        with pytest.raises(StoreFault, match="no such table"):
            async with opened(tmp_path / "store"):
                pass
    await check_content(tmp_path / "store")


def test_checksums_are_part_of_the_format():
    """If this fails with another version of msgspec, files written before would look damaged."""
    values = rows.journal_values(row(flags=("a",)), 1.5)
    assert (values[14], values[19]) == (GOLDEN_CRC, GOLDEN_STATE_CRC)
    assert rows.state_crc(b"CP1", 1, b"stored", 0, b"", 1.5) == GOLDEN_STATE_CRC
    by_hand = b"\x96" + b"\xc4\x03CP1" + b"\x01" + b"\xc4\x06stored" + b"\x00" + b"\xc4\x00"
    assert zlib.crc32(by_hand + b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00") == GOLDEN_STATE_CRC


async def test_new_files_are_made_as_promised(tmp_path):
    async with opened(tmp_path / "store") as it:
        await it.journal.commit([Append(row())])
        fetch = it.journal._session.fetch
        for pragma, value in [
            ("journal_mode", b"wal"),
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("auto_vacuum", 2),
            ("journal_size_limit", 16 * 1024 * 1024),
            ("mmap_size", 0),
            ("temp_store", 2),
            ("application_id", database.APPLICATION_ID),
            ("user_version", database.schema_version()),
        ]:
            assert await fetch(f"PRAGMA {pragma}") == [(value,)], pragma
