"""What leaves in a bundle says no secret, and what is no secret stays readable."""

from __future__ import annotations

import json

import pytest

from edgegw.cli.scrub import Scrubber


def test_half_a_character_of_a_charger_costs_nobody_the_bundle():
    lines = b'{"text": "\\ud800x"}\n{"text": "\\udc1b[2J"}\n'
    shown = Scrubber().document(lines)
    assert [json.loads(line)["text"] for line in shown.splitlines()] == ["\ud800x", "\udc1b[2J"]
    assert json.loads(Scrubber().document(b'{"text": "\\udfff"}')) == {"text": "\udfff"}


@pytest.mark.parametrize(
    "words",
    [
        "wss://csms.example/ocpp?token=s3cret&x=1 is wrong",
        'url = "https://h/x?sig=s3cret"',
        "it said password=s3cret, and Secret = s3cret",
        "api_key=s3cret",
    ],
)
def test_what_is_called_a_secret_in_prose_goes(words: str):
    assert "s3cret" not in Scrubber().text(words)


def test_words_about_passwords_stay():
    words = "wrong password: the cloud answered 401; set password_file = x in https://h/a"
    assert Scrubber().text(words) == words
