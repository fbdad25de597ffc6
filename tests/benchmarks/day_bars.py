"""The seeded day against its bars, on seeds that nobody looked at while tuning, beside simpler allocators.

Energy is never shown without the seconds above the limit that it cost: less margin buys energy with them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from tests.benchmarks import day_table
from tests.benchmarks.bench import Bench
from tests.benchmarks.day_baselines import BASELINES
from tests.benchmarks.day_score import Mean, Score, mean
from tests.benchmarks.day_site import DAY_S, HELD_OUT
from tests.benchmarks.day_table import OURS
from tests.benchmarks.report import Row

MARGINS_A = (2.0, 4.0, 7.0)
BARRED_A = 2.0
QUICK_S = 2 * 3600


async def measure(bench: Bench) -> list[Row]:
    """Six sites, twice each; a short day of six seeds when quick."""
    seeds = HELD_OUT[: bench.some(len(HELD_OUT), 6)]
    seconds = bench.some(DAY_S, QUICK_S)
    runs = [(OURS, margin_a) for margin_a in MARGINS_A] + [(name, BARRED_A) for name in BASELINES]
    with day_table.fresh_processes() as workers:
        bench.say(f"day: the optimum of seeds {seeds[0]} to {seeds[-1]}")
        found = await _each(workers, day_table.optimum, [(seed, seconds) for seed in seeds])
        optima = dict(zip(seeds, found, strict=True))
        means: dict[tuple[str, float], Mean] = {}
        for name, margin_a in runs:
            bench.say(f"day: {name}, margin {margin_a:g} A")
            asked = [(name, seed, margin_a, seconds) for seed in seeds]
            scores: list[Score] = await _each(workers, day_table.score, asked)
            means[name, margin_a] = mean(scores, optima)
    return _rows(means, f"seeds {seeds[0]} to {seeds[-1]}, {seconds // 3600} h each")


async def _each(workers: Executor, work, asked: Sequence[tuple]) -> list:
    loop = asyncio.get_running_loop()
    return list(await asyncio.gather(*(loop.run_in_executor(workers, work, *one) for one in asked)))


def _rows(means: dict[tuple[str, float], Mean], seeds: str) -> list[Row]:
    ours = means[OURS, BARRED_A]
    rows = [
        Row("day: energy delivered, of the optimum", 100 * ours.energy, "%", "at least", 82, seeds),
        Row("day: Jain fairness", ours.jain, "", "at least", 0.9),
        Row("day: mean satisfaction of the worst tenth", 100 * ours.worst_decile, "%", "at least", 40),
        Row("day: nine in ten sessions get at least", 100 * ours.tenth_percentile, "%"),
        Row("day: longest over-limit by cars", ours.longest_by_cars_s, "s", "at most", 25, _over(ours)),
        Row("day: limit changes per charger-hour", ours.changes_per_h, "", "at most", 25),
        Row("day: pauses per session", ours.pauses_per_session, "", "at most", 2),
        Row("day: heat of the hottest fuse", ours.heat, "", "at most", 1, "1: a breaker may trip"),
    ]
    for (name, margin_a), m in means.items():
        what = f"day: {name}, {margin_a:g} A margin: energy"
        detail = (
            f"{_over(m)}; Jain {m.jain:.2f}, worst tenth {m.worst_decile:.0%}, "
            f"{m.changes_per_h:.0f} changes/h, {m.pauses_per_session:.1f} pauses"
        )
        rows.append(Row(what, 100 * m.energy, "%", detail=detail))
    return rows


def _over(m: Mean) -> str:
    return (
        f"over {m.over_s:.0f} s a day, {m.over_by_cars_s:.0f} s by cars, longest {m.longest_s:.0f} s, "
        f"peak {m.peak:.2f}x"
    )
