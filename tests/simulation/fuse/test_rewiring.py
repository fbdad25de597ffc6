"""Connectors come, go and are turned while cars charge: no fuse and no sum of limits notices, by seeds."""

from __future__ import annotations

import pytest

from edgegw.core.leaving import Leavers
from edgegw.runtime import wiring_book
from tests.simulation.fuse import rewiring


@pytest.mark.parametrize("seed", range(4))
def test_a_plan_that_is_swapped_at_any_moment_overloads_nothing(seed: int):
    verdict, site = rewiring.simulate(seed)
    assert not verdict.complaints, "\n".join(verdict.complaints)
    assert site.done >= 10, "hardly anything was changed: the run proves nothing"


def _complaints(seed: int) -> tuple[str, ...]:
    return rewiring.simulate(seed)[0].complaints


def test_the_checkers_notice_that_leavers_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Leavers, "add", lambda *_: None)
    assert _complaints(5)


def test_the_checkers_notice_that_what_does_not_fit_is_allowed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wiring_book, "misfit", lambda *_: "")
    monkeypatch.setattr(rewiring, "_not_now", wiring_book._not_now)
    assert _complaints(4)
