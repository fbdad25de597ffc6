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

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from edgegw.errors import EdgegwError
from edgegw.files.disk import Disk
from edgegw.files.receiving import PartFile, Reception, UploadRefused, clear_folder
from edgegw.files.upload_index import DROPPABLE, IndexFile, UploadSlot, UploadState

log = logging.getLogger(__name__)

SLOTS_MAX = 2000  # 20 per charger of a big site; a cloud that orders more is at fault (fault 81)
TOKEN_BYTES = 24  # 192 random bits
FREE_BYTES_MIN = 64 << 20  # left on the disk for the journal: hours of an outage
HAND_OVER_WAIT_S = 15.0  # for the fsync of a file whose charger did not wait for our answer

ACCEPTING: frozenset[UploadState] = frozenset({"open", "receiving", "received"})


class UploadsFull(EdgegwError):
    """Too many uploads are wanted at once."""


class UploadLimits(msgspec.Struct, frozen=True, kw_only=True):
    file_bytes_max: int
    charger_quota_bytes: int
    total_quota_bytes: int
    keep_s: float
    free_bytes_min: int = FREE_BYTES_MIN


class UploadStore:
    """All slots and the files in them."""

    def __init__(self, directory: Path, limits: UploadLimits, wall: Callable[[], float]) -> None:
        self.limits = limits
        self.file_bytes_max = limits.file_bytes_max
        self.folder = directory / "files"
        self.received: Callable[[UploadSlot], None] = lambda slot: None
        self._wall = wall
        self._slots: dict[str, UploadSlot] = {}
        self.slots: Mapping[str, UploadSlot] = MappingProxyType(self._slots)  # by order
        self._tokens: dict[str, str] = {}
        self._used: Counter[str] = Counter()  # bytes per charger, parts that are growing included
        self._arriving: Counter[str] = Counter()  # receptions per order
        self._quiet: dict[str, asyncio.Event] = {}  # by order: set when nothing is arriving
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
        free_bytes_min: int = FREE_BYTES_MIN,
    ) -> UploadStore:
        limits = UploadLimits(
            file_bytes_max=file_bytes_max,
            charger_quota_bytes=charger_quota_bytes,
            total_quota_bytes=total_quota_bytes,
            keep_s=keep_s,
            free_bytes_min=free_bytes_min,
        )
        store = cls(directory, limits, wall)
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
        slot = self._slots.get(self._tokens.get(token, ""))
        return slot if slot is not None and slot.expires_at > self._wall() else None

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
        slot = self._slots.get(order)
        if slot is None:
            await self._make_slot_room()
            slot = UploadSlot(
                order=order,
                charger=charger,
                token=secrets.token_urlsafe(TOKEN_BYTES),
                expires_at=expires_at,
                created_at=self._wall(),
                kind=kind,
                remote_url=remote_url,
                remote_shown=remote_shown,
            )
        slot = msgspec.structs.replace(slot, expires_at=max(expires_at, slot.expires_at))
        self._set(slot)
        await self._index.save()
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
        await self._all_arrived(order)
        slot = self._slots.get(order)
        if slot is None or slot.state not in ACCEPTING:
            return slot
        about: dict[str, Any] = {"handed_at": self._wall(), "told": not slot.remote_url}
        if not slot.path_name:
            return await self.update(order, state="failed", error="nothing arrived at the box", **about)
        return await self.update(order, state="forwarding" if slot.remote_url else "kept", **about)

    async def _all_arrived(self, order: str) -> None:
        """A charger may report over OCPP before it has our answer, while the file is being synced."""
        if self._arriving[order]:
            quiet = self._quiet.setdefault(order, asyncio.Event())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(quiet.wait(), HAND_OVER_WAIT_S)

    async def discard(self, order: str) -> None:
        """Take the slot back, and what is in it."""
        if order in self._slots:
            await self._forget([self._slots[order]])

    async def sweep(self) -> None:
        """Forget what is past its time. Cheap; called when slots are opened, and now and then."""
        now = self._wall()
        await self._forget([slot for slot in self._slots.values() if self._is_over(slot, now)])

    def _is_over(self, slot: UploadSlot, now: float) -> bool:
        if not slot.path_name and slot.state in ACCEPTING:
            return slot.expires_at <= now and not self._arriving[slot.order]
        kept_until = max(slot.received_at, slot.created_at, slot.handed_at) + self.limits.keep_s
        return self._may_go(slot) and kept_until <= now

    def _may_go(self, slot: UploadSlot) -> bool:
        """Whether nobody waits for it: told how it ended, or never claimed by its charger."""
        if slot.state in DROPPABLE:
            return slot.told
        return slot.state == "received" and slot.expires_at <= self._wall()

    async def _make_slot_room(self) -> None:
        if len(self._slots) < SLOTS_MAX:
            return
        await self.sweep()
        oldest = sorted((s for s in self._slots.values() if self._may_go(s)), key=lambda s: s.created_at)
        await self._forget(oldest[: len(self._slots) - SLOTS_MAX + 1])
        if len(self._slots) >= SLOTS_MAX:
            raise UploadsFull(f"{SLOTS_MAX} uploads are wanted or kept already")

    # --- files ------------------------------------------------------------------------------------

    async def receive(self, token: str, declared_bytes: int | None = None) -> Reception:
        """Begin an upload. Raises UploadRefused; the caller must finish or abort what it is given."""
        slot = self.slot_of(token)
        if slot is None or slot.state not in ACCEPTING:
            raise UploadRefused("closed", "no upload is wanted here any more")
        if (declared_bytes or 0) > self.file_bytes_max:
            raise UploadRefused("too_large", f"more than {self.file_bytes_max} bytes")
        await self.make_room(slot.charger, declared_bytes or 0)
        part = await self.disk.run(PartFile, self.folder, self.limits.free_bytes_min)
        self._arriving[slot.order] += 1
        if slot.state == "open":
            self._set(msgspec.structs.replace(self._slots.get(slot.order, slot), state="receiving"))
        return Reception(self, slot, part)

    async def make_room(self, charger: str, size_bytes: int) -> None:
        """Drop what may go until `size_bytes` more fit both quotas; UploadRefused when they cannot."""
        while (tight := self._tight(charger, size_bytes)) is not None:
            mine = [s for s in self._slots.values() if s.path_name and self._may_go(s)]
            mine = [s for s in mine if tight == "total" or s.charger == charger]
            if not mine:
                raise UploadRefused("no_room", f"the {tight} quota for uploads is used up")
            oldest = min(mine, key=lambda slot: slot.received_at)
            log.info("upload %s of %s makes room", oldest.order, oldest.charger)
            await self._forget([oldest])

    def _tight(self, charger: str, size_bytes: int) -> Literal["charger", "total"] | None:
        if self._used[charger] + size_bytes > self.limits.charger_quota_bytes:
            return "charger"
        if self._used.total() + size_bytes > self.limits.total_quota_bytes:
            return "total"
        return None

    def count(self, charger: str, size_bytes: int) -> None:
        """Bytes of a growing part, or (negative) of one that is no more."""
        self._used[charger] += size_bytes

    def left(self, order: str) -> None:
        """A reception of this order has ended, one way or the other."""
        self._arriving[order] -= 1
        if not self._arriving[order]:
            del self._arriving[order]
            self._quiet.pop(order, asyncio.Event()).set()
        slot = self._slots.get(order)
        if slot is not None and slot.state == "receiving" and order not in self._arriving:
            self._set(msgspec.structs.replace(slot, state="open"))

    async def keep(self, order: str, file: dict[str, Any]) -> UploadSlot:
        """A whole file has its last name: put it into its slot, durably."""
        old = self._slots.get(order)
        if old is None or old.state not in ACCEPTING:
            await self._unlink(file["path_name"])
            raise UploadRefused("closed", "no upload is wanted here any more")
        new = msgspec.structs.replace(old, state="received", received_at=self._wall(), **file)
        self._set(new)
        try:
            await self._index.save()
        except OSError as error:
            if self._slots.get(order) is new:
                self._set(old)
            await self._unlink(new.path_name)
            raise UploadRefused("no_room", "the box cannot write to its disk") from error
        await self._unlink(old.path_name)
        self.received(new)
        return new

    # --- book-keeping -----------------------------------------------------------------------------

    def _set(self, slot: UploadSlot) -> None:
        old = self._slots.get(slot.order)
        self._used[slot.charger] += slot.size_bytes - (old.size_bytes if old is not None else 0)
        self._slots[slot.order] = slot
        self._tokens[slot.token] = slot.order

    async def _forget(self, slots: list[UploadSlot]) -> None:
        """The index first: a file that nobody knows is cleared away at the next start."""
        for slot in slots:
            gone = self._slots.pop(slot.order, None)
            self._tokens.pop(slot.token, None)
            self._used[slot.charger] -= gone.size_bytes if gone is not None else 0
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
        slots = await self._index.load()
        known = {slot.path_name for slot in slots or []}
        strange = await self.disk.run(clear_folder, self.folder, known)
        for slot in slots or []:
            self._set(self._as_found(slot))
        for name in sorted(strange):
            if slots is not None:
                await self._unlink(name)  # cut between rename and index: the charger never heard a yes
            else:
                await self._adopt(name)

    def _as_found(self, slot: UploadSlot) -> UploadSlot:
        if slot.state == "receiving":
            slot = msgspec.structs.replace(slot, state="open")
        if not slot.path_name or (self.folder / slot.path_name).is_file():
            return slot
        log.error("the upload %s of %s is gone from the disk", slot.order, slot.charger)
        return msgspec.structs.replace(
            slot, state="failed", path_name="", size_bytes=0, error="gone from the disk"
        )

    async def _adopt(self, name: str) -> None:
        """The index was damaged: its files stay for the technician, whoever they were from."""
        size = (await self.disk.run((self.folder / name).stat)).st_size
        now = self._wall()
        self._set(
            UploadSlot(
                order=f"found-{name[:8]}",
                charger="",
                token=secrets.token_urlsafe(TOKEN_BYTES),
                expires_at=now,
                created_at=now,
                received_at=now,
                state="kept",
                path_name=name,
                size_bytes=size,
                told=True,
            )
        )
