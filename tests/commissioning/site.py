"""A charger, its car, the building and a meter, as the walk sees them; plain arithmetic, seconds per step.

Rules of this file: nothing of `edgegw.commissioning` but its words; what flows is worked out from the copper.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from edgegw.commissioning.plan import Plan
from edgegw.commissioning.wizard import Commissioning
from edgegw.commissioning.words import (
    Accept,
    CircuitFacts,
    EndFall,
    LetFall,
    Observation,
    Order,
    Restore,
    SetLimit,
    Step,
    Told,
    Wire,
    Wired,
)

SAFE_A, LIFE_S = 6.0, 60.0
PHASES = ("L1", "L2", "L3")


@dataclass
class Site:
    """`truth`: grid phase of each terminal. `car`: terminals it uses."""

    truth: tuple[int, ...] = (0, 1, 2)
    car: tuple[int, ...] = (0, 1, 2)
    noise_a: float = 0.0  # of the building, each second
    seed: int = 1
    obeys: bool = True
    expires: bool = True
    refuses: bool = False
    by_site_file: bool = False
    known: bool = False
    comes_at: float = 0.0  # it is not connected before, whoever let it in
    meter_from: float = 0.0  # silent before
    meter_until: float = 1e9
    meter_sign: float = 1.0
    measured: bool = True  # the meter sees this charger
    sample_every_s: float = 10.0
    plugs_in_at: float = 30.0
    gives_a: float = 20.0  # the site, at most
    max_a: float = 32.0  # of the connector
    takes_a: float = 32.0  # the car
    rises_a_s: float = 100.0  # how fast the car takes what it is given
    wobbles_a: float = 0.0  # up and down, each sample
    wiring_trouble: str = ""
    phases: str = ""  # as it is wired at the start; "": not wired
    # --- what happens
    now: float = 0.0
    stranger: bool = True
    limit_a: float | None = None
    orders: list[Order] = field(default_factory=list)
    told: tuple[Told, ...] = ()

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.wired = self._wired(self.phases) if self.phases else None
        self.accepted: float | None = None
        self.accepted_until = 1e9
        self.held = False
        self.drawn = [0.0, 0.0, 0.0]
        self.sampled: tuple[float, ...] | None = None
        self.sampled_at = 0.0
        self.site_a = 6.0
        self.stranger = not self.known and not self.by_site_file

    def _wired(self, phases: str) -> Wired:
        return Wired("garage", phases, 6.0, self.max_a, SAFE_A, self.by_site_file)

    # --- a second goes by ---------------------------------------------------------------------------

    def tick(self) -> None:
        self.now += 1.0
        self._steer()
        self._draw()
        if self.now % self.sample_every_s == 0 and self.charging:
            self.sampled, self.sampled_at = tuple(self.drawn), self.now

    @property
    def charging(self) -> bool:
        return self.now >= self.plugs_in_at and self.connected

    @property
    def connected(self) -> bool:
        return not self.stranger and self.now >= self.comes_at

    def _steer(self) -> None:
        """The gateway: raises by 3 A each 11 s, lowers at once, renews."""
        wanted = min(self.gives_a, self.max_a, self.limit_a if self.limit_a is not None else self.max_a)
        if not self.charging:
            wanted = SAFE_A
        if wanted < self.site_a:
            self.site_a = wanted
        elif wanted > self.site_a and self.now % 11 == 0:
            self.site_a = min(wanted, self.site_a + 3.0)
        if not self.held and not self.refuses:
            self.accepted, self.accepted_until = self.site_a, self.now + LIFE_S
        elif self.held and self.expires and self.now >= self.accepted_until:
            self.accepted = SAFE_A

    def _draw(self) -> None:
        allowed = self.accepted if self.accepted is not None else self.takes_a
        if not self.obeys:
            allowed = 16.0
        wobble = self.wobbles_a * (self.now // self.sample_every_s % 2)
        for n in range(3):
            wanted = min(allowed, self.takes_a) - wobble if n in self.car and self.charging else 0.0
            self.drawn[n] = min(wanted, self.drawn[n] + self.rises_a_s)

    def meter(self) -> tuple[float, float, float]:
        amps = [10.0 + self.rng.gauss(0, self.noise_a) for _ in range(3)]
        for terminal, phase in enumerate(self.truth):
            amps[phase] += self.meter_sign * self.drawn[terminal] * self.measured
        return amps[0], amps[1], amps[2]

    # --- what the walk sees and does ------------------------------------------------------------------

    def seen(self) -> Observation:
        told, self.told = self.told, ()
        speaks = self.meter_from <= self.now < self.meter_until
        wired = self.wired is not None and self.connected
        terminals = len(self.wired.phases.split()) if self.wired is not None else 3
        return Observation(
            stranger="192.0.2.7" if self.stranger else "",
            known=not self.stranger,
            connected=self.connected,
            registered=self.connected,
            what="Acme Wall",
            firmware="1.2",
            version="ocpp1.6",
            status="Charging" if self.charging else "Available",
            transaction=self.charging,
            wired=self.wired,
            circuits=(CircuitFacts("garage", 40.0, "grid"),),
            control=("refuses" if self.refuses else "steered") if wired else "",
            fault="it answers Rejected, whatever kind of profile" if self.refuses else "",
            limit_a=self.site_a if wired else None,
            why="more is free",
            accepted_a=self.accepted if wired else None,
            drawn_a=self.sampled[:terminals] if self.sampled is not None and wired else None,
            drawn_age_s=self.now - self.sampled_at,
            expires_in_s=max(0.0, self.accepted_until - self.now),
            meter="grid",
            meter_a=self.meter() if speaks else (None, None, None),
            meter_age_s=0.2 if speaks else None,
            meter_trouble="" if speaks else "no answer for 20 s",
            told=told,
        )

    def carry_out(self, order: Order) -> Told:
        self.orders.append(order)
        match order:
            case Accept():
                self.stranger = False
            case Wire(circuit, phases, _, max_a):
                if self.wiring_trouble:
                    return Told(order, ok=False, text=self.wiring_trouble)
                self.max_a = max_a
                self.wired = replace(self._wired(phases), circuit=circuit)
            case SetLimit(limit_a, _):
                self.limit_a = limit_a
            case Restore():
                self.limit_a = None
            case LetFall():
                self.held = True
            case EndFall():
                self.held = False
        return Told(order, ok=True)


class Walk:
    """The walk on such a site, with a person who answers yes."""

    def __init__(self, site: Site, plan: Plan | None = None, answers: dict[str, str] | None = None) -> None:
        self.site = site
        self.walk = Commissioning(plan or Plan("CP-7"))
        self.answers = answers or {}
        self.asked: list[str] = []
        self.step: Step = Step(self.walk.progress())

    def until(self, current: str) -> Walk:
        """Until this step is under way."""
        while self.step.progress.current != current or not self._began(current):
            self.once()
        return self

    def _began(self, current: str) -> bool:
        return self.verdict(current) != "waiting"

    def run(self, within_s: float = 4000.0) -> Walk:
        while not self.step.progress.finished:
            self.once()
            assert self.site.now < within_s, self.step.progress
        return self

    def once(self) -> None:
        self.site.tick()
        self.step = self.walk.next(self.site.seen(), self.site.now, 1_790_000_000.0 + self.site.now)
        self.site.told = tuple(self.site.carry_out(order) for order in self.step.orders)
        question = self.step.progress.question
        if question is not None:
            self.asked.append(question.text)
            key = self.answers.get(self.step.progress.current, question.choices[0].key)
            assert self.walk.answer(key)

    def verdict(self, key: str) -> str:
        return next(one.verdict for one in self.walk.records if one.key == key)

    def text(self, key: str) -> str:
        return next(one.text for one in self.walk.records if one.key == key)

    def values(self, key: str) -> dict[str, str]:
        return dict(next(one.values for one in self.walk.records if one.key == key))

    @property
    def verdicts(self) -> str:
        """One letter per step, in order."""
        return "".join(one.verdict[0] for one in self.walk.records)
