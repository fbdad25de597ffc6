"""Giving more: late, in steps worth a message, to who is furthest below its share first.

Rules of this file:
- Only what is confirmed free is given, so raises cannot stack and a decrease comes before the increase it
  pays for.
- A car is raised when it charges and its limit has not moved for `up_hold_s`.
- What a car shows that it cannot use is taken back only where somebody else could use it; so is the minimum
  of a car that is full, asleep or not authorised.
- Shares are approached, not kept: every `rebalance_every_s` who is far above its share makes room for who
  is far below.
"""

from __future__ import annotations

from edgegw.balance.demand import Car
from edgegw.balance.model import PlugState
from edgegw.balance.rows import Round

_EPS_A = 1e-6


def raise_offers(round_: Round) -> None:
    settings, now = round_.settings, round_.now
    hungry = [
        car
        for car in round_.on
        if car.state is PlugState.CHARGING
        and not car.defies
        and car.least_a <= car.offer_a < car.use_a - _EPS_A
        and now - car.offer_at >= settings.up_hold_s
    ]
    if not hungry:
        return
    ready = [
        car for car in hungry if round_.room(car) >= min(settings.up_step_a, car.use_a - car.offer_a) - _EPS_A
    ]
    if ready:
        shares = round_.shares
        ready.sort(key=lambda car: (car.offer_a - shares[car.index], car.index))
        for car in ready:
            _raise(round_, car, shares[car.index] + 1.0)
        for car in ready:
            _raise(round_, car, car.use_a)
    if len(ready) < len(hungry):
        _reclaim(round_, [car for car in hungry if car not in ready])


def _raise(round_: Round, car: Car, most: float) -> None:
    if car.offer_at == round_.now:
        return
    use = car.use_a
    amps = car.quantised(min(use, most, car.offer_a + round_.room(car) + _EPS_A))
    if amps >= car.offer_a + round_.settings.up_step_a - _EPS_A or amps == use > car.offer_a:
        round_.offer(car, amps)


def _reclaim(round_: Round, hungry: list[Car]) -> None:
    """Lower those who do not use what they have, on the rows that hold the hungry ones."""
    balanced = [car for car in round_.on if not car.bypassing]
    idle = [car for car in balanced if car.dozes or _unused(round_, car) >= 1.0]
    if not idle:
        return
    tight = {
        row
        for car in hungry
        for row in round_.rows[car.index]
        if round_.budget(row) - round_.taken_a[row] < round_.settings.up_step_a
    }
    for car in idle:
        if tight.isdisjoint(round_.rows[car.index]):
            continue
        if car.dozes:
            round_.pause(car)
        else:
            round_.offer(car, car.offer_a - _unused(round_, car))


def _unused(round_: Round, car: Car) -> float:
    if round_.now - max(car.offer_at, car.state_at) < round_.settings.settled_s:
        return 0.0
    use = car.use_a if car.state is PlugState.CHARGING else car.least_a
    return max(0.0, car.offer_a - use)


class Rebalance:
    """Kept between steps: when shares were last evened out."""

    def __init__(self) -> None:
        self.last_at = float("-inf")

    def run(self, round_: Round) -> None:
        settings, now = round_.settings, round_.now
        if now - self.last_at < settings.rebalance_every_s:
            return
        self.last_at = now
        cars = [car for car in round_.on if car.state is PlugState.CHARGING and car.offer_a >= car.least_a]
        if not cars:
            return
        shares = round_.shares
        poor = [car for car in cars if car.offer_a < min(car.use_a, shares[car.index]) - 1.0]
        tight = {
            row
            for car in poor
            for row in round_.rows[car.index]
            if round_.budget(row) - round_.taken_a[row] < settings.up_step_a
        }
        for car in cars:
            share = max(car.least_a, car.quantised(shares[car.index]))
            if car.offer_a > share + settings.rebalance_a and not tight.isdisjoint(round_.rows[car.index]):
                round_.offer(car, share)
