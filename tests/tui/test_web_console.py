"""The console in a real browser: a charger that nobody knows is commissioned in headless Chromium.

The browser sees the page of `edgegw console --web`, behind it the console process of a visitor, behind that
the real gateway, a simulated meter and charger. Skipped steps stand in the report with their reason; those
of the limit itself, which take a minute of waiting, are walked through in tests/e2e/test_commissioning.py.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from edgegw.sim.lines import LineProcess, start_chargers
from tests.e2e.children import Child, Children
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.tui.browser import Browser

CHARGER = "CP02"
WHY = "no time in a test"
SETTLES_WITHIN_S = 90.0  # a car is given more by and by, and what it draws must stand still
PREFILLED_MAX = 60  # characters that a question may come with
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\?token=\S+")


@pytest.fixture
async def gateways(tmp_path: Path) -> AsyncIterator[Gateways]:
    children = Children(tmp_path)
    made = Gateways(children, tmp_path)
    yield made
    await made.close()
    await children.close()


@pytest.mark.timeout(240)
async def test_a_charger_is_commissioned_in_a_browser(gateways: Gateways, tmp_path: Path) -> None:
    chargers = await start_chargers(
        "--count", "2", "--no-cars", "--cars", "one", "--meter-port", "0", "--building", "10",
        "--meter-interval", "1", "--backoff", "0.3", "--quiet", "--seed", "5",
    )  # fmt: skip
    async with chargers:
        gateway = await gateways(None, _site(chargers.ready["meter"]))
        await chargers.command(f"dial {gateway.url}")
        await _in_front_of(gateway, chargers, tmp_path)
        told = await gateway.command("wiring")
        assert [(one["charger"], one["source"]) for one in told["wiring"]] == [(CHARGER, "commissioned")]
        audit = await gateway.command("audit")
        orders = [entry["order"] for entry in audit["entries"]]
        assert f"POST /v1/chargers/{CHARGER}/accept" in orders
        assert f"PUT /v1/wiring/{CHARGER}/1" in orders
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["charger"], report["by"]) == (CHARGER, "Jo")
    verdicts = {step["key"]: step["verdict"] for step in report["steps"]}
    assert {verdicts[key] for key in ("accept", "wire", "connect", "charge")} == {"passed"}, report
    assert (verdicts["step"], verdicts["fallback"]) == ("skipped", "skipped"), report
    assert WHY in (tmp_path / "report.txt").read_text()


def _site(meter: str) -> dict:
    return {
        "chargers": {"unknown": "refuse"},
        "authorization": {"unknown_tags": "accept"},
        "meter": [{"name": "grid", "template": "eastron_sdm630", "address": meter}],
        "circuit": [{"name": "main", "fuse": 63, "meter": "grid", "reserve": 20}],
    }


async def _in_front_of(gateway: GatewayProcess, chargers: LineProcess, folder: Path) -> None:
    children = Children(folder)
    loop = asyncio.get_running_loop()

    def plug_in() -> None:
        """In the browser's thread."""
        started = asyncio.run_coroutine_threadsafe(chargers.command(f"start {CHARGER} 1 TAG one"), loop)
        assert started.result(30.0)["ok"]

    try:
        web, address = await _web_console(children, gateway)
        await asyncio.to_thread(_in_the_browser, address, folder / "report", plug_in)
        web.signal(signal.SIGTERM)
        assert await web.ended() == 0, web.log
    finally:
        await children.close()


async def _web_console(children: Children, gateway: GatewayProcess) -> tuple[Child, str]:
    words = ("console", "--web", "--operator", "--listen", "127.0.0.1:0", "--config", str(gateway.config))
    web = await children.start("web", sys.executable, "-m", "edgegw", *words)
    found = await web.until(lambda lines: next(filter(None, map(_ADDRESS.search, lines)), None))
    return web, found[0]


def _in_the_browser(address: str, report: Path, plug_in: Callable[[], None]) -> None:
    with Browser() as browser:
        browser.open(address)
        browser.until("Site")
        browser.press("9", "/")
        browser.type(CHARGER)
        browser.press("enter")
        browser.until(f"stranger +{CHARGER}")
        browser.press("w")
        for question in ("which connector", "which phases", "amps at most", "amps are safe"):
            browser.until(question)
            browser.press("enter")
        browser.until("Who does it")
        _give(browser, "Jo")
        _answer_until(browser, "plug in a car")
        plug_in()
        browser.until("A car charges +passed", SETTLES_WITHIN_S)
        _skip(browser, "The limit is followed")
        _skip(browser, "It falls back by itself")
        browser.until("w writes the report")
        browser.press("w")
        browser.until("under which name")
        _give(browser, str(report))
        browser.until("saved: ")
        assert not browser.strangers(), "nothing is loaded from elsewhere"
        assert not browser.complaints(), "the page breaks no rule of its own"
        browser.press("q")
        browser.until_closed()


def _give(browser: Browser, text: str) -> None:
    """In the place of what the question came with."""
    browser.press(*["backspace"] * PREFILLED_MAX)
    browser.type(text)
    browser.press("enter")


def _answer_until(browser: Browser, words: str) -> None:
    """Yes to whatever is asked on the way."""
    while not browser.sees(f"{words}|y [A-Za-z]").startswith(words):
        browser.forget()
        browser.press("y")


def _skip(browser: Browser, step: str) -> None:
    """Once it is under way: a step that is over has nothing to skip."""
    browser.until(f"{step} +running")
    browser.press("s")
    browser.until("Skip this step")
    browser.forget()
    browser.type(WHY)
    browser.press("enter")
