"""One rate for all, shared fairly, with a clock that is set by hand."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter

import pytest

from edgegw.files.throttle import BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, Bucket, Throttle, block_bytes
from edgegw.runtime.tasks import Tasks
from tests.files.rig import Clock


def test_what_was_saved_up_goes_at_once_and_the_rest_at_the_rate():
    bucket = Bucket(1000)
    assert bucket.reserve(250, 0.0) == 0.0  # a quarter of a second is saved up
    assert bucket.reserve(500, 0.0) == pytest.approx(0.5)
    assert bucket.reserve(500, 0.0) == pytest.approx(1.0)  # who comes later waits longer
    assert bucket.reserve(0, 1.0) == 0.0


def test_an_idle_door_saves_up_no_more_than_its_burst():
    bucket = Bucket(1000)
    assert bucket.reserve(250, 0.0) == 0.0
    assert bucket.reserve(1250, 3600.0) == pytest.approx(1.0)


def test_a_clock_that_steps_back_gives_nothing():
    bucket = Bucket(1000)
    bucket.reserve(250, 50.0)
    assert bucket.reserve(100, 10.0) == pytest.approx(0.1)


def test_no_rate_is_no_limit():
    assert Bucket(0).reserve(10**12, 0.0) == 0.0
    assert Throttle(0).block_bytes == BLOCK_BYTES_MAX


def test_blocks_get_smaller_with_the_rate():
    assert Throttle(1000).block_bytes == BLOCK_BYTES_MIN
    assert Throttle(320_000).block_bytes == 20_000
    assert Throttle(10**9).block_bytes == BLOCK_BYTES_MAX
    assert block_bytes(10**9, 1_000_000) == 1_000_000


async def test_the_sum_of_all_transfers_keeps_the_rate():
    clock = Clock()
    throttle = Throttle(10_000, clock, clock.sleep)
    for _ in range(20):
        await throttle.take(1000)
    assert clock.now - clock.began == pytest.approx((20_000 - 2500) / 10_000)


async def test_fault_79_transfers_take_turns_and_nobody_starves():
    """Who joins a full house moves as much as the others from then on, whatever his blocks are."""
    now, sleepers = 0.0, list[tuple[float, int, asyncio.Event]]()
    moved: Counter[str] = Counter()

    async def sleep(wait_s: float) -> None:
        woken = asyncio.Event()
        heapq.heappush(sleepers, (now + wait_s, id(woken), woken))
        await woken.wait()

    throttle = Throttle(1_000_000, lambda: now, sleep)

    async def transfer(name: str, share: int) -> None:
        while True:
            await throttle.take(throttle.block_bytes // share)
            moved[name] += throttle.block_bytes // share

    async def pass_s(seconds: float) -> None:
        nonlocal now
        until = now + seconds
        while sleepers and sleepers[0][0] <= until:
            now, _, woken = heapq.heappop(sleepers)
            woken.set()
            for _ in range(3):
                await asyncio.sleep(0)

    tasks = Tasks()
    for n in range(40):
        tasks.spawn(transfer(f"CP-{n}", 1), "transfer")
    await asyncio.sleep(0)
    await pass_s(60)
    moved.clear()
    tasks.spawn(transfer("late", 2), "transfer")
    await asyncio.sleep(0)
    await pass_s(60)
    await tasks.cancel()
    assert sum(moved.values()) == pytest.approx(60_000_000, rel=0.02)
    most, least = max(moved.values()), min(moved[f"CP-{n}"] for n in range(40))
    assert most - least <= throttle.block_bytes
    assert moved["late"] == pytest.approx(most / 2, rel=0.1)


async def test_who_is_cancelled_while_waiting_has_used_nothing():
    clock = Clock()

    async def forever(wait_s: float) -> None:
        await asyncio.get_running_loop().create_future()

    throttle = Throttle(1000, clock, forever)
    waiting = asyncio.create_task(throttle.take(100_000))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await throttle.take(250)  # would wait for ever if the other's bytes still counted
