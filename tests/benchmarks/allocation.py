"""What one decision of the balancer costs, at 40 and at 1,000 connectors.

Every step of a simulated quarter of an hour with most connectors taken, after the first minutes that fill the
site. CPU time of the thread, so that other jobs on the machine do not count.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from edgegw.balance.balancer import Balancer
from edgegw.balance.model import Allocation, Circuit, Connector, Limit, Plug, Reading, Settings
from tests.benchmarks.bench import Bench
from tests.benchmarks.day import Day
from tests.benchmarks.day_site import ROTATIONS, Building, Crowd, Site, plan_at
from tests.benchmarks.day_table import fresh_processes
from tests.benchmarks.gauges import percentile
from tests.benchmarks.report import Row

BARS_MS = {40: 2.0, 1000: 50.0}
PER_FUSE = 20
WARM_S = 240
SEED = 11


class Timed:
    """The balancer with a clock around it."""

    def __init__(self, circuits: Sequence[Circuit], connectors: Sequence[Connector]) -> None:
        self._balancer = Balancer(tuple(circuits), tuple(connectors), Settings())
        self.steps_s: list[float] = []

    def step(
        self, now: float, readings: Mapping[str, Reading], plugs: Sequence[Plug], limits: Sequence[Limit]
    ) -> Allocation:
        began = time.thread_time()
        try:
            return self._balancer.step(now, readings, plugs, limits)
        finally:
            self.steps_s.append(time.thread_time() - began)


def site(count: int) -> Site:
    """`count` connectors on sub-circuits of twenty, with about half of what the cars would like."""
    fuses = [
        Circuit(name=f"row {n}", limit_a=100, parent="main", margin_a=1.0) for n in range(count // PER_FUSE)
    ]
    main = Circuit(name="main", limit_a=count * 5.0, metered=True, reserve_a=count)
    connectors = tuple(
        Connector(
            id=f"CP-{n}/1",
            circuit=f"row {n // PER_FUSE}",
            phases=ROTATIONS[n % 3][:1] if n % 5 == 4 else ROTATIONS[n % 3],
            safe_a=0.0,
        )
        for n in range(count)
    )
    building = Building(count * 0.8, count * 0.2, ((count * 0.2, 30, 40),), ((count * 0.3, 60),), 30)
    return Site(f"{count} connectors", (main, *fuses), connectors, building, Crowd(90, 7200, 600, 20000))


def steps_ms(count: int, seconds: int) -> list[float]:
    """CPU milliseconds of each step."""
    timed: list[Timed] = []

    def make(circuits: Sequence[Circuit], connectors: Sequence[Connector]) -> Timed:
        timed.append(Timed(circuits, connectors))
        return timed[0]

    # Who comes is planned for a longer day: nobody stays for the last minutes only.
    whole = plan_at(site(count), SEED, seconds + 3600)
    Day(whole, make, "edgegw").run(seconds)
    return [1000 * s for s in timed[0].steps_s[WARM_S:]]


async def measure(bench: Bench) -> list[Row]:
    rows = []
    with fresh_processes(1) as workers:  # with its own garbage collector, as the gateway has
        for count, bar_ms in BARS_MS.items():
            bench.say(f"allocation: {count} connectors")
            seconds = bench.some(1140, 480) if count < 100 else bench.some(540, 300)
            ms = await asyncio.get_running_loop().run_in_executor(workers, steps_ms, count, seconds)
            p50, p95 = percentile(ms, 50), percentile(ms, 95)
            detail = f"p50 {p50:.2f}, p95 {p95:.2f}, worst {max(ms):.1f} ms CPU over {len(ms)} steps of 1 s"
            rows.append(Row(f"one decision, {count} connectors, p95", p95, "ms", "at most", bar_ms, detail))
    return rows
