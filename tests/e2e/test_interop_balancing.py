"""Strict chargers and a strict cloud on ocpp-rpc around a balancing gateway with a modbus-serial meter.

Every message the box makes up itself (capabilities, standing and live limits, its answers about profiles,
its notices to the cloud) goes past validators that are not ours; a test fails when one of them objects.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.children import Children
from tests.e2e.faults import ask, until
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.e2e.interop import V16, VERSIONS
from tests.interop.peers import Peers
from tests.meters.counterparts import node_meter


def tables(meter: str, charger: str) -> dict[str, Any]:
    return {
        "meter": [{"name": "grid", "template": "eastron_sdm630", "address": meter, "frozen_after": "1 h"}],
        "circuit": [{"name": "main", "fuse": 63, "meter": "grid", "reserve": 20}],
        "connector": [{"charger": charger, "circuit": "main"}],
    }


async def connector(gateway: GatewayProcess) -> dict[str, Any]:
    (only,) = (await ask(gateway, "/v1/power"))["connectors"]
    return dict(only)


async def capped(gateway: GatewayProcess, limit_a: float | None) -> bool:
    """The cloud's limit, as the last decision saw it."""
    return (await connector(gateway))["cloud_a"] == limit_a


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

    async def metered() -> bool:
        power = await ask(gateway, "/v1/power")
        return power["meters"][0]["trouble"] == "" and power["circuits"][0]["measured_a"][0] is not None

    await until(steered)  # the standing safe limit is accepted
    await until(metered)

    limit = profile(version, 10.0)
    assert (await cloud.call(identity, "SetChargingProfile", limit))["status"] == "Accepted"
    await until(lambda: capped(gateway, 10.0))
    asked = {"connectorId": 1} if version == V16 else {"evseId": 1}
    found = await cloud.call(identity, "GetCompositeSchedule", {**asked, "duration": 60})
    assert found["status"] == "Accepted"
    everything = {} if version == V16 else {"chargingProfileCriteria": {"stackLevel": 0}}
    assert (await cloud.call(identity, "ClearChargingProfile", everything))["status"] == "Accepted"
    await until(lambda: capped(gateway, None))
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
