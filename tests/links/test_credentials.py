"""Passwords as bytes, verifiers, and what must not show in a log (faults 7, 84)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.links.credentials import Verifier, parse_basic
from edgegw.redaction import redact


def basic(username: bytes, password: bytes) -> str:
    return "Basic " + base64.b64encode(username + b":" + password).decode()


@pytest.fixture
def verifier():
    it = Verifier()
    yield it
    it.close()


@given(st.binary(max_size=40).filter(lambda name: b":" not in name), st.binary(max_size=60))
def test_basic_headers_parse_whatever_the_bytes(username, password):
    found = parse_basic(basic(username, password))
    assert found is not None
    assert found.username.encode("utf-8", "surrogateescape") == username
    assert found.password == password


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic !!!", "Bearer abc", "Basic Zm9v", "Basic " + "A" * 9000, "Basic é"]
)
def test_headers_without_credentials(header):
    assert parse_basic(header) is None


def test_missing_padding_and_case_of_the_scheme_are_forgiven():
    assert parse_basic("bAsIc Q1AxOnB3") == parse_basic(basic(b"CP1", b"pw"))
    assert parse_basic(basic(b"CP1", b"p").rstrip("=")).password == b"p"


def test_a_password_does_not_show_in_a_traceback():
    assert "secret" not in repr(parse_basic(basic(b"CP1", b"secret")))


async def test_fault_7_verifying(verifier):
    header = basic(b"CP1", b"\xff\x00raw bytes\xfe")
    stored = await verifier.make(header)
    assert stored.startswith("scrypt$4096$")
    assert "raw" not in stored
    assert await verifier.verify(header, stored)
    assert not await verifier.verify(basic(b"CP1", b"other"), stored)
    assert not await verifier.verify(basic(b"CP2", b"\xff\x00raw bytes\xfe"), stored)
    assert not await verifier.verify("", stored)
    assert await verifier.make(header) != stored


async def test_all_written_forms_of_one_key_are_one(verifier):
    key = bytes(range(200, 220))
    stored = await verifier.make_password("CP1", key.hex().upper().encode())
    for form in (key, key.hex().encode(), key.hex().upper().encode()):
        assert await verifier.verify(basic(b"CP1", form), stored)
    assert not await verifier.verify(basic(b"CP1", key + b"\x00"), stored)


async def test_other_schemes_compare_as_they_are(verifier):
    stored = await verifier.make("Bearer abc")
    assert await verifier.verify("Bearer abc", stored)
    assert not await verifier.verify("Bearer abd", stored)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "scrypt$4096$x",
        "md5$1$YQ==$YQ==",
        "scrypt$1099511627776$YQ==$YQ==",
        "scrypt$3$YQ==$YQ==",
        "scrypt$a$b$c",
    ],
)
async def test_a_damaged_verifier_verifies_nobody(verifier, stored):
    assert await verifier.verify(basic(b"CP1", b"pw"), stored) is False


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Basic UzNDUjNUIQ==",
        "{'authorization': 'Basic UzNDUjNUIQ=='}",
        "dialling wss://user:UzNDUjNUIQ@cloud.example/ocpp",
        '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"UzNDUjNUIQ"}]',
        '[2,"1","ChangeConfiguration",{"value": "UzNDUjNUIQ", "key": "AuthorizationKey"}]',
        '[2,"1","SetVariables",{"setVariableData":[{"attributeValue":"UzNDUjNUIQ\\"x","component":{"name":"SecurityCtrlr"},"variable":{"name":"BasicAuthPassword"}}]}]',
        '{"connectionData":{"basicAuthPassword":"UzNDUjNUIQ"}}',
        '{"apn":{"apnPassword":"UzNDUjNUIQ"}}',
    ],
)
def test_fault_84_secrets_are_hidden(text):
    hidden = redact(text)
    assert "UzNDUjNUIQ" not in hidden
    assert "***" in hidden


@pytest.mark.parametrize(
    "text", ['[2,"1","Heartbeat",{}]', "wss://cloud.example/ocpp", "Basic facts", '{"value":"7"}']
)
def test_the_rest_stays(text):
    assert redact(text) == text
