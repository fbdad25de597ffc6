"""Who may draw how much, now. The order of one step stands here; each part has its own file.

Rules of this file:
- Pure: time and readings come in, an allocation goes out; what is kept between steps is memory of the past,
  never a clock. The same inputs give the same outputs, in whatever order plugs and circuits are listed.
- The order of a step: what is seen (`demand`, `building`), what there is (`Bounds`), give back
  (`shedding`), take turns (`admission`), give more (`raising`), say why (`reasons`).
- A free connector is granted its safe value and reserves nothing. A car that plugs in may draw that value
  at once: it counts with it from the first step that knows of it (`standing_a`), and in that same step it
  is either admitted or taken to 0. Until then it is like a step of the building: the margin and shedding
  are for that.
- A connector that cannot be steered counts with what its `reserved_a` says on all its wires, and its grant
  stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edgegw.balance.admission import Admission
from edgegw.balance.building import Building
from edgegw.balance.bypass import Table, settle, shortage
from edgegw.balance.demand import Car
from edgegw.balance.model import (
    INFINITE,
    PHASES,
    Allocation,
    Amps,
    Circuit,
    CircuitState,
    Connector,
    Grant,
    Limit,
    Plug,
    Reading,
    Settings,
)
from edgegw.balance.raising import Rebalance, raise_offers
from edgegw.balance.reasons import Explainer
from edgegw.balance.rows import Bounds, Round, told_while_free_a
from edgegw.balance.shedding import Overload, shed
from edgegw.balance.tree import Tree


class Balancer:
    """One site. Call `step` on every meter reading, at least every few seconds.

    ValueError when circuits and connectors do not make a tree (`tree.Tree`).
    """

    def __init__(
        self, circuits: Iterable[Circuit], connectors: Iterable[Connector], settings: Settings | None = None
    ) -> None:
        self.tree = Tree(circuits, connectors)
        self.settings = settings or Settings()
        self.cars = [Car(number, connector) for number, connector in enumerate(self.tree.connectors)]
        self.meters = {
            number: Building(circuit, self.settings)
            for number, circuit in enumerate(self.tree.circuits)
            if circuit.metered
        }
        self._by_id = {car.connector.id: car for car in self.cars}
        self._rows: list[tuple[int, ...]] = [()] * len(self.cars)
        self._phases: list[tuple[int, ...]] = [()] * len(self.cars)
        self._admission = Admission(self.tree.row_count)
        self._overload = Overload()
        self._rebalance = Rebalance()
        self._started_at = INFINITE
        self._table: Table | None = None  # of the last step

    def shortage(self, names: Sequence[str]) -> str | None:
        """Why these connectors cannot be left out of balancing now, in words; "" when they can.

        None: nobody knows before the first step.
        """
        return None if self._table is None else shortage(self._table, names)

    def successor(
        self, circuits: Iterable[Circuit], connectors: Iterable[Connector], settings: Settings | None = None
    ) -> Balancer:
        """The same site wired otherwise: what was learned of whatever did not change lives on in it.

        A connector that is new or changed begins as after a restart: what it stands at counts, and a car that
        charges goes on. This one must not be stepped any more. ValueError as when it is made.
        """
        after = Balancer(circuits, connectors, settings or self.settings)
        for number, car in enumerate(after.cars):
            known = self._by_id.get(car.connector.id)
            if known is not None and known.connector == car.connector:
                known.index = number
                after.cars[number] = after._by_id[known.connector.id] = known
        for number, meter in after.meters.items():
            before = self.meters.get(self.tree.index.get(meter.circuit.name, -1))
            if before is not None and before.circuit == meter.circuit:
                after.meters[number] = before
        after._started_at = self._started_at
        return after

    def step(
        self, now: float, readings: Mapping[str, Reading], plugs: Sequence[Plug], limits: Sequence[Limit] = ()
    ) -> Allocation:
        """One decision. `readings` by circuit name, the newest of each meter.

        A connector without a plug is free. Raises KeyError for a plug of a connector that is not on the
        site.
        """
        self._started_at = min(self._started_at, now)
        self._see_plugs(now, plugs)
        limit_a, sources, for_chargers = self._limits(limits)
        self._see_meters(now, readings, limit_a)
        bounds = self._bounds(now, limit_a, sources, for_chargers)
        self._table = Table(self.tree, self.cars, self._rows, bounds)
        settle(now, self._table, self.settings)
        round_ = Round(now, self.tree, self.cars, self._rows, bounds, self.settings)
        self._obey_caps(round_)
        shed(round_)
        self._overload.relieve(round_)
        self._admission.run(round_)
        shed(round_)
        self._rebalance.run(round_)
        raise_offers(round_)
        return self._tell(now, round_)

    # --- what is seen -----------------------------------------------------------------------------

    def _see_plugs(self, now: float, plugs: Sequence[Plug]) -> None:
        seen = {plug.connector: plug for plug in plugs}
        for name in seen.keys() - self._by_id.keys():
            raise KeyError(name)
        for car in self.cars:
            car.see(seen.get(car.connector.id) or Plug(connector=car.connector.id), now, self.settings)
            phases = car.phases
            if phases != self._phases[car.index]:
                self._phases[car.index] = phases
                self._rows[car.index] = self.tree.rows(self.tree.circuit_of[car.index], phases)

    def _see_meters(self, now: float, readings: Mapping[str, Reading], limit_a: list[float]) -> None:
        for number, meter in self.meters.items():
            low, high = [0.0] * PHASES, [0.0] * PHASES
            for index in self.tree.below[number]:
                car = self.cars[index]
                for phase in car.connector.phases:
                    low[phase] += car.low[phase]
                    high[phase] += car.high[phase]
                    if car.stopped is not None:
                        meter.phases[phase].car_stopped(now, car.stopped[phase])
            first = PHASES * number
            limit = (limit_a[first], limit_a[first + 1], limit_a[first + 2])
            meter.see(now, readings.get(meter.circuit.name), low, high, limit)

    # --- what there is ----------------------------------------------------------------------------

    def _limits(self, limits: Sequence[Limit]) -> tuple[list[float], list[str], dict[int, tuple[float, str]]]:
        """Per row: the lowest limit and its source ("" for the fuse); and those for the chargers alone."""
        limit_a = [circuit.limit_a for circuit in self.tree.circuits for _ in range(PHASES)]
        sources = [""] * len(limit_a)
        for_chargers: dict[int, tuple[float, str]] = {}
        for limit in sorted(limits, key=lambda limit: (limit.circuit, limit.source, limit.limit_a)):
            first = PHASES * self.tree.index[limit.circuit]
            for phase, amps in enumerate(limit.limit_a):
                row = first + phase
                if limit.chargers_only:
                    if amps < for_chargers.get(row, (INFINITE, ""))[0]:
                        for_chargers[row] = (amps, limit.source)
                elif amps < limit_a[row]:
                    limit_a[row], sources[row] = amps, limit.source
        return limit_a, sources, for_chargers

    def _bounds(
        self, now: float, limit_a: list[float], sources: list[str], for_chargers: dict[int, tuple[float, str]]
    ) -> Bounds:
        count, fuses = self.tree.row_count, len(limit_a)
        bounds = Bounds(
            limit_a=list(limit_a),
            base_a=[0.0] * fuses,
            reserved_a=self._reserved(fuses),
            budget_a=[0.0] * count,
            usual_a=[INFINITE] * count,
            hard_a=[INFINITE] * count,
            spare_a=[0.0] * count,
            admits=[True] * count,
            urgent=[bool(source) for source in sources],
            sources=sources,
        )
        for row in range(fuses):
            self._bound_row(now, bounds, row)
        for row, (amps, source) in for_chargers.items():
            _bound_chargers(bounds, row, amps, source)
        for number, first in self.tree.uneven_rows.items():
            bounds.budget_a[first : first + PHASES] = [self.tree.circuits[number].unbalance_a] * PHASES
        return bounds

    def _bound_row(self, now: float, bounds: Bounds, row: int) -> None:
        number, phase = divmod(row, PHASES)
        circuit = self.tree.circuits[number]
        left = bounds.limit_a[row] - bounds.reserved_a[row]
        base = usual = hard = circuit.reserve_a
        building = self.meters.get(number)
        if building is not None:
            meter = building.phases[phase]
            base, usual, hard = meter.base_a, meter.usual_a, base
            bounds.spare_a[row] = self.settings.admit_spare_a
            if meter.believed:
                hard = max(meter.now_a, -circuit.feed_in_a)
            else:
                bounds.urgent[row] = True
                since = max(meter.at, self._started_at)
                bounds.admits[row] = now - since >= self.settings.stale_admit_after_s
        bounds.base_a[row] = base
        bounds.budget_a[row] = left - circuit.margin_a - base
        bounds.usual_a[row] = left - circuit.margin_a - usual
        bounds.hard_a[row] = left - hard

    def _reserved(self, fuses: int) -> list[float]:
        reserved = [0.0] * fuses
        for car in self.cars:
            if car.reserved_a:
                for row in self.tree.rows(self.tree.circuit_of[car.index], car.connector.phases):
                    if row < fuses:
                        reserved[row] += car.reserved_a
        return reserved

    def _obey_caps(self, round_: Round) -> None:
        """What the cloud allows holds at once; below its least a car gets nothing."""
        for car in round_.on[:]:
            most = car.most_a
            if most <= 0.0:
                round_.take_back(car)
            elif car.offer_a > most:
                round_.offer(car, most)

    # --- what is said -----------------------------------------------------------------------------

    def _tell(self, now: float, round_: Round) -> Allocation:
        explainer = Explainer(round_, self.meters)
        grants = {}
        for car in self.cars:
            name = car.connector.id
            amps = car.offer_a if car.present and (car.steered or car.on) else told_while_free_a(car)
            grants[name] = Grant(connector=name, limit_a=amps, reason=explainer.reason(car))
        circuits = tuple(
            self._circuit_state(now, round_, number) for number in range(len(self.tree.circuits))
        )
        return Allocation(grants=grants, circuits=circuits, alarms=self._alarms(now))

    def _circuit_state(self, now: float, round_: Round, number: int) -> CircuitState:
        first, bounds = PHASES * number, round_.bounds
        rows = range(first, first + PHASES)
        meter = self.meters.get(number)
        sources = {bounds.sources[row] for row in rows if bounds.sources[row]}
        measured = tuple(p.measured_a for p in meter.phases) if meter else (None, None, None)
        age = now - meter.read_at if meter and meter.read_at > -INFINITE else None
        return CircuitState(
            name=self.tree.circuits[number].name,
            limit_a=_triple([bounds.limit_a[row] for row in rows]),
            limit_source=", ".join(sorted(sources)) or "fuse",
            measured_a=(measured[0], measured[1], measured[2]),
            base_a=_triple([bounds.base_a[row] for row in rows]),
            granted_a=_triple([round_.taken_a[row] + bounds.reserved_a[row] for row in rows]),
            free_a=_triple([bounds.budget_a[row] - round_.taken_a[row] for row in rows]),
            reading_age_s=age,
            stale=bool(meter and meter.stale),
        )

    def _alarms(self, now: float) -> dict[str, str]:
        said: dict[str, list[str]] = {}
        for meter in self.meters.values():
            for kind, text in meter.alarms(now, self._started_at):
                said.setdefault(kind, []).append(text)
        return {kind: "; ".join(texts) for kind, texts in said.items()}


def _bound_chargers(bounds: Bounds, row: int, amps: float, source: str) -> None:
    """A limit for the chargers alone: the building does not count against it, and no margin is needed."""
    left = amps - bounds.reserved_a[row]
    if left < bounds.budget_a[row]:
        bounds.budget_a[row] = left
        bounds.limit_a[row], bounds.sources[row] = amps, source
        bounds.base_a[row] = 0.0
    bounds.usual_a[row] = min(bounds.usual_a[row], left + bounds.spare_a[row])
    if left < bounds.hard_a[row]:
        bounds.hard_a[row] = left
        bounds.urgent[row] = True


def _triple(values: Sequence[float]) -> Amps:
    return values[0], values[1], values[2]
