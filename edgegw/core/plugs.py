"""What the site's balancing may know of one connector: from the charger's own words to a `Plug`.

Rules of this file: it changes nothing, and a word that is missing is read the careful way: a charger that is
away keeps what it was told last, one that was never brought under control may draw all it can.
"""

from __future__ import annotations

from edgegw.balance import model
from edgegw.balance.model import Plug, PlugState
from edgegw.core import actuation, cloud_cap
from edgegw.core.events import Instant
from edgegw.core.power import ConnectorPower, Control
from edgegw.core.records import TransactionRecord
from edgegw.core.state import ChargerState

# 1.6 ChargePointStatus, 2.x ConnectorStatus and chargingState
_STATES = {
    "Available": PlugState.FREE,
    "Reserved": PlugState.FREE,
    "Preparing": PlugState.WAITING,
    "Occupied": PlugState.WAITING,
    "EVConnected": PlugState.WAITING,
    "Charging": PlugState.CHARGING,
    "SuspendedEVSE": PlugState.WAITING,
    "SuspendedEV": PlugState.SUSPENDED_EV,
    "Finishing": PlugState.FREE,
    "Idle": PlugState.FREE,
    "Unavailable": PlugState.UNAVAILABLE,
    "Faulted": PlugState.UNAVAILABLE,
}


def running_on(state: ChargerState, connector: int) -> TransactionRecord | None:
    """The transaction that runs on a 1.6 connector or a 2.x EVSE; the newest, should there be two."""
    found = None
    for record in state.transactions.running.values():
        if (record.evse or record.connector) == connector:
            found = record
    return found


def plug(state: ChargerState | None, wired: model.Connector, connector: int, now: Instant) -> Plug:
    """`state` None: the charger has never been here; nobody knows what it does."""
    power = state.power.connectors.get(connector) if state is not None else None
    if state is None or power is None:
        return Plug(connector=wired.id, steered=False, standing_a=wired.max_a, reserved_a=wired.max_a)
    record = running_on(state, connector)
    standing_a = actuation.standing_a(state, power, now)
    steered = state.charger_up and power.control in (Control.STEERED, Control.UNKNOWN)
    cap_a, _ = cloud_cap.cap_for(state, connector, now)
    return Plug(
        connector=wired.id,
        state=_plug_state(state, power, record, connector),
        session=record.id if record is not None else "",
        drawn_a=_drawn(power, wired),
        drawn_at=power.drawn_at,
        energy_wh=_energy_wh(record),
        standing_a=standing_a,
        steered=steered,
        reserved_a=_reserved_a(power, wired, standing_a),
        cap_a=cap_a,
    )


def _plug_state(
    state: ChargerState, power: ConnectorPower, record: TransactionRecord | None, connector: int
) -> PlugState:
    if record is not None and power.charging_state in _STATES and state.version.is_2x:
        found = _STATES[power.charging_state]
    else:
        found = _STATES.get(_status(state, connector), PlugState.WAITING)
    if found is PlugState.FREE and record is not None:
        return PlugState.WAITING  # a transaction without a car: it may begin to draw
    return found


def _status(state: ChargerState, connector: int) -> str:
    if not state.version.is_2x:
        known = state.connectors.get(str(connector))
        return known.status if known is not None else "Available"
    words = [kept.status for key, kept in state.connectors.items() if key.partition(".")[0] == str(connector)]
    # Of an EVSE with two sockets the one in use counts (2.x: one at a time).
    return next((word for word in words if word not in ("Available", "")), "Available")


def _drawn(power: ConnectorPower, wired: model.Connector) -> tuple[float | None, ...] | None:
    if power.drawn_a is None:
        return None
    return (*power.drawn_a, None, None, None)[: len(wired.phases)]


def _energy_wh(record: TransactionRecord | None) -> float:
    if record is None or record.meter_last_wh is None or record.meter_start_wh is None:
        return 0.0
    return float(max(0, record.meter_last_wh - record.meter_start_wh))


def _reserved_a(power: ConnectorPower, wired: model.Connector, standing_a: float) -> float:
    """What must be kept free for a connector that is not steered."""
    if power.control in (Control.DISOBEYS, Control.REFUSES):
        return wired.max_a
    return max(standing_a, 0.0)
