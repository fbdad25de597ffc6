"""Steering a simulated meter and building, line by line; alone or inside `edgegw.sim.chargers`.

meter ok | meter cut | meter restore | meter latency SECONDS | meter factor F1 [F2 F3]
meter silent|frozen|nan|swapped|negative on|off | meter show
building AMPS | building L1 L2 L3 | building auto
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import time
from collections.abc import Sequence
from typing import Any

import uvloop

from edgegw.sim.building import Building, parse_amps
from edgegw.sim.lines import open_stdin, say
from edgegw.sim.meter import SimMeter

Answer = dict[str, Any]
_SWITCHES = ("silent", "frozen", "nan", "swapped", "negative")
_ON_OFF = {"on": True, "off": False}


async def meter_command(meter: SimMeter, what: str, *words: str) -> Answer:
    """Raises ValueError, KeyError or TypeError for a command it does not know, OSError for a taken port."""
    if what in _SWITCHES:
        setattr(meter.faults, what, _ON_OFF[words[0] if words else "on"])
    elif what == "latency":
        meter.faults.latency_s = float(words[0])
    elif what == "factor":
        factors = [float(word) for word in words] * (3 if len(words) == 1 else 1)
        one, two, three = factors
        meter.faults.factors = (one, two, three)
    elif what == "cut":
        await meter.cut()
    elif what in ("restore", "ok"):
        meter.mend()
        await meter.start()
    elif what != "show":
        raise ValueError(f"unknown: meter {what}")
    shown = meter.values()
    return {"requests": meter.requests, "amps": [shown[at] for at in (6, 8, 10)]}


def building_command(building: Building, *words: str) -> Answer:
    if words == ("auto",):
        building.release()
    elif words:
        building.set(parse_amps(words))
    return {"building": building.amps(time.monotonic())}


async def obey(meter: SimMeter, building: Building, line: str) -> Answer:
    """Carry one command out. {"ok": true, ...} or {"ok": false, "error": text}."""
    name, *words = shlex.split(line) or [""]
    try:
        if name == "meter":
            return {"ok": True, **await meter_command(meter, *words)}
        if name == "building":
            return {"ok": True, **building_command(building, *words)}
    except (KeyError, IndexError, ValueError, TypeError, OSError) as error:
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}
    return {"ok": False, "error": f"unknown command {name!r}; known: meter building quit"}


async def _run(options: argparse.Namespace) -> None:
    building = Building(seed=options.seed)
    if options.building:
        building.set(parse_amps(options.building.split(",")))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    meter = SimMeter(lambda: building.amps(time.monotonic()), port=options.port, seed=options.seed)
    async with meter:
        say({"meter": meter.address})
        reading = loop.create_task(_read_stdin(meter, building, stop))
        await stop.wait()
        reading.cancel()


async def _read_stdin(meter: SimMeter, building: Building, stop: asyncio.Event) -> None:
    reader = await open_stdin()
    while (line := await reader.readline()) and line.strip() != b"quit":
        say(await obey(meter, building, line.decode()))
    stop.set()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="edgegw.sim.meter", description="a simulated site meter")
    parser.add_argument("--port", type=int, default=0, help="0: the system chooses")
    parser.add_argument("--building", help="amps, or L1,L2,L3; default: loads that come and go")
    parser.add_argument("--seed", type=int, default=0)
    uvloop.run(_run(parser.parse_args(arguments)))
    return 0
