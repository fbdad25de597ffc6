"""How long to wait before the cloud is dialled again: OCPP 2.x Part 4 section 5.4.

The first wait is the minimum plus a random part. Each failure doubles the wait without its random
part, at most `repeat_times` times, and adds a fresh random part; after that the wait stays. The
random part stays fresh for ever: 500 chargers that lost one cloud must not come back as one.
Randomness is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackoffSettings:
    """RetryBackOffWaitMinimum, RetryBackOffRandomRange (seconds) and RetryBackOffRepeatTimes."""

    wait_minimum_s: float = 5.0
    random_range_s: float = 10.0
    repeat_times: int = 5


def backoff_wait_s(
    settings: BackoffSettings, failures: int, rand: float, retry_after_s: float | None = None
) -> float:
    """Seconds to wait after `failures` (>= 1) failed attempts in a row.

    `rand` is uniform in [0, 1). `retry_after_s`, the cloud's own wish, is a floor; the random part
    comes on top of it, because every charger was told the same number.
    """
    doublings = min(max(failures, 1) - 1, settings.repeat_times)
    base = settings.wait_minimum_s * 2.0**doublings
    return max(base, retry_after_s or 0.0) + rand * settings.random_range_s


class Backoff:
    """The count of failures of one cloud leg."""

    __slots__ = ("_settings", "failures")

    def __init__(self, settings: BackoffSettings) -> None:
        self._settings = settings
        self.failures = 0

    def failed(self, rand: float, retry_after_s: float | None = None) -> float:
        """One more attempt failed; seconds to wait before the next. `rand` is uniform in [0, 1)."""
        self.failures += 1
        return backoff_wait_s(self._settings, self.failures, rand, retry_after_s)

    def reset(self) -> None:
        """An attempt succeeded: the next wait is the first one again."""
        self.failures = 0
