"""Files that are not as they were left: nothing is guessed, nothing is lost in silence (fault 61)."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from edgegw.core.records import Append, RowState, SaveDocument, SaveTransaction, Settle
from edgegw.errors import StoreFault, StoreNewer
from tests.store.rig import opened, record, row

ROWS = 200


async def filled(directory: Path) -> None:
    async with opened(directory) as it:
        await it.journal.commit([Append(row(f"CP{n % 4}", n)) for n in range(1, ROWS + 1)])
        await it.journal.commit([Settle(charger="CP0", seq=4, state=RowState.PARKED)])
        await it.journal.commit([SaveDocument(kind="list", charger="CP1", key="", value=b"{}")])
        await it.journal.commit([SaveTransaction(record())])


def edit(directory: Path, sql: str, *values) -> None:
    connection = sqlite3.connect(directory / "edgegw.db")
    with connection:
        connection.execute(sql, values)
    connection.close()


async def killed(source: Path, target: Path) -> None:
    """A copy of the files as a killed process leaves them: 200 rows in the database, 60 in the log."""
    await filled(source)
    async with opened(source) as it:
        for n in range(ROWS + 1, ROWS + 61):
            await it.journal.commit([Append(row(f"CP{n % 4}", n))])
        shutil.copytree(source, target)


# --- rows -----------------------------------------------------------------------------------------


async def test_a_changed_row_is_never_handed_out(tmp_path):
    """Every column in turn: the row goes to the quarantine, its neighbours are read."""
    await filled(tmp_path / "store")
    connection = sqlite3.connect(tmp_path / "store" / "edgegw.db")
    columns = [name for _, name, *_ in connection.execute("PRAGMA table_info (journal)") if name != "id"]
    kinds = dict(connection.execute("SELECT name, type FROM pragma_table_info('journal')"))
    connection.close()
    for number, column in enumerate(columns):
        new = {"TEXT": "x", "BLOB": b"x", "INTEGER": 7_000_777, "REAL": 7.5}[kinds[column]]
        edit(tmp_path / "store", f"UPDATE journal SET {column} = ? WHERE id = ?", new, 20 + number)
    async with opened(tmp_path / "store") as it:
        rows = await it.all_rows()
        assert len(rows) == ROWS - len(columns)
        assert all(rows[f"CP{n % 4}", n].raw == row(seq=n).raw for _, n in rows)
        assert it.alarms.kinds == ["quarantined"]
        assert (await it.journal.counts()).quarantined == len(columns)
        assert await it.journal.verify()


async def test_reading_goes_on_behind_bad_rows(tmp_path):
    await filled(tmp_path / "store")
    edit(tmp_path / "store", "UPDATE journal SET raw = 'x' WHERE charger = 'CP1' AND seq < 100")
    async with opened(tmp_path / "store") as it:
        found = await it.journal.rows("CP1", after_seq=0, limit=5)
        assert [r.seq for r in found] == [101, 105, 109, 113, 117]


async def test_bad_documents_and_transactions_are_not_handed_out(tmp_path):
    await filled(tmp_path / "store")
    edit(tmp_path / "store", "UPDATE document SET value = 'x'")
    edit(tmp_path / "store", "UPDATE transaction_record SET running = 0")
    async with opened(tmp_path / "store") as it:
        found = await it.journal.recover()
        assert all(not about.documents for about in found.chargers)
        assert await it.journal.transactions() == []
        assert it.alarms.kinds == ["quarantined", "quarantined"]


async def test_a_row_that_an_index_lost_is_found(tmp_path):
    """Rows that no index knows would never be sent; checksums cannot show that."""
    await filled(tmp_path / "store")
    connection = sqlite3.connect(tmp_path / "store" / "edgegw.db")
    _, sql = connection.execute(
        "SELECT rootpage, sql FROM sqlite_schema WHERE name = 'journal_stored'"
    ).fetchone()
    connection.execute("PRAGMA writable_schema = ON")
    with connection:  # the index turns into an ordinary name without entries for the rows of CP1
        connection.execute(
            "UPDATE sqlite_schema SET sql = ? WHERE name = 'journal_stored'",
            (sql.replace("'stored'", "'stored' AND charger <> 'CP1'"),),
        )
    connection.close()
    connection = sqlite3.connect(tmp_path / "store" / "edgegw.db")
    connection.execute("REINDEX journal_stored")
    connection.execute("PRAGMA writable_schema = ON")
    with connection:
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'journal_stored'", (sql,))
    connection.close()
    async with opened(tmp_path / "store") as it:
        assert await it.journal.rows("CP1", after_seq=0, limit=1) == []
        assert not await it.journal._caretaker.verify(whole_file=False)
        assert it.alarms.kinds == ["corrupt"]
        assert [r.seq for r in await it.journal.rows("CP1", after_seq=0, limit=1)] == [1]
        assert len(await it.all_rows()) == ROWS


# --- files ----------------------------------------------------------------------------------------


async def test_fault_61_an_empty_database_is_never_a_silent_start(tmp_path):
    await filled(tmp_path / "store")
    os.truncate(tmp_path / "store" / "edgegw.db", 0)
    async with opened(tmp_path / "store") as it:
        assert it.alarms.kinds == ["corrupt"]
        assert "is empty" in it.alarms[0].text
        assert it.alarms[0].salvage.kept == 0
        await it.journal.commit([Append(row())])


async def test_fault_61_a_missing_database_is_never_a_silent_start(tmp_path):
    await filled(tmp_path / "store")
    (tmp_path / "store" / "edgegw.db").unlink()
    async with opened(tmp_path / "store") as it:
        assert it.alarms.kinds == ["corrupt"]
        assert "is missing" in it.alarms[0].text


async def test_fault_61_junk_in_the_place_of_the_database(tmp_path):
    await filled(tmp_path / "store")
    (tmp_path / "store" / "edgegw.db").write_bytes(os.urandom(100_000))
    async with opened(tmp_path / "store") as it:
        assert it.alarms.kinds == ["corrupt"]
        assert it.alarms[0].salvage.unreadable
        kept = it.alarms[0].salvage.aside
        assert [str(p) for p in (tmp_path / "store").glob("edgegw.db.corrupt-*")] == [kept]


async def test_fault_61_damaged_pages_cost_only_their_own_rows(tmp_path):
    await filled(tmp_path / "store")
    content = bytearray((tmp_path / "store" / "edgegw.db").read_bytes())
    leaves = [at for at in range(4096, len(content), 4096) if content[at] == 0x0D]  # pages of table rows
    for at in leaves[-1:0:-7]:
        content[at : at + 512] = os.urandom(512)
    (tmp_path / "store" / "edgegw.db").write_bytes(content)
    async with opened(tmp_path / "store") as it:
        await it.journal.verify()
        rows = await it.all_rows()
        assert "corrupt" in it.alarms.kinds
        assert all(rows[key].raw == row(seq=key[1]).raw for key in rows)
        assert len(rows) > ROWS / 2
        assert await it.journal.verify()
        await it.journal.commit([Append(row("CP9"))])


@pytest.mark.parametrize("damage", ["header", "schema", "tree"])
async def test_fault_61_rows_are_carved_out_when_the_way_to_them_is_gone(tmp_path, damage):
    """The first page, a table's definition, the root of a table: every row below is still saved."""
    await killed(tmp_path / "source", tmp_path / "store")
    async with opened(tmp_path / "store") as it:
        long = row("CP9", 1, raw=b"long" * 10_000)
        await it.journal.commit([Append(long)])
        before = await it.all_rows()
    content = bytearray((tmp_path / "store" / "edgegw.db").read_bytes())
    for at in range(0, len(content), 4096):
        if damage == "tree" and content[at] == 0x05:  # inner page of a table
            content[at : at + 4096] = os.urandom(4096)
    if damage == "header":
        content[:100] = os.urandom(100)
    if damage == "schema":
        at = content.index(b"CREATE TABLE journal")
        content[at : at + 20] = b"CREATE TABLE jouknal"
    (tmp_path / "store" / "edgegw.db").write_bytes(content)
    async with opened(tmp_path / "store") as it:
        assert await it.all_rows() == before
        assert it.alarms.kinds == ["corrupt"]
        assert it.alarms[0].salvage.carved == len(before)
        assert it.alarms[0].salvage.documents == 1
        assert it.alarms[0].salvage.transactions == 1
        assert await it.journal.verify()


async def test_fault_61_rows_are_carved_out_of_the_log_too(tmp_path):
    await killed(tmp_path / "source", tmp_path / "store")
    content = bytearray((tmp_path / "store" / "edgegw.db").read_bytes())
    content[:100] = os.urandom(100)
    (tmp_path / "store" / "edgegw.db").write_bytes(content)
    log = bytearray((tmp_path / "store" / "edgegw.db-wal").read_bytes())
    for at in range(32, len(log), 4096 + 24):
        if log[at : at + 4] == b"\0\0\0\1":  # nor does the log have the first page
            log[at + 24 : at + 124] = os.urandom(100)
    (tmp_path / "store" / "edgegw.db-wal").write_bytes(log)
    async with opened(tmp_path / "store") as it:
        assert len(await it.all_rows()) == ROWS + 60
        assert it.alarms[0].salvage.carved == ROWS + 60


@pytest.mark.parametrize("missing", ["edgegw.db-wal", "both"])
async def test_fault_61_a_missing_log(tmp_path, missing):
    await killed(tmp_path / "source", tmp_path / "store")
    (tmp_path / "store" / "edgegw.db-wal").unlink()
    if missing == "both":
        (tmp_path / "store" / "edgegw.db-shm").unlink()
    async with opened(tmp_path / "store") as it:
        assert it.alarms.kinds == ["corrupt"]
        assert "write-ahead log edgegw.db-wal is missing" in it.alarms[0].text
        assert len(await it.all_rows()) == ROWS


async def test_a_killed_process_leaves_nothing_to_be_alarmed_about(tmp_path):
    await killed(tmp_path / "source", tmp_path / "store")
    async with opened(tmp_path / "store") as it:
        assert not it.alarms
        assert len(await it.all_rows()) == ROWS + 60
        assert await it.journal.verify()


async def test_fault_61_a_log_cut_at_a_frame_is_noticed(tmp_path):
    """SQLite takes such a log for a shorter one; only the index beside it remembers."""
    await killed(tmp_path / "source", tmp_path / "store")
    log = tmp_path / "store" / "edgegw.db-wal"
    frames = (log.stat().st_size - 32) // (4096 + 24)
    os.truncate(log, 32 + (frames - 3) * (4096 + 24))
    async with opened(tmp_path / "store") as it:
        assert it.alarms.kinds == ["corrupt"]
        assert "end of the write-ahead log" in it.alarms[0].text
        assert ROWS < len(await it.all_rows()) < ROWS + 60
        kept = Path(it.alarms[0].salvage.aside)
        assert kept.with_name(kept.name + "-wal").exists()


async def test_a_salvage_that_was_cut_off_before_the_swap_is_finished(tmp_path):
    await filled(tmp_path / "intact")
    await filled(tmp_path / "store")
    store = tmp_path / "store"
    shutil.copy(tmp_path / "intact" / "edgegw.db", store / "edgegw.salvaged")
    (store / "edgegw.db").rename(store / "edgegw.db.corrupt-1")  # here the power went
    async with opened(store) as it:
        assert it.alarms.kinds == ["corrupt"]
        assert len(await it.all_rows()) == ROWS
    async with opened(store) as it:
        assert not it.alarms


async def test_fault_61_a_newer_schema_is_refused_untouched(tmp_path):
    await filled(tmp_path / "store")
    edit(tmp_path / "store", "UPDATE meta SET value = '9000' WHERE key = 'schema'")
    edit(tmp_path / "store", "PRAGMA user_version = 9000")
    before = (tmp_path / "store" / "edgegw.db").read_bytes()
    with pytest.raises(StoreNewer, match="schema 9000, this one knows"):
        async with opened(tmp_path / "store"):
            pass
    assert (tmp_path / "store" / "edgegw.db").read_bytes() == before


@pytest.mark.parametrize("pragma", ["user_version = 9000", "user_version = 0", "application_id = 5"])
async def test_fault_61_a_flipped_header_is_damage_and_not_another_version(tmp_path, pragma):
    await filled(tmp_path / "store")
    edit(tmp_path / "store", f"PRAGMA {pragma}")
    async with opened(tmp_path / "store") as it:
        assert it.alarms.kinds == ["corrupt"]
        assert len(await it.all_rows()) == ROWS


async def test_somebody_elses_database_is_left_alone(tmp_path):
    (tmp_path / "store").mkdir(mode=0o700)
    connection = sqlite3.connect(tmp_path / "store" / "edgegw.db")
    connection.execute("CREATE TABLE photos (id)")
    connection.close()
    with pytest.raises(StoreFault, match="not a store of edgegw"):
        async with opened(tmp_path / "store"):
            pass
