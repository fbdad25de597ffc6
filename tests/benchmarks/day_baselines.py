"""Simple allocators to compare with: static split, equal share, round robin, plain water filling.

Rules of this file:
- Written from their definitions, with what any of them would have in practice: a margin, minima respected,
  lower at once, anew every ten seconds. None shares code with the balancer.
- They count a car on the phases its connector is wired to, and at what it was offered.
- A car that has not drawn for two minutes though it may counts no more; it keeps its minimum offered.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from edgegw.balance.model import (
    Allocation,
    Binding,
    Circuit,
    Connector,
    Grant,
    Limit,
    Plug,
    PlugState,
    Reading,
    Reason,
)

ANEW_S = 10.0
IDLE_S = 120.0
ROTATE_S = 300.0
HOLD_S = 18.0
REASON = Reason(binding=Binding.CIRCUIT)


class Baseline:
    """What the four have in common. `_share` gives amps for the cars that count, in the order they came."""

    def __init__(self, circuits: Sequence[Circuit], connectors: Sequence[Connector]) -> None:
        self.circuits, self.connectors = tuple(circuits), {c.id: c for c in connectors}
        self._index = {c.name: n * 3 for n, c in enumerate(circuits)}
        self.rows = {c.id: [up + p for up in self._up(c.circuit) for p in c.phases] for c in connectors}
        self._budget = [c.limit_a - c.margin_a - c.reserve_a for c in circuits for _ in range(3)]
        self._since: dict[str, tuple[str, float]] = {}  # connector -> session, when it was first seen
        self._idle: dict[str, float] = {}
        self._offers: dict[str, float] = {c.id: c.safe_a for c in connectors}
        self._anew_at = -math.inf

    def step(
        self, now: float, readings: Mapping[str, Reading], plugs: Sequence[Plug], limits: Sequence[Limit]
    ) -> Allocation:
        budget = self._budgets(now, readings, plugs)
        cars, idle = self._cars(now, plugs)
        if now >= self._anew_at or self._over(cars, budget):
            self._anew_at = now + ANEW_S
            offers = self._share(now, cars, budget)
            self._offers.update({i: self.connectors[i].min_a for i in idle} | offers)
        grants = {i: Grant(connector=i, limit_a=a, reason=REASON) for i, a in self._offers.items()}
        return Allocation(grants=grants, circuits=())

    def _share(self, now: float, cars: list[Plug], budget: list[float]) -> dict[str, float]:
        raise NotImplementedError

    def _up(self, circuit: str) -> list[int]:
        parents = {c.name: c.parent for c in self.circuits}
        found = []
        while circuit:
            found.append(self._index[circuit])
            circuit = parents[circuit]
        return found

    def _budgets(self, now: float, readings: Mapping[str, Reading], plugs: Sequence[Plug]) -> list[float]:
        budget = list(self._budget)
        for circuit in self.circuits:
            reading = readings.get(circuit.name)
            if reading is None:
                continue
            first = self._index[circuit.name]
            base = [amps or 0.0 for amps in reading.current_a]
            for plug in plugs:
                wired = self.connectors[plug.connector]
                for phase, drawn in zip(wired.phases, plug.drawn_a or (), strict=False):
                    if first + phase in self.rows[wired.id]:
                        base[phase] -= min(drawn or 0.0, plug.standing_a)
            for phase, amps in enumerate(self._settled(now, base)):
                budget[first + phase] = circuit.limit_a - circuit.margin_a - max(0.0, amps)
        return budget

    def _settled(self, now: float, base: list[float]) -> list[float]:
        return base

    def _cars(self, now: float, plugs: Sequence[Plug]) -> tuple[list[Plug], list[str]]:
        """Those that count, in the order they came, and the connectors of those that do not."""
        counting, idle = [], []
        for plug in plugs:
            if not plug.session:
                self._since.pop(plug.connector, None)
                continue
            if self._since.get(plug.connector, ("", 0.0))[0] != plug.session:
                self._since[plug.connector] = (plug.session, now)
                self._idle.pop(plug.connector, None)
            if plug.state is not PlugState.SUSPENDED_EV:
                self._idle.pop(plug.connector, None)
            elif now - self._idle.setdefault(plug.connector, now) > IDLE_S:
                idle.append(plug.connector)
                continue
            counting.append(plug)
        counting.sort(key=lambda plug: self._since[plug.connector][1])
        return counting, idle

    def _over(self, cars: Iterable[Plug], budget: list[float]) -> bool:
        used = [0.0] * len(budget)
        for plug in cars:
            for row in self.rows[plug.connector]:
                used[row] += self._offers[plug.connector]
        return any(u > b and u for u, b in zip(used, budget, strict=True))

    def _admit(self, cars: Iterable[Plug], budget: list[float]) -> list[Plug]:
        """Who gets a minimum, in that order; takes it from `budget`."""
        admitted = []
        for plug in cars:
            least = self.connectors[plug.connector].min_a
            rows = self.rows[plug.connector]
            if all(budget[row] >= least for row in rows):
                admitted.append(plug)
                for row in rows:
                    budget[row] -= least
        return admitted

    def _fill(self, order: list[Plug], budget: list[float]) -> dict[str, float]:
        """Minima in order, then an ampere each in turn while it fits."""
        offers = {plug.connector: 0.0 for plug in order}
        free = list(budget)
        growing = [plug.connector for plug in self._admit(order, free)]
        offers.update({i: self.connectors[i].min_a for i in growing})
        while growing:
            still = []
            for i in growing:
                if offers[i] + 1 <= self.connectors[i].max_a and all(free[r] >= 1 for r in self.rows[i]):
                    offers[i] += 1
                    for row in self.rows[i]:
                        free[row] -= 1
                    still.append(i)
            growing = still
        return offers


class StaticSplit(Baseline):
    """No meter: the building at its worst, and the rest divided by the number of connectors. Where that is
    less than a car can use, who came first gets the minimum."""

    def __init__(self, circuits: Sequence[Circuit], connectors: Sequence[Connector]) -> None:
        super().__init__(circuits, connectors)
        users = [0] * len(self._budget)
        for rows in self.rows.values():
            for row in rows:
                users[row] += 1
        self._fixed = {
            i: min(c.max_a, max(c.min_a, math.floor(min(self._budget[r] / users[r] for r in self.rows[i]))))
            for i, c in self.connectors.items()
        }
        self._in: dict[str, str] = {}

    def _budgets(self, now: float, readings: Mapping[str, Reading], plugs: Sequence[Plug]) -> list[float]:
        return list(self._budget)

    def _share(self, now: float, cars: list[Plug], budget: list[float]) -> dict[str, float]:
        first = [p for p in cars if self._in.get(p.connector) == p.session]
        admitted = []
        for plug in [*first, *(p for p in cars if p not in first)]:
            need, rows = self._fixed[plug.connector], self.rows[plug.connector]
            if all(budget[row] >= need for row in rows):
                admitted.append(plug)
                for row in rows:
                    budget[row] -= need
        self._in = {plug.connector: plug.session for plug in admitted}
        return {p.connector: self._fixed[p.connector] if p in admitted else 0.0 for p in cars}


class EqualShare(Baseline):
    """What is free divided by the number of cars on the tightest fuse and phase; nothing is handed on."""

    def _share(self, now: float, cars: list[Plug], budget: list[float]) -> dict[str, float]:
        admitted = self._admit(cars, list(budget))
        users = [0] * len(budget)
        for plug in admitted:
            for row in self.rows[plug.connector]:
                users[row] += 1
        offers = {plug.connector: 0.0 for plug in cars}
        for plug in admitted:
            wired = self.connectors[plug.connector]
            share = min(budget[row] / users[row] for row in self.rows[plug.connector])
            offers[plug.connector] = min(wired.max_a, max(wired.min_a, math.floor(share)))
        return offers


class RoundRobin(Baseline):
    """A queue that turns every five minutes: minima first, then an ampere each while it fits."""

    def _share(self, now: float, cars: list[Plug], budget: list[float]) -> dict[str, float]:
        turn = int(now // ROTATE_S) % len(cars) if cars else 0
        return self._fill([*cars[turn:], *cars[:turn]], budget)


class WaterFilling(Baseline):
    """The same without the turning: who is on stays on, then who got least; the building's highest load
    of the last 18 s counts."""

    def __init__(self, circuits: Sequence[Circuit], connectors: Sequence[Connector]) -> None:
        super().__init__(circuits, connectors)
        self._bases: deque[tuple[float, list[float]]] = deque()

    def _settled(self, now: float, base: list[float]) -> list[float]:
        self._bases.append((now, base))
        while self._bases[0][0] <= now - HOLD_S:
            self._bases.popleft()
        return [max(column) for column in zip(*(b for _, b in self._bases), strict=True)]

    def _share(self, now: float, cars: list[Plug], budget: list[float]) -> dict[str, float]:
        on = {plug.connector for plug in cars if self._offers[plug.connector] > 0}
        return self._fill(sorted(cars, key=lambda p: (p.connector not in on, p.energy_wh)), budget)


BASELINES: dict[str, type[Baseline]] = {
    "static split": StaticSplit,
    "equal share": EqualShare,
    "round robin": RoundRobin,
    "water filling": WaterFilling,
}
