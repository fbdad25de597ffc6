"""Rows out of the raw pages of a database that SQLite itself can no longer walk.

One damaged page high up in a table hides thousands of intact rows below it. Every page that holds rows
says so in its first byte, so they can be read one by one without the tree above them. A row counts only
with its checksum, so whatever else looks like a row here does no harm.

Sources: SQLite "Database File Format" 1.3 (header), 1.5 (free pages), 1.6 (b-tree pages), 2.1 (records)
and 4.1 (write-ahead log). Pure but for reading the two files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from edgegw.store.rows import JOURNAL_COLUMNS, Values

PAGE: Final = 4096  # SQLite's default since 3.12; nothing here ever asked for another
LEAF: Final = 0x0D
_LOCAL_MAX: Final = PAGE - 35
_LOCAL_MIN: Final = (PAGE - 12) * 32 // 255 - 23
_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # serial type: bytes
_REALS: Final = ("received_at", "settled_at", "saved_at")  # whole numbers are stored as integers

# The columns of each table as they lie in its records, `id` first, which is NULL there.
_ON_DISK: Final = {
    "journal": [
        "id",
        "charger",
        "seq",
        "epoch",
        "message_id",
        "lane",
        "version",
        "action",
        "received_at",
        "clock_trusted",
        "transaction_id",
        "subject",
        "flags",
        "crc",
        "state",
        "attempts",
        "error",
        "settled_at",
        "state_crc",
        "raw",
        "answer",
    ],
    "document": ["id", "kind", "charger", "key", "crc", "value"],
    "transaction_record": ["id", "charger", "transaction_id", "running", "saved_at", "crc", "body"],
}
_WANTED: Final = {
    "journal": JOURNAL_COLUMNS.split(", "),
    "document": ["kind", "charger", "key", "value", "crc"],
    "transaction_record": ["charger", "transaction_id", "running", "saved_at", "body", "crc"],
}
_TABLE_OF: Final = {len(columns): table for table, columns in _ON_DISK.items()}


class Found(msgspec.Struct, frozen=True):
    """Something that has the shape of a row of `table`, in the order of that table's SELECT, without id."""

    table: str
    values: Values


def carve(database: Path, log: Path) -> Iterator[list[Found]]:
    """What each page holds, page by page; most of it still to be checked. Raises OSError."""
    with database.open("rb") as file:
        pages = _Pages(file, _logged(log), database.stat().st_size // PAGE)
        free = pages.free()
        for number in range(2, pages.count + 1):
            page = pages[number]
            yield [] if number in free or len(page) < PAGE or page[0] != LEAF else list(_rows(pages, page))


def _logged(log: Path) -> dict[int, bytes]:
    """The newest copy of each page in the write-ahead log."""
    content = log.read_bytes() if log.exists() else b""
    size, salts = PAGE + 24, content[16:24]
    found: dict[int, bytes] = {}
    for at in range(32, len(content) - size + 1, size):
        if content[at + 8 : at + 16] == salts:
            found[int.from_bytes(content[at : at + 4], "big")] = content[at + 24 : at + size]
    return found


class _Pages:
    """Pages by number, from 1, as the log has them or else the database."""

    def __init__(self, file: BinaryIO, logged: dict[int, bytes], count: int) -> None:
        self._file = file
        self._logged = logged
        self.count = max([count, *(number for number in logged if number < 2**31 // PAGE)])

    def __getitem__(self, number: int) -> bytes:
        if number in self._logged:
            return self._logged[number]
        self._file.seek((number - 1) * PAGE)
        return self._file.read(PAGE)

    def free(self) -> set[int]:
        """Pages that are not in use; they may still hold rows that were deleted long ago."""
        found: set[int] = set()
        trunk = int.from_bytes(self[1][32:36], "big")
        while 1 < trunk <= self.count and trunk not in found:
            found.add(trunk)
            page = self[trunk]
            leaves = min(int.from_bytes(page[4:8], "big"), PAGE // 4 - 2)
            found.update(struct.unpack_from(f">{leaves}I", page.ljust(PAGE), 8))
            trunk = int.from_bytes(page[:4], "big")
        return found


def _rows(pages: _Pages, page: bytes) -> Iterator[Found]:
    cells = min(int.from_bytes(page[3:5], "big"), PAGE // 4)
    for start in struct.unpack_from(f">{cells}H", page, 8):
        try:
            found = _row(_payload(pages, page, start))
        except (IndexError, ValueError, struct.error):
            continue  # not a row, or one that is damaged beyond its checksum
        if found is not None:
            yield found


def _payload(pages: _Pages, page: bytes, at: int) -> bytes:
    length, at = _varint(page, at)
    _, at = _varint(page, at)
    if length <= _LOCAL_MAX:
        return page[at : at + length]
    if length > pages.count * PAGE:
        raise ValueError("longer than the file")
    local = _LOCAL_MIN + (length - _LOCAL_MIN) % (PAGE - 4)
    local = local if local <= _LOCAL_MAX else _LOCAL_MIN
    parts, have = [page[at : at + local]], local
    following = int.from_bytes(page[at + local : at + local + 4], "big")
    while have < length and 1 < following <= pages.count:
        more = pages[following]
        parts.append(more[4 : 4 + length - have])
        have += len(parts[-1])
        following = int.from_bytes(more[:4], "big")
    return b"".join(parts)


def _row(payload: bytes) -> Found | None:
    kinds: list[int] = []
    end, at = _varint(payload, 0)
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    table = _TABLE_OF.get(len(kinds))
    if table is None or kinds[0] != 0:
        return None
    named: dict[str, Any] = {}
    for name, kind in zip(_ON_DISK[table], kinds, strict=True):
        named[name], at = _value(payload, at, kind)
    for name in _REALS:
        if isinstance(named.get(name), int):
            named[name] = float(named[name])
    return Found(table, tuple(named[name] for name in _WANTED[table]))


def _value(payload: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in _INTEGERS:
        end = at + _INTEGERS[kind]
        return int.from_bytes(payload[at:end], "big", signed=True), end
    if kind == 7:
        return struct.unpack_from(">d", payload, at)[0], at + 8
    if kind >= 12:
        end = at + (kind - 12) // 2
        return payload[at:end], end
    if kind in (0, 8, 9):
        return (None if kind == 0 else kind - 8), at
    raise ValueError(f"serial type {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for step in range(8):
        byte = data[at + step]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + step + 1
    return value << 8 | data[at + 8], at + 9
