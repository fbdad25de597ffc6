"""Connectors that somebody left out of balancing for a while: they may have their maximum, and no fuse pays.

Rules of this file:
- A connector that is left out counts with the most it may draw, whether a car is there or not, as the least
  that is kept for it (`Car.least_a`): the others give way, and it is raised when that is confirmed.
- It is left out only while that fits beside the least of all others whose turn it is. When it does not fit
  any more (a limit from outside, the building) it is balanced like the others at once, and no earlier than
  AGAIN_S later left out again.
- One that cannot be steered, or is out of service, is none of this file's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edgegw.balance.demand import Car
from edgegw.balance.model import PHASE_NAMES, PHASES, PlugState, Settings
from edgegw.balance.rows import Bounds
from edgegw.balance.tree import Tree

AGAIN_S = 60.0
_EPS_A = 1e-6


class Table(NamedTuple):
    """What one step knows of the site."""

    tree: Tree
    cars: Sequence[Car]
    rows: Sequence[tuple[int, ...]]
    bounds: Bounds

    def budget(self, sums: Sequence[float], row: int) -> float:
        """Of an unbalance row it follows what the other phases carry."""
        first = PHASES * len(self.tree.circuits)
        if row < first:
            return self.bounds.budget_a[row]
        group = row - (row - first) % PHASES
        return self.bounds.budget_a[row] + min(sums[group : group + PHASES])

    def minima(self, without: Sequence[Car] = ()) -> list[float]:
        """On every row the least of those whose turn it is."""
        sums = [0.0] * self.tree.row_count
        for car in self.cars:
            if car not in without:
                self.add(sums, car, _least(car))
        return sums

    def add(self, sums: list[float], car: Car, amps: float) -> None:
        for row in self.rows[car.index]:
            sums[row] += amps


def settle(now: float, table: Table, settings: Settings) -> None:
    """Decide who is left out in this step. Changes the cars, before anything is summed up."""
    wished = [car for car in table.cars if _may(car, now, settings)]
    for car in table.cars:
        if car.bypassing and car not in wished:
            car.bypass(False, now)
    if not wished:
        return
    for car in wished:
        car.bound(bypassing=False)
    sums = table.minima()
    for car in wished:
        _settle_one(now, table, sums, car, settings)


def _settle_one(now: float, table: Table, sums: list[float], car: Car, settings: Settings) -> None:
    more = car.most_a - _least(car)
    allowed = settings.shed_above_a if car.bypassing else _EPS_A
    again = car.bypassing or now - car.bypass_ended_at >= AGAIN_S
    table.add(sums, car, more)
    if again and all(sums[row] <= table.budget(sums, row) + allowed for row in table.rows[car.index]):
        car.bypass(True, now)
    else:
        table.add(sums, car, -more)
        car.bypass(False, now)


def _may(car: Car, now: float, settings: Settings) -> bool:
    rests = car.paused and now - car.off_at < settings.min_off_s
    in_service = car.state is not PlugState.UNAVAILABLE
    return car.plug.bypassed and car.steered and in_service and not rests and car.most_a > 0


def _least(car: Car) -> float:
    """What is kept for it whatever happens to the others."""
    if not car.steered or not (car.present or car.bypassing):
        return 0.0
    return max(car.stubborn_a, car.least_a if car.on or car.bypassing else 0.0)


def shortage(table: Table, names: Sequence[str]) -> str:
    """Why these cannot have their maximum now although all others have their least; "": they can."""
    wished = [car for car in table.cars if car.connector.id in names]
    others = table.minima(without=wished)
    sums = list(others)
    for car in wished:
        table.add(sums, car, car.ceiling_a)
    short = {
        row: sums[row] - table.budget(sums, row)
        for car in wished
        for row in table.rows[car.index]
        if sums[row] > table.budget(sums, row) + _EPS_A
    }
    if not short:
        return ""
    return _tell(table, max(short, key=lambda row: (short[row], -row)), sums, others)


def _tell(table: Table, row: int, sums: Sequence[float], others: Sequence[float]) -> str:
    wished_a = sums[row] - others[row]
    first = PHASES * len(table.tree.circuits)
    if row >= first:
        number = next(n for n, start in table.tree.uneven_rows.items() if start <= row < start + PHASES)
        circuit = table.tree.circuits[number]
        return (
            f"{circuit.name}: the phases may differ by {circuit.unbalance_a:g} A, this needs {wished_a:g} A"
        )
    number, phase = divmod(row, PHASES)
    circuit, bounds = table.tree.circuits[number], table.bounds
    free_a = bounds.limit_a[row] - bounds.base_a[row] - bounds.reserved_a[row] - bounds.budget_a[row]
    parts = [
        (wished_a, "its maximum"),
        (others[row], "the least of the others"),
        (bounds.base_a[row], "the building"),
        (bounds.reserved_a[row], "connectors that cannot be steered"),
        (free_a, "kept free"),
    ]
    told = " + ".join(f"{amps:.1f} A {what}" for amps, what in parts if amps > 0.05)
    sum_a = sum(amps for amps, _ in parts)
    source = bounds.sources[row]
    limit = f"{bounds.limit_a[row]:g} A {f'by {source}' if source else 'fuse'}"
    return f"{circuit.name} {PHASE_NAMES[phase]}: {told} = {sum_a:.1f} A on the {limit}"
