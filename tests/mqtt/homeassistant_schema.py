"""What Home Assistant documents of device discovery, as a JSON schema that allows nothing else.

Written from its documentation (integrations/mqtt: "Device discovery payload"; sensor.mqtt, binary_sensor,
number, switch, button, event; developers: "Sensor entity"), for the platforms that edgegw
uses and the device classes a charging site can use. Stricter than Home Assistant in one thing: an unknown key
of a component is an error here, and ignored there. One at the root loses the whole device there too.
"""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs

TOPIC = re.compile(r"(?P<prefix>.+)/device/(?P<object_id>[a-zA-Z0-9_-]+)/config")

UNITS: dict[str, list[str]] = {
    "apparent_power": ["mVA", "VA", "kVA"],
    "current": ["A", "mA"],
    "data_size": ["B", "kB", "MB", "GB", "KiB", "MiB", "GiB"],
    "duration": ["d", "h", "min", "s", "ms"],
    "energy": ["J", "kJ", "MJ", "GJ", "mWh", "Wh", "kWh", "MWh", "GWh", "TWh"],
    "frequency": ["Hz", "kHz", "MHz", "GHz"],
    "power": ["mW", "W", "kW", "MW", "GW", "TW"],
    "reactive_power": ["mvar", "var", "kvar"],
    "temperature": ["°C", "°F", "K"],
    "voltage": ["V", "mV", "µV", "kV", "MV"],
}
# Which state classes go with a device class; one that is not here goes with "measurement".
STATE_CLASSES = {
    "energy": ["total", "total_increasing"],
    "duration": ["measurement", "total", "total_increasing"],
}
WITHOUT_UNIT = ["date", "enum", "timestamp"]
BINARY_CLASSES = [
    "connectivity",
    "problem",
    "power",
    "plug",
    "running",
    "battery_charging",
    "safety",
    "update",
]

STRING = {"type": "string", "minLength": 1}
TEXT = {"type": "string"}
BOOLEAN = {"type": "boolean"}
TEMPLATE = {"type": "string", "pattern": r"\{[{%]"}
PUBLISH = {"type": "string", "pattern": "^[^+#\\x00]+$", "maxLength": 65535}
SUBSCRIBE = {"type": "string", "pattern": "^(\\+|[^+#/]*)(/(\\+|[^+#/]*))*(/#)?$", "minLength": 1}

AVAILABILITY = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["topic"],
        "properties": {
            "topic": SUBSCRIBE,
            "payload_available": TEXT,
            "payload_not_available": TEXT,
            "value_template": TEMPLATE,
        },
    },
}

SHARED = {
    "availability": AVAILABILITY,
    "availability_mode": {"enum": ["all", "any", "latest"]},
    "availability_template": TEMPLATE,
    "availability_topic": SUBSCRIBE,
    "payload_available": TEXT,
    "payload_not_available": TEXT,
    "qos": {"enum": [0, 1, 2]},
    "encoding": TEXT,
}

ENTITY = {
    **SHARED,
    "platform": STRING,
    "unique_id": STRING,
    "name": {"type": ["string", "null"], "minLength": 1},
    "default_entity_id": STRING,
    "enabled_by_default": BOOLEAN,
    "entity_category": {"enum": ["config", "diagnostic"]},
    "entity_picture": STRING,
    "icon": {"type": "string", "pattern": "^[a-z]+:"},
    "json_attributes_template": TEMPLATE,
    "json_attributes_topic": SUBSCRIBE,
}
SHOWING = {
    "state_topic": SUBSCRIBE,
    "value_template": TEMPLATE,
    "expire_after": {"type": "integer", "minimum": 1},
    "force_update": BOOLEAN,
    "entity_category": {"const": "diagnostic"},  # "config" is for what can be changed
}
ORDERING = {"command_topic": PUBLISH, "command_template": TEMPLATE, "retain": BOOLEAN}


def _platform(required: list[str], **keys: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["platform", "unique_id", *required],
        "properties": {**ENTITY, **keys},
        "not": {"required": ["availability", "availability_topic"]},
    }


def _units(default_state_class: bool) -> list[dict[str, Any]]:
    """A device class has one of its units, and for sensors a state class that makes sense."""
    rules = []
    for device_class, units in UNITS.items():
        then: dict[str, Any] = {
            "required": ["unit_of_measurement"],
            "properties": {"unit_of_measurement": {"enum": units}},
        }
        if default_state_class:
            then["properties"]["state_class"] = {"enum": STATE_CLASSES.get(device_class, ["measurement"])}
        rules.append({"if": _is("device_class", device_class), "then": then})
    return rules


def _is(key: str, *values: str) -> dict[str, Any]:
    return {"required": [key], "properties": {key: {"enum": list(values)}}}


_NUMBERLESS = {"state_class": False, "unit_of_measurement": False, "suggested_display_precision": False}
SENSOR = {
    **_platform(
        ["state_topic"],
        **SHOWING,
        device_class={"enum": [*UNITS, *WITHOUT_UNIT, None]},
        state_class={"enum": ["measurement", "measurement_angle", "total", "total_increasing"]},
        unit_of_measurement={"type": ["string", "null"]},
        suggested_display_precision={"type": "integer", "minimum": 0},
        options={"type": "array", "items": STRING, "minItems": 1, "uniqueItems": True},
        last_reset_value_template=TEMPLATE,
    ),
    "allOf": [
        *_units(default_state_class=True),
        {"if": _is("device_class", "enum"), "then": {"required": ["options"]}},
        {"if": {"required": ["options"]}, "then": _is("device_class", "enum")},
        {"if": _is("device_class", *WITHOUT_UNIT), "then": {"properties": _NUMBERLESS}},
        {"if": {"required": ["last_reset_value_template"]}, "then": _is("state_class", "total")},
    ],
}
BINARY_SENSOR = _platform(
    ["state_topic"],
    **SHOWING,
    device_class={"enum": [*BINARY_CLASSES, None]},
    payload_on=STRING,
    payload_off=STRING,
    off_delay={"type": "integer", "minimum": 1},
)
EVENT = _platform(
    ["state_topic", "event_types"],
    state_topic=SUBSCRIBE,
    value_template=TEMPLATE,
    device_class={"enum": ["button", "doorbell", "motion", None]},
    event_types={"type": "array", "items": STRING, "minItems": 1, "uniqueItems": True},
)
NUMBER = {
    **_platform(
        ["command_topic"],
        **ORDERING,
        state_topic=SUBSCRIBE,
        value_template=TEMPLATE,
        device_class={"enum": [*UNITS, None]},
        unit_of_measurement={"type": ["string", "null"]},
        min={"type": "number"},
        max={"type": "number"},
        step={"type": "number", "minimum": 0.001},
        mode={"enum": ["auto", "box", "slider"]},
        optimistic=BOOLEAN,
        payload_reset=STRING,
    ),
    "allOf": _units(default_state_class=False),
}
SWITCH = _platform(
    ["command_topic"],
    **ORDERING,
    state_topic=SUBSCRIBE,
    value_template=TEMPLATE,
    device_class={"enum": ["outlet", "switch", None]},
    payload_on=STRING,
    payload_off=STRING,
    state_on=STRING,
    state_off=STRING,
    optimistic=BOOLEAN,
)
BUTTON = _platform(
    ["command_topic"],
    **ORDERING,
    device_class={"enum": ["identify", "restart", "update", None]},
    payload_press=STRING,
)

PLATFORMS = {
    "sensor": SENSOR,
    "binary_sensor": BINARY_SENSOR,
    "event": EVENT,
    "number": NUMBER,
    "switch": SWITCH,
    "button": BUTTON,
}

REMOVED = {  # "publish it with the platform alone"
    "type": "object",
    "additionalProperties": False,
    "required": ["platform"],
    "properties": {"platform": {"enum": list(PLATFORMS)}},
}

_ABOUT_A_DEVICE = (
    "configuration_url", "hw_version", "manufacturer", "model", "model_id", "name", "serial_number",
    "suggested_area", "sw_version", "via_device",
)  # fmt: skip
DEVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "anyOf": [{"required": ["identifiers"]}, {"required": ["connections"]}],
    "properties": {
        "identifiers": {"type": ["array", "string"], "items": STRING, "minItems": 1},
        "connections": {"type": "array", "items": {"type": "array", "minItems": 2, "maxItems": 2}},
        **dict.fromkeys(_ABOUT_A_DEVICE, STRING),
    },
}

ORIGIN = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {"name": STRING, "sw_version": STRING, "support_url": {"type": "string", "format": "uri"}},
}

PAYLOAD = {
    "type": "object",
    "additionalProperties": False,
    "required": ["device", "origin", "components"],
    "not": {"required": ["availability", "availability_topic"]},
    "properties": {
        **SHARED,
        "device": DEVICE,
        "origin": ORIGIN,
        "state_topic": SUBSCRIBE,
        "command_topic": PUBLISH,
        "components": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^[a-zA-Z0-9_-]+$"},
            "additionalProperties": {
                "required": ["platform"],
                "properties": {"platform": {"enum": list(PLATFORMS)}},
                "if": {"maxProperties": 1},
                "then": REMOVED,
                "else": {
                    "allOf": [{"if": _is("platform", name), "then": keys} for name, keys in PLATFORMS.items()]
                },
            },
        },
    },
}

_VALIDATOR = jsonschema_rs.validator_for(PAYLOAD, validate_formats=True)


def complaints(topic: str, payload: dict[str, Any]) -> list[str]:
    """What Home Assistant's documentation does not allow; empty for a message that is right."""
    found = [] if TOPIC.fullmatch(topic) else [f"topic: {topic}"]
    for error in _VALIDATOR.iter_errors(payload):
        found.append(f"{'/'.join(map(str, error.instance_path))}: {error.message}")
    for key, component in payload.get("components", {}).items():
        if component.get("platform") == "number" and component.get("min", 1) >= component.get("max", 100):
            found.append(f"components/{key}: min is not below max")
    return found
