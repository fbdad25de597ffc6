"""From a step of the building to the limit at the charger, over the real loop; how often chargers are told.

Simulated chargers with cars that draw, a Modbus TCP meter that shows them, the real gateway between. The
clock starts when the building's current changes and stops when a charger has a SetChargingProfile in hand.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgegw.sim import commands
from edgegw.sim.building import Building
from edgegw.sim.ev import CARS
from edgegw.sim.habits import Habits
from edgegw.sim.site import Grid, SimSite
from tests.benchmarks.bench import Bench
from tests.benchmarks.gauges import percentile
from tests.benchmarks.report import Row

FUSE_A, RESERVE_A, COUNT = 125.0, 60.0, 10
STEP_A = 5.0
SETTLED_WITHIN_S = 120.0


async def measure(bench: Bench) -> list[Row]:
    bench.say(f"steering: {COUNT} chargers of three versions with cars, a meter polled once a second")
    building = Building(seed=3)
    building.set((10.0, 10.0, 10.0))
    habits = Habits(cars=(CARS["three32"],), meter_interval_s=10.0, backoff_min_s=0.2)
    site = SimSite("ws://127.0.0.1:9", COUNT, seed=3, habits=habits, grid=Grid(building))
    site.arrivals = False
    assert site.meter is not None
    with _heard() as heard:
        try:
            await site.meter.start()
            gateway = await bench.gateway("steering", None, _tables(site))
            await site.dial(gateway.url)
            await _charge(site)
            delays = await _steps(bench, site, building, heard)
            told_per_hour = await _calm_rate(bench, building, heard)
        finally:
            await site.stop()
    p50, p95 = percentile(delays, 50), percentile(delays, 95)
    detail = f"{len(delays)} steps of {STEP_A:g} A; p50 {p50:.2f} s, slowest {max(delays):.2f} s"
    return [
        Row("meter step -> SetChargingProfile at the charger, p95", p95, "s", "at most", 1.5, detail),
        Row("SetChargingProfile per charger and hour, stepping building", told_per_hour, "/h"),
    ]


def _tables(site: SimSite) -> dict[str, Any]:
    assert site.meter is not None
    names = ("L1", "L2", "L3")
    return {
        "authorization": {"unknown_tags": "accept"},
        "meter": [{"name": "grid", "template": "eastron_sdm630", "address": site.meter.address}],
        "circuit": [{"name": "main", "fuse": FUSE_A, "meter": "grid", "reserve": RESERVE_A}],
        "connector": [
            {
                "charger": identity,
                "connector": connector,
                "circuit": "main",
                "phases": " ".join(names[phase] for phase in phases),
                "safe": 6 if connector == 1 else 0,
            }
            for (identity, connector), phases in site.wiring.items()
        ],
    }


@contextmanager
def _heard() -> Iterator[list[float]]:
    """Instants at which some charger was given a limit."""
    heard: list[float] = []
    tables = [table for table in (commands._ROWS_16, commands._ROWS_2X) if "SetChargingProfile" in table]
    honest = [table["SetChargingProfile"] for table in tables]

    def noting(honest: Any) -> Any:
        def row(charger: Any, payload: Any) -> Any:
            heard.append(time.monotonic())
            return honest(charger, payload)

        return row

    for table, one in zip(tables, honest, strict=True):
        table["SetChargingProfile"] = noting(one)
    try:
        yield heard
    finally:
        for table, one in zip(tables, honest, strict=True):
            table["SetChargingProfile"] = one


async def _charge(site: SimSite) -> None:
    await _until(lambda: site.online() == COUNT and _all_safe(site), "every charger has its safe limit")
    for charger in site.chargers.values():
        await charger.begin(1, "TAG01")
    await _full(site)


def _all_safe(site: SimSite) -> bool:
    return all(charger.power.offered_a(1) <= 6.0 for charger in site.chargers.values())


async def _full(site: SimSite) -> None:
    await _until(lambda: FUSE_A - 12 < min(site.grid_a()) <= FUSE_A, "the cars fill the fuse")


async def _until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {SETTLED_WITHIN_S:g} s: {what}"
        await asyncio.sleep(0.05)


async def _steps(bench: Bench, site: SimSite, building: Building, heard: list[float]) -> list[float]:
    """Seconds from each step to the first limit behind it that lowers what the cars draw."""
    rng, delays = random.Random(5), []
    for round_ in range(bench.some(3, 1)):
        amps = 10.0
        for _ in range(8):
            await asyncio.sleep(rng.uniform(12.0, 13.0))  # settled, and at no particular time of the poll
            amps += STEP_A
            if max(site.grid_a()) + STEP_A <= FUSE_A:
                building.set((amps, amps, amps))
                continue  # it fits: nobody has to be told
            seen, began = len(heard), time.monotonic()
            building.set((amps, amps, amps))
            await _until(lambda seen=seen: len(heard) > seen, "a step reaches a charger")
            delays.append(heard[seen] - began)
        bench.say(f"steering: round {round_ + 1}, {len(delays)} steps so far")
        building.set((10.0, 10.0, 10.0))
        await _full(site)
    return delays


async def _calm_rate(bench: Bench, building: Building, heard: list[float]) -> float:
    seconds = bench.some(180, 60)
    bench.say(f"steering: {seconds} s with a building that steps by itself")
    building.release()
    await asyncio.sleep(15.0)
    seen = len(heard)
    await asyncio.sleep(seconds)
    return (len(heard) - seen) / COUNT * 3600 / seconds
