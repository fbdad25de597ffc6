"""What the site's balancing may know of one connector: from the charger's own words to a `Plug`.

Rules of this file: it changes nothing, and a word that is missing is read the careful way: a charger that is
away or not under control yet keeps what it was told last, one that was never told anything may draw all it
can, a connector that never said a word may have a car, and one that says it draws does.
"""

from __future__ import annotations

from edgegw.balance import model
from edgegw.balance.model import Plug, PlugState
from edgegw.core import actuation, cloud_cap
from edgegw.core.events import Instant
from edgegw.core.limit_orders import READY
from edgegw.core.limits_held import believed_a
from edgegw.core.power import ConnectorPower, Control
from edgegw.core.records import TransactionRecord
from edgegw.core.state import ChargerState, ConnectorStatus, Registration

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
# These say that no current flows; all the others leave it open, whatever they are called.
_PAUSED = frozenset({"SuspendedEV", "SuspendedEVSE"})
_DRAWS_A = 1.0  # more is no noise
# Of an EVSE with two sockets the one in use counts (2.x: one at a time), not the one out of order.
_LEAST_SAID = {"Available": 1, "Unavailable": 2, "Faulted": 2, "": 3}


def running_on(state: ChargerState, connector: int) -> TransactionRecord | None:
    """The transaction that runs on a 1.6 connector or a 2.x EVSE; the newest, should there be two."""
    found = None
    for record in state.transactions.running.values():
        if cloud_cap.connector_of(state, record.evse or record.connector) == connector:
            found = record
    return found


def plug(state: ChargerState | None, wired: model.Connector, connector: int, now: Instant) -> Plug:
    """`state` None: the charger has never been here; nobody knows what it does."""
    power = state.power.connectors.get(connector) if state is not None else None
    if state is None or power is None:
        return Plug(connector=wired.id, steered=False, standing_a=wired.max_a, reserved_a=wired.max_a)
    record = running_on(state, connector)
    standing_a = actuation.standing_a(state, power, now)
    cap_a, _ = cloud_cap.cap_for(state, connector, now)
    if record is not None and record.id == power.forbidden:
        cap_a = 0.0  # others may have what it must not get
    return Plug(
        connector=wired.id,
        state=_plug_state(state, power, record, connector),
        session=record.id if record is not None else "",
        drawn_a=_drawn(power, wired),
        drawn_at=power.drawn_at,
        energy_wh=_energy_wh(record),
        standing_a=standing_a,
        steered=_is_steered(state, power, now),
        reserved_a=_reserved_a(power, wired, standing_a),
        cap_a=cap_a,
    )


def _is_steered(state: ChargerState, power: ConnectorPower, now: Instant) -> bool:
    """Can it be lowered now? Not before it is under control again after a boot or reconnect, nor while
    nothing it ever accepted holds."""
    ready = state.charger_up and state.power.stage == READY
    obeys = power.control in (Control.STEERED, Control.UNKNOWN)
    return ready and obeys and believed_a(state, power, now) is not None


def why_not_steered(state: ChargerState | None, connector: int) -> str:
    """For the technician who asks why so much is kept free for it."""
    power = state.power.connectors.get(connector) if state is not None else None
    if state is None or power is None:
        return "has never connected"
    if not state.charger_up:
        return "not connected"
    if power.control not in (Control.STEERED, Control.UNKNOWN):
        return f"cannot be steered ({power.fault})" if power.fault else "cannot be steered"
    if state.power.stage != READY:
        accepted = state.profile.registration is Registration.ACCEPTED and not state.power.boot_id
        return "is brought under control" if accepted else "its cloud has not accepted it yet"
    return "took no limit that holds now"


def _plug_state(
    state: ChargerState, power: ConnectorPower, record: TransactionRecord | None, connector: int
) -> PlugState:
    word = _status(state, connector)
    if record is not None and power.charging_state in _STATES and state.version.is_2x:
        word = power.charging_state
    found = _STATES.get(word, PlugState.WAITING)
    if word not in _PAUSED and _draws(power):
        return PlugState.CHARGING
    if found is PlugState.FREE and record is not None:
        return PlugState.WAITING  # a transaction without a car: it may begin to draw
    return found


def _draws(power: ConnectorPower) -> bool:
    """Does its meter say so, later than its last word on its state?"""
    if power.drawn_a is None or power.drawn_at <= power.said_at:
        return False
    return any(amps is not None and amps > _DRAWS_A for amps in power.drawn_a)


def status_of(state: ChargerState, connector: int) -> ConnectorStatus | None:
    """The newest StatusNotification of a 1.6 connector or a 2.x EVSE; None when there was none yet."""
    if not state.version.is_2x:
        return state.connectors.get(str(connector))
    kept = [kept for key, kept in state.connectors.items() if key.partition(".")[0] == str(connector)]
    return min(kept, key=lambda kept: _LEAST_SAID.get(kept.status, 0), default=None)


def _status(state: ChargerState, connector: int) -> str:
    kept = status_of(state, connector)
    return kept.status if kept is not None else ""


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
