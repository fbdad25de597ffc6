"""Which uploads are arriving right now, and a way to wait until one is not."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter


class Arrivals:
    """Receptions, by order; a charger may try again while its first try is still being cut off."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self._quiet: dict[str, asyncio.Event] = {}  # set when nothing is arriving

    def __contains__(self, order: str) -> bool:
        return order in self._running

    def begun(self, order: str) -> None:
        self._running[order] += 1

    def ended(self, order: str) -> None:
        self._running[order] -= 1
        if not self._running[order]:
            del self._running[order]
            self._quiet.pop(order, asyncio.Event()).set()

    async def over(self, order: str, wait_s: float) -> None:
        """Returns when nothing of this order is arriving, or after `wait_s`."""
        if order in self._running:
            quiet = self._quiet.setdefault(order, asyncio.Event())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(quiet.wait(), wait_s)
