"""From the load loop to what people see of it: pure builders of `control.power_models`.

Rules of this file: read only; time comes in as `now`; whatever is not known is None.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgegw.balance.model import INFINITE, Circuit, CircuitState, Connector, Reading
from edgegw.control import power_models as models
from edgegw.control.live_models import LivePower
from edgegw.control.view import utc
from edgegw.core import cloud_cap
from edgegw.core.events import Instant
from edgegw.core.load_control import split_id
from edgegw.core.power import ConnectorPower, Control
from edgegw.core.state import ChargerState
from edgegw.redaction import plain
from edgegw.runtime.load import LoadLoop, MeterHealth
from edgegw.runtime.session import Session

HELD_NAMES_MAX = 10
_UNKNOWN = (None, None, None)


def power_view(load: LoadLoop | None, sessions: dict[str, Session], now: Instant) -> models.PowerView:
    if load is None:
        return models.PowerView(balanced=False, circuits=(), meters=(), connectors=(), limits=(), alarms=())
    allocation = load.control.allocation
    return models.PowerView(
        balanced=bool(load.control.plan.connectors),
        circuits=tuple(_circuits(load)),
        meters=tuple(_meter(health, now) for health in load.meters.values()),
        connectors=tuple(_connectors(load, sessions, now)),
        limits=tuple(_limits(load, now)),
        alarms=tuple(allocation.alarms.values()) if allocation is not None else (),
        held=_held(load),
    )


def live_power(load: LoadLoop | None, now: Instant) -> LivePower:
    """The same without connectors: those are in the rows of their chargers."""
    if load is None:
        return LivePower(balanced=False, circuits=(), meters=(), limits=(), alarms=())
    allocation = load.control.allocation
    return LivePower(
        balanced=bool(load.control.plan.connectors),
        circuits=tuple(_circuits(load)),
        meters=tuple(_meter(health, now) for health in load.meters.values()),
        limits=tuple(_limits(load, now)),
        alarms=tuple(allocation.alarms.values()) if allocation is not None else (),
        held=_held(load),
    )


def _circuits(load: LoadLoop) -> Iterator[models.CircuitView]:
    """In the order of the site file."""
    allocation = load.control.allocation
    seen = {circuit.name: circuit for circuit in allocation.circuits} if allocation is not None else {}
    for wired in load.control.plan.circuits:
        if wired.name in seen:
            yield _circuit(wired, seen[wired.name])


def _circuit(wired: Circuit, seen: CircuitState) -> models.CircuitView:
    return models.CircuitView(
        name=seen.name,
        parent=wired.parent,
        fuse_a=wired.limit_a,
        limit_a=_rounded(seen.limit_a),
        limit_source=seen.limit_source,
        measured_a=_rounded(seen.measured_a),
        building_a=_rounded(seen.base_a),
        granted_a=_rounded(seen.granted_a),
        free_a=_rounded(seen.free_a),
        reading_age_s=_one_decimal(seen.reading_age_s),
        stale=seen.stale,
    )


def _held(load: LoadLoop) -> tuple[models.HeldView, ...]:
    """By circuit and reason, the most first."""
    groups: dict[tuple[str, str], list[Connector]] = {}
    held = load.control.held
    for wired in load.control.plan.connectors:
        if wired.id in held and held[wired.id].held_a > 0:
            groups.setdefault((wired.circuit, held[wired.id].why), []).append(wired)
    views = []
    for (circuit, why), connectors in groups.items():
        sums = [0.0, 0.0, 0.0]
        for wired in connectors:
            for phase in wired.phases:
                sums[phase] += held[wired.id].held_a
        names = tuple(dict.fromkeys(split_id(wired.id)[0] for wired in connectors))
        views.append(
            models.HeldView(
                circuit=circuit,
                why=plain(why),
                held_a=_rounded(tuple(sums)),
                connectors=len(connectors),
                chargers=names[:HELD_NAMES_MAX],
            )
        )
    return tuple(sorted(views, key=lambda one: max(amps or 0.0 for amps in one.held_a), reverse=True))


def _meter(health: MeterHealth, now: Instant) -> models.MeterView:
    reading: Reading | None = health.reading
    if reading is None:
        return models.MeterView(
            name=health.name,
            current_a=_UNKNOWN,
            voltage_v=_UNKNOWN,
            power_w=None,
            age_s=None,
            trouble=health.trouble or "has not answered yet",
        )
    return models.MeterView(
        name=health.name,
        current_a=_rounded(reading.current_a),
        voltage_v=_rounded(reading.voltage_v),
        power_w=_one_decimal(reading.power_w),
        age_s=_one_decimal(now.mono - reading.at),
        trouble=health.trouble,
    )


def connector_views(
    load: LoadLoop | None, sessions: dict[str, Session], now: Instant, charger: str
) -> tuple[models.ConnectorPowerView, ...]:
    """Those of one charger."""
    if load is None or charger not in load.control.plan.wirings:
        return ()
    return tuple(_connectors(load, sessions, now, charger))


def _connectors(
    load: LoadLoop, sessions: dict[str, Session], now: Instant, only: str = ""
) -> Iterator[models.ConnectorPowerView]:
    """`only`: of this charger."""
    allocation = load.control.allocation
    for wired in load.control.plan.connectors:
        charger, number = split_id(wired.id)
        if only not in ("", charger):
            continue
        session = sessions.get(charger)
        grant = allocation.grants.get(wired.id) if allocation is not None else None
        state = session.charger.state if session is not None else None
        power = state.power.connectors.get(number) if state is not None else None
        yield models.ConnectorPowerView(
            charger=charger,
            connector=number,
            circuit=wired.circuit,
            limit_a=grant.limit_a if grant is not None else wired.safe_a,
            accepted_a=power.accepted_a if power is not None else None,
            drawn_a=power.drawn_a if power is not None else None,
            drawn_age_s=_one_decimal(now.mono - power.drawn_at) if power is not None else None,
            cloud_a=_cloud_a(state, number, now),
            safe_a=wired.safe_a,
            control=(power.control if power is not None else Control.UNKNOWN).value,
            why=grant.reason.text if grant is not None else "",
            fault=power.fault if power is not None else "has never connected",
            method=power.method if power is not None else "",
            expires_in_s=_expires_in_s(power, now),
            writes_today=power.writes_today if power is not None else 0,
            quirks=state.power.quirks.names if state is not None else (),
            held_a=round(load.control.held[wired.id].held_a, 1) if wired.id in load.control.held else 0.0,
        )


def _cloud_a(state: ChargerState | None, connector: int, now: Instant) -> float | None:
    if state is None:
        return None
    cap_a, _ = cloud_cap.cap_for(state, connector, now)
    return None if cap_a == INFINITE else round(cap_a, 1)


def _expires_in_s(power: ConnectorPower | None, now: Instant) -> float | None:
    if power is None or power.expires_at == INFINITE or power.expires_at < now.mono:
        return None
    return round(power.expires_at - now.mono, 1)


def _limits(load: LoadLoop, now: Instant) -> Iterator[models.LimitView]:
    for order in load.control.limits.orders(now.wall):
        yield models.LimitView(
            source=order.source,
            circuit=order.circuit,
            limit_a=_rounded(order.at(now.wall) or order.limit_a),
            asked_w=order.asked_w,
            chargers_only=order.chargers_only,
            priority=order.priority,
            until=utc(order.expires_at),
            fallback_a=order.fallback_a,
            state=order.state(now.wall),
        )


def _rounded(amps: tuple[float | None, ...]) -> models.PhaseAmps:
    first, second, third = (_one_decimal(value) for value in amps)
    return first, second, third


def _one_decimal(value: float | None) -> float | None:
    return None if value is None or value in (INFINITE, -INFINITE) else round(value, 1)
