"""A backup takes the place of a store. What was there stays beside it, whole.

Rules of this file:
- Nothing moves before the copy was looked at, and a power cut at any moment leaves the old store or the new
  one: the copy waits as `edgegw.salvaged`, which the next start of any edgegw would bring in.
- The directory is locked by the caller (`StoreDirectory`): no gateway runs on it meanwhile.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edgegw.core.site import Policy, Site
from edgegw.errors import StoreFault
from edgegw.store import archive
from edgegw.store.directory import SHM, WAL, StoreDirectory, sync_directory
from edgegw.store.journal import Journal
from edgegw.store.reader import StoreCounts
from edgegw.store.session import StoreAlarm

LOCAL_IDS_SKIPPED: Final = 1_000_000  # of the 2^30 there are; no site gives so many between two backups
ASIDE: Final = "before-restore"
WORK: Final = "edgegw.restore-"


@contextmanager
def work_folder(beside: Path) -> Iterator[Path]:
    """An empty private folder in `beside`, gone at the end. Raises OSError."""
    folder = Path(tempfile.mkdtemp(prefix=WORK, dir=beside))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(store: Path) -> None:
    """Work folders of a restore that was killed; whoever calls holds the lock."""
    for left in store.glob(f"{WORK}*"):
        shutil.rmtree(left, ignore_errors=True)


def put_in_place(place: StoreDirectory, folder: Path, now: float) -> tuple[Path, ...]:
    """Bring in what was unpacked in `folder`, on the same disk. Returns what was moved aside.

    Raises OSError, StoreFault.
    """
    aside: list[Path] = []
    if place.salvaged.exists():  # it would take the place of what is restored
        aside.append(_free(place.path / f"{place.salvaged.name}.{ASIDE}-{int(now)}"))
        place.salvaged.rename(aside[-1])
    telemetry = folder / archive.TELEMETRY
    if telemetry.exists():
        aside += _bring_telemetry(place.path / archive.TELEMETRY, telemetry, now)
    os.replace(folder / archive.JOURNAL, place.salvaged)
    sync_directory(place.path)
    old = place.swap_in_salvaged(now, ASIDE)
    return (*aside, *([old] if old is not None else []))


def _bring_telemetry(path: Path, new: Path, now: float) -> list[Path]:
    aside = _free(path.with_name(f"{path.name}.{ASIDE}-{int(now)}"))
    for suffix in (SHM, WAL, "-journal", ""):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(aside.with_name(aside.name + suffix))
    os.replace(new, path)
    return [aside] if aside.exists() else []


def _free(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


async def open_once(directory: Path, *, retention_s: float, reserve_bytes: int) -> StoreCounts:
    """Open a restored store as the gateway will, and close it. Raises StoreFault when it is not all right.

    Chargers may hold transaction ids that were given after the backup was made: those are not given again.
    """
    alarms: list[StoreAlarm] = []
    journal = await Journal.open(
        directory,
        retention_s=retention_s,
        reserve_bytes=reserve_bytes,
        wall=time.time,
        on_alarm=alarms.append,
    )
    try:
        recovery = await journal.recover()
        site = Site(Policy(), str)  # it makes no message
        site.recover(recovery.documents)
        await journal.commit([site.skip_local_ids(LOCAL_IDS_SKIPPED)])
        counts = await journal.counts()
    finally:
        await journal.close()
    if alarms:
        raise StoreFault("; ".join(alarm.text for alarm in alarms))
    return counts
