"""The site stays under its fuse, whatever goes wrong: seeds with faults, checkers apart from the code."""

from __future__ import annotations

import pytest

from tests.simulation.fuse.run import simulate


@pytest.mark.parametrize("seed", range(16))
def test_nothing_makes_the_cars_exceed_a_fuse(seed: int):
    verdict = simulate(seed)
    assert not verdict.complaints, "\n".join(verdict.complaints)
    assert verdict.calls > 0, "no charger was ever steered: the run proves nothing"
