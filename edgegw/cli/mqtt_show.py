"""How `edgegw mqtt watch` shows a message: which ones, and as which line.

Rules of this file:
- A state that reads as before is no change and is not shown again; what happens (events, answers) is.
- On a terminal a topic is shortened in its middle to a third of the width, and words are folded. In a pipe a
  message is one line, whole.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

import click
from paho.mqtt.client import topic_matches_sub
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from edgegw.cli.mqtt_options import EVERY, Where
from edgegw.mqtt import topics, words
from edgegw.mqtt.message import Incoming
from edgegw.mqtt.payloads import API
from edgegw.redaction import plain

STAMP_CELLS = 8  # 23:40:01
USUAL_WIDTH = 80  # of a terminal that does not say
_HAPPENINGS = ("event", "log", "response/", "request/")
_TS = re.compile(rb'^\{"ts":"([0-9TZ:.-]{20,40})",?')

Form = Literal["words", "raw", "json"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller wants to see, and how."""

    charger: str | None = None
    filter: str = "#"  # below the root
    every: bool = False  # what did not change, too
    form: Form = "words"


class Show:
    """Takes messages and prints what the caller wants to see of them."""

    def __init__(self, where: Where, wish: Wish, zone: tzinfo, width: int | None) -> None:
        """`width`: of the terminal; None in a pipe."""
        self._where = where
        self._wish = wish
        self._zone = zone
        self._width = width
        self._names: dict[str, dict[str, str]] = {}  # by gateway: identity by the charger's topic name
        self._said: dict[str, bytes | str] = {}  # by topic, what was shown last
        self.seen = False
        self.offline: set[str] = set()  # gateways that say so
        self.chargers: dict[str, str] = {}  # of the gateway seen last

    def take(self, message: Incoming) -> None:
        gateway, tail = self._place(message.topic)
        if not tail:
            return
        self.seen = True
        self._learn(gateway, tail, message.payload)
        if not self._wanted(gateway, tail, message.payload):
            return
        told = words.line(tail, message.payload, names=self._names.get(gateway), zone=self._zone)
        news: bytes | str = told if self._wish.form == "words" else _TS.sub(b"{", message.payload)
        if self._said.get(message.topic) == news and not self._repeats(tail):
            return
        self._said[message.topic] = news
        name = f"{gateway} {tail}" if self._where.gateway == EVERY else tail
        click.echo(self._text(message, name, told))

    def _repeats(self, tail: str) -> bool:
        return self._wish.every or tail.startswith(_HAPPENINGS)

    def _place(self, topic: str) -> tuple[str, str]:
        """Gateway and topic below its root; "" when it is none of ours."""
        prefix = f"{self._where.settings.base}/{API}/"
        gateway, _, tail = topic.removeprefix(prefix).partition("/")
        ours = topic.startswith(prefix) and self._where.gateway in (EVERY, gateway)
        return (gateway, tail) if ours else ("", "")

    def _learn(self, gateway: str, tail: str, payload: bytes) -> None:
        if tail == "status":
            (self.offline.add if payload == b"offline" else self.offline.discard)(gateway)
        elif tail == "info" and (names := words.identities(payload)):
            self._names[gateway] = self.chargers = names

    # --- which ------------------------------------------------------------------------------------

    def _wanted(self, gateway: str, tail: str, payload: bytes) -> bool:
        if not topic_matches_sub(self._wish.filter, tail):
            return False
        charger = self._wish.charger
        if charger is None or tail == "status":
            return True
        found = words.match(tail)
        if found is not None and "charger" in found[1]:
            slug = found[1]["charger"]
            return charger in (slug, self._names.get(gateway, {}).get(slug)) or slug == topics.slug(charger)
        return str(_member(payload, "target")).partition("/")[0] == charger

    # --- how --------------------------------------------------------------------------------------

    def _text(self, message: Incoming, name: str, told: str) -> str:
        if self._wish.form == "raw":
            return f"{plain(message.topic)} {plain(message.payload.decode('utf-8', 'backslashreplace'))}"
        if self._wish.form == "json":
            return json.dumps(
                {
                    "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    "topic": message.topic,
                    "retain": message.retain,
                    "payload": _value(message.payload),
                    "words": told,
                }
            )
        return "\n".join(self._lines(self._stamp(message.payload), plain(name), told))

    def _lines(self, stamp: str, topic: str, told: str) -> Iterator[str]:
        if self._width is None:
            yield f"{stamp}  {topic}  {told}"
            return
        column = max(self._width // 3, 1)
        room = max(self._width - STAMP_CELLS - column - 4, 1)
        folded = Text(told).wrap(Console(width=self._width), room)
        name = set_cell_size(shortened(topic, column), column)
        yield f"{stamp:{STAMP_CELLS}}  {name}  {folded[0].plain.rstrip()}"
        for line in folded[1:]:
            yield f"{' ' * (STAMP_CELLS + column + 4)}{line.plain.rstrip()}"

    def _stamp(self, payload: bytes) -> str:
        """When it was made, else now: `23:40:01`, or `20 Nov` of another day."""
        now, made = datetime.now(self._zone), _TS.match(payload)
        try:
            at = datetime.fromisoformat(made[1].decode()).astimezone(self._zone) if made else now
        except (ValueError, OverflowError):
            at = now
        return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%d %b}"


def shortened(topic: str, cells: int) -> str:
    """`charger/…/connector/1/state`: its middle is left out."""
    if cell_len(topic) <= cells or cells < 3:
        return topic
    keep = (cells - 1) // 3
    return f"{topic[:keep]}…{topic[-(cells - keep - 1) :]}"


def terminal_width() -> int | None:
    """None in a pipe."""
    if not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or USUAL_WIDTH


def _value(payload: bytes) -> Any:
    """JSON as what it is, anything else as text."""
    try:
        return json.loads(payload, parse_constant=str)
    except (ValueError, RecursionError):
        return payload.decode("utf-8", "backslashreplace")


def _member(payload: bytes, name: str) -> Any:
    value = _value(payload)
    return value.get(name) if isinstance(value, dict) else None
