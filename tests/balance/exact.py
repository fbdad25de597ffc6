"""The exact max-min shares, slowly: linear programmes in rounds (scipy's HiGHS). Only tests use it.

Rules of this file:
- It shares no idea with `edgegw.balance.shares`: no filling, no events. Each round raises the lowest share as
  far as it goes, then asks of each claim whether it alone could have more; who could not is fixed.
- Floors must be feasible.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linprog

from edgegw.balance.shares import Claim

_CLOSE = 2e-5  # a claim that can have no more than this is fixed
_SLACK = 1e-6  # for the rounding of what is fixed already


def exact_shares(claims: Sequence[Claim], budgets_a: Sequence[float]) -> list[float]:
    """Lexicographic max-min of amps per weight, class by class from the highest priority."""
    amps = [claim.floor_a for claim in claims]
    for priority in sorted({claim.priority for claim in claims}, reverse=True):
        active = [n for n, claim in enumerate(claims) if claim.priority == priority]
        _solve_class(claims, budgets_a, amps, active)
    return amps


def _solve_class(
    claims: Sequence[Claim], budgets_a: Sequence[float], amps: list[float], active: list[int]
) -> None:
    left = list(budgets_a)
    for n, claim in enumerate(claims):
        if n not in active:
            for row in claim.rows:
                left[row] -= amps[n]
    open_ = set(active)
    while open_:
        level = _highest(claims, left, amps, active, open_, None)
        blocked = {
            n
            for n in open_
            if _highest(claims, left, amps, active, open_, (n, level)) <= claims[n].weight * level + _CLOSE
        }
        assert blocked, "a round must fix somebody"
        for n in blocked:
            # A hair less, so that rounding never makes the next round infeasible.
            exact = claims[n].weight * level - 2 * _SLACK
            amps[n] = min(claims[n].ceiling_a, max(claims[n].floor_a, exact))
        open_ -= blocked


def _highest(
    claims: Sequence[Claim],
    left: Sequence[float],
    amps: Sequence[float],
    active: list[int],
    open_: set[int],
    alone: tuple[int, float] | None,
) -> float:
    """The highest common level of the open ones; or with `alone` the most of that one at the level given."""
    size = len(active)
    rows, bounds_a = [], []
    for row, amount in enumerate(left):
        if amount < float("inf"):
            rows.append([float(row in claims[n].rows) for n in active] + [0.0])
            bounds_a.append(amount)
    for at, n in enumerate(active):
        if n in open_:  # weight x level <= amps
            line = [0.0] * (size + 1)
            line[at], line[size] = -1.0, claims[n].weight
            rows.append(line)
            bounds_a.append(0.0)
    bounds = [(claims[n].floor_a, claims[n].ceiling_a) if n in open_ else (amps[n], amps[n]) for n in active]
    bounds.append((0.0, None) if alone is None else (alone[1] - _SLACK, None))
    goal = np.zeros(size + 1)
    goal[size if alone is None else active.index(alone[0])] = -1.0
    solved = linprog(
        goal, A_ub=np.array(rows), b_ub=np.array(bounds_a) + _SLACK, bounds=bounds, method="highs"
    )
    assert solved.success, solved.message
    return float(-solved.fun)
