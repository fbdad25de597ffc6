"""What a charger's messages say of its energy registers, brought to the odometer of the right connector.

An observer, as `reports` is: it comes behind what is relayed or answered, adds at most store operations that
nobody waits for, and never fails on what a charger wrote. A message that is repeated with its id counts once;
so does one that the gateway stores and delivers later, because it is heard once.

A connector is a connectorId of OCPP 1.6 or an EVSE of 2.x; 0, the charger's own main meter, is none.
"""

from __future__ import annotations

from typing import Any

from edgegw.core.effects import Effect
from edgegw.core.energy_book import NEVER
from edgegw.core.events import Instant
from edgegw.core.meter_values import REGISTER_MAX_WH, EnergyRead, energy_reads, said_s
from edgegw.core.odometer import Reading
from edgegw.core.records import TransactionRecord
from edgegw.core.state import ChargerState
from edgegw.wire.frames import Call

ACTIONS = frozenset({"MeterValues", "StartTransaction", "StopTransaction", "TransactionEvent"})

POWER_MAX_W = 400_000.0  # of a connector that the site file does not know
POWER_MARGIN = 2.0  # over what the site file says: it may be wrong, and a rise that is refused is lost


def heard(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    """Note what a message of `ACTIONS` says."""
    payload = call.payload
    if call.action == "MeterValues":
        _meter_values(state, payload, now)
        return keep(state, now) if state.energy.due_at <= now.mono else []
    return keep(state, now, edge=_EDGES[call.action](state, payload, now))


def keep(state: ChargerState, now: Instant, *, edge: int = 0) -> list[Effect]:
    """Write what is due; at the edges of a transaction (of connector `edge`) at once."""
    if state.energy.due_at > now.mono and (not edge or state.energy.due_at == NEVER):
        return []
    due = state.energy.take_due(now, edge)
    return [state.document("energy", str(connector), value, durable=False) for connector, value in due]


# --- messages ---------------------------------------------------------------------------------------


def _meter_values(state: ChargerState, payload: dict[str, Any], now: Instant) -> None:
    transaction = _name(payload.get("transactionId"))
    connector = payload.get("evseId", payload.get("connectorId"))
    if type(connector) is not int:
        connector = 0
    if not connector and transaction:
        connector = _place(state, transaction)
    if not connector:
        return
    reads = state.energy.unsure(connector, payload.get("meterValue"), transaction, now)
    charging = bool(reads) and (bool(transaction) or _is_charging(state, connector))
    for found in reads:
        _read(state, connector, found, now, transaction=transaction, charging=charging)


def _start(state: ChargerState, payload: dict[str, Any], now: Instant) -> int:
    """Returns the connector, as the other edges of a transaction do; 0 when nobody knows."""
    connector = _number(payload.get("connectorId"))
    found = _register(payload.get("meterStart"), payload)
    if found is not None:
        _read(state, connector, found, now, begins=True)
    return connector


def _stop(state: ChargerState, payload: dict[str, Any], now: Instant) -> int:
    transaction = _name(payload.get("transactionId"))
    connector = _place(state, transaction)
    if not connector:
        return 0
    for found in energy_reads(payload.get("transactionData")):
        _read(state, connector, found, now, transaction=transaction)
    last = _register(payload.get("meterStop"), payload)
    if last is not None:
        _read(state, connector, last, now, transaction=transaction)
    return connector


def _event(state: ChargerState, payload: dict[str, Any], now: Instant) -> int:
    info, evse, kind = payload.get("transactionInfo"), payload.get("evse"), payload.get("eventType")
    transaction = _name(info.get("transactionId")) if isinstance(info, dict) else ""
    connector = _number(evse.get("id")) if isinstance(evse, dict) else 0
    if connector and kind != "Ended":
        state.energy.began_on(transaction, connector)
    connector = connector or state.energy.evse_of(transaction) or _place(state, transaction)
    _read_event(state, connector, payload.get("meterValue"), now, transaction, begins=kind == "Started")
    if kind == "Ended":
        state.energy.ended(transaction)
    return connector if kind in ("Started", "Ended") else 0


def _read_event(
    state: ChargerState, connector: int, values: object, now: Instant, transaction: str, *, begins: bool
) -> None:
    if not connector or values is None:
        return
    reads = energy_reads(values) if begins else state.energy.unsure(connector, values, transaction, now)
    for found in reads:
        _read(state, connector, found, now, transaction=transaction, begins=begins)
        begins = False


_EDGES = {"StartTransaction": _start, "StopTransaction": _stop, "TransactionEvent": _event}


def _read(
    state: ChargerState,
    connector: int,
    found: EnergyRead,
    now: Instant,
    *,
    transaction: str = "",
    begins: bool = False,
    charging: bool = True,
) -> None:
    reading = Reading(
        wh=found.wh,
        said_at=said_s(found.said_at),
        coarse=found.coarse,
        transaction=transaction,
        begins=begins,
        charging=charging,
        power_w=_power_w(state, connector),
    )
    state.energy.read(connector, reading, found.said_at, now)


# --- what stands around a register ----------------------------------------------------------------------


def _register(value: object, payload: dict[str, Any]) -> EnergyRead | None:
    """meterStart and meterStop are whole Wh (1.6 6.45, 6.49)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= REGISTER_MAX_WH:
        return None
    return EnergyRead(value, payload.get("timestamp"))


def _power_w(state: ChargerState, connector: int) -> float:
    known = state.power.connectors.get(connector)
    if known is None:
        return POWER_MAX_W
    wiring = known.wiring
    return wiring.max_a * wiring.phases * state.power.nominal_v * POWER_MARGIN


def _is_charging(state: ChargerState, connector: int) -> bool:
    return any(_connector_of(record) == connector for record in state.transactions.running.values())


def _place(state: ChargerState, transaction: str) -> int:
    record = state.transactions.running.get(transaction)
    if record is None:
        record = next((ended for ended in state.transactions.ended if ended.id == transaction), None)
    return _connector_of(record) if record is not None else 0


def _connector_of(record: TransactionRecord) -> int:
    return record.evse or record.connector


def _name(value: object) -> str:
    return "" if value is None else str(value)[:64]


def _number(value: object) -> int:
    return value if type(value) is int else 0
