"""Received files go on to where the cloud wants them, now or when the link is back.

Rules of this file:
- A file is handed over by the store (`hand_over`); what became of each attempt is written down, so a
  restart goes on where it stopped.
- The address is read, allowed, looked up and checked before every attempt; what was checked is connected to
  (faults 75 and 82).
- Failures are tried again, ever more slowly, until the time is up. A clear no is tried a few times only.
- Whoever waits is told once how it ended, after that is on disk. `told` is written behind it: a crash
  between the two tells again, which is the safe side.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from edgegw.errors import EdgegwError
from edgegw.files.addresses import AddressGuard, AddressRefused, Location, parse_location
from edgegw.files.disk import open_plain
from edgegw.files.lookup import CheckedLookup, Lookup
from edgegw.files.parcel import ForwardSettings, Parcel, Sender, Unwanted
from edgegw.files.source import Retry, socket_words
from edgegw.files.throttle import Throttle
from edgegw.files.upload_index import UploadSlot
from edgegw.files.uploads import UploadStore
from edgegw.runtime.tasks import Tasks

__all__ = ["ForwardSettings", "Forwarder", "backoff_s"]

log = logging.getLogger(__name__)

# A box may have been off for days: time alone never ends the trying.
ATTEMPTS_MIN: Final = 20


class Gone(EdgegwError):
    """There is no file to send."""


OnDone = Callable[[UploadSlot, bool, str], None]


def backoff_s(settings: ForwardSettings, attempts: int) -> float:
    """Seconds to wait after so many attempts."""
    return float(min(settings.wait_s * 2.0 ** min(attempts - 1, 32), settings.wait_max_s))


class Forwarder:
    """Takes care of every slot that the store has handed over."""

    def __init__(
        self,
        store: UploadStore,
        guard: AddressGuard,
        settings: ForwardSettings,
        on_done: OnDone,
        *,
        allowed: Callable[[str], bool] = lambda host: True,
        lookup: Lookup | None = None,
        wait_s: Callable[[int], float] | None = None,
    ) -> None:
        """`on_done`: slot, whether it arrived, why not. `allowed`: whether files may go to this host."""
        self._store = store
        self._settings = settings
        self._on_done = on_done
        self._allowed = allowed
        self._lookup = CheckedLookup(guard, lookup)
        self._wait_s = wait_s or (lambda attempts: backoff_s(settings, attempts))
        self._throttle = Throttle(settings.rate_bytes_per_s)
        self._senders: dict[str, Sender] = {}
        self._turn = asyncio.Semaphore(settings.at_once_max)
        self._bell = asyncio.Event()
        self._under_way: set[str] = set()
        self._tasks = Tasks()

    def start(self) -> None:
        """Go on with what a former run has left."""
        self._take_up()

    def wake(self) -> None:
        """The link is back, or something was handed over: try now."""
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()
        self._take_up()

    async def stop(self) -> None:
        """What is half sent is sent anew after the next start."""
        await self._tasks.cancel()

    def _take_up(self) -> None:
        for slot in self._store.slots.values():
            if slot.is_owed and slot.order not in self._under_way:
                self._under_way.add(slot.order)
                self._tasks.spawn(self._carry(slot.order), f"forwarding of {slot.order}")

    async def _carry(self, order: str) -> None:
        try:
            while (slot := self._store.slot(order)) is not None and slot.state == "forwarding":
                bell = self._bell
                async with self._turn:
                    await self._note(order, await self._attempt(slot))
                slot = self._store.slot(order)
                if slot is not None and slot.state == "forwarding":
                    with suppress(TimeoutError):
                        await asyncio.wait_for(bell.wait(), self._wait_s(slot.attempts))
            if slot is not None:
                await self._tell(slot)
        finally:
            self._under_way.discard(order)

    async def _tell(self, slot: UploadSlot) -> None:
        self._on_done(slot, slot.state == "forwarded", slot.error)
        await self._note(slot.order, {"told": True})

    async def _note(self, order: str, changes: dict[str, Any]) -> None:
        """A disk that cannot be written makes us send again after a restart, not stop now."""
        try:
            await self._store.update(order, **changes)
        except OSError as error:
            log.error("the list of uploads cannot be written: %s", error)

    # --- one attempt ------------------------------------------------------------------------------

    async def _attempt(self, slot: UploadSlot) -> dict[str, Any]:
        """Try once. Returns what has changed about the slot."""
        done = {"attempts": slot.attempts + 1}
        try:
            await self._send(slot)
        except Gone as error:
            return {**done, **self._unwanted(slot, str(error), final=True)}
        except AddressRefused as refused:
            final = refused.kind != "inward"  # a hotspot's log-in page leads inward for a while
            return {**done, **self._unwanted(slot, refused.text, final)}
        except Unwanted as refused:
            return {**done, **self._unwanted(slot, str(refused), final=False)}
        except (Retry, OSError) as error:
            why = socket_words(error) if isinstance(error, OSError) else str(error)
            return {**done, **self._failed(slot, why)}
        log.info("%s of %s has reached %s", slot.kind, slot.charger, slot.remote_shown)
        return {**done, "state": "forwarded", "error": ""}

    async def _send(self, slot: UploadSlot) -> None:
        location = parse_location(slot.remote_url)
        if not self._allowed(location.host):
            raise AddressRefused("scheme", f"{location.host} is not a host that diagnostics may go to")
        addresses = await self._lookup.addresses(location.host, self._settings.connect_timeout_s)
        fd = await self._open(slot)
        try:
            await self._sender(location)(
                location, addresses, Parcel(slot, fd, self._store.disk, self._throttle)
            )
        finally:
            os.close(fd)

    async def _open(self, slot: UploadSlot) -> int:
        path = self._store.path_of(slot.order)
        try:
            if path is not None:
                return await self._store.disk.run(open_plain, path)
        except FileNotFoundError:
            log.error("%s is gone from the disk", path)
        raise Gone("the file is gone from the disk of the box")

    def _unwanted(self, slot: UploadSlot, why: str, final: bool) -> dict[str, Any]:
        refusals = slot.refusals + 1
        if not final and refusals < self._settings.refusals_max:
            return {"refusals": refusals, "error": why}
        log.warning("%s of %s is not wanted at %s: %s", slot.kind, slot.charger, slot.remote_shown, why)
        return {"refusals": refusals, "error": why, "state": "failed"}

    def _failed(self, slot: UploadSlot, why: str) -> dict[str, Any]:
        over = self._store.forwarded_for_s(slot.order) > self._settings.give_up_s
        if not over or slot.attempts + 1 < ATTEMPTS_MIN:
            log.info("%s of %s does not get through: %s", slot.kind, slot.charger, why)
            return {"error": why}
        log.warning("%s of %s is given up: %s", slot.kind, slot.charger, why)
        return {"error": why, "state": "failed"}

    def _sender(self, location: Location) -> Sender:
        """Made when its protocol is first needed: a box that never sends by sftp does not load it."""
        kind = "http" if location.scheme == "https" else location.scheme
        if kind not in self._senders:
            self._senders[kind] = _load(kind)(self._settings, self._store.disk)
        return self._senders[kind]


def _load(kind: str) -> Callable[..., Sender]:
    if kind == "http":
        from edgegw.files.forward_http import HttpSender

        return HttpSender
    if kind == "ftp":
        from edgegw.files.forward_ftp import FtpSender

        return FtpSender
    from edgegw.files.forward_sftp import SftpSender

    return SftpSender
