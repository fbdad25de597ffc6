"""How long a file is tried for that its origin does not give: an outage is no reason to give up.

While the box itself has no line, giving up would send every charger to the origin the moment the line is
back. So only the time counts in which the cloud could be reached and the origin could not; a day ends it all
the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from edgegw.files.fetch import Fetcher, FetchFailed
from edgegw.files.manifest import CachedFile

AGAIN_MIN_S: Final = 30.0  # the fetcher itself has tried for minutes
AGAIN_MAX_S: Final = 900.0
TOTAL_S: Final = 86_400.0  # then the charger may try for itself, whatever the line does


class PatientFetcher:
    """`Fetcher.fetch`, again and again. `ring` it when the line may be back, or nobody waits any more."""

    def __init__(
        self,
        fetcher: Fetcher,
        online: Callable[[], bool],
        give_up_s: float,
        again_min_s: float = AGAIN_MIN_S,
    ) -> None:
        self._fetcher = fetcher
        self._online = online
        self._give_up_s = give_up_s
        self._again_min_s = again_min_s
        self._bell = asyncio.Event()

    def ring(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    async def fetch(self, url: str, wanted: Callable[[], bool]) -> CachedFile:
        """Raises FetchFailed: for good, or after the time; also when it is not `wanted` any more."""
        clock = asyncio.get_running_loop().time
        began, online_s, wait_s = clock(), 0.0, self._again_min_s
        while True:
            try:
                return await self._fetcher.fetch(url)
            except FetchFailed as failed:
                is_over = online_s >= self._give_up_s or clock() - began >= TOTAL_S
                if failed.kind != "unreachable" or is_over or not wanted():
                    raise
            slept_at = clock()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), wait_s)
            online_s += clock() - slept_at if self._online() else 0.0
            wait_s = min(wait_s * 2, AGAIN_MAX_S)
