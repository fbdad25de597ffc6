"""One upload while it arrives: a part file under a random name, hashed and counted as it grows.

Rules of this file:
- Nothing of a charger's words becomes a path, and nothing is ever unpacked (fault 81).
- Room is asked for before a block is written; what does not fit ends the upload and leaves nothing behind.
- The disk is never filled to the brim: the journal of the chargers' transactions lives on it too.
- All methods of `PartFile` block; they run in a thread.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
from pathlib import Path
from typing import Any, Literal, Protocol

from edgegw.errors import EdgegwError
from edgegw.files.disk import Disk, sync_directory, write_all
from edgegw.files.upload_index import UploadSlot, shown_name

SHORT_TEXT_MAX = 200  # content type, field name: words of a charger
DISPOSITION_MAX = 500  # a file name of 255 bytes, percent-encoded or said twice
PART_SUFFIX = ".part"
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

RefusalKind = Literal["too_large", "no_room", "closed", "broken"]


class UploadRefused(EdgegwError):
    """This upload ends here. too_large: the file; no_room: quota or disk; closed: the slot takes no more."""

    def __init__(self, kind: RefusalKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


def random_name() -> str:
    return secrets.token_hex(16)


class PartFile:
    """A file that nobody sees before it is whole."""

    def __init__(self, folder: Path, free_bytes_min: int) -> None:
        self._folder = folder
        self._path = folder / (random_name() + PART_SUFFIX)
        self._free_bytes_min = free_bytes_min
        self._hash = hashlib.sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = io.FileIO(os.open(self._path, flags, 0o600), "wb")

    def write(self, block: bytes) -> None:
        status = os.fstatvfs(self._file.fileno())
        if status.f_bavail * status.f_frsize < self._free_bytes_min + len(block):
            raise UploadRefused("no_room", "the disk of the box is full")
        try:
            write_all(self._file.fileno(), block)
        except OSError as error:
            if error.errno not in _DISK_FULL:
                raise
            raise UploadRefused("no_room", "the disk of the box is full") from error
        self._hash.update(block)

    def keep(self) -> tuple[str, str]:
        """Make it last. Returns its new name and its sha256."""
        os.fsync(self._file.fileno())
        self._file.close()
        name = random_name()
        self._path = self._path.rename(self._folder / name)
        sync_directory(self._folder)
        return name, self._hash.hexdigest()

    def drop(self) -> None:
        """Also after `keep`, when nobody wants the file any more."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def clear_folder(folder: Path, known: set[str]) -> set[str]:
    """Prepare the folder of files: parts of uploads that were cut go. Returns the names that nobody knows."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    strange = set()
    for path in folder.iterdir():
        if path.name.endswith(PART_SUFFIX):
            path.unlink(missing_ok=True)
        elif path.name not in known and not path.is_dir():
            strange.add(path.name)
    return strange


class Keeper(Protocol):
    """What a reception needs of the store it ends in."""

    @property
    def file_bytes_max(self) -> int: ...
    @property
    def disk(self) -> Disk: ...
    async def make_room(self, charger: str, size_bytes: int) -> None: ...
    def count(self, charger: str, size_bytes: int) -> None: ...
    def left(self, order: str) -> None: ...
    async def keep(self, order: str, file: dict[str, Any]) -> UploadSlot: ...


def _word(text: str) -> str:
    """A charger's word as it came, "" when it is no text (a header may hold any bytes)."""
    return text if text.isprintable() else ""


class Reception:
    """One upload that is arriving. Ends with `finish` or `abort`; both may be called twice."""

    def __init__(self, store: Keeper, slot: UploadSlot, part: PartFile) -> None:
        self.slot = slot
        self.size_bytes = 0
        self._store = store
        self._part = part
        self._over = False

    async def write(self, block: bytes) -> None:
        if self.size_bytes + len(block) > self._store.file_bytes_max:
            raise UploadRefused("too_large", f"more than {self._store.file_bytes_max} bytes")
        await self._store.make_room(self.slot.charger, len(block))
        self._store.count(self.slot.charger, len(block))
        self.size_bytes += len(block)
        await self._store.disk.run(self._part.write, block)

    async def finish(
        self,
        *,
        method: Literal["PUT", "POST", "FTP"],
        sent_name: str = "",
        content_type: str = "",
        content_encoding: str = "",
        field: str = "",
        disposition: str = "",
    ) -> UploadSlot:
        """The whole file is here. Returns when it would survive a power cut."""
        try:
            path_name, sha256 = await self._store.disk.run(self._part.keep)
        except OSError as error:
            raise UploadRefused("no_room", "the box cannot write to its disk") from error
        size_bytes = self.size_bytes
        self._leave()
        return await self._store.keep(
            self.slot.order,
            {
                "path_name": path_name,
                "sha256": sha256,
                "size_bytes": size_bytes,
                "method": method,
                "sent_name": shown_name(sent_name),
                "content_type": _word(content_type)[:SHORT_TEXT_MAX],
                "content_encoding": _word(content_encoding)[:SHORT_TEXT_MAX],
                "field": field[:SHORT_TEXT_MAX],
                # Cut in the middle it would say something else.
                "disposition": _word(disposition) if len(disposition) <= DISPOSITION_MAX else "",
            },
        )

    async def abort(self) -> None:
        """Leave nothing. Does nothing after `finish`."""
        if not self._over:
            self._leave()
            await self._store.disk.run(self._part.drop)

    def _leave(self) -> None:
        self._over = True
        self._store.count(self.slot.charger, -self.size_bytes)
        self._store.left(self.slot.order)
