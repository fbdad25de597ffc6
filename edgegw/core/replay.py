"""Delivering what was stored: one message at a time, in order, with the same id and the same bytes.

- Boot first if the charger rebooted while the cloud was away, then states, notices, then transactions
  (OCPP 1.6 4.2, 4.9, 3.7). Live transaction messages wait behind the queue; others may overtake it.
- A link failure is not an attempt of the message; only a CALLERROR is (1.6 3.7.1, JE16 3.3, 2.x E13).
- What the cloud refuses for good is parked, never deleted; the queue goes on behind it.
- `Settle` stands before the next `SendCloud`: after a crash at most one message per charger goes twice.
"""

from __future__ import annotations

import orjson
from msgspec.structs import replace

from edgegw.core import box_calls, late_refusal, learning, rewriting, signed
from edgegw.core.calls import Origin, Outgoing, Priority
from edgegw.core.effects import AskReplaySlot, Effect, Noticed, SendCloud
from edgegw.core.events import Instant
from edgegw.core.records import Discard, JournalRow, Lane, RowState, Settle
from edgegw.core.state import ChargerState, Registration
from edgegw.core.transactions import REFUSED_ID
from edgegw.wire import tokens
from edgegw.wire.frames import Call, CallError, CallResult, FrameRefused, parse

BOOT_AGAIN_MIN_S, BOOT_AGAIN_MAX_S = 10, 600  # between two boots that the box sends for a charger

_NO_SLOT, _ASKED, _GRANTED = 0, 1, 2


def pump(state: ChargerState, now: Instant) -> list[Effect]:
    """Send the next stored message if the way is free."""
    queue = state.to_cloud
    if not state.cloud_up or not queue.ready or queue.outstanding is not None or queue.waiting:
        return []
    effects: list[Effect] = []
    load = state.outbox.load(idle=True)
    if load is not None:
        effects.append(load)
    row = state.outbox.next()
    if row is None or now.mono < state.replay_retry_at or _must_hold(state, row):
        return effects
    if not _slot(state):
        if state.replay_slot == _NO_SLOT:
            state.replay_slot = _ASKED
            effects.append(AskReplaySlot())
        return effects
    state.replay_slot = _NO_SLOT
    state.replay_retry_at = 0.0
    return effects + _send(state, row, now)


def _slot(state: ChargerState) -> bool:
    return state.site.policy.replay_unlimited or state.replay_slot == _GRANTED


def _must_hold(state: ChargerState, row: JournalRow) -> bool:
    """A cloud that has not accepted the charger gets its boot and nothing else (B02.FR.02, B03.FR.02)."""
    return state.cloud_says_wait and row.lane is not Lane.BOOT


def _send(state: ChargerState, row: JournalRow, now: Instant) -> list[Effect]:
    try:
        call = parse(row.raw, state.version)
    except FrameRefused:
        call = None
    if not isinstance(call, Call):
        # Only a changed frame layer could do this: the row was parsed when it came.
        return _park(state, row, "the stored frame cannot be read", row.attempts)
    data = rewriting.for_cloud(state, call)
    if call.action == "TransactionEvent":
        data = rewriting.offline(call)
    call = signed.plain(state.version, call)
    priority = Priority.BOOT if row.lane is Lane.BOOT else Priority.REPLAY
    timeout_s = state.site.policy.cloud_give_up_s
    out = Outgoing(call, origin=Origin.REPLAY, priority=priority, timeout_s=timeout_s, row=row, data=data)
    state.to_cloud.submit(out, now.mono)
    return [SendCloud(data)]


def answered(
    state: ChargerState, row: JournalRow, call: Call, answer: CallResult | CallError, now: Instant
) -> list[Effect]:
    """The cloud answered a stored message."""
    if row.lane is not Lane.TRANSACTION and not state.outbox.holds(row):
        return []  # a newer one took its place meanwhile: there is nothing to settle and nothing to learn
    if isinstance(answer, CallError):
        return _refused(state, row, answer, now)
    state.outbox.gone(row)
    settled = Settle(charger=state.identity, seq=row.seq, state=RowState.DELIVERED)
    learned = _delivered(state, row, call, answer, now)
    return [settled, *learned, *(state.forget_pairs() if row.lane is Lane.TRANSACTION else ())]


def _delivered(
    state: ChargerState, row: JournalRow, call: Call, answer: CallResult, now: Instant
) -> list[Effect]:
    if row.action == "BootNotification":
        return _boot_delivered(state, row, call, answer, now)
    if row.action == "StartTransaction":
        return _start_delivered(state, row, call, answer, now)
    effects = learning.from_cloud_answer(state, call, answer.payload, now)
    if row.action == "TransactionEvent":
        effects += late_refusal.of_event(state, row, answer.payload, now)
    return effects


def _start_delivered(
    state: ChargerState, row: JournalRow, call: Call, answer: CallResult, now: Instant
) -> list[Effect]:
    """The pair local <-> cloud is in the same commit as the reply that brought it."""
    cloud_id = answer.payload.get("transactionId")
    local = int(row.transaction)
    effects: list[Effect] = []
    if isinstance(cloud_id, int):
        effects += state.transactions.bind(local, cloud_id)
        effects += state.transactions.named_by_cloud(row.transaction, str(cloud_id))
    else:
        text = (
            f"{state.identity}: the cloud gave no transaction id for stored StartTransaction {row.message_id}"
        )
        effects.append(Noticed("no_transaction_id", f"{text}; what follows goes up with -1"))
    effects += learning.learn_tag(state, call, answer.payload, now)
    return effects + late_refusal.of_start(state, row, answer.payload, now)


def _boot_delivered(
    state: ChargerState, row: JournalRow, call: Call, answer: CallResult, now: Instant
) -> list[Effect]:
    effects = learning.registered(state, call, answer.payload, now)
    plan_boot(state, answer, now)
    if state.profile.registration is not Registration.ACCEPTED:
        text = f"{state.identity}: the cloud answered a stored boot with {state.profile.registration}"
        return [*effects, Noticed("boot_not_accepted", text)]
    effects += tell_states(state, now)
    told = orjson.loads(row.answer)[2].get("interval")
    if told != state.profile.interval_s and state.profile.interval_s:
        effects += box_calls.set_heartbeat_interval(state, state.profile.interval_s, now)
    return effects


def tell_states(state: ChargerState, now: Instant) -> list[Effect]:
    """After a boot the cloud expects every connector's state (16E 3.22, 2.x B01.FR.05)."""
    effects: list[Effect] = []
    for status in list(state.connectors.values()):
        if not status.cloud_saw:
            continue  # waits in the outbox under its own id
        new_id = state.site.new_id()
        call = parse(tokens.with_message_id(status.raw, new_id), state.version)
        if isinstance(call, Call):
            timeout_s = state.site.policy.cloud_give_up_s
            out = Outgoing(
                call, origin=Origin.GATEWAY, priority=Priority.GATEWAY, timeout_s=timeout_s, purpose="status"
            )
            if state.to_cloud.submit(out, now.mono) is not None:
                effects.append(SendCloud(out.data))
    return effects


def plan_boot(state: ChargerState, answer: CallResult, now: Instant) -> None:
    """The cloud answered a boot that the charger takes for settled: when must it be told again?"""
    interval = answer.payload.get("interval")
    wait_s = interval if isinstance(interval, int) else 0
    again = now.mono + min(max(wait_s, BOOT_AGAIN_MIN_S), BOOT_AGAIN_MAX_S)
    state.boot_at = again if state.cloud_awaits_boot else 0.0


def boot_for_charger(state: ChargerState, now: Instant) -> list[Effect]:
    """Boot in the charger's place until the cloud accepts it (1.6 4.2, 2.x B02 and B03).

    It was told Accepted while the cloud was away and would not boot again for weeks.
    """
    if not state.cloud_awaits_boot:
        state.boot_at = 0.0
        return []
    state.boot_at = now.mono + BOOT_AGAIN_MAX_S  # an answer brings it forward
    return repeat_boot(state, now)


def repeat_boot(state: ChargerState, now: Instant) -> list[Effect]:
    """[cloud] replay_boot = "always": some back-ends want a boot on every connection."""
    if not state.profile.boot or state.outbox.boot is not None:
        return []
    call = parse(tokens.with_message_id(state.profile.boot, state.site.new_id()), state.version)
    if not isinstance(call, Call):
        return []
    timeout_s = state.site.policy.cloud_give_up_s
    out = Outgoing(call, origin=Origin.GATEWAY, priority=Priority.BOOT, timeout_s=timeout_s, purpose="boot")
    sent = state.to_cloud.submit(out, now.mono)
    return [SendCloud(out.data)] if sent is not None else []


def _refused(state: ChargerState, row: JournalRow, answer: CallError, now: Instant) -> list[Effect]:
    attempts = row.attempts + 1
    error = f"{answer.code}: {answer.description}"[:500]
    if row.lane in (Lane.STATUS, Lane.BOOT):
        state.outbox.gone(row)  # a newer one will follow; nothing billed is in it
        return [Discard(state.identity, (row.seq,)), Noticed("stored_refused", _refusal(state, row, error))]
    if attempts >= state.site.policy.message_attempts:
        return _park(state, row, error, attempts)
    # 1.6 3.7.1: wait the interval times the number of transmissions so far.
    state.replay_retry_at = now.mono + state.site.policy.message_retry_interval_s * attempts
    state.outbox.replace(with_attempts(row, attempts, error))
    return [
        Settle(charger=state.identity, seq=row.seq, state=RowState.STORED, attempts=attempts, error=error),
        Noticed("stored_refused", _refusal(state, row, error)),
    ]


def with_attempts(row: JournalRow, attempts: int, error: str) -> JournalRow:
    return replace(row, attempts=attempts, error=error)


def _park(state: ChargerState, row: JournalRow, error: str, attempts: int) -> list[Effect]:
    state.outbox.gone(row, parked=True)
    effects: list[Effect] = [
        Settle(charger=state.identity, seq=row.seq, state=RowState.PARKED, attempts=attempts, error=error)
    ]
    if row.action == "StartTransaction" and row.transaction.isdecimal():
        # What follows goes up with -1, which a central system must answer (16E 3.18).
        effects += state.transactions.bind(int(row.transaction), REFUSED_ID)
    tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    return [*effects, Noticed("parked", f"{_refusal(state, row, error)}; parked after {tries}")]


def _refusal(state: ChargerState, row: JournalRow, error: str) -> str:
    return f"{state.identity}: the cloud refused stored {row.action} {row.message_id}: {error}"
