"""The loop around the decisions: when it decides, and what it survives."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC
from typing import Any

import msgspec

from edgegw.balance.connector_orders import ConnectorOrders
from edgegw.balance.limits import LimitBook
from edgegw.balance.model import Allocation, Circuit, Reading
from edgegw.balance.tree import Tree
from edgegw.core.effects import Noticed
from edgegw.core.events import Instant
from edgegw.core.records import SaveDocument, StoreOp
from edgegw.runtime.load import FAILURES_LOGGED_EVERY, LoadLoop
from edgegw.runtime.session import CLOUD_BACKLOG_MAX
from tests.control.house import GARAGE, House
from tests.links.house import eventually

DEADLINE_S = 30.0


class Decisions:
    """`LoadControl` as the loop sees it; counts, and fails when told to."""

    def __init__(self) -> None:
        self.limits = LimitBook(Tree([Circuit(name="main", limit_a=63.0)], []), UTC)
        self.connector_orders = ConnectorOrders()
        self.allocation: Allocation | None = None
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
        self.limits.resolve(now.wall)
        return [], []


def loop_of(decisions: Decisions, notices: list[Noticed], kept: list[StoreOp] | None = None) -> LoadLoop:
    def commit(ops: list[StoreOp]) -> asyncio.Future[None]:
        if kept is not None:
            kept.extend(ops)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    return LoadLoop(decisions, {}, notices.append, commit, ("grid", "garage"))  # type: ignore[arg-type]


def limits_in(kept: list[StoreOp]) -> list[dict[str, Any]]:
    """What the newest document holds."""
    document = kept[-1]
    assert isinstance(document, SaveDocument)
    assert document.durable
    assert document.value is not None
    return msgspec.json.decode(document.value)  # type: ignore[no-any-return]


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


async def test_a_bug_in_a_decision_is_an_alarm_until_decisions_work_again():
    decisions, notices = Decisions(), list[Noticed]()
    loop = loop_of(decisions, notices)
    for broken in (True, True, False, False):
        decisions.broken = broken
        loop.step()
    assert [(notice.kind, notice.warning) for notice in notices] == [
        ("balancing_failed", True),
        ("balancing_failed_over", False),
    ]
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


async def test_limits_are_kept_when_they_are_set_expire_or_move_with_the_clock_and_not_otherwise():
    decisions, kept = Decisions(), list[StoreOp]()
    loop, wall = loop_of(decisions, [], kept), time.time()
    loop.step()
    assert kept == []
    decisions.limits.set("bms", now_wall=wall, limit_a=63, expires_at=wall + 600, fallback_a=32)
    loop.limits_changed()
    loop.step()
    assert [len(kept), limits_in(kept)[0]["expires_at"]] == [1, wall + 600]
    decisions.limits.clock_stepped(-3600.0)
    loop.step()
    loop.step()
    assert (len(kept), limits_in(kept)[0]["expired"]) == (2, True)
    decisions.limits.clear("bms")
    loop.limits_changed()
    assert limits_in(kept) == []
    loop.stop()


async def test_a_limit_is_kept_although_decisions_fail():
    decisions, kept = Decisions(), list[StoreOp]()
    loop = loop_of(decisions, [], kept)
    decisions.broken = True
    decisions.limits.set("bms", now_wall=0.0, limit_a=63)
    loop.limits_changed()
    assert len(kept) == 1
    loop.stop()


async def test_a_cloud_that_does_not_wait_for_answers_is_slowed_down(tmp_path):
    """Each profile is a commit of its own, and a limit that must be lowered goes out behind them."""
    house = House(tmp_path, plan=GARAGE)
    await house.start()
    try:
        await house.boots("CP-1")
        await house.all_is_stored()
        cloud, gates = house.cloud.wires["CP-1"], []
        cloud.pause_reading = lambda: gates.append("closed")  # type: ignore[method-assign]
        cloud.resume_reading = lambda: gates.append("open")  # type: ignore[method-assign]
        for limit in range(CLOUD_BACKLOG_MAX):
            cloud.calls("SetChargingProfile", maximum(20.0 + limit))
        assert "closed" in gates
        assert house.gateway.sessions["CP-1"].sequencer.held > CLOUD_BACKLOG_MAX
        await eventually(lambda: gates[-1] == "open")
        answers = [(await cloud.hears())[2] for _ in range(CLOUD_BACKLOG_MAX)]
        assert answers == [{"status": "Accepted"}] * CLOUD_BACKLOG_MAX
    finally:
        await house.stop()


def maximum(limit_a: float) -> dict[str, Any]:
    period = {"startPeriod": 0, "limit": limit_a}
    profile = {
        "chargingProfileId": 4,
        "stackLevel": 0,
        "chargingProfilePurpose": "ChargePointMaxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            "startSchedule": "2026-01-01T00:00:00Z",
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [period],
        },
    }
    return {"connectorId": 0, "csChargingProfiles": profile}
