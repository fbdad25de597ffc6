"""Lines of the log go to the building without passwords and without card ids."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from edgegw.mqtt.log_lines import LogLines
from edgegw.mqtt.message import Message
from edgegw.mqtt.topics import Tree

CARD = "04A1B2C3D4E5F6"
log = logging.getLogger("edgegw.runtime.gateway")


async def told(text: str) -> list[str]:
    """What the building reads when the gateway writes `text` into its log."""
    sent: list[Message] = []
    lines = LogLines("warning", Tree("edgegw", "depot-1"), sent.append)
    lines.start()
    try:
        log.warning("%s", text)
        logging.getLogger("edgegw.mqtt.connection").warning("%s", text)
        await asyncio.sleep(0)
    finally:
        lines.stop()
    return [json.loads(message.body)["text"] for message in sent]


@pytest.mark.parametrize("end", ["", "; parked after 3 attempts"])
async def test_what_the_cloud_says_of_a_stored_message_stays_here(end: str):
    refused = "CP-7: the cloud refused stored StartTransaction m1: GenericError"
    assert await told(f"{refused}: unknown idTag {CARD}{end}") == [refused]


async def test_what_a_bug_was_about_stays_here():
    assert await told(f"CP-7: session starts over: KeyError('{CARD}')") == ["CP-7: session starts over"]


async def test_a_card_id_is_hidden_wherever_it_is_named():
    (text,) = await told(f'CP-7: bad call {{"idTag":"{CARD}","password":"12345678"}} of wss://me:pw@cloud/x')
    assert text == 'CP-7: bad call {"idTag":"***","password":"***"} of wss://***@cloud/x'


async def test_a_line_is_one_line():
    assert await told("CP-7: \x1b[2J\nCP-8: on fire") == ["CP-7: \\x1b[2J\\nCP-8: on fire"]
