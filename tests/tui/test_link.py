"""The console's line to the gateway: it says what is wrong, waits, and comes back by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgegw.control.client import NotReachable
from edgegw.control.live_models import Snapshot
from edgegw.tui import link as line
from edgegw.tui.app import Console
from edgegw.tui.bars import top_line
from edgegw.tui.link import Link, LinkState, Where
from tests.links.house import eventually
from tests.tui import made_up
from tests.tui.lists_site import NARROW, Looking


@dataclass
class Lives:
    """What each attempt to connect meets: pictures, then a fault (None: the line stays)."""

    attempts: list[tuple[list[Snapshot], Exception | None]]
    used: int = 0
    between_s: float = 0.0
    shown: list[int] = field(default_factory=list)
    states: list[LinkState] = field(default_factory=list)

    async def __aenter__(self) -> Lives:
        return self

    async def __aexit__(self, *error: object) -> None:
        return

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        pictures, fault = self.attempts[self.used]
        self.used += 1
        for picture in pictures:
            yield picture
            await asyncio.sleep(self.between_s)
        if fault is not None:
            raise fault
        await asyncio.Event().wait()

    def link(self, shown_per_s: float = 1000.0) -> Link:
        lives = self

        class Here(Where):
            __slots__ = ()

            def live(self) -> Any:
                return lives

        return Link(Here(), lambda s: self.shown.append(s.seq), self.states.append, shown_per_s=shown_per_s)


def pictures(*numbers: int) -> list[Snapshot]:
    return [made_up.snapshot().model_copy(update={"seq": number}) for number in numbers]


async def test_a_gateway_that_goes_and_comes_back_is_said_and_followed(monkeypatch: Any) -> None:
    monkeypatch.setattr(line, "AGAIN_FIRST_S", 0.001)
    gone = NotReachable("no gateway answers")
    lives = Lives([([], gone), (pictures(1), gone), ([], gone), (pictures(2, 3), None)])
    link = lives.link()
    running = asyncio.create_task(link.run())
    await eventually(lambda: 3 in lives.shown)
    running.cancel()
    assert [(state.state, state.losses) for state in lives.states] == [
        ("lost", 0),
        ("live", 0),
        ("lost", 1),
        ("live", 1),
    ]
    assert lives.states[0].error == "no gateway answers"
    assert lives.shown == [1, 2, 3]


async def test_pictures_that_come_too_fast_are_left_out_and_the_newest_is_shown() -> None:
    lives = Lives([(pictures(*range(1, 101)), None)], between_s=0.002)
    clock = asyncio.get_running_loop().time
    began = clock()
    running = asyncio.create_task(lives.link(shown_per_s=20.0).run())
    await eventually(lambda: 100 in lives.shown)
    running.cancel()
    assert lives.shown[0] == 1, "somebody waits for the first one"
    assert len(lives.shown) <= (clock() - began) * 20.0 + 2
    assert [state.state for state in lives.states] == ["live"]


async def test_what_waited_to_be_shown_when_the_line_broke_is_shown_and_then_it_is_said() -> None:
    lives = Lives([(pictures(1, 2), NotReachable("gone"))])  # 2 would have waited for 100 s
    link = lives.link(shown_per_s=0.01)
    running = asyncio.create_task(link.run())
    await eventually(lambda: link.state.state == "lost")
    running.cancel()
    assert lives.shown == [1, 2]


# --- what is said of it -----------------------------------------------------------------------------


def told(snapshot: Snapshot | None, state: LinkState, width: int = 80) -> str:
    return top_line(snapshot, state, 1000.0).plain[:width]


LIVE = LinkState("live", 900.0)


def test_the_line_above_says_the_worst_within_80_columns() -> None:
    text = told(made_up.away(), LIVE)
    assert "RUNNING WITHOUT CLOUD since 21:38Z (2h)" in text
    assert "120 messages kept" in text
    assert "x 2 alarms" in text
    degraded = made_up.away().model_copy(
        update={"health": made_up.health(status="degraded", reasons=("the disk is full",))}
    )
    assert told(degraded, LIVE).startswith(" DEGRADED  RUNNING WITHOUT CLOUD since")
    assert "the disk is full" in told(degraded, LIVE, 160)


def test_the_line_above_says_that_there_is_no_gateway_and_how_old_the_picture_is() -> None:
    assert told(None, LinkState("connecting", 999.0)) == " connecting to the gateway ..."
    lost = LinkState("lost", 880.0, "no gateway answers on /run/x.sock")
    assert told(None, lost).startswith(" NO GATEWAY for 2m, trying again: no gateway answers")
    assert "what you see is of 23:40:01Z" in told(made_up.snapshot(), lost, 200)


async def test_without_a_gateway_no_list_says_that_there_is_nothing(tmp_path: Path) -> None:
    app = Console(Where(socket=tmp_path / "nobody.sock"))
    async with app.run_test(size=NARROW) as pilot:
        looking = Looking(app, pilot)
        for screen in ("Queue", "Alarms", "Transactions", "Site"):
            app.action_go(screen)
            await looking.shows("is `edgegw run` running")
            assert "nothing waits" not in looking.text
            assert "all is well" not in looking.text
