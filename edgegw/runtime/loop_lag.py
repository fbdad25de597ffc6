"""How late the event loop is: everything in the gateway waits for it, so this is how busy the box really is.

Rules of this file:
- A sample is one timer: four a second, a few microseconds each. No task, nothing on the path of a message.
- By the monotonic clock itself: the loop's own time stands still while a callback runs.
- A loop that is blocked takes no samples; the one that follows carries the whole delay.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from edgegw.runtime import clock
from edgegw.runtime.histogram import Histogram

INTERVAL_S = 0.25
WINDOW_S = 60.0  # the worst of this long; a scrape a minute misses nothing


def _mono() -> float:
    return clock.now().mono


class LoopLag:
    """Samples from `start` to `stop`. Seconds, but for what is named `_ms`."""

    def __init__(self, interval_s: float = INTERVAL_S, mono: Callable[[], float] = _mono) -> None:
        self.histogram = Histogram()
        self.last_s = 0.0
        self._interval_s = interval_s
        self._mono = mono
        self._seen: deque[tuple[float, float]] = deque(maxlen=round(WINDOW_S / interval_s))
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._arm()

    def stop(self) -> None:
        """Safe to call twice; what was seen stays readable."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def worst_s(self) -> float:
        """Of the last minute; 0 when nothing was sampled in it."""
        since = self._mono() - WINDOW_S
        return max((late_s for at, late_s in self._seen if at >= since), default=0.0)

    @property
    def worst_ms(self) -> float:
        return self.worst_s * 1000

    def _arm(self) -> None:
        self._due = self._mono() + self._interval_s
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._sample)

    def _sample(self) -> None:
        now = self._mono()
        late_s = max(0.0, now - self._due)  # a timer may come a moment early: they count in milliseconds
        self.last_s = late_s
        self._seen.append((now, late_s))
        self.histogram.observe(late_s)
        self._arm()
