"""JSON schemas of everything that is published or taken, made from `payloads`, `topics` and `requests`.

Rules of this file:
- Pure, and the same every time: `docs/mqtt` holds what comes out, and a test says that it does.
- Of what is published every key is required and no other is allowed; `ts` is added here, as on the wire.
- Only words that draft-07 and draft 2020-12 share, but for `$defs`: AsyncAPI 3.0 reads draft-07.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from edgegw.config_mqtt import VERBS
from edgegw.mqtt import payloads, requests
from edgegw.mqtt.topics import CHANNELS

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"

# A number, 1 or 0, `null`, or a word of a charger: "Charging", "GroundFailure".
_SCALAR: Schema = {"type": "string", "minLength": 1, "maxLength": 400}
_ONLINE: Schema = {"type": "string", "enum": ["online", "offline"]}
BARE: Mapping[str, Schema] = {"status": _ONLINE, "availability": _ONLINE, "scalar": _SCALAR}


def request_name(verb: str) -> str:
    """ "limit/set" as "request-limit-set"."""
    return "request-" + verb.replace("/", "-").replace("_", "-")


def parts(template: str) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """(by channel or request its schema, by name what they refer to); `template` such as "#/$defs/{name}"."""
    types = [channel.payload for channel in CHANNELS if channel.payload is not None]
    _, refers_to = msgspec.json.schema_components([*types, payloads.Payload], ref_template=template)
    of_type = {kind.__name__: refers_to[kind.__name__] for kind in types}
    named: dict[str, Schema] = {}
    for channel in CHANNELS:
        about = {"title": channel.name, "description": channel.about}
        if channel.payload is None:
            named[channel.name] = {**about, **BARE[channel.name]}
        else:
            named[channel.name] = {**_stamped(strict(of_type[channel.payload.__name__])), **about}
    for verb in VERBS:
        named[request_name(verb)] = {**_plain(requests.schema(verb)), "title": f"request/{verb}"}
    shared = {name: strict(schema) for name, schema in refers_to.items() if name not in of_type}
    shared.pop("Payload", None)
    return named, shared


def files() -> dict[str, Schema]:
    """By name of the schema: one document each, whole by itself."""
    named, shared = parts("#/$defs/{name}")
    return {name: _document(name, schema, shared) for name, schema in named.items()}


def _document(name: str, schema: Schema, shared: Mapping[str, Schema]) -> Schema:
    document = {"$schema": DRAFT, "$id": f"urn:edgegw:mqtt:{payloads.API}:{name}", **schema}
    used = sorted(_used(document, shared))
    return {**document, "$defs": {other: shared[other] for other in used}} if used else document


def _used(schema: Any, shared: Mapping[str, Schema]) -> set[str]:
    if isinstance(schema, list):
        return set().union(*(_used(item, shared) for item in schema))
    if not isinstance(schema, dict):
        return set()
    found = {schema["$ref"].rpartition("/")[2]} if "$ref" in schema else set()
    found |= set().union(*(_used(value, shared) for value in schema.values()))
    return found | {deeper for name in found for deeper in _used(shared[name], shared)}


def strict(schema: Schema) -> Schema:
    """Every key is there and no other; at every depth."""
    made: Schema = _strict(_plain(schema))
    return made


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items() if key != "default"}
    if "properties" in made:
        made = {**made, "required": list(made["properties"]), "additionalProperties": False}
    return made


def _plain(schema: Any) -> Any:
    """Without `prefixItems`, which draft-07 does not know: our tuples hold one type each."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _plain(value) for key, value in schema.items()}
    if "prefixItems" in made:
        first, *others = made.pop("prefixItems")
        assert all(other == first for other in others), "a tuple of different types"
        made["items"] = first
    return made


def _stamped(schema: Schema) -> Schema:
    stamp = {"type": "string", "format": "date-time", "description": "when it was made: RFC 3339, UTC"}
    return {
        **schema,
        "properties": {"ts": stamp, **schema["properties"]},
        "required": ["ts", *schema["required"]],
    }
