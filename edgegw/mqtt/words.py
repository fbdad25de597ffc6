"""One line in plain words for a topic and its payload: what `edgegw mqtt watch` shows.

Rules of this file:
- Pure. Times are told in `zone`; the day only where it is not that of the payload itself.
- What is not known is left out. A topic that is not in the table, or a payload that does not fit its schema,
  is shown as it came.
- What is returned is one line without control characters, whatever came in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from typing import Any

import msgspec

from edgegw.mqtt import payloads, words_box, words_chargers, words_power
from edgegw.mqtt.phrases import Context, fields, parsed
from edgegw.mqtt.topics import CHANNELS, Channel
from edgegw.redaction import plain

CHARACTERS_MAX = 1000  # of one line: a balancer with 40 connectors, not the megabytes anybody may publish
RAW_CHARACTERS_MAX = 400  # of a payload that is shown as it came
GONE = "no longer published"

_REQUEST = "request/"
_TOLD: Mapping[str, Callable[[Any, Context], str]] = {
    **words_box.TOLD,
    **words_power.TOLD,
    **words_chargers.TOLD,
}


def _pattern(channel: Channel) -> re.Pattern[str]:
    level = ".+" if channel.address.endswith("{path}") else "[^/]+"
    return re.compile(re.sub(r"\{(\w+)\}", rf"(?P<\1>{level})", channel.address))


# "response/{verb}": a verb has a "/" inside
_PATTERNS = tuple(
    (re.compile(r"response/(?P<verb>.+)") if c.name == "response" else _pattern(c), c) for c in CHANNELS
)


def match(tail: str) -> tuple[Channel, dict[str, str]] | None:
    """The channel of a topic below the root, and what stands in its address."""
    for pattern, channel in _PATTERNS:
        if found := pattern.fullmatch(tail):
            return channel, found.groupdict()
    return None


def line(tail: str, payload: bytes, *, names: Mapping[str, str] | None = None, zone: tzinfo = UTC) -> str:
    """`tail`: the topic below `<base>/1/<gateway>/`. `names`: identities of chargers by their topic name."""
    if tail.startswith(_REQUEST):
        return _short(f"somebody asks {tail.removeprefix(_REQUEST)}: {_given(payload)}")
    found = match(tail)
    if found is None:
        return raw(payload)
    channel, parts = found
    context = Context(names=names or {}, zone=zone, parts=parts)
    if not payload:
        return _short(_gone(channel, context))
    told = _scalar if channel.payload is None else _json
    words = told(channel, payload, context)
    return raw(payload) if words is None else _short(words)


def raw(payload: bytes) -> str:
    """As it came, but on one line, printable, and not for ever."""
    text = payload[: 4 * RAW_CHARACTERS_MAX].decode("utf-8", "backslashreplace")
    return _short(text, RAW_CHARACTERS_MAX)


def _short(text: str, most: int = CHARACTERS_MAX) -> str:
    text = plain(text[: most + 1])
    return text if len(text) <= most else f"{text[:most]}..."


def identities(payload: bytes) -> dict[str, str]:
    """`names` for `line` out of the payload of `info`; empty when it is none."""
    try:
        info = msgspec.json.decode(payload, type=payloads.Info)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return {charger.topic: charger.identity for charger in info.chargers}


def _json(channel: Channel, payload: bytes, context: Context) -> str | None:
    assert channel.payload is not None
    try:
        found = msgspec.json.decode(payload, type=channel.payload)
        stamp = msgspec.json.decode(payload, type=_Stamp)
        ts = parsed(stamp.ts) if stamp.ts else None
        return _TOLD[channel.name](found, msgspec.structs.replace(context, ts=ts))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError):
        return None  # not what the tree promises: shown as it came


class _Stamp(msgspec.Struct, gc=False):
    ts: str | None = None


def _scalar(channel: Channel, payload: bytes, context: Context) -> str | None:
    if channel.name == "status":
        return {
            b"online": "the gateway is online",
            b"offline": "the gateway is offline: everything else is what it said last",
        }.get(payload)
    if channel.name == "availability":
        told = {b"online": "is connected", b"offline": "is not connected"}.get(payload)
        return told and f"{context.charger} {told}"
    return None


def _gone(channel: Channel, context: Context) -> str:
    if channel.name == "alarm":
        return f"alarm {context.parts['alarm']} is over"
    if channel.name == "limit":
        return f"{context.parts['source']} sets no limit any more"
    return GONE


def _given(payload: bytes) -> str:
    """`source bms, limit_a 63`"""
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw(payload)
    return fields(found) if isinstance(found, dict) else raw(payload)
