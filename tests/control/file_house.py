"""A house that keeps files: real cache, uploads and rollouts; only the doors to chargers are missing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path

from edgegw.control.file_house import FileHouse, FileRooms
from edgegw.core.files import FilesPolicy
from edgegw.core.records import Recovery
from edgegw.errors import EdgegwError
from edgegw.files.cache import FirmwareCache
from edgegw.files.doors import Transfer
from edgegw.files.download import FetchProgress
from edgegw.files.manifest import CachedFile
from edgegw.files.signing import keep_signature
from edgegw.files.upload_index import UploadSlot
from edgegw.files.uploads import UploadStore
from edgegw.runtime.log_orders import LogOrders
from edgegw.runtime.rollouts import NotForThisCharger, Rollouts
from tests.control.house import House, Wire

FILE_BYTES_MAX = 3_000_000


class Shelf:
    """The file service as the desks see it, and what makes links and places for it."""

    def __init__(self, folder: Path, cache: FirmwareCache, uploads: UploadStore) -> None:
        self.receiving = folder / "receiving"
        self.receiving.mkdir(exist_ok=True)
        self.file_bytes_max = FILE_BYTES_MAX
        self.transfers: list[Transfer] = []
        self.fetching: list[FetchProgress] = []
        self.cache = cache
        self.uploads = uploads
        self.no_link = ""  # why there is none for any charger
        self.no_link_for: dict[str, str] = {}

    @property
    def files(self) -> Mapping[str, CachedFile]:
        return self.cache.files

    @property
    def slots(self) -> Mapping[str, UploadSlot]:
        return self.uploads.slots

    async def make_room(self, size_bytes: int) -> None:
        await self.cache.make_room(size_bytes)

    async def add_local(
        self, source: Path, *, name: str, vendor: str, model: str, version: str
    ) -> CachedFile:
        return await self.cache.add_local(source, name=name, vendor=vendor, model=model, version=version)

    async def remove(self, sha256: str) -> bool:
        return await self.cache.remove(sha256)

    def path_of(self, order: str) -> Path | None:
        return self.uploads.path_of(order)

    async def discard(self, order: str) -> None:
        await self.uploads.discard(order)

    def signed(self, sha256: str) -> tuple[str, str]:
        file = self.files[sha256]
        return file.certificate, file.signed

    async def sign(self, sha256: str, certificate: str, signature: str) -> CachedFile:
        return await keep_signature(self.cache, sha256, certificate, signature, time.time())

    async def link(self, identity: str, sha256: str, order: str) -> str:
        if identity in self.no_link_for:
            raise NotForThisCharger(self.no_link_for[identity])
        if self.no_link:
            raise EdgegwError(self.no_link)
        grant = await self.cache.grant(identity, sha256, order=order, expires_at=time.time() + 3600)
        return f"http://192.0.2.1:9080/fw/{grant.token}/{grant.name}"

    async def place(self, identity: str, order: str, kind: str) -> str:
        if self.no_link:
            raise EdgegwError(self.no_link)
        slot = await self.uploads.open_slot(order, identity, kind=kind, expires_at=time.time() + 3600)
        return f"http://192.0.2.1:9080/up/{slot.token}/"

    async def close(self) -> None:
        await self.cache.close()
        await self.uploads.close()


class FilesHouse(House):
    shelf: Shelf
    rooms: FileRooms

    async def open_files(self, recovery: Recovery) -> FileRooms:
        cache = await FirmwareCache.open(
            self.folder / "cache", quota_bytes=20_000_000, wall=time.time, disk_reserve_bytes=0
        )
        uploads = await UploadStore.open(
            self.folder / "uploads",
            file_bytes_max=FILE_BYTES_MAX,
            charger_quota_bytes=FILE_BYTES_MAX,
            total_quota_bytes=FILE_BYTES_MAX,
            keep_s=1e6,
            wall=time.time,
            free_bytes_min=0,
        )
        self.shelf = Shelf(self.folder, cache, uploads)
        gateway = self.gateway
        gateway.site.files = FilesPolicy(works=True)
        rollouts = Rollouts(gateway.sessions, self.shelf, gateway.commit, gateway.note, UTC)
        rollouts.recover(recovery.documents)
        logs = LogOrders(gateway.sessions, self.shelf)
        gateway.file_listeners += [rollouts.on_news, logs.on_news]
        house: FileHouse = self.shelf
        self.rooms = FileRooms(house, rollouts, logs)
        rollouts.start()
        return self.rooms

    async def stop(self) -> None:
        await self.rooms.rollouts.stop()
        await super().stop()
        await self.shelf.close()

    async def idles(self, identity: str) -> Wire:
        """A 1.6 charger that booted and whose connector is free."""
        charger = await self.boots(identity)
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        asked = charger.calls("StatusNotification", status)
        cloud = self.cloud.wires[identity]
        assert (await cloud.hears())[1] == asked
        cloud.says([3, asked, {}])
        assert (await charger.hears())[1] == asked
        return charger

    async def gets_update(self, charger: Wire) -> str:
        """The charger accepts the site's update; the link it was given."""
        frame = await charger.hears()
        assert frame[2] == "UpdateFirmware", frame
        charger.says([3, frame[1], {}])
        return frame[3]["location"]

    async def reports(self, charger: Wire, *statuses: str, log: bool = False) -> None:
        """The box answers these itself: the cloud hears nothing of them."""
        action = "DiagnosticsStatusNotification" if log else "FirmwareStatusNotification"
        for status in statuses:
            asked = charger.calls(action, {"status": status})
            assert (await charger.hears())[:2] == [3, asked]

    async def takes_log_order(self, charger: Wire, name: str = "log.zip") -> list:
        frame = await charger.hears()
        assert frame[2] == "GetDiagnostics", frame
        charger.says([3, frame[1], {"fileName": name}])
        return frame

    async def uploads_log(self, charger: Wire, data: bytes, name: str = "log.zip") -> str:
        """The charger is asked for its log, uploads it and says so; the order."""
        frame = await self.takes_log_order(charger, name)
        token = frame[3]["location"].rpartition("/up/")[2].strip("/")
        reception = await self.shelf.uploads.receive(token)
        await reception.write(data)
        slot = await reception.finish(method="PUT", sent_name=name)
        await self.reports(charger, "Uploading", "Uploaded", log=True)
        await self.shelf.uploads.hand_over(slot.order)
        return slot.order
