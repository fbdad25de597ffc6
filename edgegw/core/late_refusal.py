"""The cloud's late word on a transaction that the box has already allowed.

The charger has its answer and cannot get a second one. If the cloud, asked later, does not accept the
tag and the transaction still runs, it is stopped the way the charger's own configuration says: stop
(1.6 StopTransactionOnInvalidId, 2.x TxCtrlr.StopTxOnInvalidId), or no more energy (1.6 3.5.4, 2.x C15).
A late total cost is passed on while the transaction runs (2.x I02).
"""

from __future__ import annotations

from typing import Any

from edgegw.core import actuation, box_calls, cloud_cap, power_notes
from edgegw.core.calls import Outgoing
from edgegw.core.effects import Effect, Noticed
from edgegw.core.events import Instant
from edgegw.core.records import JournalRow
from edgegw.core.state import ChargerState
from edgegw.wire.frames import CallError, CallResult

_ASK, _STOP = "late_refusal ask ", "late_refusal stop "
_PROFILE_ID = 0x3FFF0001  # far from the ids a cloud counts up from 1


def of_start(state: ChargerState, row: JournalRow, answer: dict[str, Any], now: Instant) -> list[Effect]:
    """StartTransaction.conf came late (1.6)."""
    info = answer.get("idTagInfo")
    return _judge(state, row.transaction, info, now)


def of_event(state: ChargerState, row: JournalRow, answer: dict[str, Any], now: Instant) -> list[Effect]:
    """TransactionEventResponse came late (2.x)."""
    effects = _judge(state, row.transaction, answer.get("idTokenInfo"), now)
    cost = answer.get("totalCost")
    if cost is not None and row.transaction in state.transactions.running:
        payload = {"totalCost": cost, "transactionId": row.transaction}
        effects += box_calls.ask(state, "CostUpdated", payload, "cost", now)
    return effects


def _judge(state: ChargerState, transaction: str, info: object, now: Instant) -> list[Effect]:
    status = info.get("status") if isinstance(info, dict) else None
    if status in (None, "Accepted") or transaction not in state.transactions.running:
        return []
    text = f"{state.identity}: the cloud refused the tag of running transaction {transaction}: {status}"
    notice = Noticed("late_refusal", text)
    purpose = _ASK + transaction
    if not state.version.is_2x:
        keys = {"key": ["StopTransactionOnInvalidId"]}
        return [notice, *box_calls.ask(state, "GetConfiguration", keys, purpose, now)]
    variable = {"component": {"name": "TxCtrlr"}, "variable": {"name": "StopTxOnInvalidId"}}
    return [notice, *box_calls.ask(state, "GetVariables", {"getVariableData": [variable]}, purpose, now)]


def on_answer(
    state: ChargerState, out: Outgoing, answer: CallResult | CallError | None, now: Instant
) -> list[Effect]:
    """The charger answered one of our CALLs (None: it never did)."""
    if out.purpose.startswith(_ASK):
        return _act(state, out.purpose.removeprefix(_ASK), answer, now)
    accepted = isinstance(answer, CallResult) and answer.payload.get("status", "Accepted") == "Accepted"
    if out.purpose.startswith(_STOP) and not accepted:
        transaction = out.purpose.removeprefix(_STOP)
        text = f"{state.identity}: transaction {transaction}, refused by the cloud, could not be stopped"
        return [Noticed("late_refusal_failed", text)]
    return []


def _act(
    state: ChargerState, transaction: str, answer: CallResult | CallError | None, now: Instant
) -> list[Effect]:
    if transaction not in state.transactions.running:
        return []
    purpose = _STOP + transaction
    # No word from the charger: stopping is what most are set to, and what the operator would want.
    stop = _says_stop(answer.payload) if isinstance(answer, CallResult) else True
    if not stop and state.power.balanced:
        return _forbid(state, transaction, now)
    if not stop:
        return box_calls.ask(state, "SetChargingProfile", _no_energy(state, transaction), purpose, now)
    if state.version.is_2x:
        return box_calls.ask(state, "RequestStopTransaction", {"transactionId": transaction}, purpose, now)
    return box_calls.ask(state, "RemoteStopTransaction", {"transactionId": int(transaction)}, purpose, now)


def _forbid(state: ChargerState, transaction: str, now: Instant) -> list[Effect]:
    """A balanced charger: the box's own limit would hide another profile, so that limit becomes 0 A."""
    record = state.transactions.running[transaction]
    number = cloud_cap.connector_of(state, record.evse or record.connector)
    connector = state.power.connectors.get(number)
    if connector is None:
        return []
    connector.forbidden = transaction
    return [*power_notes.keep(state, connector, now), *actuation.advance(state, now)]


def _says_stop(payload: dict[str, Any]) -> bool:
    items = payload.get("configurationKey") or payload.get("getVariableResult")
    for item in items if isinstance(items, list) else ():
        value = item.get("value", item.get("attributeValue")) if isinstance(item, dict) else None
        if value is not None:
            return str(value).casefold() != "false"
    return True


def _no_energy(state: ChargerState, transaction: str) -> dict[str, Any]:
    """A TxProfile of 0 A for this one transaction."""
    record = state.transactions.running[transaction]
    schedule: dict[str, Any] = {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 0.0}],
    }
    profile: dict[str, Any] = {
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
    }
    if state.version.is_2x:
        profile |= {
            "id": _PROFILE_ID,
            "transactionId": transaction,
            "chargingSchedule": [{"id": 1, **schedule}],
        }
        return {"evseId": record.evse or 1, "chargingProfile": profile}
    profile |= {
        "chargingProfileId": _PROFILE_ID,
        "transactionId": int(transaction),
        "chargingSchedule": schedule,
    }
    return {"connectorId": record.connector, "csChargingProfiles": profile}
