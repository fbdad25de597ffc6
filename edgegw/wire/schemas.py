"""Does a payload fit the schema of its action? An observer: it complains, it stops nothing.

Rules of this file:
- The schemas are the files inside the installed `ocpp` package, read when an action is first met.
  That is the only file access of `edgegw.wire`, and no name a peer chose ever becomes a path: an action
  is looked up in the listing of the schema folder, made once per version.
- `ocpp` itself is found, not imported: importing its version modules costs 200 to 350 ms each.
- `format` is not asserted. Times are `wire.timestamps`' business; many chargers write odd ones.
- A complaint says where and which rule, in words of the schema, never what the payload held.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import jsonschema_rs
import msgspec
import orjson

from edgegw.wire.error_codes import ErrorMeaning
from edgegw.wire.versions import Version

Kind = Literal["request", "response", "send"]

COMPLAINTS_MAX = 10  # per payload; enough for a person to see the pattern
# Finding all that is wrong costs up to 20 us per value, so a payload of more values than this (about 40
# samples) gets only its first complaint: one bad message must not hold up the others.
ITEMISED_VALUES_MAX = 300

_FOLDERS: Mapping[Version, str] = {Version.V16: "v16", Version.V201: "v201", Version.V21: "v21"}


class Complaint(msgspec.Struct, frozen=True, gc=False):
    """One rule of the schema that a payload breaks.

    `path` leads to the member, "meterValue/0/timestamp", or "" for the payload itself; `rule` is the
    schema keyword in snake case; `meaning` says which error code fits if somebody has to answer.
    """

    path: str
    rule: str
    text: str
    meaning: ErrorMeaning


class Schemas:
    """Compiled schemas of every version, each compiled on first use (0.2 to 1 ms) and kept."""

    def __init__(self) -> None:
        self._validators: dict[tuple[Version, Kind, str], jsonschema_rs.Validator | None] = {}

    def is_valid(self, version: Version, kind: Kind, action: str, payload: dict[str, Any]) -> bool | None:
        """None when the version has no such message."""
        validator = self._validators.get((version, kind, action)) or self._validator(version, kind, action)
        return None if validator is None else validator.is_valid(payload)

    def complaints(
        self, version: Version, kind: Kind, action: str, payload: dict[str, Any]
    ) -> tuple[Complaint, ...]:
        """What is wrong with the payload, at most COMPLAINTS_MAX of it; empty when it fits.

        Of a large payload only the first thing that is wrong. An action the version does not have is
        one complaint with rule "unknown_action".
        """
        validator = self._validator(version, kind, action)
        if validator is None:
            return (_UNKNOWN_ACTION,)
        if validator.is_valid(payload):
            return ()
        if _has_more_values(payload, ITEMISED_VALUES_MAX):
            return _first_complaint(validator, payload)
        return tuple(map(_complaint, islice(validator.iter_errors(payload), COMPLAINTS_MAX)))

    def _validator(self, version: Version, kind: Kind, action: str) -> jsonschema_rs.Validator | None:
        key = (version, kind, action)
        try:
            return self._validators[key]
        except KeyError:
            path = _schema_files(version).get((kind, action))
        if path is None:
            return None  # not kept: peers must not be able to fill the table with names
        schema = orjson.loads(path.read_text("utf-8-sig"))
        validator = jsonschema_rs.validator_for(schema, validate_formats=False, offline=True)
        self._validators[key] = validator
        return validator


@cache
def known_actions(version: Version) -> frozenset[str]:
    """Every action this version can call or send, in either direction."""
    return frozenset(action for kind, action in _schema_files(version) if kind != "response")


@cache
def _schema_files(version: Version) -> Mapping[tuple[Kind, str], Path]:
    """(kind, action) -> schema file. 1.6 names requests `Action`; 2.x `ActionRequest`, and sends `Action`."""
    spec = importlib.util.find_spec("ocpp")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the package ocpp, which holds the message schemas, is not installed")
    folder = Path(spec.submodule_search_locations[0], _FOLDERS[version], "schemas")
    bare_kind: Kind = "send" if version.is_2x else "request"
    return {_message(path.stem, bare_kind): path for path in folder.glob("*.json")}


def _message(stem: str, bare_kind: Kind) -> tuple[Kind, str]:
    if stem.endswith("Response"):
        return "response", stem.removesuffix("Response")
    if stem.endswith("Request"):
        return "request", stem.removesuffix("Request")
    return bare_kind, stem


# --- complaints -----------------------------------------------------------------------------------

_UNKNOWN_ACTION = Complaint(
    "", "unknown_action", "this version has no such message", ErrorMeaning.NOT_IMPLEMENTED
)

# Keyword -> (what it means for the sender, the sentence). `{}` is the schema's own value, never the peer's.
_KEYWORDS: Mapping[str, tuple[ErrorMeaning, str]] = {
    "required": (ErrorMeaning.OCCURRENCE, "{} is missing"),
    "type": (ErrorMeaning.TYPE, "must be of type {}"),
    "enum": (ErrorMeaning.PROPERTY, "is not one of the allowed values"),
    "maxLength": (ErrorMeaning.PROPERTY, "is longer than {} characters"),
    "minimum": (ErrorMeaning.PROPERTY, "is less than {}"),
    "maximum": (ErrorMeaning.PROPERTY, "is more than {}"),
    "multipleOf": (ErrorMeaning.PROPERTY, "is not a multiple of {}"),
    "minItems": (ErrorMeaning.OCCURRENCE, "has fewer than {} elements"),
    "maxItems": (ErrorMeaning.OCCURRENCE, "has more than {} elements"),
    "additionalProperties": (ErrorMeaning.FORMATION, "has a member that is not in the schema"),
}


def _has_more_values(payload: dict[str, Any], limit: int) -> bool:
    waiting: list[Any] = [payload]
    count = 0
    while waiting and count <= limit:
        value = waiting.pop()
        if isinstance(value, dict | list):
            count += len(value)
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return count > limit


def _first_complaint(validator: jsonschema_rs.Validator, payload: dict[str, Any]) -> tuple[Complaint, ...]:
    try:
        validator.validate(payload)
    except jsonschema_rs.ValidationError as error:
        return (_complaint(error),)
    return ()


def _complaint(error: jsonschema_rs.ValidationError) -> Complaint:
    keyword = error.kind.name
    meaning, sentence = _KEYWORDS.get(keyword, (ErrorMeaning.FORMATION, "does not fit the schema"))
    text = sentence.format(_expected(error.kind.value)) if "{}" in sentence else sentence
    return Complaint("/".join(map(str, error.instance_path)), _snake_case(keyword), text, meaning)


def _expected(value: Any) -> str:
    """The value of a schema keyword in words: "string", "integer or null", "20"."""
    return " or ".join(map(str, value)) if isinstance(value, list) else str(value)


def _snake_case(keyword: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in keyword)
