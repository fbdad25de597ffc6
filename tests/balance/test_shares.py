"""Max-min shares: by hand, by their certificate, and against an exact solver."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.balance.shares import Claim, fill
from tests.balance.exact import exact_shares

INF = float("inf")
CLOSE = 1e-6


def claim(
    *rows: int, floor: float = 0.0, ceiling: float = INF, weight: float = 1.0, priority: int = 0
) -> Claim:
    return Claim(rows, floor, ceiling, weight, priority)


@pytest.mark.parametrize(
    ("what", "claims", "budgets", "amps"),
    [
        ("equal on one row", [claim(0), claim(0), claim(0)], [30], [10, 10, 10]),
        ("what one cannot use the others get", [claim(0, ceiling=4), claim(0), claim(0)], [30], [4, 13, 13]),
        ("twice the weight, twice the amps", [claim(0, weight=2), claim(0)], [30], [20, 10]),
        ("a tight sub-circuit frees the main one", [claim(0, 1), claim(0, 1), claim(0)], [30, 8], [4, 4, 22]),
        ("floors first", [claim(0, floor=8), claim(0, floor=6), claim(0)], [20], [8, 6, 6]),
        ("a floor above the level waits for it", [claim(0, floor=16), claim(0)], [20], [16, 4]),
        ("floors that do not fit stay floors", [claim(0, floor=6), claim(0, floor=6)], [10], [6, 6]),
        ("a full row stops only those on it", [claim(0, floor=6), claim(1, floor=6)], [5, 20], [6, 20]),
        ("the high class first", [claim(0, floor=6), claim(0, floor=6, priority=1)], [30], [6, 24]),
        (
            "the low class gets the rest",
            [claim(0, floor=6), claim(0, ceiling=16, priority=1)],
            [30],
            [14, 16],
        ),
        ("no row binds", [claim(0, ceiling=16), claim(ceiling=10)], [100], [16, 10]),
        ("nobody", [], [10], []),
    ],
)
def test_by_hand(what: str, claims: list[Claim], budgets: list[float], amps: list[float]):
    assert fill(claims, budgets) == pytest.approx(amps), what


def test_a_claim_that_nothing_holds_is_infinite():
    assert fill([claim(0), claim(1)], [INF, 12]) == [INF, 12]


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Claim], list[float]]:
    """Rows with claims on any of them, and floors that fit."""
    count = draw(st.integers(1, 5))
    amount = st.integers(0, 40).map(float)
    claims = []
    for _ in range(draw(st.integers(1, 7))):
        rows = tuple(sorted(draw(st.sets(st.integers(0, count - 1), min_size=1))))
        floor = draw(st.sampled_from([0.0, 6.0, 8.0]))
        ceiling = floor + draw(amount)
        weight = draw(st.sampled_from([0.5, 1.0, 1.0, 2.0, 3.0]))
        claims.append(Claim(rows, floor, ceiling, weight, draw(st.integers(0, 1))))
    floors = [sum(c.floor_a for c in claims if row in c.rows) for row in range(count)]
    return claims, [floor + draw(amount) for floor in floors]


@settings(max_examples=80, deadline=None)
@given(problems())
def test_shares_are_those_of_the_exact_solver(problem: tuple[list[Claim], list[float]]):
    claims, budgets = problem
    assert fill(claims, budgets) == pytest.approx(exact_shares(claims, budgets), abs=1e-4)


@settings(max_examples=300, deadline=None)
@given(problems())
def test_no_row_is_exceeded_and_every_claim_has_a_bottleneck(problem: tuple[list[Claim], list[float]]):
    """The certificate: who is below its ceiling stands on a full row where none of its class has more per
    weight that it did not have to be given, and none of a lower class has more than its floor."""
    claims, budgets = problem
    amps = fill(claims, budgets)
    used = [sum(a for a, c in zip(amps, claims, strict=True) if row in c.rows) for row in range(len(budgets))]
    assert all(u <= b + CLOSE for u, b in zip(used, budgets, strict=True))
    for mine, one in zip(amps, claims, strict=True):
        assert one.floor_a - CLOSE <= mine <= one.ceiling_a + CLOSE
        if mine < one.ceiling_a - CLOSE:
            assert any(_bottleneck(row, mine, one, amps, claims, used, budgets) for row in one.rows)


def _bottleneck(row, mine, one, amps, claims, used, budgets) -> bool:
    if used[row] < budgets[row] - CLOSE:
        return False
    level = mine / one.weight
    for theirs, other in zip(amps, claims, strict=True):
        if row not in other.rows or theirs <= other.floor_a + CLOSE:
            continue
        if other.priority < one.priority:
            return False
        if other.priority == one.priority and theirs / other.weight > level + CLOSE:
            return False
    return True


@settings(max_examples=150, deadline=None)
@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_the_claims_does_not_matter(
    problem: tuple[list[Claim], list[float]], chance: random.Random
):
    claims, budgets = problem
    order = list(range(len(claims)))
    chance.shuffle(order)
    shuffled = fill([claims[n] for n in order], budgets)
    assert [shuffled[order.index(n)] for n in range(len(claims))] == pytest.approx(fill(claims, budgets))


@settings(max_examples=150, deadline=None)
@given(problems(), st.floats(0, 30))
def test_more_on_one_row_never_lowers_the_lowest_share(problem: tuple[list[Claim], list[float]], more: float):
    claims, budgets = problem
    claims = [Claim(c.rows, 0.0, c.ceiling_a, 1.0, 0) for c in claims]
    before = min(fill(claims, budgets))
    assert min(fill(claims, [budgets[0] + more, *budgets[1:]])) >= before - CLOSE


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(0, 40), min_size=1, max_size=8), st.floats(0, 40), st.floats(1, 100))
def test_one_car_more_on_one_row_raises_nobody(ceilings: list[float], newcomer: float, budget: float):
    claims = [Claim((0,), 0.0, ceiling) for ceiling in ceilings]
    before = fill(claims, [budget])
    after = fill([*claims, Claim((0,), 0.0, newcomer)], [budget])
    assert all(b <= a + CLOSE for a, b in zip(before, after, strict=False))
