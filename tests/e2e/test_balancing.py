"""The real gateway between a Modbus meter and cars that really draw: what flows stays under the fuse.

Rules of this file:
- The amps are the simulated site's own, never what the gateway believes.
- Deadlines are the promised ones: 15 s, or the charger's own expiry (profile_lifetime is 10 s here).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.e2e.faults import ask
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.e2e.power_site import FUSE_A, LIFETIME_S, RESERVE_A, SAFE_A, SOON_S, Site, running_site


@pytest.fixture
async def site(gateways: Gateways) -> AsyncIterator[Site]:
    async with running_site(gateways) as running:
        yield running


async def test_the_building_rises_and_the_cars_give_way(site: Site) -> None:
    await site.all_charge()
    await site.building(35.0)

    async def under() -> bool:
        return max(await site.flows()) <= FUSE_A

    await site.until(under, SOON_S, "the sum is under the fuse again")
    line = await _status_line(site.gateway, "CP01")
    assert line.startswith("CP01: charging: 1 transaction; connector 1 at ")
    assert "main L" in line
    assert "63 A fuse" in line
    await site.building(5.0)

    async def more() -> bool:
        return min(await site.cars()) > 40.0

    await site.until(more, 60.0, "the cars get what the building leaves")


async def _status_line(gateway: GatewayProcess, charger: str) -> str:
    words = [sys.executable, "-m", "edgegw", "status", charger, "--config", str(gateway.config)]
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    (line,) = out.decode().splitlines()
    return line


async def test_the_meter_is_unplugged(site: Site) -> None:
    await site.all_charge()
    await site.chargers.command("meter cut")
    await site.building(RESERVE_A)  # nobody sees it

    async def under() -> bool:
        return max(await site.flows()) <= FUSE_A

    await site.until(under, SOON_S, "the cars leave the reserve to the building")
    power = await site.gateway.command("power")
    assert power["circuits"][0]["stale"]
    assert "main" in " ".join(power["alarms"])
    await site.chargers.command("meter restore")
    await site.building(10.0)

    async def more() -> bool:
        return min(await site.cars()) > FUSE_A - RESERVE_A + 10

    await site.until(more, 90.0, "the meter is believed again")


async def test_the_gateway_is_killed_at_full_load(site: Site) -> None:
    await site.all_charge()
    await site.gateway.kill()
    await site.building(RESERVE_A)

    async def safe() -> bool:
        offers = await site.offers()
        return all(amps <= SAFE_A for amps in offers.values()) and max(await site.flows()) <= FUSE_A

    await site.until(safe, LIFETIME_S + 5, "every charger fell back to its own safe limit")
    await site.gateway.start()

    async def steered() -> bool:
        found = (await ask(site.gateway, "/v1/power"))["connectors"]
        return all(one["control"] == "steered" and one["accepted_a"] is not None for one in found)

    await site.until(steered, 60.0, "the gateway steers again")
    assert max(await site.flows()) <= FUSE_A


async def test_fault_74_the_gateway_stalls_and_goes_on(site: Site) -> None:
    await site.all_charge()
    os.kill(site.gateway.pid, signal.SIGSTOP)
    try:
        await site.building(RESERVE_A)

        async def safe() -> bool:
            return max((await site.offers()).values()) <= SAFE_A and max(await site.flows()) <= FUSE_A

        await site.until(safe, LIFETIME_S + 5, "every charger fell back to its own safe limit")
    finally:
        os.kill(site.gateway.pid, signal.SIGCONT)
    await site.building(10.0)

    async def more() -> bool:
        return FUSE_A - 15 < min(await site.flows()) <= max(await site.flows()) <= FUSE_A

    await site.until(more, 90.0, "it steers again, and nothing was exceeded")


async def test_a_charger_that_does_not_obey_is_counted_with_its_maximum(site: Site) -> None:
    await site.all_charge()
    assert (await site.chargers.command("habit CP03 disobeys on"))["ok"]

    async def found() -> bool:
        power = await ask(site.gateway, "/v1/power")
        return {c["charger"]: c["control"] for c in power["connectors"]}["CP03"] == "disobeys"

    await site.until(found, 90.0, "it is found out")

    async def under() -> bool:
        return max(await site.flows()) <= FUSE_A

    await site.until(under, SOON_S, "the others make room for all it can take")
    assert "not steered" in await _status_line(site.gateway, "CP03")


async def test_the_lower_of_cloud_and_site_holds(site: Site) -> None:
    await site.all_charge()
    told = await site.asks("CP01", "SetChargingProfile", _maximum_16(8.0))
    assert told == {"status": "Accepted"}
    assert (await site.offers())["CP01/1"] <= 8.0, "Accepted means that the charger has it"

    async def eight() -> bool:
        return (await site.offers())["CP01/1"] == 8.0

    await site.until(eight, 30.0, "the lower limit, the cloud's, is the charger's")
    found = await site.asks("CP01", "GetCompositeSchedule", {"connectorId": 1, "duration": 60})
    assert found["status"] == "Accepted"
    assert found["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 8.0

    # The cloud clears everything it can think of; what the site set is back, or never went. What the others
    # took meanwhile would be shared out anew after minutes only: one of them leaves.
    assert (await site.chargers.command("stop CP02 1"))["ok"]
    assert (await site.asks("CP01", "ClearChargingProfile", {}))["status"] == "Accepted"

    async def ours() -> bool:
        return 8.0 < (await site.offers())["CP01/1"] <= 32.0

    await site.until(ours, 30.0, "the site's own limit holds alone")
    assert (await site.asks("CP01", "ClearChargingProfile", {}))["status"] == "Unknown"
    assert (await site.offers())["CP01/1"] <= 32.0
    assert max(await site.flows()) <= FUSE_A


def _maximum_16(limit_a: float) -> dict[str, Any]:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}]}
    profile = {
        "chargingProfileId": 4,
        "stackLevel": 0,
        "chargingProfilePurpose": "ChargePointMaxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {**schedule, "startSchedule": "2026-01-01T00:00:00Z"},
    }
    return {"connectorId": 0, "csChargingProfiles": profile}
