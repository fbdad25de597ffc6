"""Schema-valid is not sane. What looks wrong in a billing message is flagged, never refused or changed.

The flags go into the journal row and the counters; the message goes on as it came. Faults 33 to 39.
"""

from __future__ import annotations

from typing import Any, TypeGuard

from edgegw.core.events import Instant
from edgegw.core.state import ChargerState
from edgegw.wire.frames import Call
from edgegw.wire.timestamps import parse_timestamp

CONNECTOR_MAX = 64  # more than any charging station has
METER_JUMP_WH_MAX = 10_000_000  # 10 MWh in one transaction: no car takes that
SEQ_NOS_MAX = 256  # transactions whose Ended never came; the oldest is forgotten
CLOCK_OFF_MAX_S = 86_400.0  # a charger further off than a day cannot be right


def flags(state: ChargerState, call: Call, now: Instant) -> tuple[str, ...]:
    """Everything doubtful about one message of lane TRANSACTION."""
    check = _CHECKS.get(call.action)
    found = check(state, call.payload) if check else []
    if _clock_suspect(call.payload, now):
        found.append("clock_suspect")
    return tuple(found)


def _clock_suspect(payload: dict[str, Any], now: Instant) -> bool:
    text = payload.get("timestamp")
    if text is None:
        return False
    parsed = parse_timestamp(text) if isinstance(text, str) else None
    if parsed is None or "clock_suspect" in parsed[1]:
        return True
    return now.trusted and abs(parsed[0] - now.wall) > CLOCK_OFF_MAX_S


def _start(state: ChargerState, payload: dict[str, Any]) -> list[str]:
    found = []
    connector = payload.get("connectorId")
    if not _whole(connector) or not 1 <= connector <= CONNECTOR_MAX:
        found.append("unknown_connector")
    elif any(r.connector == connector for r in state.transactions.running.values()):
        found.append("connector_busy")
    meter = payload.get("meterStart")
    if not _whole(meter) or meter < 0:
        found.append("meter_suspect")
    return found


def _stop(state: ChargerState, payload: dict[str, Any]) -> list[str]:
    record = state.transactions.running.get(str(payload.get("transactionId", "")))
    meter = payload.get("meterStop")
    if record is None:
        return ["unknown_transaction"]
    start = record.meter_start_wh
    if not _whole(meter) or meter < 0 or (start is not None and not 0 <= meter - start <= METER_JUMP_WH_MAX):
        return ["meter_suspect"]
    return []


def _meter_values(state: ChargerState, payload: dict[str, Any]) -> list[str]:
    found = []
    connector = payload.get("connectorId")
    if not _whole(connector) or not 0 <= connector <= CONNECTOR_MAX:
        found.append("unknown_connector")
    transaction = payload.get("transactionId")
    if transaction is not None and str(transaction) not in state.transactions.running:
        found.append("unknown_transaction")
    return found


def _event(state: ChargerState, payload: dict[str, Any]) -> list[str]:
    info = payload.get("transactionInfo")
    key = str(info.get("transactionId", "")) if isinstance(info, dict) else ""
    found = []
    first = payload.get("eventType") == "Started"
    if not key or (not first and key not in state.transactions.running):
        found.append("unknown_transaction")
    seq_no, last = payload.get("seqNo"), state.seq_no.get(key)
    if _whole(seq_no) and last is not None and seq_no != last + 1:
        found.append("seq_gap" if seq_no > last + 1 else "seq_repeated")
    return found


def note_seq_no(state: ChargerState, payload: dict[str, Any]) -> None:
    """Remember the seqNo of a TransactionEvent; forgotten with the transaction's end."""
    info = payload.get("transactionInfo")
    key = str(info.get("transactionId", "")) if isinstance(info, dict) else ""
    seq_no = payload.get("seqNo")
    if payload.get("eventType") == "Ended":
        state.seq_no.pop(key, None)
    elif key and _whole(seq_no):
        state.seq_no[key] = seq_no
        if len(state.seq_no) > SEQ_NOS_MAX:
            del state.seq_no[next(iter(state.seq_no))]


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


_CHECKS = {
    "StartTransaction": _start,
    "StopTransaction": _stop,
    "MeterValues": _meter_values,
    "TransactionEvent": _event,
}
