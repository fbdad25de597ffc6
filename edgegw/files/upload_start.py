"""What a start finds in the folder of uploads: cut, lost and unknown files.

Rules of this file:
- A file that no slot knows was cut between its last rename and the index: its charger never heard a yes.
- When the index was damaged nobody is known: then every file stays for the technician.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from edgegw.files.receiving import clear_folder
from edgegw.files.stamps import stamped
from edgegw.files.upload_index import UploadSlot, new_token

log = logging.getLogger(__name__)


def found_slots(folder: Path, slots: list[UploadSlot] | None, now: float, trusted: bool) -> list[UploadSlot]:
    """`slots` as their files are found; None: the index was damaged. Tidies the folder. Blocks."""
    strange = sorted(clear_folder(folder, {slot.path_name for slot in slots or []}))
    if slots is None:
        return [_adopted(folder / name, now, trusted) for name in strange]
    for name in strange:
        (folder / name).unlink(missing_ok=True)
    return [_as_found(folder, slot) for slot in slots]


def _as_found(folder: Path, slot: UploadSlot) -> UploadSlot:
    if slot.state == "receiving":
        slot = msgspec.structs.replace(slot, state="open")
    if not slot.path_name or (folder / slot.path_name).is_file():
        return slot
    log.error("the upload %s of %s is gone from the disk", slot.order, slot.charger)
    return msgspec.structs.replace(
        slot, state="failed", path_name="", size_bytes=0, error="gone from the disk"
    )


def _adopted(path: Path, now: float, trusted: bool) -> UploadSlot:
    """A file of whomever it was from."""
    slot = UploadSlot(
        order=f"found-{path.name[:8]}",
        charger="",
        token=new_token(),
        expires_at=now,
        created_at=now,
        state="kept",
        path_name=path.name,
        size_bytes=path.stat().st_size,
        told=True,
    )
    return stamped(slot, trusted, created_at=now, received_at=now, expires_at=now)
