"""A gateway without a cloud is the CSMS: strict chargers on ocpp-rpc, and one on the `ocpp` package.

The strict chargers validate every answer; a test fails at its end when one of them would not take it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edgegw.core.routing import FROM_CHARGER, Down, from_charger
from edgegw.wire.versions import Version
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.e2e.interop import TAG, V16, V21, VERSIONS, charge
from tests.e2e.test_interop_ocpp import EVENTS_21, TOKEN, UP_201
from tests.interop import specimen
from tests.interop.package import package_charger
from tests.interop.peers import Charger, CommandFailed, Peers

SETTINGS = {
    "authorization": {"unknown_tags": "refuse"},
    "authorization.tags": {TAG: "Accepted", "STOLEN": "Blocked", TOKEN["idToken"]: "Accepted"},
}


async def _live(charger: Charger, version: str) -> None:
    assert await charger.connect() == version
    boot = await charger.do("boot")
    assert boot["status"] == "Accepted"
    await charger.do("status")
    assert await charger.do("authorize", tag=TAG) == "Accepted"
    assert await charger.do("authorize", tag="STOLEN") == "Blocked"
    assert await charger.do("authorize", tag="NEVER-SEEN") in ("Invalid", "Unknown")
    assert "currentTime" in await charger.call("Heartbeat", {})
    await charge(charger)
    await charger.do("start", connector=2, tag=TAG)
    await charger.do("meter", connector=2)


async def _live_on_the_package(gateway: GatewayProcess, identity: str) -> None:
    async with package_charger(gateway.url, identity, V21, {}) as charger:
        said = {action: await charger.ask(action, payload) for action, payload, _ in UP_201}
        assert said["BootNotification"]["status"] == "Accepted"
        assert said["Authorize"]["idTokenInfo"]["status"] == "Accepted"
        answers = [await charger.ask("TransactionEvent", payload) for payload in EVENTS_21]
        assert [bool(answer) for answer in answers] == [True, False, False]  # only the first names a token


async def test_chargers_of_every_version_live_on_the_box_alone(gateways: Gateways, peers: Peers) -> None:
    gateway = await gateways(settings=SETTINGS)
    async with asyncio.TaskGroup() as group:
        group.create_task(_live_on_the_package(gateway, "PACKAGE"))
        for version in VERSIONS:
            charger = await peers.charger(gateway.url, f"CP-{version}", version)
            group.create_task(_live(charger, version))

    kept = (await gateway.command("transactions"))["transactions"]
    for version in VERSIONS:
        running, ended = [one for one in kept if one["charger"] == f"CP-{version}"]
        assert (ended["running"], running["running"]) == (False, True)
        assert (ended["meter_start_wh"], ended["meter_stop_wh"], ended["energy_wh"]) == (1000, 1501, 501)
        assert (running["meter_start_wh"], running["meter_last_wh"]) == (2000, 2250)
        assert ended["stop_reason"] == "Local"
        assert not ended["offline"]
        assert (running["connector"] if version == V16 else running["evse"]) == 2
    assert [one["id"] for one in kept if one["charger"] == "PACKAGE"] == ["tx-1"]

    # and all of it is still there after a kill -9, but for the last reading of those that run
    await gateway.restart()
    again = (await gateway.command("transactions"))["transactions"]
    assert [_durable(one) for one in again] == [_durable(one) for one in kept]


def _durable(transaction: dict[str, Any]) -> dict[str, Any]:
    """The record without what is written at the end only; the messages themselves are in the store."""
    until_it_ends = ("meter_last_wh", "energy_wh") if transaction["running"] else ()
    return {name: value for name, value in transaction.items() if name not in until_it_ends}


@pytest.fixture
def actions() -> list[str]:
    return sorted(FROM_CHARGER)


async def test_every_answer_the_box_gives_fits_its_schema(
    actions: list[str], gateways: Gateways, peers: Peers
) -> None:
    """The smallest request of every action a charger may send."""
    gateway = await gateways(settings=SETTINGS)
    asked: dict[str, list[str]] = {}
    async with asyncio.TaskGroup() as group:
        for version in VERSIONS:
            charger = await peers.charger(gateway.url, f"CP-{version}", version)
            requests = {action: specimen.request(version, action) for action in actions}
            known = {action: payload for action, payload in requests.items() if payload is not None}
            asked[version] = list(known)
            group.create_task(_ask_all(charger, version, known))
    assert [len(asked[version]) for version in VERSIONS] == [14, 25, 37]


async def _ask_all(charger: Charger, version: str, requests: dict[str, dict[str, Any]]) -> None:
    assert await charger.connect() == version
    await charger.do("boot")
    for action, payload in requests.items():
        if from_charger(Version(version), action).down is Down.REFUSE:
            with pytest.raises(CommandFailed) as refused:
                await charger.call(action, payload)
            assert refused.value.code == "GenericError", action
        else:
            await charger.call(action, payload)
    with pytest.raises(CommandFailed) as refused:
        await charger.call(*_ANOTHERS_ACTION[version])
    assert refused.value.code in ("NotImplemented", "NotSupported")


# what only a CSMS may ask; a strict charger can send it because it has a schema
_ANOTHERS_ACTION = {version: ("ClearCache", {}) for version in VERSIONS}
