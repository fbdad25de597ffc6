"""Files that are written for people: new ones only, whole or not at all, readable for their owner alone.

Rules of this file: what is there is replaced only when that is asked for; a link is never followed; what
is found beforehand is an OSError whose `strerror` says what to do.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

IS_THERE = "there is such a file already and nothing is overwritten: take another name, or --force"
_NO_LINKS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK}  # FAT, some shares


def check_new(target: Path, *, replace: bool = False) -> None:
    """Before the work is done that the file is to keep. Raises OSError for what can be seen by now."""
    folder = target.absolute().parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"there is no folder {folder}", str(target))
    if target.is_dir() and not target.is_symlink():
        raise IsADirectoryError(errno.EISDIR, "that is a folder: name a file", str(target))
    if not replace and (target.exists() or target.is_symlink()):
        raise FileExistsError(errno.EEXIST, IS_THERE, str(target))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"this user may not write into {folder}", str(target))


@contextmanager
def new_file(target: Path, *, replace: bool = False) -> Iterator[BinaryIO]:
    """Opened for writing; it gets its name when the block ends well, and leaves nothing otherwise.

    Raises OSError, FileExistsError also when somebody else made it meanwhile.
    """
    check_new(target, replace=replace)
    handle, name = tempfile.mkstemp(dir=target.absolute().parent, prefix=f".{target.name[:100]}.")  # 0600
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _name(part, target, replace=replace)
    finally:
        part.unlink(missing_ok=True)


def _name(part: Path, target: Path, *, replace: bool) -> None:
    if replace:
        part.replace(target)
    else:
        _claim(part, target)
    folder = os.open(target.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _claim(part: Path, target: Path) -> None:
    """A link, unlike a rename, never replaces; where there are none the name is taken first."""
    try:
        try:
            os.link(part, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
            part.replace(target)
    except FileExistsError as error:
        raise FileExistsError(errno.EEXIST, IS_THERE, str(target)) from error
