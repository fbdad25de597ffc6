"""Files of the cache as the disk sees them: durable or not there.

Rules of this file:
- Everything blocks, so everything is called through `Disk.run`, in threads of the cache's own.
- A caller that is cancelled waits until its thread is done: nobody closes a file under a thread.
- A file gets its name only when it is complete and synced, and the folder is synced after that (fault 83).
- Nothing is opened that could make us wait or lead elsewhere: no pipe, no device, no symbolic link.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, ParamSpec, TypeVar

from edgegw.errors import EdgegwError

P = ParamSpec("P")
R = TypeVar("R")

THREADS: Final = 2  # one may hash a large file while the other writes
READ_BYTES: Final = 1024 * 1024
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_HINTS: Final = {
    errno.EROFS: "the file system is read-only: remount it read-write, check the disk",
    errno.EACCES: "edgegw may not write there: check owner and mode",
    errno.EPERM: "edgegw may not change it: check owner and mode",
    errno.ELOOP: "a symbolic link is in the place of a file: move it away",
    errno.EINVAL: "something else is in the place of a file: move it away",
    errno.EISDIR: "a folder is in the place of a file: move it away",
    errno.EEXIST: "something else is in the place of a folder: move it away",
    errno.ENOTDIR: "something else is in the place of a folder: move it away",
    errno.EMFILE: "too many open files: raise the limit (LimitNOFILE)",
}


class CacheFault(EdgegwError):
    """The cache could not do what was asked. The text says what to do."""


class NoRoom(CacheFault):
    """The quota or the disk is full of what is still needed."""


class Digests(NamedTuple):
    sha256: str
    md5: str
    size_bytes: int


class Identity(NamedTuple):
    """What changes when somebody edits a file; the ctime cannot be set back."""

    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


class Disk:
    """Threads for blocking file work."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="firmware")

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            while not job.done():  # and cancelled again meanwhile: by a peer that left, then by a stop
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait((job,))
            if not job.cancelled():
                job.exception()  # nobody is left to hear of it
            raise

    def close(self) -> None:
        self._threads.shutdown(wait=True)


def sync_directory(path: Path) -> None:
    """Make renames in `path` survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def write_durably(path: Path, data: bytes) -> None:
    """Replace a small file whole or not at all; mode 0600. Raises OSError, and leaves nothing behind."""
    part = path.with_name(f"{path.name}.new")
    part.unlink(missing_ok=True)  # of a crash, or a pipe that would make us wait
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            write_all(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def open_plain(path: Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a regular file, never through a symlink. Raises OSError."""
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return handle


def read_plain(path: Path, bytes_max: int) -> bytes:
    """All of a small regular file. Raises OSError, ValueError when it is too large."""
    with os.fdopen(open_plain(path), "rb") as file:
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise ValueError("it is too large")
    return data


def hash_file(path: Path) -> tuple[Digests, Identity]:
    """Hash a file as it is on disk. Raises OSError."""
    handle = open_plain(path)
    try:
        before = identity_of(os.fstat(handle))  # an edit while we read shows at the next look
        sha256, md5, size_bytes = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        while block := os.read(handle, READ_BYTES):
            sha256.update(block)
            md5.update(block)
            size_bytes += len(block)
        return Digests(sha256.hexdigest(), md5.hexdigest(), size_bytes), before
    finally:
        os.close(handle)


def identity_of(about: os.stat_result) -> Identity:
    return Identity(about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def copy_durably(source: Path, target: Path) -> None:
    """Raises OSError; leaves nothing half-written."""
    reading = open_plain(source)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            while block := os.read(reading, READ_BYTES):
                write_all(writing, block)
            os.fsync(writing)
        except OSError:
            target.unlink(missing_ok=True)
            raise
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


def boot_id() -> str:
    """One text per run of the machine; what was written since is in its memory even if not on disk."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def fault(error: OSError, place: Path) -> CacheFault:
    """The same in words, with what to do."""
    if error.errno in _FULL:
        return NoRoom(
            f"the disk that holds {place} is full: free some space, or give the cache a larger disk"
        )
    hint = _HINTS.get(error.errno or 0, "check the disk and the directory")
    return CacheFault(f"{error.filename or place}: {error.strerror or error}; {hint}")
