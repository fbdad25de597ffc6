"""Durations counted in buckets, so that whoever scrapes seldom still sees how slow the slow ones were.

Rules of this file:
- One `observe` is a search in a dozen numbers and two additions: it may stand once per commit, never once
  per message.
- Knows nothing of who shows it: rooms that measure import no library for metrics.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

# From what an SSD or a loop at rest needs up to where a person asks what is wrong.
SHORT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
# A charger answers in these: some over a mobile network, some after they have moved a lock.
LONG_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Histogram:
    """Seconds, by bucket. Only grows."""

    __slots__ = ("_bounds_s", "_counts", "sum_s")

    def __init__(self, bounds_s: Sequence[float] = SHORT_S) -> None:
        """`bounds_s` ascending: the most that still counts in each bucket; one without bound follows."""
        self._bounds_s = tuple(bounds_s)
        self._counts = [0] * (len(self._bounds_s) + 1)
        self.sum_s = 0.0

    def observe(self, duration_s: float) -> None:
        self._counts[bisect_left(self._bounds_s, duration_s)] += 1
        self.sum_s += duration_s

    @property
    def count(self) -> int:
        return sum(self._counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """(bound, how many took at most that long), ending with infinity and all of them."""
        found, so_far = [], 0
        for bound_s, count in zip((*self._bounds_s, float("inf")), self._counts, strict=True):
            so_far += count
            found.append((bound_s, so_far))
        return found
