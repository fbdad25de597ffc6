"""What the circuits carried, had as limits and were granted over the last hours: in memory, bounded.

Rules of this file:
- Steps of a second for a quarter of an hour, steps of a minute for a day; of each step the highest value of
  each phase counts. Of a limit too: whoever was within it when it still was higher did nothing wrong.
- Steps are told apart by the monotonic clock: a clock that is set moves the labels, never the order.
- Nobody decides anything by it, and nothing of it outlives the process.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from math import isfinite, isnan, nan
from typing import NamedTuple

from edgegw.balance.model import INFINITE, Allocation, CircuitState
from edgegw.core.events import Instant

FINE_S, FINE_SPAN_S = 1.0, 900.0
COARSE_S, COARSE_SPAN_S = 60.0, 86_400.0
CIRCUITS_MAX = 100  # 84 kB each; beyond it the later ones of the site file have no history
_NONE = -(2**63)  # no step has this number
VALUES = 9  # measured, limit, granted: three phases each

Amps = tuple[float | None, float | None, float | None]


class Point(NamedTuple):
    at: float  # mono, when the step began
    measured_a: Amps
    limit_a: Amps
    granted_a: Amps


class PowerHistory:
    """Append `note` to the watchers of the load loop."""

    def __init__(self) -> None:
        self._circuits: dict[str, tuple[_Ring, _Ring]] = {}

    def note(self, allocation: Allocation, now: Instant) -> None:
        for circuit in allocation.circuits:
            rings = self._circuits.get(circuit.name)
            if rings is None:
                if len(self._circuits) >= CIRCUITS_MAX:
                    continue
                rings = self._circuits[circuit.name] = (
                    _Ring(FINE_S, FINE_SPAN_S),
                    _Ring(COARSE_S, COARSE_SPAN_S),
                )
            values = _values(circuit)
            for ring in rings:
                ring.note(values, now.mono)

    def points(self, circuit: str, span_s: float, now: Instant) -> tuple[float, list[Point]]:
        """The step in seconds, and the steps of the last `span_s`, oldest first; none when unknown."""
        is_fine = span_s <= FINE_SPAN_S
        rings = self._circuits.get(circuit)
        if rings is None:
            return (FINE_S if is_fine else COARSE_S), []
        ring = rings[0 if is_fine else 1]
        return ring.step_s, list(ring.points(span_s, now.mono))


class _Ring:
    """Of one circuit: a slot per step, each with the number of the step that is in it."""

    def __init__(self, step_s: float, span_s: float) -> None:
        self.step_s = step_s
        self._size = int(span_s / step_s)
        self._steps = array("q", (_NONE,)) * self._size
        self._values = array("f", (nan,)) * (self._size * VALUES)

    def note(self, values: tuple[float, ...], mono: float) -> None:
        step = int(mono / self.step_s)
        slot = step % self._size
        first = slot * VALUES
        if self._steps[slot] != step:
            self._steps[slot] = step
            self._values[first : first + VALUES] = array("f", values)
            return
        for place, value in enumerate(values, start=first):
            if value > self._values[place] or isnan(self._values[place]):
                self._values[place] = value

    def points(self, span_s: float, mono: float) -> Iterator[Point]:
        newest = int(mono / self.step_s)
        count = min(self._size, max(1, round(span_s / self.step_s)))
        for step in range(newest - count + 1, newest + 1):
            slot = step % self._size
            if self._steps[slot] == step:
                first = slot * VALUES
                seen = self._values[first : first + VALUES]
                yield Point(step * self.step_s, _amps(seen[0:3]), _amps(seen[3:6]), _amps(seen[6:9]))


def _values(circuit: CircuitState) -> tuple[float, ...]:
    # The last numbers of a meter that is silent are not those of now.
    measured = (nan if amps is None or circuit.stale else amps for amps in circuit.measured_a)
    return (*measured, *map(_finite, circuit.limit_a), *map(_finite, circuit.granted_a))


def _finite(amps: float) -> float:
    return nan if amps in (INFINITE, -INFINITE) else amps


def _amps(values: array[float]) -> Amps:
    first, second, third = (round(value, 1) if isfinite(value) else None for value in values)
    return first, second, third
