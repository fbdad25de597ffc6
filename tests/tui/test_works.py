"""Alarms, firmware, log and commissioning against the real gateway; and what happens when it goes away."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from edgegw.tui.screens.messages import MessagesScreen
from edgegw.tui.screens.walk import WalkScreen
from tests.e2e.children import DEADLINE_S
from tests.e2e.faults import charger, knock
from tests.tui.lists_site import NARROW, ListsSite, running, status

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ListsSite]:
    async with running(tmp_path_factory.mktemp("lists")) as made:
        yield made


# --- alarms -------------------------------------------------------------------------------------------


async def test_alarms_are_seen_and_lead_to_their_charger(site: ListsSite):
    async with charger(site.gateway, "RAW2") as raw, site.console("Alarms") as look:
        await raw.call("StatusNotification", status(1, "GroundFailure", "Faulted"))
        await look.lists("RAW2/1")
        await look.filter("raw2/1")
        await look.press("g")
        await look.shows("What to do:")
        await look.press("a")
        await look.until(lambda: look.rows and look.rows[0].startswith("v"), "seen")
        assert "console" in look.rows[0]
        await look.press("a")
        await look.tells("somebody has seen this one already")
        await look.press("f")
        await look.shows("nothing fits the filter")
        await raw.call("StatusNotification", status(2, "OverVoltage", "Faulted"))
        await look.press("f", "escape")
        await look.lists("RAW2/2")
        await look.press("A")
        await look.shows("All alarms")
        await look.press("y")
        await look.until(lambda: all(row.startswith("v") for row in look.rows), "all seen")
        await look.filter("raw2/1")
        await look.press("g", "enter")
        await look.until(lambda: type(look.app.screen).__name__ == "ChargerScreen", "its charger")
        for connector in (1, 2):
            await raw.call("StatusNotification", status(connector))


# --- firmware -----------------------------------------------------------------------------------------


@asynccontextmanager
async def in_use(site: ListsSite, *identities: str) -> AsyncIterator[None]:
    """A rollout leaves them alone and so does not end before somebody ends it."""
    cars = [site.fleet.chargers[identity] for identity in identities]
    for car in cars:
        assert await car.begin(1, "TAG", authorize=False) is not None
        await car.drained(DEADLINE_S)
    yield
    for car in cars:
        car.finish(1, "EVDisconnected")
        await site.fleet_idle(car.identity)


async def test_a_file_is_added_rolled_out_held_and_ended(site: ListsSite):
    path, made = site.firmware("9.1")
    async with in_use(site, "CP003", "CP004"), site.console("Firmware") as look:
        await look.press("a")
        for answer in (str(path), "*", "*", made.version):
            await look.until(lambda: look.app.screen.is_modal, "a question")
            await look.type(answer)
            await look.press("enter")
            await look.pilot.pause()
        await look.lists("fw-9.1.bin")
        await look.filter("fw-9.1")
        await look.press("g", "n")
        await look.shows("how many chargers at once?")
        await look.type("many")
        await look.press("enter")
        await look.shows("a number from 1 to 1000")
        await look.type("2")
        await look.press("enter")
        await look.shows("which time of the day?")
        await look.type("noon")
        await look.press("enter")
        await look.shows("or nothing")
        await look.type("")
        await look.press("enter")
        await look.shows("2 at once, from now on")
        await look.press("y")
        await look.tells("begun")
        row = await look.lists("rollout fw-9.1.bin")
        assert "%" in row
        await look.press("g", "p")
        await look.shows("No further charger gets it")
        await look.press("y")
        await look.lists("paused")
        await look.press("g", "enter")
        await look.shows("Firmware > rollout")
        await look.lists("CP00")
        await look.press("p")
        await look.shows("Also after failures")
        await look.press("y")
        await look.until(lambda: sum("installed" in row for row in look.rows) >= 2, "it goes on", 30.0)
        await look.press("s")
        await look.shows("End the rollout")
        await look.press("y")
        await look.tells("for good")
        await look.press("escape")
        await look.lists("ended")
        assert all("fw-9.1" in row for row in look.rows)


# --- log ----------------------------------------------------------------------------------------------


async def test_the_log_by_level_and_in_full(site: ListsSite):
    async with site.console("Log") as look:
        await look.lists("CP001")
        async with charger(site.gateway, "RAW2"):
            await look.until(
                lambda: "RAW2: admitted" in look.rows[-1] or "RAW2" in "".join(look.rows[-3:]), "live"
            )
        await look.filter("admitted")
        await look.press("G", "enter")
        await look.shows("edgegw.gateway")
        await look.press("escape", "escape")
        await look.press("l")
        await look.shows("warning and worse")
        assert not any(" info " in row for row in look.rows)
        await look.press("l", "l")
        await look.shows("all levels")
        await look.press("space")
        await look.shows("PAUSED")


# --- commissioning ------------------------------------------------------------------------------------


async def test_a_stranger_is_let_in(site: ListsSite):
    target = "/ocpp/NEW-1"
    assert (await knock(site.gateway.port, target))[0] == 404
    async with site.console("Commissioning") as look:
        row = await look.lists("NEW-1")
        assert row.startswith("?")
        await look.shows("Make sure that it is the one in front of you")
        await look.press("a")
        await look.shows("Let NEW-1 in?")
        await look.press("y")
        await look.lists("! accepted NEW-1")
        async with charger(site.gateway, "NEW-1"):
            pass
        await look.filter("new-1")
        await look.press("g", "u")
        await look.shows("turned away from now on")
        await look.press("y")
        await look.until(lambda: not any("accepted NEW-1" in row for row in look.rows), "taken back")


async def test_a_charger_is_walked_through(site: ListsSite, tmp_path: Path):
    target = tmp_path / "report"
    async with site.console("Commissioning") as look:
        await look.lists("wired CP002 1 main")
        await look.filter("wired cp002")
        await look.press("g", "w")
        await look.shows("Who does it?")
        await look.type("Anna")
        await look.press("enter")
        await look.shows("Commissioning > CP002 connector 1")
        await look.shows("> A car charges")
        await look.shows("please plug in a car")
        await look.press("escape")
        await look.shows("CP002 connector 1: under way")
        await look.press("w", "s")
        await look.shows("Skip this step: why?")
        await look.press("enter")
        await look.shows("a reason is needed")
        await look.type("no car here")
        await look.press("enter")
        await look.shows("- A car charges")
        await look.shows("! incomplete")
        await look.shows("not everything could be tested: a car charges, the limit is followed")
        await look.shows("w writes the report")
        for file in (target.with_suffix(".txt"), target.with_suffix(".json")):
            await look.press("w")
            await look.shows("Write the report")
            await look.type(str(file))
            await look.press("enter")
            if not target.with_suffix(".txt").exists():
                await look.tells("saved: ")
        await look.shows("nothing is overwritten")
        await look.press("escape")
    text = target.with_suffix(".txt").read_text()
    assert "no car here" in text
    assert "Anna" in text
    assert json.loads(target.with_suffix(".json").read_text())["charger"] == "CP002"


async def test_a_walk_ends_with_the_console_or_when_it_is_told_to(site: ListsSite):
    async with site.console("Commissioning") as look:
        await look.press("n")  # a charger that nobody has seen yet
        await look.shows("Which charger?")
        await look.type("NEW-2")
        await look.press("enter")
        await look.shows("which connector?")
        await look.type("0")
        await look.press("enter")
        await look.shows("a number from 1 on")
        await look.type("1")
        await look.press("enter")
        for question, wrong, complaint, right in (
            ("wired to which phases?", "L1 L1", "in the order of the terminals", "l2,l3 L1"),
            ("how many amps at most?", "nan", "a number from 6 on", "16"),
            ("how many amps are safe?", "17", "0, or a number from 6 to 16", "0"),
        ):
            await look.shows(question)
            await look.type(wrong)
            await look.press("enter")
            await look.shows(complaint)
            await look.type(right)
            await look.press("enter")
        await look.shows("Who does it?")
        await look.press("enter")
        await look.shows("> The charger is let in")
        walk = look.app.screen
        assert isinstance(walk, WalkScreen)
        plan = walk.run_._plan
        assert (plan.phases, plan.max_a, plan.safe_a) == ("L2 L3 L1", 16.0, 0.0)
        await look.press("x")
        await look.shows("End the commissioning of NEW-2?")
        await look.press("y")
        await look.shows("aborted")
        await look.press("escape")
        await look.shows("NEW-2 connector 1: aborted")
    async with site.console("Commissioning", operator=False) as look:
        await look.press("w")
        await look.tells("only looks")


# --- what goes wrong ----------------------------------------------------------------------------------


async def test_streams_come_back_after_the_gateway(site: ListsSite):
    async with site.console("Messages") as look:
        await look.lists("CP001")
        await site.gateway.terminate()
        await look.shows("NO GATEWAY")
        await look.shows("NOTHING COMES")
        assert look.rows, "what was read stays"
        look.app.action_go("Log")
        await look.shows("NOTHING COMES")
        await site.gateway.start()
        await look.lists("admitted")
        look.app.action_go("Messages")
        await site.fleet.online(site.cloud)
        await look.until(lambda: "NOTHING COMES" not in look.text, "the line is well")
        async with charger(site.gateway, "RAW1", boot=False) as raw:
            await raw.call("Heartbeat", {}, "after-the-break")
            frames = look.list
            assert isinstance(frames, MessagesScreen)
            await look.until(
                lambda: any(one.message_id == "after-the-break" for one in frames.held.frames), "new frames"
            )
        numbers = [one.n for one in frames.held.frames]
        assert numbers == sorted(set(numbers))


async def test_a_terminal_of_any_size(site: ListsSite):
    async with site.console("Messages") as look:
        for screen in ("Messages", "Transactions", "Queue", "Alarms", "Firmware", "Log", "Commissioning"):
            look.app.action_go(screen)
            for size in ((20, 5), (1, 1), (300, 80), NARROW):
                await look.pilot.resize_terminal(*size)
            await look.press("G")
        assert look.app.bug == ""
        assert not any("a bug" in text for text in look.said)
        await look.shows("Commissioning")
