"""CPU and latency of a relayed round trip, against a bare pump, haproxy and no proxy at all.

Rules of this file:
- One run, rounds interleaved: in every round each path gets the same messages, one path after the other.
- CPU is that of the proxy process alone, user and system, per round trip; the least of the rounds counts,
  because noise of a shared machine only ever adds. Latency is the middle of the rounds' medians.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from tests.benchmarks import gauges
from tests.benchmarks.bench import Bench
from tests.benchmarks.chargers import Charger, Say, closed_loop, fleet, hang_up
from tests.benchmarks.payloads import Words
from tests.benchmarks.report import Row

CHARGERS = 20
# New states come last: each is a document that the gateway stores a moment later, which must not fall into
# the next measurement.
PAIRS: dict[str, Say] = {
    "205 B, state repeated": Words.status_again,
    "1.5 KB": Words.meter,
    "205 B, state changed": Words.status,
}


@dataclass(slots=True)
class Path:
    """One way from charger to cloud. `pid` None: no proxy."""

    name: str
    pid: int | None
    chargers: list[Charger]
    cpu_us: dict[str, list[float]] = field(default_factory=dict)
    p50_us: list[float] = field(default_factory=list)
    p99_us: list[float] = field(default_factory=list)

    def least(self, message: str) -> float:
        return min(self.cpu_us[message])


async def measure(bench: Bench) -> list[Row]:
    _, cloud = await bench.echo_cloud()
    paths = await _paths(bench, cloud)
    for round_ in range(bench.some(15, 4)):
        bench.say(f"relay: round {round_ + 1}, {CHARGERS} chargers")
        for message, say in PAIRS.items():
            for path in paths:
                await _cpu_round(path, message, say, bench.some(1500, 1000))
    for round_ in range(bench.some(9, 3)):
        bench.say(f"relay: round {round_ + 1}, latency of one charger")
        for path in paths:
            await _latency_round(path, bench.some(1000, 400))
    for path in paths:
        hang_up(path.chargers)
    return [*_cpu_rows(paths), *_latency_rows(paths)]


async def _paths(bench: Bench, cloud: str) -> list[Path]:
    gateway = await bench.gateway("relay", cloud)
    pump, pump_url = await bench.pump(cloud)
    haproxy, haproxy_url = await bench.haproxy(cloud, free_port())
    return [
        Path("direct", None, await fleet(cloud, CHARGERS)),
        Path("haproxy", haproxy.pid, await fleet(haproxy_url, CHARGERS)),
        Path("pump", pump.pid, await fleet(pump_url, CHARGERS)),
        Path("edgegw", gateway.pid, await fleet(gateway.url, CHARGERS)),
    ]


async def _cpu_round(path: Path, message: str, say: Say, total: int) -> None:
    if path.pid is None:
        return
    await closed_loop(path.chargers, total // 5, say)
    before = gauges.cpu_s(path.pid)
    await closed_loop(path.chargers, total, say)
    path.cpu_us.setdefault(message, []).append((gauges.cpu_s(path.pid) - before) / total * 1e6)


async def _latency_round(path: Path, total: int) -> None:
    took = await closed_loop(path.chargers[:1], total, Words.status_again)
    path.p50_us.append(gauges.percentile(took, 50) * 1e6)
    path.p99_us.append(gauges.percentile(took, 99) * 1e6)


def _cpu_rows(paths: list[Path]) -> list[Row]:
    by_name = {path.name: path for path in paths}
    edgegw, pump, haproxy = by_name["edgegw"], by_name["pump"], by_name["haproxy"]
    rows = []
    for message in PAIRS:
        cost = {path.name: path.least(message) for path in (edgegw, pump, haproxy)}
        detail = ", ".join(f"{name} {us:.0f}" for name, us in cost.items()) + " us CPU"
        bar = 1.2 if message == "1.5 KB" else 0.9
        what = f"CPU per round trip, {message}: edgegw / "
        rows.append(Row(what + "pump", cost["edgegw"] / cost["pump"], "x", "at most", bar, detail))
        judged = 6.0 if message != "1.5 KB" else None
        ratio = cost["edgegw"] / cost["haproxy"]
        rows.append(Row(what + "haproxy", ratio, "x", "at most", judged, detail))
    return rows


def _latency_rows(paths: list[Path]) -> list[Row]:
    direct, haproxy, pump, edgegw = paths
    added = {
        path.name: gauges.middle([a - b for a, b in zip(path.p50_us, direct.p50_us, strict=True)])
        for path in (edgegw, pump, haproxy)
    }
    detail = (
        f"p50 {gauges.middle(edgegw.p50_us):.0f} us, direct {gauges.middle(direct.p50_us):.0f} us; "
        f"pump adds {added['pump']:.0f} us, haproxy {added['haproxy']:.0f} us"
    )
    worst = f"direct {gauges.middle(direct.p99_us):.0f} us, pump {gauges.middle(pump.p99_us):.0f} us"
    return [
        Row("added p50 latency, one charger, 205 B", added["edgegw"] / 1000, "ms", "at most", 0.12, detail),
        Row("p99 latency, one charger, 205 B", gauges.middle(edgegw.p99_us) / 1000, "ms", detail=worst),
    ]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
