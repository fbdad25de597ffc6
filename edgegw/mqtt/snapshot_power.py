"""Meters, circuits, limits, balancer and the site as a whole for the view, from the load loop.

Rules of this file: read only; a site that balances nothing has no meters and circuits here, and its balancer
is "off"; what is not known is None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from edgegw.balance import limits as book
from edgegw.balance import model
from edgegw.balance.model import INFINITE, Binding, Grant
from edgegw.core.events import Instant
from edgegw.core.load_control import split_id
from edgegw.core.power import Control
from edgegw.mqtt import payloads
from edgegw.mqtt.numbers import clipped, lowest, phases, rounded, utc, watts, whole
from edgegw.runtime.load import LoadLoop, MeterHealth
from edgegw.runtime.session import Session

_HOLDS_NOBODY = frozenset({Binding.MAXIMUM, Binding.DEMAND, Binding.FREE, Binding.RAMP})


# --- meters ---------------------------------------------------------------------------------------


def meters(load: LoadLoop | None, now: Instant) -> dict[str, payloads.MeterState]:
    """A reading that is too old to steer by is history, not a state: its numbers are then None."""
    if load is None:
        return {}
    old_s = load.control.plan.settings.stale_after_s
    return {name: _meter(health, old_s, now) for name, health in load.meters.items()}


def _meter(health: MeterHealth, old_s: float, now: Instant) -> payloads.MeterState:
    reading = health.reading
    age_s = None if reading is None else now.mono - reading.at
    if reading is None or age_s is None or age_s > old_s:
        reading = model.Reading(at=0.0, current_a=(None, None, None))
        trouble = health.trouble or "has not answered yet" if age_s is None else health.trouble or "silent"
    else:
        trouble = health.trouble
    return payloads.MeterState(
        meter=health.name,
        ok=age_s is not None and age_s <= old_s and not trouble,
        power_w=whole(reading.power_w),
        power_l_w=watts(reading.power_l_w),
        current_l_a=phases(reading.current_a),
        voltage_l_v=phases(reading.voltage_v),
        frequency_hz=rounded(reading.frequency_hz, 2),
        import_wh=whole(reading.import_wh),
        export_wh=whole(reading.export_wh),
        age_ms=whole(None if age_s is None else max(0.0, age_s) * 1000),
        trouble=clipped(trouble),
    )


# --- circuits -------------------------------------------------------------------------------------


def circuits(load: LoadLoop | None) -> dict[str, payloads.CircuitState]:
    """In the order of the site file; none before the first decision."""
    if load is None or load.control.allocation is None:
        return {}
    seen = {circuit.name: circuit for circuit in load.control.allocation.circuits}
    wired = (circuit for circuit in load.control.plan.circuits if circuit.name in seen)
    return {circuit.name: _circuit(circuit, seen[circuit.name]) for circuit in wired}


def _circuit(wired: model.Circuit, seen: model.CircuitState) -> payloads.CircuitState:
    return payloads.CircuitState(
        circuit=wired.name,
        parent=wired.parent,
        fuse_a=wired.limit_a,
        limit_l_a=phases(seen.limit_a),
        limit_source=seen.limit_source,
        measured_l_a=phases(None if seen.stale else seen.measured_a),
        building_l_a=phases(seen.base_a),
        granted_l_a=phases(seen.granted_a),
        free_l_a=phases(seen.free_a),
        meter_stale=seen.stale,
    )


# --- limits ---------------------------------------------------------------------------------------


def limits(load: LoadLoop | None, now: Instant) -> dict[str, payloads.LimitState]:
    """What people and systems set; schedules of the site file are no such limits."""
    if load is None:
        return {}
    found: dict[str, list[payloads.LimitOnCircuit]] = {}
    for order in load.control.limits.orders(now.wall):
        found.setdefault(order.source, []).append(_limit(order, now))
    return {
        source: payloads.LimitState(source=source, limits=tuple(found[source])) for source in sorted(found)
    }


def _limit(order: book.Order, now: Instant) -> payloads.LimitOnCircuit:
    amps = order.at(now.wall) or order.limit_a
    return payloads.LimitOnCircuit(
        circuit=order.circuit,
        limit_a=lowest(amps) or 0.0,
        limit_l_a=phases(amps),
        asked_w=whole(order.asked_w),
        chargers_only=order.chargers_only,
        priority=order.priority,
        until=utc(order.expires_at),
        fallback_a=rounded(order.fallback_a),
        state=order.state(now.wall),
    )


# --- the balancer ---------------------------------------------------------------------------------

_OFF = payloads.BalancerState(mode="off", last_decision_at=None, reason="", allocations=())


class BalancerMaker:
    """Remembers when one of the allocations changed last."""

    def __init__(self) -> None:
        self._state = _OFF
        self._made: dict[str, tuple[tuple[object, ...], payloads.ConnectorAllocation]] = {}

    def state(
        self, load: LoadLoop | None, sessions: Mapping[str, Session], now: Instant
    ) -> payloads.BalancerState:
        if load is None:
            return _OFF
        was = self._state
        allocations = self._allocations(load, sessions)
        changed = allocations != was.allocations or was.mode == "off"
        made = payloads.BalancerState(
            mode="failing" if load.failing else "steering",
            last_decision_at=utc(now.wall) if changed else was.last_decision_at,
            reason=_reason(load),
            allocations=allocations,
        )
        self._state = made if made != was else was
        return self._state

    def _allocations(
        self, load: LoadLoop, sessions: Mapping[str, Session]
    ) -> tuple[payloads.ConnectorAllocation, ...]:
        allocation = load.control.allocation
        if allocation is None:
            return ()
        return tuple(
            self._allocation(allocation.grants[wired.id], sessions) for wired in load.control.plan.connectors
        )

    def _allocation(self, grant: Grant, sessions: Mapping[str, Session]) -> payloads.ConnectorAllocation:
        charger, number = split_id(grant.connector)
        session = sessions.get(charger)
        power = session.charger.state.power.connectors.get(number) if session is not None else None
        accepted_a, control = (
            (power.accepted_a, power.control) if power is not None else (None, Control.UNKNOWN)
        )
        key = (grant.limit_a, grant.reason.text, grant.reason.binding, accepted_a, control)
        known = self._made.get(grant.connector)
        if known is not None and known[0] == key:
            return known[1]
        made = payloads.ConnectorAllocation(
            charger=charger,
            connector=number,
            limit_a=rounded(grant.limit_a) or 0.0,
            accepted_a=rounded(accepted_a),
            reason=clipped(grant.reason.text),
            binding=grant.reason.binding.value,
            control=control.value,
        )
        self._made[grant.connector] = key, made
        return made


def _reason(load: LoadLoop) -> str:
    """One line for the whole site: what is wrong, else what holds most of the cars back."""
    if load.failing:
        return "a bug while limits are worked out, see the log: each charger falls back to its safe one"
    allocation = load.control.allocation
    if allocation is None:
        return "nothing was decided yet"
    if allocation.alarms:
        return clipped("; ".join(allocation.alarms.values()))
    held = Counter(
        grant.reason.text for grant in allocation.grants.values() if grant.reason.binding not in _HOLDS_NOBODY
    )
    return clipped(held.most_common(1)[0][0]) if held else "nothing holds the cars back"


# --- the site -------------------------------------------------------------------------------------


def main_circuit(load: LoadLoop | None) -> tuple[model.Circuit | None, model.CircuitState | None]:
    """As wired, and as the last decision saw it."""
    if load is None:
        return None, None
    wired = next((circuit for circuit in load.control.plan.circuits if not circuit.parent), None)
    allocation = load.control.allocation
    if wired is None or allocation is None:
        return wired, None
    return wired, next((seen for seen in allocation.circuits if seen.name == wired.name), None)


def import_w(load: LoadLoop | None, now: Instant) -> float | None:
    """By the meter of the main circuit."""
    wired, _ = main_circuit(load)
    if load is None or wired is None:
        return None
    reading = load.control.readings.get(wired.name)
    if reading is None or now.mono - reading.at > load.control.plan.settings.stale_after_s:
        return None
    return whole(reading.power_w)


def headroom_a(seen: model.CircuitState | None) -> float | None:
    return None if seen is None else lowest(value for value in seen.free_a if value != INFINITE)
