"""One file from one origin: attempts, waits, resuming, and every limit that an origin could overrun.

Rules of this file:
- An attempt that got further than any before makes the attempts count anew: a link that breaks every few
  megabytes still brings the file. Time as a whole, size and speed are bounded all the same (fault 76).
- Whatever fails, the part stays for the next attempt; only a full disk and a file that is too large
  remove it.
- The hashes are those of the file as it is on disk.
- Sources turn errors of their connection into Retry, so an OSError that arrives here is the disk's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NoReturn

import msgspec

from edgegw.files.addresses import Location
from edgegw.files.cache import FirmwareCache
from edgegw.files.disk import Digests, NoRoom, fault, hash_file
from edgegw.files.pace import Pace, TooSlow
from edgegw.files.part import Part
from edgegw.files.source import FetchFailed, FetchSettings, Opened, Retry, Source, StartOver, Validators
from edgegw.files.throttle import Throttle

log = logging.getLogger(__name__)

GROWTH_BYTES: Final = 2 * 1024 * 1024  # room that is asked for at once when the origin names no length


@dataclass(slots=True, kw_only=True)
class FetchProgress:
    """How far a download is. A live object: look, do not change."""

    key: str
    shown: str
    name: str
    started_at: float
    received_bytes: int = 0
    total_bytes: int | None = None
    attempt: int = 1
    waiting: int = 0  # how many wait for it
    state: Literal["looking up", "downloading", "waiting to retry", "verifying"] = "looking up"
    why: str = ""  # what the last attempt failed of


class Downloaded(msgspec.Struct, frozen=True, kw_only=True):
    """A whole, synced, hashed part."""

    path: Path
    validators: Validators
    digests: Digests


class Download:
    """Make one, `run` it once."""

    def __init__(
        self,
        cache: FirmwareCache,
        source: Source,
        settings: FetchSettings,
        location: Location,
        progress: FetchProgress,
        bytes_max: int,
        throttle: Throttle,
    ) -> None:
        self._cache = cache
        self._disk = cache.disk
        self._source = source
        self._settings = settings
        self._location = location
        self._progress = progress
        self._bytes_max = bytes_max
        self._throttle = throttle
        self._room_bytes = 0
        self.answered = False  # the origin began to hand out a file

    async def run(self, cached: Validators | None) -> Downloaded | None:
        """Fetch; None: the origin still has the version `cached`. Raises FetchFailed, AddressRefused, Retry.

        Retry only when the origin was asked about `cached` and gave no answer. The caller releases the room:
        until the part is a file of the cache nobody may count it as idle.
        """
        part = await self._open_part()
        if part.resume_at:
            cached = None  # what was begun is newer than what is in the cache
        try:
            async with asyncio.timeout(self._settings.time_max_s):
                return await self._attempts(part, cached)
        except TimeoutError:
            hours = self._settings.time_max_s / 3600
            raise FetchFailed("unreachable", f"the file did not come within {hours:.3g} h") from None
        except NoRoom as error:
            await self._disk.run(part.drop)
            raise FetchFailed("no_room", str(error)) from error
        except OSError as error:
            await self._disk.run(part.drop)
            self._disk_failed(error)
        except FetchFailed as error:
            if error.kind == "too_large":
                await self._disk.run(part.drop)
            raise
        finally:
            part.leave()

    async def _open_part(self) -> Part:
        key = self._location.key
        try:
            return await self._disk.run(Part, self._cache.shelves.part(key), key)
        except OSError as error:
            self._disk_failed(error)

    def _disk_failed(self, error: OSError) -> NoReturn:
        raise FetchFailed("no_room", str(fault(error, self._cache.shelves.directory))) from error

    # --- attempts ---------------------------------------------------------------------------------

    async def _attempts(self, part: Part, cached: Validators | None) -> Downloaded | None:
        attempt, furthest = 1, part.size_bytes
        while True:
            self._progress.attempt = attempt
            failure: Retry | StartOver
            try:
                return await self._attempt(part, None if self.answered else cached)
            except StartOver as error:
                failure = error
                await self._disk.run(part.restart, Validators())
            except Retry as error:
                failure = error
                if cached is not None and not self.answered:
                    raise
                await self._disk.run(part.mark)
            if part.size_bytes >= furthest + self._settings.progress_bytes:
                attempt, furthest = 1, part.size_bytes
            if attempt >= self._settings.attempts:
                kind: Literal["changed", "unreachable"] = (
                    "changed" if isinstance(failure, StartOver) else "unreachable"
                )
                raise FetchFailed(kind, f"{failure}; {attempt} attempts")
            await self._wait(failure, attempt)
            attempt += 1

    async def _wait(self, failure: Retry | StartOver, attempt: int) -> None:
        settings = self._settings
        wait_s = min(settings.retry_wait_s * 2 ** (attempt - 1), settings.retry_wait_max_s)
        if isinstance(failure, Retry) and failure.after_s is not None:
            wait_s = min(max(failure.after_s, 0.0), settings.retry_after_max_s)
        if isinstance(failure, StartOver) and attempt == 1:
            wait_s = 0.0  # a part from before a restart is outdated: nobody's fault
        log.info("%s: %s; next attempt in %.3g s", self._location.shown, failure, wait_s)
        self._progress.state = "waiting to retry"
        self._progress.why = str(failure)
        await asyncio.sleep(wait_s)

    async def _attempt(self, part: Part, cached: Validators | None) -> Downloaded | None:
        self._progress.state = "looking up"
        offset = 0 if cached is not None else part.resume_at
        known = cached if cached is not None else part.validators
        async with self._source.open(self._location, offset, known, cached is not None) as opened:
            if opened.unchanged:
                return None
            await self._begin(part, opened)
            self.answered = True
            await self._receive(part, opened)
        return await self._finish(part)

    # --- one attempt ------------------------------------------------------------------------------

    async def _begin(self, part: Part, opened: Opened) -> None:
        total = opened.validators.total_bytes
        if total is not None and total > self._bytes_max:
            self._too_large(f"it has {total} bytes")
        await self._need_room(total if total is not None else part.size_bytes + GROWTH_BYTES)
        if opened.start == 0:
            await self._disk.run(part.restart, opened.validators)
        elif not await self._disk.run(part.continue_at, opened.start, opened.validators):
            raise StartOver("the file changed at the origin between two attempts")
        self._progress.total_bytes = part.validators.total_bytes
        self._progress.received_bytes = part.size_bytes
        self._progress.state = "downloading"

    async def _receive(self, part: Part, opened: Opened) -> None:
        total = part.validators.total_bytes
        if total is None:
            total = opened.validators.total_bytes
        pace = Pace(self._settings.rate_min_bytes_per_s, self._settings.rate_window_s)
        marked_at = asyncio.get_running_loop().time()
        async with aclosing(opened.blocks) as blocks:
            while block := await _next(blocks, pace):
                await self._write(part, block)
                self._progress.received_bytes = part.size_bytes
                now = asyncio.get_running_loop().time()
                waited = now - marked_at >= self._settings.mark_interval_s
                if part.unmarked_bytes >= self._settings.mark_bytes or waited:
                    await self._disk.run(part.mark)
                    marked_at = now
                # Who does not read lets the origin wait: TCP hands the pace on.
                await self._throttle.take(len(block))
        if total is not None and part.size_bytes < total:
            raise Retry(f"the connection ended after {part.size_bytes} of {total} bytes")

    async def _write(self, part: Part, block: bytes) -> None:
        after = part.size_bytes + len(block)  # at most: a resumed one repeats some
        if after > self._room_bytes and part.validators.total_bytes is None:
            await self._need_room(after + GROWTH_BYTES)
        if not await self._disk.run(part.write, block):
            raise StartOver("the file changed at the origin between two attempts")
        total = part.validators.total_bytes
        if part.size_bytes > self._bytes_max:
            self._too_large("it does not end")
        if total is not None and part.size_bytes > total:
            raise StartOver(f"the origin sent more than the {total} bytes it had named")

    async def _need_room(self, size_bytes: int) -> None:
        await self._cache.room.make(size_bytes, key=self._location.key)
        self._room_bytes = size_bytes

    def _too_large(self, how: str) -> NoReturn:
        raise FetchFailed("too_large", f"the file is too large: {how}, {self._bytes_max} are allowed")

    async def _finish(self, part: Part) -> Downloaded:
        self._progress.state = "verifying"
        if part.size_bytes == 0:
            raise FetchFailed("refused", "the origin sent an empty file")
        await self._disk.run(part.finish)
        digests, _ = await self._disk.run(hash_file, part.path)
        if digests.size_bytes != part.size_bytes:
            raise FetchFailed("changed", "the file was changed on disk while it came")
        return Downloaded(path=part.path, validators=part.validators, digests=digests)


async def _next(blocks: AsyncGenerator[bytes, None], pace: Pace) -> bytes:
    """The next block, empty at the end; what an origin sends that is no part of the file earns it no time."""
    try:
        block = await pace.of(anext(blocks, b""))
    except TooSlow as error:
        raise Retry(f"the origin is {error}") from None
    pace.moved(len(block))
    return block
