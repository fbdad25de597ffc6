"""kill -9 of the gateway at random instants while the cloud flaps and chargers reboot (R1, R4)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edgegw.sim.verdict import Verdict
from tests.e2e.faults import until, waiting
from tests.torture.gateway_rig import ONLINE_WITHIN_S, Site, beside, explain, site

ALIVE_S = (0.05, 1.0)  # between "ready" and the next kill
DEAD_S = 0.3
TRANSACTIONS = 50  # fewer would prove little


async def kill_at_random(it: Site, kills: int) -> None:
    for _ in range(kills):
        await asyncio.sleep(it.rng.uniform(*ALIVE_S))
        await it.kill()
        await asyncio.sleep(it.rng.uniform(0, DEAD_S))
        await it.start_again()


async def flap(it: Site) -> None:
    """The cloud goes and comes; now and then a charger loses power."""
    while True:
        await asyncio.sleep(it.rng.uniform(0.3, 2.0))
        await it.cut()
        await it.reboot(it.rng.choice(it.names))
        await asyncio.sleep(it.rng.uniform(0.1, 2.0))
        await it.restore()
        await it.reboot(it.rng.choice(it.names))


async def one_more_outage(it: Site) -> None:
    """However the kills and the flapping fell: something is answered here that the cloud has not heard."""
    await it.restore()
    await it.all_online()
    await it.cut()

    async def kept() -> bool:
        return await waiting(it.gateway) > 0

    await until(kept, ONLINE_WITHIN_S)
    await it.until(lambda status: status["transactions"] > TRANSACTIONS)


async def kill_campaign(folder: Path, *, kills: int, seed: int, chargers: int = 20) -> tuple[Site, Verdict]:
    async with site(folder, chargers=chargers, seed=seed) as it:
        await beside(lambda: flap(it), kill_at_random(it, kills))
        await one_more_outage(it)
        await it.calm()
        verdict = await it.verdict()
        if not verdict.holds:
            raise AssertionError(explain(it, verdict))
        return it, verdict


async def outage_campaign(folder: Path, *, seed: int, chargers: int = 20) -> tuple[Site, Verdict]:
    """No cloud; three restarts of the gateway; every charger reboots; then the cloud is back."""
    async with site(folder, chargers=chargers, seed=seed) as it:
        await it.until(lambda status: status["charging"] >= chargers // 2)
        await it.cut()
        for round_ in range(3):
            begun = (await it.status())["transactions"]
            for name in it.names[round_::3]:
                await it.reboot(name)
            await it.all_online()
            await it.kill()
            await it.start_again()
            await it.all_online()
            # Charging goes on: cars that came after the restart were let in and charge.
            await it.until(lambda status, begun=begun: status["transactions"] > begun + 2)
        await it.calm()
        verdict = await it.verdict()
        if not verdict.holds:
            raise AssertionError(explain(it, verdict))
        return it, verdict
