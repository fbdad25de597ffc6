"""Checkers that cannot fail prove nothing: every fault planted in the core must be seen.

The seeds known to show a fault are tried first. A change of the core may move it to other seeds; then
it is looked for, and only a fault that none of `SEARCHED` seeds shows is a failure of the checkers.
"""

from __future__ import annotations

import pytest

from tests.simulation.hunt import MODULES
from tests.simulation.planting import names, planted
from tests.simulation.regressions import KNOWN, REGRESSIONS
from tests.simulation.run import simulate

SEARCHED = 200


@pytest.mark.parametrize("name", names())
def test_a_planted_fault_is_seen(name: str):
    seeds = [*KNOWN.get(name, ()), *range(SEARCHED)]
    with planted(name):
        assert any(simulate(seed).complaints for seed in seeds), f"no seed shows {name}"


def test_there_are_enough_of_them():
    assert len(MODULES) == 2
    assert len(names()) >= 30
    assert {r.relapse for r in REGRESSIONS} <= set(names())


def test_nothing_stays_planted():
    for name in names():
        with planted(name):
            pass
    assert not simulate(0).complaints
