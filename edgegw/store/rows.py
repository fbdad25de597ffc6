"""How a record becomes columns and back; everything that decides whether a row is still itself.

Rules of this file:
- Pure. Text is UTF-8 bytes on both sides of a checksum, so a row whose bytes no longer are UTF-8
  fails its checksum and not the decoder.
- A checksum is the CRC-32 of the MessagePack array of the values, in the order of the columns named
  here. That order and that encoding are part of the file format: changing either is a migration.
- `crc` covers what a row says and never changes; `state_crc` covers what became of it, so that
  settling a row needs no read.
- What cannot be stored is refused here (`StoreFault`), before it can spoil anybody else's commit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final
from zlib import crc32

import msgspec

from edgegw.core.records import Document, JournalRow, Lane, RowState, SaveDocument, Settle, TransactionRecord
from edgegw.errors import StoreFault

Values = tuple[Any, ...]
"""One row of parameters for SQLite, or one row as SQLite gave it (TEXT as bytes)."""

# The columns of `journal` in the order of every SELECT and INSERT of this room, without `id`.
JOURNAL_COLUMNS: Final = (
    "charger, seq, epoch, message_id, lane, version, action, received_at, clock_trusted,"
    " transaction_id, subject, flags, raw, answer, crc, state, attempts, error, settled_at, state_crc"
)
_RAW, _CRC, _STATE, _SETTLED_AT = 12, 14, 15, 18

_pack = msgspec.msgpack.Encoder().encode
_json = msgspec.json.Encoder().encode
_flags = msgspec.json.Decoder(tuple[str, ...]).decode
_transaction = msgspec.json.Decoder(TransactionRecord).decode


class BadRow(Exception):
    """A row read from the file is not the row that was written."""


def _checksum(values: Sequence[Any]) -> int:
    try:
        return crc32(_pack(values))
    except (OverflowError, ValueError, TypeError) as error:
        raise StoreFault(f"a value cannot be stored: {error}") from error


def _compare(values: Values, expected: Any) -> None:
    try:
        found = crc32(_pack(values))
    except (OverflowError, ValueError, TypeError) as error:
        raise BadRow(f"unreadable: {error}") from error
    if found != expected:
        raise BadRow("checksum")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise StoreFault(f"text that is not Unicode cannot be stored: {text!r}") from error


def _int64(value: int, what: str) -> int:
    if not -(2**63) <= value < 2**63:
        raise StoreFault(f"{what} {value} does not fit into 64 bits")
    return int(value)


def _finite(value: float, what: str) -> float:
    if not math.isfinite(value):
        raise StoreFault(f"{what} {value} is not a time")
    return float(value)


# --- journal --------------------------------------------------------------------------------------


def state_crc(charger: bytes, seq: int, state: bytes, attempts: int, error: bytes, settled_at: float) -> int:
    return _checksum((charger, seq, state, attempts, error, settled_at))


def journal_values(row: JournalRow, settled_at: float) -> Values:
    """The parameters of an INSERT, in the order of `JOURNAL_COLUMNS`. Raises StoreFault."""
    charger, error, state = _utf8(row.charger), _utf8(row.error), row.state.value
    seq, attempts = _int64(row.seq, "seq"), _int64(row.attempts, "attempts")
    settled_at = _finite(settled_at, "settled_at")
    said = (
        charger,
        seq,
        _int64(row.epoch, "epoch"),
        _utf8(row.message_id),
        int(row.lane),
        _utf8(row.version),
        _utf8(row.action),
        _finite(row.received_at, "received_at"),
        int(row.clock_trusted),
        _utf8(row.transaction),
        _utf8(row.subject),
        _json(row.flags),
        bytes(row.raw),
        bytes(row.answer),
    )
    mutable = state_crc(charger, seq, state.encode(), attempts, error, settled_at)
    text = (row.charger, seq, said[2], row.message_id, said[4], row.version, row.action, said[7], said[8])
    tail = (row.transaction, row.subject, said[11].decode(), said[12], said[13], _checksum(said))
    return (*text, *tail, state, attempts, row.error, settled_at, mutable)


def check_journal(values: Values) -> None:
    """Compare both checksums of a row as read. Raises BadRow."""
    _compare(values[:_CRC], values[_CRC])
    _compare((*values[:2], *values[_STATE:-1]), values[-1])


def journal_row(values: Values) -> JournalRow:
    """A checked row as the core knows it. Raises BadRow."""
    check_journal(values)
    v = values
    return JournalRow(
        charger=v[0].decode(),
        seq=v[1],
        epoch=v[2],
        message_id=v[3].decode(),
        lane=Lane(v[4]),
        version=v[5].decode(),
        action=v[6].decode(),
        received_at=v[7],
        clock_trusted=bool(v[8]),
        transaction=v[9].decode(),
        subject=v[10].decode(),
        flags=_flags(v[11]),
        raw=v[_RAW],
        answer=v[13],
        state=RowState(v[_STATE].decode()),
        attempts=v[16],
        error=v[17].decode(),
    )


def settle_values(op: Settle, settled_at: float) -> Values:
    """The parameters of `statements.SETTLE`. Raises StoreFault."""
    charger, error = _utf8(op.charger), _utf8(op.error)
    seq, attempts = _int64(op.seq, "seq"), _int64(op.attempts, "attempts")
    settled_at = _finite(settled_at, "settled_at")
    crc = state_crc(charger, seq, op.state.value.encode(), attempts, error, settled_at)
    return (op.state.value, attempts, op.error, settled_at, crc, op.charger, seq)


def restamped(values: Values, settled_at: float) -> Values:
    """`settle_values` of a row as read, unchanged but for the time it was settled."""
    state, attempts, error = values[_STATE], values[16], values[17]
    crc = state_crc(values[0], values[1], state, attempts, error, settled_at)
    return (state.decode(), attempts, error.decode(), settled_at, crc, values[0].decode(), values[1])


def discard_values(charger: str, seq: int) -> Values:
    """(charger, seq). Raises StoreFault."""
    _utf8(charger)
    return (charger, _int64(seq, "seq"))


# --- documents and transactions -------------------------------------------------------------------


def document_values(op: SaveDocument) -> Values | None:
    """(kind, charger, key, value, crc), None when it is to be deleted. Raises StoreFault."""
    key = (_utf8(op.kind), _utf8(op.charger), _utf8(op.key))
    if op.value is None:
        return None
    value = bytes(op.value)
    return (op.kind, op.charger, op.key, value, _checksum((*key, value)))


def check_document(values: Values) -> None:
    """Raises BadRow."""
    _compare(values[:4], values[4])


def document(values: Values) -> Document:
    """A document of (kind, charger, key, value, crc) as read. Raises BadRow."""
    check_document(values)
    kind, charger, key, value, _ = values
    return Document(kind.decode(), charger.decode(), key.decode(), value)


def transaction_values(record: TransactionRecord, saved_at: float) -> Values:
    """(charger, transaction_id, running, saved_at, body, crc). Raises StoreFault."""
    try:
        body = _json(record)
    except (OverflowError, ValueError, TypeError) as error:
        raise StoreFault(f"transaction {record.id!r} cannot be stored: {error}") from error
    key = (_utf8(record.charger), _utf8(record.id), int(record.running), _finite(saved_at, "saved_at"), body)
    return (record.charger, record.id, *key[2:], _checksum(key))


def check_transaction(values: Values) -> None:
    """Raises BadRow."""
    _compare(values[:5], values[5])


def transaction_record(values: Values) -> TransactionRecord:
    """A record of (charger, transaction_id, running, saved_at, body, crc) as read. Raises BadRow."""
    check_transaction(values)
    return _transaction(values[4])


def packed(values: Values) -> bytes:
    """A row as read, whatever is in it, for the quarantine."""
    return _pack(values)
