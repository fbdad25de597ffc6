"""What must not be in a recording."""

from __future__ import annotations

import json

import pytest

from edgegw.runtime import flight_redaction
from edgegw.runtime.flight_redaction import WITHHELD, cleaned, fragment, redacted

SECRET = "hunter2hunter2"
CARD = "04A1B2C3D4E5F6"


def frame(payload: object, action: str = "X") -> bytes:
    return json.dumps([2, "m1", action, payload]).encode()


@pytest.mark.parametrize(
    "payload",
    [
        {"key": "AuthorizationKey", "value": SECRET},
        {"value": SECRET, "key": "AuthorizationKey"},
        {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": SECRET}]},
        {"setVariableData": [{"attributeValue": SECRET, "variable": {"name": "BasicAuthPassword"}}]},
        {
            "reportData": [
                {"variable": {"name": "BasicAuthPassword"}, "variableAttribute": [{"value": SECRET}]}
            ]
        },
        {"connectionData": {"basicAuthPassword": SECRET}},
        {"connectionData": {"vpn": {"user": "u", "password": SECRET, "key": SECRET}}},
        {"connectionData": {"apn": {"apnPassword": SECRET, "simPin": SECRET}}},
        {"location": f"ftp://user:{SECRET}@host/fw.bin"},
        {"location": f"https://bucket.example/fw.bin?X-Signature={SECRET}"},
        {"data": json.dumps({"password": SECRET, "a": 1})},
        {"data": json.dumps({"key": "AuthorizationKey", "value": SECRET})},
        {"text": f"Authorization: Basic {SECRET}"},
        {"clientSecret": SECRET},
    ],
)
def test_a_password_goes(payload: object):
    text = redacted(frame(payload))
    assert SECRET not in text
    json.loads(text)


def test_a_password_goes_whatever_its_name_looks_like():
    raw = frame({"key": "AuthorizationKey", "value": SECRET}).replace(
        b"AuthorizationKey", b"Authorization\\u004bey"
    )
    assert SECRET not in redacted(raw)
    raw = frame({"basicAuthPassword": SECRET}).replace(b"Password", b"Passwor\\u0064")
    assert SECRET not in redacted(raw)
    assert "12345678" not in redacted(b'[2,"1","X",{"key":"AuthorizationKey","value":12345678}]')


@pytest.mark.parametrize(
    "payload",
    [
        {"idTag": CARD, "connectorId": 1},
        {"idTagInfo": {"parentIdTag": CARD}},
        {"localAuthorizationList": [{"idTag": CARD}, {"idTag": CARD[::-1]}]},
        {"idToken": {"idToken": CARD, "type": "ISO14443"}},
        {"data": json.dumps({"idTag": CARD})},
        {"idtag": CARD},
    ],
)
def test_a_card_id_is_masked_and_the_frame_stays_one(payload: object):
    text = redacted(frame(payload))
    assert CARD not in text
    assert "****E5F6" in text
    json.loads(text)


def test_a_card_id_that_is_a_number_stays_one():
    assert json.loads(redacted(b'[2,"1","X",{"idTag":1234567890}]'))[3] == {"idTag": 7890}


def test_the_same_card_looks_the_same_however_often_it_is_looked_at():
    once = redacted(frame({"idTag": "AB12"}))
    assert redacted(once.encode()) == once
    assert redacted(frame({"info": {"idTag": "AB12"}})).count("****12") == 1


def test_what_holds_nothing_of_the_kind_stays_as_it_is():
    for raw in (
        frame({"status": "Available"}),
        b'[3,"m1",{ "x" : 1.50 }]',
        frame({"vendorId": "\u00e4" * 500}),
    ):
        assert cleaned(raw) is None
        assert redacted(raw) == raw.decode()


def test_a_fragment_that_names_a_secret_is_withheld():
    assert fragment(b'[2,"1","X",{"basicAuthPassword":"hun') == WITHHELD
    assert fragment(b'[2,"1","X",{"idTag":"04A1B2C3') == '[2,"1","X",{"idTag":"****B2C3'
    assert len(fragment(b"x" * 10_000)) == 256


def test_what_is_nested_in_a_text_is_left_whole():
    inner = {"idToken": {"idToken": CARD, "type": "Central"}, "idTag": [CARD], "x": {"password": {"a": 1}}}
    text = redacted(frame({"data": json.dumps(inner), "more": json.dumps(json.dumps({"idToken": CARD}))}))
    kept = json.loads(json.loads(text)[3]["data"])
    assert kept["idToken"] == {"idToken": "****E5F6", "type": "Central"}
    assert json.loads(json.loads(json.loads(text)[3]["more"])) == {"idToken": "****E5F6"}


def test_no_character_of_a_hint_is_left_out_before_it_is_looked_for():
    for hint in flight_redaction._HINTS:
        assert not set(hint) & set(flight_redaction._LEFT_OUT)
        assert hint == hint.lower()


def test_what_looks_like_a_harmless_frame_but_for_its_digits_is_not_looked_at_again():
    flight_redaction._harmless.clear()
    for n in range(3):
        assert cleaned(frame({"status": "Available", "at": n}).replace(b"m1", b"m%d" % n)) is None
    assert len(flight_redaction._harmless) == 1
    assert CARD not in redacted(frame({"status": "Available", "at": 1, "idTag": CARD}))
    for n in range(2 * flight_redaction._HARMLESS_MAX):
        cleaned(frame({"v": chr(0x4E00 + n)}))
    assert len(flight_redaction._harmless) <= flight_redaction._HARMLESS_MAX
