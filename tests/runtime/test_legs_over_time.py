"""Legs that come and go while the gateway dials, and a session that starts over: the gateway, its real
store, and wires in memory."""

from __future__ import annotations

import asyncio

import pytest

from edgegw.errors import StoreFault
from edgegw.runtime.ports import DialRequest
from edgegw.runtime.replay_rate import ReplayRate
from tests.control.house import DEADLINE_S, Cloud, House, Wire
from tests.links.house import eventually


class SlowCloud(Cloud):
    """Its answer to a dial can be held back."""

    def __init__(self) -> None:
        super().__init__()
        self.dialling = asyncio.Event()
        self.answer = asyncio.Event()
        self.answer.set()

    async def dial(self, request: DialRequest) -> Wire:
        self.dialling.set()
        await self.answer.wait()
        return await super().dial(request)


@pytest.fixture
async def house(tmp_path):
    it = House(tmp_path)
    it.cloud = SlowCloud()
    await it.start()
    yield it
    await it.stop()


async def test_a_charger_that_came_again_during_the_dial_gets_its_cloud_all_the_same(house):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    session = house.gateway.sessions["CP-1"]
    await eventually(lambda: house.gateway.cloud.error)
    # The cloud is back, but slow: the dial for the first connection is under way ...
    house.cloud.answer.clear()
    house.cloud.dialling.clear()
    house.cloud.up = True
    await asyncio.wait_for(house.cloud.dialling.wait(), DEADLINE_S)
    # ... when the charger leaves and comes again.
    charger.cut()
    await house.connects("CP-1")
    house.cloud.answer.set()
    await eventually(lambda: session.cloud_leg)
    assert session.charger.state.cloud_up


async def test_a_session_starts_over_as_soon_as_the_store_can_be_read_again(house, monkeypatch):
    monkeypatch.setattr("edgegw.runtime.gateway.REBUILD_AGAIN_S", 0.0)
    await house.boots("CP-1")
    await house.all_is_stored()
    session = house.gateway.sessions["CP-1"]
    readable, failures = house.journal.recover, []

    async def unreadable(charger: str | None = None):
        if len(failures) < 3:
            failures.append(charger)
            raise StoreFault("the store cannot be read: disk I/O error")
        return await readable(charger)

    monkeypatch.setattr(house.journal, "recover", unreadable)
    house.gateway.broken(session, RuntimeError("planted"))
    house.cloud.goes_down()
    await eventually(lambda: len(failures) == 3 and "CP-1" not in house.gateway.entrance.at_door)
    charger = await house.connects("CP-1")
    asked = charger.calls("Heartbeat", {})
    assert (await charger.hears())[1] == asked


async def test_a_leg_that_opens_while_the_session_starts_over_is_closed(house, monkeypatch):
    """Its connection was heard by decisions that are void: the new ones would not know that it is there."""
    await house.boots("CP-1")
    await house.all_is_stored()
    session = house.gateway.sessions["CP-1"]
    session.charger_leg.cut()
    late = await house.connects("CP-1")
    house.gateway.broken(session, RuntimeError("planted"))
    assert not late.open
    # Admitted before the failure, open only now.
    late.open = True
    session.charger_leg = late
    await eventually(lambda: not late.open and "CP-1" not in house.gateway.entrance.at_door)
    charger = await house.connects("CP-1")
    assert session.charger.state.charger_up
    asked = charger.calls("Heartbeat", {})
    assert (await house.cloud.wires["CP-1"].hears())[1] == asked


async def test_made_up_identities_have_an_end(house, monkeypatch):
    monkeypatch.setattr("edgegw.runtime.entrance.SESSIONS_MAX", 2)
    house.cloud.goes_down()
    await house.connects("CP-1")
    await house.connects("CP-2")
    with pytest.raises(AssertionError, match="503"):
        await house.connects("CP-3")
    house.gateway.sessions["CP-1"].charger_leg.cut()
    await house.connects("CP-1")


async def test_a_charger_that_flaps_has_one_place_in_the_queue_for_the_cloud():
    granted = []
    rate = ReplayRate(1000.0)

    class Charger:
        def __init__(self, name: str) -> None:
            self.name = name

        def grant(self) -> None:
            granted.append(self.name)

    flapping, calm = Charger("flapping"), Charger("calm")
    for _ in range(5):
        rate.ask(flapping.grant)
    rate.ask(calm.grant)
    await eventually(lambda: "calm" in granted)
    assert granted == ["flapping", "calm"]
    rate.close()
