"""The folders of the firmware cache: what lies where, and what a start finds there.

Rules of this file:
- Everything here blocks; `FirmwareCache` calls it in its threads.
- Names on disk are hashes and keys made here, never a name from outside (fault 80).
- What a crash left half-done is removed or put aside at the start, and said in the log.
"""

from __future__ import annotations

import logging
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from edgegw.files.disk import Identity, free_bytes, hash_file, identity_of, sync_directory
from edgegw.files.manifest import CachedFile, Contents, read_contents

log = logging.getLogger(__name__)

UNKNOWN: Final = "unknown"  # the origin of a file whose manifest was lost
TAMPERED_KEPT: Final = 3  # for somebody who wants to know what happened; more would fill the disk
PART_AGE_MAX_S: Final = 7 * 24 * 3600.0  # what nobody continued for a week is given up
_HASH = re.compile(r"[0-9a-f]{64}")


class Shelves:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manifest = directory / "manifest.json"
        self.files = directory / "files"
        self.parts = directory / "parts"

    def file(self, sha256: str) -> Path:
        assert _HASH.fullmatch(sha256)
        return self.files / sha256

    def part(self, key: str) -> Path:
        return self.parts / f"{key}.part"

    def space(self, key: str, busy: frozenset[str]) -> tuple[int, int, int]:
        """Bytes of parts that nobody writes, of the part `key`, and free on the disk."""
        sizes = {path.name.split(".", 1)[0]: path.lstat().st_size for path in self.parts.glob("*.part")}
        idle = sum(size for name, size in sizes.items() if name not in busy)
        return idle, sizes.get(key, 0), free_bytes(self.directory)

    def put(self, part: Path, sha256: str) -> Identity:
        """Give a synced part its name; after this a power cut does not lose it. Raises OSError."""
        target = self.file(sha256)
        part.rename(target)
        sync_directory(self.files)
        part.with_name(f"{part.name}.json").unlink(missing_ok=True)
        return identity_of(target.lstat())

    def drop(self, sha256: str) -> None:
        self.file(sha256).unlink(missing_ok=True)

    def look(self, file: CachedFile, intact: Identity | None) -> tuple[str, Identity | None]:
        """Whether a file is what was cached: ("", identity), or why not and None."""
        path = self.file(file.sha256)
        try:
            if intact is not None and identity_of(path.lstat()) == intact:
                return "", intact
            digests, identity = hash_file(path)
        except OSError as error:
            return f"it cannot be read ({error.strerror})", None
        if digests.sha256 != file.sha256:
            return "it was changed on disk", None
        return "", identity

    def put_aside(self, sha256: str) -> None:
        path = self.file(sha256)
        try:
            path.rename(path.with_name(f"{sha256}.tampered"))
        except FileNotFoundError:
            return
        except OSError as error:
            log.error("cannot put %s aside: %s", path.name, error.strerror)
            return
        aside = sorted(self.files.glob("*.tampered"), key=lambda found: found.lstat().st_ctime)
        for old in aside[:-TAMPERED_KEPT]:
            with suppress(OSError):  # a folder in the place of a file is a person's to remove
                old.unlink()

    def drop_idle_parts(self, busy: frozenset[str]) -> None:
        for path in self.parts.iterdir():
            if path.name.split(".", 1)[0] not in busy:
                path.unlink(missing_ok=True)


def open_shelves(directory: Path, now: float) -> tuple[Shelves, Contents]:
    """Make the folders, read the manifest, tidy up. Raises OSError."""
    shelves = Shelves(directory)
    for folder in (directory, shelves.files, shelves.parts):
        folder.mkdir(mode=0o700, parents=folder == directory, exist_ok=True)
    contents = _read(shelves, now)
    _drop_missing(shelves, contents)
    _adopt_strangers(shelves, contents, now)
    _drop_old_parts(shelves, now)
    return shelves, contents


def _read(shelves: Shelves, now: float) -> Contents:
    try:
        return read_contents(shelves.manifest) or Contents()
    except ValueError as error:
        aside = shelves.manifest.with_name(f"manifest.json.damaged-{int(now)}")
        shelves.manifest.rename(aside)
        log.error(
            "the manifest of the firmware cache is damaged (%s): moved to %s and made again from the files;"
            " they are not served until they are fetched or added again",
            error,
            aside.name,
        )
        return Contents()


def _drop_missing(shelves: Shelves, contents: Contents) -> None:
    there = {path.name for path in shelves.files.iterdir()}
    missing = [sha256 for sha256 in contents.files if sha256 not in there]
    for sha256 in missing:
        log.warning("firmware %s is gone from the cache directory", contents.files.pop(sha256).name)
    keep = contents.files
    contents.origins = {key: origin for key, origin in contents.origins.items() if origin.sha256 in keep}
    contents.grants = {token: grant for token, grant in contents.grants.items() if grant.sha256 in keep}


def _adopt_strangers(shelves: Shelves, contents: Contents, now: float) -> None:
    """Files that the manifest does not know: a power cut, or the manifest was lost.

    They are not hashed: gigabytes would keep the chargers' door shut for minutes. They are never served.
    """
    for path in list(shelves.files.iterdir()):
        if path.name in contents.files or not _HASH.fullmatch(path.name):
            continue
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            shelves.put_aside(path.name)
            continue
        contents.files[path.name] = CachedFile(
            sha256=path.name,
            md5="",
            size_bytes=about.st_size,
            name=f"{path.name[:12]}.bin",
            origin=UNKNOWN,
            fetched_at=now,
        )


def _drop_old_parts(shelves: Shelves, now: float) -> None:
    for path in shelves.parts.iterdir():
        if path.name.startswith("local-") or now - path.lstat().st_mtime > PART_AGE_MAX_S:
            path.unlink(missing_ok=True)
