"""OCPP-J frames: bytes in, one of five structs out, and back. No I/O, no clock.

Rules of this file (facts: OCPP-J 1.6 section 4, OCPP 2.x Part 4 section 4):
- `parse` never changes a byte: the struct keeps `raw` as it came, and a relay forwards `raw`.
- What is not OCPP-J framing is refused with `FrameRefused`, which says what to answer, if anything.
- `parse` judges framing only. Whether a payload fits its schema is `wire.schemas`' business.
- An answer is never answered, however broken it is; only what was, or may have been, a CALL is.
- Nothing a peer wrote goes into a reply except a message id that passed its checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, NoReturn

import msgspec
import orjson

from edgegw.errors import EdgegwError
from edgegw.wire import json_text
from edgegw.wire.error_codes import ErrorMeaning, error_code
from edgegw.wire.versions import Version

CALL, CALLRESULT, CALLERROR, CALLRESULTERROR, SEND = 2, 3, 4, 5, 6
MESSAGE_ID_MAX = 36  # characters; OCPP-J 4.1.4
ACTION_MAX = 50  # characters; the longest action has 33, "-Signed" included 40
DESCRIPTION_MAX = 255  # characters; OCPP 2.x Part 4, 4.2.3
UNREADABLE_ID = "-1"  # OCPP 2.x Part 4, 4.2.3; 1.6 has no such rule and gets no reply


class Call(msgspec.Struct, frozen=True, gc=False):
    """`[2, id, action, payload]`"""

    id: str
    action: str
    payload: dict[str, Any]
    raw: bytes


class CallResult(msgspec.Struct, frozen=True, gc=False):
    """`[3, id, payload]`"""

    id: str
    payload: dict[str, Any]
    raw: bytes


class CallError(msgspec.Struct, frozen=True, gc=False):
    """`[4, id, code, description, details]`"""

    id: str
    code: str
    description: str
    details: dict[str, Any]
    raw: bytes


class CallResultError(msgspec.Struct, frozen=True, gc=False):
    """`[5, id, code, description, details]`, OCPP 2.1 only: the answer could not be processed."""

    id: str
    code: str
    description: str
    details: dict[str, Any]
    raw: bytes


class Send(msgspec.Struct, frozen=True, gc=False):
    """`[6, id, action, payload]`, OCPP 2.1 only: nobody answers it."""

    id: str
    action: str
    payload: dict[str, Any]
    raw: bytes


Frame = Call | CallResult | CallError | CallResultError | Send


class FrameRefused(EdgegwError):
    """A message that is not an OCPP-J frame of this version.

    `rule` is a short stable name for counters ("not_json", "duplicate_key", ...); `reply` the bytes
    to send back, if the specification wants any; `close_code` a WebSocket close code if the
    connection cannot go on (1007 for bytes that are not UTF-8), else None.
    """

    def __init__(
        self, rule: str, text: str, *, reply: bytes | None = None, close_code: int | None = None
    ) -> None:
        super().__init__(text)
        self.rule = rule
        self.text = text
        self.reply = reply
        self.close_code = close_code


# --- reading --------------------------------------------------------------------------------------


def parse(raw: bytes, version: Version) -> Frame:
    """The frame that one WebSocket text message holds. Raises FrameRefused and nothing else.

    A payload of null is an empty one (1.6 4.2.1, 2.x 4.1.5). Missing or misshapen descriptions and
    details of an error answer are read as empty: an answer whose id and code are readable is used.
    """
    try:
        elements = json_text.read(raw)
    except json_text.JsonRefused as refused:
        _refuse_text(raw, version, refused.rule)
    if type(elements) is not list or len(elements) < 2:
        _refuse_text(raw, version, "not_a_frame")
    kind, message_id = elements[0], elements[1]
    reader = _READERS[version].get(kind) if type(kind) is int else None
    id_is_good = type(message_id) is str and 0 < len(message_id) <= MESSAGE_ID_MAX
    if reader is None:
        _refuse_type(version, message_id if id_is_good else None)
    if not id_is_good:
        _refuse_id(version, kind)
    return reader(elements, raw, version)


def _read_call(elements: list[Any], raw: bytes, version: Version) -> Call:
    if len(elements) != 4:
        _refuse_call(version, elements[1], "arity", ErrorMeaning.FORMATION)
    _, message_id, action, payload = elements
    if not _is_action(action):
        _refuse_call(version, message_id, "action", ErrorMeaning.NOT_IMPLEMENTED)
    if payload is None:
        payload = {}
    elif type(payload) is not dict:
        _refuse_call(version, message_id, "payload", ErrorMeaning.FORMATION)
    return Call(message_id, action, payload, raw)


def _read_result(elements: list[Any], raw: bytes, version: Version) -> CallResult:
    if len(elements) != 3:
        raise _refusal("arity")
    _, message_id, payload = elements
    if payload is None:
        payload = {}
    elif type(payload) is not dict:
        raise _refusal("payload")
    return CallResult(message_id, payload, raw)


def _read_error(elements: list[Any], raw: bytes, version: Version) -> CallError:
    return CallError(elements[1], *_error_parts(elements), raw)


def _read_result_error(elements: list[Any], raw: bytes, version: Version) -> CallResultError:
    return CallResultError(elements[1], *_error_parts(elements), raw)


def _read_send(elements: list[Any], raw: bytes, version: Version) -> Send:
    if len(elements) != 4:
        raise _refusal("arity")
    _, message_id, action, payload = elements
    if not _is_action(action):
        raise _refusal("action")
    if payload is None:
        payload = {}
    elif type(payload) is not dict:
        raise _refusal("payload")
    return Send(message_id, action, payload, raw)


def _error_parts(elements: list[Any]) -> tuple[str, str, dict[str, Any]]:
    if not 3 <= len(elements) <= 5:
        raise _refusal("arity")
    code, description, details = (*elements[2:], None, None)[:3]
    if type(code) is not str:
        raise _refusal("error_code")
    return code, description if type(description) is str else "", details if type(details) is dict else {}


# Visible ASCII without the two slashes: an action is a name that others may look things up by.
_ODD_ACTION = re.compile(rf"[!-.0-\[\]-~]{{1,{ACTION_MAX}}}")


def _is_action(action: object) -> bool:
    if type(action) is not str:
        return False
    if action.isalnum() and action.isascii():
        return len(action) <= ACTION_MAX
    return _ODD_ACTION.fullmatch(action) is not None


_Reader = Callable[[list[Any], bytes, Version], Frame]
_READERS_BEFORE_21: Mapping[int, _Reader] = {
    CALL: _read_call,
    CALLRESULT: _read_result,
    CALLERROR: _read_error,
}
_READERS: Mapping[Version, Mapping[int, _Reader]] = {
    Version.V16: _READERS_BEFORE_21,
    Version.V201: _READERS_BEFORE_21,
    Version.V21: {**_READERS_BEFORE_21, CALLRESULTERROR: _read_result_error, SEND: _read_send},
}


# --- refusing -------------------------------------------------------------------------------------

_TEXTS: Mapping[str, str] = {
    "not_utf8": "the message is not UTF-8",
    "not_json": "the message is not JSON",
    "nesting": f"the message nests deeper than {json_text.NESTING_MAX} levels",
    "duplicate_key": "an object of the message has the same member twice",
    "not_a_frame": "the message is not an array of a type number and a message id",
    "message_type": "this version has no such message type",
    "message_id": f"the message id is not a string of 1 to {MESSAGE_ID_MAX} characters",
    "arity": "the message has too few or too many elements",
    "action": "the action is not a name",
    "payload": "the payload is not an object",
    "error_code": "the error code is not a string",
}

# Type and id at the start of a text that is refused as a whole.
_START = re.compile(
    rb'[ \t\r\n]*\[[ \t\r\n]*(-?\d{1,9})[ \t\r\n]*(?:,[ \t\r\n]*"([^"\\\x00-\x1f]{1,144})"|[,\]])'
)


def _refusal(rule: str, reply: bytes | None = None, close_code: int | None = None) -> FrameRefused:
    return FrameRefused(rule, _TEXTS[rule], reply=reply, close_code=close_code)


def _refuse_call(version: Version, message_id: str, rule: str, meaning: ErrorMeaning) -> NoReturn:
    raise _refusal(rule, error(message_id, error_code(version, meaning), _TEXTS[rule]))


def _refuse_without_id(version: Version, rule: str) -> NoReturn:
    if not version.is_2x:
        raise _refusal(rule)
    raise _refusal(rule, error(UNREADABLE_ID, error_code(version, ErrorMeaning.RPC), _TEXTS[rule]))


def _refuse_text(raw: bytes, version: Version, rule: str) -> NoReturn:
    """Refuse a message that could not be taken apart, but whose first two elements may be legible."""
    if rule == "not_utf8":
        raise _refusal(rule, close_code=1007)
    start = _START.match(raw)
    kind = int(start[1]) if start else None
    message_id = start[2].decode() if start and start[2] else ""
    if kind in _READERS[version] and kind != CALL:
        raise _refusal(rule)
    if kind == CALL and 0 < len(message_id) <= MESSAGE_ID_MAX:
        _refuse_call(version, message_id, rule, ErrorMeaning.FORMATION)
    _refuse_without_id(version, rule)


def _refuse_type(version: Version, message_id: str | None) -> NoReturn:
    """1.6 4.1.3: ignore it. 2.x has an error code for it, to be sent if there is an id to send it to."""
    if version is Version.V16:
        raise _refusal("message_type")
    if message_id is None:
        _refuse_without_id(version, "message_type")
    _refuse_call(version, message_id, "message_type", ErrorMeaning.MESSAGE_TYPE)


def _refuse_id(version: Version, kind: int) -> NoReturn:
    """An id that breaks its rule is not repeated to the peer: it counts as unreadable."""
    if kind != CALL:
        raise _refusal("message_id")
    _refuse_without_id(version, "message_id")


# --- writing --------------------------------------------------------------------------------------


def call(message_id: str, action: str, payload: dict[str, Any]) -> bytes:
    """`[2, id, action, payload]`. ValueError for what JSON cannot say: NaN, infinity, half a surrogate."""
    return _write([CALL, message_id, action, payload])


def result(message_id: str, payload: dict[str, Any]) -> bytes:
    """`[3, id, payload]`. ValueError as in `call`."""
    return _write([CALLRESULT, message_id, payload])


def error(message_id: str, code: str, description: str = "", details: dict[str, Any] | None = None) -> bytes:
    """`[4, id, code, description, details]`; the description is cut to 255. ValueError as in `call`."""
    return _write([CALLERROR, message_id, code, description[:DESCRIPTION_MAX], details or {}])


def result_error(
    message_id: str, code: str, description: str = "", details: dict[str, Any] | None = None
) -> bytes:
    """`[5, id, code, description, details]`, OCPP 2.1 only. ValueError as in `call`."""
    return _write([CALLRESULTERROR, message_id, code, description[:DESCRIPTION_MAX], details or {}])


def send(message_id: str, action: str, payload: dict[str, Any]) -> bytes:
    """`[6, id, action, payload]`, OCPP 2.1 only. ValueError as in `call`."""
    return _write([SEND, message_id, action, payload])


def _write(elements: list[Any]) -> bytes:
    try:
        raw = orjson.dumps(elements)
    except orjson.JSONEncodeError as refused:
        raise ValueError(f"cannot be written as JSON: {refused}") from refused
    # orjson writes a NaN or an infinity as null, so only a text with a null in it can hide one.
    if b"null" in raw and _has_non_finite(elements):
        raise ValueError("cannot be written as JSON: NaN or infinity")
    return raw


def _has_non_finite(value: Any) -> bool:
    match value:
        case float():
            return not isfinite(value)
        case dict():
            return any(map(_has_non_finite, value.values()))
        case list() | tuple():
            return any(map(_has_non_finite, value))
    return False
