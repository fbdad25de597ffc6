"""Doors that charging does not need: one that cannot be opened is tried again, and told to people meanwhile.

Rules of this file:
- A port that another program has, or an address that the box does not have yet, stops nothing else.
- Opening is all or nothing: what `opens` began and could not end, it has undone itself.
- What is shut stands in `shut` until it is open; the alarms read it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Final

from edgegw.config_values import Address
from edgegw.runtime.tasks import Tasks

log = logging.getLogger("edgegw.doors")

RETRY_EVERY_S: Final = 2.0
_WHAT_TO_DO: Final = {
    errno.EADDRINUSE: "another program has this port (ss -ltnp shows which): stop it or choose another port",
    errno.EADDRNOTAVAIL: "the box has no such address: check its network, or choose another address",
    errno.EACCES: "ports below 1024 are not for every user: choose another port",
}


class ShutDoors:
    def __init__(self, retry_every_s: float = RETRY_EVERY_S) -> None:
        self.shut: dict[str, str] = {}  # key of the site file -> why, and what to do
        self._retry_every_s = retry_every_s
        self._tasks = Tasks()

    async def open(self, key: str, address: Address, opens: Callable[[], Awaitable[None]]) -> None:
        """Returns when it is open, or is tried again from now on. `key`: "[files] listen"."""
        if not await self._opened(key, address, opens):
            self._tasks.spawn(self._knock(key, address, opens), f"{key} {address}")

    async def close(self) -> None:
        """Try no more."""
        await self._tasks.cancel()

    async def _knock(self, key: str, address: Address, opens: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._retry_every_s)
            if await self._opened(key, address, opens):
                log.warning("%s = %s is open now", key, address)
                return

    async def _opened(self, key: str, address: Address, opens: Callable[[], Awaitable[None]]) -> bool:
        try:
            await opens()
        except OSError as error:
            why = why_shut(key, address, error)
            if self.shut.get(key) != why:
                log.error("%s; tried again every %g s", why, self._retry_every_s)
            self.shut[key] = why
            return False
        self.shut.pop(key, None)
        return True


def why_shut(key: str, address: Address, error: OSError) -> str:
    """For people: which door, why, and what to do."""
    todo = _WHAT_TO_DO.get(error.errno or 0, "check the address in the site file")
    # A look-up's numbers are its own, and negative; asyncio's words repeat the address.
    known = error.errno is not None and error.errno > 0
    reason = os.strerror(error.errno) if known and error.errno is not None else error.strerror or str(error)
    return f"{key} = {address}: {reason}; {todo}"
