"""The bare scalars for PLCs: stable names, plain numbers, and a word for what nobody knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from edgegw.mqtt import example, flat
from edgegw.mqtt.state import messages
from edgegw.mqtt.topics import Tree
from edgegw.mqtt.view import View
from tests.mqtt.random_views import Views

TREE = Tree("edgegw", "depot-1")
ROOT = TREE.root + "/"
README = (Path(__file__).parents[2] / "docs" / "mqtt" / "README.md").read_text()


def scalars(view: View) -> dict[str, bytes]:
    made = messages(view, TREE, flat=True)
    return {t.removeprefix(ROOT): m.payload("") for t, m in made.items() if t.startswith(ROOT + "v/")}


def test_a_site_as_scalars():
    found = scalars(example.VIEW)
    assert found["v/site/power"] == b"18430"
    assert found["v/site/limit"] == b"32"
    assert found["v/site/headroom"] == b"0.2"
    assert found["v/charger/cp-01/online"] == b"1"
    assert found["v/charger/cp-01/1/status"] == b"Charging"
    assert found["v/charger/cp-01/1/current_l2"] == b"10.7"
    assert found["v/charger/cp-01/1/energy"] == b"81204411"
    assert found["v/charger/cp-01/1/limit"] == b"13"
    assert found["v/meter/grid/voltage_l3"] == b"230.1"
    assert found["v/cloud/online"] == b"1"
    assert found["v/alarm/count"] == b"1"


def test_what_is_not_known_is_a_word_because_an_empty_payload_would_remove_the_topic():
    silent = replace(example.METER, ok=False, power_w=None, current_l_a=(None, 1.0, None))
    found = scalars(replace(example.VIEW, meters={"grid": silent}))
    assert found["v/meter/grid/power"] == found["v/meter/grid/current_l1"] == b"null"
    assert found["v/meter/grid/current_l2"] == b"1"
    assert found["v/meter/grid/ok"] == b"0"


def test_a_word_that_a_charger_left_empty_is_not_known():
    connector = replace(example.CONNECTOR, status="", error_code="")
    view = replace(example.VIEW, chargers={"CP-01": replace(example.CHARGER, connectors={1: connector})})
    assert scalars(view)["v/charger/cp-01/1/status"] == b"null"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-7, b"0"),
        (-1e-7, b"0"),
        (1e15, b"1000000000000000"),
        (-0.5, b"-0.5"),
        (63.0, b"63"),
        (True, b"1"),
        (0, b"0"),
    ],
)
def test_a_number_is_plain(value: float, text: bytes):
    assert flat.text(value) == text


def test_without_the_switch_there_are_none():
    assert not any("/v/" in topic for topic in messages(example.VIEW, TREE))


def test_the_names_are_those_of_the_documentation():
    """Whoever changes one breaks a PLC somewhere."""
    found = {re.sub(r"_l[123]$", "_l1", path) for path in scalars(example.VIEW)}
    found = {path.replace("/cp-01", "/<cp>").replace("<cp>/1/", "<cp>/<n>/") for path in found}
    found = {path.replace("meter/grid", "meter/<m>").replace("circuit/main", "circuit/<c>") for path in found}
    told = set(re.findall(r"^\| `(v/[^`]+)`", README, re.MULTILINE)) - {"v/<path>"}
    assert found == told


@pytest.mark.parametrize("seed", range(20))
def test_no_scalar_is_ever_empty(seed: int):
    assert all(scalars(Views(seed).view()).values())
