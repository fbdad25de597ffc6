"""The smallest payload that a schema allows, made from the schema: what no test wants to write by hand.

Rules of this file:
- The schemas are the files of the `ocpp` package. Required members only; strings are enum values, times
  or "x"; numbers are the smallest allowed.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FOLDERS = {"ocpp1.6": "v16", "ocpp2.0.1": "v201", "ocpp2.1": "v21"}
NOW = "2026-11-21T04:05:06Z"


def request(version: str, action: str) -> dict[str, Any] | None:
    """The smallest request of this action; None when the version does not have it."""
    schema = _schema(version, action)
    return None if schema is None else _specimen(schema, schema)


@cache
def _schema(version: str, action: str) -> dict[str, Any] | None:
    spec = find_spec("ocpp")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / FOLDERS[version] / "schemas"
    path = folder / f"{action}{'' if version == 'ocpp1.6' else 'Request'}.json"
    if not path.exists():
        return None
    schema: dict[str, Any] = json.loads(path.read_text("utf-8-sig"))
    return schema


def _specimen(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _specimen(root["definitions"][schema["$ref"].rpartition("/")[2]], root)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            return {name: _specimen(members[name], root) for name in schema.get("required", [])}
        case "array":
            return [_specimen(schema["items"], root) for _ in range(schema.get("minItems", 0))]
        case "string":
            return NOW if schema.get("format") == "date-time" else "x"
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return False
    return "x"
