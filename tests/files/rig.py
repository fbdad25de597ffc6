"""A cache and a fetcher as the gateway has them, with waits that take no time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edgegw.files.addresses import AddressGuard
from edgegw.files.cache import FirmwareCache
from edgegw.files.fetch import Fetcher, FetchSettings
from edgegw.files.lookup import Lookup
from edgegw.files.throttle import Throttle

QUOTA_BYTES = 50_000_000
QUICK = {"retry_wait_s": 0.001, "fresh_s": 0.0, "connect_timeout_s": 30.0}


@dataclass
class Wall:
    """A wall clock that stands until somebody moves it."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class BoardClock:
    """A wall clock without a battery: it starts in 1970, and NTP sets it."""

    now: float = 1_000_000.0
    is_set: bool = False

    def __call__(self) -> float:
        return self.now

    def trusted(self) -> bool:
        return self.is_set

    def set(self, now: float) -> None:
        self.now, self.is_set = now, True


class Clock:
    """For a `Throttle`. Sleeping moves it; every sleep is noted."""

    def __init__(self) -> None:
        self.began = self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, wait_s: float) -> None:
        self.slept.append(wait_s)
        self.now += wait_s
        await asyncio.sleep(0)


@dataclass
class Box:
    cache: FirmwareCache
    fetcher: Fetcher
    wall: Wall = field(default_factory=Wall)

    async def has_received(self, size_bytes: int) -> None:
        """Return when the only download has so much."""
        while not (flights := self.fetcher.progress) or flights[0].received_bytes < size_bytes:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def parts(self) -> list[str]:
        return sorted(path.name for path in self.cache.shelves.parts.iterdir())


@asynccontextmanager
async def box(
    directory: Path,
    *,
    wall: Wall | None = None,
    inward: tuple[str, ...] = ("127.0.0.1",),
    lookup: Lookup | None = None,
    throttle: Throttle | None = None,
    quota_bytes: int = QUOTA_BYTES,
    **settings: object,
) -> AsyncIterator[Box]:
    wall = wall or Wall()
    cache = await FirmwareCache.open(directory, quota_bytes=quota_bytes, wall=wall, disk_reserve_bytes=0)
    fetcher = Fetcher(
        cache,
        AddressGuard(inward),
        FetchSettings(**{**QUICK, **settings}),
        wall,
        lookup=lookup,
        throttle=throttle,
    )
    try:
        yield Box(cache, fetcher, wall)
    finally:
        await fetcher.close()
        await cache.close()
