"""R7 as one run: bad lines on both sides of the gateway, chosen by a seed; then calm, then the audit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

from edgegw.sim.verdict import Verdict
from tests.links.chaos import DOWN, UP, ChaosProxy
from tests.torture.gateway_rig import Site, explain, site, soothe

CHARGERS = 8
TRANSACTIONS = 8  # fewer would prove little
SETTINGS = {"chargers": {"ping_interval": "1 s"}, "cloud": {"ping_interval": "1 s"}}


def delay(line: ChaosProxy, rng: random.Random) -> None:
    line.delay_s = rng.choice((0.0, 0.01, 0.05, 0.3))


def dribble(line: ChaosProxy, rng: random.Random) -> None:
    line.dribble(rng.choice((1, 3, 17, 100)), rng.choice((0.0, 0.0005, 0.002)))


def whole(line: ChaosProxy, rng: random.Random) -> None:
    line.dribble(0, 0.0)


def cut(line: ChaosProxy, rng: random.Random) -> None:
    """At byte N of each connection: in the handshake, in a header, in a payload."""
    line.cut_after(
        rng.choice((None, rng.randrange(1, 400), rng.randrange(400, 4000))), rng.choice((UP, DOWN))
    )


def reset(line: ChaosProxy, rng: random.Random) -> None:
    line.reset()


def drop(line: ChaosProxy, rng: random.Random) -> None:
    line.drop()


def freeze(line: ChaosProxy, rng: random.Random) -> None:
    line.freeze(*rng.choice(((UP,), (DOWN,), (UP, DOWN))))


def thaw(line: ChaosProxy, rng: random.Random) -> None:
    line.thaw()


def refuse(line: ChaosProxy, rng: random.Random) -> None:
    line.refuse = not line.refuse


TROUBLES: tuple[Callable[[ChaosProxy, random.Random], None], ...] = (
    delay, dribble, whole, cut, cut, reset, drop, freeze, thaw, thaw, refuse,
)  # fmt: skip


async def lines_campaign(folder: Path, *, seed: int, trouble_s: float) -> tuple[Site, Verdict]:
    async with site(folder, chargers=CHARGERS, seed=seed, settings=SETTINGS, chaos=True) as it:
        assert it.charger_line is not None
        assert it.cloud_line is not None
        rng = random.Random(seed)
        loop = asyncio.get_running_loop()
        until = loop.time() + trouble_s
        while loop.time() < until:
            line = rng.choice((it.charger_line, it.cloud_line))
            rng.choice(TROUBLES)(line, rng)
            it.cuts += 1
            await asyncio.sleep(rng.uniform(0.02, 0.4))
        soothe(it.charger_line)
        soothe(it.cloud_line)
        await it.until(lambda status: status["transactions"] > TRANSACTIONS)
        await it.calm()
        verdict = await it.verdict()
        if not verdict.holds:
            raise AssertionError(f"seed {seed}\n{explain(it, verdict)}")
        return it, verdict
