"""Where chargers' uploads are kept: one slot per order, files under random names, quotas.

Rules of this file:
- A slot is durable before its address is given away; a file is durable, and the index says so, before the
  charger hears that it was taken.
- One file per slot. A second one replaces the first until the charger has said that the upload is complete.
- When a quota binds, the oldest file that nobody waits for goes first: forwarded, kept or given up. A file
  that still has to be forwarded never goes; then the new upload is refused instead.
- An upload that was cut leaves nothing, and the charger may start again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from edgegw.errors import EdgegwError
from edgegw.files.arrivals import Arrivals
from edgegw.files.disk import Disk
from edgegw.files.receiving import PartFile, Reception, UploadRefused
from edgegw.files.stamps import StampClock, always, slot_moved, stamped
from edgegw.files.upload_index import IndexFile, UploadSlot, new_token, storable
from edgegw.files.upload_quota import FREE_BYTES_MIN, Quotas, UploadLimits
from edgegw.files.upload_start import found_slots

log = logging.getLogger(__name__)

SLOTS_MAX = 2000  # 20 per charger of a big site; a cloud that orders more is at fault (fault 81)
HAND_OVER_WAIT_S = 15.0  # for the fsync of a file whose charger did not wait for our answer


class UploadsFull(EdgegwError):
    """Too many uploads are wanted at once."""


class UploadStore:
    """All slots and the files in them."""

    def __init__(
        self,
        directory: Path,
        limits: UploadLimits,
        wall: Callable[[], float],
        trusted: Callable[[], bool] = always,
    ) -> None:
        """`trusted`: whether `wall` can be right."""
        self.limits = limits
        self.file_bytes_max = limits.file_bytes_max
        self.folder = directory / "files"
        self._clock = StampClock(wall, trusted, self._move_stamps)
        self._slots: dict[str, UploadSlot] = {}
        self.slots: Mapping[str, UploadSlot] = MappingProxyType(self._slots)  # by order
        self._tokens: dict[str, str] = {}
        self._quotas = Quotas(limits)
        self._arriving = Arrivals()
        self.disk = Disk()
        self._index = IndexFile(directory / "uploads.json", lambda: self._slots, self.disk)

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        file_bytes_max: int,
        charger_quota_bytes: int,
        total_quota_bytes: int,
        keep_s: float,
        wall: Callable[[], float],
        trusted: Callable[[], bool] = always,
        free_bytes_min: int = FREE_BYTES_MIN,
    ) -> UploadStore:
        limits = UploadLimits(
            file_bytes_max=file_bytes_max,
            charger_quota_bytes=charger_quota_bytes,
            total_quota_bytes=total_quota_bytes,
            keep_s=keep_s,
            free_bytes_min=free_bytes_min,
        )
        store = cls(directory, limits, wall, trusted)
        await store.disk.run(directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        await store._load()
        await store.sweep()
        return store

    async def close(self) -> None:
        self.disk.close()

    # --- slots ------------------------------------------------------------------------------------

    def slot(self, order: str) -> UploadSlot | None:
        return self._slots.get(order)

    def slot_of(self, token: str) -> UploadSlot | None:
        """The slot that this token opens; None when it is unknown or has expired."""
        now = self._clock.judging()
        slot = self._slots.get(self._tokens.get(token, ""))
        return slot if slot is not None and slot.expires_at > now else None

    def path_of(self, order: str) -> Path | None:
        slot = self._slots.get(order)
        return self.folder / slot.path_name if slot is not None and slot.path_name else None

    async def open_slot(
        self,
        order: str,
        charger: str,
        *,
        expires_at: float,
        kind: str = "diagnostics",
        remote_url: str = "",
        remote_shown: str = "",
    ) -> UploadSlot:
        """A place for one upload, durable. An order that has a slot keeps it and its token."""
        now = self._clock()
        old = self._slots.get(order)
        if old is None:
            await self._make_slot_room()
            new = UploadSlot(
                order=order,
                charger=charger,
                token=new_token(),
                expires_at=expires_at,
                created_at=now,
                kind=kind,
                remote_url=remote_url,
                remote_shown=remote_shown,
            )
            slot = stamped(new, self._clock.trusted, created_at=now, expires_at=expires_at)
        else:
            slot = msgspec.structs.replace(old, expires_at=max(expires_at, old.expires_at))
        self._set(slot)
        try:
            await self._index.save()
        except OSError:
            if old is None:
                await self._forget([slot])
            raise
        return self._slots.get(order, slot)  # it may be discarded by now: its charger hung up

    async def update(self, order: str, **changes: Any) -> UploadSlot | None:
        """Change fields of a slot, durably; None when there is no such slot any more."""
        slot = self._slots.get(order)
        if slot is None:
            return None
        self._set(msgspec.structs.replace(slot, **changes))
        await self._index.save()
        return self._slots.get(order)

    async def hand_over(self, order: str) -> UploadSlot | None:
        """The charger says that its upload is complete: nothing more is taken, the file may go its way.

        Whoever ordered an upload that stays on site looks for himself: only a forwarder has somebody to tell.
        """
        # It may report over OCPP before it has our answer, while the file is being synced.
        await self._arriving.over(order, HAND_OVER_WAIT_S)
        slot = self._slots.get(order)
        if slot is None or not slot.accepts:
            return slot
        now = self._clock()
        self._set(stamped(self._slots[order], self._clock.trusted, handed_at=now))
        told = not slot.remote_url
        if not slot.path_name:
            return await self.update(order, state="failed", error="nothing arrived at the box", told=told)
        return await self.update(order, state="forwarding" if slot.remote_url else "kept", told=told)

    def forwarded_for_s(self, order: str) -> float:
        """How long this file has been on its way; 0 while the clock cannot tell."""
        now = self._clock()
        slot = self._slots.get(order)
        return now - slot.handed_at if slot is not None and self._clock.trusted else 0.0

    async def discard(self, order: str) -> None:
        """Take the slot back, and what is in it."""
        if order in self._slots:
            await self._forget([self._slots[order]])

    async def sweep(self) -> None:
        """Forget what is past its time. Cheap; called when slots are opened, and now and then."""
        now = self._clock.judging()
        idle = (slot for slot in self._slots.values() if slot.order not in self._arriving)
        await self._forget([slot for slot in idle if slot.is_over(now, self.limits.keep_s)])

    async def _make_slot_room(self) -> None:
        if len(self._slots) < SLOTS_MAX:
            return
        await self.sweep()
        oldest = sorted(self._idle(), key=lambda slot: slot.created_at)
        await self._forget(oldest[: len(self._slots) - SLOTS_MAX + 1])
        if len(self._slots) >= SLOTS_MAX:
            raise UploadsFull(f"{SLOTS_MAX} uploads are wanted or kept already")

    def _idle(self) -> list[UploadSlot]:
        """The slots that may go."""
        now = self._clock.judging()
        return [slot for slot in self._slots.values() if slot.may_go(now)]

    # --- files ------------------------------------------------------------------------------------

    async def receive(self, token: str, declared_bytes: int | None = None) -> Reception:
        """Begin an upload. Raises UploadRefused; the caller must finish or abort what it is given."""
        slot = self.slot_of(token)
        if slot is None or not slot.accepts:
            raise UploadRefused("closed", "no upload is wanted here any more")
        if (declared_bytes or 0) > self.file_bytes_max:
            raise UploadRefused("too_large", f"more than {self.file_bytes_max} bytes")
        await self.make_room(slot.charger, declared_bytes or 0)
        part = await self.disk.run(PartFile, self.folder, self.limits.free_bytes_min)
        self._arriving.begun(slot.order)
        if slot.state == "open":
            self._set(msgspec.structs.replace(self._slots.get(slot.order, slot), state="receiving"))
        return Reception(self, slot, part)

    async def make_room(self, charger: str, size_bytes: int) -> None:
        """Drop what may go until `size_bytes` more fit both quotas; UploadRefused when they cannot."""
        while (tight := self._quotas.tight(charger, size_bytes)) is not None:
            mine = [s for s in self._idle() if s.path_name and (tight == "total" or s.charger == charger)]
            if not mine:
                raise UploadRefused("no_room", f"the {tight} quota for uploads is used up")
            oldest = min(mine, key=lambda slot: slot.received_at)
            log.info("upload %s of %s makes room", oldest.order, oldest.charger)
            await self._forget([oldest])

    def count(self, charger: str, size_bytes: int) -> None:
        """Bytes of a growing part, or (negative) of one that is no more."""
        self._quotas.count(charger, size_bytes)

    def left(self, order: str) -> None:
        """A reception of this order has ended, one way or the other."""
        self._arriving.ended(order)
        slot = self._slots.get(order)
        if slot is not None and slot.state == "receiving" and order not in self._arriving:
            self._set(msgspec.structs.replace(slot, state="open"))

    async def keep(self, order: str, file: dict[str, Any]) -> UploadSlot:
        """A whole file has its last name: put it into its slot, durably."""
        now = self._clock()
        old = self._slots.get(order)
        if old is None or not old.accepts:
            await self._unlink(file["path_name"])
            raise UploadRefused("closed", "no upload is wanted here any more")
        new = stamped(old, self._clock.trusted, received_at=now)
        new = storable(msgspec.structs.replace(new, state="received", **file))
        self._set(new)
        try:
            await self._index.save()
        except OSError as error:
            if self._slots.get(order) is new:
                self._set(old)
            await self._unlink(new.path_name)
            raise UploadRefused("no_room", "the box cannot write to its disk") from error
        await self._unlink(old.path_name)
        return new

    # --- book-keeping -----------------------------------------------------------------------------

    def _set(self, new: UploadSlot) -> None:
        slot = storable(new)
        old = self._slots.get(slot.order)
        self.count(slot.charger, slot.size_bytes - (old.size_bytes if old is not None else 0))
        self._slots[slot.order] = slot
        self._tokens[slot.token] = slot.order

    async def _forget(self, slots: list[UploadSlot]) -> None:
        """The index first: a file that nobody knows is cleared away at the next start."""
        for slot in slots:
            gone = self._slots.pop(slot.order, None)
            self._tokens.pop(slot.token, None)
            self.count(slot.charger, -gone.size_bytes if gone is not None else 0)
        if slots:
            await self._save_or_say()
        for slot in slots:
            await self._unlink(slot.path_name)

    async def _save_or_say(self) -> None:
        """A full disk must not keep us from making room; a file that is gone is noticed at the next start."""
        try:
            await self._index.save()
        except OSError as error:
            log.error("the list of uploads cannot be written: %s", error)

    async def _unlink(self, path_name: str) -> None:
        if path_name:
            await self.disk.run((self.folder / path_name).unlink, missing_ok=True)

    async def _load(self) -> None:
        known = await self._index.load()
        now, trusted = self._clock(), self._clock.trusted
        for slot in await self.disk.run(found_slots, self.folder, known, now, trusted):
            self._set(slot)
        if trusted:
            self._move_stamps(now)

    def _move_stamps(self, now: float) -> None:
        """The clock has been set. On disk with the next change; until then a start does it again."""
        for slot in list(self._slots.values()):
            self._set(slot_moved(slot, now))
