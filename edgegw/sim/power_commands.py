"""Commands about power to a simulated site (`edgegw.sim.chargers`): what flows, habits that get in the way.

power | profiles IDENTITY | meter ... | building ... (`meter_control`)
habit IDENTITY rejects none|max|tx|tx_default ... | habit IDENTITY stack_level_max N
habit IDENTITY units A|W|A,W | habit IDENTITY disobeys on|off | habit IDENTITY answer_delay SECONDS
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from edgegw.sim.charging_profiles import MAX, TX, TX_DEFAULT
from edgegw.sim.meter_control import building_command, meter_command
from edgegw.sim.site import SimSite

Answer = dict[str, Any]


def power(site: SimSite) -> Answer:
    """Amps per grid phase of building and cars, and each connector's offer, draw and state."""
    cars = site.cars_a()
    connectors = {
        f"{identity}/{connector}": _connector(site, identity, connector)
        for identity, connector in site.wiring
    }
    return {"building": site.building.amps(time.monotonic()), "cars": cars, "connectors": connectors}


def _connector(site: SimSite, identity: str, connector: int) -> Answer:
    charger = site.chargers[identity]
    car, session = charger.power.car(connector), charger.session(connector)
    return {
        "state": session.charging_state if session else charger.status(connector),
        "offered_a": charger.power.offered_a(connector),
        "amps": charger.power.amps(connector),
        "car": car.car.name if car else "",
        "energy_wh": car.energy_wh if car else 0.0,
    }


def profiles(site: SimSite, identity: str) -> Answer:
    kept = site.chargers[identity].memory.profiles
    return {"profiles": [{"place": k.place, "lapsed": k.lapsed, "profile": k.profile} for k in kept]}


def habit(site: SimSite, identity: str, name: str, *values: str) -> None:
    manners = site.chargers[identity].manners
    if name == "rejects":
        chosen = set(values) - {"none"}
        if not chosen <= {MAX, TX, TX_DEFAULT}:
            raise ValueError(f"rejects {MAX}, {TX}, {TX_DEFAULT} or none")
        manners.rejects = chosen
    elif name == "stack_level_max":
        manners.stack_level_max = int(values[0])
    elif name == "units":
        units = tuple(values[0].split(","))
        if not set(units) <= {"A", "W"}:
            raise ValueError("units are A, W or A,W")
        manners.units = units
    elif name == "disobeys":
        manners.disobeys = {"on": True, "off": False}[values[0]]
    elif name == "answer_delay":
        manners.answer_delay_s = float(values[0])
    else:
        raise ValueError(f"unknown habit {name!r}")


async def _meter(site: SimSite, *words: str) -> Answer:
    if site.meter is None:
        raise ValueError("this site has no meter: --meter-port")
    return await meter_command(site.meter, *words)


POWER_COMMANDS: dict[str, Callable[..., Any]] = {
    "power": power,
    "profiles": profiles,
    "habit": habit,
    "meter": _meter,
    "building": lambda site, *words: building_command(site.building, *words),
}
