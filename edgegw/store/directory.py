"""The directory the store lives in: who may use it, who uses it now, and the space kept back.

Files: `edgegw.db` (with `-wal` and `-shm` beside it), `edgegw.lock` (held with flock for life; its text
says who and in what state), `edgegw.reserve` (space given up when the disk is full), `edgegw.new` (a
database being built), `edgegw.salvaged` (one that is complete and waits to take its place),
`edgegw.backup/` (what is copied for a backup just now) and `edgegw.db.corrupt-<time>` and
`edgegw.db.before-restore-<time>` (what was moved aside, never deleted here).

Rule: a database gets its name only when it is complete, so an empty or missing file is always damage.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from edgegw.errors import StoreFault, StoreLocked

WAL, SHM = "-wal", "-shm"
STAGE: Final = "edgegw.backup"
# What is left of the disk before the reserve is made again, in reserves: not at the edge, or it would flap.
RESERVE_FACTOR: Final = 3


def sync_directory(path: Path) -> None:
    """Make renames in `path` survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown boot"


def begin_file(path: Path, *, replace: bool = False) -> Path:
    """Where to write what is to become `path` when it is complete. Raises StoreFault."""
    if path.exists() and not replace:
        raise StoreFault(f"{path} exists already; it is not replaced")
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    return part


def finish_file(part: Path, path: Path) -> None:
    part.rename(path)
    sync_directory(path.parent)


class StoreDirectory:
    """One directory, locked for as long as this object is not closed."""

    def __init__(self, path: Path, reserve_bytes: int) -> None:
        """Check, create where needed, and lock. Raises StoreLocked, StoreFault."""
        self.path = path
        self.database = path / "edgegw.db"
        self.building = path / "edgegw.new"
        self.salvaged = path / "edgegw.salvaged"
        self.stage = path / STAGE
        self._reserve = path / "edgegw.reserve"
        self._reserve_bytes = reserve_bytes
        self._make_ready()
        self._lock = self._take_lock()
        shutil.rmtree(self.stage, ignore_errors=True)  # of a process that was killed: nobody else is here
        lines = [*self._read_lock().split("\n"), "", "", ""]
        self.previous_state = lines[1]  # "", "open", "closing" or "closed"
        self.same_boot = lines[2] == _boot_id()  # the machine has not restarted since

    # --- the directory ----------------------------------------------------------------------------

    def _make_ready(self) -> None:
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            about = self.path.stat()
        except FileNotFoundError:
            raise StoreFault(
                f"store directory {self.path}: {self.path.parent} does not exist;"
                " create it or change [store] directory"
            ) from None
        except OSError as error:
            raise self._fault(error) from error
        if not stat.S_ISDIR(about.st_mode):
            raise StoreFault(f"store directory {self.path} is not a directory; change [store] directory")
        if about.st_uid != os.geteuid():
            raise StoreFault(
                f"store directory {self.path} belongs to user {about.st_uid} and edgegw runs as user"
                f" {os.geteuid()}; run: chown -R {os.geteuid()} {self.path}"
            )
        try:
            if stat.S_IMODE(about.st_mode) != 0o700:
                self.path.chmod(0o700)  # transaction records hold card ids
        except OSError as error:
            raise self._fault(error) from error

    def _fault(self, error: OSError) -> StoreFault:
        hints = {
            errno.EROFS: "the file system is read-only: remount it read-write, check the disk",
            errno.EACCES: f"user {os.geteuid()} may not write there: check owner and mode",
            errno.EPERM: f"user {os.geteuid()} may not change it: check owner and mode",
            errno.ENOSPC: "the disk is full: free some space",
            errno.EMFILE: "too many open files: raise the limit (LimitNOFILE)",
        }
        hint = hints.get(error.errno or 0, "check the disk and the directory")
        return StoreFault(f"store directory {self.path}: {error.strerror or error}; {hint}")

    def free_bytes(self) -> int:
        """0 also where nobody can tell: the directory, or the disk under it, is gone."""
        try:
            return shutil.disk_usage(self.path).free
        except OSError:
            return 0

    # --- the lock ---------------------------------------------------------------------------------

    def _take_lock(self) -> int:
        try:
            handle = os.open(self.path / "edgegw.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._fault(error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 100, 0).decode(errors="replace").split("\n")[0]
            os.close(handle)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise self._fault(error) from error
            raise StoreLocked(
                f"store directory {self.path} is in use by another edgegw ({holder or 'pid unknown'});"
                " stop that one first, or give this one its own [store] directory"
            ) from None
        return handle

    def _read_lock(self) -> str:
        return os.pread(self._lock, 200, 0).decode(errors="replace")

    def mark(self, state: str) -> None:
        """Say in the lock file, durably, whether the database is in use. Raises StoreFault."""
        text = f"pid {os.getpid()}\n{state}\n{_boot_id()}\n".encode()
        try:
            os.pwrite(self._lock, text, 0)
            os.ftruncate(self._lock, len(text))
            os.fsync(self._lock)
        except OSError as error:
            raise self._fault(error) from error

    def close(self) -> None:
        os.close(self._lock)

    # --- the reserve ------------------------------------------------------------------------------

    @property
    def has_reserve(self) -> bool:
        return self._reserve_bytes == 0 or self._reserve.exists()

    def make_reserve(self) -> bool:
        """Set the space aside; False when there is too little left to do so."""
        if self.has_reserve:
            return True
        if self.free_bytes() < RESERVE_FACTOR * self._reserve_bytes:
            return False
        try:
            self._fill_reserve()
        except OSError:
            self._reserve.unlink(missing_ok=True)
            return False
        return True

    def _fill_reserve(self) -> None:
        handle = os.open(self._reserve, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(handle, 0, self._reserve_bytes)
        finally:
            os.close(handle)

    def give_up_reserve(self) -> bool:
        """Free the space. True if there was any."""
        if self._reserve_bytes == 0:
            return False
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    # --- database files ---------------------------------------------------------------------------

    def sizes(self) -> tuple[int, int]:
        """Bytes of the database and of its write-ahead log."""
        return self._size(self.database), self._size(self.beside(WAL))

    @staticmethod
    def _size(path: Path) -> int:
        try:
            return path.stat().st_size
        except OSError:
            return 0

    def beside(self, suffix: str) -> Path:
        return self.database.with_name(self.database.name + suffix)

    def remove_leftovers(self) -> None:
        """What a build that was cut off left behind."""
        for suffix in ("", WAL, SHM, "-journal"):
            self.building.with_name(self.building.name + suffix).unlink(missing_ok=True)

    def adopt(self, built: Path) -> None:
        """Give a complete new database its name."""
        sync_file(built)
        built.rename(self.database)
        sync_directory(self.path)

    def swap_in_salvaged(self, now: float, aside_as: str = "corrupt") -> Path | None:
        """Move the database aside and the complete one in. Repeatable after a crash in between.

        Returns where the old one is, None if there was none left to move.
        """
        self.mark("closed")  # for the one that comes in
        self.previous_state = "closed"
        aside = self.free_name(now, aside_as)
        for suffix in (SHM, WAL, ""):
            source = self.beside(suffix)
            if source.exists():
                source.rename(aside.with_name(aside.name + suffix))
        self.adopt(self.salvaged)
        return aside if aside.exists() else None

    def free_name(self, now: float, aside_as: str = "corrupt") -> Path:
        stamp = int(now)
        while True:
            aside = self.path / f"edgegw.db.{aside_as}-{stamp}"
            if not any(aside.with_name(aside.name + suffix).exists() for suffix in ("", WAL, SHM)):
                return aside
            stamp += 1
