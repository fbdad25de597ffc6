"""The building's broker: what publishing costs, what a day without broker costs, how long a command takes.

A real mosquitto and the real gateway.

Rules of this file:
- The cost of publishing is a difference: the same chargers say the same to a gateway without [mqtt].
- A day without broker is told by what happens in one, not by the clock: EVENTS of them, as fast as they go.
- Commands are spaced out: the gateway takes ten a second, as a building sends them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.benchmarks import gauges
from tests.benchmarks.bench import Bench
from tests.benchmarks.chargers import Charger, closed_loop, fleet, hang_up
from tests.benchmarks.mqtt_ear import Ear
from tests.benchmarks.mqtt_fleet import CONNECTORS, tell_all, two_plug_fleet
from tests.benchmarks.payloads import Words
from tests.benchmarks.report import Row
from tests.e2e.gateway import GatewayProcess
from tests.servers.mosquitto import Mosquitto

ROOT = "edgegw/1/e2e"
PUBLISHED = 200  # chargers
EVENTS = 86_400  # one a second, for a day
EVENTS_KEPT = 10_000  # the product's own
BUSY, NEIGHBOURS = 50, 20  # chargers that make events; chargers whose answers are timed
PAUSE_S = 0.02
NEIGHBOURS_BAR_MS = 250.0
GROWTH_BAR_MIB = 4.0  # pages of SQLite and of the allocator; a leak of every event would be 15 MiB
RETURN_BAR_S, COMMAND_BAR_MS = 5.0, 50.0
COMMANDS_PER_S = 8.0

STANDALONE: dict[str, Any] = {"authorization": {"unknown_tags": "accept"}}
LIMIT: dict[str, Any] = {"source": "bms", "expires_s": 60, "fallback_a": 80}
POWER: dict[str, Any] = {
    "circuit": [{"name": "main", "fuse": 100, "reserve": 20}],
    "connector": [{"charger": "CP-0001", "circuit": "main", "phases": "L1 L2 L3", "safe": 6}],
}


async def measure(bench: Bench) -> list[Row]:
    rows = []
    for part, settings in (
        (_publishing, ""),
        (_day_without, ""),
        (_commands, "set_tcp_nodelay true"),
        (_commands_with_nagle, ""),
    ):
        async with Mosquitto(bench.folder / part.__name__, settings=settings) as broker:
            rows += await part(bench, broker)
    return rows


def _mqtt(broker: Mosquitto, **more: object) -> dict[str, Any]:
    return {"mqtt": {"broker": f"mqtt://127.0.0.1:{broker.port}", **more}}


# --- what publishing costs ------------------------------------------------------------------------


async def _publishing(bench: Bench, broker: Mosquitto) -> list[Row]:
    count, lasts_s = bench.some(PUBLISHED, 50), float(bench.some(20, 5))
    silent = await bench.gateway("silent", None, STANDALONE)
    telling = await bench.gateway("telling", None, {**STANDALONE, **_mqtt(broker)})
    fleets = [await two_plug_fleet(gateway.url, count) for gateway in (silent, telling)]
    shares: dict[str, list[float]] = {"silent": [], "telling": []}
    with Ear(broker.port, ROOT) as ear:
        await ear.until(lambda: _connectors(ear) == count * len(CONNECTORS), "all connectors are published")
        heard = -_states(ear)
        for round_ in range(bench.some(3, 1)):
            bench.say(f"mqtt: round {round_ + 1}, {count} chargers tell new values every second")
            for gateway, chargers in zip((silent, telling), fleets, strict=True):
                shares[gateway.name].append(await _share(gateway, chargers, lasts_s))
        heard += _states(ear)
    for chargers in fleets:
        hang_up(chargers)
    await silent.terminate()
    await telling.terminate()
    more = gauges.middle(shares["telling"]) - gauges.middle(shares["silent"])
    per_s = heard / (len(shares["telling"]) * lasts_s)
    detail = (
        f"{gauges.middle(shares['telling']):.1%} against {gauges.middle(shares['silent']):.1%} of a core "
        f"without [mqtt]; {per_s:.0f} connector states/s heard"
    )
    what = f"CPU of publishing {count} chargers with 2 connectors, all values new every second"
    return [Row(what, more * 100, "% of a core", "", None, detail)]


def _connectors(ear: Ear) -> int:
    return sum("/connector/" in topic for topic in list(ear.counts))


def _states(ear: Ear) -> int:
    return sum(count for topic, count in list(ear.counts.items()) if "/connector/" in topic)


async def _share(gateway: GatewayProcess, chargers: list[Charger], lasts_s: float) -> float:
    before, began = gauges.cpu_s(gateway.pid), time.perf_counter()
    await tell_all(chargers, lasts_s)
    return (gauges.cpu_s(gateway.pid) - before) / (time.perf_counter() - began)


# --- a day without broker -------------------------------------------------------------------------


async def _day_without(bench: Bench, broker: Mosquitto) -> list[Row]:
    gateway = await bench.gateway("day", None, {**STANDALONE, **_mqtt(broker, events_kept=EVENTS_KEPT)})
    busy = await fleet(gateway.url, BUSY, "BUSY")
    good = await fleet(gateway.url, NEIGHBOURS, "GOOD")
    calm = await _listen(good, float(bench.some(5, 2)))
    await broker.kill()
    rows = [_neighbours("is gone", await _listen(good, float(bench.some(5, 2))), calm)]
    rows.append(await _memory(bench, gateway, busy))
    await broker.start()
    rows.append(await _return(bench, broker))
    broker.freeze()
    rows.append(_neighbours("stands still", await _listen(good, float(bench.some(15, 5))), calm))
    broker.thaw()
    hang_up([*busy, *good])
    await gateway.terminate()
    return rows


async def _listen(good: list[Charger], lasts_s: float) -> list[float]:
    ends = time.monotonic() + lasts_s
    return [took for of_one in await asyncio.gather(*(_talk(one, ends) for one in good)) for took in of_one]


async def _talk(charger: Charger, ends: float) -> list[float]:
    took = []
    while time.monotonic() < ends:
        began = time.perf_counter()
        await charger.ask(charger.words.status())
        took.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE_S)
    return took


def _neighbours(what: str, took: list[float], calm: list[float]) -> Row:
    detail = (
        f"worst {max(took) * 1e3:.0f} ms, p50 {_ms(took, 50):.1f} ms; with it: p99 {_ms(calm, 99):.1f} ms"
    )
    what = f"p99 of {NEIGHBOURS} chargers while the broker {what}"
    return Row(what, _ms(took, 99), "ms", "at most", NEIGHBOURS_BAR_MS, detail)


async def _memory(bench: Bench, gateway: GatewayProcess, busy: list[Charger]) -> Row:
    """Beside a gateway without [mqtt], which keeps transactions too. One is two events: start and end."""
    total = bench.some(EVENTS, EVENTS // 4)
    bench.say(f"mqtt: {total:,} events without a broker, and the same without [mqtt]")
    silent = await bench.gateway("day-silent", None, STANDALONE)
    both = {gateway.pid: busy, silent.pid: await fleet(silent.url, BUSY, "BUSY")}
    for chargers in both.values():  # until every queue and every memory of what was told is full
        await _transactions(chargers, total // 4)
    half = {pid: gauges.rss_bytes(pid) for pid in both}
    for chargers in both.values():
        await _transactions(chargers, total // 4)
    grown = {pid: gauges.rss_bytes(pid) - half[pid] for pid in both}
    mine, its = grown[gateway.pid], grown[silent.pid]
    hang_up(both[silent.pid])
    await silent.terminate()
    detail = (
        f"second half of it: {mine / 2**20:.1f} MiB against {its / 2**20:.1f} MiB without [mqtt]; "
        f"peak {gauges.rss_peak_bytes(gateway.pid) / 2**20:.0f} MiB"
    )
    what = f"memory of a day without broker, {total:,} events, {EVENTS_KEPT:,} kept: growth more than without"
    return Row(what, (mine - its) / 2**20, "MiB", "at most", GROWTH_BAR_MIB, detail)


async def _transactions(busy: list[Charger], count: int) -> None:
    """Start and stop, in turn, on every charger. A part at a time: `closed_loop` has a deadline."""
    left = count
    while left > 0:
        part = min(left, 5000)
        await closed_loop(busy, 2 * part, _start_and_stop())
        left -= part


def _start_and_stop() -> Any:
    running: set[Words] = set()

    def say(words: Words) -> bytes:
        if words in running:
            running.discard(words)
            return words.stop()
        running.add(words)
        return words.start()

    return say


async def _return(bench: Bench, broker: Mosquitto) -> Row:
    """From the broker's port being open to everything retained being there again."""
    bench.say("mqtt: the broker is back")
    began = time.perf_counter()
    with Ear(broker.port, ROOT) as ear:
        wanted = BUSY + NEIGHBOURS
        await ear.until(lambda: ear.newest.get("status") == b"online", "the gateway is online again")
        await ear.until(lambda: _connectors(ear) == wanted, "all states are there again")
        took = time.perf_counter() - began
        await ear.until(lambda: ear.counts["event"] >= EVENTS_KEPT // 2, "events that were kept come")
        delivering_s = time.perf_counter() - began
        await asyncio.sleep(bench.some(10, 3))
        detail = (
            f"{wanted} connectors; {EVENTS_KEPT // 2:,} kept events after {delivering_s:.1f} s, "
            f"{ear.counts['event']:,} in all, {_dropped(ear)} dropped"
        )
    return Row("broker back -> every state right", took, "s", "at most", RETURN_BAR_S, detail)


def _dropped(ear: Ear) -> str:
    health = ear.newest.get("health", b"")
    _, found, rest = health.partition(b'"events_dropped":')
    return f"{int(rest.partition(b',')[0]):,}" if found else "?"


# --- commands -------------------------------------------------------------------------------------


async def _commands(bench: Bench, broker: Mosquitto) -> list[Row]:
    async with _commanded(bench, broker, "commands") as (gateway, ear):
        limit = await _round_trips(bench, gateway, ear, "limit/set", **LIMIT)
        health = await _round_trips(bench, gateway, ear, "health_check")
    bar = ("at most", COMMAND_BAR_MS)
    return [
        Row("limit/set over the broker: asked -> answered, p95", limit[0], "ms", *bar, limit[1]),
        Row("health_check over the broker: asked -> answered, p95", health[0], "ms", *bar, health[1]),
    ]


async def _commands_with_nagle(bench: Bench, broker: Mosquitto) -> list[Row]:
    """Linux holds the broker's second small packet back until the first is acknowledged: 40 ms."""
    async with _commanded(bench, broker, "nagle") as (gateway, ear):
        p95_ms, detail = await _round_trips(bench, gateway, ear, "limit/set", **LIMIT)
    what = "the same, limit/set, at a mosquitto without set_tcp_nodelay, p95"
    return [Row(what, p95_ms, "ms", "", None, detail)]


@asynccontextmanager
async def _commanded(bench: Bench, broker: Mosquitto, name: str) -> AsyncIterator[tuple[GatewayProcess, Ear]]:
    switched_on = {"commands": ["limit/set", "health_check"], "limit_sources": ["bms"]}
    gateway = await bench.gateway(name, None, {**STANDALONE, **POWER, **_mqtt(broker, **switched_on)})
    with Ear(broker.port, ROOT) as ear:
        await ear.until(lambda: ear.newest.get("status") == b"online", "the gateway is online")
        yield gateway, ear
    await gateway.terminate()


async def _round_trips(
    bench: Bench, gateway: GatewayProcess, ear: Ear, verb: str, **request: object
) -> tuple[float, str]:
    """p95 in ms, and what stands behind it."""
    count = bench.some(200, 30)
    bench.say(f"mqtt: {count} times {verb}")
    rng, took, own_ms = random.Random(1), [], []
    before = gauges.turns(gateway.pid)
    for number in range(count):
        more = {"limit_a": 40 + number % 20} if verb == "limit/set" else {}
        await asyncio.sleep(rng.uniform(0.8, 1.2) / COMMANDS_PER_S)
        seconds, answer = await asyncio.to_thread(ear.command, verb, **request, **more)
        assert answer["status"] == "ok", answer
        took.append(seconds)
        own_ms.append(answer["took_ms"])
    detail = (
        f"p50 {_ms(took, 50):.1f}, max {max(took) * 1e3:.0f} ms; in the gateway p50 "
        f"{gauges.percentile(own_ms, 50):.1f}, p95 {gauges.percentile(own_ms, 95):.1f} ms; "
        f"edgegw {gauges.turns(gateway.pid).since(before).text}"
    )
    return _ms(took, 95), detail


def _ms(took: list[float], percent: float) -> float:
    return gauges.percentile(took, percent) * 1e3
