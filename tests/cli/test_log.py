"""`edgegw log`: lines a person can read, one JSON document, and what comes while it follows."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator

import pytest

from edgegw.logs import LogRing
from tests.cli.conftest import Shell
from tests.control.house import DEADLINE_S, House
from tests.e2e.children import ending

log = logging.getLogger("tests.cli_log")


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[House]:
    ring = LogRing()
    ring.install()
    log.setLevel(logging.INFO)
    house = House(tmp_path, log_ring=ring)
    await house.start(tcp=True)
    yield house
    await house.stop()
    ring.remove()


async def test_the_newest_lines_and_only_those_that_are_bad_enough(house: House, shell: Shell):
    assert "no critical line" in (await shell("log", "--level", "critical")).stdout
    for text in ("one", "two"):
        log.info(text)
    log.warning("bad \x1b[2J")
    lines = (await shell("log", "--limit", "2")).stdout.splitlines()
    assert [line.split(maxsplit=2)[1:] for line in lines] == [
        ["info", "tests.cli_log: two"],
        ["warning", "tests.cli_log: bad \\x1b[2J"],
    ]
    found = await shell.json("log", "--level", "warning")
    assert [line["text"] for line in found["lines"]] == ["bad \\x1b[2J"]


async def test_it_follows_until_the_gateway_stops(house: House):
    log.info("before")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edgegw", "log", "--follow", "--json", "--socket", str(house.socket),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    async with ending(child), asyncio.timeout(2 * DEADLINE_S):
        assert json.loads(await child.stdout.readline())["text"] == "before"
        log.info("after")
        while json.loads(await child.stdout.readline())["text"] != "after":
            pass
        await house.server.stop()
        out, _ = await child.communicate()
    assert child.returncode == 3
    assert json.loads(out.splitlines()[-1])["error"]["code"] == "not_reachable"
