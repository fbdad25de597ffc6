"""How fast stored messages reach a cloud that is back, and that a configured rate is never exceeded."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from tests.benchmarks import gauges
from tests.benchmarks.bench import Bench
from tests.benchmarks.chargers import Conversation, closed_loop, fleet, hang_up
from tests.benchmarks.echo_cloud import EchoCloud
from tests.benchmarks.report import Row

CHARGERS = 50
RATE_PER_S = 20
FINISHED_WITHIN_S = 120.0
STORED = re.compile(rb'"(StartTransaction|MeterValues|StopTransaction)"')


async def measure(bench: Bench) -> list[Row]:
    each = bench.some(300, 60)
    bench.say(f"replay: {CHARGERS} chargers store {each} messages each, no limit")
    times, turns = await _replayed(bench, "unlimited", 0, CHARGERS, CHARGERS * each)
    rate = (len(times) - 1) / (times[-1] - times[0])
    detail = (
        f"{len(times)} messages of {CHARGERS} chargers in {times[-1] - times[0]:.1f} s; edgegw {turns.text}"
    )
    rows = [Row("replay, unlimited", rate, "/s", "at least", 2000, detail)]

    total = bench.some(240, 80)
    bench.say(f"replay: {total} messages at replay_rate = {RATE_PER_S}")
    times, _ = await _replayed(bench, "limited", RATE_PER_S, 10, total)
    busiest = most_within(times, 1.0)
    detail = f"{len(times)} messages of 10 chargers in {times[-1] - times[0]:.1f} s"
    what = f"replay_rate = {RATE_PER_S}: most messages in any 1 s"
    return [*rows, Row(what, busiest, "", "at most", RATE_PER_S, detail)]


async def _replayed(
    bench: Bench, name: str, rate: float, count: int, total: int
) -> tuple[list[float], gauges.Turns]:
    """When each of `total` stored messages reached the cloud, and what the gateway got to do it."""
    times: list[float] = []
    arrived = asyncio.Event()
    counting = False

    def heard(at: float, text: bytes) -> None:
        if counting and STORED.search(text, 40, 80):
            times.append(at)
            if len(times) >= total:
                arrived.set()

    cloud = EchoCloud(heard)
    await cloud.start()
    settings = {"cloud": {"replay_rate": rate, "connect_rate": 0, "retry_wait_minimum": "1 s"}}
    gateway = await bench.gateway(name, cloud.url, settings)
    chargers = await fleet(gateway.url, count)
    await cloud.cut()
    await closed_loop(chargers, total, Conversation())
    counting = True
    before = gauges.turns(gateway.pid)
    await cloud.start()
    async with asyncio.timeout(FINISHED_WITHIN_S):
        await arrived.wait()
    turns = gauges.turns(gateway.pid).since(before)
    hang_up(chargers)
    await cloud.cut()
    await gateway.terminate()
    return times, turns


def most_within(times: Sequence[float], window_s: float) -> int:
    """The most of `times` (in order) in any half-open window of `window_s`."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= window_s:
            first += 1
        most = max(most, last - first + 1)
    return most
