"""Where the events of a balanced charger meet what steers its power: actuation, profiles, notices.

Rules of this file: it decides nothing; it knows whom to ask, and in which order. A charger that is left out
of balancing never comes here (`PowerState.balanced`).
"""

from __future__ import annotations

from edgegw.core import actuation, adoption, charging_limits, cloud_cap, owned_profiles, power_notes
from edgegw.core.calls import Outgoing
from edgegw.core.effects import Effect
from edgegw.core.events import Instant, LimitsGranted
from edgegw.core.limits_held import transaction_on
from edgegw.core.records import Document
from edgegw.core.state import ChargerState, Registration
from edgegw.wire.frames import Call, CallError, CallResult

REMOTE_STARTS_MAX = 16  # remoteStartIds of transactions that have not begun yet


def on_connected(state: ChargerState, now: Instant) -> list[Effect]:
    effects = actuation.on_connected(state, now)
    if not state.cloud_up:
        effects += owned_profiles.on_cloud_lost(state, now)
    if state.profile.registration is Registration.ACCEPTED:
        effects += actuation.on_registered(state, now)
    return effects


def on_lost(state: ChargerState, now: Instant) -> list[Effect]:
    return actuation.on_lost(state, now) + owned_profiles.after_answer(state, now)


def heard(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    """A CALL of the charger, behind what was decided on it."""
    if call.action == "BootNotification":
        state.power.boot_id = call.id
        return actuation.on_boot(state, now) + adoption.met(state, call, now)
    if call.action == "StatusNotification":
        return _note_status(state, call, now)
    if call.action == "MeterValues":
        return actuation.measured(state, call, now)
    if call.action == "TransactionEvent":
        noted = _note_event(state, call, now)
        began = owned_profiles.on_transaction_event(state, call.payload, now)
        return noted + began + actuation.measured(state, call, now)
    return []


def _note_status(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    number = call.payload.get("evseId" if state.version.is_2x else "connectorId")
    connector = state.power.connectors.get(number) if isinstance(number, int) else None
    if connector is None:
        return adoption.stranger(state, number)
    connector.said_at = now.mono
    return []


def _note_event(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    """chargingState and remoteStartId of a 2.x TransactionEvent."""
    info, evse = call.payload.get("transactionInfo"), call.payload.get("evse")
    if not isinstance(info, dict):
        return []
    transaction = str(info.get("transactionId", ""))[:64]
    number = evse.get("id") if isinstance(evse, dict) else None
    if number is None and transaction in state.transactions.running:
        number = state.transactions.running[transaction].evse
    number = cloud_cap.connector_of(state, number if isinstance(number, int) else 0)
    connector = state.power.connectors.get(number)
    effects: list[Effect] = []
    if connector is not None:
        known = connector.charging_state
        if isinstance(info.get("chargingState"), str):
            connector.charging_state, connector.said_at = info["chargingState"][:20], now.mono
        if call.payload.get("eventType") == "Ended":
            connector.charging_state, connector.said_at = "", now.mono
        if connector.charging_state != known:
            effects = power_notes.keep(state, connector, now)
    remote = info.get("remoteStartId")
    if isinstance(remote, int):
        state.power.remote_starts[transaction] = remote
        while len(state.power.remote_starts) > REMOTE_STARTS_MAX:
            del state.power.remote_starts[next(iter(state.power.remote_starts))]
    return effects


def follow(state: ChargerState, now: Instant) -> list[Effect]:
    """What came of the last event: a boot was answered, transactions began or ended."""
    running, power = state.transactions.running, state.power
    effects = _follow_boot(state, now) if power.boot_id else []
    if running.keys() == power.seen:
        return effects
    for transaction in power.seen - running.keys():
        _note_end(state, now)
        effects += owned_profiles.on_transaction_ended(state, transaction)
    for transaction in running.keys() - power.seen:
        remote = power.remote_starts.pop(transaction, None)
        effects += owned_profiles.on_transaction_started(state, transaction, now, remote_start_id=remote)
    power.seen = set(running)
    return effects + actuation.advance(state, now)


def _note_end(state: ChargerState, now: Instant) -> None:
    """What was drawn in a transaction says nothing of the time after it."""
    for number, connector in state.power.connectors.items():
        if not transaction_on(state, number):
            connector.said_at = now.mono


def _follow_boot(state: ChargerState, now: Instant) -> list[Effect]:
    if state.to_cloud.awaits(state.power.boot_id):
        return []
    state.power.boot_id = ""
    accepted = state.profile.registration is Registration.ACCEPTED and state.profile.told_accepted
    return actuation.on_registered(state, now) if accepted else []


def on_limits(state: ChargerState, event: LimitsGranted, now: Instant) -> list[Effect]:
    effects = actuation.on_limits(state, event.grants, now)
    effects += owned_profiles.after_answer(state, now)
    if charging_limits.due(state, now):
        effects += charging_limits.notices(state, now)
    return effects


def on_answer(
    state: ChargerState, out: Outgoing, answer: CallResult | CallError | None, now: Instant
) -> list[Effect]:
    """The charger answered (None: did not) a CALL whose purpose begins with `actuation.PURPOSE`."""
    return actuation.on_answer(state, out, answer, now) + owned_profiles.after_answer(state, now)


def recover(state: ChargerState, document: Document) -> None:
    if document.kind == "power":
        actuation.recover(state, document)
    else:
        owned_profiles.recover(state, document)
