"""From a URL to a file in the cache: one download however many wait for it.

Rules of this file:
- Single flight by `Location.key`. A waiter that gives up stops nobody's download, not even the last one:
  the file is wanted again soon.
- The origin is asked whether a cached file is still current, but not more often than every `fresh_s`.
  When it gives no answer, the cached file stands; when it says no (404), it does not.
- A file whose hash is not the promised one never enters the cache.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from edgegw.files.addresses import AddressGuard, AddressRefused, Location, parse_location
from edgegw.files.cache import FirmwareCache, NotCached, Tampered
from edgegw.files.disk import CacheFault
from edgegw.files.download import Download, Downloaded, FetchProgress
from edgegw.files.lookup import CheckedLookup, Lookup
from edgegw.files.manifest import CachedFile
from edgegw.files.part import drop_part
from edgegw.files.source import FetchFailed, FetchSettings, Retry, Source
from edgegw.files.throttle import Throttle
from edgegw.runtime.tasks import Tasks

__all__ = ["FetchFailed", "FetchProgress", "FetchSettings", "Fetcher"]

log = logging.getLogger(__name__)

DOWNLOADS_MAX: Final = 3  # at once: more would only share the same mobile link
FLIGHTS_MAX: Final = 100  # with those that wait for their turn

_Outcome = CachedFile | FetchFailed


class Fetcher:
    """Fetches into one cache. Close it before the cache."""

    def __init__(
        self,
        cache: FirmwareCache,
        guard: AddressGuard,
        settings: FetchSettings,
        wall: Callable[[], float],
        lookup: Lookup | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self._cache = cache
        self._settings = settings
        self._wall = wall
        self._guard = guard
        self._lookup = CheckedLookup(guard, lookup)
        self._sources: dict[str, Source] = {}
        self._tasks = Tasks()
        self._flights: dict[str, tuple[asyncio.Task[_Outcome], FetchProgress]] = {}
        self._throttle = throttle or Throttle(settings.rate_bytes_per_s)
        self._turns = asyncio.Semaphore(DOWNLOADS_MAX)

    @property
    def progress(self) -> list[FetchProgress]:
        """The downloads that run now."""
        return [progress for _, progress in self._flights.values()]

    async def fetch(self, url: str, *, md5: str = "", file_bytes_max: int | None = None) -> CachedFile:
        """Have the file behind `url` in the cache. Raises FetchFailed.

        With `md5` (OCPP 2.x L03: hex, of the whole file) only a file with that hash is accepted.
        """
        try:
            location = parse_location(url)
        except AddressRefused as error:
            raise self._not_used(error) from None
        bytes_max = min(file_bytes_max or self._settings.file_bytes_max, self._settings.file_bytes_max)
        outcome = await self._joined(location, md5.lower(), bytes_max)
        if isinstance(outcome, FetchFailed):
            raise FetchFailed(outcome.kind, outcome.text)
        if md5 and outcome.md5 != md5.lower():
            raise FetchFailed("checksum", f"{outcome.name} has the MD5 {outcome.md5}, not the one asked for")
        return outcome

    def _not_used(self, refused: AddressRefused) -> FetchFailed:
        # "refused": for good, the charger may have it as it is; trying again would change nothing.
        return FetchFailed("refused" if self._guard.lets_pass(refused) else "forbidden", refused.text)

    async def close(self) -> None:
        """Stop; parts stay and are continued by the next fetch, also after a restart."""
        await self._tasks.cancel()

    # --- flights ----------------------------------------------------------------------------------

    async def _joined(self, location: Location, md5: str, bytes_max: int) -> _Outcome:
        if location.key not in self._flights:
            if len(self._flights) >= FLIGHTS_MAX:
                return FetchFailed("unreachable", f"{FLIGHTS_MAX} downloads are under way already")
            self._take_off(location, md5, bytes_max)
        task, progress = self._flights[location.key]
        progress.waiting += 1
        try:
            await asyncio.wait((task,))  # unlike awaiting it, does not cancel it
        finally:
            progress.waiting -= 1
        return FetchFailed("unreachable", "edgegw is stopping") if task.cancelled() else task.result()

    def _take_off(self, location: Location, md5: str, bytes_max: int) -> None:
        key = location.key
        progress = FetchProgress(key=key, shown=location.shown, name=location.name, started_at=self._wall())
        flight = self._fly(location, md5, bytes_max, progress)
        task = self._tasks.spawn(flight, f"fetch {location.shown}")
        self._flights[key] = (task, progress)
        task.add_done_callback(lambda _: self._flights.pop(key, None))

    async def _fly(self, location: Location, md5: str, bytes_max: int, progress: FetchProgress) -> _Outcome:
        try:
            async with self._turns:
                try:
                    return await self._current(location, md5, bytes_max, progress)
                finally:
                    self._cache.room.release(location.key)
        except FetchFailed as error:
            log.warning("%s: not fetched: %s", location.shown, error.text)
            return error
        except AddressRefused as error:
            log.warning("%s: not fetched: %s", location.shown, error.text)
            return self._not_used(error)
        except CacheFault as error:
            return FetchFailed("no_room", str(error))

    async def _current(
        self, location: Location, md5: str, bytes_max: int, progress: FetchProgress
    ) -> CachedFile:
        """The cached file if the origin still has it, else what it has now."""
        cached = await self._cached(location.key, md5)
        if cached is not None and 0 <= self._wall() - cached.checked_at < self._settings.fresh_s:
            return cached
        origin = self._cache.origin_of(location.key)
        version = origin.validators(cached.size_bytes) if cached is not None and origin is not None else None
        source = self._source(location.scheme)
        download = Download(
            self._cache, source, self._settings, location, progress, bytes_max, self._throttle
        )
        try:
            done = await download.run(version if version is not None and version.tells else None)
        except Retry as error:
            return self._stands(cached, FetchFailed("unreachable", error.text))
        except FetchFailed as error:
            if error.kind != "unreachable" or download.answered:
                raise
            return self._stands(cached, error)
        if done is None:
            return self._cache.confirm(location.key) or self._gone()
        return await self._take(location, done, md5)

    async def _cached(self, key: str, md5: str) -> CachedFile | None:
        file = self._cache.of_origin(key)
        if file is None or (md5 and file.md5 != md5):
            return None
        try:
            await self._cache.open_verified(file.sha256)
        except (NotCached, Tampered):
            return None
        return file

    def _stands(self, cached: CachedFile | None, error: FetchFailed) -> CachedFile:
        if cached is None:
            raise error
        log.warning("%s cannot be asked (%s): the cached file stands", cached.origin, error.text)
        return cached

    def _gone(self) -> CachedFile:
        raise FetchFailed("changed", "the cached file was removed while its origin was asked")

    async def _take(self, location: Location, done: Downloaded, md5: str) -> CachedFile:
        if md5 and done.digests.md5 != md5:
            await self._cache.disk.run(drop_part, done.path)
            raise FetchFailed(
                "checksum", f"{location.name} has the MD5 {done.digests.md5}, not the one asked for"
            )
        now = self._wall()
        file = CachedFile(
            sha256=done.digests.sha256,
            md5=done.digests.md5,
            size_bytes=done.digests.size_bytes,
            name=location.name,
            origin=location.shown,
            origin_key=location.key,
            etag=done.validators.etag,
            last_modified=done.validators.last_modified,
            fetched_at=now,
            checked_at=now,
            used_at=now,
        )
        return await self._cache.take(done.path, file)

    def _source(self, scheme: str) -> Source:
        """Made when first needed: a box that never meets FTP does not load it."""
        if scheme not in self._sources:
            self._sources[scheme] = self._make_source(scheme)
        return self._sources[scheme]

    def _make_source(self, scheme: str) -> Source:
        if scheme == "ftp":
            from edgegw.files.source_ftp import FtpSource

            return FtpSource(self._lookup, self._settings)
        if scheme == "sftp":
            from edgegw.files.source_sftp import SftpSource

            return SftpSource(self._lookup, self._settings)
        from edgegw.files.source_http import HttpSource

        return HttpSource(self._lookup, self._settings, self._cache.disk, self._wall)
