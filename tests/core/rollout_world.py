"""A site of chargers that update themselves in every way they do, a box that dies at any moment, and a judge.

The judge knows only what the chargers really do and what the operator asked for; it shares nothing with
`core.rollout` but the data that goes in and out.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta, timezone
from typing import Any

from msgspec.structs import replace

from edgegw.core import rollout as rules
from edgegw.core import rollout_links as links
from edgegw.core.events import Instant
from edgegw.core.files import FirmwareNews
from edgegw.core.records import SaveDocument
from edgegw.core.rollout_state import ChargerFacts, MakeLink, Rollout, SendUpdate

TICK_S = 15.0
MIDNIGHT = 1_790_000_000.0 // 86_400 * 86_400  # UTC
ZONE = timezone(timedelta(hours=2))
NEW, OLD = "2.0", "1.0"
WAYS = (
    "installed, then reboots", "reboots, then installed", "no reboot", "says nothing but reboots",
    "download fails", "install fails", "dies", "comes back late", "refuses", "old again", "forgets",
    "no link",
)  # fmt: skip
HEALTHY = WAYS[:4]


class Broken(AssertionError):
    """The judge found something."""


class Charger:
    """What really happens to it. `script`: (seconds from now, what)."""

    def __init__(self, identity: str, way: str, chance: random.Random) -> None:
        self.identity = identity
        self.way = way
        self.chance = chance
        self.connected = True
        self.connected_at = 0.0  # on the clock of the world
        self.firmware = OLD
        self.vendor = "Acme"
        self.busy = False
        self.updating = False  # from the moment it has the command until it can serve again
        self.got: list[str] = []  # orders
        self.script: list[tuple[float, str]] = []

    def facts(self, booted_at: float) -> ChargerFacts:
        """As the box sees it, which began at `booted_at`."""
        return ChargerFacts(
            connected=self.connected,
            connected_mono=max(0.0, self.connected_at - booted_at),
            busy="a car charges" if self.busy else "",
            update=self.got[-1] if self.updating else "",
            vendor=self.vendor,
            model="Wall",
            firmware=self.firmware,
        )

    def takes(self, order: str, now: float) -> None:
        """The command, perhaps a second time."""
        if order in self.got:
            return
        self.got.append(order)
        if self.way == "refuses":
            self.script = [(now + 2, "Refused")]
            return
        self.updating = self.way != "forgets"
        self.script = []
        for wait_s, what in _SCRIPTS[self.way]:
            now += wait_s * self.chance.uniform(0.5, 1.5)
            self.script.append((now, what))

    def lives(self, now: float) -> list[str]:
        """The statuses it says now."""
        said = []
        while self.script and self.script[0][0] <= now:
            what = self.script.pop(0)[1]
            if what == "off":
                self.connected = False
            elif what in ("new", "old"):
                self.connected, self.connected_at = True, now
                self.firmware = NEW if what == "new" else self.firmware
            elif what == "done":
                self.updating = False
            elif self.connected:
                said.append(what)
        return said


_START = ((1, "Sent"), (5, "Downloading"), (120, "Downloaded"), (5, "Installing"))
_SCRIPTS: dict[str, tuple[tuple[float, str], ...]] = {
    "installed, then reboots": (*_START, (60, "Installed"), (100, "off"), (60, "new"), (0, "done")),
    "reboots, then installed": (*_START, (20, "off"), (90, "new"), (0, "done"), (20, "Installed")),
    "no reboot": (*_START, (60, "Installed"), (0, "done")),
    "says nothing but reboots": ((1, "Sent"), (300, "off"), (60, "new"), (0, "done")),
    "download fails": ((1, "Sent"), (5, "Downloading"), (300, "DownloadFailed"), (0, "done")),
    "install fails": (*_START, (60, "InstallationFailed"), (20, "off"), (60, "old"), (0, "done")),
    "dies": (*_START, (20, "off")),
    "comes back late": (*_START, (20, "off"), (5400, "old"), (0, "done")),
    "old again": (*_START, (60, "Installed"), (20, "off"), (60, "old"), (0, "done")),
    "forgets": ((1, "Sent"),),
    "no link": (),
}
_FAILS = frozenset({"DownloadFailed", "InstallationFailed", "Refused"})


class Operator:
    """What was asked for, in the judge's own terms."""

    def __init__(self, chance: random.Random, *, healthy: bool) -> None:
        self.at_once = chance.randint(1, 3)
        self.only_idle = healthy or chance.random() < 0.7
        self.begin_h, self.end_h = chance.choice(((0, 24), (1, 4), (23, 3)))
        self.failures_max = chance.randint(1, 3)

    @property
    def window(self) -> str:
        return "" if self.end_h == 24 else f"{self.begin_h:02}:00-{self.end_h:02}:00"

    def may_at(self, wall: float) -> bool:
        hour = ((wall + 2 * 3600) % 86_400) / 3600
        if self.begin_h < self.end_h:
            return self.begin_h <= hour < self.end_h
        return not self.end_h <= hour < self.begin_h


class World:
    def __init__(self, seed: int, *, healthy: bool = False, count: int = 7) -> None:
        self.chance = random.Random(seed)
        self.healthy = healthy
        self.operator = Operator(self.chance, healthy=healthy)
        ways = HEALTHY if healthy else WAYS
        self.chargers = {
            f"CP-{n}": Charger(f"CP-{n}", self.chance.choice(ways), self.chance) for n in range(count)
        }
        self.chargers["CP-new"] = Charger("CP-new", "no reboot", self.chance)
        self.chargers["CP-new"].firmware = NEW
        self.chargers["CP-other"] = Charger("CP-other", "no reboot", self.chance)
        self.time = 86_400.0  # true, of a clock that nobody sets
        self.booted_at = self.time - 1000.0  # the box
        self.wall = MIDNIGHT + self.chance.uniform(-4, 1) * 3600
        self.trusted = True
        self.linking: list[tuple[float, MakeLink]] = []
        self.disk: bytes | None = None
        self.box_back_at = 0.0
        self.failed_heard: set[str] = set()  # failures that reached the box since a person let it go on
        self.sends = 0
        draft = Rollout(
            id="1", sha256="ab" * 32, name="fw.bin", vendor="acme", version=NEW, silent_s=1800.0,
            at_once=self.operator.at_once, only_idle=self.operator.only_idle, window=self.operator.window,
            failures_max=self.operator.failures_max,
        )  # fmt: skip
        self.rollout = rules.begin(draft, self.facts(), tuple(self.chargers))
        self.chargers["CP-other"].vendor = "Other"
        self.disk = rules.saved(self.rollout).value

    def facts(self) -> dict[str, ChargerFacts]:
        return {identity: charger.facts(self.booted_at) for identity, charger in self.chargers.items()}

    @property
    def now(self) -> Instant:
        return Instant(self.time - self.booted_at, self.wall, self.trusted)

    # --- time ------------------------------------------------------------------------------------

    def run(self, hours: float) -> Rollout:
        for _ in range(int(hours * 3600 / TICK_S)):
            self.tick()
            if self.rollout.settled and not any(c.script for c in self.chargers.values()):
                break
        return self.rollout

    def tick(self) -> None:
        self.wall += TICK_S
        self.time += TICK_S
        self._maybe_ntp()
        for charger in self.chargers.values():
            self._drives(charger)
            for status in charger.lives(self.time):
                if self.time >= self.box_back_at:
                    self._says(charger, status)
        if self.time < self.box_back_at:
            return
        self._maybe_a_person()
        self._make_links()
        self.does(lambda: rules.step(self.rollout, self.facts(), self.now, ZONE), may_crash=not self.healthy)

    def _drives(self, charger: Charger) -> None:
        if self.chance.random() < 0.01:
            charger.busy = not charger.busy
        if not self.healthy and not charger.updating and self.chance.random() < 0.002:
            charger.connected = not charger.connected  # the network
            charger.connected_at = self.time if charger.connected else charger.connected_at

    def _maybe_ntp(self) -> None:
        """The clock of the box is set, or stands in 1970 until it is."""
        if not self.healthy and self.chance.random() < 0.02:
            self.trusted = self.chance.random() < 0.8
            self.wall = MIDNIGHT + self.chance.uniform(0, 30) * 3600 if self.trusted else 1000.0

    def _maybe_a_person(self) -> None:
        if self.rollout.paused and self.chance.random() < 0.005:
            self.failed_heard.clear()
            self.does(lambda: rules.resume(self.rollout))

    def _says(self, charger: Charger, status: str) -> None:
        if status in _FAILS:
            self.failed_heard.add(charger.identity)
        news = FirmwareNews(
            order=charger.got[-1], status=status, ended=status in _FAILS or status == "Installed"
        )
        self.does(lambda: rules.heard(self.rollout, charger.identity, news, self.now))

    # --- the box ---------------------------------------------------------------------------------

    def does(self, decide: Callable[[], Any], *, may_crash: bool = False) -> None:
        """Carry out what was decided, in order; a crash comes between any two of them."""
        self.rollout, effects = decide()
        crashes = may_crash and self.chance.random() < (0.2 if effects else 0.01)
        survives = self.chance.randint(0, len(effects)) if crashes else len(effects)
        for effect in effects[:survives]:
            if isinstance(effect, SaveDocument):
                self.disk = effect.value
            elif isinstance(effect, MakeLink):
                self.linking.append((self.time + self.chance.choice((0, 0, 45)), effect))
            elif isinstance(effect, SendUpdate):
                self._sends(effect.link)
        if crashes:
            self._crashes()

    def _crashes(self) -> None:
        assert self.disk is not None
        self.linking.clear()
        self.booted_at = self.box_back_at = self.time + self.chance.choice((0, 30, 600))
        self.rollout = rules.recovered(self.disk, replace(self.now, mono=0.0))

    def _make_links(self) -> None:
        ready = [order for at, order in self.linking if at <= self.time]
        self.linking = [(at, order) for at, order in self.linking if at > self.time]
        for order in ready:
            if order not in [known for _, known in self.linking]:
                self._links(order)

    def _links(self, order: MakeLink) -> None:
        charger = self.chargers[order.charger]
        if charger.way == "no link":
            self.does(lambda: links.no_link_for(self.rollout, order, "no protocol", self.now))
            return
        facts = charger.facts(self.booted_at)
        self.does(
            lambda: links.linked(self.rollout, order, "http://box/fw", facts, self.now, ZONE),
            may_crash=not self.healthy,
        )

    def _sends(self, order: MakeLink) -> None:
        charger = self.chargers[order.charger]
        if self.chance.random() < 0.05 and self.operator.only_idle:
            charger.busy = True  # while it was written down
            self.does(lambda: links.withdrawn(self.rollout, order))
            return
        self.sends += 1
        self._judge(order, charger)
        charger.takes(order.order, self.time)

    # --- the judge -------------------------------------------------------------------------------

    def _judge(self, order: MakeLink, charger: Charger) -> None:
        under_way = {c.identity for c in self.chargers.values() if c.updating} | {charger.identity}
        if len(under_way) > self.operator.at_once:
            raise Broken(f"{sorted(under_way)} down, {self.operator.at_once} allowed")
        if not self.operator.may_at(self.wall) or (self.operator.window and not self.trusted):
            raise Broken("outside the window")
        if charger.way == "no link":
            raise Broken("a charger without a link")
        if charger.busy and self.operator.only_idle:
            raise Broken("a busy charger")
        if not charger.connected or charger.vendor != "Acme" or charger.firmware == NEW:
            raise Broken("a charger that it is not for")
        if len(self.failed_heard) >= self.operator.failures_max:
            raise Broken(f"{self.operator.failures_max} had failed")
        if charger.got and order.order not in charger.got:
            raise Broken("a second order")
        if order.order in charger.got and not order.again:
            raise Broken("sent twice without a restart")
