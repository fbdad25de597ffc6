"""Which file of the cache a person means: by its hash, the beginning of it, its name, or the file itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgegw.cli.tables import number
from edgegw.control.client import ControlClient, Refused
from edgegw.control.firmware_models import FileView

SHA_SHOWN = 12  # characters of a hash that are shown
SHA_MIN = 6  # that name a file


def named(client: ControlClient, text: str) -> FileView:
    """Raises Refused: there is no such file, or more than one."""
    files = client.firmware().files
    low = text.lower()
    found = [file for file in files if len(low) >= SHA_MIN and file.sha256.startswith(low)]
    found = found or [file for file in files if file.name == text] or _same_as(files, Path(text))
    if len(found) == 1:
        return found[0]
    if found:
        hashes = ", ".join(file.sha256[:SHA_SHOWN] for file in found)
        count = number(len(found), "file")
        raise Refused(0, "several", f"{count} here are called {text}; name one by its hash: {hashes}")
    if any(file.sha256.startswith(low) for file in files):
        text = f"{text} is too short to name a file by its hash: give {SHA_MIN} characters of it, or more"
        raise Refused(0, "too_short", text)
    raise Refused(0, "no_such_file", f'{text} is not kept here; "edgegw firmware add" keeps a file')


def _same_as(files: tuple[FileView, ...], path: Path) -> list[FileView]:
    """For a file on this machine."""
    try:
        with path.open("rb") as source:
            sha256 = hashlib.file_digest(source, "sha256").hexdigest()
    except OSError:
        return []  # it is none
    return [file for file in files if file.sha256 == sha256]
