"""Much at once: a thousand alarms, a flood of messages, streams that break. On a made-up gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from edgegw.control.client import NotReachable
from edgegw.control.frame_models import FrameList, FrameView
from edgegw.control.live_models import LogLine, LogLines
from edgegw.tui import tailing
from edgegw.tui.app import Console
from edgegw.tui.screens.log import LogScreen
from edgegw.tui.screens.messages import MessagesScreen
from edgegw.tui.tailing import KEPT_MAX, Tail
from tests.e2e.faults import until
from tests.tui.lists_site import Looking
from tests.tui.made_up import alarm, alarms, at, snapshot
from tests.tui.made_up_charger import frame
from tests.tui.stage import OnStage, Stage

MANY = 1000


def worst_first(count: int, seen: int = 0) -> Any:
    severities = ("critical", "error", "warning", "info")
    made = [
        alarm(n, severity=severities[n * 4 // count], target=f"CP{n:04}/1", acknowledged=n < seen)
        for n in range(count)
    ]
    return snapshot(alarms=alarms(*made))


async def test_a_thousand_alarms_are_calm():
    stage = Stage([worst_first(MANY)])
    app = Console(OnStage.of(stage))
    async with app.run_test(size=(80, 24)) as pilot:
        look = Looking(app, pilot)
        app.action_go("Alarms")
        await look.until(lambda: len(look.rows) == MANY, "all of them")
        await look.press(*["down"] * 6)
        key = look.list.table.key
        stage.show(worst_first(MANY, seen=5))
        await look.until(lambda: look.rows[0].startswith("v"), "a new picture")
        assert look.list.table.key == key
        await look.press("f")
        assert len(look.rows) == MANY - 5
        assert look.list.table.key == key
        await look.filter("cp0999")
        assert len(look.rows) == 1
        await look.press("escape", "f")

        pictures = [worst_first(MANY, seen=n) for n in range(10)]
        for picture in pictures:
            app.snapshot = picture
            app.screen.redraw()  # type: ignore[attr-defined]
        await look.press("G")
        assert look.list.table.key == f"charger-fault-{MANY - 1}"


async def on_messages(look: Looking) -> MessagesScreen:
    look.app.action_go("Messages")
    screen = look.list
    assert isinstance(screen, MessagesScreen)
    await look.until(lambda: len(look.rows) == 20, "the first page")
    if screen._once_more is not None:
        screen._once_more.stop()  # the same page once more would come in between
    await look.until(lambda: not screen.asks("newest"), "all answers")
    return screen


def feed(screen: MessagesScreen, frames: list[FrameView]) -> None:
    screen.tail._waiting.extend(frames)
    screen.tail.came += len(frames)


async def test_a_flood_of_messages_is_drawn_in_batches_and_bounded(monkeypatch: pytest.MonkeyPatch):
    app = Console(OnStage.of(Stage([snapshot()])))
    async with app.run_test(size=(160, 50)) as pilot:
        look = Looking(app, pilot)
        screen = await on_messages(look)
        drawn: list[int] = []
        show = screen.show
        monkeypatch.setattr(screen, "show", lambda picture: (drawn.append(1), show(picture)))
        number = 100
        for _ in range(20):  # five seconds of 500 each
            feed(screen, [frame(number + n) for n in range(125)])
            number += 125
            screen._flush()
        assert len(drawn) == 20
        assert len(look.rows) == KEPT_MAX == len(screen.held.frames)
        assert look.list.table.key == str(number - 1)
        screen._flush()
        assert len(drawn) == 20, "nothing came, nothing is drawn"

        await look.press("up")
        key = look.list.table.key
        feed(screen, [frame(number + n) for n in range(125)])
        screen._flush()
        assert look.list.table.key == key
        await look.shows("125 newer messages below, G goes there")


async def test_paused_messages_are_counted_and_the_overflow_is_asked_for():
    stage = Stage([snapshot()])
    app = Console(OnStage.of(stage))
    async with app.run_test(size=(80, 24)) as pilot:
        look = Looking(app, pilot)
        screen = await on_messages(look)
        await look.press("space")
        stage.answers["frames"] = lambda *given, **named: FrameList(
            frames=tuple(frame(n) for n in range(4990, 5010)), next_before=4990
        )
        feed(screen, [frame(100 + n) for n in range(4900)])
        await look.shows("4900 messages came meanwhile")
        assert len(look.rows) == 20
        await look.press("space")
        await look.until(lambda: look.rows and look.list.table.rows[-1].key == "5009", "what came since")
        numbers = [one.n for one in screen.held.frames]
        assert numbers == list(range(numbers[0], 5010))


async def test_what_somebody_reads_keeps_its_line_when_older_ones_come_above_it():
    app = Console(OnStage.of(Stage([snapshot()])))
    async with app.run_test(size=(80, 24)) as pilot:
        look = Looking(app, pilot)
        screen = await on_messages(look)
        await look.press("up", "up")
        table, key = screen.table, screen.table.key
        line = table._cursor - table.scroll_offset.y
        screen.held.prepend(FrameList(frames=tuple(frame(n) for n in range(-30, 0)), next_before=None))
        screen.redraw()
        assert table.key == key
        assert table._cursor - table.scroll_offset.y == line
        assert len(look.rows) == 50


async def test_lines_of_two_lives_of_the_gateway_stay_in_order():
    def line(n: int, age_s: float, text: str = "x") -> LogLine:
        return LogLine(n=n, at=at(age_s), level="info", logger="edgegw.gateway", text=text)

    first = LogLines(lines=tuple(line(n, 100 - n) for n in range(5, 30)))
    stage = Stage([snapshot()], {"log": lambda **named: first})
    app = Console(OnStage.of(stage))
    async with app.run_test(size=(80, 24)) as pilot:
        look = Looking(app, pilot)
        app.action_go("Log")
        screen = look.list
        assert isinstance(screen, LogScreen)
        await look.until(lambda: len(look.rows) == 25, "the first page")
        screen.took([line(2, 10), line(3, 9)], False)
        screen.took([line(1, 11), line(2, 10)], False)
        assert [one.n for one in screen._lines.values()][-4:] == [29, 1, 2, 3]
        screen.took([line(n, 8 - n / 1000) for n in range(4, 3 * KEPT_MAX)], True)
        assert len(look.rows) == KEPT_MAX


# --- the stream itself --------------------------------------------------------------------------------


class Live:
    async def __aenter__(self) -> Live:
        return self

    async def __aexit__(self, *_: object) -> None:
        return


async def test_a_stream_that_breaks_is_begun_again_and_keeps_what_came(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tailing, "AGAIN_FIRST_S", 0.001)
    monkeypatch.setattr(tailing, "AGAIN_MAX_S", 0.002)
    attempts: list[int] = []
    closed: list[int] = []

    async def stream(live: Live) -> AsyncIterator[int]:
        number = len(attempts)
        try:
            yield number
            if number in (1, 2):
                raise NotReachable(f"gone {number}")
            await asyncio.Event().wait()
        finally:
            closed.append(number)

    tail: Tail[int] = Tail(lambda: Live(), stream, lambda: attempts.append(1))  # type: ignore[arg-type, return-value]
    task = asyncio.create_task(tail.run())
    await until(lambda: tail.came == 3)
    assert tail.fault == ""
    assert tail.take() == [1, 2, 3]
    assert tail.came == 0
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert closed == [1, 2, 3]


async def test_more_than_can_be_kept_loses_the_oldest_and_says_so():
    async def stream(live: Live) -> AsyncIterator[int]:
        for n in range(KEPT_MAX + 5):
            yield n
        raise NotReachable("gone")

    tail: Tail[int] = Tail(lambda: Live(), stream, lambda: None)  # type: ignore[arg-type, return-value]
    task = asyncio.create_task(tail.run())
    await until(lambda: tail.fault)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert tail.overflowed
    assert tail.fault == "gone"
    assert tail.take()[0] == 5
    assert not tail.overflowed
