"""What an attached console costs the gateway: the same chargers, with somebody listening and without.

Rules of this file:
- One gateway, one fleet, turn and turn about: the cost is the difference between neighbours in time.
- Every charger says something new every second (meter values of five samples): every row changes.
- The listener reads and throws away: what a console does with it is measured with the console.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.benchmarks import gauges
from tests.benchmarks.bench import Bench
from tests.benchmarks.chargers import Charger, fleet, hang_up
from tests.benchmarks.mqtt_fleet import _call, _values
from tests.benchmarks.report import Row
from tests.e2e.gateway import GatewayProcess

CHARGERS = 500
BAR_PERCENT = 2.0
STANDALONE: dict[str, Any] = {"authorization": {"unknown_tags": "accept"}}


async def measure(bench: Bench) -> list[Row]:
    gateway = await bench.gateway("console", None, STANDALONE)
    chargers = await _charging(gateway.url, bench.some(CHARGERS, CHARGERS // 5))
    try:
        return [await _one(bench, gateway, chargers)]
    finally:
        hang_up(chargers)
        await gateway.terminate()


async def _one(bench: Bench, gateway: GatewayProcess, chargers: list[Charger]) -> Row:
    alone: list[float] = []
    heard: list[float] = []
    blocks = Blocks()
    for round_ in range(bench.some(12, 2)):
        bench.say(f"console: round {round_ + 1}: {len(chargers)} chargers change each second")
        alone.append(await _share(gateway, chargers, bench.some(5, 4)))
        async with listening(gateway, blocks):
            heard.append(await _share(gateway, chargers, bench.some(5, 4)))
    more = [with_it - without for with_it, without in zip(heard, alone, strict=True)]
    detail = (
        f"{gauges.middle(heard):.1%} against {gauges.middle(alone):.1%} of a core; differences "
        f"{min(more):.1%} to {max(more):.1%}; {blocks.text}"
    )
    what = f"CPU of one attached console, {len(chargers)} chargers, all new every second"
    return Row(what, gauges.middle(more) * 100, "% of a core", "at most", BAR_PERCENT, detail)


# --- chargers -------------------------------------------------------------------------------------


async def _charging(base_url: str, count: int) -> list[Charger]:
    chargers = await fleet(base_url, count, "CP")
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
    for charger in chargers:
        await charger.ask(_call("StatusNotification", status))
    return chargers


async def _share(gateway: GatewayProcess, chargers: Sequence[Charger], lasts_s: float) -> float:
    before, began = gauges.cpu_s(gateway.pid), time.perf_counter()
    ends = time.monotonic() + lasts_s
    await asyncio.gather(
        *(_tell(charger, ends, number / len(chargers)) for number, charger in enumerate(chargers))
    )
    return (gauges.cpu_s(gateway.pid) - before) / (time.perf_counter() - began)


async def _tell(charger: Charger, ends: float, offset_s: float) -> None:
    due = time.monotonic() + offset_s
    for round_ in itertools.count():
        await asyncio.sleep(due - time.monotonic())
        if due > ends:
            return
        await charger.ask(_call("MeterValues", _values(1, round_)))
        due += 1.0


# --- who listens ----------------------------------------------------------------------------------


class Blocks:
    """What came over the stream."""

    def __init__(self) -> None:
        self.changes = self.bytes = 0
        self.seconds = 0.0

    @property
    def text(self) -> str:
        return f"{self.changes / self.seconds:.1f} changes/s, {self.bytes / self.seconds / 1e3:.0f} kB/s"


@asynccontextmanager
async def listening(gateway: GatewayProcess, blocks: Blocks) -> AsyncIterator[None]:
    reader, writer = await asyncio.open_unix_connection(
        str(gateway.folder / "store" / "edgegw.sock"), limit=2**24
    )
    writer.write(b"GET /v1/stream HTTP/1.1\r\nhost: box\r\n\r\n")
    began = time.perf_counter()
    reading = asyncio.create_task(_read(reader, blocks))
    await asyncio.sleep(1.0)  # the first, whole picture is no running cost
    try:
        yield
    finally:
        blocks.seconds += time.perf_counter() - began
        reading.cancel()
        writer.close()


async def _read(reader: asyncio.StreamReader, blocks: Blocks) -> None:
    while data := await reader.read(2**16):
        blocks.bytes += len(data)
        blocks.changes += data.count(b"event: change")
