"""Connectors are left out of balancing at any moment, with every fault there is: no fuse notices."""

from __future__ import annotations

import math

import pytest

from edgegw.balance import bypass, shedding
from edgegw.balance.demand import Car
from edgegw.balance.rows import Round
from edgegw.core.load_control import LoadControl
from tests.simulation.fuse import bypassing


@pytest.mark.parametrize("seed", [3, 13])  # thirty more were clean when this was written
def test_a_bypass_at_any_moment_overloads_nothing(seed: int):
    verdict, site = bypassing.simulate(seed)
    assert not verdict.complaints, "\n".join(verdict.complaints)
    assert site.done >= 3, "hardly anybody was left out: the run proves nothing"
    assert site.had, "nobody had its maximum"


def test_the_checkers_notice_that_nothing_is_kept_for_who_is_left_out(monkeypatch: pytest.MonkeyPatch):
    """Neither refused, nor counted, nor paused as the last: each of these alone saves the fuse."""
    counted, live = Round._add, shedding._live

    def add(round_: Round, car: Car, sign: float) -> None:
        if not car.bypassing:
            counted(round_, car, sign)

    monkeypatch.setattr(Round, "_add", add)
    monkeypatch.setattr(shedding, "_live", lambda round_, car: 0.0 if car.bypassing else live(round_, car))
    monkeypatch.setattr(LoadControl, "shortage", lambda *_: "")
    monkeypatch.setattr(bypass.Table, "budget", lambda *_: math.inf)
    assert bypassing.simulate(3)[0].complaints
