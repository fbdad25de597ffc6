"""A hundred chargers update at once, while twenty others talk: what it costs those, and how long it takes.

    origin (nginx) -> edgegw -> 100 simulated chargers of three versions, one download each
                        ^----- 20 chargers that say something all the time and look at the clock

Rules of this file:
- The updated chargers, the cloud and the origin are processes of their own. The chargers come last when
  cores are short: at a site each has its own, and what hashes there does not slow a gateway down.
- What the chargers load stays in memory: at a site it is not written to the gateway's disk either.
- How often the origin was asked is what the origin's log says; what arrived is what each charger hashed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from tests.benchmarks import files_cached, gauges
from tests.benchmarks.bench import Bench, MissingTool
from tests.benchmarks.chargers import Charger, fleet, hang_up
from tests.benchmarks.payloads import Words
from tests.benchmarks.report import Row
from tests.e2e.children import Child
from tests.e2e.file_site import files_table, put
from tests.e2e.gateway import GatewayProcess
from tests.e2e.signed_firmware import Firmware, make_firmware
from tests.servers.nginx import Nginx

UPDATED, GOOD = 100, 20
PAUSE_S = 0.05  # each of the twenty between an answer and its next message
FILE_BYTES = 20_000_000
RATE = "50 MB"  # [files] rate in the second round
BAR_MS = 250.0
DONE_WITHIN_S = 300.0
FIRMWARE = "/fw.bin"
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else ""
CHATTER = (Words.heartbeat, Words.status, Words.meter)
HABITS = {
    "file_protocols": ["HTTP"],
    "file_attempts": 100,  # who waits too long for a seat is told to come back
    "file_retry_interval_s": 0.5,
    "engine": "own",
}


async def measure(bench: Bench) -> list[Row]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if program is None:
        raise MissingTool("nginx is not installed: apt-get install nginx")
    rows = await _rollout(bench, "free", {})
    rows += await _rollout(bench, "paced", {"rate": RATE})
    return rows + await files_cached.measure(bench)


# --- one rollout ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Phase:
    """What the twenty waited for in it, and what the gateway used up."""

    took: list[float]
    lasted_s: float
    cpu_s: float
    turns: gauges.Turns

    def ms(self, percent: float) -> float:
        return gauges.percentile(self.took, percent) * 1e3

    @property
    def text(self) -> str:
        return f"p50 {self.ms(50):.1f}, p99 {self.ms(99):.1f}, max {self.ms(100):.0f} ms"


async def _rollout(bench: Bench, name: str, keys: dict[str, str]) -> list[Row]:
    size = bench.some(FILE_BYTES, FILE_BYTES // 5)
    bench.say(f"files: {UPDATED} chargers load {size / 1e6:.0f} MB each, {keys or 'no rate'}")
    async with _site(bench, name, keys) as site:
        firmware = put(site.origin, FIRMWARE, make_firmware("3.1", size))
        good = await fleet(site.gateway.url, GOOD, "GOOD")
        quiet = await _phase(good, site.gateway.pid, asyncio.sleep(bench.some(10, 3)))
        during = await _phase(good, site.gateway.pid, _update_all(site, firmware))
        hang_up(good)
        await site.origin.settled()
        asked = site.origin.downloads(FIRMWARE)
        assert all(entry.complete for entry in asked), asked
        peak = gauges.rss_peak_bytes(site.gateway.pid)
    what = f"{UPDATED} chargers load {size / 1e6:.0f} MB each" + (f", rate {RATE}/s" if keys else "")
    return [
        _talk_row(what, quiet, during),
        _load_row(what, quiet, during, site.updated, UPDATED * size / 1e6, peak),
        Row(f"downloads from outside: {what}", len(asked), "", "at most", 1, "in the log of the origin"),
    ]


def _talk_row(what: str, quiet: _Phase, during: _Phase) -> Row:
    detail = (
        f"{during.text}; before: {quiet.text}; p99 {during.ms(99) / quiet.ms(99):.1f} x; "
        f"edgegw {during.turns.text}"
    )
    return Row(f"p99 of {GOOD} chargers while {what}", during.ms(99), "ms", "at most", BAR_MS, detail)


def _load_row(
    what: str, quiet: _Phase, during: _Phase, updated: _Updated, megabytes: float, peak_bytes: int
) -> Row:
    talking_s = quiet.cpu_s / quiet.lasted_s * during.lasted_s
    own_ms = (during.cpu_s - talking_s) / megabytes * 1e3
    detail = (
        f"last download after {updated.loaded_s:.1f} s, {megabytes / updated.loaded_s:.0f} MB/s served; "
        f"edgegw {during.cpu_s:.1f} s CPU, {own_ms:.1f} ms per MB without what the {GOOD} cost; "
        f"RSS peak {peak_bytes / 2**20:.0f} MiB"
    )
    return Row(f"all have installed: {what}", updated.installed_s, "s", "", None, detail)


# --- the site -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Updated:
    """The hundred: what their process says of them. Times count from the order."""

    child: Child
    loaded_s: float = 0.0
    installed_s: float = 0.0
    _events: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    _read: int = 0

    async def until_all(self, event: str) -> dict[str, dict[str, Any]]:
        """The facts of this event, by charger, when every one had it."""

        def look(lines: list[str]) -> dict[str, dict[str, Any]] | None:
            for line in map(json.loads, lines[self._read :]):
                self._events.setdefault(line.get("event", ""), {})[line.get("charger", "")] = line
            self._read = len(lines)
            seen = self._events.get(event, {})
            return seen if len(seen) >= UPDATED else None

        return await self.child.until(look, DONE_WITHIN_S)


@dataclass(frozen=True, slots=True)
class _Site:
    origin: Nginx
    gateway: GatewayProcess
    updated: _Updated
    orders: int  # the port at which the cloud takes orders


@asynccontextmanager
async def _site(bench: Bench, name: str, keys: dict[str, str]) -> AsyncIterator[_Site]:
    """All of them up, every charger booted."""
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(Nginx(bench.folder / f"origin-{name}"))
        files = stack.enter_context(files_table(patience="5 s", **keys))
        module = "edgegw.sim.cloud"
        cloud = await bench.children.start(
            f"cloud-{name}", sys.executable, "-m", module, "--control", "0", stdin=True
        )
        ready = json.loads(await cloud.until(lambda lines: lines[0] if lines else None))
        settings = {"files": files, "cloud": {"connect_rate": 0}}
        gateway = await bench.gateway(name, ready["listening"], settings)
        updated = _Updated(await _start_chargers(bench, name, gateway.url))
        await updated.until_all("booted")
        yield _Site(origin, gateway, updated, ready["control"])
        updated.child.write("quit")
        await updated.child.ended()
        await gateway.terminate()
        cloud.write("quit")
        await cloud.ended()


async def _start_chargers(bench: Bench, name: str, url: str) -> Child:
    words = ["-m", "edgegw.sim.chargers", "--url", url, "--count", str(UPDATED), "--no-cars"]
    habits = ["--heartbeat", "0", "--habits", json.dumps(HABITS)]
    return await bench.children.start(
        f"chargers-{name}",
        *("nice", "-n", "10", sys.executable, *words, *habits),
        stdin=True,
        env={"TMPDIR": IN_MEMORY} if IN_MEMORY else None,
    )


# --- what happens at once -------------------------------------------------------------------------


async def _update_all(site: _Site, firmware: Firmware) -> None:
    """From the order to the last charger that has installed it. Raises AssertionError for a wrong file."""
    began = time.monotonic()
    url = site.origin.url(FIRMWARE)
    identities = list(await site.updated.until_all("booted"))
    await asyncio.gather(*(_order(site.orders, f"update {identity} {url} 7") for identity in identities))
    loaded = await site.updated.until_all("downloaded")
    site.updated.loaded_s = time.monotonic() - began
    installed = await site.updated.until_all("installed")
    site.updated.installed_s = time.monotonic() - began
    assert {facts["sha256"] for facts in (*loaded.values(), *installed.values())} == {firmware.sha256}


async def _order(port: int, line: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        writer.write(line.encode() + b"\n")
        answer = json.loads(await reader.readline())
    assert answer["ok"], answer


async def _phase(good: list[Charger], pid: int, meanwhile: Awaitable[None]) -> _Phase:
    """Until `meanwhile` is over."""
    over = asyncio.Event()
    began, cpu, turns = time.monotonic(), gauges.cpu_s(pid), gauges.turns(pid)
    talks = [asyncio.create_task(_talk(charger, over.is_set)) for charger in good]
    try:
        await meanwhile
    finally:
        over.set()
        found = await asyncio.gather(*talks)
    took = [one for of_one in found for one in of_one]
    lasted_s = time.monotonic() - began
    return _Phase(took, lasted_s, gauges.cpu_s(pid) - cpu, gauges.turns(pid).since(turns))


async def _talk(charger: Charger, over: Callable[[], bool]) -> list[float]:
    took = []
    for say in cycle(CHATTER):
        if over():
            break
        began = time.perf_counter()
        await charger.ask(say(charger.words))
        took.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE_S)
    return took
