"""Cars and buildings as functions of time."""

from __future__ import annotations

from random import Random

import pytest

from edgegw.sim.building import LOADS, Building, parse_amps
from edgegw.sim.ev import CARS, Car, PluggedCar, cars_named, individual

PROMPT = Car(reaction_s=2.0, ramp_up_a_s=4.0, ramp_down_a_s=10.0, wants_wh=10_000.0)


def held(car: PluggedCar, *offers: tuple[float, float]) -> list[float]:
    """The draw after each (offer, seconds)."""
    drawn, now = [], 0.0
    for offer, seconds in offers:
        now += seconds
        car.advance(now, offer)
        drawn.append(round(car.drawn_a, 1))
    return drawn


def test_it_reacts_late_then_ramps():
    car = PluggedCar(PROMPT, 0.0, 16.0)
    assert held(car, (16.0, 1.0), (16.0, 5.0)) == [4.0, 16.0]
    car.advance(6.0, 16.0)
    car.advance(7.9, 8.0)
    assert car.drawn_a == 16.0  # still by the offer of two seconds ago
    car.advance(9.5, 8.0)
    assert car.drawn_a == 8.0


def test_it_never_draws_more_than_offered_once_it_has_reacted():
    rng = Random(3)
    for car in CARS.values():
        plugged, now = PluggedCar(car, 0.0, 0.0), 0.0
        for _ in range(50):
            offer = rng.choice((0.0, 6.0, 7.5, 10.0, 16.0, 32.0))
            now += 12.0
            plugged.advance(now, offer)
            assert 0.0 <= plugged.drawn_a <= min(offer, car.max_a) + 1e-9
            assert plugged.drawn_a == 0.0 or offer >= car.min_a


def test_energy_is_the_integral_of_the_current():
    car = PluggedCar(PROMPT, 0.0, 10.0)
    held(car, (10.0, 100.0))
    before = car.energy_wh
    car.advance(1900.0, 10.0)
    assert car.energy_wh - before == pytest.approx(10 * 230 * 3 / 2, rel=1e-6)
    fast = PluggedCar(PROMPT, 0.0, 10.0, speed=60.0)
    fast.advance(30.0, 10.0)
    assert fast.energy_wh == pytest.approx(60 * (30 - 10 / 4 / 2) * 10 * 230 * 3 / 3600, rel=0.01)


def test_it_tapers_near_full_and_ends():
    car = PluggedCar(PROMPT, 0.0, 16.0)
    drawn = held(car, *[(16.0, 60.0)] * 90)
    assert drawn[0] == 16.0
    assert 0 < min(amps for amps in drawn if amps) < 4.0
    assert sorted(drawn, reverse=True) == drawn
    assert drawn[-1] == 0.0
    assert (car.full, car.asks) == (True, False)
    assert car.energy_wh == pytest.approx(10_000, abs=5)


def test_one_that_refuses_less_than_eight_amps():
    car = PluggedCar(CARS["refuses"], 0.0, 7.9)
    assert held(car, (7.9, 20.0)) == [0.0]
    assert not car.asks
    assert held(PluggedCar(CARS["refuses"], 0.0, 8.0), (8.0, 20.0)) == [8.0]


def test_one_that_sleeps_after_three_pauses():
    car = PluggedCar(CARS["sleeper"], 0.0, 10.0)
    drawn = held(car, *[(10.0, 20.0), (0.0, 20.0)] * 3, (10.0, 600.0))
    assert drawn == [10.0, 0.0, 10.0, 0.0, 10.0, 0.0, 0.0]
    assert car.asleep


def test_how_often_it_is_asked_does_not_matter():
    coarse, fine = PluggedCar(PROMPT, 0.0, 16.0), PluggedCar(PROMPT, 0.0, 16.0)
    coarse.advance(30.0, 16.0)
    for tick in range(1, 301):
        fine.advance(tick / 10, 16.0)
    assert coarse.energy_wh == pytest.approx(fine.energy_wh)


def test_cars_have_names():
    assert cars_named("one,three") == (CARS["one"], CARS["three"])
    assert set(cars_named("mixed")) == set(CARS.values())
    assert individual(CARS["slow"], Random(1)).reaction_s <= 5.0
    with pytest.raises(ValueError, match="unknown car 'tank'"):
        cars_named("tank")


def test_the_same_seed_gives_the_same_day():
    one, other, another = Building(seed=4), Building(seed=4), Building(seed=5)
    days = [[b.amps(float(second)) for second in range(600)] for b in (one, other, another)]
    assert days[0] == days[1] != days[2]
    assert len(set(days[0])) > 10
    most = [9 + sum(load.amps[phase] for load in LOADS) for phase in range(3)]
    assert all(amps <= most[phase] for sample in days[0] for phase, amps in enumerate(sample))


def test_a_building_obeys_and_is_released():
    building = Building(seed=1)
    free = Building(seed=1)
    building.amps(0.0), free.amps(0.0)
    building.set(parse_amps(["30", "0", "12.5"]))
    assert building.amps(5.0) == (30.0, 0.0, 12.5)
    building.release()
    assert building.amps(300.0) == free.amps(300.0)
    with pytest.raises(ValueError, match="amps"):
        parse_amps(["1", "2"])
