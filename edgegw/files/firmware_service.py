"""Firmware for chargers: fetched once, checked, and handed out by links of their own.

Rules of this file:
- Nothing is handed out that was not hashed, and nothing whose signature does not fit.
- A signature or certificate that the box cannot read is the charger's to judge: it never blocks an update.
- Every order to fetch is answered, whatever happens here: a command of the cloud waits for it.
- Work on one order is one task; the same order asked for again while it runs is the same work.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from edgegw.core.events import Instant
from edgegw.core.files import FetchFirmware, FetchOutcome, FirmwareFetched, FirmwareNews
from edgegw.errors import EdgegwError
from edgegw.files.cache import FirmwareCache, NotCached
from edgegw.files.fetch import FetchFailed
from edgegw.files.links import NO_DOOR, Doors, download_links
from edgegw.files.manifest import CachedFile, HolderStatus
from edgegw.files.patience import PatientFetcher
from edgegw.runtime.tasks import Tasks

log = logging.getLogger(__name__)

_HOLDS: dict[str, HolderStatus] = {
    "Sent": "offered",
    "Downloading": "downloading",
    "Downloaded": "downloaded",
    "Installed": "installed",
    "DownloadFailed": "failed",
    "InstallationFailed": "failed",
    "InstallVerificationFailed": "failed",
    "InvalidSignature": "failed",
}
OVER = ""
LINK_LIFETIME_MIN_S = 86_400.0
Tell = Callable[[str, FirmwareFetched], None]


class FirmwareService:
    def __init__(
        self,
        cache: FirmwareCache,
        fetcher: PatientFetcher,
        troubled: Callable[[str], bool],
        doors: Callable[[], Doors],
        tell: Tell,
        now: Callable[[], Instant],
    ) -> None:
        self.cache = cache
        self._fetcher = fetcher
        self._troubled = troubled
        self._doors = doors
        self._tell = tell
        self._now = now
        self._tasks = Tasks()
        self._running: dict[str, str] = {}  # order -> charger, or OVER when nobody wants it any more
        self._orders: dict[str, str] = {}  # order -> sha256 of what it was handed

    async def close(self) -> None:
        await self._tasks.cancel()

    # --- the cloud's orders -----------------------------------------------------------------------

    def fetch(self, charger: str, wish: FetchFirmware) -> None:
        if wish.order in self._running:
            return
        self._running[wish.order] = charger
        self._tasks.spawn(self._fetch(charger, wish), f"firmware for {charger}")

    async def _fetch(self, charger: str, wish: FetchFirmware) -> None:
        answer = _no(wish, FetchOutcome.UNREACHABLE, "an error in the box, which is in its log")
        try:
            answer = await self._answer(charger, wish)
        finally:  # also of a bug: the charger's command waits for it
            is_over = self._running.pop(wish.order, "") == OVER
            self._tell(charger, answer)
        if is_over:
            await self._forget(wish.order)  # its link would keep the file for a week

    async def _answer(self, charger: str, wish: FetchFirmware) -> FirmwareFetched:
        try:
            with contextlib.suppress(NotCached):  # it had to make room for another at the wrong moment
                return await self._outcome(charger, wish)
            return await self._outcome(charger, wish)
        except EdgegwError as error:
            return _no(wish, FetchOutcome.UNREACHABLE, str(error))
        except OSError as error:  # a person took the file away at the wrong moment, or the disk fails
            return _no(wish, FetchOutcome.UNREACHABLE, f"the box cannot read it: {error.strerror or error}")

    def _wants(self, wish: FetchFirmware) -> bool:
        return self._running.get(wish.order) != OVER

    async def _forget(self, order: str) -> None:
        self._orders.pop(order, None)
        await self.cache.revoke(order)

    async def _outcome(self, charger: str, wish: FetchFirmware) -> FirmwareFetched:
        if wish.failures and not self._troubled(wish.order):
            return _no(wish, FetchOutcome.UNREACHABLE, "the charger could not load it from here")
        if not self._doors().all:
            return _no(wish, FetchOutcome.UNREACHABLE, NO_DOOR)
        why = await self._bad_certificate(wish)
        if why:
            return _no(wish, FetchOutcome.BAD_CERTIFICATE, f"the signing certificate is {why}")
        try:
            file = self._own(wish.url) or await self._fetcher.fetch(wish.url, lambda: self._wants(wish))
        except FetchFailed as failed:
            forbidden = failed.kind == "forbidden"
            return _no(wish, FetchOutcome.FORBIDDEN if forbidden else FetchOutcome.UNREACHABLE, failed.text)
        path = await self.cache.open_verified(file.sha256)
        if not await self._fits(file, path, wish):
            self.cache.doubt(file.origin_key)
            return _no(wish, FetchOutcome.BAD_SIGNATURE, f"{file.name} is not what was signed")
        links = await self.link(charger, file.sha256, wish.order, wish.needed_until)
        return FirmwareFetched(order=wish.order, outcome=FetchOutcome.READY, urls=links)

    def _own(self, url: str) -> CachedFile | None:
        """The file behind a link of our own: what was published here (2.x L03) is not fetched from here."""
        door = next((door for door in self._doors().all if url.startswith(f"{door}/fw/")), None)
        if door is None:
            return None
        token = url.removeprefix(f"{door}/fw/").partition("/")[0]
        grant = self.cache.grant_of(token)
        if grant is None or grant.sha256 not in self.cache.files:
            raise FetchFailed("unreachable", "it is a link of this box that leads nowhere any more")
        return self.cache.files[grant.sha256]

    async def _bad_certificate(self, wish: FetchFirmware) -> str:
        if not wish.certificate:
            return ""
        from edgegw.files.signature import check_certificate

        now = self._now()
        return await self.cache.disk.run(
            check_certificate, wish.certificate, now.wall if now.trusted else None
        )

    async def _fits(self, file: CachedFile, path: Path, wish: FetchFirmware) -> bool:
        """Whether the file is what was signed, as far as the box can tell."""
        if not (wish.certificate and wish.signature):
            return True
        from edgegw.files.signature import Verdict, check_signature

        verdict = await self.cache.disk.run(check_signature, path, wish.certificate, wish.signature)
        if verdict is Verdict.BAD:
            return False
        known = "verified" if verdict is Verdict.VERIFIED else "not_understood"
        if verdict is not Verdict.NONE and file.signature != known:
            self.cache.update(file.sha256, signature=known)
        return True

    async def link(self, charger: str, sha256: str, order: str, needed_until: float) -> tuple[str, ...]:
        """Links to a cached file for one charger, one per protocol. Raises CacheFault."""
        # An order may have been written by a clock that was not set yet.
        until = max(needed_until, self._now().wall + LINK_LIFETIME_MIN_S)
        grant = await self.cache.grant(charger, sha256, order=order, expires_at=until)
        self._orders[order] = sha256
        return download_links(self._doors(), grant.token, grant.name)

    # --- what chargers make of it -----------------------------------------------------------------

    def news(self, charger: str, news: FirmwareNews) -> None:
        self._tasks.spawn(self._news(charger, news), f"firmware news of {charger}")

    async def _news(self, charger: str, news: FirmwareNews) -> None:
        try:
            sha256 = self._orders.get(news.order) or self._granted(news.order)
            holds = _HOLDS.get(news.status)
            if sha256 is not None and holds is not None and sha256 in self.cache.files:
                await self.cache.note(charger, sha256, holds)
            if news.ended:
                if news.order in self._running:
                    self._running[news.order] = OVER
                    self._fetcher.ring()
                await self._forget(news.order)
        except (EdgegwError, OSError) as fault:
            log.error("firmware of %s: %s", charger, fault)

    def _granted(self, order: str) -> str | None:
        """After a restart the manifest knows."""
        return next((g.sha256 for g in self.cache.grants.values() if g.order == order), None)


def _no(wish: FetchFirmware, outcome: FetchOutcome, why: str) -> FirmwareFetched:
    return FirmwareFetched(order=wish.order, outcome=outcome, why=why)
