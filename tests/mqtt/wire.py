"""Holds what is seen on a broker against docs/mqtt: the topic must be one of the document, the payload fit
its schema. It reads the files, not the code that made them.

    checker = Checker(tree)
    checker.check(topic, payload)   # AssertionError says what is wrong; returns the name of the channel
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from edgegw.mqtt.topics import Tree

DOCS = Path(__file__).parents[2] / "docs" / "mqtt"
PREFIX = "{base}/1/{gateway}/"
_NAMES = {"connector": r"\d+", "path": r"[a-z0-9_-]+(/[a-z0-9_-]+)*", "verb": r"[^+#\x00]+"}
_NAME = r"[a-z0-9-]+"


class Checker:
    """`seen` counts what was right, by channel."""

    def __init__(self, tree: Tree) -> None:
        self.root = tree.root
        self.seen: Counter[str] = Counter()

    def check(self, topic: str, payload: bytes) -> str:
        assert topic.startswith(self.root + "/"), f"{topic} is not below {self.root}"
        name, is_kept = channel_of(topic[len(self.root) + 1 :])
        assert name, f"{topic} is no topic of docs/mqtt/asyncapi.json"
        if payload or not is_kept:  # an empty payload removes what was retained
            fits(name, payload, topic)
        self.seen[name] += 1
        return name

    def check_all(self, seen: dict[str, bytes]) -> None:
        for topic, payload in seen.items():
            self.check(topic, payload)


def fits(name: str, payload: bytes, topic: str = "") -> None:
    """`name` of a channel or a request: that of its file in docs/mqtt/schemas."""
    validator, is_json = _validator(name)
    text = payload.decode()
    value = json.loads(text, parse_constant=_no_number, object_pairs_hook=_object) if is_json else text
    wrong = [f"{'/'.join(map(str, e.instance_path))}: {e.message}" for e in validator.iter_errors(value)]
    assert not wrong, f"{topic} ({name}): {wrong[:5]} in {text[:500]}"


def channel_of(address: str) -> tuple[str, bool]:
    """(its name, whether it is retained) of what stands below the root; ("", False) for no such topic."""
    for name, pattern, is_kept in _channels():
        if pattern.fullmatch(address):
            return name, is_kept
    return "", False


@cache
def document() -> dict[str, Any]:
    return json.loads((DOCS / "asyncapi.json").read_text())


@cache
def _channels() -> tuple[tuple[str, re.Pattern[str], bool], ...]:
    kept = {
        operation["channel"]["$ref"].rpartition("/")[2]: operation["bindings"]["mqtt"]["retain"]
        for operation in document()["operations"].values()
    }
    found = []
    for name, channel in document()["channels"].items():
        assert channel["address"].startswith(PREFIX), name
        found.append((name, _pattern(channel["address"].removeprefix(PREFIX)), kept[name]))
    return tuple(found)


def _pattern(address: str) -> re.Pattern[str]:
    parts = re.split(r"{(\w+)}", address)
    names = parts[1::2]
    for at, name in zip(range(1, len(parts), 2), names, strict=True):
        parts[at] = _NAMES.get(name, _NAME)
    parts[::2] = [re.escape(text) for text in parts[::2]]
    return re.compile("".join(parts), re.ASCII)


@cache
def _validator(name: str) -> tuple[jsonschema_rs.Validator, bool]:
    schema = json.loads((DOCS / "schemas" / f"{name}.json").read_text())
    return jsonschema_rs.validator_for(schema, validate_formats=True), schema["type"] == "object"


def _no_number(text: str) -> None:
    raise AssertionError(f"{text} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), f"a key stands twice: {pairs}"
    return dict(pairs)
