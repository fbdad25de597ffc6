"""Chargers of two connectors each, on which every value changes every second."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Sequence

from tests.benchmarks.chargers import Charger, connect

CONNECTORS = (1, 2)


async def two_plug_fleet(base_url: str, count: int) -> list[Charger]:
    """Connected and booted; both connectors of each charge."""
    chargers: list[Charger] = []
    for first in range(0, count, 50):
        batch = range(first, min(first + 50, count))
        chargers += await asyncio.gather(*(_booted(base_url, number) for number in batch))
    return chargers


async def _booted(base_url: str, number: int) -> Charger:
    charger = await connect(base_url, number)
    await charger.ask(charger.words.boot())
    for connector in CONNECTORS:
        told = {"connectorId": connector, "errorCode": "NoError", "status": "Charging"}
        await charger.ask(_call("StatusNotification", told))
    return charger


_ids = itertools.count()


def _call(action: str, payload: object) -> bytes:
    return json.dumps([2, f"two-{next(_ids):x}", action, payload]).encode()


async def tell_all(chargers: Sequence[Charger], seconds: float) -> None:
    """Each connector's meter values, once a second; the chargers spread over the second."""
    ends = time.monotonic() + seconds
    await asyncio.gather(
        *(_tell(charger, ends, number / len(chargers)) for number, charger in enumerate(chargers))
    )


async def _tell(charger: Charger, ends: float, offset_s: float) -> None:
    due = time.monotonic() + offset_s
    for round_ in itertools.count():
        await asyncio.sleep(due - time.monotonic())
        if due > ends:
            return
        for connector in CONNECTORS:
            await charger.ask(_call("MeterValues", _values(connector, round_)))
        due += 1.0


def _values(connector: int, round_: int) -> dict[str, object]:
    amps = 6.0 + (round_ * 7 + connector) % 100 / 10
    samples = [
        {"value": f"{amps * 690:.1f}", "measurand": "Power.Active.Import", "unit": "W"},
        {"value": f"{100_000 + round_ * 10}", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
    ]
    samples += [
        {
            "value": f"{amps + phase / 10:.1f}",
            "measurand": "Current.Import",
            "phase": f"L{phase}",
            "unit": "A",
        }
        for phase in (1, 2, 3)
    ]
    stamp = f"2026-07-01T{round_ // 3600 % 24:02d}:{round_ // 60 % 60:02d}:{round_ % 60:02d}Z"
    return {"connectorId": connector, "meterValue": [{"timestamp": stamp, "sampledValue": samples}]}
