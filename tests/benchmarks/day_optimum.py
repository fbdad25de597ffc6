"""The most energy that anyone could have delivered on a day, by linear programming with perfect foresight.

Rules of this file:
- The practical form: in slots of 30 s of which only what is free in every second counts, and without the
  last 2 A of every fuse.
- An upper bound on what keeps to that: no minimum current (a relaxation), no dead time, no taper, no pauses.
  Who spends its margin can pass it.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, vstack

from tests.benchmarks.day_site import Plan, Site, Visit

SLOT_S = 30
KEPT_FREE_A = 2.0


def optimum_wh(plan: Plan) -> float:
    """Wh that could have been delivered in the day of `plan`."""
    capacity = _capacity(plan)
    slots = capacity.shape[1]
    gain: list[float] = []
    upper: list[float] = []
    fuse_rows: list[int] = []
    fuse_columns: list[int] = []
    owner: list[int] = []
    for number, visit in enumerate(plan.visits):
        rows = _rows(plan.site, visit)
        for slot in range(visit.arrives // SLOT_S, min(slots, math.ceil(visit.leaves / SLOT_S))):
            there = min(visit.leaves, (slot + 1) * SLOT_S) - max(visit.arrives, slot * SLOT_S)
            column = len(gain)
            gain.append(visit.car.wh_per_a * SLOT_S)
            upper.append(_most_a(plan.site, visit) * there / SLOT_S)
            owner.append(number)
            fuse_rows += [row * slots + slot for row in rows]
            fuse_columns += [column] * len(rows)
    energy = coo_array((gain, (owner, range(len(gain)))), shape=(len(plan.visits), len(gain)))
    shape = (capacity.size, len(gain))
    fuses = coo_array((np.ones(len(fuse_rows)), (fuse_rows, fuse_columns)), shape=shape)
    return _solve(gain, upper, [fuses, energy], [capacity.ravel(), [v.car.ask_wh for v in plan.visits]])


def _solve(gain: list[float], upper: list[float], left: list[coo_array], right: list[object]) -> float:
    found = linprog(
        -np.array(gain),
        A_ub=vstack(left).tocsr(),
        b_ub=np.concatenate([np.asarray(r) for r in right]),
        bounds=np.column_stack([np.zeros(len(upper)), upper]),
        method="highs-ipm",
    )
    if not found.success:
        raise ArithmeticError(found.message)
    return float(-found.fun)


def _capacity(plan: Plan) -> np.ndarray:
    """[row, slot]: amps free for cars."""
    slots = plan.seconds // SLOT_S
    used = slots * SLOT_S
    found = []
    for circuit in plan.site.circuits:
        load = np.zeros((used, 3))
        for name, other in plan.loads.items():
            if circuit.name in _above(plan.site, name):
                load += other[:used]
        worst = load.reshape(slots, SLOT_S, 3).max(axis=1)
        found += list(np.maximum(0.0, circuit.limit_a - KEPT_FREE_A - worst).T)
    return np.array(found)


def _above(site: Site, circuit: str) -> list[str]:
    """It and every circuit above it."""
    parents = {c.name: c.parent for c in site.circuits}
    found = []
    while circuit:
        found.append(circuit)
        circuit = parents[circuit]
    return found


def _rows(site: Site, visit: Visit) -> list[int]:
    connector = site.connectors[visit.connector]
    index = {c.name: n for n, c in enumerate(site.circuits)}
    phases = connector.phases[: visit.car.phases]
    return [index[name] * 3 + phase for name in _above(site, connector.circuit) for phase in phases]


def _most_a(site: Site, visit: Visit) -> float:
    return min(visit.car.max_a, site.connectors[visit.connector].max_a * visit.car.ratio)
