"""The copper side: chargers that keep profiles as OCPP says, and cars that draw what they are told.

Rules of this file: nothing of the gateway is imported. What a profile means is worked out here a second time,
plainly: highest stack level that holds now, per purpose; lowest of the purposes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

EPOCH = 1_790_000_000.0  # wall clock at second 0 of a run
CAR_DELAY_S = 3.0  # from a changed limit to a changed current
NOMINAL_V = 230.0
NEVER = float("inf")

MAX_PURPOSES = ("ChargePointMaxProfile", "ChargingStationMaxProfile")


def stamp(now: float) -> str:
    return datetime.fromtimestamp(EPOCH + now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() - EPOCH


@dataclass
class Held:
    """One profile in a charger's memory."""

    purpose: str
    stack: int
    connector: int
    periods: tuple[tuple[float, float], ...]  # seconds from `begins`, amps per phase
    begins: float
    ends: float
    transaction: str
    offline_s: float = NEVER  # 2.1 maxOfflineDuration

    def limit_a(self, now: float) -> float:
        return [limit for start, limit in self.periods if self.begins + start <= now][-1]


@dataclass
class Car:
    max_a: float = 32.0
    phases: int = 3
    min_a: float = 6.0
    drawing_a: float = 0.0
    heading_a: float = 0.0
    moves_at: float = NEVER


@dataclass
class Copper:
    """One charger with one connector, wired to grid phases."""

    identity: str
    version: str
    wiring: tuple[int, ...]
    rng: random.Random
    obeys: bool = True
    refuses: tuple[str, ...] = ()  # purposes it answers with Rejected
    held: dict[int, Held] = field(default_factory=dict)
    car: Car | None = None
    transaction: str = ""
    offline_since: float = NEVER
    energy_wh: float = 0.0

    # --- profiles ------------------------------------------------------------------------------

    def set_profile(self, payload: dict[str, Any], now: float) -> str:
        profile = payload.get("csChargingProfiles") or payload["chargingProfile"]
        connector = int(payload.get("connectorId", payload.get("evseId", 0)))
        purpose = profile["chargingProfilePurpose"]
        if purpose in self.refuses:
            return "Rejected"
        transaction = str(profile.get("transactionId", ""))
        if purpose == "TxProfile" and (not self.transaction or transaction not in ("", self.transaction)):
            return "Rejected"
        schedule = profile["chargingSchedule"]
        schedule = schedule[0] if isinstance(schedule, list) else schedule
        number = int(profile.get("chargingProfileId", profile.get("id", 0)))
        held = self._held(profile, schedule, purpose, connector, transaction, now)
        for other in [n for n, h in self.held.items() if _same_place(h, held)]:
            del self.held[other]
        self.held[number] = held
        return "Accepted"

    def _held(
        self,
        profile: dict[str, Any],
        schedule: dict[str, Any],
        purpose: str,
        connector: int,
        transaction: str,
        now: float,
    ) -> Held:
        per_a = NOMINAL_V * len(self.wiring) if schedule["chargingRateUnit"] == "W" else 1.0
        periods = tuple(
            (float(period["startPeriod"]), float(period["limit"]) / per_a)
            for period in schedule["chargingSchedulePeriod"]
        )
        begins = seconds(schedule["startSchedule"]) if "startSchedule" in schedule else now
        ends = begins + schedule["duration"] if "duration" in schedule else NEVER
        if "validTo" in profile:
            ends = min(ends, seconds(profile["validTo"]))
        offline_s = float(profile.get("maxOfflineDuration", NEVER))
        return Held(
            purpose, int(profile["stackLevel"]), connector, periods, begins, ends, transaction, offline_s
        )

    def clear(self, payload: dict[str, Any]) -> str:
        """Every profile that fits the filter of 1.6 or 2.x."""
        criteria = payload.get("chargingProfileCriteria", payload)
        number = payload.get("chargingProfileId", payload.get("id"))
        purpose, stack = criteria.get("chargingProfilePurpose"), criteria.get("stackLevel")
        found = [
            n
            for n, h in self.held.items()
            if (number is None or n == number)
            and (purpose is None or h.purpose == purpose)
            and (stack is None or h.stack == stack)
        ]
        for n in found:
            del self.held[n]
        return "Accepted" if found else "Unknown"

    def limit_a(self, now: float) -> float:
        """What the charger allows its car now; 32 A when nothing limits it."""
        limits = [32.0]
        best: dict[str, Held] = {}
        for held in self.held.values():
            if not held.begins <= now < held.ends or now - self.offline_since > held.offline_s:
                continue
            place = "max" if held.purpose in MAX_PURPOSES else held.purpose
            if place not in best or held.stack > best[place].stack:
                best[place] = held
        if "max" in best:
            limits.append(best["max"].limit_a(now))
        live = best.get("TxProfile") or best.get("TxDefaultProfile")
        if live is not None:
            limits.append(live.limit_a(now))
        return min(limits)

    # --- the car -------------------------------------------------------------------------------

    def plug(self, car: Car, transaction: str) -> None:
        self.car, self.transaction = car, transaction

    def unplug(self) -> None:
        self.car, self.transaction = None, ""
        self.held = {n: h for n, h in self.held.items() if h.purpose != "TxProfile"}

    def move(self, now: float, step_s: float) -> None:
        """Let the car follow its limit."""
        car = self.car
        if car is None:
            return
        allowed = self.limit_a(now) if self.obeys else 32.0
        wanted = 0.0 if allowed < car.min_a else min(allowed, car.max_a)
        if wanted != car.heading_a:
            car.heading_a, car.moves_at = wanted, now + self.rng.uniform(1.0, CAR_DELAY_S)
        if now >= car.moves_at:
            car.drawing_a = car.heading_a
        self.energy_wh += car.drawing_a * car.phases * NOMINAL_V * step_s / 3600

    def currents(self) -> tuple[float, float, float]:
        """Amps on the grid's L1, L2, L3."""
        amps = [0.0, 0.0, 0.0]
        if self.car is not None:
            for phase in self.wiring[: self.car.phases]:
                amps[phase] += self.car.drawing_a
        return amps[0], amps[1], amps[2]


def _same_place(one: Held, other: Held) -> bool:
    return (one.purpose, one.stack, one.connector) == (other.purpose, other.stack, other.connector)
