"""What the kept charging profiles allow at an instant, and the composite schedule of a while.

Rules of this file:
- Pure; wall clock seconds. The limit of a connector is in amps per phase, infinite when nothing limits it.
- Within a purpose the highest stack level that has a period now holds, not the lowest limit; a TxProfile
  stands before a TxDefaultProfile; the whole charger's maximum is shared by the connectors in use.
- Written for the simulated charger alone, from the specification (1.6 3.13, 2.x K01 and K08).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgegw.sim.charging_profiles import MAX, TX, TX_DEFAULT, Kept, instant
from edgegw.sim.desk import Payload

NOMINAL_V = 230.0
NO_LIMIT = math.inf


@dataclass(frozen=True, slots=True)
class Situation:
    """Of one connector. `began_at`: wall clock of its transaction's start; None without one."""

    place: int
    session: str = ""
    began_at: float | None = None
    phases: int = 3
    in_use: int = 1  # connectors of the charger with a transaction
    offline_s: float = 0.0  # how long the link has been down; 0 while it is up


def limit_a(kept: Iterable[Kept], here: Situation, now: float, *, begins_at: float | None = None) -> float:
    """Amps per phase. `begins_at`: what relative schedules count from without a transaction."""
    usable = [k for k in kept if not k.lapsed and not offline_too_long(k, here.offline_s)]
    origin = here.began_at if here.began_at is not None else begins_at if begins_at is not None else now
    own = [k for k in usable if k.purpose == TX and k.place == here.place and k.session == here.session]
    default = [k for k in usable if k.purpose == TX_DEFAULT and k.place in (0, here.place)]
    limit = _highest(own if here.session else [], here, origin, now)
    if limit is None:
        limit = _highest(default, here, origin, now)
    whole = _highest([k for k in usable if k.purpose == MAX], here, origin, now)
    parts = max(1, here.in_use) if here.place else 1
    return min(NO_LIMIT if limit is None else limit, NO_LIMIT if whole is None else whole / parts)


def offline_too_long(kept: Kept, offline_s: float) -> bool:
    """2.1 K01.FR.101: maxOfflineDuration."""
    longest = kept.profile.get("maxOfflineDuration")
    return longest is not None and offline_s > float(longest)


def _highest(candidates: Sequence[Kept], here: Situation, origin: float, now: float) -> float | None:
    for kept in sorted(candidates, key=lambda k: (k.stack_level, k.place != 0), reverse=True):
        rate = _rate_a(kept, here, origin, now)
        if rate is not None:
            return rate
    return None


def _rate_a(kept: Kept, here: Situation, origin: float, now: float) -> float | None:
    """What this profile sets now; None when it says nothing now."""
    valid_from, valid_to = kept.profile.get("validFrom"), kept.profile.get("validTo")
    if (valid_from and now < instant(valid_from)) or (valid_to and now >= instant(valid_to)):
        return None
    elapsed = now - _start(kept, origin)
    duration = kept.schedule.get("duration")
    if elapsed < 0 or (duration is not None and elapsed >= duration):
        return None  # 1.6 3.13.2: after it the next lower stack level holds
    period = [p for p in kept.schedule["chargingSchedulePeriod"] if p["startPeriod"] <= elapsed][-1]
    if period.get("limit") is None:
        return None
    limit = float(period["limit"])
    if kept.schedule["chargingRateUnit"] == "A":
        return limit
    return limit / (NOMINAL_V * min(int(period.get("numberPhases") or 3), here.phases))


def _start(kept: Kept, origin: float) -> float:
    text = kept.schedule.get("startSchedule")
    return instant(text) if text and kept.profile["chargingProfileKind"] != "Relative" else origin


# --- composite ------------------------------------------------------------------------------------


def composite_periods(
    kept: Sequence[Kept], here: Situation, now: float, duration_s: float, *, unit: str, max_a: float
) -> list[Payload]:
    """chargingSchedulePeriod from `now` on; what nothing limits shows the charger's own `max_a`."""
    periods: list[Payload] = []
    for at in _instants(kept, here, now, duration_s):
        amps = min(limit_a(kept, here, at, begins_at=now), max_a)
        factor = 1.0 if unit == "A" else NOMINAL_V * here.phases
        limit = round(amps * factor, 1)
        if not periods or periods[-1]["limit"] != limit:
            periods.append({"startPeriod": math.ceil(at - now), "limit": limit, "numberPhases": here.phases})
    return periods


def _instants(kept: Iterable[Kept], here: Situation, now: float, duration_s: float) -> list[float]:
    """`now`, and every instant of the span at which some profile changes its mind."""
    found = {now}
    origin = here.began_at if here.began_at is not None else now
    for k in kept:
        begin = _start(k, origin)
        found.update(begin + p["startPeriod"] for p in k.schedule["chargingSchedulePeriod"])
        if (duration := k.schedule.get("duration")) is not None:
            found.add(begin + duration)
        found.update(instant(k.profile[name]) for name in ("validFrom", "validTo") if k.profile.get(name))
    return sorted(at for at in found if now <= at < now + duration_s)
