"""Edits of one token of a frame: everything outside the token stays the byte it was.

Rules of this file:
- For rewritten messages only. What no rule touches is forwarded as the bytes that came in.
- The input is a frame that `frames.parse` accepted; text that is not raises ValueError or KeyError.
- A path leads from the payload: `("csChargingProfiles", "transactionId")`, `("meterValue", 0, "timestamp")`.
- A token is one JSON value as it shall stand on the wire: `b"42"`, `b"true"`, `b'"id"'`.
- Each edit is one pass over the text: linear time, no recursion.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import orjson

Path = tuple[str | int, ...]
Span = tuple[int, int]  # [start, end) in bytes

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SCALAR = re.compile(rb"[-+.0-9A-Za-z]++")
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)

_PAYLOAD_INDEX = {b"2": 3, b"3": 2, b"4": 4, b"5": 4, b"6": 3}  # by message type; details of an error


def with_message_id(raw: bytes, new_id: str) -> bytes:
    """The frame with another message id."""
    start = _element_at(raw, _past_space(raw, 0), 1)
    return _splice(raw, (start, _value_end(raw, start)), orjson.dumps(new_id))


def with_value(raw: bytes, path: Path, token: bytes) -> bytes:
    """The frame with another value at `path`. KeyError when there is no such member or element."""
    _check(token)
    return _splice(raw, value_span(raw, path), token)


def with_member(raw: bytes, key: str, token: bytes) -> bytes:
    """The frame whose payload has the member `key` with this value.

    Replaces its value where it stands, or inserts the member as the first one. A payload of null
    becomes an object.
    """
    try:
        return with_value(raw, (key,), token)
    except KeyError:
        start = _value_at(raw, ())
    member = orjson.dumps(key) + b":" + token
    if raw.startswith(b"null", start):
        return _splice(raw, (start, start + len(b"null")), b"{" + member + b"}")
    if not raw.startswith(b"{", start):
        raise ValueError("the payload is not an object")
    is_empty = raw.startswith(b"}", _past_space(raw, start + 1))
    return _splice(raw, (start + 1, start + 1), member if is_empty else member + b",")


def without_member(raw: bytes, path: Path) -> bytes:
    """The frame without the member at `path`, and without one comma beside it. KeyError when it is not there.

    The comma behind it goes, with the space up to the next member; of the last member, the one before it.
    """
    object_at, key = _value_at(raw, path[:-1]), path[-1]
    past_comma_at = past_value_at = _past_space(raw, object_at + 1)
    for name, at in _children(raw, object_at) if raw.startswith(b"{", object_at) else ():
        end = _value_end(raw, at)
        after = _past_space(raw, end)
        if name == key:
            if raw.startswith(b",", after):
                return _splice(raw, (past_comma_at, _past_space(raw, after + 1)), b"")
            return _splice(raw, (past_value_at, end), b"")
        past_value_at = end
        past_comma_at = _past_space(raw, after + 1)
    raise KeyError(key)


def value_span(raw: bytes, path: Path) -> Span:
    """Where the value at `path` begins and ends. `()` is the payload itself. KeyError when missing."""
    start = _value_at(raw, path)
    return start, _value_end(raw, start)


def _check(token: bytes) -> None:
    """An edit must not make a frame that is none: ValueError unless `token` is one JSON value."""
    orjson.loads(token)


def _splice(raw: bytes, span: Span, text: bytes) -> bytes:
    return raw[: span[0]] + text + raw[span[1] :]


# --- the scanner ----------------------------------------------------------------------------------


def _value_at(raw: bytes, path: Path) -> int:
    frame_at = _past_space(raw, 0)
    kind_at = _element_at(raw, frame_at, 0)
    kind = raw[kind_at : _value_end(raw, kind_at)]
    at = _element_at(raw, frame_at, _PAYLOAD_INDEX[kind])
    for step in path:
        at = _element_at(raw, at, step) if isinstance(step, int) else _member_at(raw, at, step)
    return at


def _element_at(raw: bytes, array_at: int, index: int) -> int:
    if raw.startswith(b"[", array_at):
        for number, (_, at) in enumerate(_children(raw, array_at)):
            if number == index:
                return at
    raise KeyError(index)


def _member_at(raw: bytes, object_at: int, key: str) -> int:
    if raw.startswith(b"{", object_at):
        for name, at in _children(raw, object_at):
            if name == key:
                return at
    raise KeyError(key)


def _children(raw: bytes, at: int) -> Iterator[tuple[str | None, int]]:
    """(member name or None, start of the value) for each child of the object or array that opens at `at`."""
    is_object = raw.startswith(b"{", at)
    at = _past_space(raw, at + 1)
    while not raw.startswith((b"]", b"}"), at):
        name = None
        if is_object:
            name_end = _string_end(raw, at)
            name = _text(raw[at:name_end])
            at = _past(raw, _past_space(raw, name_end), b":")
        yield name, at
        at = _past_space(raw, _value_end(raw, at))
        if raw.startswith(b",", at):
            at = _past_space(raw, at + 1)


def _text(token: bytes) -> str:
    """What a string token says. Not orjson: it refuses half a surrogate pair."""
    text: str = json.loads(token) if b"\\" in token else token[1:-1].decode()
    return text


def _past_space(raw: bytes, at: int) -> int:
    found = _SPACE.match(raw, at)
    assert found is not None  # it matches nothing, too
    return found.end()


def _past(raw: bytes, at: int, mark: bytes) -> int:
    """Past `mark`, which must stand here, and past the space behind it."""
    if not raw.startswith(mark, at):
        raise ValueError("not a JSON text")
    return _past_space(raw, at + len(mark))


def _string_end(raw: bytes, at: int) -> int:
    if (found := _STRING.match(raw, at)) is None:
        raise ValueError("not a JSON text")
    return found.end()


def _value_end(raw: bytes, at: int) -> int:
    match raw[at : at + 1]:
        case b'"':
            return _string_end(raw, at)
        case b"{" | b"[":
            return _container_end(raw, at)
    if (found := _SCALAR.match(raw, at)) is None:
        raise ValueError("not a JSON text")
    return found.end()


def _container_end(raw: bytes, at: int) -> int:
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(raw, at):
        match found[0]:
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
                if depth == 0:
                    return found.end()
    raise ValueError("not a JSON text")
