"""The file service of the box: cache, doors, uploads and the way on, started and stopped together.

`perform` is what the runtime calls; everything else is for people, the own station and rollouts.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from edgegw.core.events import Instant
from edgegw.core.files import (
    FetchFirmware,
    FileEffect,
    FirmwareFetched,
    FirmwareNews,
    OpenUpload,
    UploadForwarded,
    UploadOpened,
)
from edgegw.errors import EdgegwError
from edgegw.files.addresses import AddressGuard
from edgegw.files.cache import FirmwareCache
from edgegw.files.doors import Doorkeeper, Transfer
from edgegw.files.download import FetchProgress
from edgegw.files.fetch import Fetcher
from edgegw.files.firmware_service import FirmwareService
from edgegw.files.forwarding import Forwarder
from edgegw.files.front import Front
from edgegw.files.hosts import host_fits
from edgegw.files.house_settings import HouseSettings
from edgegw.files.links import Doors
from edgegw.files.manifest import CachedFile
from edgegw.files.patience import PatientFetcher
from edgegw.files.publishing import SitePublisher
from edgegw.files.signing import keep_signature
from edgegw.files.upload_index import UploadSlot
from edgegw.files.upload_service import UploadService
from edgegw.files.uploads import UploadStore
from edgegw.runtime.rollouts import NotForThisCharger
from edgegw.runtime.tasks import Tasks

__all__ = ["FileHouse", "HouseSettings", "NoLink"]

TIDY_EVERY_S = 3600.0
INCOMING = "incoming"
LINK_LIFETIME_S = 14 * 86_400.0  # of a rollout's link: a charger that waits for its window

FileAnswer = FirmwareFetched | UploadOpened | UploadForwarded
Chooser = Callable[[str, Sequence[str]], str | None]


class NoLink(NotForThisCharger):
    """The charger knows none of the protocols that are served here."""


class DoorsShut(EdgegwError):
    """The door that this charger would need is not open; the text says why, and what to do."""


class FileHouse:
    """`await FileHouse.open(...)`, then `start` before chargers come, `stop` when they are gone."""

    def __init__(
        self,
        settings: HouseSettings,
        cache: FirmwareCache,
        uploads: UploadStore,
        tell: Callable[[str, FileAnswer], None],
        choose: Chooser,
        now: Callable[[], Instant],
        online: Callable[[], bool],
    ) -> None:
        """`tell` takes answers to a charger's session; `choose` picks of some links one for a charger."""
        guard = AddressGuard(settings.inward)
        self.publisher: SitePublisher
        self._settings = settings
        self._cache = cache
        self._store = uploads
        self._choose = choose
        self._now = now
        self._tasks = Tasks()
        self._fetcher = Fetcher(cache, guard, settings.fetch, self._wall)
        self._keeper = Doorkeeper(settings.doors, self._wall)
        self._front = Front(cache, uploads, self._keeper, self._wall)
        self._forwarder = Forwarder(
            uploads, guard, settings.forward, self._forwarded, allowed=self._may_go_to
        )
        self._patient = PatientFetcher(
            self._fetcher, online, settings.fetch_give_up_s, settings.fetch_again_s
        )
        self._firmware = FirmwareService(cache, self._patient, self._keeper.troubled, self._doors, tell, now)
        self._uploads = UploadService(
            uploads, self._forwarder, guard, self._may_go_to, self._doors, tell, now
        )
        self.publisher = SitePublisher(cache, self._fetcher, self._doors, lambda: self.transfers, self._wall)

    @classmethod
    async def open(
        cls,
        settings: HouseSettings,
        tell: Callable[[str, FileAnswer], None],
        choose: Chooser,
        now: Callable[[], Instant],
        online: Callable[[], bool] = lambda: True,
    ) -> FileHouse:
        """Read what is there. `online`: whether the box has a line to the outside.

        Raises EdgegwError or OSError when the folder cannot be used.
        """

        def wall() -> float:
            return now().wall

        def trusted() -> bool:
            return now().trusted

        def sweep() -> None:
            """What a person was adding when the box stopped was never whole."""
            incoming = settings.directory / INCOMING
            incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in incoming.iterdir():
                left.unlink()

        cache = await FirmwareCache.open(
            settings.directory, quota_bytes=settings.cache_bytes, wall=wall, trusted=trusted
        )
        await cache.disk.run(sweep)
        uploads = await UploadStore.open(
            settings.directory / "uploads",
            file_bytes_max=settings.largest_upload_bytes,
            charger_quota_bytes=settings.uploads_per_charger_bytes,
            total_quota_bytes=settings.uploads_total_bytes,
            keep_s=settings.upload_keep_s,
            wall=wall,
            trusted=trusted,
        )
        return cls(settings, cache, uploads, tell, choose, now, online)

    # --- start and stop ---------------------------------------------------------------------------

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Open the doors; one that is taken is tried again, see `shut`."""
        await self._front.open(self._settings.places, tls)
        self._forwarder.start()
        self._tasks.spawn(self._tidy(), "uploads past their time")

    @property
    def doors(self) -> Doors:
        return self._front.doors

    @property
    def shut(self) -> Mapping[str, str]:
        """Doors that could not be opened yet, by their key in the site file: why, and what to do."""
        return self._front.shut

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_EVERY_S)
            await self._store.sweep()

    async def stop(self) -> None:
        """Doors first; what is half fetched or half sent goes on after the next start."""
        await self._tasks.cancel()
        await self._front.close()
        await self._firmware.close()
        await self._uploads.close()
        await self._forwarder.stop()
        await self._fetcher.close()
        await self._store.close()
        await self._cache.close()
        self._keeper.close()

    # --- what chargers' decisions want --------------------------------------------------------------

    def perform(self, identity: str, effect: FileEffect) -> None:
        """A `runtime.ports.FilesPort`."""
        if isinstance(effect, FetchFirmware):
            self._firmware.fetch(identity, effect)
        elif isinstance(effect, FirmwareNews):
            self._firmware.news(identity, effect)
        elif isinstance(effect, OpenUpload):
            self._uploads.open(identity, effect)
        else:
            self._uploads.news(identity, effect)

    def cloud_is_back(self) -> None:
        self._forwarder.wake()
        self._patient.ring()

    def _forwarded(self, slot: UploadSlot, ok: bool, why: str) -> None:
        self._uploads.forwarded(slot, ok, why)

    def _may_go_to(self, host: str) -> bool:
        """No list: any host. What the host's name leads to is checked when something is sent to it."""
        allowed = self._settings.upload_hosts
        return not allowed or any(host_fits(host, pattern) for pattern in allowed)

    # --- for rollouts and people --------------------------------------------------------------------

    async def link(self, identity: str, sha256: str, order: str) -> str:
        """The link to a cached file that this charger can use. Raises EdgegwError."""
        until = self._wall() + LINK_LIFETIME_S
        return self._chosen(identity, await self._firmware.link(identity, sha256, order, until))

    def signed(self, sha256: str) -> tuple[str, str]:
        """(certificate, signature) that go with a file; empty when nobody signed it."""
        file = self._cache.files.get(sha256)
        return (file.certificate, file.signed) if file is not None else ("", "")

    async def sign(self, sha256: str, certificate: str, signature: str) -> CachedFile:
        """Keep the signature of a file with it. Raises EdgegwError when it does not fit the file."""
        now = self._now()
        dated = now.wall if now.trusted else None
        return await keep_signature(self._cache, sha256, certificate, signature, dated)

    async def place(self, identity: str, order: str, kind: str) -> str:
        """An address for one upload that stays on site. Raises EdgegwError."""
        return self._chosen(identity, await self._uploads.place(identity, order, kind))

    def _chosen(self, identity: str, links: Sequence[str]) -> str:
        link = self._choose(identity, links)
        if link is None and self.shut:
            raise DoorsShut("; ".join(self.shut.values()))
        if link is None:
            served = ", ".join(self.doors.protocols)
            raise NoLink(f"{identity} knows none of the protocols that are served here ({served})")
        return link

    @property
    def files(self) -> Mapping[str, CachedFile]:
        return self._cache.files

    @property
    def fetching(self) -> Sequence[FetchProgress]:
        return self._fetcher.progress

    @property
    def transfers(self) -> Iterable[Transfer]:
        return tuple(self._keeper.transfers)

    def troubled(self, order: str) -> bool:
        """Whether it was the box's doing that a charger did not get its file: it is worth another try."""
        return self._keeper.troubled(order)

    @property
    def slots(self) -> Mapping[str, UploadSlot]:
        return self._store.slots

    @property
    def receiving(self) -> Path:
        return self._settings.directory / INCOMING

    @property
    def file_bytes_max(self) -> int:
        return self._settings.fetch.file_bytes_max

    async def make_room(self, size_bytes: int) -> None:
        await self._cache.make_room(size_bytes)

    async def add_local(
        self, source: Path, *, name: str, vendor: str, model: str, version: str
    ) -> CachedFile:
        return await self._cache.add_local(source, name=name, vendor=vendor, model=model, version=version)

    async def remove(self, sha256: str) -> bool:
        return await self._cache.remove(sha256)

    def path_of(self, order: str) -> Path | None:
        return self._store.path_of(order)

    async def discard(self, order: str) -> None:
        """Take an upload away; a session that waits for it hears so."""
        await self._uploads.discard(order)

    def _doors(self) -> Doors:
        return self._front.doors

    def _wall(self) -> float:
        return self._now().wall
