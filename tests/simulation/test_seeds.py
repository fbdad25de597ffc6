"""The gateway's core through faults of every kind, seed by seed. A failing seed is the bug report.

Replay one with `python -m tests.simulation --seed N -v`; more seeds with `make simulate SEEDS=5000`.
"""

from __future__ import annotations

import pytest

from tests.simulation.regressions import REGRESSIONS
from tests.simulation.run import simulate

SEEDS = 300  # `make simulate` begins with the same ones and goes on
CHUNK = 10  # no test of many minutes on a slow machine


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_seeds(first: int):
    failed = [v for v in map(simulate, range(first, first + CHUNK)) if v.complaints]
    assert not failed, "\n" + "\n".join(map(str, failed))


@pytest.mark.parametrize("seed", sorted({r.seed for r in REGRESSIONS}))
def test_a_seed_that_found_a_bug(seed: int):
    verdict = simulate(seed)
    assert not verdict.complaints, f"\n{verdict}"


def test_the_same_seed_is_the_same_world():
    told: list[list[str]] = [[], []]
    for lines in told:
        simulate(11, lines.append)
    assert told[0] == told[1]
    assert len(told[0]) > 100
