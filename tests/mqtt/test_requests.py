"""What a command may hold, and in which words it is told that it may not."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest

from edgegw.config_mqtt import VERBS
from edgegw.mqtt import reading, requests
from edgegw.mqtt.reading import Malformed

LIMIT = {"source": "bms", "limit_a": 63}


def complaint(verb: str, value: dict) -> str:
    with pytest.raises(Malformed) as caught:
        reading.read(verb, value)
    return str(caught.value)


def refused_bytes(payload: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        reading.read_object(payload)
    return str(caught.value)


def test_every_verb_has_a_model_and_examples():
    assert tuple(requests.REQUESTS) == tuple(requests.EXAMPLES) == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_are_taken_and_fit_the_schema(verb: str):
    validator = jsonschema_rs.validator_for(requests.schema(verb))
    for example in requests.EXAMPLES[verb]:
        validator.validate(example)
        assert reading.read(verb, reading.read_object(json.dumps(example).encode())).transaction == "bms-42"


@pytest.mark.parametrize("verb", VERBS)
def test_a_schema_stands_alone_and_allows_no_other_member(verb: str):
    schema = requests.schema(verb)
    assert "$ref" not in json.dumps(schema)
    assert schema["additionalProperties"] is False
    assert {"transaction", "ts"} <= schema["properties"].keys()
    assert schema["description"]


SAME_OF_BOTH = (
    ("limit/set", {**LIMIT, "limit_w": 3}),
    ("limit/set", {"source": "bms"}),
    ("limit/set", {"source": "bms", "limit_a": None}),
    ("limit/set", {**LIMIT, "limit_a": -1}),
    ("limit/set", {**LIMIT, "limit_a": True}),
    ("limit/set", {**LIMIT, "limit_a": "63"}),
    ("limit/set", {**LIMIT, "limit_a": 10_001}),
    ("limit/set", {**LIMIT, "expires_s": 9.9}),
    ("limit/set", {**LIMIT, "expires_s": 86_401}),
    ("limit/set", {**LIMIT, "expires_s": None}),
    ("limit/set", {**LIMIT, "fallback_a": None}),
    ("limit/set", {**LIMIT, "priority": 1.5}),
    ("limit/set", {**LIMIT, "priority": -1}),
    ("limit/set", {**LIMIT, "source": ""}),
    ("limit/set", {**LIMIT, "Limit_a": 5}),
    ("limit/release", {}),
    ("charger/availability", {"charger": "CP-1"}),
    ("charger/availability", {"charger": "CP-1", "operative": 1}),
    ("charger/availability", {"charger": "CP-1", "operative": True, "connector": -1}),
    ("charger/reset", {"charger": "CP-1", "type": "Soft"}),
    ("charger/reset", {"charger": ["CP-1"]}),
    ("charger/unlock", {"charger": "CP-1", "connector": 0}),
    ("charger/start", {"charger": "CP-1", "connector": 1}),
    ("charger/stop", {"charger": "CP-1"}),
    ("charger/stop", {"charger": "CP-1", "connector": 1, "session": 4}),
    ("charger/stop", {"charger": "CP-1", "session": 2**31}),
    ("charger/trigger", {"charger": "CP-1", "message": "SignChargePointCertificate"}),
    ("alarm/ack", {"alarm": ""}),
    ("firmware/update", {"file": "a.bin"}),
    ("firmware/update", {"file": "a.bin", "charger": "CP-1", "chargers": ["CP-2"]}),
    ("firmware/update", {"file": "a.bin", "chargers": []}),
    ("diagnostics/get", {"charger": "CP-1", "kind": "all"}),
    ("queue/resend", {"charger": "CP-1", "seqs": []}),
    ("queue/resend", {"charger": "CP-1", "seqs": ["1"]}),
    ("health_check", {"transaction": "x" * 65}),
    ("health_check", {"transaction": 5}),
    ("health_check", {"verbose": True}),
)


@pytest.mark.parametrize(("verb", "value"), SAME_OF_BOTH)
def test_what_is_not_taken_does_not_fit_the_schema_either(verb: str, value: dict):
    assert complaint(verb, value)
    assert not jsonschema_rs.validator_for(requests.schema(verb)).is_valid(value)


def test_a_sensor_that_is_unavailable_lifts_no_limit():
    for word in (None, "unavailable"):
        assert complaint("limit/set", {**LIMIT, "limit_a": word}).startswith(
            "limit_a: must be a number, not "
        )
    assert "limit/release" in complaint("limit/set", {**LIMIT, "limit_a": None})
    assert "limit/release" in complaint("limit/set", {"source": "bms"})


def test_the_words_name_the_member_and_hold_no_value():
    text = complaint("charger/start", {"charger": "CP-1", "connector": 1, "id_token": "04A1B2\n"})
    assert text == "`id_token` must hold printable characters only"
    assert complaint("charger/reset", {"charger": "CP-1", "type": "04A1B2"}) == (
        "type: is none of the allowed words"
    )
    assert complaint("queue/resend", {"charger": "CP-1", "seqs": [1, "x"]}) == (
        "seqs[1]: must be a number, not str"
    )


def test_a_misspelt_member_is_told_what_was_meant():
    assert complaint("charger/unlock", {"charger": "CP-1", "conector": 1}) == (
        'no member is called "conector"; did you mean connector?'
    )
    assert complaint("alarm/ack", {"id": "cloud-away"}).startswith('no member is called "id"; there are: ')
    assert complaint("limit/set", {**LIMIT, "expires_s": 1}) == "expires_s: must be at least 10.0"
    assert complaint("charger/unlock", {"charger": "CP-1"}) == "`connector` is missing"
    assert len(complaint("health_check", {"\x1b[2J" * 5000: 1})) < 150


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b'{"limit_a": NaN}', "not JSON"),
        (b'{"limit_a": 1e999}', "not JSON"),
        (b'{"a": 1} {"a": 1}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"limit_a": 10, "limit_a": 100}', "a member twice"),
        (b'{"limit_a": 10, "limit\\u005fa": 100}', "a member twice"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "nests deeper"),
        (b'{"a":' * 9000, "nests deeper"),
        (b"[" * 60_000, "nests deeper"),
        (b"[]", "must be a JSON object"),
        (b"63", "must be a JSON object"),
        (b'{"a": "' + b"x" * 65_536 + b'"}', "longer than 65536 bytes"),
    ],
)
def test_what_is_no_json_object_is_refused_in_words(payload: bytes, why: str):
    assert why in refused_bytes(payload)
