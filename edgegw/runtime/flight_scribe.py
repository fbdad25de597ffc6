"""From what a session handed over to records: with the action of an answer, without secrets.

Rules of this file: no I/O and no clock. It is on the way of every message: what can be worked out later from
what is kept is not worked out here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from edgegw.core.effects import SendCharger, SendCloud
from edgegw.core.events import ChargerSpoke, CloudSpoke, Instant, Rewired
from edgegw.core.flight import NAMES, FrameTurnedAway, IdGiven, Recordable, StateKept, to_data
from edgegw.core.flight_block import CODES, CUT, DOUBTFUL, OTHER, TEXT, Block, head
from edgegw.runtime.flight_redaction import cleaned, fragment, masked, redacted
from edgegw.wire.frames import CALL, CALLERROR, CALLRESULT, Call, CallError, CallResult, Frame

FRAME_BYTES_MAX: Final = 256 * 1024  # a longer one is kept as its beginning: it cannot be replayed
BLOCK_BYTES: Final = 1024 * 1024  # more than most sites say in a second
CALLS_KNOWN: Final = 2048  # of all chargers, and as many before them: an answer to them has their action
HEAD_BYTES: Final = 4  # `[2,"` stands before a message id, or more

Entry = tuple[Instant, str, Recordable]

_CHARGER_SPOKE, _CLOUD_SPOKE = CODES["charger_spoke"], CODES["cloud_spoke"]
_SEND_CHARGER, _SEND_CLOUD = CODES["send_charger"], CODES["send_cloud"]


class Scribe:
    """`add` entries to `block`; full ones are handed on, and the last one by `close`."""

    def __init__(
        self, next_n: int, *, on_full: Callable[[Block], object], on_rewired: Callable[[], object]
    ) -> None:
        self.block = Block(next_n)
        self._on_full = on_full
        self._on_rewired = on_rewired
        self._to_cloud, self._to_charger = _Calls(), _Calls()
        self._raw = b""  # of the last frame that came in: mostly it goes out again as it is
        self._now: Instant | None = None  # when that was decided on
        self._deciding = ""  # whose decisions the last event was for

    def close(self) -> None:
        if self.block.count:
            full, self.block = self.block, Block(self.block.next_n)
            self._now = None  # what could be repeated is in the block before
            self._on_full(full)

    def add(self, entry: Entry) -> None:
        now, charger, thing = entry
        kind = type(thing)
        if kind is SendCloud or kind is SendCharger:
            code = _SEND_CLOUD if kind is SendCloud else _SEND_CHARGER
            if now is self._now and thing.data is self._raw:  # type: ignore[union-attr]
                self.block.repeat(code)
                return
            self._sent(now, charger, code, thing.data)  # type: ignore[union-attr]
        elif kind is ChargerSpoke or kind is CloudSpoke:
            code = _CHARGER_SPOKE if kind is ChargerSpoke else _CLOUD_SPOKE
            self._heard(now, charger, code, thing.frame)  # type: ignore[union-attr]
        elif isinstance(thing, FrameTurnedAway):
            self._turned_away(now, charger, thing)
        else:
            self._happened(now, charger, thing)
        if len(self.block) >= BLOCK_BYTES:
            self.close()

    def add_of_box(self, what: str, now: Instant, data: Any) -> None:
        """Something about the box itself; `data` holds no secret."""
        self.block.add((OTHER, "", now.mono, now.wall, msgspec.json.encode(data), _doubt(now), "", what))

    def _happened(self, now: Instant, charger: str, thing: Recordable) -> None:
        if type(thing) is IdGiven:
            charger = self._deciding
        elif type(thing) is Rewired:
            self._on_rewired()
        if type(thing) not in (IdGiven, StateKept):
            self._deciding = charger
        body = data_of(_without_cards(thing) if isinstance(thing, StateKept) else thing)
        self.block.add((OTHER, charger, now.mono, now.wall, body, _doubt(now), "", NAMES[type(thing)]))

    # --- frames -----------------------------------------------------------------------------------

    def _heard(self, now: Instant, charger: str, code: int, frame: Frame) -> None:
        kind, raw, message_id, action = type(frame), frame.raw, frame.id, ""
        self._deciding, self._raw, self._now = charger, raw, now
        if kind is Call:
            calls = self._to_cloud if code == _CHARGER_SPOKE else self._to_charger
            calls.put(charger, message_id, frame.action)  # type: ignore[union-attr]
        elif kind is CallResult or kind is CallError:
            calls = self._to_charger if code == _CHARGER_SPOKE else self._to_cloud
            action = calls.action(charger, message_id)
        self._frame(now, charger, code, raw, action, HEAD_BYTES + len(message_id))

    def _sent(self, now: Instant, charger: str, code: int, data: bytes) -> None:
        kind, message_id, action = head(data)
        if kind == CALL:
            calls = self._to_cloud if code == _SEND_CLOUD else self._to_charger
            calls.put(charger, message_id, action)
        elif kind in (CALLRESULT, CALLERROR):
            calls = self._to_charger if code == _SEND_CLOUD else self._to_cloud
            action = calls.action(charger, message_id)
        self._frame(now, charger, code, data, action)

    def _frame(self, now: Instant, charger: str, code: int, data: bytes, action: str, skip: int = 0) -> None:
        if len(data) > FRAME_BYTES_MAX:
            self._beginning(now, charger, code, data, action)
            return
        text = cleaned(data, skip)
        if text is None:
            flags = 0 if now.trusted else DOUBTFUL
            self.block.add((code, charger, now.mono, now.wall, data, flags, action))
        else:
            about = (TEXT | _doubt(now), action, "", len(data))
            self.block.add((code, charger, now.mono, now.wall, text.encode(), *about))

    def _beginning(self, now: Instant, charger: str, code: int, data: bytes, action: str) -> None:
        kind, message_id, asked = head(data)
        body, flags = fragment(data).encode(), TEXT | CUT | _doubt(now)
        about = (flags, action or asked, "", len(data), kind, message_id)
        self.block.add((code, charger, now.mono, now.wall, body, *about))

    def _turned_away(self, now: Instant, charger: str, thing: FrameTurnedAway) -> None:
        body, flags = fragment(thing.data).encode(), TEXT | CUT | _doubt(now)
        code = CODES[f"{thing.side}_turned_away"]
        about = (flags, "", thing.rule, len(thing.data))
        self.block.add((code, charger, now.mono, now.wall, body, *about))


class _Calls:
    """Actions of the newest CALLs that went one way."""

    def __init__(self) -> None:
        self._new: dict[tuple[str, str], str] = {}
        self._old: dict[tuple[str, str], str] = {}

    def put(self, charger: str, message_id: str, action: str) -> None:
        self._new[charger, message_id] = action
        if len(self._new) >= CALLS_KNOWN:
            self._new, self._old = {}, self._new

    def action(self, charger: str, message_id: str) -> str:
        """Empty when it is not known."""
        key = (charger, message_id)
        return self._new.get(key) or self._old.get(key, "")


def _doubt(now: Instant) -> int:
    return 0 if now.trusted else DOUBTFUL


def data_of(thing: object) -> bytes:
    """As JSON, without secrets."""
    return redacted(msgspec.json.encode(to_data(thing, redacted))).encode()


def _without_cards(state: StateKept) -> StateKept:
    """Where a card id is no member of its own: in keys, and in the words that tell two Starts apart."""
    return replace(state, documents=tuple(_without_card(*document) for document in state.documents))


def _without_card(kind: str, key: str, value: bytes) -> tuple[str, str, bytes]:
    if kind in ("cache", "list"):
        of_type, bar, tag = key.partition("|")
        return kind, f"{of_type}{bar}{masked(tag)}", value
    if kind == "transaction_id":
        pair = msgspec.json.decode(value)
        words = str(pair.get("fingerprint", "")).split("|")
        if len(words) >= 4:
            pair["fingerprint"] = "|".join([words[0], masked("|".join(words[1:-2])), *words[-2:]])
        return kind, key, msgspec.json.encode(pair)
    return kind, key, value
