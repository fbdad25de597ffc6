"""The part of a file that is here already: `parts/<key>.part`, and beside it what it is a part of.

Rules of this file:
- Everything here blocks; `Download` calls it in the cache's threads.
- After a power cut only what was synced counts (a file can be as long as it was and hold zeros);
  after a mere restart of the program everything that was written does.
- Nothing secret is written: the key is a hash of the URL, the URL itself is not here.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from edgegw.files.disk import boot_id, open_plain, read_plain, sync_directory, write_all, write_durably
from edgegw.files.source import Validators

ABOUT_BYTES_MAX: Final = 64 * 1024  # an ETag and a date
OVERLAP_BYTES: Final = 4096  # fetched twice and compared: a resumed file must be the same file


def about_part(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def drop_part(path: Path) -> None:
    """As far as the disk lets us: why a download ended is what counts, and the next one looks again."""
    for left in (path, about_part(path)):
        with suppress(OSError):
            left.unlink()


class PartState(msgspec.Struct, kw_only=True):
    key: str
    validators: Validators = Validators()
    safe_bytes: int = 0
    boot: str = ""


class Part:
    """One open part; close it. Its bytes are always of one version of the file."""

    def __init__(self, path: Path, key: str) -> None:
        """Open or begin it. Raises OSError."""
        self.path = path
        self._about = about_part(path)
        self._state = self._read_state(key)
        self._handle = open_plain(path, os.O_RDWR | os.O_CREAT)
        self.size_bytes = self._trusted_bytes()
        os.ftruncate(self._handle, self.size_bytes)
        self._synced_bytes = self.size_bytes
        self._compare = b""  # what the origin must repeat before it continues

    @property
    def validators(self) -> Validators:
        return self._state.validators

    @property
    def resume_at(self) -> int:
        """From where to ask the origin; 0 when a changed file would go unnoticed."""
        if not self._state.validators.tells:
            return 0
        return max(0, self.size_bytes - OVERLAP_BYTES)

    def continue_at(self, start: int, validators: Validators) -> bool:
        """The origin hands out bytes from `start` on. False when they do not continue what is here."""
        if start > self.size_bytes or not validators.same_as(self._state.validators):
            return False
        self._compare = os.pread(self._handle, self.size_bytes - start, start)
        return True

    def restart(self, validators: Validators) -> None:
        """Begin with the first byte of this version."""
        os.ftruncate(self._handle, 0)
        self.size_bytes = self._synced_bytes = 0
        self._compare = b""
        self._state.validators = validators
        self.mark()

    def write(self, block: bytes) -> bool:
        """Append. False when the block repeats other bytes than the ones that are here."""
        if self._compare:
            repeated = len(self._compare)
            if block[:repeated] != self._compare[: len(block)]:
                return False
            self._compare, block = self._compare[len(block) :], block[repeated:]
        os.lseek(self._handle, self.size_bytes, os.SEEK_SET)
        write_all(self._handle, block)
        self.size_bytes += len(block)
        return True

    @property
    def unmarked_bytes(self) -> int:
        return self.size_bytes - self._synced_bytes

    def mark(self) -> None:
        """From here a power cut costs nothing."""
        os.fsync(self._handle)
        self._state.safe_bytes = self._synced_bytes = self.size_bytes
        self._state.boot = boot_id()
        write_durably(self._about, msgspec.json.encode(self._state))

    def finish(self) -> None:
        os.fsync(self._handle)
        sync_directory(self.path.parent)

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1

    def leave(self) -> None:
        """Close it for a later attempt, if there is anything to continue."""
        if self._handle >= 0 and self.size_bytes == 0:
            self.drop()
        self.close()

    def drop(self) -> None:
        self.close()
        drop_part(self.path)

    def _read_state(self, key: str) -> PartState:
        try:
            state = msgspec.json.decode(read_plain(self._about, ABOUT_BYTES_MAX), type=PartState)
        except (OSError, ValueError):
            return PartState(key=key)
        return state if state.key == key and state.safe_bytes >= 0 else PartState(key=key)

    def _trusted_bytes(self) -> int:
        size = os.fstat(self._handle).st_size
        if self._state.safe_bytes > size or not self._state.boot:
            return 0
        return size if self._state.boot == boot_id() else self._state.safe_bytes
