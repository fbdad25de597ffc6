"""From the bytes of a command to a request, or to words that say what is wrong with them.

Rules of this file: the words name the member and hold no value of it: it may be a card id; what they repeat
of the asker's is short and printable.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from edgegw.config_mqtt import Verb
from edgegw.errors import EdgegwError
from edgegw.mqtt.requests import REQUESTS, TRANSACTION_CHARACTERS_MAX, Request
from edgegw.redaction import plain
from edgegw.wire import json_text

PAYLOAD_BYTES_MAX = 64 * 1024  # the numbers of 5,000 messages fit; a command for one charger has 200 bytes
WORD_SHOWN_MAX = 40  # of what an asker wrote


class Malformed(EdgegwError):
    """A payload that is no request, in words."""


_RULES = {
    "not_utf8": "the payload is not UTF-8",
    "not_json": "the payload is not JSON",
    "nesting": f"the payload nests deeper than {json_text.NESTING_MAX} levels",
    "duplicate_key": "the payload has a member twice",
}
_PLACE = re.compile(r" - at `\$\.?(.+)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field (`.*`)")
_PLAIN = (  # msgspec's words in those of who reads the answer
    (re.compile(r"Expected `(?:int|float)` >= (-?[\d.]+)"), r"must be at least \1"),
    (re.compile(r"Expected `(?:int|float)` <= (-?[\d.]+)"), r"must be at most \1"),
    (re.compile(r"Expected `(?:float|int)(?: \| null)?`, got `(\w+)`"), r"must be a number, not \1"),
    (re.compile(r"Expected `bool`, got `(\w+)`"), r"must be true or false, not \1"),
    (re.compile(r"Expected `str(?: \| null)?`, got `(\w+)`"), r"must be text in quotes, not \1"),
)
_ENUM = re.compile(r"Invalid enum value .*", re.DOTALL)


def read_object(payload: bytes) -> dict[str, Any]:
    """Raises Malformed."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise Malformed(f"the payload is longer than {PAYLOAD_BYTES_MAX} bytes")
    if not payload:
        raise Malformed("the payload is empty")
    try:
        value = json_text.read(payload)
    except json_text.JsonRefused as refused:
        raise Malformed(_RULES[refused.rule]) from refused
    if not isinstance(value, dict):
        raise Malformed("the payload must be a JSON object")
    return value


def transaction_of(value: Mapping[str, Any]) -> str | None:
    """The transaction id, if it is one that may be said back."""
    given = value.get("transaction")
    if not isinstance(given, str) or not 0 < len(given) <= TRANSACTION_CHARACTERS_MAX:
        return None
    return given if given.isprintable() else None


def read(verb: Verb, value: Mapping[str, Any]) -> Request:
    """Raises Malformed."""
    try:
        return msgspec.convert(value, REQUESTS[verb])
    except msgspec.ValidationError as error:
        raise Malformed(_in_words(verb, str(error))) from error


def _in_words(verb: Verb, text: str) -> str:
    """msgspec's complaint without values, with hints."""
    place = _PLACE.search(text)
    field = place[1] if place is not None else ""
    text = text[: place.start()] if place is not None else text
    unknown = _UNKNOWN.fullmatch(text)
    if unknown is not None:
        fields = REQUESTS[verb].__struct_fields__
        hint = near(unknown[1], fields) or f"; there are: {', '.join(fields)}"
        text = f"no member is called {shown(unknown[1])}{hint}"
    for pattern, words in _PLAIN:
        text = pattern.sub(words, text)
    text = _ENUM.sub("is none of the allowed words", text)
    text = _MISSING.sub(r"\1 is missing", text)
    if field in ("limit_a", "limit_w") and "null" in text:
        text += "; no value lifts no limit: to take one back use limit/release"
    return f"{field}: {text}" if field else text


def near(name: str, known: Iterable[str]) -> str:
    """A hint at what was probably meant."""
    close = difflib.get_close_matches(name[:WORD_SHOWN_MAX].casefold(), list(known), n=3, cutoff=0.6)
    return f"; did you mean {', '.join(close)}?" if close else ""


def shown(word: str) -> str:
    """What an asker wrote, as an answer may hold it."""
    return f'"{plain(word[:WORD_SHOWN_MAX])}{"..." if len(word) > WORD_SHOWN_MAX else ""}"'
