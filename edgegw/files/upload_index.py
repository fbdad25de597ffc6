"""What is known of each upload, kept in one small file that survives a power cut.

Rules of this file:
- The index is written whole, and readable by this user alone: the addresses in it contain passwords.
- Whoever waits for `save` waits for a write that began after his change; waiters share one write.
- A damaged index is put aside, never written over.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from edgegw.files.disk import Disk, read_plain, write_durably

log = logging.getLogger(__name__)

INDEX_BYTES_MAX = 64 * 1024 * 1024  # far above 2,000 slots with the longest addresses
TOKEN_BYTES = 24  # of a slot's address: 192 random bits
NAME_CHARACTERS_MAX = 200  # what the sent name is cut to; file systems allow 255 bytes
# Names that are devices on the technician's Windows computer, with any ending.
_DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
_NOT_IN_NAMES = set('<>:"|?*')

UploadState = Literal["open", "receiving", "received", "forwarding", "forwarded", "kept", "failed"]
ACCEPTING: frozenset[UploadState] = frozenset({"open", "receiving", "received"})
# What may go when room is needed: nobody outside waits for it any more.
DROPPABLE: frozenset[UploadState] = frozenset({"forwarded", "kept", "failed"})


class UploadSlot(msgspec.Struct, frozen=True, kw_only=True):
    """One place for one upload. Times are of the wall clock."""

    order: str
    charger: str
    token: str
    expires_at: float
    created_at: float
    kind: str = "diagnostics"
    remote_url: str = ""  # a secret; "" stays on site
    remote_shown: str = ""
    asked_name: str = ""  # what the charger's answer to the CALL named
    state: UploadState = "open"
    path_name: str = ""  # random, below the folder of files; "" nothing here
    sent_name: str = ""  # what the charger called it: for show and for the remote side, never a path here
    size_bytes: int = 0
    sha256: str = ""
    method: Literal["", "PUT", "POST", "FTP"] = ""
    content_type: str = ""
    content_encoding: str = ""
    field: str = ""  # multipart: the form field it came in
    disposition: str = ""  # a raw body's Content-Disposition, as sent (OCPP 2.0.1 N01.FR.19)
    received_at: float = 0.0
    handed_at: float = 0.0  # when the charger said that it is complete
    attempts: int = 0  # to forward it
    refusals: int = 0  # attempts that the other side answered with a clear no
    error: str = ""
    undated: tuple[str, ...] = ()  # the times of it that are of a clock which was not set
    told: bool = False  # whether the charger's session heard how it ended

    @property
    def is_owed(self) -> bool:
        """Whether the charger has done its part and its session still waits to hear how it went on."""
        handed = self.state in ("forwarding", "forwarded", "failed")
        return handed and bool(self.remote_url) and not self.told

    @property
    def accepts(self) -> bool:
        """Whether its charger may still send, and send again."""
        return self.state in ACCEPTING

    def may_go(self, now: float) -> bool:
        """Whether nobody waits for it: told how it ended, or never claimed by its charger."""
        if self.state in DROPPABLE:
            return self.told
        return self.state == "received" and self.expires_at <= now

    def is_over(self, now: float, keep_s: float) -> bool:
        """Whether its time is up."""
        if not self.path_name and self.accepts:
            return self.expires_at <= now
        kept_until = max(self.received_at, self.created_at, self.handed_at) + keep_s
        return self.may_go(now) and kept_until <= now

    def __repr__(self) -> str:
        return f"UploadSlot(order={self.order!r}, charger={self.charger!r}, state={self.state!r})"


def storable(slot: UploadSlot) -> UploadSlot:
    """The same slot; a text that no file can hold has "?" in it. One such would keep all from being saved."""
    try:
        msgspec.json.encode(slot)
    except UnicodeEncodeError:
        kept = {
            name: value.encode("utf-8", "replace").decode()
            for name, value in msgspec.structs.asdict(slot).items()
            if isinstance(value, str)
        }
        return msgspec.structs.replace(slot, **kept)
    return slot


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def shown_name(raw: str) -> str:
    """A charger-sent name as people and other servers may see it: one plain file name, or "" ."""
    last = raw[-4096:].replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = "".join(c if c not in _NOT_IN_NAMES else "_" for c in last if c.isprintable()).strip(" .")
    if plain.partition(".")[0].strip().lower() in _DEVICES:
        plain = f"_{plain}"
    if len(plain) <= NAME_CHARACTERS_MAX:
        return plain
    stem, dot, ending = plain.rpartition(".")
    if not dot or len(ending) > 16:  # no ending anybody would miss
        return plain[:NAME_CHARACTERS_MAX]
    return stem[: NAME_CHARACTERS_MAX - len(ending) - 1] + dot + ending


class IndexFile:
    """The file behind the slots. `snapshot` gives what is to be written."""

    def __init__(self, path: Path, snapshot: Callable[[], Mapping[str, UploadSlot]], disk: Disk) -> None:
        self._path = path
        self._snapshot = snapshot
        self._disk = disk
        self._wanted = 0
        self._written = 0
        self._turn = asyncio.Lock()

    async def save(self) -> None:
        """Returns when everything that was changed before the call is on disk."""
        self._wanted += 1
        mine = self._wanted
        async with self._turn:
            if self._written >= mine:
                return
            covers = self._wanted
            data = msgspec.json.encode(list(self._snapshot().values()))
            await self._disk.run(write_durably, self._path, data)
            self._written = covers

    async def load(self) -> list[UploadSlot] | None:
        """The slots of the last save; None when the file was damaged and has been put aside."""
        return await self._disk.run(_read, self._path)


def _read(path: Path) -> list[UploadSlot] | None:
    try:
        return msgspec.json.decode(read_plain(path, INDEX_BYTES_MAX), type=list[UploadSlot])
    except FileNotFoundError:
        return []
    except ValueError as error:  # of the decoder too
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        log.error("the list of uploads is damaged (%s); it is kept as %s", error, aside.name)
        return None
