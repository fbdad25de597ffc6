"""A received file on its way out: what every protocol of the way out needs, and how an attempt ends.

Rules of this file:
- An attempt ends well, with `Retry` (the next may do better) or with `Unwanted` (a clear no).
- Texts are for people and other machines' logs: no user, password or query is ever in one.
- Whoever stands still for the stall time is given up; waiting for our own throttle does not count.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from edgegw.errors import EdgegwError
from edgegw.files.addresses import Location, safe_name
from edgegw.files.disk import Disk
from edgegw.files.links import upload_name
from edgegw.files.throttle import Throttle, loop_time
from edgegw.files.upload_index import UploadSlot, shown_name

LAST_STALLS: Final = 5  # 300 kB in all at 1 kB/s


class Unwanted(EdgegwError):
    """The other side, or a rule of the site, says no. The text is for people and names no secret."""


class ForwardSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How files go on to where the cloud wants them."""

    give_up_s: float = 3 * 86_400.0  # a long weekend without a link
    refusals_max: int = (
        5  # a clear no may be a mistake that somebody is repairing; five of them are an answer
    )
    wait_s: float = 5.0  # after the first failure; doubles
    wait_max_s: float = 600.0
    at_once_max: int = 2  # one that stands still does not hold up the other
    connect_timeout_s: float = 10.0
    stall_timeout_s: float = 60.0
    rate_bytes_per_s: float = 0.0  # over the link that OCPP needs too
    known_hosts: Path | None = None  # without it nothing is sent by sftp
    ca_file: Path | None = None  # instead of the system's authorities


class Parcel:
    """One open file with what is written on it."""

    def __init__(self, slot: UploadSlot, fd: int, disk: Disk, throttle: Throttle) -> None:
        self.slot = slot
        self.size_bytes = os.fstat(fd).st_size
        self._fd = fd
        self._disk = disk
        self._throttle = throttle

    @property
    def name(self) -> str:
        """What the charger's answer told the cloud, else what it sent it as, else whose it is.

        A charger that takes its link for the file's address sends the name that is in the link: the cloud's
        word, which every charger of the site was given.
        """
        sent = self.slot.sent_name
        if sent == shown_name(upload_name(self.slot.remote_url)):
            sent = ""
        own = shown_name(self.slot.asked_name) or sent
        return own or f"{self.slot.kind}-{safe_name(self.slot.charger)}.bin"

    async def blocks(self, patience: asyncio.Timeout, stall_s: float) -> AsyncGenerator[bytes, None]:
        """The file. Each time the taker comes back for more, his patience begins anew.

        When all is handed over, hundreds of kilobytes are still in buffers here: minutes on a slow line.
        """
        position = 0
        while position < self.size_bytes:
            wanted = min(self._throttle.block_bytes, self.size_bytes - position)
            block = await self._disk.run(os.pread, self._fd, wanted, position)
            if not block:
                raise OSError("the file became shorter")
            _reset(patience, None)
            await self._throttle.take(len(block))
            _reset(patience, loop_time() + stall_s)
            position += len(block)
            yield block
        _reset(patience, loop_time() + LAST_STALLS * stall_s)


def _reset(patience: asyncio.Timeout, when: float | None) -> None:
    if not patience.expired():  # aiohttp sends from a task of its own, which may be late
        patience.reschedule(when)


class Sender(Protocol):
    """Brings a parcel to one of the checked `addresses` of `location`. Raises Retry, Unwanted, OSError."""

    async def __call__(self, location: Location, addresses: list[str], parcel: Parcel) -> None: ...


SenderFactory = Callable[[ForwardSettings, Disk], Sender]
