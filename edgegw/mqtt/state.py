"""From the view to the messages of the state, by topic. Pure: the same view gives the same messages.

Rules of this file:
- How a topic is kept (retain, QoS, expiry) stands in `topics.CHANNELS` and nowhere else. One exception: what
  a limit says is void when the limit is, so its message expires with it.
- A view hands out the same object for what has not changed (`snapshot`); a `StateMaker` then hands out the
  same messages, and makes none anew. Without that it would make thousands a second.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from edgegw.mqtt import flat as scalars
from edgegw.mqtt import payloads
from edgegw.mqtt.message import Message
from edgegw.mqtt.topics import BY_NAME, Tree, slugs
from edgegw.mqtt.view import ChargerFacts, View
from edgegw.wire.timestamps import parse_timestamp

ONLINE, OFFLINE = b"online", b"offline"

_encode = msgspec.json.Encoder().encode

Part = tuple[str, str, Any]  # kind, name in topics, what it is made of
Told = tuple[Message, float]  # of a limit; when it was made, wall clock


def messages(view: View, tree: Tree, flat: bool = False) -> dict[str, Message]:
    """Everything of a state but `status`, which is the connection's own."""
    return StateMaker(tree, flat).messages(view)


class StateMaker:
    """`messages`, for the same gateway again and again."""

    def __init__(self, tree: Tree, flat: bool = False) -> None:
        self._tree = tree
        self._flat = flat
        self._slugs: dict[str, tuple[list[str], dict[str, str]]] = {}
        self._made: dict[tuple[str, str], tuple[Any, dict[str, Message]]] = {}  # by kind and name
        self._told: dict[str, Told] = {}  # by source of a limit

    def messages(self, view: View) -> dict[str, Message]:
        before, self._made = self._made, {}
        found: dict[str, Message] = {}
        for kind, name, of in self._parts(view):
            known = before.get((kind, name))
            if known is None or known[0] is not of:
                known = of, {message.topic: message for message in self._make(kind, name, of)}
            self._made[kind, name] = known
            found.update(known[1])
        for message in self._limits(view):
            found[message.topic] = message
        return found

    def _parts(self, view: View) -> Iterator[Part]:
        yield "info", "", view.info
        yield "health", "", view.health
        yield "cloud", "", view.cloud
        yield "site", "", view.site
        yield "balancer", "", view.balancer
        yield from self._named("meter", view.meters)
        yield from self._named("circuit", view.circuits)
        yield from self._named("charger", view.chargers, view.named)
        for key, alarm in view.alarms.items():  # its id is a name in topics already
            yield "alarm", key, alarm

    def _named(self, kind: str, things: Mapping[str, Any], first: Container[str] = ()) -> Iterator[Part]:
        names = self._names(kind, things, first)
        return ((kind, names[name], of) for name, of in things.items())

    def _names(self, kind: str, names: Iterable[str], first: Container[str] = ()) -> dict[str, str]:
        wanted = list(names)
        known = self._slugs.get(kind)
        if known is None or known[0] != wanted:
            known = self._slugs[kind] = wanted, slugs(wanted, first)
        return known[1]

    def _make(self, kind: str, name: str, of: Any) -> Iterator[Message]:
        if kind == "charger":
            yield from _charger(self._tree, name, of)
        else:
            yield message(self._tree, kind, of, **({kind: name} if name else {}))
        if self._flat:
            yield from scalars.messages(self._tree, kind, name, of)

    def _limits(self, view: View) -> Iterator[Message]:
        names = self._names("limit", view.limits)
        before, self._told = self._told, {}
        for source, limit in view.limits.items():
            made = message(self._tree, "limit", limit, source=names[source])
            made = msgspec.structs.replace(made, expiry_s=_expiry_s(limit, view.at))
            self._told[source] = _still(before.get(source), made, view.at)
            yield self._told[source][0]


def _still(told: Told | None, made: Message, at: float) -> Told:
    """A message that only gets older is told anew when half of its life is over, not every second."""
    if told is None or told[0].expiry_s is None or made.expiry_s is None:
        return made, at
    same = msgspec.structs.replace(made, expiry_s=told[0].expiry_s) == told[0]
    return told if same and 0 <= at - told[1] < told[0].expiry_s / 2 else (made, at)


def message(tree: Tree, channel: str, payload: payloads.Payload, **parameters: object) -> Message:
    """One payload on its topic, kept as `topics.CHANNELS` says."""
    kept = BY_NAME[channel]
    return Message(
        topic=tree.topic(channel, **parameters),
        body=_encode(payload),
        retain=kept.retain,
        qos=kept.qos,
        expiry_s=kept.expiry_s,
    )


def _charger(tree: Tree, name: str, facts: ChargerFacts) -> Iterator[Message]:
    availability = BY_NAME["availability"]
    yield Message(
        topic=tree.topic("availability", charger=name),
        body=ONLINE if facts.online else OFFLINE,
        retain=availability.retain,
        qos=availability.qos,
        expiry_s=availability.expiry_s,
        stamped=False,
    )
    yield message(tree, "charger", facts.info, charger=name)
    yield message(tree, "chargerCloud", facts.cloud, charger=name)
    for number, connector in facts.connectors.items():
        yield message(tree, "connector", connector, charger=name, connector=number)
    for number, session in facts.sessions.items():
        yield message(tree, "session", session, charger=name, connector=number)
    yield message(tree, "firmware", facts.firmware, charger=name)


def _expiry_s(limit: payloads.LimitState, at: float) -> int | None:
    """None while one of them holds for ever or falls back when it expires."""
    ends = [parse_timestamp(one.until) for one in limit.limits if one.until and one.fallback_a is None]
    known = [end[0] for end in ends if end is not None]
    if not at or not known or len(known) < len(limit.limits):
        return None
    return max(1, math.ceil(max(known) - at))
