"""One discovery message of Home Assistant: a device with its components, made of the rows of the tables.

Rules of this file:
- Ids are made of slugs and keys, never of names: what somebody renamed keeps its history.
- Everything of a charger is unavailable while the gateway or the charger is, except what the gateway itself
  says of it ("it is not connected").
- Home Assistant refuses a whole device for one key at the root that it does not know: no `ts` in there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from edgegw import config_mqtt
from edgegw.mqtt import homeassistant_controls as controls
from edgegw.mqtt import homeassistant_entities as entities
from edgegw.mqtt.homeassistant_entities import Control, Entity
from edgegw.mqtt.message import Message
from edgegw.mqtt.topics import Tree, slug
from edgegw.mqtt.view import ChargerFacts, View

LIMIT_MAX_A = 10_000  # of a site whose fuse nobody named: what `requests` takes at most

Components = dict[str, dict[str, Any]]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where rows are shown: `name` and `prefix` tell the connectors of one charger apart."""

    topic: Mapping[str, object] = {}  # parameters of the channels
    name: str = "{}"  # with a place for the name of the entity
    prefix: str = ""  # of keys


def message(topic: str, payload: Mapping[str, Any]) -> Message:
    return Message(topic=topic, body=msgspec.json.encode(payload), retain=True, qos=1, stamped=False)


def site_id(tree: Tree) -> str:
    """Of the site's device. No slug holds a "_": "edgegw-a-b" is a gateway, "edgegw-a_b" a charger of "a"."""
    return f"edgegw-{tree.gateway}"


def main_circuit(view: View) -> str | None:
    """None: nothing is balanced, so nobody can set a limit."""
    return next((name for name, circuit in view.circuits.items() if not circuit.parent), None)


class Device:
    """One discovery message in the making. `__call__` makes it."""

    def __init__(self, tree: Tree, settings: config_mqtt.Mqtt, device_id: str, version: str) -> None:
        self.id = device_id
        self.topic = f"{settings.discovery_prefix}/device/{device_id}/config"
        self._tree = tree
        self._settings = settings
        self._origin = {"name": "edgegw", "sw_version": version}
        self._gateway = {"topic": tree.topic("status")}

    def __call__(self) -> Message:
        payload = {
            "device": {"identifiers": [self.id], **self._about()},
            "origin": self._origin,
            "availability": self._availability(),
            "availability_mode": "all",
            "components": self._components(),
        }
        return message(self.topic, payload)

    def _about(self) -> dict[str, str]:
        raise NotImplementedError

    def _availability(self) -> list[dict[str, str]]:
        return [self._gateway]

    def _components(self) -> Components:
        raise NotImplementedError

    def _shown(self, rows: Iterable[Entity], place: Place) -> Components:
        return {
            place.prefix + row.key: {
                **self._common(row, place),
                **({"availability": [self._gateway]} if row.charger_away == "shown" else {}),
            }
            for row in rows
        }

    def _common(self, row: Entity | Control, place: Place) -> dict[str, Any]:
        return {
            "platform": row.platform,
            "unique_id": f"{self.id}_{place.prefix}{row.key}",
            "name": _called(row.name, place.name),
            **({"state_topic": self._tree.topic(row.channel, **place.topic)} if row.channel else {}),
            **({"value_template": row.value} if row.value else {}),
            **row.more,
        }

    def _ordering(self, rows: Iterable[Control], names: Mapping[str, str | int], place: Place) -> Components:
        return {place.prefix + row.key: self._control(row, names, place) for row in rows}

    def _control(self, row: Control, names: Mapping[str, str | int], place: Place) -> dict[str, Any]:
        if row.verb not in self._settings.commands:
            return {"platform": row.platform}
        return {
            **self._common(row, place),
            "command_topic": f"{self._tree.root}/request/{row.verb}",
            "command_template": controls.command_template(row, names),
            "qos": 1,
        }


def _called(name: str, pattern: str) -> str:
    """ "Power", or "Connector 2 power"."""
    return name if pattern == "{}" else pattern.format(name[0].lower() + name[1:])


class Site(Device):
    def __init__(self, tree: Tree, settings: config_mqtt.Mqtt, view: View) -> None:
        super().__init__(tree, settings, site_id(tree), view.info.version)
        self._view = view

    def _about(self) -> dict[str, str]:
        name = self._view.info.name or self._view.info.gateway
        version = self._view.info.version
        return {"name": name, "manufacturer": "edgegw", "model": "EV charging gateway", "sw_version": version}

    def _components(self) -> Components:
        answers = self._shown([controls.ANSWER], Place(topic={"verb": "#"}))
        if not self._settings.commands:
            answers = {key: {"platform": answer["platform"]} for key, answer in answers.items()}
        return self._shown(entities.SITE, Place()) | answers | self._limits()

    def _limits(self) -> Components:
        circuit = main_circuit(self._view)
        if circuit is None or not self._settings.limit_sources:
            return {row.key: {"platform": row.platform} for row in controls.SITE}
        source = self._settings.limit_sources[0]
        made = self._ordering(controls.SITE, {"source": source}, Place(topic={"source": slug(source)}))
        number = made["limit_set"]
        if "state_topic" in number:
            number["max"] = self._view.site.fuse_a or LIMIT_MAX_A
            number |= controls.own_limit(circuit, number["max"])
            number["json_attributes_topic"] = number["state_topic"]
        return made


class Charger(Device):
    def __init__(
        self, tree: Tree, settings: config_mqtt.Mqtt, version: str, topic_name: str, facts: ChargerFacts
    ) -> None:
        super().__init__(tree, settings, f"{site_id(tree)}_{topic_name}", version)
        self._topic_name = topic_name
        self._facts = facts

    def _about(self) -> dict[str, str]:
        info = self._facts.info
        told = {
            "name": info.identity,
            "manufacturer": info.vendor,
            "model": info.model,
            "serial_number": info.serial,
            "sw_version": info.firmware,
            "via_device": site_id(self._tree),
        }
        return {key: value for key, value in told.items() if value}

    def depends_on(self) -> object:
        """Not the verdict: it changes every few seconds."""
        return self.topic, self._origin, self._about(), tuple(self._facts.connectors)

    def _availability(self) -> list[dict[str, str]]:
        return [self._gateway, {"topic": self._tree.topic("availability", charger=self._topic_name)}]

    def _components(self) -> Components:
        place = Place(topic={"charger": self._topic_name})
        names = {"charger": self._facts.info.identity}
        made = self._shown(entities.CHARGER, place)
        made |= self._ordering(controls.CHARGER, names, place)
        for number in sorted(self._facts.connectors):
            made |= self._connector(number)
        return made

    def _connector(self, number: int) -> Components:
        place = Place(
            topic={"charger": self._topic_name, "connector": number},
            name="{}" if len(self._facts.connectors) == 1 else f"Connector {number} {{}}",
            prefix=f"c{number}_",
        )
        names: dict[str, str | int] = {"charger": self._facts.info.identity, "connector": number}
        return self._shown(entities.CONNECTOR, place) | self._ordering(controls.CONNECTOR, names, place)
