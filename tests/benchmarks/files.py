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
from collections.abc import AsyncIterator, Callable
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
        raise MissingTool("nginx is not installed: apt-get install nginx-light")
    rows = await _rollout(bench, "free", {})
    rows += await _rollout(bench, "paced", {"rate": RATE})
    return rows + await files_cached.measure(bench)


# --- one rollout ----------------------------------------------------------------------------------


async def _rollout(bench: Bench, name: str, keys: dict[str, str]) -> list[Row]:
    size = bench.some(FILE_BYTES, FILE_BYTES // 5)
    bench.say(f"files: {UPDATED} chargers load {size / 1e6:.0f} MB each, {keys or 'no rate'}")
    async with _site(bench, name, keys) as site:
        firmware = put(site.origin, FIRMWARE, make_firmware("3.1", size))
        good = await fleet(site.gateway.url, GOOD, "GOOD")
        quiet = await _listen(good, asyncio.sleep(bench.some(10, 3)))
        before = _Spent.of(site.gateway.pid)
        during = await _listen(good, _update_all(site, firmware))
        spent = _Spent.of(site.gateway.pid).since(before)
        hang_up(good)
        await site.origin.settled()
        asked = site.origin.downloads(FIRMWARE)
        assert all(entry.complete for entry in asked), asked
        peak = gauges.rss_peak_bytes(site.gateway.pid)
    suffix = f", rate {keys['rate']}/s" if "rate" in keys else ""
    return _rows(suffix, quiet, during, site.updated, firmware, spent, peak, len(asked))


def _rows(
    suffix: str,
    quiet: list[float],
    during: list[float],
    updated: _Updated,
    firmware: Firmware,
    spent: _Spent,
    peak_bytes: int,
    asked: int,
) -> list[Row]:
    before_p99, p99 = _ms(quiet, 99), _ms(during, 99)
    talk = (
        f"p50 {_ms(during, 50):.1f}, max {max(during) * 1e3:.0f} ms; before: p50 {_ms(quiet, 50):.1f}, p99"
        f" {before_p99:.1f}, max {max(quiet) * 1e3:.0f} ms; {p99 / before_p99:.1f} x; edgegw {spent.turns.text}"
    )
    megabytes = UPDATED * len(firmware.content) / 1e6
    load = (
        f"last download after {updated.loaded_s:.1f} s, {megabytes / updated.loaded_s:.0f} MB/s served; edgegw"
        f" {spent.cpu_s:.1f} s CPU, {spent.cpu_s / megabytes * 1e3:.2f} ms per MB, RSS peak {peak_bytes / 2**20:.0f} MiB"
    )
    what = f"{UPDATED} chargers load {len(firmware.content) / 1e6:.0f} MB each{suffix}"
    return [
        Row(f"p99 of {GOOD} chargers while {what}", p99, "ms", "at most", BAR_MS, talk),
        Row(f"all have installed: {what}", updated.installed_s, "s", "", None, load),
        Row(f"downloads from outside: {what}", asked, "", "at most", 1, "in the log of the origin"),
    ]


@dataclass(frozen=True, slots=True)
class _Spent:
    """What the gateway has used up."""

    cpu_s: float
    turns: gauges.Turns

    @classmethod
    def of(cls, pid: int) -> _Spent:
        return cls(gauges.cpu_s(pid), gauges.turns(pid))

    def since(self, earlier: _Spent) -> _Spent:
        return _Spent(self.cpu_s - earlier.cpu_s, self.turns.since(earlier.turns))


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
    memory = Path("/dev/shm")  # noqa: S108 - a disk in memory, where there is one
    return await bench.children.start(
        f"chargers-{name}",
        *("nice", "-n", "10", sys.executable, *words, *habits),
        stdin=True,
        env={"TMPDIR": str(memory)} if memory.is_dir() else None,
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


async def _listen(good: list[Charger], meanwhile: Any) -> list[float]:
    """Seconds of every round trip until `meanwhile` is over."""
    over = asyncio.Event()
    talks = [asyncio.create_task(_talk(charger, over.is_set)) for charger in good]
    try:
        await meanwhile
    finally:
        over.set()
        found = await asyncio.gather(*talks)
    return [took for of_one in found for took in of_one]


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


def _ms(took: list[float], percent: float) -> float:
    return gauges.percentile(took, percent) * 1e3
