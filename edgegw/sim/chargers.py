"""A simulated site as its own process: chargers on their own, told what to do line by line.

    python -m edgegw.sim.chargers --url ws://127.0.0.1:9000/ocpp --count 8 --ledger DIR --seed 1

The first line on stdout is {"chargers": [...]}, with --cars and --meter-port also {"wiring": {"CP01/1":
"L1 L2 L3"}, "meter": "tcp://127.0.0.1:PORT"}; then one JSON line per event of a charger and per answer to
a command on stdin:

    status | finish [SECONDS] | cars on|off | dial URL | quit
    reboot IDENTITY [REASON] | power_off IDENTITY | power_on IDENTITY | drop IDENTITY
    start IDENTITY CONNECTOR TAG [CAR] | stop IDENTITY CONNECTOR
    power | profiles IDENTITY | habit ... (`power_commands`) | meter ... | building ... (`meter_control`)

Without --url the chargers stay off until `dial`. End of stdin ends it (--no-stdin: stdin is not read), and
so do SIGTERM and SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import uvloop

from edgegw.sim.building import Building, parse_amps
from edgegw.sim.ev import CARS, cars_named
from edgegw.sim.habits import Habits
from edgegw.sim.lines import open_stdin, say
from edgegw.sim.power_commands import POWER_COMMANDS, power
from edgegw.sim.site import Grid, SimSite, Traffic

Answer = dict[str, Any]
NOWHERE = "ws://127.0.0.1:9"


async def obey(site: SimSite, line: str) -> Answer:
    """Carry one command out. {"ok": true, ...} or {"ok": false, "error": text}."""
    name, *words = shlex.split(line) or [""]
    command = _COMMANDS.get(name)
    if command is None:
        return {"ok": False, "error": f"unknown command {name!r}; known: {' '.join(_COMMANDS)}"}
    try:
        answer = command(site, *words)
        if isinstance(answer, Awaitable):
            answer = await answer
        return {"ok": True, **(answer or {})}
    except (KeyError, IndexError, ValueError, TypeError, TimeoutError, OSError) as error:
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}


def _status(site: SimSite) -> Answer:
    chargers = {
        identity: {
            "version": charger.version,
            "online": charger.online,
            "charging": sorted(charger.memory.sessions),
            "waiting": len(charger.memory.queue),
            "firmware": charger.memory.firmware_version,
        }
        for identity, charger in site.chargers.items()
    }
    totals = {"online": site.online(), "charging": site.charging(), "waiting": site.waiting()}
    return {**totals, "transactions": site.transactions, "chargers": chargers}


async def _finish(site: SimSite, timeout_s: str = "60") -> Answer:
    await site.finish(float(timeout_s))
    return {"transactions": site.transactions}


def _cars(site: SimSite, switch: str) -> None:
    site.arrivals = {"on": True, "off": False}[switch]


async def _power_on(site: SimSite, identity: str) -> None:
    await site.chargers[identity].start()


def _start(site: SimSite, identity: str, connector: str, tag: str, car: str = "") -> None:
    charger = site.chargers[identity]
    if car:
        (charger.power.next_cars[int(connector)],) = cars_named(car)
    charger.spawn(charger.charge(int(connector), tag, samples=None))


def _stop(site: SimSite, identity: str, connector: str) -> None:
    charger = site.chargers[identity]
    charger.wish_stop(charger.memory.sessions[int(connector)], "Local")


_COMMANDS: dict[str, Callable[..., Any]] = {
    "status": _status,
    "finish": _finish,
    "cars": _cars,
    "reboot": lambda site, identity, reason="PowerLoss": site.chargers[identity].reboot(reason),
    "power_off": lambda site, identity: site.chargers[identity].power_off(),
    "power_on": _power_on,
    "drop": lambda site, identity: site.chargers[identity].drop_link(),
    "start": _start,
    "stop": _stop,
    "dial": lambda site, url: site.dial(url),
    **POWER_COMMANDS,
}


async def _run(options: argparse.Namespace) -> None:
    def on_event(identity: str, event: str, facts: Answer) -> None:
        if not options.quiet:
            say({"event": event, "charger": identity, **facts})

    site = SimSite(
        options.url or NOWHERE,
        options.count,
        directory=options.ledger,
        seed=options.seed,
        versions=options.versions.split(","),
        habits=_habits(options),
        traffic=Traffic(pause_s=options.pause, samples=(options.samples_min, options.samples_max)),
        grid=_grid(options),
        on_event=on_event,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    if site.meter is not None:
        await site.meter.start()
    say(_ready(site))
    site.arrivals = not options.no_cars
    try:
        if options.url:
            await site.start()
        saying = loop.create_task(_say_power(site, options.power_every)) if options.power_every else None
        reading = None if options.no_stdin else loop.create_task(_read_stdin(site, stop))
        await stop.wait()
        for task in (reading, saying):
            if task is not None:
                task.cancel()
    finally:
        await site.stop()


def _ready(site: SimSite) -> Answer:
    ready: Answer = {"chargers": list(site.chargers)}
    if site.meter is not None:
        ready["meter"] = site.meter.address
        ready["wiring"] = {
            f"{identity}/{connector}": " ".join(f"L{phase + 1}" for phase in phases)
            for (identity, connector), phases in site.wiring.items()
        }
    return ready


def _grid(options: argparse.Namespace) -> Grid | None:
    if options.meter_port is None:
        return None
    building = Building(seed=options.seed, factor=options.building_factor)
    if options.building:
        building.set(parse_amps(options.building.split(",")))
    return Grid(building, meter_port=options.meter_port, rotate=not options.no_rotation)


def _habits(options: argparse.Namespace) -> Habits:
    chosen = Habits(
        meter_interval_s=options.meter_interval,
        heartbeat_s=options.heartbeat,
        backoff_min_s=options.backoff,
        backoff_max_s=options.backoff * 16,
        message_timeout_s=options.timeout,
        retry_interval_s=options.retry_interval,
        cars=cars_named(options.cars) if options.cars else (),
        energy_speed=options.energy_speed,
    )
    return replace(chosen, **json.loads(options.habits))


async def _say_power(site: SimSite, every_s: float) -> None:
    while True:
        say({"event": "grid", "at": time.time(), **power(site)})
        await asyncio.sleep(every_s)


async def _read_stdin(site: SimSite, stop: asyncio.Event) -> None:
    reader = await open_stdin()
    while (line := await reader.readline()) and line.strip() != b"quit":
        say(await obey(site, line.decode()))
    stop.set()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="edgegw.sim.chargers", description="simulated chargers")
    parser.add_argument("--url", help="what the chargers dial, without the identity; else `dial` says it")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--ledger", help="directory for ledgers and memories")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--versions", default="1.6,2.0.1,2.1", help="given out in turn")
    parser.add_argument("--pause", type=float, default=5.0, help="mean seconds between two cars")
    parser.add_argument("--samples-min", type=int, default=3, help="meter values per transaction")
    parser.add_argument("--samples-max", type=int, default=10)
    parser.add_argument("--meter-interval", type=float, default=2.0, help="seconds")
    parser.add_argument("--heartbeat", type=float, help="seconds; default: what the cloud says")
    parser.add_argument("--backoff", type=float, default=1.0, help="seconds before the first reconnect")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds to wait for an answer")
    parser.add_argument("--retry-interval", type=float, default=5.0, help="seconds, after a CALLERROR")
    parser.add_argument("--no-cars", action="store_true", help="start transactions on command only")
    parser.add_argument("--habits", default="{}", help="more of `habits.Habits`, as a JSON object")
    parser.add_argument("--quiet", action="store_true", help="no events on stdout")
    parser.add_argument("--no-stdin", action="store_true")
    _add_power_arguments(parser)
    uvloop.run(_run(parser.parse_args(arguments)))
    return 0


def _add_power_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cars", help=f"cars that really draw: mixed, or some of {','.join(CARS)}")
    parser.add_argument("--energy-speed", type=float, default=1.0, help="batteries fill so much faster")
    parser.add_argument("--meter-port", type=int, help="serve a Modbus TCP meter; 0: the system chooses")
    parser.add_argument("--building", help="amps of the building, or L1,L2,L3; default: loads by the seed")
    parser.add_argument("--building-factor", type=float, default=1.0, help="of the loads by the seed")
    parser.add_argument("--power-every", type=float, help="seconds between events with all currents")
    parser.add_argument("--no-rotation", action="store_true", help="every charger's L1 is the grid's")


if __name__ == "__main__":
    sys.exit(main())
