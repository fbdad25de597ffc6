"""A trace of a site under its fuse: real gateway, chargers of three OCPP versions, stepping building load.

    python -m edgegw.sim.trace --seconds 240 --csv trace.csv --plot docs/trace.svg

Rules of this file:
- The amps are those of the simulated site, not what the gateway believes: what really flowed.
- Every charger is in the site file of the trace, behind two garage fuses under the main one, wired with
  rotating phases. The building has the loads of its seed; the same seed gives the same building.
- The bar: no excess above a fuse that cars cause lasts longer than EXCESS_S_MAX. An excess is caused by
  cars while they draw and the building alone is below the fuse. Exit code 1 when the bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import uvloop

from edgegw.errors import EdgegwError
from edgegw.sim.gateway_process import GatewayProcess
from edgegw.sim.lines import LineProcess, start_chargers, start_cloud

PHASES = ("L1", "L2", "L3")
# The building of `building.LOADS` draws 55 A at worst; with the safe 6 A of nine chargers: 109 of 110 A.
MAIN_A, GARAGE_A, RESERVE_A, MARGIN_A = 110.0, 63.0, 55.0, 2.0
SAMPLE_S = 0.5
EXCESS_S_MAX = 25.0
GARAGES = ("north", "south")


@dataclass(frozen=True, slots=True)
class Sample:
    """One instant: amps per grid phase."""

    at_s: float
    building_a: tuple[float, ...]
    cars_a: tuple[float, ...]
    garages_a: dict[str, tuple[float, ...]]

    def total_a(self, phase: int) -> float:
        return self.building_a[phase] + self.cars_a[phase]


@dataclass(frozen=True, slots=True)
class Excess:
    """How far one fuse was passed on its worst phase."""

    seconds: float
    longest_s: float  # in one go, caused by cars
    worst_a: float


def garage_of(number: int) -> str:
    return GARAGES[number % len(GARAGES)]


def site_text(folder: Path, cloud_url: str, ready: dict[str, Any]) -> str:
    """The site file of the trace. `ready`: first line of the chargers."""
    numbers = {identity: number for number, identity in enumerate(ready["chargers"])}
    connectors = "".join(
        f'\n[[connector]]\ncharger = "{place.rpartition("/")[0]}"\n'
        f"connector = {place.rpartition('/')[2]}\n"
        f'circuit = "{garage_of(numbers[place.rpartition("/")[0]])}"\nphases = "{phases}"\n'
        f"safe = {6 if place.endswith('/1') else 0}\n"
        for place, phases in ready["wiring"].items()
    )
    garages = "".join(
        f'\n[[circuit]]\nname = "{name}"\nparent = "main"\nfuse = {GARAGE_A:g}\n' for name in GARAGES
    )
    return f"""
[site]
id = "trace"
[chargers]
listen = "127.0.0.1:0"
unknown = "accept"
[cloud]
url = "{cloud_url}"
[store]
directory = "{folder / "store"}"
[[meter]]
name = "grid"
template = "eastron_sdm630"
address = "{ready["meter"]}"
unit = 1
[[circuit]]
name = "main"
fuse = {MAIN_A:g}
meter = "grid"
reserve = {RESERVE_A:g}
margin = {MARGIN_A:g}
{garages}{connectors}"""


# --- running --------------------------------------------------------------------------------------


async def record(seconds: float, count: int, seed: int) -> list[Sample]:
    """Run the site for `seconds` and watch. Raises EdgegwError when the gateway does not start."""
    with tempfile.TemporaryDirectory(prefix="edgegw-trace-") as name:
        async with contextlib.AsyncExitStack() as stack:
            folder = Path(name)
            cloud = await stack.enter_async_context(await start_cloud("--listen", "127.0.0.1:0"))
            chargers = await stack.enter_async_context(await _chargers(count, seed))
            path = folder / "site.toml"
            path.write_text(site_text(folder, str(cloud.ready["listening"]), chargers.ready))
            path.chmod(0o600)
            gateway = GatewayProcess(path, folder / "store" / "edgegw.sock", folder / "gateway.log")
            stack.push_async_callback(gateway.stop)
            await gateway.start()
            await chargers.command(f"dial {gateway.url}")
            return await _watch(chargers, seconds)


async def _chargers(count: int, seed: int) -> LineProcess:
    return await start_chargers(
        "--count", str(count), "--seed", str(seed), "--cars", "mixed", "--meter-port", "0",
        "--power-every", str(SAMPLE_S), "--pause", "15", "--meter-interval", "5",
        "--samples-min", "12", "--samples-max", "40", "--energy-speed", "20",
    )  # fmt: skip


async def _watch(chargers: LineProcess, seconds: float) -> list[Sample]:
    seen = len(chargers.events)
    await asyncio.sleep(seconds)
    events = [event for event in chargers.events[seen:] if event["event"] == "grid"]
    numbers = {identity: number for number, identity in enumerate(chargers.ready["chargers"])}
    wiring = {place: _phases(text) for place, text in chargers.ready["wiring"].items()}
    garages = {place: garage_of(numbers[place.rpartition("/")[0]]) for place in wiring}
    return [_sample(event, events[0]["at"], wiring, garages) for event in events]


def _phases(text: str) -> tuple[int, ...]:
    return tuple(PHASES.index(name) for name in text.split())


def _sample(
    event: dict[str, Any], began: float, wiring: dict[str, tuple[int, ...]], garages: dict[str, str]
) -> Sample:
    sums = {name: [0.0, 0.0, 0.0] for name in GARAGES}
    for place, connector in event["connectors"].items():
        for phase, amps in zip(wiring[place], connector["amps"], strict=True):
            sums[garages[place]][phase] += amps
    return Sample(
        at_s=event["at"] - began,
        building_a=tuple(event["building"]),
        cars_a=tuple(event["cars"]),
        garages_a={name: tuple(amps) for name, amps in sums.items()},
    )


# --- judging --------------------------------------------------------------------------------------


def main_excess(samples: Sequence[Sample]) -> Excess:
    rows = [[(s.at_s, s.building_a[p], s.cars_a[p]) for s in samples] for p in range(3)]
    return _excess(rows, MAIN_A)


def garage_excess(samples: Sequence[Sample], name: str) -> Excess:
    rows = [[(s.at_s, 0.0, s.garages_a[name][p]) for s in samples] for p in range(3)]
    return _excess(rows, GARAGE_A)


def _excess(rows: Iterable[list[tuple[float, float, float]]], fuse_a: float) -> Excess:
    """rows: per phase (seconds, building, cars). A sample holds until the next one."""
    seconds = longest_s = worst_a = 0.0
    for row in rows:
        run_s = 0.0
        for (at, building, cars), (until, _, _) in pairwise(row):
            over = building + cars > fuse_a
            worst_a = max(worst_a, building + cars - fuse_a)
            seconds += (until - at) if over else 0.0
            by_cars = over and cars > 0 and building <= fuse_a
            run_s = run_s + until - at if by_cars else 0.0
            longest_s = max(longest_s, run_s)
    return Excess(seconds, longest_s, worst_a)


def report(samples: Sequence[Sample]) -> tuple[str, bool]:
    """Lines for people, and whether the bar is met."""
    fuses = [("main", MAIN_A, main_excess(samples))]
    fuses += [(name, GARAGE_A, garage_excess(samples, name)) for name in GARAGES]
    span = samples[-1].at_s - samples[0].at_s
    mean = [sum(s.cars_a[p] for s in samples) / len(samples) for p in range(3)]
    lines = [f"{span:.0f} s, cars drew {mean[0]:.0f} / {mean[1]:.0f} / {mean[2]:.0f} A in the mean"]
    for name, fuse, excess in fuses:
        lines.append(
            f"{name:<6} fuse {fuse:3g} A: {excess.seconds:5.1f} phase-seconds above it, "
            f"longest caused by cars {excess.longest_s:4.1f} s, worst {excess.worst_a:4.1f} A over"
        )
    good = all(excess.longest_s <= EXCESS_S_MAX for _, _, excess in fuses)
    lines.append(
        f"bar: no excess caused by cars longer than {EXCESS_S_MAX:g} s: {'met' if good else 'MISSED'}"
    )
    return "\n".join(lines), good


# --- files ----------------------------------------------------------------------------------------


def write_csv(samples: Iterable[Sample], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        kinds = ("building", "cars", *GARAGES)
        writer.writerow(["seconds", "fuse_a", *(f"{kind}_{name}_a" for kind in kinds for name in PHASES)])
        for s in samples:
            amps = (*s.building_a, *s.cars_a, *(a for name in GARAGES for a in s.garages_a[name]))
            writer.writerow([f"{s.at_s:.1f}", f"{MAIN_A:g}", *(f"{a:.1f}" for a in amps)])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="edgegw.sim.trace", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--chargers", type=int, default=9)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--csv", type=Path, help="write the trace here")
    parser.add_argument("--plot", type=Path, help="draw it here (.svg or .png); needs matplotlib")
    options = parser.parse_args(arguments)
    try:
        samples = uvloop.run(record(options.seconds, options.chargers, options.seed))
    except (EdgegwError, TimeoutError) as fault:
        print(json.dumps({"error": str(fault)}), file=sys.stderr)
        return 2
    text, good = report(samples)
    print(text)
    if options.csv:
        write_csv(samples, options.csv)
    if options.plot:
        from edgegw.sim.trace_plot import draw

        draw(samples, options.plot)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
