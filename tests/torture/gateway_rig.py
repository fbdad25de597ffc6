"""A whole site under torture: cloud, gateway and chargers, each its own process, and the third program.

Rules of this file:
- The chargers and the cloud keep their own ledgers; `verdict` is the audit's, which knows nothing else.
- Whatever can go wrong is chosen by a seeded source, so that a seed tells the story again.
- Bad lines (`ChaosProxy`) stand between the processes only where a test asks for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from edgegw.sim.audit import audit, table
from edgegw.sim.lines import LineProcess, start_chargers, start_cloud
from edgegw.sim.verdict import Verdict
from tests.e2e.children import Children
from tests.e2e.faults import until, waiting
from tests.e2e.gateway import GatewayProcess, Settings
from tests.links.chaos import ChaosProxy

ONLINE_WITHIN_S = 90.0  # twenty chargers and more, after a start or a cut
DRAIN_WITHIN_S = 180.0
FINISH_WITHIN_S = 180.0

# A tag that every simulated driver may hold is known to the box, so that an outage refuses nobody.
DRIVERS = {"authorization": {"site_cache": True, "unknown_tags": "accept"}}
# Soon enough that a bad line to the cloud is felt.
IMPATIENT = {"answer_timeout": "1 s", "connect_timeout": "2 s"}


class Site:
    """One site. Made by `site`; everything it holds is running."""

    def __init__(self, folder: Path, gateway: GatewayProcess, cloud: LineProcess, seed: int) -> None:
        self.folder = folder
        self.gateway = gateway
        self.cloud = cloud
        self.chargers: LineProcess
        self.names: list[str] = []
        self.rng = random.Random(seed)
        self.cuts = 0
        self.kills = 0
        self.ready_s: list[float] = []  # from exec to "ready", per restart
        self.charger_line: ChaosProxy | None = None
        self.cloud_line: ChaosProxy | None = None

    @property
    def cloud_ledger(self) -> Path:
        return self.folder / "cloud.jsonl"

    @property
    def charger_ledgers(self) -> Path:
        return self.folder / "ledgers"

    # --- troubles ---------------------------------------------------------------------------------

    async def cut(self) -> None:
        self.cuts += 1
        await self.cloud.command("cut")

    async def restore(self) -> None:
        await self.cloud.command("restore")

    async def kill(self) -> None:
        """kill -9 of the gateway."""
        self.kills += 1
        await self.gateway.kill()

    async def start_again(self) -> None:
        begun = time.monotonic()
        await self.gateway.start()
        self.ready_s.append(time.monotonic() - begun)

    async def reboot(self, identity: str) -> None:
        answer = await self.chargers.command(f"reboot {identity}")
        assert answer["ok"], answer

    # --- waiting ----------------------------------------------------------------------------------

    async def status(self) -> dict[str, Any]:
        return await self.chargers.command("status")

    async def until(
        self, good: Callable[[dict[str, Any]], bool], timeout_s: float = ONLINE_WITHIN_S
    ) -> dict[str, Any]:
        """Until the chargers' own status satisfies `good`."""

        async def look() -> dict[str, Any] | None:
            status = await self.status()
            return status if good(status) else None

        return await until(look, timeout_s)

    async def all_online(self, timeout_s: float = ONLINE_WITHIN_S) -> None:
        await self.until(lambda status: status["online"] == len(self.names), timeout_s)

    async def drained(self, timeout_s: float = DRAIN_WITHIN_S) -> None:
        async def empty() -> bool:
            return await waiting(self.gateway) == 0

        await until(empty, timeout_s)

    # --- the end ----------------------------------------------------------------------------------

    async def calm(self) -> None:
        """No more troubles: the last cars finish, everything reaches the cloud."""
        for line in (self.charger_line, self.cloud_line):
            if line is not None:
                soothe(line)
        await self.restore()
        await self.chargers.command("cars off")
        finished = await self.chargers.command(f"finish {FINISH_WITHIN_S}", timeout_s=FINISH_WITHIN_S + 10)
        assert finished["ok"], (finished, await self.status(), self.gateway.log[-3000:])
        await self.drained()

    async def verdict(self) -> Verdict:
        """After `calm`: doubles are allowed for at most one reply per kill and per cut."""
        await self.chargers.stop()
        await self.cloud.stop()
        lost = self.kills + self.cuts
        return await asyncio.to_thread(
            audit, [self.charger_ledgers], self.cloud_ledger, replies_lost=lost, complete=True
        )


@contextlib.asynccontextmanager
async def site(
    folder: Path,
    *,
    chargers: int = 20,
    seed: int = 1,
    settings: Settings | None = None,
    habits: tuple[str, ...] = (),
    chaos: bool = False,
    online: bool = True,
) -> AsyncIterator[Site]:
    """A running site in `folder`; nothing of it outlives the block. chaos: bad lines on both sides."""
    children = Children(folder)
    try:
        async with contextlib.AsyncExitStack() as stack:
            cloud = await stack.enter_async_context(
                await start_cloud("--ledger", str(folder / "cloud.jsonl"))
            )
            url = str(cloud.ready["listening"])
            cloud_line = charger_line = None
            if chaos:
                cloud_line = await stack.enter_async_context(ChaosProxy(_port(url)))
                url = url.replace(str(_port(url)), str(cloud_line.port))
            given = dict(settings or {})
            given["cloud"] = {**IMPATIENT, **given.get("cloud", {})}  # type: ignore[dict-item]
            gateway = GatewayProcess(children, folder, cloud=url, settings={**DRIVERS, **given})
            await gateway.start()
            stack.push_async_callback(gateway.close)
            it = Site(folder, gateway, cloud, seed)
            it.cloud_line = cloud_line
            door = gateway.url
            if chaos:
                charger_line = await stack.enter_async_context(ChaosProxy(gateway.port))
                it.charger_line = charger_line
                door = door.replace(str(gateway.port), str(charger_line.port))
            it.chargers = await stack.enter_async_context(
                await start_chargers(*_charger_arguments(it, door, chargers, seed), *habits)
            )
            it.names = list(it.chargers.ready["chargers"])
            if online:
                await it.all_online()
            yield it
    finally:
        await children.close()


def _charger_arguments(it: Site, door: str, count: int, seed: int) -> list[str]:
    return [
        "--url", door, "--count", str(count), "--seed", str(seed), "--ledger", str(it.charger_ledgers),
        "--pause", "0.4", "--meter-interval", "0.3", "--samples-min", "1", "--samples-max", "5",
        "--backoff", "0.2", "--timeout", "5", "--retry-interval", "0.5", "--quiet",
    ]  # fmt: skip


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1].partition("/")[0])


def soothe(line: ChaosProxy) -> None:
    """Everything the line does wrong ends; connections that were cut stay cut."""
    line.delay_s = 0.0
    line.dribble(0, 0.0)
    line.refuse = False
    line.thaw()
    line.cut_after(None, "up")
    line.cut_after(None, "down")
    line.reset()


async def beside(trouble: Callable[[], Awaitable[None]], work: Awaitable[None]) -> None:
    """Run `trouble` for as long as `work` takes."""
    task = asyncio.ensure_future(trouble())
    try:
        await work
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def explain(it: Site, verdict: Verdict) -> str:
    return f"{table(verdict)}\n{it.gateway.log[-3000:]}"


def percentile(values: list[float], percent: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))] if ranked else 0.0
