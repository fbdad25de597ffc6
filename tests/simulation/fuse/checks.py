"""What must hold in every run, worked out from the copper alone.

- No fuse carries more than its rating for longer than the loop needs, a silent meter needs, or a dead box's
  last limits live. The building never draws more than the reserve, so every such second is the cars'.
- A limit that a charger is given is 0 or something a car can charge with.
- A limit that the cloud was told is Accepted holds from then on while box and charger are linked.
- Chargers are not written to without end.
"""

from __future__ import annotations

from tests.simulation.fuse.plant import Copper
from tests.simulation.fuse.world import LIFETIME_S, STEP_S, World

LOOP_S = 25.0
STALE_S = 12.0
DETECT_S = 60.0  # until a charger that does not obey is found out and the others gave way
CALLS_PER_CHARGER_HOUR_MAX = 90
PHASES = ("L1", "L2", "L3")


class Checks:
    def __init__(self, world: World) -> None:
        self.world = world
        self.complaints: list[str] = []
        self.over_s = 0.0
        self.longest_s = 0.0
        self.caps: dict[str, float] = {}  # by charger: what the cloud was told is Accepted
        self._since: dict[tuple[str, int], float] = {}
        self._grace_until = 0.0
        self._grace_s = LOOP_S

    def look(self) -> None:
        world = self.world
        self._note_trouble()
        for name, fuse, amps in (("main", 63.0, world.total()), ("garage", 40.0, world.garage())):
            for phase in range(3):
                self._look_at((name, phase), amps[phase] - fuse)
        self._look_at_limits()

    def _note_trouble(self) -> None:
        """What just went wrong buys time, once."""
        world, grace = self.world, LOOP_S
        if not world.meter_speaks:
            grace = LOOP_S + STALE_S
        if not world.alive or not all(world.linked.values()):
            grace = LOOP_S + LIFETIME_S
        if any(not copper.obeys or len(copper.refuses) > 1 for copper in world.copper.values()):
            grace = max(grace, LOOP_S + DETECT_S)
        if grace >= self._grace_s or world.now > self._grace_until:
            self._grace_s, self._grace_until = grace, world.now + grace

    def _look_at(self, row: tuple[str, int], excess_a: float) -> None:
        world = self.world
        if excess_a <= 0.05:
            self._since.pop(row, None)
            return
        since = self._since.setdefault(row, world.now)
        self.over_s += STEP_S
        lasted = world.now - since
        self.longest_s = max(self.longest_s, lasted)
        if lasted > self._grace_s:
            self._say(f"{row[0]} {PHASES[row[1]]} {excess_a:.1f} A above its fuse for {lasted:.0f} s")
            self._since[row] = world.now  # said once per stretch

    def _look_at_limits(self) -> None:
        for charger, copper in self.world.copper.items():
            for held in copper.held.values():
                for _, limit_a in held.periods:
                    if 0 < limit_a < 5.95:
                        self._say(f"{charger} was given {limit_a:g} A, which no car can use")
                        held.periods = ((0.0, 0.0),)
            self._look_at_cap(charger, copper)

    def _look_at_cap(self, charger: str, copper: Copper) -> None:
        world, row = self.world, (charger, 0)
        cap = self.caps.get(charger)
        steered = world.alive and world.linked[charger] and copper.obeys and copper.car is not None
        if cap is None or not steered or copper.limit_a(world.now) <= cap + 0.05:
            self._since.pop(row, None)
            return
        since = max(self._since.setdefault(row, world.now), world.linked_since[charger])
        if world.now - since > LOOP_S:
            has = copper.limit_a(world.now)
            self._say(f"{charger} may draw {has:g} A, and the cloud's {cap:g} A was Accepted")
            self._since[row] = world.now

    def at_end(self) -> None:
        hours = self.world.now / 3600
        rate = self.world.limit_calls / len(self.world.copper) / hours
        if rate > CALLS_PER_CHARGER_HOUR_MAX:
            self._say(f"{rate:.0f} limits per charger and hour")
        if failures := self.world.failures:
            self._say(f"{failures} answers of the cloud never came")

    def _say(self, text: str) -> None:
        self.complaints.append(f"at {self.world.now:.1f} s: {text}")
