"""Screens that ask again and again: a gateway that answers slowly is waited for, and the last change is seen.

The made-up gateway answers when the test lets it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from edgegw.control.firmware_models import RolloutList, RolloutView
from edgegw.control.frame_models import FrameList
from edgegw.control.live_models import Snapshot
from edgegw.control.models import ChargerQueue, QueueRows, QueueView
from edgegw.tui.screens import charger as charger_screen
from edgegw.tui.screens import queue_rows, rollout
from edgegw.tui.screens.queue_rows import QueueRowsScreen
from edgegw.tui.screens.rollout import RolloutScreen
from tests.links.house import DEADLINE_S
from tests.tui import made_up
from tests.tui.lists_site import Looking
from tests.tui.made_up_charger import frame, full
from tests.tui.shots import on_stage
from tests.tui.stage import Stage
from tests.tui.test_list_words import message
from tests.tui.test_list_words import rollout as summary


class Slow:
    """An answer that is there when the test says so."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.may = threading.Event()
        self._answer = answer

    def __call__(self, *given: Any, **named: Any) -> Any:
        assert self.may.wait(DEADLINE_S)
        return self._answer(*given, **named)


def asked(stage: Stage, name: str) -> int:
    return sum(one == name for one, _, _ in stage.asked)


async def shown(looking: Looking, stage: Stage, picture: Snapshot) -> None:
    stage.show(picture)
    await looking.until(lambda: looking.app.snapshot is picture, "the next picture")


def busy(step: int) -> Snapshot:
    """The charger says something with each step."""
    row = made_up.row(1, last_seen=made_up.at(1000 - step), verdict=f"charging: {step}")
    return made_up.snapshot((row,), seq=step + 2)


async def test_a_detail_that_takes_longer_than_the_charger_is_quiet_is_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(charger_screen, "NOT_BEFORE_S", 0.0)
    detail = Slow(lambda identity: full(made_up.row(1)))
    stage = Stage([busy(0)], {"detail": detail})
    async with on_stage(stage=stage) as (looking, _):
        looking.app.open_charger("CP001")
        await looking.until(lambda: asked(stage, "detail"), "the question")
        for step in range(1, 4):
            await shown(looking, stage, busy(step))
        assert asked(stage, "detail") == 1, "the first question is answered before the next is put"
        detail.may.set()
        await looking.shows("connected since")


async def test_messages_that_take_longer_than_the_charger_is_quiet_are_shown():
    frames = Slow(lambda *_, **__: FrameList(frames=tuple(frame(n) for n in range(3)), next_before=None))
    stage = Stage([busy(0)], {"frames": frames})
    async with on_stage(stage=stage) as (looking, _):
        looking.app.open_charger("CP001")
        await looking.shows("connected since")
        await looking.press("m")
        await looking.until(lambda: asked(stage, "frames"), "the question")
        for step in range(1, 4):
            await shown(looking, stage, busy(step))
        before = asked(stage, "frames")
        assert before <= 2, "the one when the section came up, and the one for its first line"
        frames.may.set()
        await looking.shows("Heartbeat")


async def test_what_changes_just_after_a_queue_was_asked_for_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(queue_rows, "AGAIN_S", 1.0)
    held = [message(seq=1), message(seq=2, row=2, message_id="m2")]

    def picture(seq: int) -> Snapshot:
        counts = {"stored": 0, "in_flight": 0, "parked": len(held), "oldest_unsent_at": made_up.at(9)}
        one = ChargerQueue(charger="CP001", **counts)
        return made_up.snapshot(queue=QueueView(**counts, chargers=(one,)), seq=seq)

    stage = Stage([picture(1)])
    stage.answers["queue_rows"] = lambda **_: QueueRows(rows=tuple(held), next_before=None)
    async with on_stage(stage=stage) as (looking, _):
        looking.app.push_screen(QueueRowsScreen("CP001"))
        await looking.until(lambda: len(looking.rows) == 2, "both")
        held.pop()
        await shown(looking, stage, picture(2))  # and no other picture follows
        await looking.until(lambda: len(looking.rows) == 1, "the one that is left")


async def test_the_last_change_of_a_rollout_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rollout, "AGAIN_S", 1.0)
    stages = {"CP001": "installing"}

    def picture(seq: int) -> Snapshot:
        over = stages["CP001"] == "installed"
        one = summary(state="ended" if over else "running", counts={stages["CP001"]: 1})
        return made_up.snapshot(rollouts=RolloutList(rollouts=(one,)), seq=seq)

    def whole(_: str) -> RolloutView:
        member = {"charger": "CP001", "stage": stages["CP001"], "down": True, "why": "", "percent": None}
        return RolloutView.model_validate({**summary().model_dump(), "chargers": [member]})

    stage = Stage([picture(1)], {"rollout": whole})
    async with on_stage(stage=stage) as (looking, _):
        looking.app.push_screen(RolloutScreen(summary()))
        await looking.lists("installing")
        stages["CP001"] = "installed"
        await shown(looking, stage, picture(2))  # and no other picture follows
        await looking.lists("installed")


async def test_who_charges_is_not_said_to_be_nobody_before_the_detail_came():
    detail = Slow(lambda identity: full(made_up.row(1)))
    stage = Stage([busy(0)], {"detail": detail})
    async with on_stage(stage=stage) as (looking, _):
        looking.app.open_charger("CP001")
        await looking.shows("asking ...")
        await looking.press("a")
        await looking.shows("type a part of the name")
        await looking.press(*"Stop", "enter")
        await looking.tells("somebody charges there")
        detail.may.set()
        await looking.shows("connected since")
