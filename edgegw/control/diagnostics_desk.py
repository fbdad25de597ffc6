"""What people ask and order about diagnostics: what chargers uploaded, and fetching some for the site.

Whether a charger may be asked now (never while the cloud's own upload runs) is its session's decision. One
that was asked for on site before is replaced: a charger that rebooted in the middle of it never ends it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from edgegw.control import firmware_models as models
from edgegw.control.file_house import FileRooms, SlotSeen
from edgegw.control.file_streams import FileStreams
from edgegw.control.firmware_desk import rooms_of
from edgegw.control.firmware_view import HERE, failure_of, upload_view
from edgegw.control.problem import Problem
from edgegw.errors import EdgegwError
from edgegw.runtime.gateway import Gateway

log = logging.getLogger("edgegw.control")


class FileToSend(NamedTuple):
    """`close` it in any case."""

    name: str
    size_bytes: int
    blocks: AsyncIterator[bytes]
    close: Callable[[], None]


class DiagnosticsDesk:
    def __init__(self, gateway: Gateway, rooms: FileRooms | None, streams: FileStreams) -> None:
        self._gateway = gateway
        self._given = rooms
        self._streams = streams

    @property
    def _rooms(self) -> FileRooms:
        return rooms_of(self._given)

    def uploads(self) -> models.UploadList:
        """Newest first."""
        slots = sorted(self._rooms.house.slots.values(), key=lambda slot: slot.created_at, reverse=True)
        return models.UploadList(uploads=tuple(self._seen(slot) for slot in slots))

    def upload(self, order: str) -> models.UploadView:
        return self._seen(self._slot(order))

    async def ask(self, identity: str, kind: models.LogKind, asker: str) -> models.UploadView:
        """Order one; it is on its way when this returns."""
        rooms = self._rooms
        session = self._gateway.sessions.get(identity)
        if session is None and identity not in self._gateway.settings.known:
            raise Problem(404, "no_such_charger", f"no charger {identity!r} is known here")
        if session is None or session.charger_leg is None:
            raise Problem(409, "not_connected", f"{identity} is not connected")
        try:
            asked = await rooms.logs.ask(identity, kind)
        except EdgegwError as fault:
            raise Problem(409, "no_place", f"{identity} cannot upload here: {fault}") from fault
        if asked.failed:
            await rooms.house.discard(asked.order)
            raise Problem(409, "refused", f"{identity} gives no log now: {asked.why or asked.status}")
        log.info("%s asked %s for its %s log: %s", asker, identity, kind, asked.order)
        return self.upload(asked.order)

    async def file(self, order: str) -> FileToSend:
        slot = self._slot(order)
        path = self._rooms.house.path_of(order)
        if path is None or slot.state not in HERE:
            raise Problem(409, "not_here", f"the file of {order} is not here: {self._seen(slot).state}")
        try:
            file = await self._streams.open(path)
        except OSError as error:
            raise Problem(410, "gone", f"the file of {order} is gone: {error.strerror}") from error
        name = slot.sent_name or slot.asked_name or f"{slot.charger}-{slot.kind}.log"
        size_bytes = os.fstat(file.fileno()).st_size
        return FileToSend(name, size_bytes, self._streams.read(file), file.close)

    async def remove(self, order: str, *, force: bool, asker: str) -> models.UploadRemoved:
        slot = self._slot(order)
        if slot.state == "receiving":
            raise Problem(409, "receiving", f"{slot.charger} is uploading {order} right now")
        if slot.remote_url and slot.state in ("received", "forwarding") and not force:
            text = f"{order} has not reached the cloud's address yet; with force it never will"
            raise Problem(409, "not_forwarded", text)
        await self._rooms.house.discard(order)
        log.info("%s removed the upload %s of %s", asker, order, slot.charger)
        return models.UploadRemoved(order=order)

    def _slot(self, order: str) -> SlotSeen:
        slot = self._rooms.house.slots.get(order)
        if slot is not None:
            return slot
        asked = self._rooms.logs.known.get(order)
        if asked is not None and asked.failed:  # nothing came, so its place was taken back
            raise Problem(410, "no_log", f"{asked.charger} gave no log: {failure_of(asked)}")
        raise Problem(404, "no_such_upload", f"there is no upload {order!r}")

    def _seen(self, slot: SlotSeen) -> models.UploadView:
        return upload_view(slot, self._rooms.logs.known.get(slot.order))
