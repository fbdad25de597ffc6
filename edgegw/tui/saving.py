"""Files that the console writes for people: new ones only, readable for their owner alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from edgegw.control.client import ControlFault
from edgegw.new_files import new_file
from edgegw.redaction import plain
from edgegw.tui.words import size


class NotSaved(ControlFault):
    """Nothing was written; the text says why."""


def path_of(text: str) -> Path:
    return Path(text).expanduser()


def complaint_of(text: str) -> str:
    """Why no file can be written there; "" when one can, as far as can be seen before."""
    if not text or not text.isprintable():
        return "a file name is needed, without control characters"
    try:
        path = path_of(text)
        if path.exists() or path.is_symlink():
            return "there is such a file already; nothing is overwritten: give another name"
        if not path.parent.is_dir():
            return f"there is no folder {plain(str(path.parent))}"
        if not os.access(path.parent, os.W_OK):
            return f"this user may not write into {plain(str(path.parent))}"
    except (OSError, ValueError, RuntimeError) as error:  # too long, no such home
        return f"that is no file name: {plain(str(error))}"
    return ""


def save_new(text: str, write: Callable[[Path], object]) -> str:
    """A new file with what `write` puts into the path it is given; in words, what was written.

    Whole or not at all. Raises NotSaved, and what `write` raises but OSError.
    """
    if complaint := complaint_of(text):
        raise NotSaved(complaint)
    target = path_of(text)
    try:
        with tempfile.TemporaryDirectory(prefix=".edgegw-", dir=target.parent) as folder:
            part = Path(folder) / "part"
            write(part)
            with part.open("rb") as source, new_file(target) as file:
                shutil.copyfileobj(source, file)
        return f"{size(target.stat().st_size)} in {target}"
    except FileExistsError as error:
        raise NotSaved(f"{target} is there already; nothing is overwritten") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NotSaved(f"nothing was written to {target}: {reason}") from error
