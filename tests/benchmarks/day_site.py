"""Six parking sites, and what a seed makes of a day there: the building's load and who comes when.

Rules of this file:
- A seed is one day at one site, `SITES[seed % 6]`; all chance comes from it, before the day begins.
- Amps per grid phase, seconds since the day began. No car decides anything here.
- Fuses are chosen so that there is too little for everybody: about three quarters of what is asked for fits.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgegw.balance.model import Circuit, Connector
from tests.benchmarks.day_cars import Car, make_car

DAY_S = 8 * 3600
LAST_S = 2400  # nobody comes for the last minutes: what ends with the day would look like a short stay
TUNING = tuple(range(1, 7))
HELD_OUT = tuple(range(101, 113))  # never looked at while tuning

Load = NDArray[np.float64]  # [second, phase]
ROTATIONS = ((0, 1, 2), (1, 2, 0), (2, 0, 1))


@dataclass(frozen=True, slots=True)
class Building:
    """What is not a charger. `cycling`: (amps, mean s on, mean s off) of three-phase machines."""

    base_a: float
    swing_a: float  # of the base over the day
    cycling: tuple[tuple[float, float, float], ...] = ()
    lifts: tuple[tuple[float, float], ...] = ()  # amps of a ride, rides per hour
    appliances_per_h: float = 0.0  # kitchen and workshop: one phase, 6 to 16 A, one to eight minutes
    bursts_per_h: float = 0.0  # two seconds at 25 A on three phases


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who comes. Seconds are means; a connector is free for `gap_s` between two cars."""

    first_s: float
    stay_s: float
    gap_s: float
    ask_wh: float


@dataclass(frozen=True, slots=True)
class Site:
    name: str
    circuits: tuple[Circuit, ...]
    connectors: tuple[Connector, ...]
    building: Building
    crowd: Crowd
    other: str = ""  # a circuit without a meter that feeds more than chargers
    other_a: float = 0.0


@dataclass(frozen=True, slots=True)
class Visit:
    """One car at one connector."""

    connector: int  # index in Site.connectors
    arrives: int
    leaves: int
    car: Car


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole day. `loads`: circuit name -> what is drawn there beside the chargers."""

    seed: int
    site: Site
    loads: dict[str, Load]
    visits: tuple[Visit, ...]
    seconds: int


def with_margin(site: Site, margin_a: float) -> tuple[Circuit, ...]:
    """The margin is for the meter and the loop behind it: a circuit of chargers alone keeps 2 A at most."""
    return tuple(
        Circuit(
            name=c.name,
            limit_a=c.limit_a,
            parent=c.parent,
            metered=c.metered,
            margin_a=margin_a if c.metered else min(margin_a, 2.0),
            reserve_a=c.reserve_a,
        )
        for c in site.circuits
    )


def plan(seed: int, seconds: int = DAY_S) -> Plan:
    """The day of `seed`; a shorter one ends early."""
    return plan_at(SITES[seed % len(SITES)], seed, seconds)


def plan_at(site: Site, seed: int, seconds: int) -> Plan:
    """A day at any site."""
    chance = random.Random(f"day {seed}")
    loads = {site.circuits[0].name: _building(site.building, chance, seconds)}
    if site.other:
        loads[site.other] = np.tile(_cycle(chance, seconds, site.other_a, 300, 500)[:, None], 3)
    return Plan(seed, site, loads, tuple(_visits(site, chance, seconds)), seconds)


# --- the building ---------------------------------------------------------------------------------


def _building(what: Building, chance: random.Random, seconds: int) -> Load:
    load = np.zeros((seconds, 3))
    clock = np.arange(seconds)
    noise = np.random.default_rng(chance.getrandbits(64))
    marks = np.arange(0, seconds + 120, 120)
    for phase in range(3):
        wave = np.sin(2 * np.pi * (clock / DAY_S) + chance.uniform(-2.0, 0.5))
        drift = np.interp(clock, marks, _walk(noise, len(marks)))
        load[:, phase] = what.base_a * chance.uniform(0.9, 1.1) + what.swing_a * wave / 2 + drift
        load[:, phase] += noise.normal(0.0, 0.25, seconds)
    for amps, on_s, off_s in what.cycling:
        load += _cycle(chance, seconds, amps, on_s, off_s)[:, None]
    for amps, per_hour in what.lifts:
        for at in _moments(chance, seconds, per_hour):
            load[at : at + chance.randint(8, 16)] += amps * chance.uniform(0.5, 1.0)
    for at in _moments(chance, seconds, what.appliances_per_h):
        load[at : at + chance.randint(60, 480), chance.randrange(3)] += chance.uniform(6.0, 16.0)
    for at in _moments(chance, seconds, what.bursts_per_h):
        load[at : at + 2] += 25.0
    return np.maximum(load, 0.0)


def _walk(noise: np.random.Generator, points: int) -> Load:
    """A slow random walk that comes back."""
    level, out = 0.0, []
    for push in noise.normal(0.0, 0.5, points):
        level = 0.95 * level + push
        out.append(level)
    return np.array(out)


def _cycle(chance: random.Random, seconds: int, amps: float, on_s: float, off_s: float) -> Load:
    """A compressor: on and off for half to one and a half times the mean, a second of inrush."""
    load = np.zeros(seconds)
    at = int(chance.uniform(0, off_s))
    while at < seconds:
        until = at + int(on_s * chance.uniform(0.5, 1.5))
        load[at:until] += amps
        load[at : at + 1] += amps * 0.8
        at = until + int(off_s * chance.uniform(0.5, 1.5))
    return load


def _moments(chance: random.Random, seconds: int, per_hour: float) -> list[int]:
    found: list[int] = []
    at = 0.0
    while per_hour > 0:
        at += chance.expovariate(per_hour / 3600)
        if at >= seconds:
            break
        found.append(int(at))
    return found


# --- who comes ------------------------------------------------------------------------------------


def _visits(site: Site, chance: random.Random, seconds: int) -> list[Visit]:
    crowd, found = site.crowd, []
    for index, connector in enumerate(site.connectors):
        at = chance.expovariate(1 / crowd.first_s) if chance.random() < 0.92 else seconds
        while at < seconds - LAST_S:
            quick = 0.35 if connector.dc else 1.0
            stay = max(900.0, quick * crowd.stay_s * chance.lognormvariate(-0.08, 0.4))
            leaves = min(seconds, int(at + stay))
            if leaves - at >= 900:
                car = make_car(chance, connector, leaves - at, crowd.ask_wh)
                found.append(Visit(index, int(at), leaves, car))
            at = leaves + chance.expovariate(1 / crowd.gap_s)
    return sorted(found, key=lambda v: (v.arrives, v.connector))


# --- the sites ------------------------------------------------------------------------------------


def _row(
    circuit: str, count: int, first: int, *, single_every: int = 0, max_a: float = 32.0, safe_a: float = 0.0
) -> list[Connector]:
    """`count` connectors, rotated one by one; each `single_every`-th is a single-phase one."""
    made = []
    for n in range(count):
        turn = ROTATIONS[n % 3]
        alone = bool(single_every) and n % single_every == single_every - 1
        phases = turn[:1] if alone else turn
        name = f"CP-{first + n}/1"
        made.append(Connector(id=name, circuit=circuit, phases=phases, max_a=max_a, safe_a=safe_a))
    return made


def _fuse(name: str, limit_a: float, parent: str, reserve_a: float = 0.0) -> Circuit:
    return Circuit(name=name, limit_a=limit_a, parent=parent, reserve_a=reserve_a)


def _main(limit_a: float, reserve_a: float) -> Circuit:
    return Circuit(name="main", limit_a=limit_a, metered=True, reserve_a=reserve_a)


def _office() -> Site:
    return Site(
        name="office, 20",
        circuits=(_main(125, 75), _fuse("west", 63, "main"), _fuse("east", 63, "main")),
        connectors=(*_row("west", 10, 1), *_row("east", 10, 11, single_every=5)),
        building=Building(30, 12, ((10, 420, 600), (8, 300, 900)), ((16, 14),), 6),
        crowd=Crowd(3000, 14000, 2400, 21000),
    )


def _hotel() -> Site:
    return Site(
        name="hotel, 24",
        circuits=(
            _main(140, 85),
            _fuse("garage", 80, "main"),
            _fuse("court", 63, "main", 6),
            _fuse("annex", 32, "court"),
        ),
        connectors=(
            *_row("garage", 12, 1),
            *_row("court", 8, 13, single_every=4),
            *_row("annex", 4, 21, single_every=2),
        ),
        building=Building(45, 20, ((12, 500, 700),), ((18, 20),), 16),
        crowd=Crowd(6000, 16000, 3600, 20000),
        other="court",
        other_a=5,
    )


def _shop() -> Site:
    fast = Connector(id="DC-1/1", circuit="fast", min_a=10, max_a=80, safe_a=0, dc=True)
    return Site(
        name="supermarket, 15 with DC",
        circuits=(_main(160, 110), _fuse("park", 80, "main"), _fuse("fast", 100, "main")),
        connectors=(*_row("park", 14, 1, single_every=7), fast),
        building=Building(50, 15, ((18, 240, 300), (14, 300, 360), (10, 200, 500)), (), 8),
        crowd=Crowd(1200, 5400, 500, 12000),
    )


def _apartments() -> Site:
    risers = [_fuse(name, 63, "main") for name in ("riser A", "riser B", "riser C")]
    return Site(
        name="apartments, 40",
        circuits=(_main(160, 80), *risers),
        connectors=(
            *_row("riser A", 14, 1, single_every=3),
            *_row("riser B", 13, 15, single_every=4),
            *_row("riser C", 13, 28, single_every=3),
        ),
        building=Building(32, 24, (), ((14, 18), (14, 18)), 30),
        crowd=Crowd(8000, 19000, 5000, 15000),
    )


def _depot() -> Site:
    return Site(
        name="depot, 30",
        circuits=(
            _main(200, 105),
            _fuse("north", 100, "main"),
            _fuse("south", 100, "main"),
            _fuse("dock", 50, "south"),
        ),
        connectors=(*_row("north", 13, 1), *_row("south", 10, 14), *_row("dock", 7, 24)),
        building=Building(45, 20, ((22, 180, 420), (16, 400, 800)), ((20, 8),), 14),
        crowd=Crowd(4500, 12000, 3000, 25000),
    )


def _clinic() -> Site:
    return Site(
        name="clinic, 12",
        circuits=(_main(72, 50), _fuse("staff", 40, "main"), _fuse("guests", 32, "main")),
        connectors=(
            *_row("staff", 7, 1, single_every=3),
            *_row("guests", 5, 8, single_every=4, max_a=16),
        ),
        building=Building(22, 8, ((7, 300, 700),), ((12, 16),), 6, bursts_per_h=4),
        crowd=Crowd(3000, 11000, 1800, 15000),
    )


MAKERS: Sequence[Callable[[], Site]] = (_office, _hotel, _shop, _apartments, _depot, _clinic)
SITES = tuple(make() for make in MAKERS)
