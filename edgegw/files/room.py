"""Room in the firmware cache: the quota, the free disk, and who has to go.

Rules of this file:
- First what nobody continues downloading goes, then the oldest unused files.
- Nothing that a charger may still fetch, that is published or that a person added is ever evicted.
- A download keeps room for all of itself before its first byte, so two cannot promise the same bytes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final, Protocol

from edgegw.files.disk import Disk, NoRoom
from edgegw.files.manifest import CachedFile
from edgegw.files.shelves import Shelves

log = logging.getLogger(__name__)

DISK_RESERVE_BYTES: Final = 64 * 1024 * 1024  # the journal of the gateway lives on the same disk


class Tenant(Protocol):
    """What is known of the cache here."""

    disk: Disk
    shelves: Shelves

    @property
    def files(self) -> Mapping[str, CachedFile]: ...

    @property
    def granted(self) -> set[str]: ...

    async def remove(self, sha256: str) -> bool: ...


class Room:
    def __init__(self, cache: Tenant, quota_bytes: int, disk_reserve_bytes: int) -> None:
        self._cache = cache
        self._quota_bytes = quota_bytes
        self._disk_reserve_bytes = disk_reserve_bytes
        self._reserved: dict[str, int] = {}
        self._one = asyncio.Lock()

    @property
    def used_bytes(self) -> int:
        return sum(file.size_bytes for file in self._cache.files.values())

    async def make(self, size_bytes: int, *, key: str = "") -> None:
        """Have room for `size_bytes`. Raises NoRoom.

        With a `key` it is kept until `release`; asking again sets it anew.
        """
        async with self._one:
            self._reserved.pop(key, None)
            over = await self._over(size_bytes, key)
            if over > 0:
                busy = frozenset({key, *self._reserved})
                await self._cache.disk.run(self._cache.shelves.drop_idle_parts, busy)
                over = await self._over(size_bytes, key)
            await self._evict(over, size_bytes)
            if key:
                self._reserved[key] = size_bytes

    def release(self, key: str) -> None:
        self._reserved.pop(key, None)

    async def _over(self, size_bytes: int, key: str) -> int:
        """How many bytes too many there would be, by the quota or by the disk."""
        busy = frozenset({key, *self._reserved})
        idle, have, free = await self._cache.disk.run(self._cache.shelves.space, key, busy)
        used = self.used_bytes + idle + sum(self._reserved.values())
        by_disk = size_bytes - have + self._disk_reserve_bytes - free
        return max(used + size_bytes - self._quota_bytes, by_disk)

    async def _evict(self, over: int, size_bytes: int) -> None:
        idle = sorted(self._evictable(), key=lambda file: file.used_at)
        if over > sum(file.size_bytes for file in idle):
            raise NoRoom(
                f"no room for {size_bytes} bytes of firmware: of the quota of {self._quota_bytes} bytes"
                f" {self.used_bytes} are used by files still needed, or the disk is nearly full; remove files"
                " with `edgegw firmware`, free disk space, or raise the quota"
            )
        for file in idle:
            if over <= 0:
                return
            log.info("firmware %s leaves the cache to make room", file.name)
            over -= file.size_bytes
            await self._cache.remove(file.sha256)

    def _evictable(self) -> list[CachedFile]:
        granted = self._cache.granted
        return [
            file
            for file in self._cache.files.values()
            if not file.local and not file.published and file.sha256 not in granted
        ]
