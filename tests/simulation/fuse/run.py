"""One seed: what happens to the site, drawn before it begins, and what the checkers say."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from edgegw.wire.versions import Version
from tests.simulation.fuse.checks import Checks
from tests.simulation.fuse.plant import Car
from tests.simulation.fuse.world import World

HOURS = 0.5
BUILDING_MAX_A = 27.0  # the reserve of the plan


class Verdict(msgspec.Struct, frozen=True):
    seed: int
    complaints: tuple[str, ...]
    over_s: float
    longest_s: float
    calls: int


class Watched(World):
    """A world whose checkers look after every step."""

    def __init__(self, seed: int, tell: Callable[[str], None] | None = None) -> None:
        super().__init__(seed, tell)
        self.checks = Checks(self)

    def checked(self) -> None:
        self.checks.look()
        for message_id, (charger, cap) in list(self.asked.items()):
            answer = self.cloud_answers.get(message_id)
            if answer is None:
                continue
            del self.asked[message_id]
            if answer.get("status") == "Accepted":
                if cap is None:
                    self.checks.caps.pop(charger, None)
                else:
                    self.checks.caps[charger] = cap

    asked: dict[str, tuple[str, float | None]]


def simulate(seed: int, tell: Callable[[str], None] | None = None, hours: float = HOURS) -> Verdict:
    world = Watched(seed, tell)
    world.asked = {}
    _plan_day(world, random.Random(f"day {seed}"), hours * 3600)
    world.run(hours * 3600)
    world.checks.at_end()
    checks = world.checks
    return Verdict(seed, tuple(checks.complaints), checks.over_s, checks.longest_s, world.limit_calls)


def _plan_day(world: Watched, rng: random.Random, length_s: float) -> None:
    """Cars, building and faults. A quarter of the seeds has only cars and building."""
    chargers = list(world.copper)
    trouble = seed_kind(rng)
    at = 20.0
    while at < length_s - 60:
        at += rng.expovariate(1 / 12)
        _one(world, rng, at, rng.choice(chargers), trouble)
    if trouble and rng.random() < 0.3:
        odd = world.copper[rng.choice(chargers)]
        refuses = rng.choice((("TxProfile",), ("ChargePointMaxProfile", "ChargingStationMaxProfile")))
        odd.refuses = refuses
    if trouble and rng.random() < 0.15:
        world.copper[rng.choice(chargers)].obeys = False


def seed_kind(rng: random.Random) -> int:
    return rng.choice((0, 1, 1, 2))


def _one(world: Watched, rng: random.Random, at: float, charger: str, trouble: int) -> None:
    draw = rng.random()
    if draw < 0.35:
        car = Car(max_a=rng.choice((16.0, 20.0, 32.0)), phases=rng.choice((1, 2, 3, 3)))
        world.at(at, lambda: world.plug(charger, car))
    elif draw < 0.42:
        world.at(at, lambda: world.unplug(charger))
    elif draw < 0.75 or not trouble:
        phase, amps = rng.randrange(3), rng.uniform(0, BUILDING_MAX_A)
        world.at(at, lambda: _building(world, phase, amps))
    else:
        _fault(world, rng, at, charger, trouble)


def _building(world: World, phase: int, amps: float) -> None:
    world.tell(f"building L{phase + 1} now {amps:.1f} A")
    world.building[phase] = amps


def _fault(world: Watched, rng: random.Random, at: float, charger: str, trouble: int) -> None:
    spell = rng.choice((2.0, 15.0, 90.0))
    kind = rng.randrange(6 if trouble > 1 else 4)
    if kind == 0:
        world.at(at, lambda: world.lose_link(charger, spell, boots=spell > 60))
    elif kind == 1:
        world.at(at, lambda: world.silence_meter(min(spell, 40.0)))
    elif kind in (2, 3):
        limit = rng.choice((6.0, 8.0, 10.0, 16.0, 0.0, None))
        world.at(at, lambda: _cloud_limits(world, charger, limit))
    elif kind == 4:
        world.at(at, lambda: world.cut_cloud(spell))
    else:
        world.at(at, lambda: world.power_cut(spell))


def _cloud_limits(world: Watched, charger: str, limit: float | None) -> None:
    """The cloud sets a maximum for the charger, or clears all it has set."""
    if not world.linked[charger] or not world.cloud_up or not world.alive:
        return
    version = world.copper[charger].version
    if limit is None:
        everything: dict[str, Any] = {}
        if version is not Version.V16:
            everything = {"chargingProfileCriteria": {"chargingProfilePurpose": _max_purpose(version)}}
        asked = world.cloud_asks(charger, "ClearChargingProfile", everything)
        world.asked[asked] = (charger, None)
        return
    asked = world.cloud_asks(charger, "SetChargingProfile", _max_profile(version, limit))
    world.asked[asked] = (charger, limit)


def _max_purpose(version: Version) -> str:
    return "ChargePointMaxProfile" if version is Version.V16 else "ChargingStationMaxProfile"


def _max_profile(version: Version, limit: float) -> dict[str, Any]:
    schedule: dict[str, Any] = {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
        "startSchedule": "2026-01-01T00:00:00Z",
    }
    profile: dict[str, Any] = {
        "stackLevel": 0,
        "chargingProfilePurpose": _max_purpose(version),
        "chargingProfileKind": "Absolute",
    }
    if version is Version.V16:
        profile |= {"chargingProfileId": 7, "chargingSchedule": schedule}
        return {"connectorId": 0, "csChargingProfiles": profile}
    profile |= {"id": 7, "chargingSchedule": [{"id": 1, **schedule}]}
    return {"evseId": 0, "chargingProfile": profile}
