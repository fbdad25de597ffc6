"""R8 as one run: both sides of three sessions fuzzed, the cloud up and away, a good charger beside them."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

from edgegw.sim.lines import start_chargers
from tests.e2e.children import Children
from tests.e2e.gateway import GatewayProcess
from tests.torture.corpus import VERSIONS
from tests.torture.fuzz import (
    EchoCloud,
    Fuzzed,
    Score,
    fuzz_from_charger,
    fuzz_from_cloud,
    latencies_s,
    rss_kib,
)
from tests.torture.gateway_rig import percentile

WARM_UP_FRAMES = 200
IMPATIENT = {"cloud": {"answer_timeout": "1 s"}}  # the cloud here leaves what it cannot read unanswered


@dataclass
class Outcome:
    score: Score
    answered: int  # CALLs of the good charger
    unanswered: int
    p99_s: float
    worst_s: float
    rss_growth_kib: tuple[int, ...]  # after each third


async def campaign(folder: Path, *, frames: int, seed: int) -> Outcome:
    """`frames` in all: a third from chargers with the cloud up, a third from the cloud, a third away."""
    children = Children(folder)
    score = Score()
    share = max(1, frames // 9)
    try:
        async with contextlib.AsyncExitStack() as stack:
            cloud = await stack.enter_async_context(EchoCloud())
            gateway = GatewayProcess(children, folder, cloud=cloud.url, settings=IMPATIENT)
            await gateway.start()
            stack.push_async_callback(gateway.close)
            good = await stack.enter_async_context(await start_chargers(*_good(gateway, folder, seed)))
            fuzzed = [Fuzzed(gateway, f"FUZZED-{version}", version, score) for version in VERSIONS]
            for charger in fuzzed:
                await charger.connect()
                stack.push_async_callback(charger.close)
            await _all(fuzz_from_charger(charger, seed - 1, WARM_UP_FRAMES) for charger in fuzzed)
            score.frames = 0
            rss = [rss_kib(gateway.pid)]
            await _all(fuzz_from_charger(charger, seed, share) for charger in fuzzed)
            rss.append(rss_kib(gateway.pid))
            await _all(fuzz_from_cloud(cloud, charger, seed, share) for charger in fuzzed)
            rss.append(rss_kib(gateway.pid))
            await cloud.__aexit__()
            await _all(fuzz_from_charger(charger, seed + 1, share) for charger in fuzzed)
            rss.append(rss_kib(gateway.pid))
            assert not gateway_bugs(gateway.log), gateway_bugs(gateway.log)
            await good.stop()
            taken, unanswered = latencies_s(folder / "good" / "CP01.jsonl")
            worst = max(taken, default=0.0)
            return Outcome(score, len(taken), unanswered, percentile(taken, 99), worst, growth(rss))
    finally:
        await children.close()


def growth(rss: list[int]) -> tuple[int, ...]:
    return tuple(later - rss[0] for later in rss[1:])


def _good(gateway: GatewayProcess, folder: Path, seed: int) -> list[str]:
    return [
        "--url", gateway.url, "--count", "1", "--seed", str(seed), "--ledger", str(folder / "good"),
        "--heartbeat", "0.02", "--no-cars", "--quiet",
    ]  # fmt: skip


async def _all(works) -> None:  # type: ignore[no-untyped-def]
    await asyncio.gather(*works)


def gateway_bugs(log: str) -> str:
    """The first traceback of a log, with what follows."""
    at = log.find("Traceback")
    return log[max(0, at - 300) : at + 3000] if at >= 0 else ""
