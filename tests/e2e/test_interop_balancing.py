"""Strict chargers and a strict cloud on ocpp-rpc around a balancing gateway with a modbus-serial meter.

Every message the box makes up itself (capabilities, standing and live limits, its answers about profiles,
its notices to the cloud) goes past validators that are not ours; a test fails when one of them objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.children import DEADLINE_S, Children
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.e2e.interop import V16, VERSIONS
from tests.interop.peers import Peers
from tests.meters.counterparts import node_meter


async def eventually(ask: Callable[[], Any], what: str) -> Any:
    """The first true answer of `ask`. Raises AssertionError."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE_S
    while not (found := await ask()):
        assert loop.time() < deadline, f"never: {what}"
        await asyncio.sleep(0.2)
    return found


def tables(meter: str, charger: str) -> dict[str, Any]:
    return {
        "meter": [{"name": "grid", "template": "eastron_sdm630", "address": meter, "frozen_after": "1 h"}],
        "circuit": [{"name": "main", "fuse": 63, "meter": "grid", "reserve": 20}],
        "connector": [{"charger": charger, "circuit": "main"}],
    }


async def connector(gateway: GatewayProcess) -> dict[str, Any]:
    (only,) = (await gateway.command("power"))["connectors"]
    return dict(only)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_strict_charger_is_steered_and_a_strict_cloud_is_answered(
    version: str, gateways: Gateways, peers: Peers, children: Children
) -> None:
    meter = await node_meter(children)
    identity = f"CP-{version}"
    await meter.fill_meter("eastron_sdm630", 1)
    cloud = await peers.cloud()
    gateway = await gateways(cloud.url, tables(f"tcp://127.0.0.1:{meter.port}", identity))
    charger = await peers.charger(gateway.url, identity, version)
    await charger.connect()
    assert (await charger.do("boot"))["status"] == "Accepted"

    async def steered() -> bool:
        return (await connector(gateway))["control"] == "steered"

    await eventually(steered, "the standing safe limit is accepted")
    power = await gateway.command("power")
    assert power["meters"][0]["trouble"] == ""
    assert power["circuits"][0]["measured_a"][0] is not None

    limit = profile(version, 10.0)
    assert (await cloud.call(identity, "SetChargingProfile", limit))["status"] == "Accepted"
    assert (await connector(gateway))["cloud_a"] == 10.0
    asked = {"connectorId": 1} if version == V16 else {"evseId": 1}
    found = await cloud.call(identity, "GetCompositeSchedule", {**asked, "duration": 60})
    assert found["status"] == "Accepted"
    everything = {} if version == V16 else {"chargingProfileCriteria": {"stackLevel": 0}}
    assert (await cloud.call(identity, "ClearChargingProfile", everything))["status"] == "Accepted"
    assert (await connector(gateway))["cloud_a"] is None
    peers.assert_content()


def profile(version: str, limit_a: float) -> dict[str, Any]:
    schedule: dict[str, Any] = {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}],
        "startSchedule": "2026-01-01T00:00:00Z",
    }
    common = {"stackLevel": 0, "chargingProfileKind": "Absolute"}
    if version == V16:
        purpose = {"chargingProfilePurpose": "ChargePointMaxProfile", "chargingProfileId": 3}
        return {"connectorId": 0, "csChargingProfiles": {**common, **purpose, "chargingSchedule": schedule}}
    purpose = {"chargingProfilePurpose": "ChargingStationMaxProfile", "id": 3}
    return {
        "evseId": 0,
        "chargingProfile": {**common, **purpose, "chargingSchedule": [{"id": 1, **schedule}]},
    }
