"""Both clocks in one reading. The only place that asks the machine what time it is."""

from __future__ import annotations

import time

from edgegw.core.events import Instant

# No edgegw existed before this: a wall clock below it was never set (a board without a battery).
NOT_BEFORE = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def now() -> Instant:
    wall = time.time()
    return Instant(time.monotonic(), wall, wall >= NOT_BEFORE)
