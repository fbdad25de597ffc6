"""`telemetry.db`: how it is opened, and what becomes of one that cannot be trusted.

Rule of this file: nothing billed is in it. So whatever is wrong (damage, somebody else's file, a newer
schema) it is moved aside, kept, and a new one is begun; the journal beside it is never touched.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from edgegw.errors import StoreFault
from edgegw.store.database import Damaged, Database, migrate, schema_steps
from edgegw.store.directory import sync_directory
from edgegw.store.session import is_corruption

log = logging.getLogger(__name__)

NAME: Final = "telemetry.db"
SCHEMA: Final = "telemetry_schema"
APPLICATION_ID: Final = 0x65647431  # "edt1"
CHECK_BYTES_MAX: Final = 32 * 1024 * 1024  # a file this small is checked whole in 0.15 s
CACHE_KIB: Final = 2 * 1024  # it grows at one end and is cut at the other: little of it is read twice
ASIDE_KEPT: Final = 3  # damaged files that stay for whoever looks into it; older ones go
_BESIDE: Final = ("-wal", "-shm", "-journal", "")

SET_META: Final = "REPLACE INTO meta VALUES (?, ?)"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says of itself."""

    stream: str
    last_seq: int
    dropped: int
    events: int


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    database: Database
    begun: Begun
    moved_aside: str = ""  # "": the file was fine, or there was none. Else why and where


async def open_file(directory: Path, wall: float, *, distrust: str = "") -> Opened:
    """`distrust`: why the file that is there is not to be used, when that is known already.

    Raises StoreFault when there can be no such file at all, such as on a full disk.
    """
    path = directory / NAME
    try:
        if distrust:
            raise Damaged(distrust)
        found = await _existing(path)
        return Opened(database=found, begun=await _begun(found))
    except (Damaged, sqlite3.Error, ValueError) as error:
        if isinstance(error, sqlite3.Error) and not is_corruption(error):
            raise StoreFault(f"{NAME} cannot be opened in {directory}: {error}") from error
        reason = str(error)
    try:
        aside = move_aside(path, wall)
        found = await _existing(path)
        text = f"{NAME}: {reason}. A new one was begun; the old one is kept: {aside}"
        return Opened(database=found, begun=await _begun(found), moved_aside=text)
    except (Damaged, sqlite3.Error, OSError) as error:
        raise StoreFault(f"{NAME} cannot be opened in {directory}: {error}") from error


async def _existing(path: Path) -> Database:
    """Made when it is not there, or when it was never finished. Raises Damaged, sqlite3.Error."""
    database = await Database.connect(path, new=not size(path))
    try:
        await database.fetch(f"PRAGMA cache_size = -{CACHE_KIB}")
        await _inspect(database, path)
    except BaseException:
        await database.close()
        raise
    return database


async def _inspect(database: Database, path: Path) -> None:
    steps = schema_steps(SCHEMA)
    newest = steps[-1][0]
    ((version,),) = await database.fetch("PRAGMA user_version")
    ((application,),) = await database.fetch("PRAGMA application_id")
    ((tables,),) = await database.fetch("SELECT count(*) FROM sqlite_schema")
    if not tables and not version:
        await database.fetch(f"PRAGMA application_id = {APPLICATION_ID}")
    elif application != APPLICATION_ID:
        raise Damaged("it is not a telemetry file of edgegw")
    if version > newest:
        raise Damaged(f"it was written by a newer edgegw (schema {version}, this one knows {newest})")
    if size(path) <= CHECK_BYTES_MAX:
        ((found,),) = await database.fetch("PRAGMA quick_check(1)")
        if found != b"ok":
            raise Damaged(found.decode("utf-8", "replace"))
    await migrate(database, version, steps)


async def _begun(database: Database) -> Begun:
    try:
        return await _read_begun(database)
    except BaseException:
        await database.close()
        raise


async def _read_begun(database: Database) -> Begun:
    meta = {key.decode(): value.decode() for key, value in await database.fetch("SELECT * FROM meta")}
    ((events, newest),) = await database.fetch("SELECT count(*), coalesce(max(seq), 0) FROM event")
    stream = meta.get("stream", "")
    if not stream:
        stream = secrets.token_hex(4)
        await database.transaction([(SET_META, [("stream", stream)])])
    last_seq = max(int(meta.get("last_seq", "0")), newest)
    return Begun(stream=stream, last_seq=last_seq, dropped=int(meta.get("dropped", "0")), events=events)


def size(path: Path) -> int:
    """Bytes; 0 when it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def move_aside(path: Path, wall: float) -> str:
    """The file and what belongs to it. Returns its new name. Raises OSError."""
    stamp = int(wall)
    while path.with_name(f"{path.name}.corrupt-{stamp}").exists():
        stamp += 1
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    for suffix in _BESIDE:
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(aside.with_name(aside.name + suffix))
    _remove_older(path)
    sync_directory(path.parent)
    return aside.name


def _remove_older(path: Path) -> None:
    """They may be large, and a disk that damages one damages the next."""
    found = sorted(path.parent.glob(f"{path.name}.corrupt-*[0-9]"), key=lambda one: one.stat().st_mtime)
    for old in found[:-ASIDE_KEPT]:
        for suffix in _BESIDE:
            old.with_name(old.name + suffix).unlink(missing_ok=True)
