"""Append-only ledgers: what one side saw, one JSON line per fact, on disk before it goes on.

Rules of this file:
- One line is one `os.write` on an O_APPEND descriptor: a writer that is killed with -9 loses no fact it
  has already acted on, and leaves at most one torn line at the very end.
- `n` rises by one per line over the whole life of the file, restarts included: a hole is a lost line.
- The raw text of a frame is kept exactly. Nobody compares anything here; `audit` does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec import structs

from edgegw.errors import EdgegwError


class LedgerFault(EdgegwError):
    """A ledger file that cannot be what a ledger writer wrote."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One fact. `kind` is one of

    connected, disconnected, refused, booted      about the connection or the device
    sent_call, got_result, got_error, timed_out   about a CALL of the writer
    gave_up                                       the charger dropped a transaction message for good
    received_call, sent_result, sent_error        about a CALL of the other side
    answer_cut                                    the answer was made but the connection was broken under it
    received_send, received_junk, note            the rest
    """

    n: int
    at: float  # wall clock of the writer, seconds since 1970
    side: str  # "charger" or "cloud"
    who: str  # charger identity
    kind: str
    conn: int = 0  # number of the connection, rising per ledger
    boot: int = 0  # number of the charger's boot
    version: str = ""  # WebSocket subprotocol
    id: str = ""  # OCPP-J message id
    action: str = ""
    tx: str = ""  # transaction id as it is on the wire
    session: str = ""  # the charger's own name of the transaction; the cloud never knows it
    energy_wh: float | None = None  # register of the connector in this message
    raw: str = ""  # the frame, character by character
    note: str = ""


class Ledger:
    """Writer of one ledger file; may be shared by many chargers of one process."""

    def __init__(self, path: str | Path, side: str, *, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self.side = side
        self._clock = clock
        self.last_n = 0
        self.last_conn = 0
        self.last_boot: dict[str, int] = {}
        self._encode = msgspec.json.Encoder().encode
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._resume()
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def _resume(self) -> None:
        if not self.path.exists():
            return
        _cut_torn_line(self.path)
        for entry in read(self.path):
            self.last_n = entry.n
            self.last_conn = max(self.last_conn, entry.conn)
            self.last_boot[entry.who] = max(self.last_boot.get(entry.who, 0), entry.boot)

    def write(self, who: str, kind: str, **facts: Any) -> Entry:
        """Append one fact. It is in the kernel when this returns. Raises OSError."""
        self.last_n += 1
        for name in ("id", "action"):
            if not isinstance(facts.get(name, ""), str):
                facts[name] = repr(facts[name])  # a bad frame; its text is in `raw`
        entry = Entry(n=self.last_n, at=self._clock(), side=self.side, who=who, kind=kind, **facts)
        try:
            line = self._encode(entry) + b"\n"
        except UnicodeEncodeError:  # lone surrogates in a decoded field
            entry = Entry(**{name: _encodable(value) for name, value in structs.asdict(entry).items()})
            line = self._encode(entry) + b"\n"
        written = os.write(self._fd, line)
        if written != len(line):
            raise LedgerFault(f"{self.path}: wrote {written} of {len(line)} bytes; the disk is full")
        return entry

    def next_conn(self) -> int:
        self.last_conn += 1
        return self.last_conn

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _encodable(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _cut_torn_line(path: Path) -> None:
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        os.truncate(path, whole)


def read(path: str | Path) -> Iterator[Entry]:
    """Entries of a ledger in file order. A torn last line is left out; any other bad line raises
    LedgerFault with its number."""
    decoder = msgspec.json.Decoder(Entry)
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise LedgerFault(f"{path} line {number}: {error}") from error
