"""The real gateway between a Modbus meter and cars that really draw: what flows stays under the fuse.

Rules of this file:
- The amps are the simulated site's own, never what the gateway believes.
- How soon is promised and proved by the simulation of the fuse, on a clock of its own; here it must happen.
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
from tests.e2e.gateway import Gateways
from tests.e2e.power_site import FUSE_A, RESERVE_A, SAFE_A, Site, running_site

pytestmark = pytest.mark.timeout(400)  # its waits end sooner, and say what did not come


@pytest.fixture
async def site(gateways: Gateways) -> AsyncIterator[Site]:
    async with running_site(gateways) as running:
        yield running


async def test_the_building_rises_and_the_cars_give_way(site: Site) -> None:
    await site.all_charge()
    await site.building(35.0)

    async def under() -> bool:
        return max(await site.flows()) <= FUSE_A

    await site.until(under, "the sum is under the fuse again")
    await _says(site, "CP01", "CP01: charging: 1 transaction; connector 1 at ", "main L", "63 A fuse")
    await site.building(5.0)

    async def more() -> bool:
        return min(await site.cars()) > 40.0

    await site.until(more, "the cars get what the building leaves")


async def _says(site: Site, charger: str, *words: str) -> None:
    """Until `edgegw status` says all of that about the charger."""
    command = [sys.executable, "-m", "edgegw", "status", charger, "--config", str(site.gateway.config)]

    async def said() -> bool:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        lines = out.decode().splitlines()  # none while the gateway does not answer in time
        return len(lines) == 1 and all(word in lines[0] for word in words)

    await site.until(said, f"status says {words}")


async def test_the_meter_is_unplugged(site: Site) -> None:
    await site.all_charge()
    await site.chargers.command("meter cut")
    await site.building(RESERVE_A)  # nobody sees it

    async def under() -> bool:
        return max(await site.flows()) <= FUSE_A

    await site.until(under, "the cars leave the reserve to the building")

    async def told() -> bool:
        power = await site.gateway.command("power")
        return power["circuits"][0]["stale"] and "main" in " ".join(power["alarms"])

    await site.until(told, "it is said that nobody reads the meter")
    await site.chargers.command("meter restore")
    await site.building(10.0)

    async def more() -> bool:
        return min(await site.cars()) > FUSE_A - RESERVE_A + 10

    await site.until(more, "the meter is believed again")


async def test_the_gateway_is_killed_at_full_load(site: Site) -> None:
    await site.all_charge()
    await site.gateway.kill()
    await site.building(RESERVE_A)

    async def safe() -> bool:
        offers = await site.offers()
        return all(amps <= SAFE_A for amps in offers.values()) and max(await site.flows()) <= FUSE_A

    await site.until(safe, "every charger fell back to its own safe limit")
    await site.gateway.start()

    async def steered() -> bool:
        found = (await ask(site.gateway, "/v1/power"))["connectors"]
        return all(one["control"] == "steered" and one["accepted_a"] is not None for one in found)

    await site.until(steered, "the gateway steers again")
    assert max(await site.flows()) <= FUSE_A


async def test_fault_74_the_gateway_stalls_and_goes_on(site: Site) -> None:
    await site.all_charge()
    os.kill(site.gateway.pid, signal.SIGSTOP)
    try:
        await site.building(RESERVE_A)

        async def safe() -> bool:
            return max((await site.offers()).values()) <= SAFE_A and max(await site.flows()) <= FUSE_A

        await site.until(safe, "every charger fell back to its own safe limit")
    finally:
        os.kill(site.gateway.pid, signal.SIGCONT)
    await site.building(10.0)

    async def more() -> bool:
        return FUSE_A - 15 < min(await site.flows()) <= max(await site.flows()) <= FUSE_A

    await site.until(more, "it steers again, and nothing was exceeded")


async def test_a_charger_that_does_not_obey_is_counted_with_its_maximum(site: Site) -> None:
    await site.all_charge()
    assert (await site.chargers.command("habit CP03 disobeys on"))["ok"]

    async def found() -> bool:
        power = await ask(site.gateway, "/v1/power")
        return {c["charger"]: c["control"] for c in power["connectors"]}["CP03"] == "disobeys"

    await site.until(found, "it is found out")

    async def under() -> bool:
        return max(await site.flows()) <= FUSE_A

    await site.until(under, "the others make room for all it can take")
    await _says(site, "CP03", "not steered")


async def test_the_lower_of_cloud_and_site_holds(site: Site) -> None:
    await site.all_charge()
    told = await site.asks("CP01", "SetChargingProfile", _maximum_16(8.0))
    assert told == {"status": "Accepted"}
    assert (await site.offers())["CP01/1"] <= 8.0, "Accepted means that the charger has it"

    async def eight() -> bool:
        return (await site.offers())["CP01/1"] == 8.0

    await site.until(eight, "the lower limit, the cloud's, is the charger's")

    async def told() -> bool:
        found = await site.asks("CP01", "GetCompositeSchedule", {"connectorId": 1, "duration": 60})
        assert found["status"] == "Accepted"
        return found["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 8.0

    await site.until(told, "and that is what the cloud is told")

    # The cloud clears everything it can think of; what the site set is back, or never went. What the others
    # took meanwhile would be shared out anew after minutes only: one of them leaves.
    assert (await site.chargers.command("stop CP02 1"))["ok"]
    assert (await site.asks("CP01", "ClearChargingProfile", {}))["status"] == "Accepted"

    async def ours() -> bool:
        return 8.0 < (await site.offers())["CP01/1"] <= 32.0

    await site.until(ours, "the site's own limit holds alone")
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
