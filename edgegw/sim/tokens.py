"""A JSON text as its tokens, each with its place: who compares bytes must not parse them away.

Rules of this file:
- Nothing is decoded: a token is the text between two offsets. `1.0` and `1`, `\\u0041` and `A` differ.
- `difference` forgives two things only: the value of `transactionId` in a 1.6 message of a transaction,
  and in a 2.x TransactionEvent an `offline` that is now `true` (changed, or put in as one more member).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edgegw.errors import EdgegwError

Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<string>"(?:[^"\\\x00-\x1f]|\\.)*")
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
      | (?P<word>true|false|null)
      | (?P<mark>[\[\]{},:])""",
    re.VERBOSE,
)
_INTEGER = re.compile(r"-?[0-9]+")
_REWRITABLE_16 = frozenset({"MeterValues", "StopTransaction"})


class NotJson(EdgegwError):
    """The text cannot be cut into JSON tokens."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # space, key, string, number, word, mark
    start: int
    end: int
    text: str
    path: Path  # of the value, or of the member whose key this is


@dataclass(slots=True)
class _Level:
    is_object: bool
    path: Path
    index: int = 0
    key: str | None = None

    def here(self) -> Path:
        return (*self.path, self.key if self.is_object and self.key is not None else self.index)

    def advance(self) -> None:
        self.index += 1
        self.key = None


def tokens(text: str) -> Iterator[Token]:
    """Cut `text` into tokens. Raises NotJson."""
    levels: list[_Level] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotJson(f"no JSON token at offset {at}: {text[at : at + 20]!r}")
        yield _place(match, levels)
        at = match.end()


def _place(match: re.Match[str], levels: list[_Level]) -> Token:
    """The token of a match with its path; keeps `levels` up to date."""
    kind, text = str(match.lastgroup), match.group()
    level = levels[-1] if levels else None
    path: Path = level.here() if level else ()
    if kind == "mark":
        if text in "[{":
            levels.append(_Level(text == "{", path))
        elif text in "]}" and levels:
            path = levels.pop().path
        elif text == "," and level:
            level.advance()
    elif kind == "string" and level and level.is_object and level.key is None:
        level.key = text[1:-1]
        kind, path = "key", level.here()
    return Token(kind, match.start(), match.end(), text, path)


def difference(sent: str, received: str, *, version: str, action: str) -> str | None:
    """What is different in words, or None when `received` is `sent` but for what a gateway may change.

    version: WebSocket subprotocol; action: OCPP action of the CALL both texts carry.
    """
    if sent == received:
        return None
    try:
        ours, theirs = list(tokens(sent)), list(tokens(received))
    except NotJson as error:
        return str(error)
    if version == "ocpp1.6" and action in _REWRITABLE_16:
        candidates = _with_transaction_id_of(ours, theirs, received)
    elif version != "ocpp1.6" and action == "TransactionEvent":
        candidates = _without_offline(ours, theirs, received)
    else:
        candidates = []
    if sent in candidates:
        return None
    return _first_difference(ours, theirs)


def _value_at(all_tokens: list[Token], path: Path) -> Token | None:
    found = [t for t in all_tokens if t.path == path and t.kind in ("string", "number", "word")]
    return found[0] if len(found) == 1 else None


def _with_transaction_id_of(ours: list[Token], theirs: list[Token], received: str) -> list[str]:
    place: Path = (3, "transactionId")
    mine, other = _value_at(ours, place), _value_at(theirs, place)
    if mine is None or other is None or not _INTEGER.fullmatch(other.text):
        return []
    return [received[: other.start] + mine.text + received[other.end :]]


def _without_offline(ours: list[Token], theirs: list[Token], received: str) -> list[str]:
    """Texts that `received` may have been before `offline` was set in it."""
    place: Path = (3, "offline")
    mine, other = _value_at(ours, place), _value_at(theirs, place)
    if other is None or other.text != "true":
        return []
    if mine is not None:
        return [received[: other.start] + mine.text + received[other.end :]]
    key = next(t for t in theirs if t.kind == "key" and t.path == place)
    before = [t for t in theirs if t.end <= key.start and t.kind != "space"][-1]
    after = next(t for t in theirs if t.start >= other.end and t.kind != "space")
    candidates = [received[: key.start] + received[other.end :]]
    if before.text == ",":
        candidates.append(received[: before.start] + received[other.end :])
    if after.text == ",":
        rest = received[after.end :]
        candidates += [received[: key.start] + rest, received[: key.start] + rest.lstrip(" \t\r\n")]
    return candidates


def _first_difference(ours: list[Token], theirs: list[Token]) -> str:
    for mine, other in zip(ours, theirs, strict=False):
        if (mine.kind, mine.text) != (other.kind, other.text):
            place = ".".join(str(step) for step in mine.path) or "the whole"
            return f"at offset {mine.start} ({place}): {mine.text[:60]!r} became {other.text[:60]!r}"
    return f"{len(ours)} tokens became {len(theirs)}"
