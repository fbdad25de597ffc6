"""A short seeded day: the balancer keeps the fuses, and the ruler it is measured with measures.

The whole day with its bars is `python -m tests.benchmarks --only day`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import pytest

from edgegw.balance.model import (
    Allocation,
    Binding,
    Circuit,
    Connector,
    Grant,
    Limit,
    Plug,
    Reading,
    Reason,
)
from tests.benchmarks.day import Day
from tests.benchmarks.day_cars import Battery, Car
from tests.benchmarks.day_optimum import optimum_wh
from tests.benchmarks.day_score import Fuses, Score
from tests.benchmarks.day_site import HELD_OUT, SITES, TUNING, plan
from tests.benchmarks.day_table import OURS, allocator

SEED = 2  # the site that fills soonest
SECONDS = 4500


class Fixed:
    """Offers everybody the same, whatever happens."""

    def __init__(self, amps: float, connectors: Sequence[Connector]) -> None:
        reason = Reason(binding=Binding.CIRCUIT)
        grants = {c.id: Grant(connector=c.id, limit_a=min(amps, c.max_a), reason=reason) for c in connectors}
        self._allocation = Allocation(grants=grants, circuits=())

    def step(
        self, now: float, readings: Mapping[str, Reading], plugs: Sequence[Plug], limits: Sequence[Limit]
    ) -> Allocation:
        return self._allocation


def fixed_day(amps: float) -> Score:
    def make(circuits: Sequence[Circuit], connectors: Sequence[Connector]) -> Fixed:
        return Fixed(amps, connectors)

    return Day(plan(SEED, SECONDS), make, "fixed").run()


def car(**other: float) -> Car:
    usual = {
        "phases": 3,
        "max_a": 16.0,
        "refuses_below_a": 6.0,
        "ask_wh": 10_000.0,
        "tail_wh": 1000.0,
        "ratio": 1.0,
        "dead_s": 2,
        "start_s": 5,
        "up_a": 4.0,
        "down_a": 10.0,
        "sleeps_after": 0,
    }
    return Car(**{**usual, **other})


def drive(battery: Battery, offers: Sequence[tuple[int, float]]) -> list[float]:
    """What it draws each second; `offers`: (seconds, amps)."""
    drawn: list[float] = []
    for seconds, amps in offers:
        for _ in range(seconds):
            battery.step(len(drawn), amps)
            drawn.append(battery.draw_a)
    return drawn


# --- the balancer ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def day() -> Score:
    return Day(plan(SEED, SECONDS), functools.partial(allocator, OURS), OURS).run()


def test_the_balancer_keeps_the_fuses_for_a_while_at_a_small_site(day: Score):
    """Bars far wider than those of a whole day: this is to break when something is broken."""
    assert day.longest_by_cars_s <= 25
    assert day.over_by_cars_s <= 120
    assert day.heat < 1


def test_the_balancer_delivers_more_than_half_of_the_optimum(day: Score):
    assert day.delivered_wh >= 0.5 * optimum_wh(plan(SEED, SECONDS))


def test_the_balancer_is_calm(day: Score):
    assert day.changes_per_h <= 60
    assert day.pauses_per_session <= 3


# --- the ruler ------------------------------------------------------------------------------------


def test_who_offers_nothing_delivers_nothing_and_is_never_over_through_cars():
    score = fixed_day(0.0)
    assert (score.delivered_wh, score.over_by_cars_s, score.jain) == (0.0, 0, 0.0)


def test_who_offers_everything_is_caught():
    score = fixed_day(32.0)
    assert score.over_by_cars_s > 300
    assert score.longest_by_cars_s > 60
    assert score.heat > 1


def test_nobody_within_the_limits_passes_the_optimum():
    score = fixed_day(6.0)
    assert 0 < score.delivered_wh <= optimum_wh(plan(SEED, SECONDS))


def test_a_seed_is_the_same_day_again_and_another_seed_another():
    first, again, other = plan(SEED, 900), plan(SEED, 900), plan(SEED + 6, 900)
    assert first.visits == again.visits
    assert (first.loads["main"] == again.loads["main"]).all()
    assert first.site is other.site
    assert not (first.loads["main"] == other.loads["main"]).all()


def test_tuning_and_held_out_seeds_are_apart_and_each_covers_every_site():
    assert not set(TUNING) & set(HELD_OUT)
    for seeds in (TUNING, HELD_OUT):
        assert {seed % len(SITES) for seed in seeds} == set(range(len(SITES)))


def test_a_fuse_counts_what_cars_cause_apart_from_what_the_building_causes():
    fuses = Fuses([10.0, 10.0])
    for _ in range(3):
        fuses.watch([12.0, 5.0], [True, False])
    fuses.watch([12.0, 11.0], [False, False])
    fuses.watch([9.0, 9.0], [True, True])
    fuses.watch([9.0, 20.0], [False, True])
    assert (fuses.over_s, fuses.by_cars_s) == (5, 4)
    assert (fuses.longest_s, fuses.longest_by_cars_s) == (4, 3)
    assert fuses.peak == 2.0


def test_a_fuse_gets_hot_at_a_lasting_overload_and_not_at_its_rating():
    cool, hot = Fuses([10.0]), Fuses([10.0])
    for _ in range(3600):
        cool.watch([10.0], [True])
        hot.watch([11.5], [True])
    assert cool.heat < 1 < hot.heat


# --- the cars -------------------------------------------------------------------------------------


def test_a_car_starts_after_its_time_ramps_and_gives_way_within_seconds():
    drawn = drive(Battery(car()), [(30, 16.0), (10, 8.0)])
    assert drawn[:7] == [0.0] * 7
    assert 0 < drawn[8] < 16
    assert drawn[29] == 16.0
    assert drawn[30] == 16.0
    assert drawn[36] == 8.0


def test_a_small_car_draws_no_more_than_it_can():
    assert drive(Battery(car()), [(60, 32.0)])[-1] == 16.0


def test_a_car_that_refuses_little_current_stops():
    battery = Battery(car(refuses_below_a=8.0))
    assert drive(battery, [(30, 16.0), (10, 6.0)])[-1] == 0.0
    assert battery.pauses == 1


def test_a_car_tapers_and_is_full():
    battery = Battery(car(ask_wh=2000.0))
    drawn = drive(battery, [(3600, 16.0)])
    assert 2000 <= battery.got_wh < 2010
    assert any(2 < amps < 10 for amps in drawn[600:])
    assert drawn[-1] == 0.0


def test_a_car_sleeps_after_too_many_pauses_and_does_not_wake():
    battery = Battery(car(sleeps_after=2))
    assert drive(battery, [(60, 16.0), (60, 0.0), (60, 16.0)])[-1] == 16.0
    assert drive(battery, [(60, 0.0), (600, 16.0)])[-1] == 0.0
    assert battery.asleep
