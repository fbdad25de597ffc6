"""docs/mqtt is what the code generates, is a valid AsyncAPI document, and fits everything a view can hold."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import jsonschema_rs
import pytest

from edgegw.config_mqtt import VERBS
from edgegw.mqtt import asyncapi, example, payloads, requests, schemas
from edgegw.mqtt.message import Message
from edgegw.mqtt.state import messages
from edgegw.mqtt.topics import BY_NAME, CHANNELS, Tree
from tests.mqtt import wire
from tests.mqtt.random_views import Views
from tests.mqtt.wire import DOCS, Checker

TREE = Tree("edgegw", "depot-1")
SPECIFICATION = (
    Path(__file__).parents[1] / "interop" / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
)
TS = "2026-11-20T23:40:01.250Z"


def on_the_wire(message: Message) -> bytes:
    return message.payload(TS)


# --- the files ------------------------------------------------------------------------------------


def test_docs_hold_what_the_code_generates():
    """`make schemas` writes them."""
    made = asyncapi.files()
    kept = {str(path.relative_to(DOCS)): path.read_text() for path in DOCS.rglob("*.json")}
    assert sorted(kept) == sorted(made)
    assert [path for path in made if kept[path] != made[path]] == []


def test_the_files_are_written_and_old_ones_go(tmp_path):
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "gone.json").write_text("{}")
    count = asyncapi.write(tmp_path)
    assert count == len(list(tmp_path.rglob("*.json"))) == len(CHANNELS) + len(VERBS) + 1
    assert not (tmp_path / "schemas" / "gone.json").exists()


def test_every_schema_is_one_of_draft_2020_12():
    for name, schema in schemas.files().items():
        assert schema["$schema"] == schemas.DRAFT
        jsonschema_rs.meta.validate(schema)
        assert schema["title"], name


def test_every_state_has_its_time_and_all_its_keys():
    for channel in CHANNELS:
        schema = schemas.files()[channel.name]
        if channel.payload is not None:
            assert schema["required"] == ["ts", *channel.payload.__struct_fields__], channel.name
            assert schema["additionalProperties"] is False


# --- the AsyncAPI document ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def specification() -> jsonschema_rs.Validator:
    assert SPECIFICATION.exists(), "make interop installs it"
    return jsonschema_rs.validator_for(json.loads(SPECIFICATION.read_text()))


def test_the_document_is_asyncapi_3_by_its_own_schema(specification: jsonschema_rs.Validator):
    assert [error.message for error in specification.iter_errors(asyncapi.document())] == []


def test_a_broken_document_is_seen(specification: jsonschema_rs.Validator):
    for path in (("operations", "send-site", "action"), ("info", "title"), ("channels", "site", "address")):
        broken = copy.deepcopy(asyncapi.document())
        *way, last = path
        place = broken
        for step in way:
            place = place[step]
        place[last] = 7
        assert not specification.is_valid(broken), path


def test_every_reference_of_the_document_leads_somewhere():
    whole = asyncapi.document()

    def follow(value: object) -> None:
        if isinstance(value, dict):
            for step in value.values():
                follow(step)
            if isinstance(value.get("$ref"), str):
                place = whole
                for step in value["$ref"].removeprefix("#/").split("/"):
                    place = place[step]
        elif isinstance(value, list):
            for item in value:
                follow(item)

    follow(whole)


def test_the_document_has_every_channel_and_every_verb():
    whole = asyncapi.document()
    assert set(whole["channels"]) == set(BY_NAME) | {schemas.request_name(verb) for verb in VERBS}
    for channel in CHANNELS:
        kept = whole["operations"][f"send-{channel.name}"]["bindings"]["mqtt"]
        assert (kept["qos"], kept["retain"]) == (channel.qos, channel.retain)
        assert kept.get("messageExpiryInterval") == channel.expiry_s


# --- payloads -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", example.PAYLOADS)
def test_the_example_of_a_channel_fits(name: str):
    shown = example.PAYLOADS[name]
    wire.fits(name, shown.encode() if isinstance(shown, str) else json.dumps(shown).encode())


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_of_a_request_fit_and_others_do_not(verb: str):
    name = schemas.request_name(verb)
    for shown in requests.EXAMPLES[verb]:
        wire.fits(name, json.dumps(shown).encode())
    with pytest.raises(AssertionError):
        wire.fits(name, json.dumps({**requests.EXAMPLES[verb][0], "nonsense": 1}).encode())


@pytest.mark.parametrize("seed", range(60))
def test_whatever_a_view_holds_fits_and_no_key_comes_or_goes(seed: int):
    view = Views(seed).view()
    made = messages(view, TREE, flat=True)
    checker = Checker(TREE)
    keys: dict[str, list[str]] = {}
    for topic, message in made.items():
        assert topic == message.topic
        assert message.body, topic
        name = checker.check(topic, on_the_wire(message))
        kept = BY_NAME[name]
        assert (message.retain, message.qos) == (kept.retain, kept.qos)
        if message.stamped:
            found = list(json.loads(on_the_wire(message)))
            assert keys.setdefault(name, found) == found == ["ts", *kept.payload.__struct_fields__]


def test_every_kind_of_topic_is_among_what_random_views_hold():
    seen: set[str] = set()
    for seed in range(12):
        checker = Checker(TREE)
        checker.check_all({t: on_the_wire(m) for t, m in messages(Views(seed).view(), TREE, True).items()})
        seen |= checker.seen.keys()
    assert seen == {channel.name for channel in CHANNELS} - {"status", "event", "log", "response"}


# --- the checker itself ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("edgegw/1/depot-1/nonsense", b"{}"),
        ("edgegw/1/other/site/state", b"{}"),
        ("edgegw/1/depot-1/charger/CP-7/availability", b"online"),
        ("edgegw/1/depot-1/charger/cp-7/availability", b"gone"),
        ("edgegw/1/depot-1/charger/cp-7/connector/one/state", b"{}"),
        ("edgegw/1/depot-1/v/site/power", b'"' + b"x" * 500),
        ("edgegw/1/depot-1/event", b""),
        (
            "edgegw/1/depot-1/log",
            b'{"ts":"2026-11-20T23:40:01Z","level":"x","logger":"x","text":"x","more":1}',
        ),
        ("edgegw/1/depot-1/log", b'{"ts":"2026-13-20T23:40:01Z","level":"x","logger":"x","text":"x"}'),
        ("edgegw/1/depot-1/log", b'{"ts":"2026-11-20T23:40:01Z","level":"x","logger":"x"}'),
        ("edgegw/1/depot-1/log", b'{"ts":NaN,"level":"x","logger":"x","text":"x"}'),
        ("edgegw/1/depot-1/request/gateway/explode", b"{}"),
    ],
)
def test_the_checker_catches(topic: str, payload: bytes):
    with pytest.raises((AssertionError, ValueError)):
        Checker(TREE).check(topic, payload)


def test_the_checker_lets_pass_what_is_right():
    checker = Checker(TREE)
    line = b'{"ts":"2026-11-20T23:40:01Z","level":"x","logger":"x","text":"x"}'
    assert checker.check("edgegw/1/depot-1/log", line) == "log"
    assert checker.check("edgegw/1/depot-1/alarm/cloud-away", b"") == "alarm"
    assert checker.check("edgegw/1/depot-1/v/charger/cp-7/1/current_l1", b"null") == "scalar"
    assert checker.seen.total() == 3


def test_no_struct_of_payloads_is_without_a_topic():
    used = {channel.payload for channel in CHANNELS}
    parts = {payloads.ChargerRef, payloads.LimitOnCircuit, payloads.ConnectorAllocation, payloads.ErrorText}
    assert set(payloads.Payload.__subclasses__()) == (used - {None}) | parts


# --- what integrators read --------------------------------------------------------------------------


README = (DOCS / "README.md").read_text()


def test_the_payloads_in_the_documentation_are_real():
    """Each stands below its topic; an answer below the words that it is one."""
    shown = re.findall(r"`edgegw/1/depot-1/([^`]+)`:?\n```json\n(.+)\n```", README)
    assert len(shown) == 6
    for topic, payload in shown:
        name, _ = wire.channel_of(topic)
        assert json.loads(payload) == json.loads(json.dumps(example.PAYLOADS[name])), topic
        wire.fits(name, payload.encode())
    for payload in re.findall(r"```json\n(.+)\n```", README):
        if '"took_ms"' in payload:
            wire.fits("response", payload.encode())


def test_the_table_of_topics_is_that_of_the_tree():
    rows = dict(re.findall(r"^\| `([^`]+)` \| .+ \| (\w+ \| \d) \|", README, re.MULTILINE))
    short = {"charger": "<cp>", "connector": "<n>", "meter": "<m>", "circuit": "<c>", "alarm": "<id>"}
    for channel in CHANNELS:
        address = re.sub(r"{(\w+)}", lambda found: short.get(found[1], f"<{found[1]}>"), channel.address)
        assert rows.pop(address) == f"{'yes' if channel.retain else 'no'} | {channel.qos}", address
    assert rows == {}
    assert "| `request/<verb>` | commands **to** the box | must not | 1 |" in README


def test_every_verb_is_explained():
    for verb in VERBS:
        assert f"`{verb}`" in README
