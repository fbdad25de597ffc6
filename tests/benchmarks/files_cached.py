"""What a well-filled file cache costs: an update from it, and a start with it.

Rules of this file:
- The cache is filled through the gateway's own `FirmwareCache`, as years of updates would have filled it:
  100 files, each noted of ten chargers, 1,000 links that are still good.
- Cloud and chargers are in this process, so one clock sees the cloud say UpdateFirmware and the charger
  hear it. Beside it a command that is only relayed, the same way.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from pathlib import Path

from edgegw.files.cache import FirmwareCache
from edgegw.files.manifest import CachedFile
from edgegw.sim.cloud import SimCloud
from edgegw.sim.orders import Order, update_order
from tests.benchmarks import gauges
from tests.benchmarks.bench import Bench
from tests.benchmarks.chargers import Charger, fleet, hang_up
from tests.benchmarks.report import Row
from tests.e2e.file_site import files_table, put
from tests.e2e.gateway import GatewayProcess
from tests.e2e.signed_firmware import make_firmware
from tests.servers.nginx import Nginx

FILES, GRANTS, HOLDERS = 100, 1000, 100
CHARGERS = 100
ANSWERED_WITHIN_S = 60.0
DAY_S = 86_400.0


async def measure(bench: Bench) -> list[Row]:
    return [*await _told(bench), await _started(bench)]


# --- from the cloud to the charger ----------------------------------------------------------------


async def _told(bench: Bench) -> list[Row]:
    async with Nginx(bench.folder / "origin-cached") as origin, SimCloud(keep=False) as cloud:
        put(origin, "/fw.bin", make_firmware("3.1"))
        order = update_order("1.6", origin.url("/fw.bin"))
        with files_table(patience="5 s") as files:
            settings = {"files": files, "cloud": {"connect_rate": 0}}
            gateway = await bench.gateway("cached", cloud.url, settings)
            await gateway.terminate()
            await fill(gateway.folder / files["directory"])
            await gateway.start()
            chargers = list(map(_Obedient, await fleet(gateway.url, CHARGERS, "TOLD")))
            first, *_ = chargers
            await first.told(cloud, order)  # the file comes from outside, once
            rows = [
                await _one_by_one(bench, cloud, first, order),
                await _at_once(bench, cloud, chargers, order),
            ]
            hang_up([one.charger for one in chargers])
            await gateway.terminate()
    return rows


async def _one_by_one(bench: Bench, cloud: SimCloud, charger: _Obedient, order: Order) -> Row:
    count = bench.some(200, 40)
    bench.say(f"files: {count} orders for a cached file, one after the other")
    relayed = [await charger.told(cloud, ("ClearCache", {})) for _ in range(count)]
    took = [await charger.told(cloud, order) for _ in range(count)]
    sync = gauges.middle(gauges.fsync_s(bench.folder, 100))
    detail = (
        f"p50 {_ms(took, 50):.1f}, max {max(took) * 1e3:.0f} ms; "
        f"relayed ClearCache p50 {_ms(relayed, 50):.2f} ms; one fsync {sync * 1e3:.2f} ms; "
        f"{GRANTS:,} links, {FILES} files"
    )
    what = "cached file: UpdateFirmware from the cloud -> at the charger, p95"
    return Row(what, _ms(took, 95), "ms", "", None, detail)


async def _at_once(bench: Bench, cloud: SimCloud, chargers: list[_Obedient], order: Order) -> Row:
    bench.say(f"files: {len(chargers)} orders for a cached file at once")
    took: list[float] = []
    relayed: list[float] = []
    for _ in range(bench.some(10, 3)):
        relayed += await asyncio.gather(*(one.told(cloud, ("ClearCache", {})) for one in chargers))
        took += await asyncio.gather(*(one.told(cloud, order) for one in chargers))
    detail = (
        f"p50 {_ms(took, 50):.0f}, max {max(took) * 1e3:.0f} ms; "
        f"relayed ClearCache p50 {_ms(relayed, 50):.0f}, p95 {_ms(relayed, 95):.0f} ms"
    )
    what = f"cached file: the same, {len(chargers)} chargers at once, p95"
    return Row(what, _ms(took, 95), "ms", "", None, detail)


class _Obedient:
    """A charger that does what the cloud says and notes when it heard it."""

    def __init__(self, charger: Charger) -> None:
        self.charger = charger
        self._heard: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        charger.on_answer = self._on_text

    def _on_text(self, text: bytes) -> None:
        now = time.perf_counter()
        frame = json.loads(text)
        if frame[0] != 2:
            self._answered.set_result(text)
            return
        _, key, action, _ = frame
        self.charger.say(f'[3,"{key}",{_ANSWERS[action]}]'.encode())
        if action != "GetConfiguration":  # that one is the box's own
            self._heard.set_result(now)

    async def told(self, cloud: SimCloud, order: Order) -> float:
        """Seconds until the charger heard it. An update is over before this returns."""
        self._heard = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        await cloud.call(self.charger.identity, *order, timeout_s=ANSWERED_WITHIN_S)
        heard_at = await self._heard
        if order[0] == "UpdateFirmware":
            for status in ("Downloading", "Downloaded", "Installing", "Installed"):
                await self._say(self.charger.words.firmware(status))
        return heard_at - began

    async def _say(self, text: bytes) -> None:
        self._answered = asyncio.get_running_loop().create_future()
        self.charger.say(text)
        async with asyncio.timeout(ANSWERED_WITHIN_S):
            await self._answered


_ANSWERS = {
    "GetConfiguration": '{"unknownKey":["SupportedFileTransferProtocols"]}',
    "ClearCache": '{"status":"Accepted"}',
    "UpdateFirmware": "{}",
}


# --- start ----------------------------------------------------------------------------------------


async def _started(bench: Bench) -> Row:
    plain = await bench.gateway("plain", "ws://127.0.0.1:9/csms")
    with files_table() as files:
        full = await bench.gateway("full", "ws://127.0.0.1:9/csms", {"files": files})
        await plain.terminate()
        await full.terminate()
        manifest = await fill(full.folder / files["directory"])
        took: dict[str, list[float]] = {"plain": [], "full": []}
        cpu: dict[str, list[float]] = {"plain": [], "full": []}
        for round_ in range(bench.some(7, 3)):
            bench.say(f"files: start {round_ + 1}, without [files] and with a full cache")
            for name, gateway in (("plain", plain), ("full", full)):
                took[name].append(await _start(gateway))
                cpu[name].append(gauges.cpu_s(gateway.pid))
                await gateway.terminate()
    more = min(took["full"]) - min(took["plain"])
    detail = (
        f"{min(took['full']):.2f} s against {min(took['plain']):.2f} s, CPU {min(cpu['full']):.2f} against"
        f" {min(cpu['plain']):.2f} s; middle {gauges.middle(took['full']):.2f} against"
        f" {gauges.middle(took['plain']):.2f} s; manifest {manifest / 1024:,.0f} KiB"
    )
    what = f"start with [files], {FILES} cached files, {GRANTS:,} links: longer than without by"
    return Row(what, more, "s", "", None, detail)


async def _start(gateway: GatewayProcess) -> float:
    began = time.perf_counter()
    await gateway.start()
    return time.perf_counter() - began


# --- a full cache ---------------------------------------------------------------------------------


async def fill(directory: Path) -> int:
    """Files, links and holders into a cache. How long its manifest is, in bytes."""
    cache = await FirmwareCache.open(directory, quota_bytes=2**40, wall=time.time, disk_reserve_bytes=0)
    try:
        files = [await _take(cache, number) for number in range(FILES)]
        await asyncio.gather(*(_grant(cache, files, number) for number in range(GRANTS)))
    finally:
        await cache.close()
    return (directory / "manifest.json").stat().st_size


async def _take(cache: FirmwareCache, number: int) -> str:
    content = random.Random(number).randbytes(4096)
    sha256 = hashlib.sha256(content).hexdigest()
    part = cache.shelves.part(f"{number:064x}")
    part.write_bytes(content)
    now = time.time()
    file = CachedFile(
        sha256=sha256,
        md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        size_bytes=len(content),
        name=f"firmware-{number}.bin",
        origin=f"https://firmware.example.com/releases/firmware-{number}.bin",
        origin_key=f"{number:064x}",
        etag=f'"{number:x}"',
        fetched_at=now,
        checked_at=now,
    )
    return (await cache.take(part, file)).sha256


async def _grant(cache: FirmwareCache, files: list[str], number: int) -> None:
    charger, sha256 = f"TOLD-{number % HOLDERS:04d}", files[number % FILES]
    await cache.grant(charger, sha256, order=f"order-{number}", expires_at=time.time() + DAY_S)
    await cache.note(charger, sha256, "downloaded")


def _ms(took: list[float], percent: float) -> float:
    return gauges.percentile(took, percent) * 1e3
