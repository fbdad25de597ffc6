"""Firmware that the cloud has published on site (OCPP 2.x L03, L04): one link per file, for every charger."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edgegw.core.publishing import Stage
from edgegw.files.cache import FirmwareCache
from edgegw.files.disk import CacheFault
from edgegw.files.doors import Transfer
from edgegw.files.fetch import Fetcher, FetchFailed
from edgegw.files.links import NO_DOOR, Doors, download_links
from edgegw.files.manifest import CachedFile
from edgegw.runtime.publisher import FaultKind, PublishFault

FOR_ALL_S = 100 * 365 * 86_400.0  # until it is unpublished


class SitePublisher:
    """A `runtime.publisher.Publisher` over the cache."""

    def __init__(
        self,
        cache: FirmwareCache,
        fetcher: Fetcher,
        doors: Callable[[], Doors],
        transfers: Callable[[], Iterable[Transfer]],
        wall: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._fetcher = fetcher
        self._doors = doors
        self._transfers = transfers
        self._wall = wall

    async def publish(self, url: str, md5: str, on_stage: Callable[[Stage], None]) -> tuple[str, ...]:
        """The addresses of the file, one per protocol that is served. Raises PublishFault."""
        if not self._doors().all:
            raise PublishFault("publish", NO_DOOR)
        on_stage(Stage.DOWNLOADING)
        try:
            file = await self._fetcher.fetch(url, md5=md5)
        except FetchFailed as failed:
            kind: FaultKind = "checksum" if failed.kind == "checksum" else "download"
            raise PublishFault(kind, failed.text) from failed
        on_stage(Stage.DOWNLOADED)
        on_stage(Stage.VERIFIED)
        try:
            self._cache.update(file.sha256, published=True)
            expires_at = self._wall() + FOR_ALL_S
            grant = await self._cache.grant("", file.sha256, order=_order(md5), expires_at=expires_at)
        except CacheFault as fault:
            raise PublishFault("publish", str(fault)) from fault
        return download_links(self._doors(), grant.token, grant.name)

    def ongoing(self, md5: str) -> bool:
        """Whether a charger is downloading it now, by whatever link."""
        file = self._file(md5)
        if file is None:
            return False
        orders = {grant.order for grant in self._cache.grants.values() if grant.sha256 == file.sha256}
        return any(t.state == "running" and t.order in orders for t in self._transfers())

    async def unpublish(self, md5: str) -> bool:
        """Stop offering it. The file stays while there is room; another order may want it."""
        file = self._file(md5)
        if file is None:
            return False
        self._cache.update(file.sha256, published=False)
        await self._cache.revoke(_order(md5))
        return True

    def _file(self, md5: str) -> CachedFile | None:
        wanted = md5.lower()
        return next((f for f in self._cache.files.values() if f.published and f.md5 == wanted), None)


def _order(md5: str) -> str:
    return f"published-{md5.lower()}"
