"""The sums of one step: what each circuit has on each phase, who stands on it, what is left.

Rules of this file:
- `load_a` is what we have decided: offers, and the least of every car whose turn it is. Shedding looks at
  it.
- `taken_a` is what may flow until every decrease is confirmed: the higher of offer and standing limit.
  Raising looks at it: nothing is given twice.
- All offers are changed through `Round.offer`, so that the sums stay true.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edgegw.balance.demand import Car
from edgegw.balance.model import PHASES, Settings
from edgegw.balance.shares import Claim, fill
from edgegw.balance.tree import Tree


class Bounds(msgspec.Struct, gc=False):
    """Of every row; amps for the chargers there together."""

    limit_a: list[float]  # the lowest that holds; fuse rows only
    base_a: list[float]  # of the building; fuse rows only
    reserved_a: list[float]  # for connectors that cannot be steered; fuse rows only
    budget_a: list[float]  # with the margin kept free
    usual_a: list[float]  # with the building as high as it usually gets
    hard_a: list[float]  # the limit itself, by the last reading; unbalance has none
    spare_a: list[float]  # kept free when a car is admitted
    admits: list[bool]  # False: no car may start here now
    urgent: list[bool]  # above `hard_a` nobody waits
    sources: list[str]  # of the limit that makes the budget; "" for the fuse


class Round:
    """One step's working state."""

    def __init__(
        self, now: float, tree: Tree, cars: Sequence[Car], rows: Sequence[tuple[int, ...]], bounds: Bounds,
        settings: Settings,
    ) -> None:  # fmt: skip
        self.now = now
        self.tree = tree
        self.cars = cars
        self.rows = rows
        self.bounds = bounds
        self.settings = settings
        self.load_a = [0.0] * tree.row_count
        self.taken_a = [0.0] * tree.row_count
        self.on = [car for car in cars if car.on and car.steered]
        for car in cars:
            if car.steered and (car.present or car.bypassing):
                self._add(car, 1.0)
        self._shares: dict[int, float] | None = None

    @staticmethod
    def need(car: Car) -> float:
        """What is kept for it: its offer, its least when its turn has come, what it takes without asking."""
        need = max(car.offer_a, car.stubborn_a)
        return max(need, car.least_a) if car.on or car.bypassing else need

    def _add(self, car: Car, sign: float) -> None:
        need = self.need(car)
        taken = sign * max(need, car.standing_a)
        need *= sign
        for row in self.rows[car.index]:
            self.load_a[row] += need
            self.taken_a[row] += taken

    def offer(self, car: Car, amps: float) -> None:
        self._add(car, -1.0)
        car.offer(amps, self.now, self.settings)
        self._add(car, 1.0)

    def admit(self, car: Car) -> None:
        self._add(car, -1.0)
        car.admit(self.now)
        self._add(car, 1.0)
        self.on.append(car)
        self._shares = None

    def pause(self, car: Car) -> None:
        """Take its turn away for the others' sake."""
        self.take_back(car, pauses=True)

    def take_back(self, car: Car, *, pauses: bool = False) -> None:
        """End its turn, or a booking for which no room came free; only a pause has a least time."""
        self._add(car, -1.0)
        if pauses:
            car.pause(self.now)
        car.on = False
        car.offer(0.0, self.now, self.settings)
        self._add(car, 1.0)
        self.on.remove(car)
        self._shares = None

    def budget(self, row: int) -> float:
        """Of an unbalance row it follows what the other phases carry."""
        first = PHASES * len(self.tree.circuits)
        if row < first:
            return self.bounds.budget_a[row]
        group = row - (row - first) % PHASES
        return self.bounds.budget_a[row] + min(self.load_a[group : group + PHASES])

    def over(self, row: int) -> float:
        return self.load_a[row] - self.budget(row)

    def room(self, car: Car) -> float:
        """What can be added to its offer now out of what is confirmed free; may be negative."""
        left = min(self.budget(row) - self.taken_a[row] for row in self.rows[car.index])
        return left + max(self.need(car), car.standing_a) - car.offer_a

    @property
    def shares(self) -> dict[int, float]:
        """Max-min share of every car whose turn it is, by index. It ranks cars; it is never sent."""
        if self._shares is None:
            claims = [
                Claim(
                    self.rows[car.index],
                    car.least_a,
                    max(car.least_a, car.use_a),
                    self._weight(car),
                    car.priority,
                )
                for car in self.on
            ]
            budgets = [self.budget(row) for row in range(len(self.load_a))]
            amps = fill(claims, budgets)
            self._shares = {car.index: amps[n] for n, car in enumerate(self.on)}
        return self._shares

    def even_share(self, car: Car) -> float:
        """What it would get beside those whose turn it is if no car needed a minimum."""
        cars = [one for one in self.on if one is not car] + [car]
        claims = [
            Claim(self.rows[one.index], 0.0, one.use_a, self._weight(one), one.priority) for one in cars
        ]
        return fill(claims, [self.budget(row) for row in range(len(self.load_a))])[-1]

    def _weight(self, car: Car) -> float:
        """Who had much weighs less: short stays and single-phase cars do not end with nothing."""
        weight, most = car.connector.weight * car.size, self.settings.served_wh
        return weight * max(0.1, most / (most + car.energy_wh / weight))

    def minima(self) -> list[float]:
        """On every row the least of those whose turn it is."""
        sums = [0.0] * len(self.load_a)
        for car in self.on:
            for row in self.rows[car.index]:
                sums[row] += car.least_a
        return sums


def told_while_free_a(car: Car) -> float:
    """What a connector without a car is told: its safe value, less where a person limits it to less."""
    safe_a, most_a = car.connector.safe_a, car.plug.operator_a
    if most_a >= safe_a:
        return safe_a
    return car.quantised(most_a) if most_a >= car.floor_a else 0.0
