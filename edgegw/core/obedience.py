"""Does a charger keep to its limit? Checked against what it says itself that it draws.

Rules of this file:
- A car may follow a lower limit slowly and a meter may be a little off: only what lies above the limit by
  more than `OVER_A` or `OVER_SHARE`, for longer than `OVER_S`, after `SETTLED_S`, is disobedience.
- Whoever disobeys has its maximum reserved (`limits_held.standing_a`) and is tried with the next method.
- Only samples of now count: not those of a transaction that has ended, nor what was said while offline.
"""

from __future__ import annotations

from typing import Any

from edgegw.balance.model import INFINITE
from edgegw.core.draw import drawn_amps
from edgegw.core.effects import Effect
from edgegw.core.events import Instant
from edgegw.core.limits_held import believed_a, standing_a, transaction_on
from edgegw.core.live_limits import next_method, steer
from edgegw.core.power import ConnectorPower, Control
from edgegw.core.power_notes import obeys_again, unsteerable
from edgegw.core.state import ChargerState
from edgegw.wire.frames import Call

OVER_A, OVER_SHARE = 1.5, 0.1  # the larger counts
OVER_S = 15.0
SETTLED_S = 10.0  # IEC 61851-1 gives a car 5 s; ramps and the charger's own delay come on top


def measured(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    """MeterValues (all versions) or TransactionEvent (2.x): what the connector draws, and whether it may."""
    c = _connector_of(state, call.payload)
    if c is None or call.payload.get("offline") is True:
        return []
    wiring = c.wiring
    drawn = drawn_amps(
        call.payload.get("meterValue"),
        phases=wiring.phases,
        nominal_v=state.power.nominal_v,
        max_a=wiring.max_a,
        limit_a=standing_a(state, c, now),
        dc=wiring.dc,
        efficiency=wiring.efficiency,
    )
    if drawn is None:
        return []
    c.drawn_a, c.drawn_at = drawn, now.mono
    return _judge(state, c, now)


def _connector_of(state: ChargerState, payload: dict[str, Any]) -> ConnectorPower | None:
    """The connector a message speaks of; None if it is not balanced or the message is of another time."""
    info, evse = payload.get("transactionInfo"), payload.get("evse")
    number = payload.get("connectorId", payload.get("evseId"))
    transaction = payload.get("transactionId")
    if isinstance(info, dict):
        transaction = info.get("transactionId")
        number = evse.get("id") if isinstance(evse, dict) else _evse_of(state, transaction)
    if not isinstance(number, int):
        return None
    known = transaction_on(state, number)
    if transaction is not None and known and str(transaction) != known:
        return None
    return state.power.connectors.get(number)


def _evse_of(state: ChargerState, transaction: object) -> int | None:
    """2.x says the EVSE once, at the start."""
    return next((n for n in state.power.connectors if transaction_on(state, n) == transaction), None)


def _judge(state: ChargerState, c: ConnectorPower, now: Instant) -> list[Effect]:
    limit_a = believed_a(state, c, now)
    if limit_a is None or now.mono - c.lowered_at < SETTLED_S:
        return []
    drawn_a = max((amps for amps in c.drawn_a or () if amps is not None), default=0.0)
    if drawn_a > limit_a + max(OVER_A, OVER_SHARE * limit_a):
        return _over(state, c, drawn_a, limit_a, now)
    c.over_since = INFINITE
    if c.control is not Control.DISOBEYS:
        return []
    c.obeyed_since = min(c.obeyed_since, now.mono)
    if now.mono - c.obeyed_since < OVER_S:
        return []
    c.obeyed_since = INFINITE
    return obeys_again(state, c, Control.DISOBEYS)


def _over(
    state: ChargerState, c: ConnectorPower, drawn_a: float, limit_a: float, now: Instant
) -> list[Effect]:
    c.obeyed_since = INFINITE
    c.over_since = min(c.over_since, now.mono)
    if now.mono - c.over_since < OVER_S or c.asked_a is not None:
        return []
    c.over_since = INFINITE
    why = f"it draws {drawn_a:.1f} A although it accepted {limit_a:g} A"
    effects = unsteerable(state, c, Control.DISOBEYS, why)
    if c.method and state.charger_up:
        c.asked_method = c.method
        effects += next_method(state, c, "does not obey", now)
        effects += steer(state, c, now)
    return effects
