"""A copy of a store in use: one moment of it, while commits go on and are not made to wait."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.core.records import Append
from edgegw.errors import StoreFault, StoreFull
from edgegw.store import copying
from edgegw.store.copy_check import NotWhole, check_file, check_journal
from edgegw.store.copying import CopyStopped
from edgegw.store.database import Database
from tests.links.house import eventually
from tests.small_disk import fill, small_disk
from tests.store.rig import opened, row, until

BIG = b"x" * 3000
PATIENCE_S = 100.0  # of SQLite with who holds it up: so long that a wait is no doubt one


class Gate:
    """Holds the copying thread at its first step, so that something can happen meanwhile."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        self.seen: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.seen.append((done, total))
        self.reached.set()
        assert self.open.wait(PATIENCE_S)

    async def is_reached(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, PATIENCE_S)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


async def very_patient(database: Database) -> None:
    await database.fetch(f"PRAGMA busy_timeout = {PATIENCE_S * 1000:.0f}")


async def fills(it, first: int, last: int, size: bytes = BIG) -> None:
    await it.journal.commit([Append(row(seq=n, raw=size)) for n in range(first, last + 1)])


async def test_a_copy_is_a_complete_store_of_one_moment(tmp_path, gate: Gate):
    (tmp_path / "copy").mkdir()
    target = tmp_path / "copy" / "edgegw.db"
    async with opened(tmp_path / "store") as it:
        await fills(it, 1, 300)
        making = asyncio.create_task(it.journal.copy(target, gate))
        await gate.is_reached()
        await fills(it, 301, 400)  # does not wait for the copy
        gate.open.set()
        counts = await making
        assert counts.tables["journal"] == counts.states["stored"] == 300
        assert len(await it.all_rows()) == 400
        assert gate.seen[-1][0] == gate.seen[-1][1] == target.stat().st_size
    assert await check_journal(target, counts) == counts
    async with opened(tmp_path / "copy") as it:
        assert sorted(seq for _, seq in await it.all_rows()) == list(range(1, 301))
        assert await it.journal.verify()
        assert not it.alarms


async def test_no_commit_waits_for_a_copy_that_takes_long(tmp_path, gate: Gate):
    """A checkpoint would: it waits for the copy's moment to be let go, and every commit behind it."""
    async with opened(tmp_path / "store") as it:
        await fills(it, 1, 100)
        making = asyncio.create_task(it.journal.copy(tmp_path / "copy.db", gate))
        await gate.is_reached()
        await very_patient(it.journal._session.database)
        async with asyncio.timeout(PATIENCE_S / 2):
            for n in range(101, 1901, 200):  # more than the log may be long
                await fills(it, n, n + 199)
            assert (tmp_path / "store" / "edgegw.db-wal").stat().st_size > 4 * 1024 * 1024
            await it.journal._caretaker.checkpoint()
        gate.open.set()
        await making
        await fills(it, 2001, 2001)
        log = tmp_path / "store" / "edgegw.db-wal"
        await until(lambda: log.stat().st_size < 1024 * 1024)  # right behind the commit


async def test_a_checkpoint_never_waits_for_somebody_who_reads(tmp_path):
    """Who copies, or looks at a file from outside: commits would wait behind it."""
    database = await Database.connect(tmp_path / "t.db", new=True)
    try:
        await database.fetch("CREATE TABLE t (x)")
        with closing(sqlite3.connect(tmp_path / "t.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM t").fetchall()
            await database.fetch("INSERT INTO t VALUES (1)")
            await very_patient(database)
            async with asyncio.timeout(PATIENCE_S / 2):
                assert not await database.checkpoint()
        assert await database.checkpoint()
    finally:
        await database.close()


async def test_a_copy_that_is_not_wanted_leaves_nothing(tmp_path, gate: Gate):
    async with opened(tmp_path / "store") as it:
        await fills(it, 1, 300)
        making = asyncio.create_task(it.journal.copy(tmp_path / "copy.db", gate))
        await gate.is_reached()
        making.cancel()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await making
        assert not (tmp_path / "copy.db").exists()
        assert not it.journal._session._copies.running


async def stops(it) -> None:
    """Until the copy under way is told to end."""
    copies = it.journal._session._copies
    await eventually(lambda: all(stop.is_set() for stop in copies._running.values()))


async def test_a_store_that_is_closed_ends_its_copies_first(tmp_path, gate: Gate):
    async with opened(tmp_path / "store") as it:
        await fills(it, 1, 300)
        making = asyncio.create_task(it.journal.copy(tmp_path / "copy.db", gate))
        await gate.is_reached()
        closing = asyncio.create_task(it.journal.close())
        await stops(it)
        gate.open.set()
        await closing
        with pytest.raises(CopyStopped):
            await making
    assert not (tmp_path / "store" / "edgegw.db-wal").exists()  # complete in one file


async def test_a_store_that_is_repaired_ends_its_copies_first(tmp_path, gate: Gate):
    """Opened anew after a COMMIT of unknown outcome: its log must go into the database at once."""
    async with opened(tmp_path / "store") as it:
        await fills(it, 1, 300)
        making = asyncio.create_task(it.journal.copy(tmp_path / "copy.db", gate))
        await gate.is_reached()
        session = it.journal._session

        async def reopens() -> None:
            async with session.turn():
                await session.reopen("COMMIT failed in a test")

        reopening = asyncio.create_task(reopens())
        await stops(it)
        gate.open.set()
        await reopening
        with pytest.raises(CopyStopped):
            await making
        assert not it.broken
        await fills(it, 301, 301)


async def test_a_copy_is_refused_where_something_stands_and_where_nothing_can(tmp_path):
    async with opened(tmp_path / "store") as it:
        (tmp_path / "there").write_text("mine")
        with pytest.raises(StoreFault, match="exists already"):
            await it.journal.copy(tmp_path / "there")
        assert (tmp_path / "there").read_text() == "mine"
        with pytest.raises(StoreFault, match="cannot be copied"):
            await it.journal.copy(tmp_path / "nowhere" / "copy.db")


@pytest.mark.needs_root
async def test_a_full_disk_is_said_and_nothing_is_left_on_it(tmp_path):
    async with opened(tmp_path / "store") as it:
        await fills(it, 1, 500)
        with small_disk(tmp_path / "small", 2) as disk:
            fill(disk / "junk")
            with pytest.raises(StoreFull, match="the disk is full"):
                await it.journal.copy(disk / "copy.db")
            assert [path.name for path in disk.iterdir()] == ["junk"]


async def test_a_copy_that_lets_the_log_grow_too_long_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(copying, "LOG_BYTES_MAX", 1000)
    async with opened(tmp_path / "store") as it:
        await fills(it, 1, 10)
        with pytest.raises(StoreFault, match="quiet hour"):
            await it.journal.copy(tmp_path / "copy.db")


# --- looking at a copy ----------------------------------------------------------------------------


async def copied(tmp_path: Path) -> tuple[Path, copying.Counts]:
    async with opened(tmp_path / "store") as it:
        await fills(it, 1, 50)
        return tmp_path / "copy.db", await it.journal.copy(tmp_path / "copy.db")


async def test_a_row_whose_bytes_changed_is_found(tmp_path):
    copy, counts = await copied(tmp_path)
    whole = copy.read_bytes()
    at = whole.rindex(BIG)
    copy.write_bytes(whole[:at] + b"y" + whole[at + 1 :])
    with pytest.raises(NotWhole, match=r"row \d+ of journal is damaged"):
        await check_journal(copy, counts)


async def test_a_page_that_is_garbage_is_found(tmp_path):
    copy, counts = await copied(tmp_path)
    whole = copy.read_bytes()
    copy.write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
    with pytest.raises(NotWhole):
        await check_journal(copy, counts)


async def test_a_row_too_few_is_found(tmp_path):
    copy, counts = await copied(tmp_path)
    states = {"stored": counts.states["stored"] + 1}
    with pytest.raises(NotWhole, match="were counted"):
        check_file(copy, copying.Counts(tables=counts.tables, states=states))
