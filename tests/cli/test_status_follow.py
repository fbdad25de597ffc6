"""`edgegw status --follow`: lines that are news, a gateway that goes and comes back, and a clean end."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tests.cli.conftest import Shell
from tests.control.house import DEADLINE_S, House
from tests.e2e.children import ending

Follows = Callable[..., Awaitable[Process]]


@pytest.fixture
async def follows(house: House) -> AsyncIterator[Follows]:
    """`await follows("CP-1")`: one that runs until `ends`, and never longer than the test."""
    async with AsyncExitStack() as started:

        async def follow(*words: str) -> Process:
            command = [sys.executable, "-m", "edgegw", "status", "--follow", *words]
            process = await asyncio.create_subprocess_exec(
                *command, "--socket", str(house.socket), stdout=PIPE, stderr=PIPE
            )
            return await started.enter_async_context(ending(process))

        yield follow


async def line(child: Process, wanted: Callable[[str], bool]) -> str:
    """The next one that is meant."""
    assert child.stdout is not None
    async with asyncio.timeout(2 * DEADLINE_S):
        while True:
            text = (await child.stdout.readline()).decode()
            assert text, "it ended"
            if wanted(text):
                return text


async def ends(child: Process) -> None:
    """Ctrl-C."""
    child.send_signal(signal.SIGINT)
    async with asyncio.timeout(2 * DEADLINE_S):
        _, complaints = await child.communicate()
    assert (child.returncode, complaints) == (0, b"")


async def test_it_follows_over_a_gateway_that_goes_and_comes_back(house: House, follows: Follows):
    child = await follows()
    first = await line(child, lambda text: True)
    assert "ok, cloud reached, 0 of 0 chargers connected, 0 transactions running" in first
    charger = await house.boots("CP-1")
    await line(child, lambda text: "1 of 1 charger connected" in text)
    await house.server.stop()
    gone = await line(child, lambda text: "gateway" in text)
    assert "the gateway is gone: " in gone
    await house.open_api(await house.journal.recover(), tcp=False)
    assert "the gateway is back" in await line(child, lambda text: "gateway" in text)
    await line(child, lambda text: "1 of 1 charger connected" in text)  # it starts anew: all is told again
    charger.cut()
    await line(child, lambda text: "0 of 1 charger connected" in text)
    await ends(child)


async def test_with_json_each_line_is_a_document(house: House, follows: Follows):
    child = await follows("--json")
    told = json.loads(await line(child, lambda text: True))
    assert told.keys() == {"at", "health", "site", "power", "alarms"}
    await house.boots("CP-1")
    await line(child, lambda text: json.loads(text)["site"]["chargers"]["connected"] == 1)
    await house.server.stop()
    gone = json.loads(await line(child, lambda text: "gateway" in json.loads(text)))
    assert gone["gateway"] == "gone"
    assert gone["text"]
    await ends(child)


async def test_one_charger_is_followed_and_one_nobody_knows_is_refused(
    house: House, shell: Shell, follows: Follows
):
    assert "no charger 'CP-7'" in (await shell("status", "CP-7", "--follow", code=1)).stderr
    charger = await house.boots("CP-1")
    child = await follows("CP-1")
    assert "CP-1: connected" in await line(child, lambda text: True)
    charger.cut()
    assert "CP-1: " in await line(child, lambda text: "CP-1: connected" not in text)
    await ends(child)


async def test_no_gateway_at_all_is_told_as_ever(house: House, shell: Shell):
    await house.server.stop()
    assert "no gateway answers" in (await shell("status", "CP-1", "--follow", code=3)).stderr
