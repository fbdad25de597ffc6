"""A small site in closed loop: a building, cars that obey late, and the balancer between them.

Rules of this file:
- One call of `run` is so many seconds, one step each. A limit is accepted `accept_s` after it was granted and
  the car follows `follow_s` later. Samples come every `sample_s`. The meter shows the last second.
- Nothing here decides anything; what flowed is kept in `frames` for the tests to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from edgegw.balance.balancer import Balancer
from edgegw.balance.model import (
    INFINITE,
    Allocation,
    Circuit,
    Connector,
    Limit,
    Plug,
    PlugState,
    Reading,
    Settings,
)

Triple = tuple[float, float, float]


def circuit(name: str = "main", limit_a: float = 63.0, **other: object) -> Circuit:
    """The main fuse is metered, what hangs below it is not."""
    usual: dict[str, object] = {"metered": "parent" not in other, "reserve_a": 0.0}
    if "parent" not in other:
        usual["reserve_a"] = limit_a / 2
    return Circuit(name=name, limit_a=limit_a, **{**usual, **other})  # type: ignore[arg-type]


def connector(number: int = 1, circuit: str = "main", **other: object) -> Connector:
    return Connector(id=f"CP-{number}/1", circuit=circuit, **other)  # type: ignore[arg-type]


def connectors(count: int, circuit: str = "main", **other: object) -> list[Connector]:
    return [connector(number, circuit, **other) for number in range(1, count + 1)]


@dataclass
class Car:
    """One car at one connector; amps on each of the connector's first `phases` wires."""

    phases: int = 3
    max_a: float = 32.0
    refuses_below_a: float = 6.0
    session: str = "s"
    says: PlugState | None = None  # overrides what it shows
    steered: bool = True
    reserved_a: float = 0.0
    cap_a: float = INFINITE
    operator_a: float = INFINITE
    draws: bool = True  # False: full
    obeys: bool = True
    reports: bool = True
    granted_a: float = 0.0
    standing_a: float = 0.0
    drawn_a: float = 0.0
    energy_wh: float = 0.0
    sample: tuple[float, ...] | None = None
    sample_at: float = -INFINITE
    coming: list[tuple[float, float]] = field(default_factory=list)  # (accepted at, amps)
    felt: list[tuple[float, float]] = field(default_factory=list)  # (felt at, amps)
    offer_a: float = 0.0


@dataclass
class Frame:
    now: float
    currents: dict[str, Triple]  # what flows through each circuit
    cars_a: dict[str, Triple]  # of it the cars
    allocation: Allocation
    grants: dict[str, float]


class House:
    def __init__(
        self,
        circuits: Iterable[Circuit],
        connectors: Iterable[Connector],
        *,
        building: Triple | Callable[[float], Triple] = (0.0, 0.0, 0.0),
        settings: Settings | None = None,
        accept_s: float = 1.0,
        follow_s: float = 2.0,
        sample_s: int = 10,
    ) -> None:
        self.circuits, self.connectors = list(circuits), list(connectors)
        self.balancer = Balancer(self.circuits, self.connectors, settings)
        self.building = building
        self.cars: dict[str, Car] = {}
        self.limits: Sequence[Limit] = ()
        self.now = 1000.0
        self.accept_s, self.follow_s, self.sample_s = accept_s, follow_s, sample_s
        self.bypassed: set[str] = set()  # connectors, with or without a car
        self.meter_works = True
        self.meter_shows: Callable[[Triple], tuple[float | None, float | None, float | None]] = lambda true: (
            true
        )
        self.frames: list[Frame] = []
        self._readings: dict[str, Reading] = {}
        self._parents = {c.name: c.parent for c in self.circuits}

    def plug_in(self, number: int, car: Car | None = None) -> Car:
        car = car or Car()
        name = f"CP-{number}/1"
        safe = next(c.safe_a for c in self.connectors if c.id == name)
        car.granted_a = car.standing_a = car.offer_a = safe
        car.session = f"{name} at {self.now}"
        self.cars[name] = car
        return car

    def plug_in_all(self, **kind: object) -> list[Car]:
        return [self.plug_in(n + 1, Car(**kind)) for n in range(len(self.connectors))]  # type: ignore[arg-type]

    def run(self, seconds: int) -> Frame:
        for _ in range(seconds):
            self._second()
        return self.frames[-1]

    def _second(self) -> None:
        self.now += 1.0
        for car in self.cars.values():
            self._move(car)
        currents, cars_a = self._flow()
        if self.meter_works:
            for one in self.circuits:
                if one.metered:
                    reading = Reading(at=self.now, current_a=self.meter_shows(currents[one.name]))
                    self._readings[one.name] = reading
        plugs = [self._plug(name, car) for name, car in self.cars.items()]
        plugs += [Plug(connector=name, bypassed=True) for name in self.bypassed - self.cars.keys()]
        allocation = self.balancer.step(self.now, self._readings, plugs, self.limits)
        grants = {name: grant.limit_a for name, grant in allocation.grants.items()}
        for name, car in self.cars.items():
            if grants[name] != car.granted_a:
                car.granted_a = grants[name]
                car.coming.append((self.now + self.accept_s, car.granted_a))
        self.frames.append(Frame(self.now, currents, cars_a, allocation, grants))

    def _move(self, car: Car) -> None:
        while car.coming and car.coming[0][0] <= self.now:
            _, car.standing_a = car.coming.pop(0)
            if car.obeys:
                car.felt.append((self.now + self.follow_s, car.standing_a))
        while car.felt and car.felt[0][0] <= self.now:
            _, car.offer_a = car.felt.pop(0)
        wakes = car.draws and car.offer_a >= car.refuses_below_a
        car.drawn_a = min(car.offer_a, car.max_a) if wakes else 0.0
        car.energy_wh += car.drawn_a * car.phases * 230 / 3600

    def _flow(self) -> tuple[dict[str, Triple], dict[str, Triple]]:
        cars = {c.name: [0.0, 0.0, 0.0] for c in self.circuits}
        for one in self.connectors:
            car = self.cars.get(one.id)
            at = one.circuit
            while car is not None and at:
                for phase in one.phases[: car.phases]:
                    cars[at][phase] += car.drawn_a
                at = self._parents[at]
        here = self.building(self.now) if callable(self.building) else self.building
        flows = {}
        for name, amps in cars.items():
            root = not self._parents[name]
            flows[name] = tuple(a + (here[phase] if root else 0.0) for phase, a in enumerate(amps))
        return flows, {name: tuple(amps) for name, amps in cars.items()}  # type: ignore[return-value]

    def _plug(self, name: str, car: Car) -> Plug:
        wired = next(c for c in self.connectors if c.id == name)
        if car.reports and int(self.now) % self.sample_s == 0:
            used = range(len(wired.phases))
            car.sample = tuple(car.drawn_a if n < car.phases else 0.0 for n in used)
            car.sample_at = self.now
        idle = PlugState.SUSPENDED_EV if car.offer_a >= 6.0 else PlugState.WAITING
        return Plug(
            connector=name,
            state=car.says or (PlugState.CHARGING if car.drawn_a > 0 else idle),
            session=car.session,
            drawn_a=car.sample,
            drawn_at=car.sample_at,
            energy_wh=car.energy_wh,
            standing_a=max([car.standing_a, *(amps for _, amps in car.coming)]),
            steered=car.steered,
            reserved_a=car.reserved_a,
            cap_a=car.cap_a,
            operator_a=car.operator_a,
            bypassed=name in self.bypassed,
        )
