"""What nobody waits for is gathered: last word per key, before anything durable, never for long."""

from __future__ import annotations

import asyncio

from edgegw.core.records import Discard, SaveDocument, SaveTransaction, StoreOp, TransactionRecord
from edgegw.runtime import ride_along
from edgegw.runtime.ride_along import RideAlong


class Store:
    def __init__(self) -> None:
        self.commits: list[list[StoreOp]] = []
        self.written = asyncio.Event()
        self.disk: asyncio.Future[None] | None = None  # None: it takes everything at once

    def commit(self, ops: list[StoreOp]) -> asyncio.Future[None] | None:
        self.commits.append(ops)
        self.written.set()
        return self.disk


def state(connector: int, value: bytes, *, durable: bool = False) -> SaveDocument:
    return SaveDocument(kind="status", charger="CP", key=str(connector), value=value, durable=durable)


async def test_only_the_last_word_per_key_is_written_in_the_order_it_was_said():
    store = Store()
    riders = RideAlong(store.commit)
    record = SaveTransaction(TransactionRecord(charger="CP", id="1"))
    for op in (state(1, b"a"), state(2, b"b"), record, state(1, b"c")):
        assert riders.take([op])
    riders.flush()
    assert store.commits == [[state(2, b"b"), record, state(1, b"c")]]


async def test_a_list_that_somebody_waits_for_is_not_taken_not_even_in_part():
    store = Store()
    riders = RideAlong(store.commit)
    assert not riders.take([state(1, b"a"), state(2, b"b", durable=True)])
    assert not riders.take([state(1, b"a"), Discard("CP", (1,))])
    riders.flush()
    assert store.commits == []


async def test_nothing_waits_for_ever():
    store = Store()
    riders = RideAlong(store.commit)
    riders.take([state(1, b"a")])
    async with asyncio.timeout(30):
        await store.written.wait()
    assert store.commits == [[state(1, b"a")]]


async def test_while_the_disk_stands_still_one_word_per_key_waits():
    store = Store()
    store.disk = asyncio.get_running_loop().create_future()
    riders = RideAlong(store.commit)
    riders.take([state(1, b"first")])
    async with asyncio.timeout(30):
        await store.written.wait()
    for said in range(3 * ride_along.WAITING_MAX):
        riders.take([state(said % 2, b"%d" % said)])
    for number in range(ride_along.WAITING_MAX):
        riders.take([state(number, b"last")])
    riders._set_out()  # its moment has come, and the disk has not
    assert len(store.commits) == 1
    store.written.clear()
    store.disk.set_result(None)
    async with asyncio.timeout(30):
        await store.written.wait()
    assert store.commits[1] == [state(number, b"last") for number in range(ride_along.WAITING_MAX)]


async def test_who_commits_takes_along_what_waits_whatever_the_disk_does():
    store = Store()
    store.disk = asyncio.get_running_loop().create_future()
    riders = RideAlong(store.commit)
    for value in (b"a", b"b"):
        riders.take([state(1, value)])
        riders.flush()
    assert store.commits == [[state(1, b"a")], [state(1, b"b")]]


async def test_a_full_carriage_leaves_at_once():
    store = Store()
    riders = RideAlong(store.commit)
    for number in range(ride_along.WAITING_MAX):
        riders.take([state(number, b"a")])
    assert [len(ops) for ops in store.commits] == [ride_along.WAITING_MAX]
