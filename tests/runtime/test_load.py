"""The loop around the decisions: when it decides, and what it survives."""

from __future__ import annotations

import asyncio
from typing import Any

from edgegw.balance.model import Reading
from edgegw.core.effects import Noticed
from edgegw.core.events import Instant
from edgegw.runtime.load import FAILURES_LOGGED_EVERY, LoadLoop

DEADLINE_S = 10.0


class Decisions:
    """`LoadControl` as the loop sees it; counts, and fails when told to."""

    def __init__(self) -> None:
        self.seen: list[int] = []  # readings known at each decision
        self.known = 0
        self.broken = False
        self.changed = asyncio.Event()

    def read(self, meter: str, reading: Reading) -> None:
        self.known += 1

    def decide(self, states: Any, now: Instant) -> tuple[list[Any], list[Noticed]]:
        if self.broken:
            raise RuntimeError("a bug")
        self.seen.append(self.known)
        self.changed.set()
        return [], []


def loop_of(decisions: Decisions, notices: list[Noticed]) -> LoadLoop:
    return LoadLoop(decisions, {}, notices.append, lambda ops: None, ("grid", "garage"))  # type: ignore[arg-type]


def reading() -> Reading:
    return Reading(at=0.0, current_a=(1.0, 1.0, 1.0))


async def until_known(decisions: Decisions, readings: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while decisions.seen[-1] < readings:
            decisions.changed.clear()
            await decisions.changed.wait()


async def test_two_meters_that_answer_together_are_one_decision_and_none_is_forgotten():
    decisions = Decisions()
    loop = loop_of(decisions, [])
    loop.step()
    steps = len(decisions.seen)
    loop.on_reading("grid", reading())  # just behind a decision
    loop.on_reading("garage", reading())
    assert len(decisions.seen) == steps
    await until_known(decisions, 2)
    assert len(decisions.seen) == steps + 1
    loop.stop()


async def test_without_any_reading_it_decides_all_the_same():
    decisions = Decisions()
    loop = loop_of(decisions, [])
    loop.start()
    async with asyncio.timeout(DEADLINE_S):
        while len(decisions.seen) < 2:
            decisions.changed.clear()
            await decisions.changed.wait()
    loop.stop()


async def test_a_bug_in_a_decision_is_logged_once_a_minute_and_stops_nothing(caplog: Any):
    decisions = Decisions()
    loop = loop_of(decisions, [])
    decisions.broken = True
    for _ in range(FAILURES_LOGGED_EVERY):
        loop.step()
    assert caplog.text.count("bug while balancing") == 1
    decisions.broken = False
    loop.step()
    assert loop.failures == FAILURES_LOGGED_EVERY
    assert decisions.seen
    loop.stop()


async def test_trouble_of_a_meter_is_told_and_ends():
    notices: list[Noticed] = []
    loop = loop_of(Decisions(), notices)
    loop.on_trouble("grid", "meter_no_answer", "no answer within 0.7 s")
    assert loop.meters["grid"].trouble == "no answer within 0.7 s"
    loop.on_trouble("grid", "meter_ok", "answers again")
    assert loop.meters["grid"].trouble == ""
    assert [(notice.kind, notice.warning) for notice in notices] == [
        ("meter_no_answer", True),
        ("meter_ok", False),
    ]
