"""Every packaged meter, polled from an independent Modbus server, gives the reading of its register dump."""

from __future__ import annotations

import math
import tomllib

import pytest

from edgegw.balance.model import Reading
from edgegw.meters.plausible import MeterOptions, Plausibility
from edgegw.meters.poller import MeterPoller, PollerSettings
from edgegw.meters.template import load_templates
from tests.e2e.children import DEADLINE_S
from tests.meters.counterparts import GOLDEN, NodeMeter, rtu_meter, sdm630

TEMPLATES = load_templates()


def expected(template: str) -> list[float | None]:
    amps = tomllib.loads((GOLDEN / f"{template}.toml").read_text())["reading"]["current_a"]
    return [None if math.isnan(value) else pytest.approx(value, rel=1e-5) for value in amps]


async def poll_once(address: str, template: str, unit: int) -> tuple[list[Reading], list[str]]:
    readings: list[Reading] = []
    kind = TEMPLATES[template]
    poller = MeterPoller(
        PollerSettings(name=template, address=address, unit=unit, timeout_s=DEADLINE_S),
        kind,
        Plausibility(kind, MeterOptions()),
        lambda _, reading: readings.append(reading),
        lambda *_: None,
    )
    await poller.poll()
    await poller.stop()
    return readings, [poller.status.trouble]


async def test_every_packaged_meter_reads_over_modbus_tcp(meter: NodeMeter):
    for unit, template in enumerate(TEMPLATES, start=1):
        await meter.fill_meter(template, unit)
        readings, trouble = await poll_once(f"tcp://127.0.0.1:{meter.port}", template, unit)
        assert len(readings) == 1, (template, trouble)
        assert list(readings[0].current_a) == expected(template), template


async def test_a_meter_reads_over_rtu_framing():
    words = [word for address in range(0, 380, 2) for word in sdm630()[address]]
    async with rtu_meter(words) as port:
        readings, trouble = await poll_once(f"rtu+tcp://127.0.0.1:{port}", "eastron_sdm630", 1)
    assert readings, trouble
    assert readings[0].current_a == pytest.approx((10.0, 11.0, 12.0))
