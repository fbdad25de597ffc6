"""Whether a car still comes to what it will draw: it ramps, and the site gives it more by and by. Pure.

Rules of this file: only rises count, of what it draws and of what it may draw; a car that is given less, or
that wobbles, has come to its draw all the same.
"""

from __future__ import annotations

from edgegw.commissioning.plan import Plan
from edgegw.commissioning.stage import highest
from edgegw.commissioning.words import Observation

RISE_A = 0.8  # less is no rise
SAME_SAMPLE_S = 0.2  # samples that are so close are one


class Settling:
    """`look` at a car that charges, until `is_over`."""

    def __init__(self, plan: Plan, now: float) -> None:
        self._plan = plan
        self._began = now
        self._drawn = _Rise()
        self._limit = _Rise()
        self._sampled_at: float | None = None
        self._since = now  # no rise since
        self._samples = 0  # new ones since

    def look(self, seen: Observation, now: float) -> None:
        at = now - (seen.drawn_age_s or 0.0)
        if self._sampled_at is None or at - self._sampled_at > SAME_SAMPLE_S:
            self._sampled_at = at
            self._samples += 1
        drew_more = self._drawn.rises(highest(seen.drawn_a) or 0.0)
        may_more = self._limit.rises(seen.limit_a or 0.0)
        if drew_more or may_more:
            self._since, self._samples = now, 1 if drew_more else 0

    def is_settled(self, now: float) -> bool:
        return now - self._since >= self._plan.charges_for_s and self._samples >= self._plan.samples

    def is_over(self, now: float) -> bool:
        """Settled, or waited for long enough."""
        return self.is_settled(now) or self.waited(now) >= min(self._plan.rises_s, self._plan.car_s)

    def waited(self, now: float) -> float:
        return now - self._began


class _Rise:
    """A value that may rise little by little."""

    def __init__(self) -> None:
        self._least: float | None = None

    def rises(self, value: float) -> bool:
        """Above the least since the last rise."""
        if self._least is not None and value <= self._least + RISE_A:
            self._least = min(self._least, value)
            return False
        rose, self._least = self._least is not None, value
        return rose
