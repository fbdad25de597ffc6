"""What the flight recorder costs: CPU of the gateway per relayed round trip, with it and without.

Rules of this file: as in `relay`. Both gateways are the same but for `[store] flight_quota`. What the
recorder does behind the messages (compressing, the disk) falls into the same measurement: each round ends
with a pause in which it catches up. A round is long: what the recorder costs per second (a few milliseconds,
messages or not) is no cost of a message.
"""

from __future__ import annotations

import asyncio

from tests.benchmarks import gauges
from tests.benchmarks.bench import Bench
from tests.benchmarks.chargers import Charger, closed_loop, fleet, hang_up
from tests.benchmarks.payloads import Words
from tests.benchmarks.report import Row

CHARGERS = 20
CATCH_UP_S = 2.0  # it writes a second behind the last message
BARS = {"205 B": 1.25, "1.5 KB": 1.5}
SAYS = {"205 B": Words.status_again, "1.5 KB": Words.meter}


async def measure(bench: Bench) -> list[Row]:
    _, cloud = await bench.echo_cloud()
    gateways = {
        "off": await bench.gateway("recorder-off", cloud, {"store": {"flight_quota": "0 B"}}),
        "on": await bench.gateway("recorder-on", cloud, {"store": {"flight_quota": "64 MB"}}),
    }
    fleets = {name: await fleet(gateway.url, CHARGERS) for name, gateway in gateways.items()}
    cost: dict[tuple[str, str], list[float]] = {}
    for round_ in range(bench.some(9, 3)):
        bench.say(f"recorder: round {round_ + 1}, {CHARGERS} chargers")
        for message in SAYS:
            for name, gateway in gateways.items():
                us = await _round(gateway.pid, fleets[name], message, bench.some(9000, 6000))
                cost.setdefault((message, name), []).append(us)
    for chargers in fleets.values():
        hang_up(chargers)
    return [_row(message, min(cost[message, "on"]), min(cost[message, "off"])) for message in SAYS]


async def _round(pid: int, chargers: list[Charger], message: str, total: int) -> float:
    await closed_loop(chargers, total // 5, SAYS[message])
    await asyncio.sleep(CATCH_UP_S)
    before = gauges.cpu_s(pid)
    await closed_loop(chargers, total, SAYS[message])
    await asyncio.sleep(CATCH_UP_S)
    return (gauges.cpu_s(pid) - before) / total * 1e6


def _row(message: str, on_us: float, off_us: float) -> Row:
    what = f"CPU per round trip, {message}: flight recorder on / off"
    return Row(what, on_us / off_us, "x", "at most", BARS[message], f"on {on_us:.0f} us, off {off_us:.0f} us")
