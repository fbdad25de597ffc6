"""The second file: events that wait for a broker and the audit log; bounded, mended, never in the way."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from edgegw.core.records import Append
from edgegw.runtime.audit import AuditEntry
from edgegw.store import telemetry, telemetry_file
from edgegw.store.telemetry import Telemetry
from tests.small_disk import fill, small_disk
from tests.store.rig import opened, row

NOW = 1_800_000_000.0


class Told(list[str]):
    """What was said about damage."""


@asynccontextmanager
async def kept(
    directory: Path, told: Told | None = None, *, events_kept: int = 1000, reserve_bytes: int = 0
) -> AsyncIterator[Telemetry]:
    directory.mkdir(exist_ok=True)  # noqa: ASYNC240
    found = await Telemetry.open(
        directory,
        events_kept=events_kept,
        wall=lambda: NOW,
        reserve_bytes=reserve_bytes,
        on_damage=(told if told is not None else Told()).append,
    )
    try:
        yield found
    finally:
        await found.close()


def add(found: Telemetry, count: int) -> None:
    for _ in range(count):
        found.add(lambda seq: f"event {seq}".encode())


async def seqs(found: Telemetry, after: int = 0, limit: int = 10_000) -> list[int]:
    return [seq for seq, _ in await found.read(after, limit)]


def entry(order: str, **changed: object) -> AuditEntry:
    fields: dict[str, object] = {"at": NOW, "door": "api", "asker": "127.0.0.1", "outcome": "ok"}
    return AuditEntry(order=order, **{**fields, **changed})  # type: ignore[arg-type]


# --- events ---------------------------------------------------------------------------------------


async def test_events_wait_in_order_and_go_when_the_broker_has_them(tmp_path: Path):
    async with kept(tmp_path) as found:
        add(found, 5)
        await found.flush()
        assert await found.read(0, 2) == [(1, b"event 1"), (2, b"event 2")]
        assert await seqs(found, after=2) == [3, 4, 5]
        found.done(3)
        assert await seqs(found) == [4, 5]
        assert (found.dropped, found.dropped_ever) == (0, 0)


async def test_events_and_their_numbers_outlive_a_restart(tmp_path: Path):
    async with kept(tmp_path) as found:
        stream = found.stream
        add(found, 3)
        await found.flush()
        found.done(2)
    async with kept(tmp_path) as found:
        assert found.stream == stream
        assert await found.read(0, 10) == [(3, b"event 3")]
        assert found.waiting == 1
        found.done(3)
    async with kept(tmp_path) as found:
        add(found, 1)
        await found.flush()
        assert await found.read(0, 10) == [(4, b"event 4")]


async def test_the_oldest_go_when_there_are_too_many_and_are_counted_for_ever(tmp_path: Path):
    async with kept(tmp_path, events_kept=10) as found:
        add(found, 25)
        await found.flush()
        assert await seqs(found) == list(range(16, 26))
        assert (found.dropped, found.waiting) == (15, 10)
    async with kept(tmp_path, events_kept=10) as found:
        assert (found.dropped, found.dropped_ever) == (0, 15)
        add(found, 1)
        await found.flush()
        assert await seqs(found) == list(range(17, 27))
        assert found.dropped_ever == 16


async def test_a_day_of_events_costs_the_memory_of_a_moment(tmp_path: Path):
    async with kept(tmp_path, events_kept=10) as found:
        add(found, telemetry.WAITING_MAX + 500)  # in one go: nobody had time to write
        assert found.waiting == telemetry.WAITING_MAX
        assert found.dropped == 500
        await found.flush()
        assert await seqs(found) == list(range(telemetry.WAITING_MAX + 491, telemetry.WAITING_MAX + 501))


async def test_its_page_cache_is_a_small_one(tmp_path: Path):
    async with kept(tmp_path) as found:
        assert await found._database.fetch("PRAGMA cache_size") == [(-telemetry_file.CACHE_KIB,)]


async def test_a_bug_while_writing_is_not_the_end_of_it(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async with kept(tmp_path) as found:
        found.on_added = lambda: {}["nobody"]
        add(found, 1)
        found.write(entry("POST /v1/limits"))
        await until(lambda: "bug while writing telemetry" in caplog.text)
        told: list[int] = []
        found.on_added = lambda: told.append(found.waiting)
        add(found, 1)
        await until(lambda: told)
        assert await seqs(found) == [1, 2]
        assert len(await found.audit_entries()) == 1


async def test_what_a_bug_keeps_from_the_file_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with kept(tmp_path) as found:
        with monkeypatch.context() as broken:
            broken.setattr(telemetry.shutil, "disk_usage", {}.__getitem__)  # type: ignore[attr-defined]
            add(found, 3)
            found.write(entry("POST /v1/limits"))
            await until(lambda: found.dropped)
        assert (found.dropped, found.audit_dropped) == (3, 1)
        add(found, 1)
        await found.flush()
        assert await seqs(found) == [4]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_who_waits_for_events_is_told_when_they_are_in_the_file(tmp_path: Path):
    async with kept(tmp_path) as found:
        told: list[int] = []
        found.on_added = lambda: told.append(found.waiting)
        add(found, 2)
        assert not told
        await found.flush()
        assert told == [2]


# --- the audit log --------------------------------------------------------------------------------


async def test_orders_are_listed_newest_first_page_by_page(tmp_path: Path):
    async with kept(tmp_path) as found:
        for number in range(5):
            found.write(entry(f"order {number}"))
        await found.flush()
        page = await found.audit_entries(limit=2)
        assert [one.order for _, one in page] == ["order 4", "order 3"]
        rest = await found.audit_entries(limit=10, before=page[-1][0])
        assert [one.order for _, one in rest] == ["order 2", "order 1", "order 0"]
        assert page[0][1] == entry("order 4")


async def test_the_audit_log_keeps_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(telemetry, "AUDIT_ENTRIES_MAX", 3)
    async with kept(tmp_path) as found:
        for number in range(5):
            found.write(entry(f"order {number}"))
            await found.flush()
        assert [one.order for _, one in await found.audit_entries()] == ["order 4", "order 3", "order 2"]


# --- damage ---------------------------------------------------------------------------------------


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("damage", ["zeros", "text", "newer", "foreign", "pages"])
async def test_a_file_that_cannot_be_trusted_is_moved_aside_and_begun_anew(tmp_path: Path, damage: str):
    async with kept(tmp_path) as found:
        add(found, 200)
        stream = found.stream
    spoil(tmp_path / "telemetry.db", damage)
    told = Told()
    async with kept(tmp_path, told) as found:
        assert await seqs(found) == []
        assert found.stream != stream
        add(found, 1)
        await found.flush()
        assert await seqs(found) == [1]
    assert len(told) == 1
    assert "telemetry.db.corrupt-1800000000" in told[0]
    assert names(tmp_path) == ["telemetry.db", "telemetry.db.corrupt-1800000000"]


def spoil(path: Path, damage: str) -> None:
    data = bytearray(path.read_bytes())
    match damage:
        case "zeros":
            path.write_bytes(bytes(len(data)))
        case "text":
            path.write_text("this is not a database, whatever its name says\n" * 100)
        case "pages":
            data[4096:] = b"\xa5" * (len(data) - 4096)
            path.write_bytes(data)
        case "newer" | "foreign":
            pragma = "user_version = 9999" if damage == "newer" else "application_id = 7"
            with closing(sqlite3.connect(path)) as database:
                database.execute(f"PRAGMA {pragma}")


async def test_a_file_that_is_spoilt_while_it_is_open_is_begun_anew_and_numbers_go_on(tmp_path: Path):
    told = Told()
    async with kept(tmp_path, told) as found:
        add(found, 400)
        await found.flush()
        async with found._turn:
            await found._database.checkpoint()  # type: ignore[union-attr]
            await found._database.fetch("PRAGMA cache_size = 1")  # type: ignore[union-attr]
        spoil(tmp_path / "telemetry.db", "pages")
        await found.read(0, 10_000)
        add(found, 1)
        await found.flush()
        add(found, 1)
        await found.flush()
        after = await seqs(found)
        assert after[-1] == 402
        assert after[0] > 400
        assert found.dropped >= 400
    assert len(told) == 1


async def test_a_file_that_was_never_finished_is_finished(tmp_path: Path):
    (tmp_path / "telemetry.db").touch()
    told = Told()
    async with kept(tmp_path, told) as found:
        add(found, 1)
        await found.flush()
        assert await seqs(found) == [1]
    assert told == []


async def test_a_process_that_was_killed_leaves_what_was_written(tmp_path: Path):
    async with kept(tmp_path / "a") as found:
        add(found, 3)
        await found.flush()
        (tmp_path / "b").mkdir()
        for name in ("telemetry.db", "telemetry.db-wal"):
            (tmp_path / "b" / name).write_bytes((tmp_path / "a" / name).read_bytes())
    async with kept(tmp_path / "b") as found:
        assert await seqs(found) == [1, 2, 3]


# --- the disk -------------------------------------------------------------------------------------


async def test_what_the_journal_keeps_back_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    free = [10_000_000]
    usage = telemetry.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(telemetry.shutil, "disk_usage", lambda _: usage._replace(free=free[0]))
    async with kept(tmp_path, reserve_bytes=9_000_000) as found:
        add(found, 1)
        await found.flush()
        free[0] = 8_999_999
        add(found, 2)
        found.write(entry("lost"))
        await found.flush()
        add(found, 1)
        await found.flush()
        assert (found.dropped, found.audit_dropped) == (3, 1)
        assert found.trouble.startswith("nothing is written to telemetry.db: only 8789 KiB are free")
        free[0] = 10_000_000
        add(found, 1)
        await found.flush()
        assert await seqs(found) == [1, 5]
        assert found.trouble == ""
    assert caplog.text.count("nothing is written") == 1


@pytest.mark.needs_root
async def test_a_full_disk_costs_events_and_nothing_of_the_journal(tmp_path: Path):
    with small_disk(tmp_path / "disk", 8) as disk:
        async with opened(disk, reserve_bytes=1024 * 1024) as journal, kept(disk) as found:
            add(found, 10)
            await found.flush()
            fill(disk / "junk")
            add(found, 10)
            await found.flush()
            assert found.dropped == 10
            await journal.journal.commit([append(1)])
            assert ("CP1", 1) in await journal.all_rows()
            (disk / "junk").unlink()
            add(found, 1)
            await found.flush()
            assert await seqs(found) == [*range(1, 11), 21]


def append(seq: int) -> Append:
    return Append(row=row(seq=seq))


async def test_a_file_that_is_deleted_while_it_is_open_is_begun_anew_and_said(tmp_path: Path):
    told = Told()
    async with kept(tmp_path, told) as found:
        add(found, 3)
        await found.flush()
        (tmp_path / "telemetry.db").unlink()
        add(found, 2)
        await found.flush()
        assert await seqs(found) == [4, 5]
        assert (tmp_path / "telemetry.db").exists()
    assert "was deleted while edgegw runs" in told[0]
    async with kept(tmp_path) as found:
        assert await seqs(found) == [4, 5]
