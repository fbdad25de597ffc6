"""An electrician at work while cars charge: connectors leave the plan, come back, and change their phases.

Rules of this file: copper and plan are changed in the same instant, so the plan is never wrong. Whatever the
gateway would refuse is refused here too, by its own question (`wiring_book._not_now`). A car that comes to a
connector that has just left draws by what the charger was told last.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from edgegw.core.events import Rewired
from edgegw.core.limits_held import EXPIRY_SLACK_S
from edgegw.core.load_control import PowerPlan
from edgegw.core.power import Wiring
from edgegw.runtime.wiring_book import _not_now
from tests.simulation.fuse import run
from tests.simulation.fuse.plant import Car
from tests.simulation.fuse.world import LIFETIME_S
from tests.simulation.fuse.world import plan as first_plan

HOLD_S = LIFETIME_S + EXPIRY_SLACK_S
ROTATIONS = ((0, 1, 2), (1, 2, 0), (2, 0, 1))
FUSES = {"main": 63.0, "garage": 40.0}


class Site(run.Watched):
    """A world with an electrician. `refused` and `done` count his changes."""

    def __init__(self, seed: int, tell: Callable[[str], None] | None = None) -> None:
        super().__init__(seed, tell)
        self.asked = {}
        self.work = random.Random(f"electrician {seed}")
        self.done = self.refused = 0
        self.left_until: dict[str, float] = {}
        self.at(60.0, self._works)

    def plug(self, charger: str, car: Car) -> None:
        if charger in self.plan.wirings or self.now < self.left_until.get(charger, 0.0) - 10.0:
            super().plug(charger, car)

    def _begin(self) -> None:
        """A box that starts anew knows of nobody who left: their cars must be gone by then."""
        if hasattr(self, "left_until"):
            self.left_until.clear()
            for charger in self.copper.keys() - self.plan.wirings.keys():
                self._drive_off(charger)
        super()._begin()

    def _works(self) -> None:
        self.at(self.now + self.work.uniform(2.0, 45.0), self._works)
        if not self.alive:
            return
        charger = self.work.choice(sorted(self.copper))
        if charger not in self.plan.wirings:
            if self.copper[charger].car is None:
                self.checks.caps.pop(
                    charger, None
                )  # what the cloud set meanwhile is cleared, people are told
                self._change(charger, self._with(charger, self.copper[charger].wiring))
        elif self.work.random() < 0.5:
            self._take_out(charger)
        else:
            self._turn(charger)

    def _take_out(self, charger: str) -> None:
        wirings = {name: one for name, one in self.plan.wirings.items() if name != charger}
        connectors = tuple(c for c in self.plan.connectors if c.id != f"{charger}/1")
        plan = msgspec.structs.replace(self.plan, connectors=connectors, wirings=wirings)
        if not self._change(charger, plan):
            return
        self.checks.caps.pop(charger, None)
        self.left_until[charger] = self.now + HOLD_S
        car = Car(max_a=32.0, phases=len(self.copper[charger].wiring))
        if self.work.random() < 0.5:  # a car comes all the same
            self.at(self.now + self.work.uniform(1, 20), lambda: self.plug(charger, car))
        self.at(self.now + HOLD_S - 5.0, lambda: self._drive_off(charger))

    def _drive_off(self, charger: str) -> None:
        """Whoever came leaves while it is still counted; its charger says so when it can."""
        car = self.copper[charger].car
        if charger in self.plan.wirings or car is None:
            return
        car.max_a = 0.0
        self.unplug(charger)
        self.at(self.now + 5.0, lambda: self._drive_off(charger))

    def _turn(self, charger: str) -> None:
        """The same terminals on other grid phases, with or without a car."""
        now = self.copper[charger].wiring
        phases = self.work.choice(ROTATIONS if len(now) == 3 else ((0,), (1,), (2,)))
        before = self._sums()
        if self._change(charger, self._with(charger, phases), turned=phases):
            self._compare(before, f"{charger} turned to {phases}")

    def _with(self, charger: str, phases: tuple[int, ...]) -> PowerPlan:
        old = {c.id: c for c in first_plan().connectors}[f"{charger}/1"]
        connectors = [c for c in self.plan.connectors if c.id != old.id]
        connectors.append(msgspec.structs.replace(old, phases=phases))
        wirings = {**self.plan.wirings, charger: (Wiring(connector=1, phases=len(phases)),)}
        return msgspec.structs.replace(self.plan, connectors=tuple(connectors), wirings=wirings)

    def _change(self, charger: str, plan: PowerPlan, turned: tuple[int, ...] | None = None) -> bool:
        states = {name: box.state for name, box in self.boxes.items()}
        plugs = self.control.plugs(states, self.instant)
        wishes = bool(states[charger].power.wishes)
        if why := _not_now(self.control, plan, plugs, f"{charger}/1", wishes=wishes):
            self.refused += 1
            self.tell(f"electrician: {why}")
            return False
        self.done += 1
        self.tell(f"electrician: {charger} now {[c.phases for c in plan.connectors if c.id[:4] == charger]}")
        before = self._sums()
        self.control.replan(plan, states, self.instant, hold_s=HOLD_S)
        self.plan = plan
        if turned is not None:
            self.copper[charger].wiring = turned
        site = states[charger].site
        site.power = msgspec.structs.replace(site.power, wirings=plan.wirings)
        self._happens(charger, Rewired())
        self._compare(before, f"the plan of {charger} changed")
        self.decide()
        return True

    def _sums(self) -> dict[tuple[str, int], float]:
        """What the chargers' own profiles let the cars draw together, by the copper alone."""
        sums: dict[tuple[str, int], float] = {}
        for number, copper in enumerate(self.copper.values()):
            if copper.car is None:
                continue
            for circuit in ("main", "garage") if number < 4 else ("main",):
                for phase in copper.wiring:
                    row = (circuit, phase)
                    sums[row] = sums.get(row, 0.0) + copper.limit_a(self.now)
        return sums

    def _compare(self, before: dict[tuple[str, int], float], what: str) -> None:
        """A change itself makes no fuse's sum of limits too large."""
        for row, amps in self._sums().items():
            if amps > max(FUSES[row[0]], before.get(row, 0.0)) + 0.05:
                self.checks._say(f"{what}: the limits on {row[0]} L{row[1] + 1} come to {amps:.1f} A")


def simulate(
    seed: int, tell: Callable[[str], None] | None = None, hours: float = 0.5
) -> tuple[run.Verdict, Site]:
    site = Site(seed, tell)
    run._plan_day(site, random.Random(f"day {seed}"), hours * 3600)
    site.run(hours * 3600)
    checks = site.checks
    verdict = run.Verdict(seed, tuple(checks.complaints), checks.over_s, checks.longest_s, site.limit_calls)
    return verdict, site
