"""The power path of a simulated charger: what it offers each car, what flows, what its registers show.

Rules of this file:
- It works only for a charger that has cars (`Habits.cars`); without them energy is `charging`'s dice.
- The offer is the lower of hardware and charging profiles, and 0 below 6 A; it is looked at anew every
  TICK_S, so an expired profile ends by itself. Who asks for amps gets those of this very instant.
- Amps are on the charger's own terminals, first phase first; how they are wired to the grid is `site`'s.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Protocol

from edgegw.sim.charging_profiles import Manners
from edgegw.sim.ev import EV_MINIMUM_A, NOMINAL_V, Car, PluggedCar, individual
from edgegw.sim.habits import Habits
from edgegw.sim.memory import Memory, Session
from edgegw.sim.power_limit import Situation, limit_a, offline_too_long

TICK_S = 0.2
CHARGING, SUSPENDED_EV, SUSPENDED_EVSE = "Charging", "SuspendedEV", "SuspendedEVSE"


class Station(Protocol):
    """What the power path needs of its charger."""

    habits: Habits
    manners: Manners
    rng: Random

    @property
    def memory(self) -> Memory: ...
    @property
    def connected(self) -> bool: ...
    def power_state_changed(self, connector: int, state: str) -> None: ...


class Outlet:
    """One connector with a car."""

    def __init__(self, car: PluggedCar, state: str) -> None:
        self.car = car
        self.state = state
        self.counted_wh = 0  # of the car's energy, already in the register


class PowerPath:
    def __init__(
        self,
        station: Station,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._station = station
        self._clock = clock
        self._wall = wall
        self._outlets: dict[int, Outlet] = {}
        self._offline_since: float | None = None
        self.next_cars: dict[int, Car] = {}  # by connector: what plugs in next instead of a random one

    @property
    def works(self) -> bool:
        return bool(self._station.habits.cars)

    async def run(self) -> None:
        """For ever; cancel to stop."""
        while True:
            self.update()
            await asyncio.sleep(TICK_S)

    # --- cars ---------------------------------------------------------------------------------

    def plug(self, session: Session) -> None:
        """A car for `session`, if this charger has cars; the session's state is set."""
        station = self._station
        if not self.works:
            return
        car = self.next_cars.pop(session.connector, None)
        if car is None:
            car = individual(station.rng.choice(station.habits.cars), station.rng)
        car = replace(car, phases=min(car.phases, station.habits.phases))
        offered = self.offered_a(session.connector)
        plugged = PluggedCar(car, self._clock(), offered, speed=station.habits.energy_speed)
        state = _state(plugged, offered)
        self._outlets[session.connector] = Outlet(plugged, state)
        session.charging_state = state

    def unplug(self, connector: int) -> None:
        self.update()
        self._outlets.pop(connector, None)

    def cut(self) -> None:
        """The charger lost its power: nothing flows."""
        self._outlets.clear()
        self._offline_since = None

    def car(self, connector: int) -> PluggedCar | None:
        outlet = self._outlets.get(connector)
        return outlet.car if outlet is not None else None

    # --- now ----------------------------------------------------------------------------------

    def update(self) -> None:
        """Bring everything up to this instant, and tell the charger what changed."""
        self._watch_link()
        now = self._clock()
        for connector, outlet in list(self._outlets.items()):
            offered = self.offered_a(connector)
            outlet.car.advance(now, offered)
            self._count(connector, outlet)
            state = _state(outlet.car, offered)
            if state != outlet.state:
                outlet.state = state
                self._station.power_state_changed(connector, state)

    def offered_a(self, connector: int) -> float:
        """Amps per phase the connector signals to its car; 0 is a pause."""
        station = self._station
        limit = math.inf
        if not station.manners.disobeys:
            limit = limit_a(station.memory.profiles, self.situation(connector), self._wall())
        offered = min(limit, station.habits.max_a)
        return offered if offered >= EV_MINIMUM_A else 0.0

    def situation(self, connector: int) -> Situation:
        """For `power_limit`; connector 0 is the charger as a whole."""
        sessions = self._station.memory.sessions
        session = sessions.get(connector)
        return Situation(
            place=connector,
            session=session.name if session is not None else "",
            began_at=session.began_at if session is not None else None,
            phases=self._station.habits.phases,
            in_use=max(1, len(sessions)),
            offline_s=0.0 if self._offline_since is None else self._clock() - self._offline_since,
        )

    def amps(self, connector: int) -> tuple[float, ...]:
        """On the charger's terminals of this connector. Call `update` before."""
        phases = self._station.habits.phases
        car = self.car(connector)
        if car is None:
            return (0.0,) * phases
        return tuple(car.drawn_a if phase < car.car.phases else 0.0 for phase in range(phases))

    def power_w(self, connector: int) -> float:
        return sum(self.amps(connector)) * NOMINAL_V

    # --- inside -------------------------------------------------------------------------------

    def _count(self, connector: int, outlet: Outlet) -> None:
        gained = int(outlet.car.energy_wh) - outlet.counted_wh
        outlet.counted_wh += gained
        self._station.memory.registers_wh[connector] += gained

    def _watch_link(self) -> None:
        if self._station.connected:
            self._offline_since = None
            return
        if self._offline_since is None:
            self._offline_since = self._clock()
        offline_s = self._clock() - self._offline_since
        for kept in self._station.memory.profiles:
            if kept.profile.get("invalidAfterOfflineDuration") and offline_too_long(kept, offline_s):
                kept.lapsed = True  # 2.1 K01.FR.102: not valid any more when the link is back


def _state(car: PluggedCar, offered_a: float) -> str:
    if offered_a < EV_MINIMUM_A:
        return SUSPENDED_EVSE
    return CHARGING if car.asks or car.drawn_a > 0 else SUSPENDED_EV
