"""A block of the flight recorder: what about a second of all chargers was, as it lies in memory and on disk.

Rules of this file:
- Keeping is cheap and looking is not: a record is what is there anyway, as MessagePack. What people and
  replays read (`Line`) is made of it when somebody asks.
- Numbers are not kept: the records of a block follow each other without a gap.
- A frame that goes out as it came in, in the decision on it, is one byte: the code of who sent it. It
  stands behind the frame it repeats, in the same block.
- Whoever makes records takes secrets out first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from edgegw.core.flight import Line
from edgegw.wire.frames import CALL, SEND

DOUBTFUL, TEXT, CUT = 1, 2, 4  # flags: of `Line.doubtful`; the body is not as it was on the wire; `Line.cut`

OTHER: Final = 0
CODES: Final = {
    "charger_spoke": 1,
    "cloud_spoke": 2,
    "send_charger": 3,
    "send_cloud": 4,
    "charger_turned_away": 5,
    "cloud_turned_away": 6,
}
_NAMES: Final = {code: name for name, code in CODES.items()}
_HEARD: Final = (CODES["charger_spoke"], CODES["cloud_spoke"])

# Ids and actions without escapes; the others are looked at more closely.
_HEAD = re.compile(rb'\s*\[\s*(\d)\s*,\s*"([^"\\]{1,144})"\s*(?:,\s*"([^"\\]{1,50})"\s*,)?')


class _Record(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One record. Who adds it leaves out what is as by default at its end."""

    code: int
    charger: str
    mono: float
    wall: float
    body: bytes  # of a frame the frame; of everything else its data as JSON
    flags: int = 0
    action: str = ""  # of a frame, where it does not stand in it
    name: str = ""  # of OTHER: `Line.what`; of what was turned away: the rule
    size: int = 0  # of a frame: bytes on the wire; 0 those of the body
    kind: int = 0  # of a frame that was cut
    id: str = ""


_append = msgspec.msgpack.Encoder().encode_into
_decode = msgspec.msgpack.Decoder(list[_Record | int]).decode


class Block:
    """Records that grow in number: `add` one, or `repeat` the newest frame that came in."""

    __slots__ = ("_data", "_told", "chargers", "count", "first_n", "last_at")

    def __init__(self, first_n: int) -> None:
        self.first_n = first_n
        self.count = 0
        self.chargers: set[str] = set()
        self.last_at = 0.0
        self._data = bytearray()
        self._told = (0, 0)  # records and bytes

    def __len__(self) -> int:
        """In bytes."""
        return len(self._data)

    @property
    def next_n(self) -> int:
        return self.first_n + self.count

    def add(self, record: tuple[Any, ...]) -> None:
        """Of the members of `_Record`, in order."""
        _append(record, self._data, -1)
        self.count += 1
        self.chargers.add(record[1])
        self.last_at = record[3]

    def repeat(self, code: int) -> None:
        """Of who sends what was heard last."""
        self._data.append(code)
        self.count += 1

    def pack(self) -> bytes:
        return _array(self.count, self._data)

    def news(self) -> tuple[int, bytes]:
        """The first number behind those that were asked for before, and what `lines` takes."""
        count, size = self._told
        self._told = (self.count, len(self._data))
        return self.first_n + count, _array(self.count - count, self._data[size:])


def _array(count: int, records: bytes | bytearray) -> bytes:
    """As MessagePack has it."""
    return b"\xdd" + count.to_bytes(4, "big") + records


def lines(first_n: int, packed: bytes, charger: str | None = None) -> Iterator[Line]:
    """Of one charger with those of the box itself; None: all. Raises ValueError for what is no block."""
    heard: _Record | None = None
    for n, one in enumerate(_decode(packed), first_n):
        record = heard if isinstance(one, int) else one
        if record is None:
            raise ValueError("a frame repeats one that is not there")
        code = one if isinstance(one, int) else one.code
        if code in _HEARD:
            heard = record
        if charger is None or record.charger in (charger, ""):
            yield _line(n, code, record)


def _line(n: int, code: int, record: _Record) -> Line:
    doubtful = bool(record.flags & DOUBTFUL)
    what = _NAMES.get(code, record.name)
    line = Line(n=n, at=record.wall, mono=record.mono, what=what, charger=record.charger, doubtful=doubtful)
    if code == OTHER:
        line.data = msgspec.Raw(record.body)
        return line
    line.size, line.cut = record.size or len(record.body), bool(record.flags & CUT)
    if record.flags & TEXT or b"\n" in record.body or b"\r" in record.body:
        line.text = record.body.decode("utf-8", "backslashreplace")
    else:
        line.frame = msgspec.Raw(record.body)
    if record.name:
        line.rule = record.name
        return line
    line.kind, line.id, action = (record.kind, record.id, "") if record.kind else head(record.body)
    line.action = record.action or action
    return line


def head(frame: bytes) -> tuple[int, str, str]:
    """Message type, message id and, of what asks, the action. Zero and nothing for what does not tell."""
    found = _HEAD.match(frame)
    if found is None:
        return _head_in_full(frame)
    kind = int(found[1])
    action = found[3] if found[3] and kind in (CALL, SEND) else b""
    return kind, found[2].decode("utf-8", "replace"), action.decode("utf-8", "replace")


def _head_in_full(frame: bytes) -> tuple[int, str, str]:
    try:
        kind, message_id, *more = msgspec.json.decode(frame, type=list[Any])
    except (ValueError, RecursionError):
        return 0, "", ""
    if type(kind) is not int or type(message_id) is not str:
        return 0, "", ""
    action = more[0] if kind in (CALL, SEND) and more and type(more[0]) is str else ""
    return kind, message_id, action
