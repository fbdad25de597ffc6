"""Who watches decides nothing, and breaks nothing."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgegw.core.effects import Noticed
from edgegw.runtime.watchers import Watchers
from tests.control.house import House
from tests.runtime.test_load import Decisions, loop_of


def breaks(_: object) -> None:
    raise RuntimeError("a bug in a watcher")


def test_one_that_breaks_silences_nobody_and_is_logged_once(caplog: pytest.LogCaptureFixture):
    heard: list[int] = []
    watchers: Watchers[int] = Watchers()
    watchers += [breaks, heard.append]
    with caplog.at_level(logging.ERROR):
        for fact in range(5):
            watchers.tell(fact)
    assert heard == [0, 1, 2, 3, 4]
    assert watchers.bugs == 5
    assert len(caplog.records) == 1


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, known=frozenset({"CP-1"}))
    await house.start()
    yield house
    await house.stop()


async def test_a_charger_is_answered_and_its_transaction_kept_whoever_watches(house: House):
    house.gateway.transaction_listeners.append(breaks)
    house.gateway.notice_listeners.append(breaks)
    wire = await house.boots("CP-1")
    house.cloud.goes_down()
    transaction_id = await house.starts(wire)
    await house.stops(wire, transaction_id)
    await house.all_is_stored()
    assert house.gateway.transaction_listeners.bugs >= 2
    kept = await house.journal.transactions(charger="CP-1")
    assert [record.running for _, record in kept] == [False]


def test_limits_reach_the_chargers_before_anybody_hears_of_them():
    order: list[str] = []

    class Told(Decisions):
        def decide(self, states: Any, now: Any) -> tuple[list[Any], list[Noticed]]:
            super().decide(states, now)
            return [("CP-1", "granted")], [Noticed("over_limit", "too much")]

    class Session:
        class charger:
            state = None

        def handle(self, event: object) -> None:
            order.append(str(event))

    loop = loop_of(Told(), [])
    loop._sessions = {"CP-1": Session()}  # type: ignore[dict-item]
    loop._noticed = lambda notice: order.append(notice.kind)
    loop.step()
    assert order == ["granted", "over_limit"]
