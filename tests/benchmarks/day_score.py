"""What a day came to: who got what, and how long which fuse carried too much.

Rules of this file: it looks at what really flows, never at what the allocator believed.
- Over the limit: a second in which a phase of a fuse carries more than it is rated for. No tolerance.
- Caused by cars: and on it at least one car draws more than its own minimum. The rest is the building, which
  cars at their minimum can only be paused for.
- Heat: I squared over what a breaker must carry for an hour (1.13 times its rating), smoothed with the time
  constant of a small breaker. Below 1 it does not trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

HEAT_TAU_S = 120.0
CARRIES = 1.13  # IEC 60898: does not trip within the hour


@dataclass(frozen=True, slots=True)
class Score:
    """One site's day under one allocator."""

    seed: int
    allocator: str
    margin_a: float
    delivered_wh: float
    asked_wh: float
    satisfaction: tuple[float, ...]  # of each session, delivered / asked
    over_s: int
    over_by_cars_s: int
    longest_s: int
    longest_by_cars_s: int
    heat: float
    changes: int
    occupied_h: float
    pauses: int
    asleep: int
    peak: float  # highest current over its limit

    @property
    def jain(self) -> float:
        squares = sum(s * s for s in self.satisfaction)
        return sum(self.satisfaction) ** 2 / (len(self.satisfaction) * squares) if squares else 0.0

    @property
    def worst_decile(self) -> float:
        """Mean satisfaction of the tenth of sessions that got least."""
        worst = sorted(self.satisfaction)[: max(1, round(len(self.satisfaction) / 10))]
        return sum(worst) / len(worst)

    @property
    def tenth_percentile(self) -> float:
        """Nine in ten sessions are satisfied better than that."""
        return sorted(self.satisfaction)[len(self.satisfaction) // 10]

    @property
    def changes_per_h(self) -> float:
        """Limits sent per hour of a connector with a car."""
        return self.changes / self.occupied_h

    @property
    def pauses_per_session(self) -> float:
        return self.pauses / len(self.satisfaction)


@dataclass(frozen=True, slots=True)
class Mean:
    """Over the days of one allocator: means, but the longest, the hottest and the highest of all."""

    energy: float  # of the practical optimum
    served: float  # of what was asked for
    jain: float
    worst_decile: float
    tenth_percentile: float
    over_s: float
    over_by_cars_s: float
    longest_s: float
    longest_by_cars_s: float
    heat: float
    changes_per_h: float
    pauses_per_session: float
    peak: float


def mean(scores: Sequence[Score], optimum_wh: dict[int, float]) -> Mean:
    """`optimum_wh` by seed."""

    def over_days(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    return Mean(
        energy=over_days([s.delivered_wh / optimum_wh[s.seed] for s in scores]),
        served=over_days([s.delivered_wh / s.asked_wh for s in scores]),
        jain=over_days([s.jain for s in scores]),
        worst_decile=over_days([s.worst_decile for s in scores]),
        tenth_percentile=over_days([s.tenth_percentile for s in scores]),
        over_s=over_days([s.over_s for s in scores]),
        over_by_cars_s=over_days([s.over_by_cars_s for s in scores]),
        longest_s=max(s.longest_s for s in scores),
        longest_by_cars_s=max(s.longest_by_cars_s for s in scores),
        heat=max(s.heat for s in scores),
        changes_per_h=over_days([s.changes_per_h for s in scores]),
        pauses_per_session=over_days([s.pauses_per_session for s in scores]),
        peak=max(s.peak for s in scores),
    )


def as_json(score: Score) -> dict[str, object]:
    """Without the list of sessions."""
    told = asdict(score)
    del told["satisfaction"]
    return told


class Fuses:
    """Watches every phase of every fuse, once a second. A row is circuit index x 3 + phase."""

    __slots__ = (
        "_by_cars_run",
        "_heat",
        "_limits",
        "_run",
        "by_cars_s",
        "heat",
        "longest_by_cars_s",
        "longest_s",
        "over_s",
        "peak",
    )

    def __init__(self, limits: Sequence[float]) -> None:
        self._limits = list(limits)
        self._heat = [0.0] * len(limits)
        self._run = [0] * len(limits)
        self._by_cars_run = [0] * len(limits)
        self.over_s = self.by_cars_s = 0
        self.longest_s = self.longest_by_cars_s = 0
        self.heat = self.peak = 0.0

    def watch(self, currents: Sequence[float], flexible: Sequence[bool]) -> None:
        """`flexible`: on this row some car draws more than its minimum."""
        over = by_cars = False
        for row, (current, limit) in enumerate(zip(currents, self._limits, strict=True)):
            part = current / limit
            self._heat[row] += ((part / CARRIES) ** 2 - self._heat[row]) / HEAT_TAU_S
            if part <= 1.0:
                self._run[row] = self._by_cars_run[row] = 0
                continue
            over = True
            self._run[row] += 1
            self._by_cars_run[row] = self._by_cars_run[row] + 1 if flexible[row] else 0
            by_cars |= flexible[row]
            self.longest_s = max(self.longest_s, self._run[row])
            self.longest_by_cars_s = max(self.longest_by_cars_s, self._by_cars_run[row])
            self.peak = max(self.peak, part)
        self.over_s += over
        self.by_cars_s += by_cars
        self.heat = max(self.heat, *self._heat)
