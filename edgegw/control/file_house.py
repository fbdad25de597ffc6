"""What the local API needs of the box's file service, as protocols; `files.desk` is the real one.

The attributes are those of `files.manifest.CachedFile`, `files.download.FetchProgress`,
`files.doors.Transfer` and `files.upload_index.UploadSlot`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from edgegw.runtime.log_orders import LogOrders
from edgegw.runtime.rollouts import Rollouts


class HolderSeen(Protocol):
    @property
    def charger(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def at(self) -> float: ...


class FileSeen(Protocol):
    @property
    def sha256(self) -> str: ...
    @property
    def md5(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def local(self) -> bool: ...
    @property
    def published(self) -> bool: ...
    @property
    def signature(self) -> str: ...
    @property
    def vendor(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def fetched_at(self) -> float: ...
    @property
    def used_at(self) -> float: ...
    @property
    def holders(self) -> Sequence[HolderSeen]: ...


class FetchSeen(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def shown(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def received_bytes(self) -> int: ...
    @property
    def total_bytes(self) -> int | None: ...
    @property
    def attempt(self) -> int: ...
    @property
    def started_at(self) -> float: ...


class TransferSeen(Protocol):
    @property
    def charger(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def order(self) -> str: ...
    @property
    def direction(self) -> Literal["down", "up"]: ...
    @property
    def protocol(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def bytes_moved(self) -> int: ...
    @property
    def total_bytes(self) -> int | None: ...
    @property
    def started_at(self) -> float: ...
    @property
    def ended_at(self) -> float | None: ...
    @property
    def peer_ip(self) -> str: ...


SlotState = Literal["open", "receiving", "received", "forwarding", "forwarded", "kept", "failed"]


class SlotSeen(Protocol):
    @property
    def order(self) -> str: ...
    @property
    def charger(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def remote_url(self) -> str: ...
    @property
    def remote_shown(self) -> str: ...
    @property
    def asked_name(self) -> str: ...
    @property
    def sent_name(self) -> str: ...
    @property
    def state(self) -> SlotState: ...
    @property
    def size_bytes(self) -> int | None: ...
    @property
    def sha256(self) -> str: ...
    @property
    def attempts(self) -> int: ...
    @property
    def error(self) -> str: ...
    @property
    def created_at(self) -> float: ...
    @property
    def received_at(self) -> float | None: ...


class FileHouse(Protocol):
    @property
    def files(self) -> Mapping[str, FileSeen]:
        """By sha256."""

    @property
    def fetching(self) -> Sequence[FetchSeen]: ...

    @property
    def transfers(self) -> Iterable[TransferSeen]:
        """Of all servers, those that ended lately included."""

    @property
    def slots(self) -> Mapping[str, SlotSeen]:
        """Uploads by order."""

    @property
    def receiving(self) -> Path:
        """An existing folder for a file that a person is adding; on the disk of the cache."""

    @property
    def file_bytes_max(self) -> int: ...

    async def make_room(self, size_bytes: int) -> None:
        """Raises EdgegwError in words when there is none."""

    async def add_local(self, source: Path, *, name: str, vendor: str, model: str, version: str) -> FileSeen:
        """`source` is copied. Raises EdgegwError."""

    async def sign(self, sha256: str, certificate: str, signature: str) -> FileSeen:
        """Keep a signature with its file. Raises EdgegwError when it does not fit."""

    async def remove(self, sha256: str) -> bool:
        """False: there is no such file."""

    def path_of(self, order: str) -> Path | None:
        """Where an upload lies, once it is whole."""

    async def discard(self, order: str) -> None:
        """Forget an upload and delete its file."""


class FileRooms(NamedTuple):
    """All that the desks need; None in its place when the site file has no [files]."""

    house: FileHouse
    rollouts: Rollouts
    logs: LogOrders
