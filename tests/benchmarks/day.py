"""A seeded day at a site, a second at a time: what an allocator makes of it.

Rules of this file:
- No OCPP and no asyncio: a command is a number that arrives later. The loop is 3 s, the car's own reaction
  comes on top: the meter shows what was a second ago, a limit holds at the charger two seconds after it was
  sent (one to three).
- The allocator sees what a gateway would: meter readings, MeterValues every ten seconds, StatusNotifications
  a second late, the limits that were accepted. Never the car.
- A charger has one CALL outstanding. Lower limits are sent at once, higher ones 5 s after the last or later.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from edgegw.balance.model import Allocation, Circuit, Connector, Limit, Plug, PlugState, Reading
from tests.benchmarks.day_cars import DRAWS_A, Battery
from tests.benchmarks.day_score import Fuses, Score
from tests.benchmarks.day_site import Plan, Visit, with_margin

METER_AGE_S = 1
OCPP_DELAY_S = (1, 2, 2, 3)
STATUS_DELAY_S = 1
SAMPLE_EVERY_S = 10
UP_EVERY_S = 5


class Allocator(Protocol):
    def step(
        self, now: float, readings: Mapping[str, Reading], plugs: Sequence[Plug], limits: Sequence[Limit]
    ) -> Allocation: ...


Maker = Callable[[Sequence[Circuit], Sequence[Connector]], Allocator]


class Outlet:
    """One connector: the charger's side and what the gateway knows of it."""

    __slots__ = (
        "accepted_a",
        "battery",
        "connector",
        "drawn_a",
        "drawn_at",
        "energy_wh",
        "flying_a",
        "lands_at",
        "limit_a",
        "offset",
        "plug",
        "rows",
        "samples",
        "sent_at",
        "session",
        "shown",
        "state",
        "states",
        "visit",
    )

    def __init__(self, connector: Connector, rows: list[tuple[int, ...]], offset: int) -> None:
        self.connector = connector
        self.rows = rows  # of each of its own phases
        self.offset = offset
        self.limit_a = self.accepted_a = connector.safe_a
        self.flying_a: float | None = None
        self.lands_at = 0
        self.sent_at = -UP_EVERY_S
        self.battery: Battery | None = None
        self.visit: Visit | None = None
        self.session = ""
        self.state = PlugState.FREE  # as it is
        self.shown = PlugState.FREE  # as the gateway heard
        self.states: deque[tuple[int, PlugState, str]] = deque()
        self.samples: deque[tuple[int, float, float]] = deque()
        self.drawn_a: tuple[float | None, ...] | None = None
        self.drawn_at = -float("inf")
        self.energy_wh = 0.0
        self.plug: Plug | None = None

    @property
    def charger_offers_a(self) -> float:
        return self.limit_a if self.limit_a >= self.connector.min_a else 0.0

    def true_state(self) -> PlugState:
        if self.battery is None:
            return PlugState.FREE
        if self.battery.draw_a > DRAWS_A:
            return PlugState.CHARGING
        return PlugState.SUSPENDED_EV if self.charger_offers_a else PlugState.WAITING


class Day:
    """One run. `run` once."""

    def __init__(self, plan: Plan, make: Maker, name: str, margin_a: float = 2.0) -> None:
        self._plan, self._name, self._margin_a = plan, name, margin_a
        self._circuits = with_margin(plan.site, margin_a)
        self._allocator = make(self._circuits, plan.site.connectors)
        self._chance = random.Random(f"loop {plan.seed}")
        self._index = {c.name: n for n, c in enumerate(self._circuits)}
        self.outlets = [self._outlet(c) for c in plan.site.connectors]
        self._others = [(self._rows_of(name), load.tolist()) for name, load in plan.loads.items()]
        self._fuses = Fuses([c.limit_a for c in self._circuits for _ in range(3)])
        self._metered = [(c.name, self._index[c.name] * 3) for c in self._circuits if c.metered]
        self._seen: deque[list[float]] = deque(maxlen=METER_AGE_S + 1)
        self._ended: list[tuple[Visit, Battery]] = []
        self._changes = self._occupied_s = 0
        self._visits = deque(plan.visits)
        # For who wants to look: called each second with (now, day, currents, allocation).
        self.watcher: Callable[[int, Day, list[float], Allocation], None] | None = None

    def run(self, seconds: int | None = None) -> Score:
        for now in range(self._plan.seconds if seconds is None else seconds):
            self._come_and_go(now)
            self._charge(now)
            currents = self._flow(now)
            self._seen.append(currents)
            self._hear(now)
            allocation = self._allocator.step(float(now), self._readings(now), self._plugs(), ())
            self._send(now, allocation)
            if self.watcher is not None:
                self.watcher(now, self, currents, allocation)
        return self._score()

    # --- the site, as it is -----------------------------------------------------------------------

    def _outlet(self, connector: Connector) -> Outlet:
        above = self._rows_of(connector.circuit)
        rows = [tuple(row + phase for row in above) for phase in connector.phases]
        return Outlet(connector, rows, self._chance.randrange(SAMPLE_EVERY_S))

    def _rows_of(self, circuit: str) -> list[int]:
        """The first row of the circuit and of every one above it."""
        found = []
        while circuit:
            found.append(self._index[circuit] * 3)
            circuit = self._circuits[self._index[circuit]].parent
        return found

    def _come_and_go(self, now: int) -> None:
        for outlet in self.outlets:
            if outlet.visit is not None and outlet.visit.leaves <= now:
                assert outlet.battery is not None
                self._ended.append((outlet.visit, outlet.battery))
                outlet.visit = outlet.battery = None
                outlet.session = ""
                # The transaction's limit ends with it; the standing one holds.
                outlet.limit_a = outlet.accepted_a = outlet.connector.safe_a
                outlet.flying_a = None
        while self._visits and self._visits[0].arrives <= now:
            visit = self._visits.popleft()
            outlet = self.outlets[visit.connector]
            outlet.visit, outlet.battery = visit, Battery(visit.car)
            outlet.session = f"{visit.connector}-{visit.arrives}"

    def _charge(self, now: int) -> None:
        for outlet in self.outlets:
            if outlet.flying_a is not None and outlet.lands_at <= now:
                outlet.limit_a = outlet.accepted_a = outlet.flying_a
                outlet.flying_a = None
            if outlet.battery is not None:
                outlet.battery.step(now, outlet.charger_offers_a)
                self._occupied_s += 1

    def _flow(self, now: int) -> list[float]:
        currents = [0.0] * (3 * len(self._circuits))
        for firsts, load in self._others:
            for first in firsts:
                for phase, amps in enumerate(load[now]):
                    currents[first + phase] += amps
        flexible = [False] * len(currents)
        for outlet in self.outlets:
            battery = outlet.battery
            if battery is None or not battery.draw_a:
                continue
            least = max(battery.car.refuses_below_a, outlet.connector.min_a)
            flexes = battery.draw_a > least + DRAWS_A
            for rows in outlet.rows[: battery.car.phases]:
                for row in rows:
                    currents[row] += battery.draw_a
                    flexible[row] |= flexes
        self._fuses.watch(currents, flexible)
        return currents

    # --- what the gateway hears, and says -----------------------------------------------------------

    def _hear(self, now: int) -> None:
        for outlet in self.outlets:
            state = outlet.true_state()
            if state is not outlet.state:
                outlet.state = state
                outlet.states.append((now + STATUS_DELAY_S, state, outlet.session))
                outlet.plug = None
            if (now + outlet.offset) % SAMPLE_EVERY_S == 0 and outlet.battery is not None:
                sample = (round(outlet.battery.draw_a, 1), outlet.battery.got_wh)
                outlet.samples.append((now + STATUS_DELAY_S, *sample))
            self._deliver(now, outlet)

    def _deliver(self, now: int, outlet: Outlet) -> None:
        if outlet.samples and outlet.samples[0][0] <= now:
            _, drawn, outlet.energy_wh = outlet.samples.popleft()
            if outlet.battery is not None:
                used = outlet.battery.car.phases
                own = len(outlet.connector.phases)
                outlet.drawn_a = tuple(drawn if n < used else 0.0 for n in range(own))
                outlet.drawn_at = float(now)
            outlet.plug = None
        while outlet.states and outlet.states[0][0] <= now:
            _, outlet.shown, session = outlet.states.popleft()
            if not session:
                outlet.drawn_a, outlet.energy_wh = None, 0.0
            outlet.plug = None

    def _readings(self, now: int) -> dict[str, Reading]:
        shown = self._seen[0]
        readings = {}
        for name, first in self._metered:
            noisy = [amps * self._chance.gauss(1.0, 0.002) for amps in shown[first : first + 3]]
            l1, l2, l3 = (round(amps, 1) for amps in noisy)
            readings[name] = Reading(at=float(now), current_a=(l1, l2, l3))
        return readings

    def _plugs(self) -> list[Plug]:
        return [outlet.plug or _plug(outlet) for outlet in self.outlets]

    def _send(self, now: int, allocation: Allocation) -> None:
        for outlet in self.outlets:
            if outlet.shown is PlugState.FREE or outlet.battery is None or outlet.flying_a is not None:
                continue
            wanted = allocation.grants[outlet.connector.id].limit_a
            if wanted == outlet.accepted_a:
                continue
            if wanted > outlet.accepted_a and now - outlet.sent_at < UP_EVERY_S:
                continue
            outlet.flying_a, outlet.sent_at = wanted, now
            outlet.lands_at = now + self._chance.choice(OCPP_DELAY_S)
            outlet.plug = None
            self._changes += 1

    def _score(self) -> Score:
        for outlet in self.outlets:
            if outlet.visit is not None and outlet.battery is not None:
                self._ended.append((outlet.visit, outlet.battery))
        fuses = self._fuses
        batteries = [battery for _, battery in self._ended]
        return Score(
            seed=self._plan.seed,
            allocator=self._name,
            margin_a=self._margin_a,
            delivered_wh=sum(b.got_wh for b in batteries),
            asked_wh=sum(b.car.ask_wh for b in batteries),
            satisfaction=tuple(min(1.0, b.got_wh / b.car.ask_wh) for b in batteries),
            over_s=fuses.over_s,
            over_by_cars_s=fuses.by_cars_s,
            longest_s=fuses.longest_s,
            longest_by_cars_s=fuses.longest_by_cars_s,
            heat=fuses.heat,
            changes=self._changes,
            occupied_h=max(self._occupied_s, 1) / 3600,
            pauses=sum(b.pauses for b in batteries),
            asleep=sum(b.asleep for b in batteries),
            peak=fuses.peak,
        )


def _plug(outlet: Outlet) -> Plug:
    free = outlet.shown is PlugState.FREE
    standing = max(outlet.accepted_a, outlet.flying_a or 0.0)
    outlet.plug = Plug(
        connector=outlet.connector.id,
        state=outlet.shown,
        session="" if free else outlet.session,
        drawn_a=outlet.drawn_a,
        drawn_at=outlet.drawn_at,
        energy_wh=outlet.energy_wh,
        standing_a=standing,
    )
    return outlet.plug
