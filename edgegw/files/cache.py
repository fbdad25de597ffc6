"""The firmware cache: whole files by their hash, who may have them, and room for the next one.

Layout: `manifest.json`, `files/<sha256>`, `parts/` (downloads under way), `files/<sha256>.tampered`.

Rules of this file:
- A file is in `files/` only when it was hashed whole and synced. It is hashed again before it is served,
  unless the very same inode, unchanged since, was hashed by this process (fault 83).
- A grant is on disk before anybody hears of it.
- Nothing that a charger may still fetch, that is published or that a person added is evicted.
- A file of unknown origin (the manifest was lost) is never served; fetching it again makes it known.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from edgegw.files import shelves
from edgegw.files.addresses import safe_name
from edgegw.files.disk import CacheFault, Disk, Identity, copy_durably, fault, hash_file
from edgegw.files.grants import Grants
from edgegw.files.manifest import CachedFile, Contents, Grant, HolderStatus, ManifestWriter, Origin
from edgegw.files.origins import Origins
from edgegw.files.room import DISK_RESERVE_BYTES, Room
from edgegw.files.shelves import Shelves
from edgegw.files.stamps import always

log = logging.getLogger(__name__)

ADDED_HERE: Final = "added here"


class NotCached(CacheFault):
    """There is no such file, or none that may be served."""


class Tampered(CacheFault):
    """The file on disk is not what was cached. It has been put aside."""


class FirmwareCache:
    """One cache in one directory. Everything runs in one loop; make it with `open`."""

    def __init__(
        self,
        shelves: Shelves,
        disk: Disk,
        contents: Contents,
        *,
        quota_bytes: int,
        disk_reserve_bytes: int,
        wall: Callable[[], float],
        trusted: Callable[[], bool],
    ) -> None:
        self.disk = disk
        self.shelves = shelves
        self._wall = wall
        self._contents = contents
        self._manifest = ManifestWriter(shelves.manifest, self._to_write, disk)
        self._intact: dict[str, Identity] = {}
        self._hashing: dict[str, asyncio.Lock] = {}
        self._grants = Grants(contents, wall, trusted)
        self._origins = Origins(contents, wall)
        self.room = Room(self, quota_bytes, disk_reserve_bytes)

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        quota_bytes: int,
        wall: Callable[[], float],
        trusted: Callable[[], bool] = always,
        disk_reserve_bytes: int = DISK_RESERVE_BYTES,
    ) -> FirmwareCache:
        """Read the manifest, or rebuild it from the files when it is damaged. Raises CacheFault.

        `trusted`: whether `wall` can be right.
        """
        disk = Disk()
        try:
            place, contents = await disk.run(shelves.open_shelves, directory, wall())
            cache = cls(
                place,
                disk,
                contents,
                quota_bytes=quota_bytes,
                disk_reserve_bytes=disk_reserve_bytes,
                wall=wall,
                trusted=trusted,
            )
            await cache._manifest.save()
        except OSError as error:
            disk.close()
            raise fault(error, directory) from error
        except CacheFault:
            disk.close()
            raise
        return cache

    async def close(self) -> None:
        await self._manifest.close()
        self.disk.close()

    def _to_write(self) -> Contents:
        self._grants.drop_expired()
        return self._contents

    # --- look-ups ---------------------------------------------------------------------------------

    @property
    def files(self) -> Mapping[str, CachedFile]:
        return MappingProxyType(self._contents.files)

    @property
    def grants(self) -> Mapping[str, Grant]:
        """By token; some may have expired."""
        return MappingProxyType(self._contents.grants)

    @property
    def granted(self) -> set[str]:
        """The files that some charger may still fetch."""
        return {grant.sha256 for grant in self._grants.live()}

    def origin_of(self, key: str) -> Origin | None:
        return self._contents.origins.get(key)

    def of_origin(self, key: str) -> CachedFile | None:
        """What the URL with this key last led to."""
        return self._origins.file(key)

    def grant_of(self, token: str) -> Grant | None:
        """None: unknown or expired."""
        return self._grants.of(token)

    async def make_room(self, size_bytes: int) -> None:
        """Evict the oldest unused until `size_bytes` more fit the quota and the disk. Raises NoRoom."""
        await self.room.make(size_bytes)

    # --- files in and out -------------------------------------------------------------------------

    async def take(self, part: Path, file: CachedFile) -> CachedFile:
        """Make a finished, hashed part a file of the cache. What was known of the same file stays known."""
        try:
            identity = await self.disk.run(self.shelves.put, part, file.sha256)
        except OSError as error:
            raise fault(error, self.shelves.directory) from error
        known = self._contents.files.get(file.sha256)
        taken = file.merged_into(known) if known is not None else file
        self._contents.files[file.sha256] = taken
        self._intact[file.sha256] = identity
        self.room.release(part.name.removesuffix(".part"))  # from here on it counts as a file
        if file.origin_key:
            self._origins.remember(file)
        try:
            await self._manifest.save()
        except CacheFault:
            if known is None:
                self._forget(file.sha256)
                await self.disk.run(self.shelves.drop, file.sha256)
            raise
        return taken

    async def add_local(
        self, source: Path, *, name: str, vendor: str = "", model: str = "", version: str = ""
    ) -> CachedFile:
        """Copy a file that a person brings. Raises CacheFault, NoRoom."""
        key = f"local-{secrets.token_hex(8)}"
        part = self.shelves.part(key)
        try:
            await self.room.make((await self.disk.run(source.stat)).st_size, key=key)
            await self.disk.run(copy_durably, source, part)
            digests, _ = await self.disk.run(hash_file, part)
            now = self._wall()
            file = CachedFile(
                sha256=digests.sha256,
                md5=digests.md5,
                size_bytes=digests.size_bytes,
                name=safe_name(name),
                origin=ADDED_HERE,
                fetched_at=now,
                checked_at=now,
                used_at=now,
                vendor=vendor,
                model=model,
                version=version,
                local=True,
            )
            return await self.take(part, file)
        except OSError as error:
            raise fault(error, source if error.filename == str(source) else self.shelves.directory) from error
        finally:
            await self.disk.run(part.unlink, missing_ok=True)
            self.room.release(key)

    async def remove(self, sha256: str) -> bool:
        """False when there is no such file. Who is downloading it now gets it to the end."""
        if self._forget(sha256) is None:
            return False
        await self.disk.run(self.shelves.drop, sha256)
        await self._manifest.save()
        return True

    def _forget(self, sha256: str) -> CachedFile | None:
        self._intact.pop(sha256, None)
        self._grants.drop(lambda grant: grant.sha256 == sha256)
        self._origins.forget(sha256)
        return self._contents.files.pop(sha256, None)

    async def open_verified(self, sha256: str) -> Path:
        """Where the file is, when it is still what was cached. Raises NotCached, Tampered."""
        file = self._served(sha256)
        # Fifty chargers that ask at once after a restart cost one hashing.
        async with self._hashing.setdefault(sha256, asyncio.Lock()):
            why, identity = await self.disk.run(self.shelves.look, file, self._intact.get(sha256))
        if identity is None:
            await self._put_aside(file, why)
        else:
            self._intact[sha256] = identity
        return self.shelves.file(sha256)

    async def _put_aside(self, file: CachedFile, why: str) -> None:
        if self._forget(file.sha256) is not None:
            log.error("firmware %s is not served: %s", file.name, why)
            await self.disk.run(self.shelves.put_aside, file.sha256)
            await self._manifest.save()
        raise Tampered(f"{file.name}: {why}; it was put aside and must be fetched again")

    def update(self, sha256: str, **changes: Any) -> CachedFile:
        """Change fields of a file; on disk soon. Raises NotCached."""
        file = self._contents.files.get(sha256)
        if file is None:
            raise NotCached(f"no file {sha256[:12]} in the firmware cache")
        self._contents.files[sha256] = msgspec.structs.replace(file, **changes)
        self._manifest.save_soon()
        return self._contents.files[sha256]

    def doubt(self, key: str) -> None:
        """What the origin gave is not what was signed: it is asked again before the next use."""
        self._origins.doubt(key)
        self._manifest.save_soon()

    def confirm(self, key: str) -> CachedFile | None:
        """The origin said that it still has what the cache has."""
        self._origins.confirm(key)
        self._manifest.save_soon()
        return self.of_origin(key)

    # --- grants and holders -----------------------------------------------------------------------

    async def grant(
        self, charger: str, sha256: str, *, order: str, expires_at: float, name: str = ""
    ) -> Grant:
        """A link for one charger, durable. The same order gets the same token again. Raises CacheFault."""
        file = self._served(sha256)
        known = set(self._contents.grants)
        grant = self._grants.give(charger, file, order, expires_at, name)
        self._contents.files[sha256] = msgspec.structs.replace(file, used_at=self._wall())
        try:
            await self._manifest.save()
        except CacheFault:
            if grant.token not in known:
                self._contents.grants.pop(grant.token, None)
            raise
        return grant

    def _served(self, sha256: str) -> CachedFile:
        file = self._contents.files.get(sha256)
        if file is None or file.origin == shelves.UNKNOWN:
            raise NotCached(f"no file {sha256[:12]} in the firmware cache")
        return file

    async def revoke(self, order: str) -> None:
        """The links of an order lead nowhere any more.

        It counts from now on; when the disk refuses, the log says so and the next write has it too.
        """
        if self._grants.drop(lambda grant: grant.order == order):
            with suppress(CacheFault):
                await self._manifest.save()

    async def note(self, charger: str, sha256: str, status: HolderStatus) -> None:
        """Keep how far a charger is with a file; on disk soon."""
        self._grants.note(charger, sha256, status)
        self._manifest.save_soon()
