"""One list of the words that name a secret: the same cases through every place that asks it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from edgegw import secret_words
from edgegw.cli.scrub import Scrubber
from edgegw.control import setting_rules
from edgegw.control.audit_text import shown_body
from edgegw.control.masking import WITHHELD, shown_fragment, shown_frame
from edgegw.redaction import is_harmless, redact
from edgegw.runtime import flight_redaction
from edgegw.runtime.flight_redaction import redacted
from edgegw.secret_words import mentions_secret, names_secret, without_values

SECRET = "hunter2hunter2"
SECRETS = (
    *("password", "Password", "WifiPassword", "basicAuthPassword", "passwd", "wpaPassphrase", "passcode"),
    *("pwd", "WifiPwd", "clientSecret", "secret", "credentials", "WifiPSK", "psk", "preSharedKey"),
    *("AuthorizationKey", "authorisationKey", "authorization", "proxy-authorization", "authorization_code"),
    *("apiKey", "api_key", "API-Key", "private_key", "privateKey", "wpa.key", "encryption key", "access_key"),
    *("token", "accessToken", "auth_token", "tokens", "tokenValue", "CloudToken", "invalidToken"),
    *("pin", "PIN", "SimPIN", "simPin", "userPin", "sim_pin", "PinCode", "pin_code"),
)
NO_SECRETS = (
    *(
        "idToken",
        "groupIdToken",
        "id_token",
        "additionalIdToken",
        "idTag",
        "TokenReaderTimeout",
        "idTokenInfo",
    ),
    *(
        "AuthorizationCacheEnabled",
        "AuthorizeRemoteTxRequests",
        "LocalAuthListEnabled",
        "authorizationStatus",
    ),
    *("SpinUpTime", "Ping", "StoppingTime", "HeartbeatInterval", "passenger", "KeyboardLayout", "status"),
)
PLACES: dict[str, Callable[[str], str]] = {
    "masking": lambda text: shown_frame(text.encode()),
    "audit": lambda text: shown_body(text.encode()),
    "recordings": lambda text: redacted(text.encode()),
    "bundles": lambda text: Scrubber().document(text.encode()).decode(),
    "logs": redact,
}


def stripped(text: str) -> bytes:
    """As the recorder looks for hints."""
    return text.encode().translate(flight_redaction._LOWER, flight_redaction._LEFT_OUT)


@pytest.mark.parametrize("name", SECRETS)
def test_a_name_of_a_secret_is_one_everywhere(name: str):
    assert names_secret(name)
    assert setting_rules.is_secret(name)
    assert setting_rules.is_secret(f"SomeCtrlr.{name}@1")
    assert secret_words.hinted(stripped(name)), "or the recorder would not look at the frame"
    assert any(stem in name.lower() for stem in secret_words.STEMS)
    assert (
        f'{name} = "***"' in Scrubber().site_file(f'{name} = "{SECRET}"')
        or not name.replace("_", "").isalnum()
    )
    member = json.dumps([2, "m1", "X", {name: SECRET}])
    number = json.dumps([2, "m1", "X", {name: 12345678}])
    pair = json.dumps([2, "m1", "X", {"key": name, "value": SECRET}])
    prose = json.dumps([2, "m1", "X", {"info": f"at start {name}={SECRET}, then {name}: {SECRET} again"}])
    event = json.dumps([2, "m1", "X", {"eventData": [{"actualValue": SECRET, "variable": {"name": name}}]}])
    nested = json.dumps([2, "m1", "X", {"data": json.dumps({name: SECRET, "n": 1})}])
    several = json.dumps([2, "m1", "X", {name: [SECRET, "a]b", 12345678], "n": 1}])
    for place, shown in PLACES.items():
        for text in (member, number, pair, event, prose, nested, several):
            told = shown(text)
            assert SECRET not in told, (place, told)
            assert "12345678" not in told, (place, told)
            assert place == "audit" or json.loads(told)[3]
    for text in (member, prose):
        assert shown_fragment(text[:-3]) == WITHHELD
        assert flight_redaction.fragment(text[:200].encode()) == flight_redaction.WITHHELD
    assert not is_harmless(f"{name} = {SECRET}")


@pytest.mark.parametrize("name", NO_SECRETS)
def test_what_only_looks_like_one_is_shown(name: str):
    assert not names_secret(name)
    text = json.dumps([2, "m1", "X", {"key": name, "value": "readable"}])
    for place, shown in PLACES.items():
        assert "readable" in shown(text), place
    assert without_values(f"{name}: 30") == f"{name}: 30"
    assert "30" in Scrubber().site_file(f"{name} = 30")


FREE_TEXT = (
    (f"password={SECRET}", "password=***"),
    (f"pwd: {SECRET} at line 3", "pwd: *** at line 3"),
    (f"Authorization: Basic {SECRET}", "Authorization: Basic ***"),
    (f"Authorization: {SECRET}", "Authorization: ***"),
    (f"GET /x Proxy-Authorization=Bearer {SECRET}", "GET /x Proxy-Authorization=Bearer ***"),
    (f"ftp://user:{SECRET}@host/fw.bin", "ftp://***@host/fw.bin"),
    (f"user=a,password={SECRET},host=c", "user=a,password=***,host=c"),
    (f"login=x;passwd={SECRET};port=1", "login=x;passwd=***;port=1"),
    (f"password={SECRET},{SECRET};x y", "password=*** y"),
    (f"{{'token': '{SECRET}', 'a': 1}}", "{'token': '***', 'a': 1}"),
    (f"SIM PIN: {SECRET}", "SIM PIN: ***"),
    (f"at\npassword={SECRET}\nnext", "at\npassword=***\nnext"),
    (f"invalid token: {SECRET}", "invalid token: ***"),
    (f"user id 12, token={SECRET}", "user id 12, token=***"),
)
MESSAGES: tuple[Callable[[str], list], ...] = (
    lambda text: [2, "m", "StatusNotification", {"connectorId": 1, "errorCode": "OtherError", "info": text}],
    lambda text: [2, "m", "DataTransfer", {"vendorId": "Acme", "data": text}],
    lambda text: [2, "m", "NotifyEvent", {"eventData": [{"techInfo": text, "actualValue": "1"}]}],
    lambda text: [
        2,
        "m",
        "LogStatusNotification",
        {"status": "Idle", "statusInfo": {"additionalInfo": text}},
    ],
)


@pytest.mark.parametrize(("text", "left"), FREE_TEXT)
def test_a_secret_in_the_words_of_a_charger_goes(text: str, left: str):
    assert redact(text) == left
    assert redact(left) == left
    for message in MESSAGES:
        frame = json.dumps(message(text))
        for place, shown in PLACES.items():
            assert SECRET not in shown(frame), place
        assert json.loads(redacted(frame.encode())) == message(left)
        assert json.loads(shown_frame(frame.encode())) == message(left)


@pytest.mark.parametrize(
    "text",
    [
        "wrong password: the cloud answered 401; set password_file = x in https://h/a",
        "Authorization: failed.",
        "the token has expired",
        "pin of CP is welded",
        "password: none",
        "idToken: 04A1",
        "access: granted",
        "simulation: 12",
        'the string "password" ends here',
    ],
)
def test_words_about_secrets_stay(text: str):
    assert redact(text) == text


@pytest.mark.parametrize(
    "payload",
    [
        {"info": "password="},
        {"a": "password=", "b": ["pwd: ", "token"]},
        {"password=": SECRET},
        {"info": f'pwd: "{SECRET} and {SECRET}" c'},
        {"info": f'password={SECRET[:5]}"{"}"}]'},
        {"info": "password=\\"},
        {"secret": None, "password": True, "token": {"a": 1}, "pin": [1]},
        {"İpassword": SECRET, "K": "pwd=x"},
        {"data": json.dumps({"data": json.dumps({"password": SECRET, "pin": 1234})})},
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_was_json_still_is(payload: dict, ascii_only: bool):
    raw = json.dumps(payload, ensure_ascii=ascii_only)
    shown = without_values(raw)
    assert json.loads(shown).keys() == payload.keys()
    assert SECRET not in shown


def test_a_text_that_cannot_be_taken_apart_is_told_by_its_words():
    assert mentions_secret('{"basicAuthPassword":"hun')
    assert mentions_secret('{"key":"Token","val')
    assert not mentions_secret("the token has expired")
    assert not mentions_secret('{"idToken":{"idToken":"04A1')
    assert not mentions_secret("CP pin welded")


def test_each_stem_is_needed_and_the_hints_are_as_they_are_looked_for():
    for stem in secret_words.STEMS:
        assert stem == stem.lower()
    for hint in secret_words.HINTS:
        assert hint == hint.lower()
        assert not set(hint) & set(flight_redaction._LEFT_OUT)


@pytest.mark.parametrize(
    "unit", ["\\", '\\"idTag', '"password', "pwd=a,", "token ", "a=b&", '":"', "secret\\"]
)
def test_a_long_text_is_worked_through_once(unit: str):
    """Quadratic, this would take minutes and be ended by the time limit of a test."""
    text = unit * (100_000 // len(unit))
    raw = f'[2,"m","X",{{"idTag":"x","pwd":1,"key":"password","a":"{text}"}}]'
    redacted(raw.encode())
    shown_frame(raw.encode())
    redact(text)
