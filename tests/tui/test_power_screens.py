"""Site, chargers and one charger as a technician uses them, in front of a real gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from edgegw.control.live_models import ChargerRow
from edgegw.tui.app import READ_ONLY, Console
from edgegw.tui.link import Where
from tests.e2e.power_site import CHARGERS
from tests.tui.lists_site import Looking
from tests.tui.site import ABSENT, STRANGER, PowerHouse, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUSHED_BUILDING_A = 57.0  # leaves 6 A of 63


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PowerHouse]:
    async with running(tmp_path_factory.mktemp("power")) as house:
        assert (await house.site.chargers.command("start CP01 1 TAG three32"))["ok"]
        yield house


def row_of(looking: Looking, identity: str) -> ChargerRow:
    assert looking.app.snapshot is not None
    return next(row for row in looking.app.snapshot.chargers if row.identity == identity)


async def is_so(looking: Looking, identity: str, test: Callable[[ChargerRow], Any], what: str) -> None:
    await looking.until(lambda: test(row_of(looking, identity)), f"{identity}: {what}", within_s=30.0)


# --- site -------------------------------------------------------------------------------------------


async def test_the_site_shows_what_flows_and_that_the_cloud_is_gone(house: PowerHouse) -> None:
    async with house.console() as looking:
        await is_so(looking, "CP01", lambda row: (row.current_a or 0) > 5, "it draws")
        await looking.shows("main: fuse 63 A")
        await looking.shows("Cloud  reached")
        await looking.until(
            lambda: "3" in looking.text.splitlines()[4][-4:] or "┤" in looking.text, "the plot"
        )
        for key, shown in (
            ("t", "last 1 h, A"),
            ("u", "last 1 h, kW"),
            ("t", "last 24 h, kW"),
            ("u", "-24 h"),
        ):
            await looking.press(key)
            await looking.shows(shown)
        await house.site.cloud.command("cut")
        await looking.shows("RUNNING WITHOUT CLOUD since")
        await looking.shows("cars charge on")
        for key in ("2", "1"):  # nobody misses it, wherever he looks
            await looking.press(key)
            assert "RUNNING WITHOUT CLOUD since" in looking.text.splitlines()[0]
        await house.site.cloud.command("restore")
        await looking.until(lambda: "WITHOUT CLOUD" not in looking.text, "the cloud is back", within_s=30.0)


async def test_a_plot_has_the_past_before_the_console_came(house: PowerHouse) -> None:
    async with house.console() as looking:
        site = looking.app.screen_named("Site")
        past = await looking.until(lambda: getattr(site, "_past", None), "what the gateway kept")
        await looking.until(lambda: len(past._points) >= 3, "seconds before the console was there")


# --- chargers ---------------------------------------------------------------------------------------


async def test_from_a_charger_at_6_a_to_the_reason_in_one_key(house: PowerHouse) -> None:
    """Whichever of the three the building's load leaves the 6 A to."""
    await house.site.building(PUSHED_BUILDING_A)
    try:
        async with house.console() as looking:
            held = await looking.until(lambda: _at_6_a(looking), "one at 6 A")
            await looking.press("2")
            await looking.shows("main L")
            line = next(line for line in looking.text.splitlines() if held in line)
            assert "main L" in line, "why, in its line"
            for _ in range(CHARGERS.index(held)):
                await looking.press("down")
            await looking.shows(f"{held}: ")
            below = looking.text.partition(f"{held}: ")[2]
            assert "building 5" in " ".join(below.split()), "the whole reason below the table"
    finally:
        await house.site.building(10.0)


def _at_6_a(looking: Looking) -> str | None:
    rows = looking.app.snapshot.chargers if looking.app.snapshot is not None else ()
    return next((r.identity for r in rows if r.limit_a == 6.0 and "building 5" in r.why), None)


async def test_from_charger_9_does_not_connect_to_the_reason(house: PowerHouse) -> None:
    await house.knock(ABSENT, "ocpp9.9")
    await house.knock(STRANGER)
    async with house.console() as looking:
        await is_so(looking, ABSENT, lambda row: row.handshake, "its last attempt")
        await looking.press("2", "f", "home")
        await looking.shows("no common subprotocol")
        line = next(line for line in looking.text.splitlines() if ABSENT in line)
        assert "no common subprotocol" in line
        assert "offered: ocpp9.9" in " ".join(looking.text.split()), "the whole of it below"
        assert f"knocked, not known here: {STRANGER}" in looking.text
        await looking.press("enter")
        await looking.shows(f"Chargers > {ABSENT}")
        await looking.shows("Refused")
        await looking.press("escape", "end", "enter")
        await looking.until(
            lambda: looking.app.screen is looking.app.screen_named("Commissioning"),
            "where strangers are taken in",
        )


# --- one charger ------------------------------------------------------------------------------------


async def test_every_section_of_a_charger(house: PowerHouse) -> None:
    async with house.console("Chargers") as looking:
        await looking.shows("CP01")
        await looking.press("enter")
        for key, *shown in (
            ("o", "connected since", "Charging", "Clock", "Boot"),
            ("p", "A per phase", "now", "It answered to its limits", "Accepted"),
            ("e", "it has reported nothing"),
            ("t", "charging", "****G"),
            ("c", "r asks the charger"),
            ("w", "no rollout means this charger"),
            ("m", "MeterValues"),
        ):
            await looking.press(key)
            for part in shown:
                if key == "e":
                    break
                await looking.shows(part)
        await looking.press("right")
        await looking.shows("connected since")
        await looking.press("left", "enter")
        await looking.shows("esc closes")
        await looking.press("escape", "escape")
        await looking.until(lambda: looking.app.screen is looking.app.screen_named("Chargers"), "back")


async def test_a_setting_is_found_changed_and_answered(house: PowerHouse) -> None:
    async with house.console("Chargers") as looking:
        await looking.shows("CP01")
        await looking.press("enter", "c", "r")
        await looking.shows("HeartbeatInterval")
        await looking.press("slash", *"meterv", "enter")
        await looking.until(lambda: "HeartbeatInterval" not in looking.text, "only what was searched")
        await looking.press("enter")
        await looking.shows("enter take it")
        await looking.type("7")
        await looking.press("enter")
        await looking.shows("Set MeterValueSampleInterval to '7' on CP01?")
        await looking.press("y")
        await looking.tells("Set MeterValueSampleInterval")
        with house.client() as client:
            found = client.settings("CP01", "MeterValueSampleInterval", fresh=True).settings
        assert [one.value for one in found] == ["7"]
        await looking.press("escape", "slash", *"NumberOf", "enter", "enter")
        await looking.tells("can only be read")


async def order(looking: Looking, action: str, *answers: str) -> None:
    """Through the menu; `answers` are texts for questions, "y" is pressed at the end."""
    await looking.press("a")
    await looking.shows("type a part of the name")
    await looking.press(*action, "enter")
    for text in answers:
        await looking.pilot.pause(0.1)
        await looking.press(*text, "enter")
    await looking.shows("y yes")
    await looking.press("y")


async def test_actions_on_a_charger_of_1_6_and_its_answers_in_words(house: PowerHouse) -> None:
    async with house.console("Chargers") as looking:
        await looking.shows("CP01")
        looking.app.open_charger("CP01")
        await looking.shows("connected since")
        await looking.shows("transaction")
        await order(looking, "Limit", "10")
        await looking.tells("connector 1 at most 10 A")
        await is_so(looking, "CP01", lambda row: row.limit_a == 10.0, "10 A")
        await looking.shows("has at most 10 A")
        await order(looking, "its limit")
        await looking.tells("nothing special holds")
        await looking.press("a", *"bypass", "escape")
        await order(looking, "Leave out")
        await looking.tells("connector 1 left out")
        await is_so(looking, "CP01", lambda row: row.control == "bypassed", "left out")
        await looking.shows("left out of balancing")
        await order(looking, "End leaving")
        await is_so(looking, "CP01", lambda row: row.control == "steered", "balanced again")
        await looking.press("a", *"Reset, hard", "enter")
        await looking.shows("SOMEBODY CHARGES")
        await looking.press("n")
        await looking.press("a", *"diagnostics", "enter")
        await looking.press("y")
        await looking.tells("[files]")


async def test_start_stop_and_the_rest_on_a_charger_of_2_0_1(house: PowerHouse) -> None:
    async with house.console("Chargers") as looking:
        await looking.shows("CP02")
        looking.app.open_charger("CP02")
        await looking.shows("connected since")
        await looking.press("a", *"Trigger", "enter")
        await looking.shows("Which message?")
        await looking.press(*"Heartbeat", "enter")
        await looking.tells("Trigger Heartbeat (CP02)")
        await order(looking, "Unlock")
        await looking.tells("Unlock connector 1 (CP02)")
        await order(looking, "out of service")
        await is_so(looking, "CP02", lambda row: row.status == "Unavailable", "out of service")
        await order(looking, "into service")
        await is_so(looking, "CP02", lambda row: row.status == "Available", "back in service")
        await order(looking, "Start", "TAG")
        await looking.tells("Start charging on connector 1 (CP02)")
        await order(looking, "Reset, soft")
        await looking.tells("Soft reset (CP02)")


async def test_a_transaction_is_stopped_from_the_console(house: PowerHouse) -> None:
    async with house.console("Chargers") as looking:
        looking.app.open_charger("CP01")
        await looking.shows("transaction")
        await order(looking, "Stop")
        await is_so(looking, "CP01", lambda row: row.transactions == 0, "nobody charges")
        await looking.press("a", *"Stop", "enter")
        await looking.tells("nobody charges there")
        assert (await house.site.chargers.command("start CP01 1 TAG three32"))["ok"], "as it was found"
        await is_so(looking, "CP01", lambda row: row.transactions == 1, "charges again")


async def test_who_only_looks_orders_nothing(house: PowerHouse) -> None:
    async with house.console("Chargers", operator=False) as looking:
        await looking.shows("read-only")
        await looking.shows("CP01")
        await looking.press("enter", "a")
        await looking.tells(READ_ONLY)
        await looking.press("w", "d")
        assert len(looking.app.screen_stack) == 3, "no question was put"


# --- the gateway goes and comes ---------------------------------------------------------------------


# The HTTP library leaves the socket of a refused connect to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_gateway_that_is_not_there_and_one_that_restarts(house: PowerHouse) -> None:
    gateway = house.site.gateway
    async with house.console("Chargers") as looking:
        await gateway.terminate()
        await looking.shows("NO GATEWAY for")
        assert "CP01" in looking.text, "the last picture stays"
        late = Console(Where(socket=house.socket))
        async with late.run_test(size=(80, 24)) as pilot:
            waiting = Looking(late, pilot)
            await waiting.shows("NO GATEWAY for")
            await waiting.press("2")
            await gateway.start()
            await waiting.until(lambda: late.snapshot is not None, "it came up while the console waited")
        await looking.tells("the gateway is back")
        await is_so(looking, "CP01", lambda row: row.connected, "connected again")
