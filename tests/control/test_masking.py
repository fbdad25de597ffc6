"""What a list may show of card ids and frames."""

from __future__ import annotations

import json

import pytest

from edgegw.control.masking import WITHHELD, mask_tag, shown_fragment, shown_frame


@pytest.mark.parametrize(
    ("tag", "shown"),
    [("", ""), ("A", "****"), ("ABCD", "****CD"), ("ABCDEFG", "****EFG"), ("04A1B2C3D4E5F6", "****E5F6")],
)
def test_at_most_half_of_a_card_id(tag: str, shown: str):
    assert mask_tag(tag) == shown


def test_a_frame_keeps_every_byte_but_the_card_id():
    raw = b'[2,"1","StartTransaction",{"idTag" : "04A1B2C3","meterStart":1.50,"x":[1, 2]}]'
    assert shown_frame(raw) == raw.decode().replace("04A1B2C3", "****B2C3")


def test_the_nested_id_of_2x_is_masked():
    frame = [2, "1", "TransactionEvent", {"idToken": {"idToken": 'AB"CD1234', "type": "Central"}}]
    shown = json.loads(shown_frame(json.dumps(frame).encode()))
    assert shown[3]["idToken"]["idToken"].startswith("****")
    assert shown[3]["idToken"]["type"] == "Central"


def test_passwords_are_not_shown():
    for payload in (
        {"key": "AuthorizationKey", "value": "hunter2"},
        {"value": "hunter2", "key": "AuthorizationKey"},
        {
            "component": {"name": "SecurityCtrlr"},
            "variable": {"name": "BasicAuthPassword"},
            "value": "hunter2",
        },
        {"connectionData": {"basicAuthPassword": "hunter2"}},
        {"vpn": {"password": "hunter2"}},
    ):
        assert "hunter2" not in shown_frame(json.dumps([2, "1", "X", payload]).encode())


def test_a_fragment_that_names_a_secret_is_withheld():
    assert shown_fragment('[2,"1","X",{"basicAuthPassword":"hun') == WITHHELD
    assert shown_fragment('[2,"1","X",{"idTag":"04A1B2C3') == '[2,"1","X",{"idTag":"****B2C3'
