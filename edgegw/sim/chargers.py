"""A simulated site as its own process: chargers on their own, told what to do line by line.

    python -m edgegw.sim.chargers --url ws://127.0.0.1:9000/ocpp --count 8 --ledger DIR --seed 1

The first line on stdout is {"chargers": [...]}; then one JSON line per event of a charger and per answer
to a command on stdin:

    status | finish [SECONDS] | cars on|off | quit
    reboot IDENTITY [REASON] | power_off IDENTITY | power_on IDENTITY | drop IDENTITY
    start IDENTITY CONNECTOR TAG | stop IDENTITY CONNECTOR

End of stdin ends it (--no-stdin: stdin is not read), and so do SIGTERM and SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import uvloop

from edgegw.sim.habits import Habits
from edgegw.sim.lines import open_stdin, say
from edgegw.sim.site import SimSite, Traffic

Answer = dict[str, Any]


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
    except (KeyError, ValueError, TypeError, TimeoutError) as error:
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}


def _status(site: SimSite) -> Answer:
    chargers = {
        identity: {
            "version": charger.version,
            "online": charger.online,
            "charging": sorted(charger.memory.sessions),
            "waiting": len(charger.memory.queue),
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


def _start(site: SimSite, identity: str, connector: str, tag: str) -> None:
    charger = site.chargers[identity]
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
}


async def _run(options: argparse.Namespace) -> None:
    def on_event(identity: str, event: str, facts: Answer) -> None:
        if not options.quiet:
            say({"event": event, "charger": identity, **facts})

    site = SimSite(
        options.url,
        options.count,
        directory=options.ledger,
        seed=options.seed,
        versions=options.versions.split(","),
        habits=_habits(options),
        traffic=Traffic(pause_s=options.pause, samples=(options.samples_min, options.samples_max)),
        on_event=on_event,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    say({"chargers": list(site.chargers)})
    site.arrivals = not options.no_cars
    async with site:
        reading = None if options.no_stdin else loop.create_task(_read_stdin(site, stop))
        await stop.wait()
        if reading:
            reading.cancel()


def _habits(options: argparse.Namespace) -> Habits:
    return Habits(
        meter_interval_s=options.meter_interval,
        heartbeat_s=options.heartbeat,
        backoff_min_s=options.backoff,
        backoff_max_s=options.backoff * 16,
        message_timeout_s=options.timeout,
        retry_interval_s=options.retry_interval,
    )


async def _read_stdin(site: SimSite, stop: asyncio.Event) -> None:
    reader = await open_stdin()
    while (line := await reader.readline()) and line.strip() != b"quit":
        say(await obey(site, line.decode()))
    stop.set()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="edgegw.sim.chargers", description="simulated chargers")
    parser.add_argument("--url", required=True, help="what the chargers dial, without the identity")
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
    parser.add_argument("--quiet", action="store_true", help="no events on stdout")
    parser.add_argument("--no-stdin", action="store_true")
    uvloop.run(_run(parser.parse_args(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
