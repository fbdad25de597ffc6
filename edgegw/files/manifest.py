"""What the cache knows of its files, and how that is kept on disk.

Rules of this file:
- One JSON file, replaced whole: an older version or this one, never half of it.
- Changes that come together share one write; who waited for it knows that his change is on disk.
- What may be lost by a power cut waits a while for company: a hundred chargers that tell every step of their
  update would have the file written five hundred times.
- Nothing here looks at the cached files themselves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from edgegw.files.disk import CacheFault, Disk, fault, read_plain, write_durably
from edgegw.files.source import Validators
from edgegw.runtime.tasks import Tasks

log = logging.getLogger(__name__)

FORMAT: Final = 1
MANIFEST_BYTES_MAX: Final = 32 * 1024 * 1024  # far above what the limits below can fill

SOON_S: Final = 1.0

HolderStatus = Literal["offered", "downloading", "downloaded", "installed", "failed"]


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """How far one charger is with one file."""

    charger: str
    status: HolderStatus
    at: float


class CachedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A whole, hashed file of the cache. Times are wall clock, seconds."""

    sha256: str
    md5: str
    size_bytes: int
    name: str
    origin: str  # Location.shown, "added here" or "unknown"
    origin_key: str = ""
    etag: str = ""
    last_modified: str = ""
    fetched_at: float = 0.0
    checked_at: float = 0.0  # the origin last said that it is unchanged
    used_at: float = 0.0
    signature: Literal["none", "verified", "not_understood"] = "none"
    vendor: str = ""
    model: str = ""
    version: str = ""
    local: bool = False  # added by a person: never evicted
    published: bool = False  # OCPP 2.x L03: stays until it is unpublished
    certificate: str = ""  # PEM; of a file added by a person, for chargers that take signed updates only
    signed: str = ""  # its signature, base64
    holders: tuple[Holder, ...] = ()

    def merged_into(self, known: CachedFile) -> CachedFile:
        """The same file again: what people and chargers added to it stays, where it came from is news."""
        return msgspec.structs.replace(
            self,
            signature=known.signature if self.signature == "none" else self.signature,
            vendor=self.vendor or known.vendor,
            model=self.model or known.model,
            version=self.version or known.version,
            local=known.local or self.local,
            published=known.published,
            holders=known.holders,
        )


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """One charger may download one file. The token is a secret: whoever has it gets the file."""

    token: str
    charger: str
    sha256: str
    name: str
    expires_at: float
    order: str
    undated_at: float | None = None  # when it was given, by a clock that was not set

    def __repr__(self) -> str:
        return f"Grant(order={self.order!r}, charger={self.charger!r}, name={self.name!r})"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What one URL led to; several may lead to the same file."""

    key: str
    sha256: str
    shown: str
    etag: str = ""
    last_modified: str = ""
    checked_at: float = 0.0

    def validators(self, size_bytes: int) -> Validators:
        return Validators(etag=self.etag, last_modified=self.last_modified, total_bytes=size_bytes)


class Contents(msgspec.Struct, kw_only=True):
    """Everything the manifest says."""

    format: int = FORMAT
    files: dict[str, CachedFile] = {}
    origins: dict[str, Origin] = {}
    grants: dict[str, Grant] = {}  # by token


def read_contents(path: Path) -> Contents | None:
    """None: there is none. Blocks. Raises ValueError when it cannot be believed, OSError."""
    try:
        data = read_plain(path, MANIFEST_BYTES_MAX)
    except FileNotFoundError:
        return None
    contents = msgspec.json.decode(data, type=Contents)  # its errors are ValueErrors
    if contents.format != FORMAT:
        raise ValueError(f"it has format {contents.format}, this edgegw knows {FORMAT}")
    if any(key != file.sha256 for key, file in contents.files.items()):
        raise ValueError("it names a file by another file's hash")
    return contents


class ManifestWriter:
    """Writes what `contents` is at that moment; callers that come together share one write."""

    def __init__(self, path: Path, contents: Callable[[], Contents], disk: Disk) -> None:
        self._path = path
        self._contents = contents
        self._disk = disk
        self._tasks = Tasks()
        self._running: asyncio.Task[str] | None = None
        self._next: asyncio.Task[str] | None = None
        self._later: asyncio.TimerHandle | None = None

    async def save(self) -> None:
        """Everything changed before this call is on disk after it. Raises CacheFault."""
        if failure := await asyncio.shield(self._joined()):
            raise CacheFault(failure)

    def save_soon(self) -> None:
        """Within `SOON_S`, or with the next write that somebody waits for."""
        if self._later is None and self._next is None:
            self._later = asyncio.get_running_loop().call_later(SOON_S, self._joined)

    async def close(self) -> None:
        """Write what still waits, and finish what is being written."""
        if self._later is not None:
            self._joined()
        for write in (self._running, self._next):
            if write is not None:
                await asyncio.wait((write,))

    def _joined(self) -> asyncio.Task[str]:
        """The write that has not looked at the contents yet."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._next is None:
            self._next = self._tasks.spawn(self._write_after(self._running), "firmware manifest")
        return self._next

    async def _write_after(self, previous: asyncio.Task[str] | None) -> str:
        if previous is not None:
            await asyncio.wait((previous,))
        self._running, self._next = self._next, None
        data = msgspec.json.format(msgspec.json.encode(self._contents()), indent=1)
        try:
            await self._disk.run(write_durably, self._path, data)
        except OSError as error:
            failure = str(fault(error, self._path.parent))
            log.error("firmware manifest not written: %s", failure)
            return failure
        return ""
