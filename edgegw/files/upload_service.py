"""Diagnostics from chargers: a place for each, and the way on to where the cloud wants it.

Rules of this file:
- The cloud chooses where diagnostics go only among the hosts that the site allows (fault 82). What the name
  of a host stands for is looked at when the file is sent, not before.
- Whatever becomes of a file that the cloud wants is told to its charger's session exactly once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgegw.core.events import Instant
from edgegw.core.files import OpenUpload, UploadForwarded, UploadNews, UploadOpened, UploadOutcome
from edgegw.errors import EdgegwError
from edgegw.files.addresses import AddressRefused, parse_location
from edgegw.files.disk import CacheFault
from edgegw.files.forwarding import Forwarder
from edgegw.files.links import Doors, upload_links
from edgegw.files.upload_index import UploadSlot
from edgegw.files.uploads import UploadsFull, UploadStore
from edgegw.runtime.tasks import Tasks

log = logging.getLogger(__name__)

OPEN_FOR_S = 86_400.0  # a charger on a slow line, which tries again and again
Tell = Callable[[str, UploadOpened | UploadForwarded], None]


class UploadService:
    def __init__(
        self,
        store: UploadStore,
        forwarder: Forwarder,
        allowed: Callable[[str], bool],
        doors: Callable[[], Doors],
        tell: Tell,
        now: Callable[[], Instant],
    ) -> None:
        """`allowed`: whether diagnostics may go to this host."""
        self.store = store
        self.forwarder = forwarder
        self._allowed = allowed
        self._doors = doors
        self._tell = tell
        self._now = now
        self._tasks = Tasks()

    async def close(self) -> None:
        await self._tasks.cancel()

    # --- a place ----------------------------------------------------------------------------------

    def open(self, charger: str, wish: OpenUpload) -> None:
        self._tasks.spawn(self._open(charger, wish), f"upload of {charger}")

    async def _open(self, charger: str, wish: OpenUpload) -> None:
        self._tell(charger, await self._opened(charger, wish))

    async def _opened(self, charger: str, wish: OpenUpload) -> UploadOpened:
        try:
            location = parse_location(wish.url)
        except AddressRefused as refused:
            return UploadOpened(order=wish.order, outcome=UploadOutcome.FORBIDDEN, why=refused.text)
        if not self._allowed(location.host):
            why = f"{location.host} is not one of [files] upload_hosts"
            return UploadOpened(order=wish.order, outcome=UploadOutcome.FORBIDDEN, why=why)
        try:
            links = await self.place(charger, wish.order, wish.kind, wish.url, location.shown)
        except (UploadsFull, CacheFault) as fault:
            return UploadOpened(order=wish.order, outcome=UploadOutcome.UNABLE, why=str(fault))
        return UploadOpened(order=wish.order, outcome=UploadOutcome.READY, urls=links)

    async def place(
        self, charger: str, order: str, kind: str, remote_url: str = "", shown: str = ""
    ) -> tuple[str, ...]:
        """Addresses for one upload, one per protocol. Raises EdgegwError when there is no room."""
        expires_at = self._now().wall + OPEN_FOR_S
        slot = await self.store.open_slot(
            order, charger, kind=kind, remote_url=remote_url, remote_shown=shown, expires_at=expires_at
        )
        return upload_links(self._doors(), slot.token, remote_url)

    # --- what the charger says --------------------------------------------------------------------

    def news(self, charger: str, news: UploadNews) -> None:
        self._tasks.spawn(self._news(charger, news), f"upload news of {charger}")

    async def _news(self, charger: str, news: UploadNews) -> None:
        try:
            if news.status == "Sent" and news.file_name:
                await self.store.update(news.order, asked_name=news.file_name)
            elif news.status == "Uploaded" and news.ended:
                await self._hand_over(charger, news.order)
            elif news.ended:
                await self._give_up(news)
        except EdgegwError as fault:
            log.error("upload of %s: %s", charger, fault)

    async def _hand_over(self, charger: str, order: str) -> None:
        slot = await self.store.hand_over(order)
        if slot is None:
            self._tell(charger, UploadForwarded(order=order, ok=False, why="the box has lost the file"))
        elif slot.told:  # and its charger's session has lost that: a power cut between two books
            self.forwarded(slot, slot.state == "forwarded", slot.error)
        elif slot.remote_url:
            self.forwarder.wake()  # it tells how that ended, also when nothing arrived

    async def _give_up(self, news: UploadNews) -> None:
        """Nothing will come. What did come stays for the technician."""
        slot = self.store.slots.get(news.order)
        if slot is not None and not slot.path_name:
            await self.store.discard(news.order)

    def forwarded(self, slot: UploadSlot, ok: bool, why: str) -> None:
        self._tell(slot.charger, UploadForwarded(order=slot.order, ok=ok, why=why))
