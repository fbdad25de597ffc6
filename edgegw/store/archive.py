"""A backup: one tar file with a list of what is in it; written, and read when it may be anything.

Rules of this file:
- The first member is `manifest.json`; it names every other one with its size and SHA-256.
- Reading believes nothing: a member must be a plain file with one of the names of NAMES, be named by the
  manifest, and have its size and hash. So no path of an archive is ever used, and no link is followed.
- Nothing is held in memory but one block.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Final

import msgspec

from edgegw import __version__
from edgegw.errors import EdgegwError
from edgegw.redaction import plain
from edgegw.store.copying import Counts
from edgegw.store.database import schema_version

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
JOURNAL: Final = "edgegw.db"
TELEMETRY: Final = "telemetry.db"
SITE_FILE: Final = "site.toml"
FIRMWARE: Final = "firmware.json"
ORDER: Final = (SITE_FILE, FIRMWARE, JOURNAL, TELEMETRY)
NAMES: Final = frozenset(ORDER)
MANIFEST_BYTES_MAX: Final = 1024 * 1024
BLOCK_BYTES: Final = 256 * 1024
TAR_BLOCK: Final = 512

Moved = Callable[[int, int], None]  # bytes done, of how many


def _nothing(done_bytes: int, total_bytes: int) -> None:
    """For an archive that nobody watches."""


class ArchiveFault(EdgegwError):
    """A file that is no backup, or not the one that was made. The text says what is wrong with it."""


class ArchiveNewer(ArchiveFault):
    """Made by a newer edgegw."""


class _Format(msgspec.Struct, frozen=True):
    """What every format there will ever be says."""

    format: int
    schema: int
    edgegw: str = "?"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    size_bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    format: int
    edgegw: str  # the version that made it
    schema: int  # of edgegw.db
    site: str
    made_at: str  # RFC 3339, UTC
    counts: Counts  # of edgegw.db at that moment
    members: tuple[Member, ...]
    site_file_newer: bool = False  # the site file was changed after the gateway read it

    @property
    def total_bytes(self) -> int:
        return sum(member.size_bytes for member in self.members)


# --- writing --------------------------------------------------------------------------------------


def head(name: str, size_bytes: int, made_at_s: float) -> bytes:
    """What stands before a member's bytes: one block, also of a size that needs GNU's binary numbers."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size_bytes, int(made_at_s), 0o600
    block = info.tobuf(tarfile.GNU_FORMAT)
    assert len(block) == TAR_BLOCK, name
    return block


def padding(size_bytes: int) -> bytes:
    """What stands behind a member's bytes."""
    return bytes(-size_bytes % TAR_BLOCK)


END: Final = bytes(2 * TAR_BLOCK)


def manifest_bytes(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def archive_bytes(manifest: Manifest) -> int:
    """How long the whole archive is, without compression."""
    sizes = [len(manifest_bytes(manifest)), *(member.size_bytes for member in manifest.members)]
    return sum(TAR_BLOCK + size + len(padding(size)) for size in sizes) + len(END)


# --- reading --------------------------------------------------------------------------------------


def unpack(file: Path, folder: Path, moved: Moved = _nothing) -> Manifest:
    """Every member into the existing, empty `folder`, with its hash. Raises ArchiveFault, OSError."""
    with _read(file) as archive:
        manifest = _manifest(archive)
        _room_for(manifest, folder)
        wanted = {member.name: member for member in manifest.members}
        done_bytes = 0
        while (found := _next(archive)) is not None:
            member = wanted.pop(found.name, None)
            if member is None or found.size != member.size_bytes:
                raise ArchiveFault(f"its list does not name {found.name!r} with {found.size} bytes")
            for part_bytes in _take(archive, folder / member.name, member):
                done_bytes += part_bytes
                moved(done_bytes, manifest.total_bytes)
        if wanted:
            raise ArchiveFault(f"it is not whole: {', '.join(sorted(wanted))} is missing")
    return manifest


@contextmanager
def _read(file: Path) -> Iterator[IO[bytes]]:
    """The tar inside, compressed or not; what may be wrong with either in words of this file."""
    with file.open("rb") as plain:
        is_compressed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        inside: IO[bytes] = gzip.GzipFile(fileobj=plain) if is_compressed else plain  # type: ignore[assignment]
        try:
            yield inside
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ArchiveFault(f"it is damaged, or its end is missing ({error})") from error
        finally:
            if is_compressed:
                inside.close()


def _next(archive: IO[bytes]) -> tarfile.TarInfo | None:
    """The head of the next member, None at the end. Raises ArchiveFault for all but a plain file of NAMES."""
    block = archive.read(TAR_BLOCK)
    if block == bytes(TAR_BLOCK):
        return None
    try:
        found = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ArchiveFault("it is damaged, or no backup of edgegw: no tar file goes on like this") from error
    if found.name != MANIFEST and found.name not in NAMES:
        raise ArchiveFault(f"it holds {found.name!r}: no backup of edgegw does; nothing was unpacked from it")
    if found.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise ArchiveFault(f"{found.name} in it is a link or no file; nothing was unpacked from it")
    return found


def _manifest(archive: IO[bytes]) -> Manifest:
    found = _next(archive)
    if found is None or found.name != MANIFEST or not 0 <= found.size <= MANIFEST_BYTES_MAX:
        raise ArchiveFault(f"it is no backup of edgegw: {MANIFEST} does not come first")
    raw = archive.read(found.size + len(padding(found.size)))[: found.size]
    try:
        about = msgspec.json.decode(raw, type=_Format)
        if about.format > FORMAT or about.schema > schema_version():
            raise ArchiveNewer(
                f"it was made by a newer edgegw ({plain(about.edgegw)}) and this is edgegw {__version__}:"
                " install that version or a newer one"
            )
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ArchiveFault(f"its {MANIFEST} cannot be read: {error}") from error
    names = [member.name for member in manifest.members]
    if len(set(names)) != len(names) or JOURNAL not in names or not NAMES.issuperset(names):
        raise ArchiveFault(f"its {MANIFEST} names what no backup holds, or no {JOURNAL}")
    return manifest


def _room_for(manifest: Manifest, folder: Path) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if manifest.total_bytes > free_bytes:
        needed_mib, free_mib = manifest.total_bytes // 2**20 + 1, free_bytes // 2**20
        raise ArchiveFault(f"it needs {needed_mib} MiB and {folder} has {free_mib} MiB free: free some space")


def _take(archive: IO[bytes], target: Path, member: Member) -> Iterator[int]:
    """Write one member, block by block; how many bytes each time. Raises ArchiveFault, OSError."""
    digest, left = hashlib.sha256(), member.size_bytes
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        while left:
            block = archive.read(min(BLOCK_BYTES, left))
            if not block:
                raise ArchiveFault(f"it is damaged: it ends in the middle of {member.name}")
            digest.update(block)
            file.write(block)
            left -= len(block)
            yield len(block)
        file.flush()
        os.fsync(handle)
    archive.read(len(padding(member.size_bytes)))
    if digest.hexdigest() != member.sha256:
        raise ArchiveFault(f"it is damaged: {member.name} is not what was backed up (its SHA-256 differs)")
