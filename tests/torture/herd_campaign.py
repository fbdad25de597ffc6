"""R5 as one run: an outage, a backlog, and the whole site back at once."""

from __future__ import annotations

import time
from pathlib import Path

from tests.e2e.faults import until, waiting
from tests.torture.gateway_rig import FINISH_WITHIN_S, Site, explain, site
from tests.torture.herd import Herd, measure

REPLAY_RATE = 15
CONNECT_RATE = 10


async def herd_campaign(folder: Path, *, chargers: int, backlog: int, seed: int) -> tuple[Site, Herd]:
    settings = {"cloud": {"replay_rate": REPLAY_RATE, "connect_rate": CONNECT_RATE}}
    habits = ("--heartbeat", "1", "--meter-interval", "1", "--pause", "1")
    async with site(folder, chargers=chargers, seed=seed, settings=settings, habits=habits) as it:
        await it.cut()

        async def enough() -> bool:
            return await waiting(it.gateway) >= backlog

        await until(enough, 180)
        await it.chargers.command("cars off")
        restored_at = time.time()
        await it.restore()
        finished = await it.chargers.command(f"finish {FINISH_WITHIN_S}", timeout_s=FINISH_WITHIN_S + 10)
        assert finished["ok"], finished
        await it.drained()
        verdict = await it.verdict()
        assert verdict.holds, explain(it, verdict)
        return it, measure(it, restored_at)
