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
from edgegw.files.addresses import AddressGuard, AddressRefused, parse_location
from edgegw.files.forwarding import Forwarder
from edgegw.files.links import NO_DOOR, Doors, upload_links
from edgegw.files.upload_index import UploadSlot
from edgegw.files.uploads import UploadStore
from edgegw.runtime.tasks import Tasks

log = logging.getLogger(__name__)

OPEN_FOR_S = 86_400.0  # a charger on a slow line, which tries again and again
Tell = Callable[[str, UploadOpened | UploadForwarded], None]


class UploadService:
    def __init__(
        self,
        store: UploadStore,
        forwarder: Forwarder,
        guard: AddressGuard,
        allowed: Callable[[str], bool],
        doors: Callable[[], Doors],
        tell: Tell,
        now: Callable[[], Instant],
    ) -> None:
        """`allowed`: whether diagnostics may go to this host."""
        self.store = store
        self.forwarder = forwarder
        self._guard = guard
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
        answer = _no(wish, UploadOutcome.UNABLE, "an error in the box, which is in its log")
        try:
            answer = await self._opened(charger, wish)
        finally:  # also of a bug: the charger's command waits for it
            self._tell(charger, answer)

    async def _opened(self, charger: str, wish: OpenUpload) -> UploadOpened:
        try:
            location = parse_location(wish.url)
            self._check_allowed(location.host)
        except AddressRefused as refused:
            return _no(wish, self._judged(refused), refused.text)
        if not self._doors().all:
            return _no(wish, UploadOutcome.UNABLE, NO_DOOR)
        try:
            links = await self.place(charger, wish.order, wish.kind, wish.url, location.shown)
        except (EdgegwError, OSError) as fault:
            return _no(wish, UploadOutcome.UNABLE, str(fault))
        return UploadOpened(order=wish.order, outcome=UploadOutcome.READY, urls=links)

    def _check_allowed(self, host: str) -> None:
        if not self._allowed(host):
            raise AddressRefused("inward", f"{host} is not one of [files] upload_hosts")

    def _judged(self, refused: AddressRefused) -> UploadOutcome:
        """A charger is sent there itself only if the box could have been."""
        passes = self._guard.lets_pass(refused) and self._allowed(refused.host)
        return UploadOutcome.UNABLE if passes else UploadOutcome.FORBIDDEN

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
        except (EdgegwError, OSError) as fault:
            log.error("upload of %s: %s", charger, fault)

    async def _hand_over(self, charger: str, order: str) -> None:
        try:
            slot = await self.store.hand_over(order)
        finally:
            self.forwarder.wake()  # a full disk forgets at worst; it holds no file back
        if slot is None:
            self._tell(charger, UploadForwarded(order=order, ok=False, why="the box has lost the file"))
        elif slot.told:  # and its charger's session has lost that: a power cut between two books
            self.forwarded(slot, slot.state == "forwarded", slot.error)
        # Else the forwarder tells how it ended, also when nothing arrived.

    async def _give_up(self, news: UploadNews) -> None:
        """Nothing will come. What did come stays for the technician."""
        slot = self.store.slots.get(news.order)
        if slot is None:
            return
        if not slot.path_name:
            await self.store.discard(news.order)
        else:
            await self.store.update(news.order, expires_at=self._now().wall)  # its token opens nothing more

    async def discard(self, order: str) -> None:
        """Somebody on site takes an upload away, also one that the cloud still waits for."""
        slot = self.store.slot(order)
        await self.store.discard(order)
        if slot is not None and slot.is_owed:
            sent = slot.state == "forwarded"
            self.forwarded(slot, sent, "" if sent else "it was removed from the box")

    def forwarded(self, slot: UploadSlot, ok: bool, why: str) -> None:
        self._tell(slot.charger, UploadForwarded(order=slot.order, ok=ok, why=why))


def _no(wish: OpenUpload, outcome: UploadOutcome, why: str) -> UploadOpened:
    return UploadOpened(order=wish.order, outcome=outcome, why=why)
