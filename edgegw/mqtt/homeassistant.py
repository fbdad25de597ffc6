"""Home Assistant's device discovery: which devices and entities the site has, as retained messages.

Rules of this file:
- Pure. One message per device: the site, and each charger with its connectors as components of it. A
  connector is no device of its own: one that turns up later would make entities move between devices.
- Gone is gone: a charger that left has no message (the publisher empties its topic). A component that left
  its device is named with its platform alone from then on, which removes it: the message that says so may be
  overtaken by the next. So is a control whose verb is off: after a restart nobody knows that it was on.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from edgegw import config_mqtt
from edgegw.mqtt.homeassistant_devices import Charger, Site, main_circuit, message, site_id
from edgegw.mqtt.message import Incoming, Message
from edgegw.mqtt.payloads import ChargerInfo
from edgegw.mqtt.topics import Tree, slugs
from edgegw.mqtt.view import ChargerFacts, View

BIRTH = b"online"


# --- Home Assistant comes and goes -----------------------------------------------------------------


def birth_topic(settings: config_mqtt.Mqtt) -> str:
    """To be subscribed to: after "online" on it everything of `discovery` is sent again."""
    return f"{settings.discovery_prefix}/status"


def is_birth(incoming: Incoming, settings: config_mqtt.Mqtt) -> bool:
    """A retained one is old news: what it asks for was sent when the broker was reached."""
    return (
        incoming.topic == birth_topic(settings)
        and not incoming.retain
        and incoming.payload.strip().lower() == BIRTH
    )


# --- what an earlier run left at the broker ---------------------------------------------------------


def discovery_filter(settings: config_mqtt.Mqtt) -> str:
    """Topics among which are ours, and those of everybody else who talks to this Home Assistant."""
    return f"{settings.discovery_prefix}/device/+/config"


def is_ours(topic: str, tree: Tree, settings: config_mqtt.Mqtt) -> bool:
    """Of this gateway, not of another whose name begins alike."""
    before, after = discovery_filter(settings).split("+")
    if not (topic.startswith(before) and topic.endswith(after)):
        return False
    return topic[len(before) : -len(after)].partition("_")[0] == site_id(tree)


# --- the messages -----------------------------------------------------------------------------------


def discovery(view: View, tree: Tree, settings: config_mqtt.Mqtt) -> dict[str, Message]:
    """By topic; empty unless [mqtt] homeassistant is set. `Discovery` does it again and again."""
    return Discovery(tree, settings).messages(view)


class Discovery:
    """Makes a device's message again only when something of it is new: states change, devices hardly do."""

    def __init__(self, tree: Tree, settings: config_mqtt.Mqtt) -> None:
        self._tree = tree
        self._settings = settings
        self._site: tuple[object, Message] | None = None
        self._chargers: dict[str, _Made] = {}  # by identity
        self._names: tuple[list[str], dict[str, str]] = ([], {})

    def messages(self, view: View) -> dict[str, Message]:
        if not self._settings.homeassistant:
            return {}
        identities = list(view.chargers)
        if identities != self._names[0]:
            self._names = identities, slugs(identities, view.named)
        self._chargers = {
            identity: self._charger(identity, facts, view) for identity, facts in view.chargers.items()
        }
        every = [self._site_message(view), *(made.message for made in self._chargers.values())]
        return {one.topic: one for one in every}

    def _site_message(self, view: View) -> Message:
        about = (view.info.name, view.info.version, view.site.fuse_a, main_circuit(view))
        if self._site is None or self._site[0] != about:
            self._site = about, Site(self._tree, self._settings, view)()
        return self._site[1]

    def _charger(self, identity: str, facts: ChargerFacts, view: View) -> _Made:
        name, version = self._names[1][identity], view.info.version
        known = self._chargers.get(identity)
        if known is not None and known.name == name and known.version == version and known.still(facts):
            return known
        charger = Charger(self._tree, self._settings, version, name, facts)
        about = charger.depends_on()
        if known is None or known.message.topic != charger.topic:
            made = charger()
        else:
            made = known.message if known.about == about else removing(known.message, charger())
        return _Made(facts.info, tuple(facts.connectors), name, version, about, made)


class _Made(NamedTuple):
    """A charger's message, and what it was made of."""

    info: ChargerInfo
    connectors: tuple[int, ...]
    name: str
    version: str
    about: object
    message: Message

    def still(self, facts: ChargerFacts) -> bool:
        """The quick look: `snapshot` hands out the same object for what has not changed."""
        return self.info is facts.info and self.connectors == tuple(facts.connectors)


def removing(before: Message, after: Message) -> Message:
    """`after`, so that what left the device since `before` disappears from Home Assistant."""
    payload = msgspec.json.decode(after.body)
    kept = payload["components"]
    gone = {
        key: {"platform": component["platform"]}
        for key, component in msgspec.json.decode(before.body)["components"].items()
        if key not in kept
    }
    return message(after.topic, {**payload, "components": {**kept, **gone}}) if gone else after
