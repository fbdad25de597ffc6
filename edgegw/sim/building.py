"""What a building draws on each phase: loads that come and go by a seed, or what it is told.

Rules of this file:
- Pure: time is an argument in seconds and never goes back. Amps per grid phase, imports positive.
- The same seed gives the same day: each load is on and off for spans drawn from its own source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

PhaseAmps = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Load:
    """Draws `amps` for `on_s`, then rests for `off_s`; both are means."""

    name: str
    amps: PhaseAmps
    on_s: float
    off_s: float


LOADS: tuple[Load, ...] = (
    Load("lift", (11.0, 11.0, 11.0), 12.0, 70.0),
    Load("ventilation", (6.0, 6.0, 6.0), 90.0, 60.0),
    Load("kitchen", (9.0, 4.0, 13.0), 25.0, 45.0),
    Load("kettle", (0.0, 9.0, 0.0), 15.0, 60.0),
    Load("server room", (7.0, 0.0, 0.0), 60.0, 30.0),
    Load("car wash", (14.0, 14.0, 14.0), 35.0, 150.0),
)


class _Switch:
    """One load and the instant at which it changes next."""

    def __init__(self, load: Load, seed: str, now: float) -> None:
        self.load = load
        self._rng = Random(seed)
        self.on = self._rng.random() < load.on_s / (load.on_s + load.off_s)
        self._changes_at = now + self._span()

    def _span(self) -> float:
        return self._rng.expovariate(1 / (self.load.on_s if self.on else self.load.off_s))

    def advance(self, now: float) -> None:
        while self._changes_at <= now:
            self.on = not self.on
            self._changes_at += self._span()


class Building:
    """`base_a` always, plus `loads`. `set` holds a value instead, `release` lets the loads go on."""

    def __init__(
        self,
        *,
        seed: int = 0,
        base_a: PhaseAmps = (8.0, 7.0, 9.0),
        loads: Sequence[Load] = LOADS,
        factor: float = 1.0,
    ) -> None:
        self.base_a = base_a
        self.factor = factor
        self._seed = seed
        self._loads = tuple(loads)
        self._switches: list[_Switch] | None = None
        self._told_a: PhaseAmps | None = None

    def set(self, amps: PhaseAmps) -> None:
        self._told_a = amps

    def release(self) -> None:
        self._told_a = None

    def amps(self, now: float) -> PhaseAmps:
        if self._switches is None:
            self._switches = [_Switch(load, f"{self._seed} {load.name}", now) for load in self._loads]
        for switch in self._switches:
            switch.advance(now)
        if self._told_a is not None:
            return self._told_a
        running = [switch.load.amps for switch in self._switches if switch.on]
        one, two, three = (
            (base + sum(amps[phase] for amps in running)) * self.factor
            for phase, base in enumerate(self.base_a)
        )
        return one, two, three


def parse_amps(words: Sequence[str]) -> PhaseAmps:
    """ "20" is 20 A on each phase; else three numbers. Raises ValueError."""
    values = [float(word) for word in words]
    if len(values) == 1:
        values *= 3
    if len(values) != 3 or not all(0 <= value < 10_000 for value in values):
        raise ValueError("give one number of amps, or three: L1 L2 L3")
    return values[0], values[1], values[2]
