"""What the journal promises to the core: order, atomicity, idempotence, and who is told what."""

from __future__ import annotations

import asyncio
import os
import stat

import msgspec
import pytest

from edgegw.core.records import (
    Append,
    Discard,
    Lane,
    RowState,
    SaveDocument,
    SaveTransaction,
    Settle,
    StoreOp,
    TransactionRecord,
)
from edgegw.errors import StoreFault, StoreLocked
from edgegw.store.journal import Journal
from tests.store.rig import NOW, opened, record, row, settled, until


async def test_a_row_comes_back_as_it_went_in(tmp_path):
    odd = row(
        charger="CP/1 ü",
        seq=2**40,
        message_id="",
        lane=Lane.NOTICE,
        raw=b"\x00\xff\n",
        answer=b"",
        transaction="",
        subject="connector 2",
        flags=("clock_suspect", "unknown, connector"),
        received_at=0.1,
        clock_trusted=False,
        attempts=3,
        error="cloud said: né",
    )
    async with opened(tmp_path / "store") as it:
        await it.journal.commit([Append(odd), Append(row())])
        assert await it.all_rows() == {("CP/1 ü", 2**40): odd, ("CP1", 1): row()}
    async with opened(tmp_path / "store") as it:
        assert await it.all_rows() == {("CP/1 ü", 2**40): odd, ("CP1", 1): row()}
        assert not it.alarms


async def test_waiting_rows_in_order_and_only_those_of_the_transaction_lane(tmp_path):
    async with opened(tmp_path / "store") as it:
        ops = [Append(row(seq=n)) for n in (3, 1, 2, 5, 4)]
        await it.journal.commit([*ops, Append(row(seq=6, lane=Lane.STATUS)), Append(row("CP2", 1))])
        await it.journal.commit([Settle(charger="CP1", seq=2, state=RowState.DELIVERED)])
        await it.journal.commit([Settle(charger="CP1", seq=4, state=RowState.PARKED, attempts=2, error="no")])
        found = await it.journal.rows("CP1", after_seq=0, limit=10)
        assert [r.seq for r in found] == [1, 3, 5]
        assert [r.seq for r in await it.journal.rows("CP1", after_seq=1, limit=1)] == [3]


async def test_calls_of_one_batch_keep_their_order_per_key(tmp_path):
    """Insert, settle, discard, insert again under the same unique key, replace and delete a document."""
    doc = SaveDocument(kind="charger", charger="CP1", key="", value=b"1")
    async with opened(tmp_path / "store") as it:
        calls: list[list[StoreOp]] = [
            [Append(row(seq=1, lane=Lane.STATUS)), doc],
            [Settle(charger="CP1", seq=1, state=RowState.PARKED)],
            [Settle(charger="CP1", seq=1, state=RowState.STORED, attempts=7)],
            [msgspec.structs.replace(doc, value=None)],
            [Discard("CP1", (1,))],
            [Append(row(seq=2, message_id="id-1", raw=b"other", lane=Lane.STATUS))],
            [
                msgspec.structs.replace(doc, key="a", value=b"2"),
                msgspec.structs.replace(doc, key="a", value=b"3"),
            ],
            [Discard("CP1", (2,)), Append(row(seq=3, message_id="id-1", raw=b"third", lane=Lane.STATUS))],
        ]
        await asyncio.gather(*[it.journal.commit(ops) for ops in calls])
        assert it.journal.commits <= 2
        assert [r.raw for r in (await it.all_rows()).values()] == [b"third"]
        (about,) = (await it.journal.recover()).chargers
        assert [(d.key, d.value) for d in about.documents] == [("a", b"3")]
        assert about.seq_last == 3


async def test_the_numbers_of_discarded_rows_are_not_given_again(tmp_path):
    async with opened(tmp_path / "store") as it:
        await it.journal.commit([Append(row(seq=1)), Append(row(seq=2, epoch=9, lane=Lane.BOOT))])
        await it.journal.commit([Discard("CP1", (2,))])
        (about,) = (await it.journal.recover()).chargers
        assert (about.seq_last, about.epoch_last) == (2, 9)


async def test_many_callers_share_few_transactions(tmp_path):
    async with opened(tmp_path / "store") as it:

        async def charger(name: str) -> None:
            for seq in range(1, 21):
                await it.journal.commit([Append(row(name, seq))])

        await asyncio.gather(*[charger(f"CP{n}") for n in range(50)])
        assert len(await it.all_rows()) == 1000
        assert it.journal.commits <= 60


async def test_a_large_call_is_never_split(tmp_path):
    async with opened(tmp_path / "store") as it:
        big = [Append(row(seq=n)) for n in range(1, 2001)]
        before = it.journal.commits
        await it.journal.commit(big)
        assert it.journal.commits == before + 1


async def test_what_nobody_waits_for_rides_along(tmp_path):
    async with opened(tmp_path / "store") as it:
        lazy = [
            it.journal.commit(
                [
                    SaveTransaction(record(meter_last_wh=n)),
                    SaveDocument(kind="status", charger="CP1", key="1", value=b"%d" % n, durable=False),
                ]
            )
            for n in range(100)
        ]
        await asyncio.sleep(0)
        assert not any(done.done() for done in lazy)
        await it.journal.commit([Append(row())])
        assert all(done.done() for done in lazy)
        assert it.journal.commits == 1
        ((_, saved),) = await it.journal.transactions()
        assert saved.meter_last_wh == 99


async def test_what_nobody_waits_for_is_committed_alone_when_nothing_comes_by(tmp_path):
    async with opened(tmp_path / "store") as it:
        await asyncio.wait_for(it.journal.commit([SaveTransaction(record())]), 30)
        assert [saved for _, saved in await it.journal.transactions()] == [record()]


async def test_the_same_message_twice_is_stored_once(tmp_path):
    async with opened(tmp_path / "store") as it:
        await it.journal.commit([Append(row())])
        await it.journal.commit([Append(row())])
        await it.journal.commit([Append(row(seq=2, message_id="id-1", raw=row().raw)), Append(row(seq=3))])
        assert sorted(await it.all_rows()) == [("CP1", 1), ("CP1", 3)]


async def test_a_taken_key_fails_that_caller_alone(tmp_path):
    async with opened(tmp_path / "store") as it:
        await it.journal.commit([Append(row())])
        other_message = it.journal.commit(
            [Append(row(seq=2, message_id="id-1", raw=b"another")), Append(row(seq=9))]
        )
        other_seq = it.journal.commit([Append(row(seq=1, message_id="new"))])
        fine = it.journal.commit([Append(row(seq=3)), SaveTransaction(record())])
        with pytest.raises(StoreFault, match="message id 'id-1' of epoch 1 is taken"):
            await other_message
        with pytest.raises(StoreFault, match="row number 1 is taken"):
            await other_seq
        await fine
        assert sorted(await it.all_rows()) == [("CP1", 1), ("CP1", 3)]
        assert await it.all_rows() == {("CP1", 1): row(), ("CP1", 3): row(seq=3)}
        assert not it.journal.broken


@pytest.mark.parametrize(
    "op",
    [
        Append(row(message_id="\ud800")),
        Append(row(seq=2**63)),
        Append(row(received_at=float("nan"))),
        Discard("CP1", (2**70,)),
        SaveDocument(kind="k", charger="\udfff", key="", value=None),
        SaveTransaction(record(meter_stop_wh=2**70)),
        "not an operation",
    ],
)
async def test_what_cannot_be_stored_fails_that_caller_alone(tmp_path, op):
    async with opened(tmp_path / "store") as it:
        bad, good = it.journal.commit([op, Append(row(seq=7))]), it.journal.commit([Append(row())])
        try:
            await bad
        except StoreFault:
            assert ("CP1", 7) not in await it.all_rows()
        else:  # a number of any size is fine where only JSON is written
            assert isinstance(op, SaveTransaction)
        await good
        assert ("CP1", 1) in await it.all_rows()


async def test_a_cancelled_caller_costs_nobody_anything(tmp_path):
    async with opened(tmp_path / "store") as it:
        gone, stays = it.journal.commit([Append(row())]), it.journal.commit([Append(row(seq=2))])
        gone.cancel()
        await stays
        assert len(await it.all_rows()) == 2


async def test_close_writes_what_was_asked_for_and_refuses_more(tmp_path):
    async with opened(tmp_path / "store") as it:
        asked = [it.journal.commit([Append(row(seq=n))]) for n in range(1, 1201)]
        lazy = it.journal.commit([SaveTransaction(record())])
        await it.journal.close()
        assert all(done.done() and not done.exception() for done in [*asked, lazy])
        with pytest.raises(StoreFault, match="closed"):
            await it.journal.commit([Append(row(seq=2000))])
        with pytest.raises(StoreFault, match="not open"):
            await it.journal.counts()
    assert sorted(p.name for p in (tmp_path / "store").iterdir()) == ["edgegw.db", "edgegw.lock"]


async def test_listings_newest_first_with_paging(tmp_path):
    async with opened(tmp_path / "store") as it:
        await it.journal.commit([Append(row(f"CP{n % 2}", n)) for n in range(1, 11)])
        await it.journal.commit([Settle(charger="CP1", seq=n, state=RowState.PARKED) for n in (3, 5, 7)])
        first = await it.journal.listing(limit=4)
        then = await it.journal.listing(limit=4, before=first[-1][0])
        assert [r.seq for _, r in [*first, *then]] == [10, 9, 8, 7, 6, 5, 4, 3]
        parked = await it.journal.listing(state=RowState.PARKED, charger="CP1", limit=2)
        assert [r.seq for _, r in parked] == [7, 5]
        assert [r.seq for _, r in await it.journal.listing(charger="CP0", limit=2)] == [10, 8]
        assert [r.seq for _, r in await it.journal.listing(state=RowState.STORED, limit=2)] == [10, 9]


async def test_transactions_newest_first_stay_in_place_when_saved_again(tmp_path):
    async with opened(tmp_path / "store") as it:
        for n in range(1, 5):
            await it.journal.commit([SaveTransaction(record(f"CP{n % 2}", str(n)))])
        await it.journal.commit([SaveTransaction(record("CP1", "1", running=False, meter_stop_wh=2**33))])
        assert [r.id for _, r in await it.journal.transactions()] == ["4", "3", "2", "1"]
        assert [r.id for _, r in await it.journal.transactions(charger="CP1")] == ["3", "1"]
        assert [r.id for _, r in await it.journal.transactions(charger="CP1", running=True)] == ["3"]
        ((number, stopped),) = await it.journal.transactions(running=False)
        assert stopped.meter_stop_wh == 2**33
        assert await it.journal.transactions(before=number) == []


async def test_recovery_knows_everything_but_the_rows_of_the_long_lane(tmp_path):
    async with opened(tmp_path / "store") as it:
        await it.journal.commit(
            [
                Append(row(seq=1, epoch=3)),
                Append(row(seq=2, lane=Lane.STATUS, subject="connector 1")),
                Append(row(seq=3, lane=Lane.BOOT, message_id="boot")),
                Append(row(seq=4, transaction="77")),
                Append(row(seq=5, transaction="8")),
                Append(row(seq=6, state=RowState.RECORDED)),
                Settle(charger="CP1", seq=5, state=RowState.PARKED),
                SaveDocument(kind="site", charger="", key="k", value=b"{}"),
                SaveDocument(kind="list", charger="CP2", key="k", value=b"[]"),
                SaveTransaction(record("CP3", "9")),
                SaveTransaction(record("CP3", "8", running=False)),
            ]
        )
    async with opened(tmp_path / "store") as it:
        found = await it.journal.recover()
    one, two, three = found.chargers
    assert (one.charger, one.seq_last, one.epoch_last, one.parked) == ("CP1", 6, 3, 1)
    assert one.stored == {Lane.BOOT: 1, Lane.STATUS: 1, Lane.TRANSACTION: 2}
    assert [r.lane for r in one.stored_rows_head] == [Lane.BOOT, Lane.STATUS]
    assert one.oldest_stored_at == NOW + 1 / 8
    assert [d.value for d in two.documents] == [b"[]"]
    assert [r.id for r in three.open_transactions] == ["9"]
    assert [d.value for d in found.documents] == [b"{}"]


async def test_the_newest_ended_transactions_come_back_oldest_first_and_only_those_of_the_charger(tmp_path):
    def record(charger: str, number: int, *, running: bool = False) -> SaveTransaction:
        return SaveTransaction(TransactionRecord(charger=charger, id=str(number), running=running))

    async with opened(tmp_path / "store") as it:
        # CP1 never had a message to keep: everything it said went straight to the cloud.
        ops = [record("CP1", number) for number in range(40)] + [record("CP1", 40, running=True)]
        await it.journal.commit([*ops, record("CP2", 1), record("CP2", 2, running=True)])
        for name in ("CP1", "CP2"):
            await it.journal.commit([SaveDocument(kind="charger", charger=name, key="", value=b"{}")])
        everyone = {about.charger: about for about in (await it.journal.recover()).chargers}
        (alone,) = (await it.journal.recover("CP1")).chargers
    assert [r.id for r in alone.ended_transactions] == [str(n) for n in range(24, 40)]
    assert [r.id for r in alone.open_transactions] == ["40"]
    assert [d.charger for d in alone.documents] == ["CP1"]
    assert alone == everyone["CP1"]
    assert [r.id for r in everyone["CP2"].ended_transactions] == ["1"]


async def test_parked_rows_can_be_sent_again(tmp_path):
    async with opened(tmp_path / "store") as it:
        await it.journal.commit([Append(row(seq=n)) for n in range(1, 6)])
        await it.journal.commit(
            [Settle(charger="CP1", seq=n, state=RowState.PARKED, attempts=3, error="no") for n in (2, 3, 4)]
        )
        assert (await it.journal.counts()).parked == 3
        assert await it.journal.resend("CP1", [3, 5, 99]) == 1
        assert await it.journal.resend("CP2") == 0
        assert await it.journal.resend("CP1") == 2
        rows = await it.journal.rows("CP1", after_seq=0, limit=10)
        assert rows == [row(seq=n) for n in range(1, 6)]


async def test_counts(tmp_path):
    async with opened(tmp_path / "store", reserve_bytes=64 * 1024) as it:
        await it.journal.commit([Append(row(seq=n)) for n in range(1, 6)])
        await it.journal.commit([Settle(charger="CP1", seq=1, state=RowState.DELIVERED)])
        counts = await it.journal.counts()
        assert (counts.stored, counts.parked, counts.settled, counts.quarantined) == (4, 0, 1, 0)
        assert counts.oldest_stored_at == NOW + 2 / 8
        assert counts.log_bytes > 0
        assert counts.free_bytes > 0
        assert counts.reserve


# --- retention ------------------------------------------------------------------------------------


async def test_retention_deletes_what_is_done_and_nothing_else(tmp_path):
    async with opened(tmp_path / "store", retention_s=100) as it:
        await it.journal.commit([Append(row(seq=n)) for n in range(1, 1601)])
        await it.journal.commit([Append(row("CP2", 1, state=RowState.RECORDED))])
        done = [Settle(charger="CP1", seq=n, state=RowState.DELIVERED) for n in range(1, 1601) if n % 40]
        await it.journal.commit(done)
        await it.journal.commit([Settle(charger="CP1", seq=40, state=RowState.PARKED)])
        assert await it.journal.prune(NOW + 99) == 0
        assert await it.journal.prune(NOW + 101) == len(done)
        rows = await it.all_rows()
        assert sorted(seq for charger, seq in rows if charger == "CP1") == [
            n for n in range(1, 1601) if n % 40 == 0
        ]
        assert ("CP2", 1) in rows  # the newest of its charger stays, so that no number is given twice


async def test_retention_of_transactions_waits_for_their_rows(tmp_path):
    async with opened(tmp_path / "store", retention_s=100) as it:
        await it.journal.commit([Append(row(seq=1, transaction="waits")), Append(row(seq=2))])
        for name, running in (("waits", False), ("runs", True), ("done", False)):
            await it.journal.commit([SaveTransaction(record("CP1", name, running=running))])
        await it.journal.prune(NOW + 101)
        assert sorted(r.id for _, r in await it.journal.transactions()) == ["runs", "waits"]


async def test_fault_65_a_clock_that_was_never_set_makes_nothing_old(tmp_path):
    async with opened(tmp_path / "store", retention_s=100) as it:
        it.now = 5.0  # 1970
        await it.journal.commit([Append(row(seq=n, received_at=1.0, clock_trusted=False)) for n in (1, 2, 3)])
        await it.journal.commit([Settle(charger="CP1", seq=n, state=RowState.DELIVERED) for n in (1, 2)])
        await it.journal.commit([SaveTransaction(record(running=False))])
        assert await it.journal.prune(200.0) == 0
        assert await it.journal.prune(NOW) == 0  # the clock was set: age begins now
        assert len(await it.all_rows()) == 3
        assert await it.journal.verify()
        assert await it.journal.prune(NOW + 99) == 0
        assert await it.journal.prune(NOW + 101) == 3
        assert list(await it.all_rows()) == [("CP1", 3)]


# --- the directory --------------------------------------------------------------------------------


async def test_nobody_else_may_read_the_files(tmp_path):
    async with opened(tmp_path / "store", reserve_bytes=64 * 1024) as it:
        await it.journal.commit([Append(row())])
        assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "store").iterdir()}
    assert modes == dict.fromkeys(
        ["edgegw.db", "edgegw.db-wal", "edgegw.db-shm", "edgegw.lock", "edgegw.reserve"], 0o600
    )


async def test_fault_64_a_missing_parent_is_named(tmp_path):
    with pytest.raises(StoreFault, match=r"a does not exist; create it or change \[store\] directory"):
        async with opened(tmp_path / "a" / "store"):
            pass


async def test_fault_64_a_file_in_the_place_of_the_directory(tmp_path):
    (tmp_path / "store").write_text("")
    with pytest.raises(StoreFault, match="store"):
        async with opened(tmp_path / "store"):
            pass


async def test_fault_62_a_second_opening_is_refused_and_names_the_process(tmp_path):
    async with opened(tmp_path / "store") as it:
        with pytest.raises(StoreLocked, match=f"in use by another edgegw \\(pid {os.getpid()}\\)"):
            await Journal.open(tmp_path / "store", retention_s=1, reserve_bytes=0, wall=lambda: NOW)
        await it.journal.commit([Append(row())])
    async with opened(tmp_path / "store") as it:
        assert len(await it.all_rows()) == 1


async def test_the_reserve_is_given_up_and_made_again(tmp_path):
    reserve = tmp_path / "store" / "edgegw.reserve"
    async with opened(tmp_path / "store", reserve_bytes=1024 * 1024) as it:
        assert reserve.stat().st_size == 1024 * 1024
        session = it.journal._session
        session.give_up_reserve()
        session.give_up_reserve()
        assert not reserve.exists()
        assert it.alarms.kinds == ["disk_full"]
        await until(reserve.exists)
        assert it.alarms.kinds == ["disk_full", "disk_recovered"]


async def test_settled_rows_keep_what_they_say(tmp_path):
    async with opened(tmp_path / "store") as it:
        await it.journal.commit([Append(row())])
        await it.journal.commit([Settle(charger="CP1", seq=1, state=RowState.DELIVERED)])
        assert await it.all_rows() == {("CP1", 1): settled(row(), RowState.DELIVERED)}
        assert await it.journal.verify()
