"""Chargers with every habit and all bad luck against their true energy; and proof that this catches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgegw.core import energy_book, odometer
from edgegw.core.odometer import Odometer
from tests.core.energy_world import World, broken_seeds

SELDOM = 1000


@pytest.mark.parametrize("part", range(4))
def test_no_seed_counts_more_than_has_flowed_or_less_than_was_told(part: int):
    seeds = range(part * 50, part * 50 + 50)
    assert broken_seeds(seeds) == []
    assert broken_seeds(seeds, looks_every=SELDOM) == []


# Each of these was found broken once.
@pytest.mark.parametrize("seed", [582, 720, 896, 915, 1879, 2091, 2469, 2587, 2855])
def test_a_seed_that_was_broken_once_holds(seed: int):
    assert broken_seeds(range(seed, seed + 1)) == []
    assert broken_seeds(range(seed, seed + 1), looks_every=SELDOM) == []


@pytest.mark.parametrize("looks_every", [1, SELDOM])
def test_what_is_put_off_counts_as_if_it_had_been_read_at_once(
    monkeypatch: pytest.MonkeyPatch, looks_every: int
):
    def counts() -> list[int]:
        worlds = [World(seed, looks_every=looks_every) for seed in range(4000, 4060)]
        for world in worlds:
            world.run()
        return [world.counted() for world in worlds]

    put_off = counts()
    monkeypatch.setattr(energy_book._Line, "goes_on", lambda *_: False)
    assert counts() == put_off


def never_old(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Odometer, "_is_old", lambda *_: False)


def believes_all(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Odometer, "_fits", lambda *_: True)


def counts_the_beginning(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Odometer, "_anew", lambda self, track, reading: reading.wh)


def counts_falls_twice(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(odometer, "_is_further", lambda *_: True)


def forgets_what_it_counted(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Odometer, "recover", lambda *_: None)


def ignores_new_sessions(plant: pytest.MonkeyPatch) -> None:
    real: Any = Odometer._judge

    def judge(self: Odometer, track: Any, reading: Any) -> None:
        if reading.wh >= track.wh:
            real(self, track, reading)

    plant.setattr(Odometer, "_judge", judge)


def puts_off_all(plant: pytest.MonkeyPatch) -> None:
    def goes_on(self: Any, plain: Any, transaction: str, now: Any) -> bool:
        self._waits = plain, now
        return True

    plant.setattr(energy_book._Line, "goes_on", goes_on)


@pytest.mark.parametrize(
    "fault",
    [
        never_old,
        believes_all,
        counts_the_beginning,
        counts_falls_twice,
        forgets_what_it_counted,
        ignores_new_sessions,
        puts_off_all,
    ],
)
def test_a_planted_fault_is_caught(
    fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
):
    fault(monkeypatch)
    assert broken_seeds(range(580, 900, 4), looks_every=SELDOM if fault is puts_off_all else 1) != []
