"""The topic tree as an AsyncAPI 3.0 document: `python -m edgegw.mqtt.asyncapi docs/mqtt` writes it.

Rules of this file:
- The document speaks as the gateway: it "sends" states, events and responses, and "receives" requests.
- Nothing is said here that does not stand in `topics.CHANNELS`, the payloads or the requests.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from edgegw.config_mqtt import VERBS, Verb
from edgegw.mqtt import example, payloads, requests, schemas
from edgegw.mqtt.freshness import OLD_S
from edgegw.mqtt.topics import CHANNELS, Channel

Json = dict[str, Any]

BINDING = "0.2.0"  # of AsyncAPI's MQTT bindings
TEXT, JSON = "text/plain", "application/json"
_PARAMETER = re.compile(r"{(\w+)}")

_PARAMETERS: dict[str, str] = {
    "base": "[mqtt] base of the site file, edgegw unless it says otherwise",
    "gateway": "id of the site, as a name in topics: a-z 0-9 and -",
    "meter": "name of a [[meter]]",
    "circuit": "name of a [[circuit]]",
    "source": "who set the limit",
    "charger": "identity of a charger as a name in topics; info has both",
    "connector": "OCPP 1.6: connectorId; 2.x: EVSE",
    "alarm": "id of an alarm",
    "verb": "what was asked",
    "path": "path of one value, with slashes",
}


def document() -> Json:
    named, shared = schemas.parts("#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "edgegw",
            "version": f"{payloads.API}.0.0",
            "description": "State, events and alarms of a charging site, and commands to it.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {"building": _server()},
        "channels": {
            **{channel.name: _channel(channel) for channel in CHANNELS},
            **{_id(verb): _request(verb) for verb in VERBS},
        },
        "operations": {
            **{f"send-{channel.name}": _send(channel) for channel in CHANNELS},
            **{_id(verb): _receive(verb) for verb in VERBS},
        },
        "components": {
            "parameters": {name: {"description": text} for name, text in _PARAMETERS.items()},
            "messages": {
                **{channel.name: _message(channel) for channel in CHANNELS},
                **{_id(verb): _request_message(verb) for verb in VERBS},
            },
            "schemas": {**named, **shared},
        },
    }


def schema(channel: str) -> Json:
    """The JSON schema of a channel, or of a request by its name in `schemas`. KeyError for another."""
    return schemas.files()[channel]


def _server() -> Json:
    return {
        "host": "{host}",
        "protocol": "mqtt",
        "protocolVersion": "5.0",
        "description": "The building's broker, [mqtt] broker of the site file. MQTT 3.1.1 works too.",
        "variables": {"host": {"description": "host and port", "default": "localhost:1883"}},
    }


def _id(verb: Verb) -> str:
    return schemas.request_name(verb)


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/{kind}/{name}"}


# --- channels -------------------------------------------------------------------------------------


def _channel(channel: Channel) -> Json:
    return _address(channel.address, channel.name, channel.about)


def _request(verb: Verb) -> Json:
    return _address(f"request/{verb}", _id(verb), f"ask for {verb}; switched on by [mqtt] commands")


def _address(address: str, message: str, about: str) -> Json:
    whole = f"{{base}}/{payloads.API}/{{gateway}}/{address}"
    return {
        "address": whole,
        "description": about,
        "parameters": {name: _ref("components/parameters", name) for name in _PARAMETER.findall(whole)},
        "messages": {message: _ref("components/messages", message)},
    }


# --- operations -----------------------------------------------------------------------------------


def _send(channel: Channel) -> Json:
    kept: Json = {"qos": channel.qos, "retain": channel.retain, "bindingVersion": BINDING}
    if channel.expiry_s is not None:
        kept["messageExpiryInterval"] = channel.expiry_s
    return {
        "action": "send",
        "channel": _ref("channels", channel.name),
        "summary": channel.about,
        "messages": [_ref(f"channels/{channel.name}/messages", channel.name)],
        "bindings": {"mqtt": kept},
    }


def _receive(verb: Verb) -> Json:
    name = _id(verb)
    kept = {"qos": 1, "retain": False, "messageExpiryInterval": int(OLD_S), "bindingVersion": BINDING}
    return {
        "action": "receive",
        "channel": _ref("channels", name),
        "summary": (requests.REQUESTS[verb].__doc__ or verb).splitlines()[0],
        "messages": [_ref(f"channels/{name}/messages", name)],
        "bindings": {"mqtt": kept},
        "reply": {
            "channel": _ref("channels", "response"),
            "messages": [_ref("channels/response/messages", "response")],
        },
    }


# --- messages -------------------------------------------------------------------------------------


def _message(channel: Channel) -> Json:
    bare = channel.payload is None
    made: Json = {
        "name": channel.name,
        "title": channel.about,
        "contentType": TEXT if bare else JSON,
        "payload": _ref("components/schemas", channel.name),
    }
    shown = example.PAYLOADS.get(channel.name)
    return {**made, "examples": [{"payload": shown}]} if shown is not None else made


def _request_message(verb: Verb) -> Json:
    return {
        "name": _id(verb),
        "title": f"request/{verb}",
        "contentType": JSON,
        "payload": _ref("components/schemas", _id(verb)),
        "examples": [{"payload": shown} for shown in requests.EXAMPLES[verb]],
        "bindings": {
            "mqtt": {
                "correlationData": {"type": "string", "description": "MQTT 5; instead of `transaction`"},
                "responseTopic": "{base}/{api}/{gateway}/response/" + verb,
                "bindingVersion": BINDING,
            }
        },
    }


# --- files ----------------------------------------------------------------------------------------


def files() -> dict[str, str]:
    """By path below docs/mqtt, the text of every file that is made here."""
    made = {f"schemas/{name}.json": schema for name, schema in schemas.files().items()}
    return {path: text(value) for path, value in {"asyncapi.json": document(), **made}.items()}


def text(value: Json) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path) -> int:
    """Returns how many files were written; a schema of a channel that is gone goes too."""
    made = files()
    (folder / "schemas").mkdir(parents=True, exist_ok=True)
    for old in (folder / "schemas").glob("*.json"):
        if f"schemas/{old.name}" not in made:
            old.unlink()
    for path, content in made.items():
        (folder / path).write_text(content)
    return len(made)


if __name__ == "__main__":
    count = write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/mqtt"))
    sys.stdout.write(f"{count} files\n")
