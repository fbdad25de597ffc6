"""Cars: what they draw of what they are offered, as a function of time.

Rules of this file:
- Pure: time is an argument in seconds, amps are per phase. `advance` may be called as seldom or as often
  as one likes, with the offer that has held since the last call.
- A car follows a new offer after its reaction time (IEC 61851-1 allows 5 s), then by a ramp. Offered less
  than its own minimum it draws nothing; near full it tapers; some never wake from too many pauses.
- Energy is the integral of voltage times current; `speed` lets the hours of the battery pass faster while
  currents keep their real seconds.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from random import Random

EV_MINIMUM_A = 6.0  # IEC 61851-1: a lower offer means pause
NOMINAL_V = 230.0
SLICE_S = 0.1
TAPER_FLOOR_A = 2.0


@dataclass(frozen=True, slots=True)
class Car:
    """One model. `pauses_max`: after so many pauses it sleeps until it is plugged in anew."""

    name: str = "three phases, 16 A"
    phases: int = 3
    max_a: float = 16.0
    min_a: float = EV_MINIMUM_A
    reaction_s: float = 2.0
    ramp_up_a_s: float = 3.0
    ramp_down_a_s: float = 10.0
    wants_wh: float = 40_000.0
    taper_from: float = 0.85  # of what it wants
    pauses_max: int | None = None


CARS: dict[str, Car] = {
    "three": Car(),
    "three32": Car("three phases, 32 A", max_a=32.0, wants_wh=60_000),
    "two": Car("two phases, 16 A", phases=2, reaction_s=1.5),
    "one": Car("one phase, 32 A", phases=1, max_a=32.0, reaction_s=1.0),
    "one16": Car("one phase, 16 A", phases=1, wants_wh=9_000, reaction_s=1.2),
    "refuses": Car("three phases, 32 A, nothing below 8 A", max_a=32.0, min_a=8.0, reaction_s=2.5),
    "sleeper": Car("three phases, 16 A, sleeps after three pauses", pauses_max=3, reaction_s=3.0),
    "slow": Car("three phases, 16 A, reacts late", reaction_s=5.0, ramp_up_a_s=1.0),
}


def cars_named(names: str) -> tuple[Car, ...]:
    """ "three,one" -> two cars; "mixed" -> all kinds. Raises ValueError."""
    if names == "mixed":
        return tuple(CARS.values())
    chosen = [name for name in names.split(",") if name]
    if unknown := [name for name in chosen if name not in CARS]:
        raise ValueError(f"unknown car {unknown[0]!r}; known: mixed {' '.join(CARS)}")
    return tuple(CARS[name] for name in chosen)


def individual(car: Car, rng: Random) -> Car:
    """One of its model: a little slower, a little fuller."""
    reaction_s = min(5.0, car.reaction_s * rng.uniform(0.8, 1.3))
    return replace(car, reaction_s=reaction_s, wants_wh=car.wants_wh * rng.uniform(0.4, 1.0))


class PluggedCar:
    """A car at an outlet. `drawn_a` is per phase on its own first `car.phases` phases."""

    def __init__(self, car: Car, now: float, offered_a: float, *, speed: float = 1.0) -> None:
        self.car = car
        self.drawn_a = 0.0
        self.energy_wh = 0.0
        self.pauses = 0
        self._speed = speed
        self._at = now
        self._heard_a = offered_a  # what it goes by: the offer of one reaction time ago
        self._offers: deque[tuple[float, float]] = deque([(now, offered_a)])

    @property
    def asleep(self) -> bool:
        return self.car.pauses_max is not None and self.pauses >= self.car.pauses_max

    @property
    def full(self) -> bool:
        return self.energy_wh >= self.car.wants_wh

    @property
    def asks(self) -> bool:
        """It wants energy at the offer it goes by: state C of IEC 61851-1."""
        return not self.full and not self.asleep and self._heard_a >= self.car.min_a

    def advance(self, now: float, offered_a: float) -> None:
        """Time passed until `now`; `offered_a` has been on offer since the last call."""
        if offered_a != self._offers[-1][1]:
            self._offers.append((self._at, offered_a))
        span = now - self._at
        if span <= 0:
            return
        count = min(math.ceil(span / SLICE_S), 10_000)
        for number in range(1, count + 1):
            self._slice(self._at + span * number / count, span / count)
        self._at = now

    def _slice(self, now: float, seconds: float) -> None:
        self._listen(now)
        wanted = min(self._heard_a, self._takes_a()) if self.asks else 0.0
        before = self.drawn_a
        if wanted > before:
            self.drawn_a = min(wanted, before + self.car.ramp_up_a_s * seconds)
        else:
            self.drawn_a = max(wanted, before - self.car.ramp_down_a_s * seconds)
        mean_a = (before + self.drawn_a) / 2
        self.energy_wh += mean_a * self.car.phases * NOMINAL_V * seconds * self._speed / 3600

    def _listen(self, now: float) -> None:
        while len(self._offers) > 1 and self._offers[1][0] <= now - self.car.reaction_s:
            self._offers.popleft()
            heard = self._offers[0][1]
            if heard < EV_MINIMUM_A <= self._heard_a and not self.full:
                self.pauses += 1
            self._heard_a = heard

    def _takes_a(self) -> float:
        """Its own maximum, less and less on the last stretch of the battery."""
        done = self.energy_wh / self.car.wants_wh
        if done <= self.car.taper_from:
            return self.car.max_a
        left = (1 - done) / (1 - self.car.taper_from)
        return max(TAPER_FLOOR_A, self.car.max_a * left)
