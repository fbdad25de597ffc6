"""One charger, ordered about through the real gateway: actions, settings, bypass, limits; 1.6 and 2.0.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from edgegw.control.client import ControlClient, Refused
from edgegw.sim.charger import SimCharger
from edgegw.sim.cloud import SimCloud
from edgegw.sim.ev import CARS
from edgegw.sim.habits import Habits
from tests.e2e.faults import until as until_soon
from tests.e2e.gateway import GatewayProcess, Gateways

T = TypeVar("T")
WITHIN_S = 90.0  # cars follow, limits are raised step by step
pytestmark = pytest.mark.timeout(600)  # its waits end sooner, and say what did not come
OLD, NEW, OTHER = "CP16", "CP201", "CPX"
TABLES: dict[str, Any] = {
    "balancing": {"profile_lifetime": "10 s", "min_off": "5 s"},
    "circuit": [{"name": "main", "fuse": 50, "margin": 1}],
    "connector": [
        {"charger": OLD, "circuit": "main", "safe": 6},
        {"charger": NEW, "circuit": "main", "safe": 6},
        {"charger": OTHER, "circuit": "main", "safe": 6},
    ],
}
HABITS = Habits(cars=(CARS["three32"],), meter_interval_s=2.0, backoff_min_s=0.2, heartbeat_s=0.0)


async def until(look: Callable[[], Any]) -> None:
    await until_soon(look, WITHIN_S)


@dataclass
class Scene:
    gateway: GatewayProcess
    cloud: SimCloud
    chargers: dict[str, SimCharger]
    client: ControlClient

    async def asks(self, ask: Callable[[ControlClient], T]) -> T:
        """In a thread: the client is a plain one."""
        return await asyncio.to_thread(ask, self.client)

    async def refused(self, ask: Callable[[ControlClient], Any]) -> Refused:
        with pytest.raises(Refused) as caught:
            await self.asks(ask)
        return caught.value

    async def steered(self) -> None:
        async def all_are() -> bool:
            power = await self.asks(lambda c: c.power())
            return all(one.control == "steered" for one in power.connectors)

        await until(all_are)

    def offered_a(self, identity: str) -> float:
        return self.chargers[identity].power.offered_a(1)


@asynccontextmanager
async def scene_of(gateways: Gateways) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(SimCloud())
        gateway = await gateways(cloud.url, TABLES)
        chargers = {}
        for identity, version in ((OLD, "1.6"), (NEW, "2.0.1"), (OTHER, "1.6")):
            charger = SimCharger(identity, version, gateway.url, habits=HABITS)
            chargers[identity] = await stack.enter_async_context(charger)
        client = stack.enter_context(ControlClient(gateway.store / "edgegw.sock"))
        scene = Scene(gateway, cloud, chargers, client)
        await scene.steered()
        yield scene


async def test_one_charger_is_looked_at_and_ordered_about(gateways: Gateways):
    """One site for all of it: a gateway, two versions, three cars behind one fuse."""
    async with scene_of(gateways) as scene:
        for identity in (OLD, NEW):
            await settings_are_read_and_set(scene, identity)
            await actions_are_done(scene, identity)
        await a_bypass_has_its_maximum_and_no_more_than_fits(scene)
        await a_limit_of_a_connector_is_obeyed(scene)
        for identity in (OLD, NEW):
            await it_is_reset_only_by_force_while_it_charges(scene, identity)
        assert not [call for call in scene.cloud.received if call.action == "NotifyReport"]


async def settings_are_read_and_set(scene: Scene, identity: str) -> None:
    found = await scene.asks(lambda c: c.settings(identity))
    assert found.complete
    by_name = {one.name: one for one in found.settings}
    name = "OCPPCommCtrlr.HeartbeatInterval" if identity == NEW else "HeartbeatInterval"
    assert by_name[name].value == "0"
    assert len(by_name) > 8
    answer = await scene.asks(lambda c: c.set_setting(identity, name, "123"))
    assert answer.status == "Accepted", answer
    (changed,) = (await scene.asks(lambda c: c.settings(identity, "HeartbeatInterval"))).settings
    assert changed.value == "123"
    fault = await scene.refused(lambda c: c.set_setting(identity, name, "wss://elsewhere.example"))
    assert fault.code == "moves_charger"
    missing = "ChargingStation.Nothing" if identity == NEW else "Nothing"
    unknown = await scene.asks(lambda c: c.set_setting(identity, missing, "1"))
    assert unknown.status in ("NotSupported", "UnknownVariable")


async def actions_are_done(scene: Scene, identity: str) -> None:
    charger = scene.chargers[identity]
    assert (await scene.asks(lambda c: c.unlock(identity))).status == "Unlocked"
    assert (await scene.asks(lambda c: c.set_availability(identity, False, 1))).accepted
    await until(lambda: scene.cloud.desk.statuses.get(place(identity)) == "Unavailable")
    assert (await scene.asks(lambda c: c.set_availability(identity, True, 1))).accepted
    await until(lambda: scene.cloud.desk.statuses.get(place(identity)) == "Available")
    assert (await scene.asks(lambda c: c.trigger(identity, "Heartbeat"))).accepted
    assert (await scene.asks(lambda c: c.start(identity, "TAG1"))).accepted
    await until(lambda: charger.session(1) is not None)

    async def runs() -> bool:
        detail = await scene.asks(lambda c: c.detail(identity))
        return bool(detail.charger.transactions)

    await until(runs)
    (transaction,) = (await scene.asks(lambda c: c.detail(identity))).charger.transactions
    assert (await scene.asks(lambda c: c.stop(identity, transaction.id))).accepted
    await until(lambda: charger.session(1) is None)
    again = await scene.asks(lambda c: c.stop(identity, transaction.id))
    assert (again.accepted, again.status) == (False, "Rejected")


def place(identity: str) -> tuple[str, int, int]:
    return (identity, 1, 1) if identity == NEW else (identity, 0, 1)


async def all_charge(scene: Scene) -> None:
    for identity in scene.chargers:
        assert (await scene.asks(lambda c, identity=identity: c.start(identity, "TAG1"))).accepted
    await until(lambda: all(scene.offered_a(name) >= 6 for name in scene.chargers))


async def a_bypass_has_its_maximum_and_no_more_than_fits(scene: Scene) -> None:
    await all_charge(scene)
    (order,) = (await scene.asks(lambda c: c.bypass(NEW, for_s=900))).orders
    assert order.kind == "bypass"
    highest: list[float] = []

    def has_it() -> bool:
        highest.append(sum(scene.offered_a(name) for name in scene.chargers))
        return scene.offered_a(NEW) == 32

    await until(has_it)
    assert max(highest) <= 50, "the others were lower before it was raised"
    fault = await scene.refused(lambda c: c.bypass(OLD))
    assert fault.code == "no_room"
    assert "on the 50 A fuse" in fault.text
    detail = await scene.asks(lambda c: c.detail(NEW))
    assert detail.bypassed_until is not None
    assert "left out of balancing" in detail.power[0].why
    assert {answer.answer for answer in detail.profile_answers} == {"Accepted"}
    assert (await scene.asks(lambda c: c.end_bypass(NEW))).orders == ()
    assert (await scene.asks(lambda c: c.detail(NEW))).bypassed_until is None


async def a_limit_of_a_connector_is_obeyed(scene: Scene) -> None:
    (order,) = (await scene.asks(lambda c: c.limit_connector(NEW, 9, 1, 900))).orders
    assert order.limit_a == 9
    await until(lambda: scene.offered_a(NEW) == 9)
    profile = await scene.asks(lambda c: c.profile(NEW))
    assert (profile.steps[0].limit_a, profile.steps[0].binds) == (9, "an operator limits it to 9 A")
    assert (await scene.asks(lambda c: c.end_connector_limit(NEW))).orders == ()


async def it_is_reset_only_by_force_while_it_charges(scene: Scene, identity: str) -> None:
    fault = await scene.refused(lambda c: c.reset(identity))
    assert fault.code == "busy"
    boots = scene.chargers[identity].memory.boot
    assert (await scene.asks(lambda c: c.reset(identity, "hard", force=True))).accepted
    await until(lambda: scene.chargers[identity].memory.boot > boots)

    async def is_back() -> bool:
        detail = await scene.asks(lambda c: c.detail(identity))
        return detail.charger.connected and (identity == OLD or "Reset" in (detail.boot.reason or ""))

    await until(is_back)
