"""The words for meters, circuits, limits and the balancer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgegw.mqtt import payloads
from edgegw.mqtt.phrases import Context, amps, listed, number, power


def _meter(seen: payloads.MeterState, _: Context) -> str:
    if not seen.ok:
        return f"meter {seen.meter} is not read: {seen.trouble or 'no reading'}"
    watts = power(seen.power_w) if seen.power_w is not None else ""
    return f"meter {seen.meter}: {listed(watts, amps(seen.current_l_a)) or 'nothing'}"


def _site(seen: payloads.SiteState, _: Context) -> str:
    grid = f"{power(seen.import_w)} from the grid" if seen.import_w is not None else ""
    most = seen.limit_a if seen.limit_a is not None else seen.fuse_a
    drawn = amps(seen.current_l_a)
    if most is not None:
        drawn = f"{f'{drawn} of' if drawn else 'at most'} {most:g} A ({seen.limit_source or 'fuse'})"
    free = "" if seen.headroom_a is None else f"{max(seen.headroom_a, 0.0):.0f} A free"
    cars = f" with {power(seen.chargers_w)}" if seen.chargers_w else ""
    charging = f"{number(seen.connectors_charging, 'car')} charging{cars}"
    connected = f"{seen.chargers_connected} of {number(seen.chargers_known, 'charger')} connected"
    alarms = f"{number(seen.alarms, 'alarm')}, worst {seen.worst_severity}" if seen.alarms else ""
    flows = f"site: {listed(grid, drawn, free) or 'no meter'}"
    return "; ".join(filter(None, (flows, charging, connected, alarms)))


def _circuit(seen: payloads.CircuitState, _: Context) -> str:
    lowest = min((value for value in seen.limit_l_a if value is not None), default=seen.fuse_a)
    most = f"{lowest:g} A ({seen.limit_source or 'fuse'})"
    drawn = amps(seen.measured_l_a)
    told = [f"circuit {seen.circuit}: {f'{drawn} of {most}' if drawn else f'at most {most}'}"]
    if granted := amps(seen.granted_l_a):
        told.append(f"chargers may draw {granted}")
    if seen.meter_stale:
        told.append("its meter is silent: the reserve counts")
    return "; ".join(told)


def _limit(seen: payloads.LimitState, context: Context) -> str:
    if not seen.limits:
        return f"{seen.source} sets no limit"
    return "; ".join(_one_limit(seen.source, limit, context) for limit in seen.limits)


def _one_limit(source: str, limit: payloads.LimitOnCircuit, context: Context) -> str:
    if limit.state == "fallback":
        return f"{source} has not renewed its limit: {limit.circuit} falls back to {limit.limit_a:g} A"
    asked = f" ({power(limit.asked_w)})" if limit.asked_w is not None else ""
    whom = f"chargers of {limit.circuit}" if limit.chargers_only else limit.circuit
    until = f" until {context.clock(limit.until)}" if limit.until else " until it is released"
    then = f", then {limit.fallback_a:g} A" if limit.until and limit.fallback_a is not None else ""
    return f"{source} limits {whom} to {limit.limit_a:g} A{asked}{until}{then}"


def _balancer(seen: payloads.BalancerState, _: Context) -> str:
    how = {"off": "nothing is balanced", "steering": "balancer", "failing": "balancer fails"}[seen.mode]
    limits = " ".join(f"{a.charger}/{a.connector} {a.limit_a:g} A" for a in seen.allocations)
    return ": ".join(filter(None, (how, "; ".join(filter(None, (limits, seen.reason))))))


TOLD: Mapping[str, Callable[[Any, Context], str]] = {
    "meter": _meter,
    "site": _site,
    "circuit": _circuit,
    "limit": _limit,
    "balancer": _balancer,
}
