"""TCP back pressure on a peer that sends faster than it is answered: stop reading, and look again soon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edgegw.runtime.ports import Leg


def hold(leg: Leg, again_s: float, must_wait: Callable[[Leg], bool | None]) -> None:
    """Read nothing from `leg` until `must_wait` says False. None: it is nobody's leg any more."""
    leg.pause_reading()
    asyncio.get_running_loop().call_later(again_s, _look, leg, again_s, must_wait)


def _look(leg: Leg, again_s: float, must_wait: Callable[[Leg], bool | None]) -> None:
    waits = must_wait(leg)
    if waits:
        asyncio.get_running_loop().call_later(again_s, _look, leg, again_s, must_wait)
    elif waits is not None:
        leg.resume_reading()
