"""Back-off, the login limiter and the dial gate (faults 7, 56; OCPP 2.x Part 4 5.4)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.links.rate import ADDRESSES_MAX, DialGate, LoginLimiter
from edgegw.runtime.backoff import Backoff, BackoffSettings, backoff_wait_s

SETTINGS = BackoffSettings(wait_minimum_s=10, random_range_s=5, repeat_times=3)


def test_waits_double_without_their_random_part_and_then_stay():
    backoff = Backoff(SETTINGS)
    assert [backoff.failed(rand) for rand in (0.0, 0.2, 1.0, 0.4, 0.0, 0.6)] == [10, 21, 45, 82, 80, 83]
    backoff.reset()
    assert backoff.failed(0.0) == 10


def test_retry_after_is_a_floor_with_the_random_part_on_top():
    assert backoff_wait_s(SETTINGS, 1, 0.5, retry_after_s=120) == 122.5
    assert backoff_wait_s(SETTINGS, 4, 0.5, retry_after_s=1) == 82.5


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_no_wait_leaves_its_bounds(failures, rand):
    assert 10 <= backoff_wait_s(SETTINGS, failures, rand) <= 85


def test_fault_7_five_failures_a_minute_are_free_then_it_takes_longer():
    limiter = LoginLimiter()
    assert [limiter.failed("192.0.2.1", second) for second in range(12)] == [
        0,
        0,
        0,
        0,
        0,
        1,
        2,
        4,
        8,
        16,
        30,
        30,
    ]
    assert limiter.delay_s("192.0.2.2", 12) == 0
    assert limiter.delay_s("192.0.2.1", 12) == 30
    assert limiter.delay_s("192.0.2.1", 66) == 0
    assert limiter.failed("192.0.2.1", 200) == 0


def test_an_ipv6_host_is_its_whole_network():
    limiter = LoginLimiter()
    delays = [limiter.failed(f"2001:db8::{number:x}", 0) for number in range(7)]
    assert delays[-1] == 2
    assert limiter.delay_s("2001:db8:0:1::1", 0) == 0
    assert limiter.delay_s("not an address", 0) == 0


def test_the_table_is_bounded():
    limiter = LoginLimiter()
    for number in range(ADDRESSES_MAX + 500):
        limiter.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", number)
    assert limiter.addresses == ADDRESSES_MAX


async def test_an_unlimited_gate_is_open():
    gate = DialGate(0)
    async with asyncio.timeout(30):
        for _ in range(10_000):
            await gate.wait()


async def test_fault_56_dials_pass_in_order_and_not_faster_than_the_rate():
    gate = DialGate(50)
    loop = asyncio.get_running_loop()
    passed: list[int] = []

    async def dial(number: int) -> None:
        await gate.wait()
        passed.append(number)

    started = loop.time()
    async with asyncio.timeout(30):
        await asyncio.gather(*(dial(number) for number in range(75)))
    assert passed == list(range(75))
    # 50 had tokens, 25 waited 20 ms each.
    assert loop.time() - started >= 24 / 50
    assert gate.waiting == 0


async def test_who_gives_up_takes_no_turn():
    gate = DialGate(20)
    for _ in range(20):
        await gate.wait()
    quitters = [asyncio.gather(gate.wait()) for _ in range(1_200)]
    last = asyncio.gather(gate.wait())
    await asyncio.sleep(0)
    quitters = [quitter for quitter in quitters if quitter.cancel()]  # on a slow machine some had their turn
    async with asyncio.timeout(30):  # 1,200 turns would take a minute
        await last
    for quitter in quitters:
        with pytest.raises(asyncio.CancelledError):
            await quitter
