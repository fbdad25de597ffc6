"""Resident memory of the gateway with 1,000 chargers, both legs open, no TLS."""

from __future__ import annotations

from tests.benchmarks import gauges
from tests.benchmarks.bench import Bench
from tests.benchmarks.chargers import closed_loop, fleet, hang_up
from tests.benchmarks.payloads import Words
from tests.benchmarks.report import Row

CHARGERS = 1000
WARM_UP = 10  # chargers whose coming loads what is loaded once: schemas, code, allocator
MESSAGES_EACH = 5


async def measure(bench: Bench) -> list[Row]:
    count = bench.some(CHARGERS, 200)
    _, cloud = await bench.echo_cloud()
    gateway = await bench.gateway("memory", cloud, {"cloud": {"connect_rate": 0}})
    at_start = gauges.rss_bytes(gateway.pid)
    first = await fleet(gateway.url, WARM_UP, "WARM")
    before = gauges.rss_bytes(gateway.pid)
    bench.say(f"memory: {count} chargers boot")
    chargers = await fleet(gateway.url, count)
    bench.say("memory: every one of them talks")
    for say in (Words.status, Words.meter, Words.heartbeat):
        await closed_loop(chargers, count * MESSAGES_EACH, say)
    after = gauges.rss_bytes(gateway.pid)
    hang_up([*first, *chargers])
    detail = (
        f"{_mib(at_start)} at start, {_mib(before)} with {WARM_UP} chargers, {_mib(after)} with {count} more"
    )
    return [
        Row("RSS per connected charger", (after - before) / count / 1024, "KiB", "at most", 60, detail),
        Row(f"RSS in all, {count + WARM_UP} chargers", after / 2**20, "MiB", "at most", 160, detail),
    ]


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
