"""How late the loop is, and durations in buckets."""

from __future__ import annotations

import asyncio
import time

import pytest

from edgegw.runtime.histogram import Histogram
from edgegw.runtime.loop_lag import WINDOW_S, LoopLag


class Clock:
    def __init__(self) -> None:
        self.mono = 100.0

    def __call__(self) -> float:
        return self.mono


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def sampled(lag: LoopLag, count: int) -> None:
    """Until so many samples were taken since the start."""
    async with asyncio.timeout(30):
        while lag.histogram.count < count:  # noqa: ASYNC110  it tells nobody, it counts
            await asyncio.sleep(0.001)


async def test_a_loop_that_is_blocked_is_seen_by_the_next_sample():
    lag = LoopLag(interval_s=0.01)
    lag.start()
    await sampled(lag, 1)
    seen = lag.histogram.count
    time.sleep(0.2)  # noqa: ASYNC251  the fault itself
    await sampled(lag, seen + 1)
    lag.stop()
    assert lag.worst_ms >= 180
    assert lag.histogram.cumulative()[-1] == (float("inf"), lag.histogram.count)
    assert lag.histogram.sum_s >= 0.18


async def test_nothing_is_sampled_before_the_start_and_after_the_stop():
    lag = LoopLag(interval_s=0.001)
    lag.stop()
    lag.start()
    await sampled(lag, 2)
    lag.stop()
    lag.stop()
    seen = lag.histogram.count
    await asyncio.sleep(0.02)
    assert lag.histogram.count == seen


async def test_the_worst_is_forgotten_after_a_minute_and_the_last_is_kept(clock: Clock):
    lag = LoopLag(interval_s=0.001, mono=clock)
    lag.start()
    clock.mono += 0.501  # the timer that is armed now comes half a second late, by this clock
    asyncio.get_running_loop().call_later(0.001, lag.stop)  # behind the first, before a second
    await sampled(lag, 1)
    lag.stop()
    assert lag.worst_s == lag.last_s == pytest.approx(0.5)
    clock.mono += WINDOW_S - 1
    assert lag.worst_ms == pytest.approx(500)
    clock.mono += 2
    assert lag.worst_s == 0.0
    assert lag.last_s == pytest.approx(0.5)


async def test_a_timer_that_comes_early_is_not_late(clock: Clock):
    lag = LoopLag(interval_s=0.001, mono=clock)  # by this clock no time passes at all
    lag.start()
    await sampled(lag, 3)
    lag.stop()
    assert (lag.worst_s, lag.histogram.sum_s) == (0.0, 0.0)


def test_a_duration_on_a_bound_is_within_it():
    histogram = Histogram((0.1, 1.0))
    for duration_s in (0.05, 0.1, 0.5, 1.0, 7.0):
        histogram.observe(duration_s)
    assert histogram.cumulative() == [(0.1, 2), (1.0, 4), (float("inf"), 5)]
    assert histogram.count == 5
    assert histogram.sum_s == pytest.approx(8.65)
