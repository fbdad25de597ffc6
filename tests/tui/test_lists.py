"""The list screens against the real gateway: what chargers and cloud do is seen, what is ordered happens."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from edgegw.tui.screens import messages, transactions
from edgegw.tui.screens.messages import MessagesScreen
from tests.e2e.children import DEADLINE_S
from tests.e2e.faults import NOW, charger, until
from tests.tui.lists_site import WIDE, ListsSite, Looking, running, status

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

CARD = "04AABBCCDDEEFF"
PASSWORD = "a-very-secret-password"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ListsSite]:
    async with running(tmp_path_factory.mktemp("lists")) as made:
        yield made


async def asked(site: ListsSite, question: Any) -> Any:
    """By the sync client, in a thread."""

    def ask() -> Any:
        with site.client() as client:
            return question(client)

    return await asyncio.to_thread(ask)


async def paged(look: Looking, key: str, over: Callable[[], bool]) -> None:
    """Press a key until there is nothing more to be fetched."""
    async with asyncio.timeout(DEADLINE_S):
        while not over():
            await look.press(key)


# --- messages -----------------------------------------------------------------------------------------


async def test_messages_come_as_they_pass_with_complaints_and_without_secrets(site: ListsSite):
    async with charger(site.gateway, "RAW1") as raw, site.console("Messages", size=WIDE) as look:
        await look.lists("RAW1 CP > box CALL BootNotification")
        await raw.send(json.dumps([2, "bad1", "StatusNotification", status("one")]))
        await look.lists("! ")
        await raw.call("Authorize", {"idTag": CARD})
        await look.lists("RAW1 box > cl CALL Authorize")
        order = {"key": "AuthorizationKey", "value": PASSWORD}
        await site.cloud.call("RAW1", "ChangeConfiguration", order)
        await look.lists("RAW1 box > CP CALL ChangeConfiguration")
        shown = "\n".join(look.rows)
        assert CARD not in shown
        assert PASSWORD not in shown
        assert "****" in shown

        # what does not fit the schema alone, and why, beside the list
        await look.press("f")
        await look.until(lambda: all(row[0] in "!x" for row in look.rows) and look.rows, "faults only")
        await look.shows("does not fit its schema: ")
        await look.press("f")
        await look.filter("authorize")
        await look.until(lambda: look.rows and all("Authorize" in row for row in look.rows), "filtered")
        await look.press("l")
        await look.until(lambda: not any("cl" in row.split(" CALL")[0] for row in look.rows), "one side")
        await look.press("l", "l", "escape")
        await look.until(lambda: len(look.rows) > 10 and look.list.table.has_focus, "all of them")


async def test_messages_pause_and_follow(site: ListsSite):
    async with charger(site.gateway, "RAW1") as raw, site.console("Messages") as look:
        await look.lists("RAW1 CP > box CALL BootNotification")
        await look.press("space")
        before = look.rows
        for n in range(5):
            await raw.call("Heartbeat", {}, f"paused{n}")
        screen = look.list
        assert isinstance(screen, MessagesScreen)
        await look.until(lambda: screen.tail.came >= 20, "five calls and answers, on both sides")
        await look.until(lambda: re.search(r"PAUSED; [2-9]\d messages came meanwhile", look.text), "counted")
        assert look.rows == before
        await look.press("space")
        await look.lists("Heartbeat")
        assert look.list.table.key == look.list.table.rows[-1].key, "it follows the newest"
        await look.press("up")
        key, at = look.list.table.key, cursor_at(look)
        line = await look.until(lambda: look.text.split("\n")[at], "the line of the cursor")
        for _ in range(5):
            await raw.call("Heartbeat", {})
        await look.until(lambda: len(look.rows) >= len(before) + 30, "ten more came")
        assert look.list.table.key == key, "who reads is not taken along"
        assert cursor_at(look) == at
        await look.until(lambda: look.text.split("\n")[at] == line, "the same line at the same place")
        await look.press("G")
        assert look.list.table.key == look.list.table.rows[-1].key


def cursor_at(look: Looking) -> int:
    """Which line of the screen the cursor is on."""
    table = look.list.table
    return table.region.y + 1 + table._cursor - table.scroll_offset.y


async def test_messages_of_one_charger_in_full_and_in_a_file(site: ListsSite, tmp_path: Path):
    target = tmp_path / "frames.ndjson"
    async with charger(site.gateway, "RAW2") as raw, site.console("Messages") as look:
        await raw.call("Authorize", {"idTag": CARD})
        await look.press("c", *"raw2", "enter")
        await look.until(lambda: look.rows and all("RAW2" in row for row in look.rows), "only this one")
        await look.shows("Messages > RAW2")
        await look.lists("Authorize")
        await look.press("g", "enter")
        await look.until(lambda: not look.app.screen.is_modal or "esc closes" in look.text, "in full")
        await look.shows('"BootNotification"')
        await look.press("escape")

        await look.press("e")
        await look.answer("Write the messages of RAW2", str(target))
        await look.tells("saved: ")
        exported = target.read_text()
        assert target.stat().st_mode & 0o777 == 0o600
        assert "Authorize" in exported
        assert CARD not in exported
        await look.press("e")
        await look.answer("Write the messages", str(target))
        await look.shows("nothing is overwritten")
        await look.press("escape")
    assert target.read_text() == exported


async def test_messages_go_back_into_what_was_recorded(site: ListsSite, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(messages, "PAGE", 15)
    async with charger(site.gateway, "RAW2") as raw:
        for n in range(20):
            await raw.call("Heartbeat", {}, f"old{n}")
        async with site.console("Messages") as look:
            screen = look.list
            assert isinstance(screen, MessagesScreen)
            screen.watch_charger("RAW2")
            await look.until(lambda: len(look.rows) >= 15, "one page")
            await paged(look, "g", lambda: not screen.held.has_older)
            assert "RAW2" in look.rows[0]

            async def is_all_there_is() -> bool:
                everything = await asked(site, lambda c: c.frames("RAW2", limit=1000))
                numbers = [frame.n for frame in screen.held.frames]
                assert numbers == sorted(set(numbers))
                return numbers == [frame.n for frame in everything.frames]

            await until(is_all_there_is)  # the last answers may still be on their way


# --- transactions -------------------------------------------------------------------------------------


def is_on(row: str) -> bool:
    return row.startswith(">") and "CP001" in row


async def test_transactions_are_followed_and_stopped(site: ListsSite):
    car = site.fleet.chargers["CP001"]
    charging = car.spawn(car.charge(1, CARD, None, authorize=False))
    async with site.console("Transactions", operator=False) as look:
        await look.until(lambda: any(is_on(row) and "charging" in row for row in look.rows), "it charges")
        assert CARD not in look.text
        await look.press("g", "s")
        await look.tells("only looks")
    async with site.console("Transactions") as look:
        await look.until(lambda: look.rows and is_on(look.rows[0]), "it charges")
        await look.press("g", "enter")
        await look.shows("it runs")
        assert CARD not in look.text
        await look.press("escape", "s")
        await look.shows("stops charging")
        await look.press("n")
        await look.press("s")
        await look.shows("stops charging")
        await look.press("y")
        await look.tells("at CP001: ")
        await look.lists("stopped from afar")
        await look.press("r")
        await look.until(lambda: not any("CP001" in row for row in look.rows), "running ones only")
        await look.press("r")
        await look.lists("CP001")
    await charging


async def test_transactions_are_paged(site: ListsSite, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transactions, "PAGE", 3)
    car = site.fleet.chargers["CP003"]
    for n in range(8):
        assert await car.begin(1, f"TAG{n}", authorize=False) is not None
        car.finish(1, "PowerLoss" if n == 3 else "EVDisconnected")
        await site.fleet_idle("CP003")
    async with site.console("Transactions") as look:
        await look.lists("CP003")
        await paged(look, "G", lambda: sum("CP003" in row for row in look.rows) == 8)
        await look.press("f")
        await look.until(lambda: len([row for row in look.rows if "CP003" in row]) == 1, "the odd one")
        await look.lists("the charger lost power")


# --- queue --------------------------------------------------------------------------------------------


def parked(look: Looking) -> int:
    """Of RAW1, in the picture."""
    assert look.app.snapshot is not None
    return sum(one.parked for one in look.app.snapshot.queue.chargers if one.charger == "RAW1")


async def test_what_the_cloud_refused_is_read_and_sent_again(site: ListsSite):
    async with charger(site.gateway, "RAW1") as raw:
        await site.cloud.cut()
        start = {"connectorId": 1, "idTag": CARD, "meterStart": 0, "timestamp": NOW}
        for n in range(2):
            begun = await raw.call("StartTransaction", start, f"refused{n}")
            stop = {"transactionId": begun[2]["transactionId"], "meterStop": 1, "timestamp": NOW}
            await raw.call("StopTransaction", stop)
        async with site.console("Queue") as look:
            await look.until(lambda: ["RAW1", "4"] in [row.split()[:2] for row in look.rows], "four wait")
            await look.shows("RUNNING WITHOUT CLOUD")
            site.cloud.refuse("StartTransaction", "FormationViolation")
            await site.cloud.restore()
            await look.lists("refused by the cloud")
            await look.shows("2 messages the cloud refused for good")
            await look.until(lambda: "RAW1" in look.rows[0], "nothing else waits")
            await look.press("g", "enter")
            await look.lists("PARKED refused 3 times: FormationViolation")
            await look.press("f", "g")
            await look.until(lambda: len(look.rows) == 2, "what is parked")
            await look.press("enter")
            await look.shows('"idTag": "****')
            assert CARD not in look.text
            await look.press("escape")

            site.cloud.refuse("StartTransaction", times=0)
            await look.press("r")
            await look.shows("Re-send StartTransaction")
            await look.press("y")
            await look.tells("1 message on the way to the cloud again")
            await look.until(lambda: len(look.rows) == 1, "one parked message left")
            await look.until(lambda: parked(look) == 1, "and it is counted")
            await look.press("R")
            await look.shows("Re-send 1 parked message of RAW1?")
            await look.press("y")
            await look.until(lambda: not look.rows, "nothing parked")
            await look.press("f")
            await look.press("r")
            await look.press("escape")
            await look.shows("nothing waits for the cloud")
    found = await asked(site, lambda c: c.queue())
    assert found.parked == 0
