"""What chargers and clouds say may hold a card id or a password: what of it may be read by everybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegw import redaction
from edgegw.core import replay
from edgegw.redaction import is_harmless, without_cards
from edgegw.runtime import gateway

CARD = "04A1B2C3D4E5F6"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            f"CP-7: the cloud refused stored StartTransaction m1: GenericError: unknown idTag {CARD}",
            "CP-7: the cloud refused stored StartTransaction m1: GenericError",
        ),
        (
            f"CP-7: the cloud refused stored StartTransaction m1: X: {CARD}?; parked after 3 attempts",
            "CP-7: the cloud refused stored StartTransaction m1: X",
        ),
        (f"CP-7: session starts over: KeyError('{CARD}')", "CP-7: session starts over"),
        (f'bad call {{"idTag": "{CARD}", "x": 1}}', 'bad call {"idTag": "***", "x": 1}'),
        (f'{{"idToken":{{"idToken":"{CARD}","type":"ISO14443"}}}}',
         '{"idToken":{"idToken":"***","type":"ISO14443"}}'),
        (f"parentIdTag={CARD}, id_tag {CARD}; id_token: '{CARD}'",
         "parentIdTag=***, id_tag ***; id_token: '***'"),
        ("CP-7: charger disconnected (1006 gone)", "CP-7: charger disconnected (1006 gone)"),
        ("no idTagInfo came", "no idTagInfo came"),
    ],
)  # fmt: skip
def test_a_card_id_does_not_stay_in_a_text(text: str, left: str):
    assert without_cards(text) == left


def test_the_words_that_are_looked_for_are_those_of_the_gateway():
    assert redaction._CLOUD_SAYS in Path(replay.__file__).read_text()
    assert redaction._BUG_SAYS in Path(gateway.__file__).read_text()


@pytest.mark.parametrize(
    "text",
    [
        "GroundFailure 0x0000A001",
        "voltage L1 253 V",
        "contactor welded",
        "E-17",
        "temp=81 C",
        "2026-11-20 1800 W",
    ],
)
def test_what_a_technician_needs_is_harmless(text: str):
    assert is_harmless(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 81,
        "Password is 1234",
        "authorization failed",
        '{"a": 1}',
        "fine\npassword 1234",
        "card 12",
        "RFID 7F",
        "idTag 7",
        "tag=7",
        "uid 04:A1",
        CARD,
        "rejected 04A1B2C3",
        "04:a1:b2:c3 unknown",
        "rejected 04 A1 B2 C3 D4 E5 F6",
    ],
)
def test_what_may_hold_a_secret_or_a_card_is_not(text: str):
    assert not is_harmless(text)
