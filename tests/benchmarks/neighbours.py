"""The p99 of well-behaved chargers while another one on the same box misbehaves.

Rules of this file:
- The good ones say something every 20 ms each, so what they wait for is the gateway and not themselves.
- Every kind of misbehaviour lasts as long as the others, and goes on however often it is thrown out.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

from tests.benchmarks import frames, gauges
from tests.benchmarks.bench import Bench
from tests.benchmarks.chargers import Charger, connect, fleet, hang_up
from tests.benchmarks.report import Row

GOOD = 20
PAUSE_S = 0.02
FLOOD_FRAMES = 100
JUNK = frames.masked(os.urandom(2 * 1024 * 1024).hex().encode())  # 4 MiB, made once
BAR_MS = 250.0

Trouble = Callable[[str], Awaitable[None]]


async def _flood(url: str) -> None:
    """100 CALLs in one write, again and again, without waiting for an answer."""
    charger = await connect(url, 7001, "FLOOD")
    try:
        while not charger.closed:
            burst = [charger.words.heartbeat() for _ in range(FLOOD_FRAMES)]
            charger.transport.write(b"".join(map(frames.masked, burst)))
            await asyncio.sleep(PAUSE_S)
    finally:
        charger.transport.abort()


async def _junk(url: str) -> None:
    """4 MiB of something that is not JSON, in one frame."""
    charger = await connect(url, 7002, "JUNK")
    try:
        while not charger.closed:
            if not charger.transport.get_write_buffer_size():
                charger.transport.write(JUNK)
            await asyncio.sleep(PAUSE_S)
    finally:
        charger.transport.abort()


async def _deaf(url: str) -> None:
    """Asks for ever and never reads an answer."""
    charger = await connect(url, 7003, "DEAF")
    charger.transport.pause_reading()
    try:
        while not charger.closed:
            if charger.transport.get_write_buffer_size() < 64 * 1024:
                burst = [charger.words.heartbeat() for _ in range(20)]
                charger.transport.write(b"".join(map(frames.masked, burst)))
            await asyncio.sleep(PAUSE_S)
    finally:
        charger.transport.abort()


TROUBLES: dict[str, Trouble] = {
    "floods 100 frames": _flood,
    "sends 4 MiB of junk": _junk,
    "never reads": _deaf,
}


async def measure(bench: Bench) -> list[Row]:
    _, cloud = await bench.echo_cloud()
    gateway = await bench.gateway("neighbours", cloud, {"cloud": {"connect_rate": 0}})
    good = await fleet(gateway.url, GOOD)
    lasts_s = float(bench.some(5, 2))
    alone = await _listen(good, lasts_s)
    rows = []
    for name, trouble in TROUBLES.items():
        bench.say(f"neighbours: one charger {name}")
        culprit = asyncio.create_task(_again_and_again(trouble, gateway.url))
        try:
            took = await _listen(good, lasts_s)
        finally:
            culprit.cancel()
            await asyncio.wait([culprit])
        worst = f"worst {max(took) * 1e3:.0f} ms, p50 {_ms(took, 50):.1f} ms"
        detail = f"{worst}; without: p99 {_ms(alone, 99):.1f} ms"
        what = f"p99 of {GOOD} chargers while another {name}"
        rows.append(Row(what, _ms(took, 99), "ms", "at most", BAR_MS, detail))
    hang_up(good)
    return rows


def _ms(took: list[float], percent: float) -> float:
    return gauges.percentile(took, percent) * 1e3


async def _again_and_again(trouble: Trouble, url: str) -> None:
    while True:
        try:
            await trouble(url)
        except OSError:  # refused while its last connection is being cleared away
            await asyncio.sleep(PAUSE_S)


async def _listen(good: list[Charger], lasts_s: float) -> list[float]:
    ends = time.monotonic() + lasts_s
    found = await asyncio.gather(*(_talk(charger, ends) for charger in good))
    return [took for of_one in found for took in of_one]


async def _talk(charger: Charger, ends: float) -> list[float]:
    took = []
    while time.monotonic() < ends:
        began = time.perf_counter()
        await charger.ask(charger.words.status_again())
        took.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE_S)
    return took
