"""What a flight recorder keeps of one charger, and how it is written: data, and nothing that decides.

What goes into `Charger.handle` is kept with the instant it was decided at, what was sent with the instant it
went out, and now and then what the decisions stood on (`StateKept`): enough to decide everything again.

Rules of this file:
- A line is JSON without line breaks; `n` rises. Bytes in it are text (`{"$bytes": ...}`).
- Whoever writes lines takes secrets out first; nothing here does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Any, Final, Literal, get_args

import msgspec

from edgegw.core import power_notes, profile_store
from edgegw.core.effects import SendCharger, SendCloud
from edgegw.core.events import Event, Instant
from edgegw.core.records import ChargerRecovery, Document, JournalRow, Lane, SaveDocument, TransactionRecord
from edgegw.core.state import ChargerState
from edgegw.wire.versions import Version

FORMAT: Final = 1
CARDS_KEPT_MAX: Final = 100  # of the list and of the cache of one charger
ENDED_KEPT_MAX: Final = 8
EARLY_KEPT_MAX: Final = 50

# "opens": before a first leg; "later": while it was quiet; "again": its session started over.
Why = Literal["opens", "later", "again"]


class FrameTurnedAway(msgspec.Struct, frozen=True, gc=False):
    """A message that was no OCPP-J: no decision was asked for."""

    side: str  # "charger", "cloud"
    rule: str
    data: bytes


class IdGiven(msgspec.Struct, frozen=True, gc=False):
    """The decision before it made a message id of its own."""

    id: str


class Missing(msgspec.Struct, frozen=True, gc=False):
    """Here is less than happened: the recorder had to drop something."""

    count: int


class StateKept(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a charger; of what other chargers know too, what concerns it."""

    why: Why
    version: Version
    charger_up: bool
    cloud_up: bool
    epoch: int
    seq_last: int
    local_id: int
    waiting: int  # transaction messages that wait for the cloud
    parked: int
    early: tuple[JournalRow, ...]  # other messages that wait for it
    early_left_out: int
    documents: tuple[tuple[str, str, bytes], ...]  # (kind, key, value)
    running: tuple[TransactionRecord, ...]
    ended: tuple[TransactionRecord, ...]

    @classmethod
    def of(cls, state: ChargerState, why: Why) -> StateKept:
        outbox, transactions, early = state.outbox, state.transactions, state.outbox.early()
        return cls(
            why=why,
            version=state.version,
            charger_up=state.charger_up,
            cloud_up=state.cloud_up,
            epoch=state.epoch,
            seq_last=outbox.seq_last,
            local_id=state.site.last_local_id,
            waiting=outbox.waiting,
            parked=outbox.parked,
            early=early[:EARLY_KEPT_MAX],
            early_left_out=len(early[EARLY_KEPT_MAX:]),
            documents=tuple(_documents(state)),
            running=tuple(transactions.running.values()),
            ended=transactions.newest_ended(ENDED_KEPT_MAX),
        )

    def recovery(self, charger: str) -> ChargerRecovery:
        """As after a restart at that moment."""
        documents = (Document(kind, charger, key, value) for kind, key, value in self.documents)
        return ChargerRecovery(
            charger=charger,
            seq_last=self.seq_last,
            epoch_last=self.epoch,
            stored={Lane.TRANSACTION: self.waiting} if self.waiting else {},
            parked=self.parked,
            stored_rows_head=self.early,
            documents=tuple(documents),
            open_transactions=self.running,
            ended_transactions=self.ended,
        )


Recordable = Event | SendCharger | SendCloud | FrameTurnedAway | IdGiven | StateKept | Missing


def _documents(state: ChargerState) -> list[tuple[str, str, bytes]]:
    found = [("charger", "", msgspec.json.encode(state.profile))]
    found += [(d.kind, d.key, d.value or b"") for d in state.transactions.pair_documents()]
    found += [("status", key, msgspec.json.encode(status)) for key, status in state.connectors.items()]
    found += [
        (d.kind, d.key, d.value or b"") for d in islice(state.authorization.documents(), CARDS_KEPT_MAX)
    ]
    if state.power.balanced:
        found += _power(state)
    return found


def _power(state: ChargerState) -> list[tuple[str, str, bytes]]:
    now = Instant(0.0, 0.0, trusted=False)  # limits that run out: the next answer of the charger says when
    kept = [*power_notes.keep_charger(state), profile_store.save(state)]
    for connector in state.power.connectors.values():
        kept += power_notes.keep(state, connector, now)
    return [(d.kind, d.key, d.value) for d in kept if isinstance(d, SaveDocument) and d.value is not None]


# --- lines ------------------------------------------------------------------------------------------


class Line(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that happened. `what` is the name of its kind in NAMES."""

    n: int
    at: float  # wall clock, seconds since 1970
    mono: float
    what: str
    charger: str = ""  # "" the box itself
    doubtful: bool = False  # the wall clock could not be trusted
    kind: int = 0  # of a frame: its message type; 0 unknown
    id: str = ""  # of a frame: its message id
    action: str = ""  # of a frame, of an answer that of its CALL; "" unknown
    rule: str = ""  # of a frame that was turned away
    size: int = 0  # of a frame: bytes on the wire
    frame: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # as it was on the wire, if it can be shown so
    text: str = ""  # of a frame otherwise
    cut: bool = False  # of a frame: `text` is only its beginning
    data: Any = None  # of everything else

    @property
    def shown(self) -> str:
        """The frame, without what nobody may see."""
        return (
            self.text
            if isinstance(self.frame, msgspec.UnsetType)
            else bytes(self.frame).decode("utf-8", "replace")
        )


SPOKE: Final = {"charger_spoke": "charger", "cloud_spoke": "cloud"}
SENT: Final = {"send_charger": "charger", "send_cloud": "cloud"}
TURNED_AWAY: Final = {"charger_turned_away": "charger", "cloud_turned_away": "cloud"}
FRAMES: Final = {**SPOKE, **SENT, **TURNED_AWAY}
STARTED: Final = "gateway_started"  # `data`: what the site decides (`core.flight_site`)


def snake(name: str) -> str:
    """ "ChargerLost" as "charger_lost"."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _all_events() -> list[type]:
    found: list[type] = []
    for one in get_args(Event):
        found += get_args(one) or (one,)
    return found


KINDS: Final[dict[str, type]] = {
    snake(kind.__name__): kind for kind in [*_all_events(), IdGiven, StateKept, Missing]
}
NAMES: Final[dict[type, str]] = {kind: name for name, kind in KINDS.items()} | {
    SendCharger: "send_charger",
    SendCloud: "send_cloud",
}

_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
encode_line: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Line).decode
_FRAME: Final = b'"frame":'  # the last member of a line that has it; in a string its quotes are escaped


def decode_line(raw: bytes) -> Line:
    """Raises ValueError, RecursionError.

    A frame is kept as its peer wrote it, so it may hold half a character (a lone surrogate), which no strict
    reader of JSON takes: it is cut out, to be judged by whoever reads frames.
    """
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        head, found, frame = raw.partition(_FRAME)
        if not found or not _HALF.search(frame):
            raise
    line = _decode(head + _FRAME + b"null}")
    line.frame = msgspec.Raw(frame.removesuffix(b"}"))
    return line


def to_data(thing: Any, shown: Callable[[bytes], str]) -> Any:
    """A struct as plain values; `shown` makes a text of bytes."""
    return _texts(msgspec.to_builtins(thing, builtin_types=(bytes,)), shown)


def _texts(value: Any, shown: Callable[[bytes], str]) -> Any:
    if type(value) is bytes:
        return {"$bytes": shown(value)}
    if type(value) is dict:
        return {key: _texts(inner, shown) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return [_texts(inner, shown) for inner in value]
    return value


def from_data(name: str, data: Any) -> Any:
    """Back to what it was. Raises msgspec.ValidationError (a ValueError), KeyError for an unknown name."""
    return msgspec.convert(_bytes(data or {}), KINDS[name], builtin_types=(bytes,), str_keys=True)


def _bytes(value: Any) -> Any:
    if type(value) is dict:
        if len(value) == 1 and type(value.get("$bytes")) is str:
            return value["$bytes"].encode("utf-8", "surrogatepass")
        return {key: _bytes(inner) for key, inner in value.items()}
    if type(value) is list:
        return [_bytes(inner) for inner in value]
    return value
