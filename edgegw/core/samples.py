"""The newest meter values of every connector as they came, for whoever wants to know what is drawn now.

An observer: it keeps the bytes and reads nothing, so that a relayed message costs no more for it. `draw.said`
reads them, when somebody looks. Of a signed message nothing is read.
"""

from __future__ import annotations

from typing import Any

from edgegw.core.events import Instant
from edgegw.core.state import ChargerState, Sample
from edgegw.wire.frames import Call

CONNECTORS_MAX = 64  # as `sanity.CONNECTOR_MAX`: more than any charging station has
BYTES_MAX = 16 * 1024  # of one message; the longest that are sane have a tenth


def heard(state: ChargerState, call: Call, now: Instant) -> None:
    """A MeterValues or TransactionEvent. What was drawn in a transaction says nothing of the time after."""
    payload = call.payload
    if "meterValue" not in payload or payload.get("offline") is True or len(call.raw) > BYTES_MAX:
        return
    connector = payload.get("connectorId") or _connector(state, payload)
    if type(connector) is not int or not 1 <= connector <= CONNECTORS_MAX:
        return
    if payload.get("eventType") == "Ended":
        state.samples.pop(connector, None)
    else:
        state.samples[connector] = Sample(now.mono, call.raw)


def _connector(state: ChargerState, payload: dict[str, Any]) -> object:
    """2.x: of an EVSE; an event need not say it twice."""
    evse, info = payload.get("evse"), payload.get("transactionInfo")
    if isinstance(evse, dict):
        return evse.get("id")
    if isinstance(info, dict):
        record = state.transactions.running.get(str(info.get("transactionId")))
        return record.evse if record is not None else None
    return payload.get("evseId")
