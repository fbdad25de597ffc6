"""A batch that cannot be written: who learns what, and what the store does next."""

from __future__ import annotations

import sqlite3

import pytest

from edgegw.core.records import Append, SaveTransaction
from edgegw.errors import StoreFault, StoreFull, StoreUnknownOutcome
from edgegw.store import statements
from edgegw.store.database import Database
from tests.store.rig import opened, record, row, until


async def fill(it) -> None:
    """SQLite's own limit on pages: a real SQLITE_FULL without a full disk."""
    async with it.journal._session.turn() as database:
        ((pages,),) = await database.fetch("PRAGMA page_count")
        await database.fetch(f"PRAGMA max_page_count = {pages}")


async def widen(it) -> None:
    async with it.journal._session.turn() as database:
        await database.fetch("PRAGMA max_page_count = 1000000")


async def test_fault_60_a_full_store_says_so_and_goes_on_when_there_is_space(tmp_path):
    async with opened(tmp_path / "store") as it:
        await it.journal.commit([Append(row())])
        await fill(it)
        big = row(seq=2, raw=b"x" * 100_000)
        with pytest.raises(StoreFull, match="nothing was written"):
            await it.journal.commit([Append(row(seq=3)), Append(big)])
        assert it.alarms.kinds == ["disk_full"]
        assert list(await it.all_rows()) == [("CP1", 1)]
        await widen(it)
        await it.journal.commit([Append(big)])
        assert sorted(await it.all_rows()) == [("CP1", 1), ("CP1", 2)]
        assert not it.journal.broken


async def test_fault_60_the_reserve_makes_room_for_the_retry(tmp_path, monkeypatch):
    reserve = tmp_path / "store" / "edgegw.reserve"
    async with opened(tmp_path / "store", reserve_bytes=256 * 1024) as it:
        await fill(it)
        give_up = it.journal._session.directory.give_up_reserve

        def space_appears() -> bool:
            it.journal._session.directory._reserve_bytes = 2**60  # nor does it come back during this test
            return give_up()

        monkeypatch.setattr(it.journal._session.directory, "give_up_reserve", space_appears)
        run = Database.begin

        async def begin(self):
            if not reserve.exists():
                await self.fetch("PRAGMA max_page_count = 1000000")
            await run(self)

        monkeypatch.setattr(Database, "begin", begin)
        await it.journal.commit([Append(row(raw=b"x" * 100_000))])
        assert not reserve.exists()
        assert it.alarms.kinds == ["disk_full"]


def commit_fails(monkeypatch, *, times: int, really: bool) -> list[int]:
    """COMMIT reports an I/O error `times` times, after (`really`) or before it took place."""
    real, real_run, left, of_batch = Database.commit, Database.run, [times], [False]

    async def run(self, found):
        of_batch[0] = any(sql == statements.INSERT for sql, _ in found)
        await real_run(self, found)

    async def commit(self):
        if left[0] == 0 or not of_batch[0]:
            return await real(self)
        left[0] -= 1
        if really:
            await real(self)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Database, "run", run)
    monkeypatch.setattr(Database, "commit", commit)
    return left


@pytest.mark.parametrize("really", [True, False])
async def test_fault_59_a_failed_commit_is_an_unknown_outcome_for_all_who_wait(tmp_path, monkeypatch, really):
    async with opened(tmp_path / "store") as it:
        await it.journal.commit([Append(row())])
        commit_fails(monkeypatch, times=1, really=really)
        batch = [it.journal.commit([Append(row(seq=n))]) for n in range(2, 600)]  # more than one batch
        for done in batch:
            with pytest.raises(StoreUnknownOutcome):
                await done
        assert it.alarms.kinds == ["unknown_outcome"]
        assert ("CP1", 2) in await it.all_rows() or not really
        await it.journal.commit([Append(row(seq=n)) for n in range(2, 600)])  # the same messages once more
        assert len(await it.all_rows()) == 599
        assert not it.broken
    async with opened(tmp_path / "store") as it:
        assert len(await it.all_rows()) == 599
        assert not it.alarms


async def test_fault_59_a_store_that_cannot_be_opened_again_is_broken(tmp_path, monkeypatch):
    async with opened(tmp_path / "store") as it:
        commit_fails(monkeypatch, times=1, really=False)

        async def checkpoint(self, **_):
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(Database, "checkpoint", checkpoint)
        with pytest.raises(StoreUnknownOutcome):
            await it.journal.commit([Append(row())])
        for _ in range(2):
            with pytest.raises(StoreFault, match="opening it again failed: disk I/O error"):
                await it.journal.commit([Append(row())])
        with pytest.raises(StoreFault):
            await it.journal.recover()
        assert it.journal.broken
        assert len(it.broken) == 1
        monkeypatch.undo()
    async with opened(tmp_path / "store") as it:
        assert not it.alarms


async def test_fault_59_a_store_that_fails_again_at_once_is_broken(tmp_path, monkeypatch):
    async with opened(tmp_path / "store") as it:
        commit_fails(monkeypatch, times=2, really=False)
        for _ in range(2):
            with pytest.raises(StoreUnknownOutcome):
                await it.journal.commit([Append(row())])
        with pytest.raises(StoreFault, match="again and right after"):
            await it.journal.commit([Append(row())])
        assert it.alarms.kinds == ["unknown_outcome", "broken"]


async def test_a_disk_that_goes_away_ends_nobody_who_works_on_it(tmp_path):
    """A stick that is pulled: the caretaker looks for it again, and the files that are open go on."""
    home, away = tmp_path / "store", tmp_path / "away"
    async with opened(home, reserve_bytes=65_536) as it:
        await it.journal.commit([Append(row())])
        (home / "edgegw.reserve").unlink()
        home.rename(away)
        await it.journal._caretaker.tend(1.0)
        assert (await it.journal.counts()).free_bytes == 0
        away.rename(home)
        await it.journal._caretaker.tend(1.0)
        assert (await it.journal.counts()).reserve
        await it.journal.commit([Append(row(seq=2))])


async def test_nobody_is_told_before_the_commit_is_done(tmp_path, monkeypatch):
    real, told = Database.commit, []

    async def commit(self):
        told.append([done.done() for done in calls])
        await real(self)
        told.append([done.done() for done in calls])

    async with opened(tmp_path / "store") as it:
        monkeypatch.setattr(Database, "commit", commit)
        calls = [it.journal.commit([Append(row(seq=n))]) for n in (1, 2)]
        await calls[1]
        assert calls[0].done()
        assert told == [[False, False], [False, False]]


async def test_a_statement_that_fails_once_is_tried_again(tmp_path, monkeypatch):
    real, left = Database.run, [1]

    async def run(self, found):
        await real(self, found)
        if left[0]:
            left[0] -= 1
            raise sqlite3.OperationalError("disk I/O error")

    async with opened(tmp_path / "store") as it:
        monkeypatch.setattr(Database, "run", run)
        await it.journal.commit([Append(row())])
        left[0] = 2
        with pytest.raises(StoreFull, match="nothing was written: disk I/O error"):
            await it.journal.commit([Append(row(seq=2))])
        assert list(await it.all_rows()) == [("CP1", 1)]


async def test_a_bug_in_the_writer_is_told_to_everybody(tmp_path, monkeypatch, caplog):
    async with opened(tmp_path / "store") as it:

        async def run(self, found):
            raise ZeroDivisionError

        monkeypatch.setattr(Database, "run", run)
        with pytest.raises(StoreUnknownOutcome):
            await it.journal.commit([Append(row())])
        with pytest.raises(StoreFault):
            await it.journal.commit([SaveTransaction(record())])
        assert it.broken == ["the store's writer ended"]
        await until(lambda: "store writer failed" in caplog.text)
