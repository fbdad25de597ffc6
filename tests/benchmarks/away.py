"""Answers while the cloud is away: each one is on disk before the charger gets it.

Rules of this file:
- Latency is told in units of one fdatasync of 4 KiB, measured on the same disk between the rounds: what is
  promised is one sync shared by all who wait, not a speed of the disk.
- 50 chargers write at once: each has one CALL outstanding, all the time.
"""

from __future__ import annotations

import time

from tests.benchmarks import gauges
from tests.benchmarks.bench import Bench
from tests.benchmarks.chargers import Charger, Conversation, closed_loop, fleet, hang_up
from tests.benchmarks.echo_cloud import EchoCloud
from tests.benchmarks.report import Row
from tests.e2e.gateway import GatewayProcess

AT_ONCE = 50
SATURATING = (50, 200, 400)
PROBES = 40
# Let in at once, and not dialled for again while we measure: 400 chargers at the product's pace of 2 per
# second would take minutes to come, and without any pace their dialling would be what is measured.
AWAY = {"cloud": {"connect_rate": 0, "retry_wait_minimum": "10 min"}}


async def measure(bench: Bench) -> list[Row]:
    cloud = EchoCloud()
    await cloud.start()
    gateway = await bench.gateway("away", cloud.url, AWAY)
    chargers = await fleet(gateway.url, max(SATURATING))
    await cloud.cut()
    for charger in chargers:  # each has noticed that its cloud is gone when it gets an answer
        charger.note_transaction(await charger.ask(charger.words.start()))
    rows = [await _latency(bench, gateway, chargers[:AT_ONCE])]
    rows.append(await _rate(bench, gateway, chargers))
    hang_up(chargers)
    return rows


async def _latency(bench: Bench, gateway: GatewayProcess, chargers: list[Charger]) -> Row:
    ratios, middles, syncs = [], [], []
    before = gauges.turns(gateway.pid)
    for round_ in range(bench.some(7, 3)):
        bench.say(f"away: round {round_ + 1}, {AT_ONCE} chargers write at once")
        sync = gauges.middle(gauges.fsync_s(gateway.store, PROBES))
        took = await closed_loop(chargers, bench.some(3000, 1000), Conversation())
        sync = (sync + gauges.middle(gauges.fsync_s(gateway.store, PROBES))) / 2
        middles.append(gauges.percentile(took, 50))
        syncs.append(sync)
        ratios.append(middles[-1] / sync)
    detail = (
        f"p50 {gauges.middle(middles) * 1e3:.2f} ms, one fsync {gauges.middle(syncs) * 1e3:.2f} ms; "
        f"rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)}; "
        f"edgegw {gauges.turns(gateway.pid).since(before).text}"
    )
    what = f"answer while the cloud is away, p50, {AT_ONCE} chargers at once"
    return Row(what, gauges.middle(ratios), "fsync", "at most", 1.5, detail)


async def _rate(bench: Bench, gateway: GatewayProcess, chargers: list[Charger]) -> Row:
    """The best of the fleets: below it the chargers are too few, above it they queue."""
    rates, costs = {}, {}
    at_first = gauges.turns(gateway.pid)
    for count in SATURATING:
        bench.say(f"away: {count} chargers write as fast as they are answered")
        total = bench.some(12000, 3000)
        best = 0.0
        for _ in range(bench.some(3, 1)):
            before, began = gauges.cpu_s(gateway.pid), time.perf_counter()
            await closed_loop(chargers[:count], total, Conversation())
            best = max(best, total / (time.perf_counter() - began))
            cost = (gauges.cpu_s(gateway.pid) - before) / total * 1e6
            costs[count] = min(costs.get(count, cost), cost)
        rates[count] = best
    detail = ", ".join(
        f"{count} chargers {rates[count]:,.0f}/s at {costs[count]:.0f} us CPU" for count in rates
    )
    detail += f"; edgegw {gauges.turns(gateway.pid).since(at_first).text}"
    return Row("journalled and answered messages", max(rates.values()), "/s", "at least", 5000, detail)
