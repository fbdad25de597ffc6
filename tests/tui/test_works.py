"""Alarms, firmware, log and commissioning against the real gateway; and what happens when it goes away."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from edgegw.tui.adding import QUESTIONS
from edgegw.tui.screens.messages import MessagesScreen
from edgegw.tui.screens.walk import WalkScreen
from tests.e2e.children import DEADLINE_S
from tests.e2e.faults import RawCharger, charger, knock
from tests.e2e.file_site import expected_log
from tests.tui.lists_site import NARROW, ListsSite, Looking, running, status

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


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
        await look.until(lambda: look.rows and "console" in look.rows[0], "by whom")
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
        await look.until(
            lambda: all(row.startswith("v") for row in look.rows if "RAW2" in row), "all of them seen"
        )
        await look.filter("raw2/1")
        await look.press("g", "enter")
        await look.until(lambda: type(look.app.screen).__name__ == "ChargerScreen", "its charger")
        for connector in (1, 2):
            await raw.call("StatusNotification", status(connector))


# --- one charger --------------------------------------------------------------------------------------


def asked_for_settings(raw: RawCharger) -> list[list[Any]]:
    return [frame for frame in raw.frames if frame[0] == 2 and frame[2] == "GetConfiguration"]


async def test_who_leaves_while_a_charger_is_asked_waits_for_the_same_answer(site: ListsSite):
    async with charger(site.gateway, "RAW1", answers=False) as raw, site.console("Chargers") as look:
        look.app.open_charger("RAW1")
        await look.shows("connected since")
        await look.press("c", "r", "r")
        await look.shows("asking the charger ...")
        question = await raw.seen(lambda frame: frame[0] == 2 and frame[2] == "GetConfiguration")
        await look.press("o")
        await look.shows("connected since")  # it is of use meanwhile
        await look.press("escape")
        await look.until(lambda: not waits_for_settings(look), "nobody waits any more")
        look.app.open_charger("RAW1")
        await look.shows("connected since")
        await look.press("c")
        await look.shows("asking the charger ...")
        await raw.send(json.dumps([3, question[1], {"configurationKey": [KEY]}]))
        await look.shows("LightIntensity")
        assert len(asked_for_settings(raw)) == 1, "one question, however often somebody looks"
        async with site.console("Chargers", operator=False) as looker:
            looker.app.open_charger("RAW1")
            await looker.shows("connected since")
            await looker.press("c")
            await looker.shows("LightIntensity")
            assert len(asked_for_settings(raw)) == 1, "who only looks asks no charger"


KEY = {"key": "LightIntensity", "readonly": False, "value": "40"}


def waits_for_settings(look: Looking) -> bool:
    return any(worker.group == "Config" and not worker.is_finished for worker in look.app.workers)


async def test_diagnostics_from_the_order_to_the_file(site: ListsSite, tmp_path: Path):
    """What the charger uploaded, to the last byte, in a file beside the console."""
    target = tmp_path / "log.txt"
    async with site.console("Chargers") as look:
        look.app.open_charger("CP001")
        await look.shows("connected since")
        await look.press("w", "d")
        await look.shows("y yes")
        await look.press("y")
        await look.tells("diagnostics")
        await look.until(lambda: " kept " in look.text, "it is here")
        await look.press("enter")
        await look.answer("Save as", str(target))
        await look.tells("saved: ")
    with site.client() as client:
        (upload,) = [one for one in client.uploads().uploads if one.charger == "CP001"]
    assert target.read_bytes() == expected_log(site.fleet, "CP001", upload.file_name)


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
        for (question, _), answer in zip(QUESTIONS, (str(path), "*", "*", made.version), strict=True):
            await look.answer(question, answer)
        await look.lists("fw-9.1.bin")
        await look.filter("fw-9.1")
        await look.press("g", "n")
        await look.answer("how many chargers at once?", "many")
        await look.answer("a number from 1 to 1000", "2")
        await look.answer("which time of the day?", "noon")
        await look.answer("or nothing", "")
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
        await look.until(
            lambda: any("ended" in row for row in look.rows) and all("fw-9.1" in row for row in look.rows),
            "the end of it",
        )


# --- log ----------------------------------------------------------------------------------------------


def admitted(look: Looking) -> int:
    """How often RAW2, in the lines that are shown."""
    return sum("RAW2: admitted" in row for row in look.rows)


async def test_the_log_by_level_and_in_full(site: ListsSite):
    async with site.console("Log") as look:
        await look.lists("CP001")
        before = admitted(look)
        async with charger(site.gateway, "RAW2"):
            await look.until(lambda: admitted(look) > before, "live")
        await look.filter("admitted")
        await look.press("G", "enter")
        await look.shows("edgegw.gateway")
        await look.press("escape", "escape")
        await look.press("l")
        await look.shows("warning and worse")
        await look.until(lambda: not any(" info " in row for row in look.rows), "warnings only")
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
        await look.press("g")
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
        await look.answer("Who does it?", "Anna")
        await look.shows("Commissioning > CP002 connector 1")
        await look.shows("> A car charges")
        await look.shows("please plug in a car")
        await look.press("escape")
        await look.shows("CP002 connector 1: under way")
        await look.press("w")
        await look.shows("> A car charges")
        await look.press("s")
        await look.answer("Skip this step: why?", "")
        await look.answer("a reason is needed", "no car here")
        await look.shows("- A car charges")
        await look.shows("! incomplete")
        await look.shows("not everything could be tested: a car charges, the limit is followed")
        await look.shows("w writes the report")
        for file in (target.with_suffix(".txt"), target.with_suffix(".json")):
            await look.press("w")
            await look.answer("Write the report", str(file))
            if file.suffix == ".txt":
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
        await look.answer("Which charger?", "NEW-2")
        await look.answer("which connector?", "0")
        await look.answer("a number from 1 on", "1")
        for question, wrong, complaint, right in (
            ("wired to which phases?", "L1 L1", "in the order of the terminals", "l2,l3 L1"),
            ("how many amps at most?", "nan", "a number from 6 on", "16"),
            ("how many amps are safe?", "17", "0, or a number from 6 to 16", "0"),
        ):
            await look.answer(question, wrong)
            await look.answer(complaint, right)
        await look.answer("Who does it?", "Anna")
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
