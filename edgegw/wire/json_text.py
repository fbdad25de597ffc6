"""Bytes to JSON values, by the strictest reading: the one judge of what is JSON on the wire.

Rules of this file:
- RFC 8259 to the letter (orjson): no NaN, no infinity, no byte order mark, no trailing text, UTF-8 only.
- A member may occur once. Parsers disagree on which of two wins, and a bill must not depend on that.
- Nesting and number size are limited before anything recursive sees the text.
- The one leniency: an escape such as \\ud800 that is half a surrogate pair. It is legal JSON grammar and
  may stand in a tag that belongs to a transaction; it reads as U+FFFD, and the caller keeps the bytes.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from edgegw.errors import EdgegwError

NESTING_MAX = 32  # the deepest OCPP message has about 10 levels; DataTransfer.data is mostly a string

# Runs of text without, and single cases of, an escaped half of a surrogate pair.
_HALVES = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})++"
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})",
    re.DOTALL,
)
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_NESTING_LOOK = 4096  # bytes of a broken text that are searched for deep nesting; only its name depends on it
_BACKSLASH = ord("\\")


class JsonRefused(EdgegwError):
    """Text that is not acceptable JSON. `rule`: not_utf8, not_json, nesting or duplicate_key."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class _Twice(Exception):
    """A member name occurs twice in one object."""


def read(raw: bytes) -> Any:
    """The value `raw` stands for, all of its strings valid Unicode. Raises JsonRefused.

    Integers beyond 64 bits come out as floats; one beyond the range of a float is refused.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raw = _with_halves_replaced(raw)
        value = _read_again(raw)
    # Each level takes two brackets, so most messages are settled by counting, short ones by their length.
    if len(raw) > 2 * NESTING_MAX and raw.count(b"{") + raw.count(b"[") > NESTING_MAX and _is_too_deep(value):
        raise JsonRefused("nesting")
    if _may_have_duplicates(raw, value):
        _refuse_duplicates(raw)
    return value


def _may_have_duplicates(raw: bytes, value: Any) -> bool:
    """False only if no object of `raw` has a member twice; True costs an exact look.

    A text that comes out of the writer as it went into the reader lost nothing on the way. Otherwise
    quotation marks are counted: a string has as many written back as it had, unless one was spelt
    \\u0022, and a member that was swallowed took at least two away.
    """
    again = orjson.dumps(value)
    if raw == again:
        return False
    return raw.count(b'"') != again.count(b'"') or (_BACKSLASH in raw and b"\\u0022" in raw)


def _refuse_duplicates(raw: bytes) -> None:
    try:
        json.loads(raw, object_pairs_hook=_refuse_twice, parse_int=float)
    except _Twice:
        raise JsonRefused("duplicate_key") from None


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Twice


def _is_too_deep(value: Any) -> bool:
    """Level by level, so that no stack grows with the depth."""
    level = [value]
    for _ in range(NESTING_MAX + 1):
        containers = [item for item in level if type(item) is dict or type(item) is list]
        if not containers:
            return False
        level = [child for item in containers for child in (item.values() if type(item) is dict else item)]
    return True


def _with_halves_replaced(raw: bytes) -> bytes:
    """`raw` with every escaped half of a surrogate pair spelt \\ufffd. Raises JsonRefused.

    Refuses what cannot be cured that way: bytes that are not UTF-8, a start that nests too deep.
    """
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raise JsonRefused("not_utf8") from None
    if _text_is_too_deep(raw[:_NESTING_LOOK]):
        raise JsonRefused("nesting")
    return _HALVES.sub(lambda found: b"\\ufffd" if found["half"] else found[0], raw)


def _read_again(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise JsonRefused("not_json") from None


def _text_is_too_deep(raw: bytes) -> bool:
    """The same limit for a text the reader gave up on, to say why. Stops at the first bracket too many."""
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(raw):
        match found[0]:
            case b"[" | b"{":
                depth += 1
                if depth > NESTING_MAX:
                    return True
            case b"]" | b"}":
                depth -= 1
    return False
