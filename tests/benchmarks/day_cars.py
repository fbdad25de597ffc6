"""A car on a charging cable, second by second.

Rules of this file:
- The car sees the current its charger offers (PWM) and nothing else, and draws what it likes below it.
- Dead time, ramp, taper, refusal of little current, and sleep after many pauses are the car's own.
- Every constant is judgement, none was measured at a real car: dead time and ramp lie within the 5 s that
  IEC 61851-1 gives; a minimum of 7 to 8 A is known of one family of cars; that four in ten fall asleep
  after 5 to 12 pauses is an assumption.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from edgegw.balance.model import Connector

VOLT = 230.0
DRAWS_A = 0.5  # below this nothing flows


@dataclass(frozen=True, slots=True)
class Car:
    """What a car is; `Battery` is what becomes of it."""

    phases: int
    max_a: float
    refuses_below_a: float
    ask_wh: float
    tail_wh: float  # the taper begins so much before it is full
    ratio: float  # of the offer that it really draws
    dead_s: int
    start_s: int  # from an offer until it draws, after a pause
    up_a: float  # per second
    down_a: float
    sleeps_after: int  # pauses; 0: never

    @property
    def wh_per_a(self) -> float:
        """Energy of one second at one ampere."""
        return self.phases * VOLT / 3600


def make_car(chance: random.Random, connector: Connector, stay_s: float, ask_wh: float) -> Car:
    """A car for `connector` that asks for no more than it could get alone in three quarters of its stay."""
    phases, max_a = (3, chance.uniform(45, 80)) if connector.dc else _charger_on_board(chance)
    phases, max_a = min(phases, len(connector.phases)), min(max_a, connector.max_a)
    refuses = chance.choice((7.0, 8.0)) if chance.random() < 0.08 and not connector.dc else connector.min_a
    could = 0.75 * stay_s / 3600 * max_a * phases * VOLT
    asks = ask_wh * chance.lognormvariate(0.0, 0.45) * (1.3 if connector.dc else 1.0)
    wanted = max(1500.0, min(asks, could))
    return Car(
        phases=phases,
        max_a=max_a,
        refuses_below_a=refuses,
        ask_wh=wanted,
        tail_wh=min(wanted / 2, chance.uniform(800, 2500)),
        ratio=chance.uniform(0.93, 1.0),
        dead_s=chance.randint(1, 3),
        start_s=chance.randint(4, 20),
        up_a=chance.uniform(1.5, 5.0) * (4 if connector.dc else 1),
        down_a=chance.uniform(5.0, 15.0) * (4 if connector.dc else 1),
        sleeps_after=chance.randint(5, 12) if chance.random() < 0.4 else 0,
    )


def _charger_on_board(chance: random.Random) -> tuple[int, float]:
    kinds = ((3, 16.0), (3, 32.0), (3, 24.0), (2, 16.0), (1, 32.0), (1, 16.0), (1, 20.0))
    return chance.choices(kinds, (38, 15, 6, 8, 15, 13, 5))[0]


class Battery:
    """A plugged-in car. Call `step` once a second with what the charger offers."""

    __slots__ = ("asleep", "car", "draw_a", "got_wh", "offer_a", "pauses", "react_at", "seen_a", "starts_at")

    def __init__(self, car: Car) -> None:
        self.car = car
        self.draw_a = 0.0  # on each phase it uses
        self.got_wh = 0.0
        self.offer_a = 0.0  # what it has reacted to
        self.seen_a = 0.0
        self.react_at = -1
        self.starts_at = -1
        self.pauses = 0
        self.asleep = False

    @property
    def full(self) -> bool:
        return self.got_wh >= self.car.ask_wh

    def step(self, now: int, offered_a: float) -> None:
        """One second with `offered_a` on the wire."""
        if offered_a != self.seen_a:
            if self.react_at < 0:
                self.react_at = now + self.car.dead_s
            self.seen_a = offered_a
        if 0 <= self.react_at <= now:
            self.react_at = -1
            self._hear(now)
        if self.draw_a or self.starts_at >= 0:
            self._draw(now)

    def _hear(self, now: int) -> None:
        before, self.offer_a = self.offer_a, self.seen_a
        car = self.car
        may = self.offer_a >= car.refuses_below_a
        if not may and before >= car.refuses_below_a and not self.full and not self.asleep:
            self.pauses += 1
            self.starts_at = -1
            self.asleep = 0 < car.sleeps_after <= self.pauses
        elif may and self.draw_a == 0.0 and self.starts_at < 0 and not self.asleep and not self.full:
            self.starts_at = now + car.start_s

    def _draw(self, now: int) -> None:
        car = self.car
        if self.offer_a < car.refuses_below_a or self.asleep or self.full:
            target = 0.0
        elif now < self.starts_at:
            return
        else:
            taper = max(0.15, (car.ask_wh - self.got_wh) / car.tail_wh) * car.max_a
            target = min(self.offer_a * car.ratio, car.max_a, taper)
            self.starts_at = now  # it is awake
        if target > self.draw_a:
            self.draw_a = min(target, max(self.draw_a, 3.0) + car.up_a)
        else:
            self.draw_a = max(target, self.draw_a - car.down_a)
        if target == 0.0 and self.draw_a < 3.0:
            self.draw_a, self.starts_at = 0.0, -1
        self.got_wh += self.draw_a * car.wh_per_a
