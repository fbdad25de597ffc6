"""Which limit should go out now, by which method, and the profile that says it. Changes nothing.

Rules of this file:
- What is lower is due at once, what is higher after the interval of the model, the same again only to renew
  it or because it is not known whether it holds.
- A limit holds for `lifetime_s` and is renewed before; above the safe value only, for at its end the safe
  value holds anyway. OCPP 2.1 needs no renewal: its profile ends when the charger is offline for so long.
- Where live and standing limit are one profile (same purpose, stack level 0), the safe value is its second
  period. A standing limit that is a ChargePointMaxProfile caps everything: then all limits are such.
"""

from __future__ import annotations

import msgspec

from edgegw.balance.model import INFINITE
from edgegw.core import limit_profiles
from edgegw.core.calls import Outgoing
from edgegw.core.events import Instant
from edgegw.core.limit_profiles import LimitPlan
from edgegw.core.limits_held import SAME_A, held_a, is_live, safe_a, target_a, transaction_on
from edgegw.core.power import ConnectorPower, PowerState
from edgegw.core.state import ChargerState
from edgegw.quirks.model import Method
from edgegw.wire.versions import Version

LIMIT_PURPOSE = "power limit "
READY = "ready"  # `PowerState.stage`: nothing of bringing it under control is left
RENEW_AT = 0.2  # of its lifetime left
STACK_LEVEL_DEFAULT = 0  # what every charger has


class Order(msgspec.Struct, frozen=True, gc=False):
    """A limit that should go out now."""

    limit_a: float
    method: Method
    transaction: str  # "" but for a TxProfile
    members: tuple[int, ...]  # connectors that it limits
    lowers: bool


# --- how to reach a charger ------------------------------------------------------------------------


def method_of(power: PowerState, c: ConnectorPower) -> Method | None:
    """The first method that is not known to fail; None: all do."""
    methods: tuple[Method, ...] = power.quirks.methods
    if standing_method(power) == "max":
        methods = ("max",)
    return next((method for method in methods if method not in c.refused), None)


def is_shared(power: PowerState, method: str) -> bool:
    """Does one profile of this method limit all connectors of the charger?"""
    return method == "max" or (method == "tx_default" and power.quirks.default_connector == "zero")


def standing_ways(power: PowerState) -> list[tuple[Method, str]]:
    """(method, "each" or "zero"): how to set the standing limit, best first."""
    first = power.quirks.default_connector
    ways: list[tuple[Method, str]] = [("tx_default", first)]
    ways.append(("tx_default", "zero" if first == "each" else "each"))
    if "max" in power.quirks.methods:
        ways.append(("max", "zero"))
    return ways


def standing_method(power: PowerState) -> Method:
    """The purpose of the standing limit."""
    ways = standing_ways(power)
    return ways[min(power.standing_way, len(ways) - 1)][0]


def is_the_standing(power: PowerState, method: str) -> bool:
    """Does a live limit of this method take the place of the standing one?"""
    return method == standing_method(power) and stack_level(power) == 0


def stack_level(power: PowerState) -> int:
    """Of live limits."""
    wanted, known = power.quirks.stack_level, power.capabilities.stack_level_max
    if wanted == "zero":
        return 0
    if wanted == "max":
        return STACK_LEVEL_DEFAULT if known is None else known
    return wanted if known is None else min(wanted, known)


def rate_unit(power: PowerState, c: ConnectorPower) -> str:
    if power.quirks.rate_unit != "auto":
        return power.quirks.rate_unit
    if c.wiring.dc:
        return "W"
    return "A" if power.capabilities.amps else "W"


def number_phases(c: ConnectorPower, unit: str) -> int | None:
    """numberPhases: only where watts of a single-phase connector would be divided by three."""
    return c.wiring.phases if unit == "W" and not c.wiring.dc and c.wiring.phases != 3 else None


# --- deciding --------------------------------------------------------------------------------------


def order_for(state: ChargerState, c: ConnectorPower, now: Instant) -> Order | None:
    """What should be sent for this connector now, if anything."""
    power = state.power
    method = method_of(power, c)
    if power.stage != READY or method is None or now.mono < c.retry_at:
        return None
    transaction = transaction_on(state, c.wiring.connector)
    if method == "tx" and not transaction:
        return None  # the standing limit holds
    members = _members(power, c, method)
    if members[0] is not c:
        return None  # the first of those who share a profile speaks for all
    limit_a = _shared_target(state, members, now) if len(members) > 1 else target_a(state, c, now)
    held = held_a(c, transaction, now)
    same = held is not None and abs(held - limit_a) < SAME_A
    if c.asked_a is None:
        if same and not _to_send_again(power, c, transaction, now):
            return None
    elif abs(c.asked_a - limit_a) < SAME_A or waiting_call(state, c) is None:
        return None
    may_hold = max(held or 0.0, c.maybe_a or 0.0, c.asked_a or 0.0)
    is_lower = held is None or limit_a < may_hold - SAME_A
    if not is_lower and any(now.mono < member.unrenewed_until for member in members):
        return None
    lowers = is_lower or (same and c.unsure)
    if not lowers and now.mono - c.asked_at < power.quirks.interval_min_s:
        return None
    numbers = tuple(member.wiring.connector for member in members)
    return Order(limit_a, method, transaction if method == "tx" else "", numbers, lowers)


def _members(power: PowerState, c: ConnectorPower, method: Method) -> list[ConnectorPower]:
    if not is_shared(power, method):
        return [c]
    return [one for _, one in sorted(power.connectors.items()) if method_of(power, one) == method]


def _shared_target(state: ChargerState, members: list[ConnectorPower], now: Instant) -> float:
    """One limit for all: the lowest of those that charge. Some chargers apply it to each, some to the sum."""
    charging = [one for one in members if transaction_on(state, one.wiring.connector)]
    return min(target_a(state, one, now) for one in charging or members)


def _to_send_again(power: PowerState, c: ConnectorPower, transaction: str, now: Instant) -> bool:
    """The value is right, and must be sent all the same."""
    if c.maybe_a is not None and c.maybe_for in ("", transaction):
        return True
    if not is_live(c, transaction, now):
        return False
    if c.unsure:
        return True
    if c.expires_at == INFINITE or c.accepted_a == c.safe_accepted_a:
        return False
    return now.mono >= c.expires_at - power.lifetime_s * RENEW_AT


def waiting_call(state: ChargerState, c: ConnectorPower) -> Outgoing | None:
    """Its CALL, if it is still in the queue."""
    purpose = f"{LIMIT_PURPOSE}{c.wiring.connector}"
    return next((out for out in state.to_charger.waiting if out.purpose == purpose), None)


# --- the profile that says it ----------------------------------------------------------------------


def live_plan(state: ChargerState, c: ConnectorPower, order: Order, now: Instant) -> LimitPlan:
    power = state.power
    connector = 0 if is_shared(power, order.method) else c.wiring.connector
    is_standing = is_the_standing(power, order.method)
    unit = rate_unit(power, c)
    plan = LimitPlan(
        version=state.version,
        method=order.method,
        connector=connector,
        profile_id=limit_profiles.own_id(_standing_id(power) if is_standing else order.method, connector),
        stack_level=stack_level(power),
        unit=unit,
        limit=limit_profiles.amount(order.limit_a, unit, c.wiring, power.nominal_v),
        phases=number_phases(c, unit),
        transaction=order.transaction,
        start=_start(state, order.method, now),
    )
    if ends_offline(state, order.method):
        return msgspec.structs.replace(plan, offline_s=int(power.lifetime_s))
    if not (power.quirks.expires and power.quirks.flash_safe):
        return plan
    return _ending_with_standing(state, c, plan) if is_standing else _ending(state, plan, now)


def standing_plan(state: ChargerState, c: ConnectorPower, connector: int, now: Instant) -> LimitPlan:
    """The safe limit of `c` on `connector` (0: for all), without an end."""
    power = state.power
    unit, method = rate_unit(power, c), standing_method(power)
    return LimitPlan(
        version=state.version,
        method=method,
        connector=connector,
        profile_id=limit_profiles.own_id(_standing_id(power), connector),
        stack_level=0,
        unit=unit,
        limit=limit_profiles.amount(safe_a(c, power), unit, c.wiring, power.nominal_v),
        phases=number_phases(c, unit),
        start=_start(state, method, now),
    )


def _standing_id(power: PowerState) -> str:
    return "safe_max" if standing_method(power) == "max" else "safe"


def ends_offline(state: ChargerState, method: str) -> bool:
    """2.1 maxOfflineDuration: it ends when the charger has been without us for `lifetime_s`.

    Not for a TxProfile: a box that hangs keeps its connections, and 2.1 writes no TxProfile to flash.
    """
    if state.version is not Version.V21 or method == "tx":
        return False
    return state.power.quirks.expires and not is_the_standing(state.power, method)


def ends_s(plan: LimitPlan, power: PowerState) -> float:
    """Seconds until the live limit of this plan ends; infinity when it does not while we are there."""
    ends = plan.duration_s is not None or plan.after_s is not None or plan.valid_to
    return power.lifetime_s if ends else INFINITE


def _start(state: ChargerState, method: Method, now: Instant) -> str:
    """startSchedule, a little in the past for clocks that differ; a Max is never Relative (2.x K01.FR.38)."""
    quirks = state.power.quirks
    if quirks.profile_kind == "relative" and method != "max":
        return ""
    past_s = quirks.start_in_past_s
    return state.site.time_text(Instant(now.mono - past_s, now.wall - past_s, now.trusted))


def _ending(state: ChargerState, plan: LimitPlan, now: Instant) -> LimitPlan:
    """By duration; by date where time counts from the transaction."""
    life_s = state.power.lifetime_s
    if plan.start:
        return msgspec.structs.replace(plan, duration_s=int(life_s + state.power.quirks.start_in_past_s))
    later = Instant(now.mono + life_s, now.wall + life_s, now.trusted)
    return msgspec.structs.replace(plan, valid_to=state.site.time_text(later))


def _ending_with_standing(state: ChargerState, c: ConnectorPower, plan: LimitPlan) -> LimitPlan:
    """By a second period: nothing lies below that could take over."""
    power = state.power
    if not plan.start or power.capabilities.periods_max == 1:
        return plan
    after = limit_profiles.amount(safe_a(c, power), plan.unit, c.wiring, power.nominal_v)
    after_s = int(power.lifetime_s + power.quirks.start_in_past_s)
    return msgspec.structs.replace(plan, after_s=after_s, after_limit=after)
