"""What is wrong with meters, circuits and limits. The rules of `alarms.conditions` hold here too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from edgegw.balance.building import Building, PhaseMeter
from edgegw.balance.limits import Order
from edgegw.balance.model import PHASE_NAMES
from edgegw.core.alarms import Condition
from edgegw.core.events import Instant
from edgegw.core.limit_watch import amount
from edgegw.runtime.load import LoadLoop, MeterHealth


def power(load: LoadLoop | None, now: Instant) -> Iterator[Condition]:
    """None: a site that is not balanced."""
    if load is None:
        return
    if load.failing:
        text = "a bug while limits are worked out: each charger falls back to its safe limit"
        yield Condition(code="balancing_failed", text=text)
    buildings = {building.circuit.name: building for building in load.control.buildings}
    for health in load.meters.values():
        circuits = load.control.plan.circuit_of_meter.get(health.name, ())
        yield from _meter(health, [buildings[name] for name in circuits if name in buildings])
    for building in buildings.values():
        yield from circuit(building, now)
    for order in load.control.limits.orders(now.wall):
        yield from _fallback(order, now)


def _meter(health: MeterHealth, buildings: list[Building]) -> Iterator[Condition]:
    target = f"meter {health.name}"
    if health.trouble and health.kind == "meter_implausible":
        yield Condition(code="meter_implausible", target=target, text=f"{health.name}: {health.trouble}")
    elif any(building.stale for building in buildings):
        instead = ", ".join(f"{b.circuit.name} counts with {b.circuit.reserve_a:g} A" for b in buildings)
        why = f": {health.trouble}" if health.trouble else ""
        text = f"{health.name} gives no readings{why}; {instead} for the building"
        yield Condition(code="meter_missing", target=target, text=text)


# --- one circuit ------------------------------------------------------------------------------------


def circuit(building: Building, now: Instant) -> Iterator[Condition]:
    """What its meter shows, phase by phase."""
    found: tuple[tuple[str, str, Callable[[PhaseMeter], bool]], ...] = (
        ("meter_below_chargers", "the meter shows less than the chargers say they draw", _is_below),
        ("meter_reversed", "the meter falls when cars draw more", _is_reversed),
        ("over_limit", f"more than the limit of {_limit(building)} is drawn", lambda p: _is_over(p, now)),
    )
    for code, words, is_so in found:
        phases = [name for name, phase in zip(PHASE_NAMES, building.phases, strict=True) if is_so(phase)]
        if phases:
            name = building.circuit.name
            text = f"{name} {', '.join(phases)}: {words}"
            yield Condition(code=code, target=f"circuit {name}", text=text)


def _limit(building: Building) -> str:
    return f"{min(phase.limit_a for phase in building.phases):g} A"


def _is_below(phase: PhaseMeter) -> bool:
    return phase.below and not phase.stale


def _is_reversed(phase: PhaseMeter) -> bool:
    return phase.reversed and not phase.stale


def _is_over(phase: PhaseMeter, now: Instant) -> bool:
    return not phase.stale and now.mono - phase.over_since > phase.settings.overload_tolerance_s


# --- limits -----------------------------------------------------------------------------------------


def _fallback(order: Order, now: Instant) -> Iterator[Condition]:
    """Set by the building, not renewed in time: what was agreed for that holds."""
    if order.state(now.wall) != "fallback":
        return
    text = (
        f"the limit of {order.source!r} on {order.circuit} has expired and was not renewed; "
        f"{order.fallback_a:g} A hold instead"
    )
    yield Condition(code="limit_fallback", target=f"limit {order.source}", text=text, key=_key(order))


def lapsed(load: LoadLoop | None, sources: Collection[str]) -> Iterator[Condition]:
    """Limits of `sources`, who renew theirs, that ended because nobody did. One that a person set for some
    time ends as it was ordered.
    """
    for order in load.control.limits.ended if load is not None else ():
        if order.source in sources:
            text = (
                f"the limit of {amount(order)} on {order.circuit} by {order.source!r} was not renewed and "
                "has ended; nothing holds in its place"
            )
            target = f"limit {order.source}"
            yield Condition(code="limit_lapsed", target=target, text=text, key=_key(order))


def _key(order: Order) -> str:
    return (order.circuit + (" chargers" if order.chargers_only else "")).casefold()
