"""Days of many seeds, in processes of their own, and the tables made of them.

`python -m tests.benchmarks.day_table --seeds tuning --allocator edgegw --margin 2`, for who tunes.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor

from edgegw.balance.balancer import Balancer
from edgegw.balance.model import Circuit, Connector, Settings
from tests.benchmarks.day import Allocator, Day
from tests.benchmarks.day_baselines import BASELINES
from tests.benchmarks.day_optimum import optimum_wh
from tests.benchmarks.day_score import Mean, Score, mean
from tests.benchmarks.day_site import DAY_S, HELD_OUT, TUNING, plan

OURS = "edgegw"
WORKERS = 2
HEAD = (
    "allocator",
    "margin",
    "of optimum",
    "served",
    "Jain",
    "worst tenth",
    "9 in 10 get",
    "over, s/day",
    "by cars, s/day",
    "longest by cars, s",
    "longest, s",
    "heat",
    "changes/charger-h",
    "pauses/session",
)


def allocator(name: str, circuits: Sequence[Circuit], connectors: Sequence[Connector]) -> Allocator:
    if name == OURS:
        return Balancer(tuple(circuits), tuple(connectors), Settings())
    return BASELINES[name](circuits, connectors)


def score(name: str, seed: int, margin_a: float, seconds: int = DAY_S) -> Score:
    return Day(plan(seed, seconds), functools.partial(allocator, name), name, margin_a).run()


def optimum(seed: int, seconds: int = DAY_S) -> float:
    return optimum_wh(plan(seed, seconds))


def fresh_processes(count: int = WORKERS) -> Executor:
    """Spawned: a fork of a process with an event loop and threads is none."""
    return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))


def line(scores: Sequence[Score], optima: dict[int, float]) -> tuple[str, ...]:
    """One row of the table, in the order of `HEAD`."""
    m = mean(scores, optima)
    return (scores[0].allocator, f"{scores[0].margin_a:g} A", *_cells(m))


def _cells(m: Mean) -> tuple[str, ...]:
    return (
        f"{m.energy:.1%}",
        f"{m.served:.1%}",
        f"{m.jain:.2f}",
        f"{m.worst_decile:.0%}",
        f"{m.tenth_percentile:.0%}",
        f"{m.over_s:.0f}",
        f"{m.over_by_cars_s:.0f}",
        f"{m.longest_by_cars_s:.0f}",
        f"{m.longest_s:.0f}",
        f"{m.heat:.2f}",
        f"{m.changes_per_h:.1f}",
        f"{m.pauses_per_session:.1f}",
    )


def markdown(lines: Iterable[Sequence[str]]) -> str:
    rows = [HEAD, *lines]
    widths = [max(3, *(len(row[n]) for row in rows)) for n in range(len(HEAD))]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )


def main() -> int:
    options = _options()
    seeds = HELD_OUT if options.seeds == "held-out" else TUNING
    began, shown = time.monotonic(), []
    with fresh_processes() as workers:
        optima = dict(zip(seeds, workers.map(optimum, seeds), strict=True))
        for name in options.allocator or [OURS, *BASELINES]:
            for margin_a in options.margin or [2.0]:
                one = functools.partial(score, name, margin_a=margin_a)
                scores = list(workers.map(one, seeds))
                shown.append(line(scores, optima))
                if options.each:
                    shown += [(f"  seed {s.seed}", *line([s], optima)[1:]) for s in scores]
    print(f"{options.seeds} seeds {seeds[0]} to {seeds[-1]}, {time.monotonic() - began:.0f} s\n")
    print(markdown(shown))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.day_table", description=__doc__)
    parser.add_argument("--seeds", choices=("tuning", "held-out"), default="tuning")
    parser.add_argument("--allocator", action="append", choices=[OURS, *BASELINES])
    parser.add_argument("--margin", action="append", type=float)
    parser.add_argument("--each", action="store_true", help="a line per seed too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
