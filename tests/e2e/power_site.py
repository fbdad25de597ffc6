"""Three chargers with cars that really draw, their meter, a cloud, and the real gateway between them.

The amps are the simulated site's own, never what the gateway believes. How soon is the simulation's matter
(tests/simulation/fuse): here a machine may be slow, and every wait is for something that must come.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from edgegw.sim.lines import LineProcess, start_chargers, start_cloud
from tests.e2e.gateway import GatewayProcess, Gateways, Settings

FUSE_A, RESERVE_A, SAFE_A, LIFETIME_S = 63.0, 40.0, 6.0, 10.0
WITHIN_S = 90.0
CHARGERS = ("CP01", "CP02", "CP03")  # 1.6, 2.0.1, 2.1


@dataclass
class Site:
    gateway: GatewayProcess
    chargers: LineProcess
    cloud: LineProcess

    async def flows(self) -> tuple[float, ...]:
        """Amps through the main fuse on L1, L2, L3."""
        now = await self.chargers.command("power")
        return tuple(b + c for b, c in zip(now["building"], now["cars"], strict=True))

    async def cars(self) -> list[float]:
        return (await self.chargers.command("power"))["cars"]

    async def offers(self) -> dict[str, float]:
        now = await self.chargers.command("power")
        return {name: one["offered_a"] for name, one in now["connectors"].items()}

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Raises AssertionError with what was seen last."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WITHIN_S
        while not await condition():
            now = await self.chargers.command("power")
            assert loop.time() < deadline, f"{what}: not within {WITHIN_S:g} s: {now}"
            await asyncio.sleep(0.1)

    async def building(self, amps: float) -> None:
        assert (await self.chargers.command(f"building {amps}"))["ok"]

    async def all_charge(self) -> None:
        """Three cars that could take 32 A each on three phases: together they fill the fuse."""

        async def safe() -> bool:
            return all(amps <= SAFE_A for amps in (await self.offers()).values())

        await self.until(safe, "every charger has its standing safe limit")
        for charger in CHARGERS:
            assert (await self.chargers.command(f"start {charger} 1 TAG three32"))["ok"]

        async def full() -> bool:
            return FUSE_A - 8 < min(await self.flows()) <= max(await self.flows()) <= FUSE_A

        await self.until(full, "the cars fill the fuse")

    async def asks(self, charger: str, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        told = await self.cloud.command(f"call {charger} {action} {json.dumps(payload)}")
        assert told["ok"], told
        return dict(told["answer"])


@asynccontextmanager
async def running_site(gateways: Gateways, more: Settings | None = None) -> AsyncIterator[Site]:
    """`more`: further tables of the site file."""
    chargers = await start_chargers(
        "--count", "3", "--no-cars", "--cars", "three32", "--meter-port", "0", "--building", "10",
        "--meter-interval", "5", "--backoff", "0.3", "--quiet", "--seed", "5",
    )  # fmt: skip
    async with chargers, await start_cloud("--listen", "127.0.0.1:0") as cloud:
        tables: dict[str, Any] = {
            "balancing": {"profile_lifetime": f"{LIFETIME_S:g} s", "stale_after": "3 s"},
            "meter": [{"name": "grid", "template": "eastron_sdm630", "address": chargers.ready["meter"]}],
            "circuit": [{"name": "main", "fuse": FUSE_A, "meter": "grid", "reserve": RESERVE_A}],
            "connector": [
                {"charger": place[:-2], "circuit": "main", "phases": phases, "safe": SAFE_A}
                for place, phases in chargers.ready["wiring"].items()
            ],
            **(more or {}),
        }
        gateway = await gateways(cloud.ready["listening"], tables)
        await chargers.command(f"dial {gateway.url}")
        yield Site(gateway, chargers, cloud)
