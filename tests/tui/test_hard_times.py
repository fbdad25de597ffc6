"""Bad input for the screens of site and chargers: hostile texts, a thousand alarms, terminals of no size."""

from __future__ import annotations

from typing import Any

import pytest

from edgegw.control.live_models import Snapshot
from tests.tui import made_up
from tests.tui.lists_site import Looking
from tests.tui.shots import on_stage

NASTY = (
    "\x1b]0;owned\x07\x1b[2J",
    "[red]markup[/] [@click=app.quit]click[/]",
    "充电桩" * 30,
    "e\u0301\u0301\u0301" * 50,
    "\u202egnirts\u202c \u200b\ufeff",
    "x" * 10_000,
    "line\nbreak\ttab\r\x00",
    "\ud800 lone".encode("utf-8", "backslashreplace").decode(),
    "🔌🚗" * 20,
    "",
)


def hostile() -> Snapshot:
    rows = tuple(
        made_up.row(
            number,
            identity=f"{number}{text}",
            **dict.fromkeys(
                ("vendor", "model", "firmware", "version", "status", "error", "why", "verdict"), text
            ),
            handshake=text,
            connected=bool(number % 2),
        )
        for number, text in enumerate(NASTY)
    )
    notices = tuple(made_up.notice(f"n{text}", text, 3.0) for text in NASTY)
    circuits = tuple(made_up.circuit(f"c{n}{text}", limit_source=text) for n, text in enumerate(NASTY))
    alarms = made_up.alarms(*(made_up.alarm(n, id=str(n), text=t, target=t) for n, t in enumerate(NASTY)))
    power = made_up.power().model_copy(update={"circuits": circuits})
    cloud = made_up.cloud("away", error=NASTY[0] + NASTY[5])
    site = {"notices": notices, "handshake_failures": notices, "name": NASTY[0], "cloud": cloud}
    return made_up.snapshot(rows, site=site, power=power, alarms=alarms)


def well(looking: Looking) -> None:
    assert looking.app.bug == ""
    assert not [text for text in looking.said if "bug" in text], looking.said
    assert "\x1b" not in looking.text
    assert "\x07" not in looking.text


async def test_hostile_texts_are_shown_and_do_nothing() -> None:
    async with on_stage(hostile(), size=(120, 40)) as (looking, _):
        well(looking)
        await looking.shows(r"\x1b]0;owned")
        await looking.press("down", "down", "c", "u", "t", "2")
        await looking.until(lambda: r": \x1b]0;owned" in looking.text, "the verdict below the table")
        well(looking)
        for _ in NASTY:
            await looking.press("down")
            well(looking)
        await looking.press("home", "down", "enter")
        await looking.until(lambda: "markup" in looking.text, "the charger with markup for a name")
        for key in "petcrwmo":
            await looking.press(key)
            well(looking)
        await looking.shows("[red]markup[/]")  # told as it is, not obeyed


@pytest.mark.parametrize("keys", [(), ("2",), ("2", "enter", "p", "a")])
async def test_a_terminal_of_no_size_and_back(keys: tuple[str, ...]) -> None:
    async with on_stage(made_up.snapshot()) as (looking, stage):
        await looking.press(*keys)
        for size in ((1, 1), (20, 5), (3, 40), (200, 2), (80, 24)):
            await looking.pilot.resize_terminal(*size)
            stage.show(made_up.snapshot(made_up.many(5, sum(size)), seq=sum(size)))
            await looking.pilot.pause()
            well(looking)
        words = ("main", "CP-0000", "CP001", "What should")
        await looking.until(lambda: any(word in looking.text for word in words), "what was there")


async def test_a_thousand_alarms_leave_room_for_the_rest() -> None:
    many = made_up.alarms(*(made_up.alarm(n, id=str(n)) for n in range(1000)))
    async with on_stage(made_up.snapshot(alarms=many)) as (looking, _):
        await looking.until(lambda: "1000 alarms" in looking.text.splitlines()[0], "how many")
        await looking.shows("and 998 more alarms: key 6")
        await looking.shows("Meter")
        await looking.pilot.resize_terminal(160, 50)
        await looking.shows("more alarms: key 6")
        well(looking)


async def test_nothing_is_balanced_and_there_is_no_charger() -> None:
    nothing: dict[str, Any] = {"balanced": False, "circuits": (), "meters": (), "limits": ()}
    empty = made_up.snapshot((), power=made_up.power(**nothing), site={"handshake_failures": ()})
    async with on_stage(empty) as (looking, stage):
        await looking.shows("no circuits")
        await looking.press("2")
        await looking.shows("no charger has ever connected")
        stage.show(made_up.snapshot(seq=2))
        await looking.shows("CP007")


async def test_the_orders_of_the_table_are_calm() -> None:
    async with on_stage(made_up.snapshot(made_up.many(30, 0))) as (looking, stage):
        await looking.press("2", "s", "s")
        await looking.shows("[by current]")
        before = [line.split()[0] for line in looking.text.splitlines()[3:18]]
        assert before != sorted(before)
        stage.show(made_up.snapshot(made_up.many(31, 9), seq=2))
        await looking.until(
            lambda: looking.app.snapshot is not None and looking.app.snapshot.seq == 2, "the next"
        )
        await looking.pilot.pause()
        assert [line.split()[0] for line in looking.text.splitlines()[3:18]] == before, "all values changed"
        await looking.press("end")
        await looking.shows("CP-0030"), "a new one comes last"
        await looking.press("slash", *"/7", "enter")
        await looking.press("escape")


async def test_a_filter_and_faults_only_say_what_they_hide() -> None:
    async with on_stage(made_up.snapshot()) as (looking, _):
        await looking.press("2", "f")
        await looking.shows("[faults only]")
        await looking.until(lambda: "CP003" in looking.text and "CP001" not in looking.text, "only faults")
        await looking.press("f", "slash", *"no such", "enter")
        await looking.shows("esc takes the filter away")
        await looking.press("escape")
        await looking.shows("CP001")


async def test_a_charger_that_is_gone_from_the_site_says_so() -> None:
    async with on_stage(made_up.snapshot()) as (looking, stage):
        looking.app.open_charger("CP001")
        await looking.shows("Overview")
        stage.show(made_up.snapshot(made_up.STORY[1:], seq=2))
        await looking.shows("not known here (any more)")
        well(looking)
