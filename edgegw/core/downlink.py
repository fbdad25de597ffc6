"""What the cloud says, on its way to a charger; and the charger's answers on their way back.

A CALL of the cloud is live or nothing: none is kept for a charger that is not there (OCPP 2.x Part 4
6.3). A charger that answers late is late towards the cloud too, just as it would be without the box.
"""

from __future__ import annotations

from collections.abc import Callable

from edgegw.core import (
    actuation,
    box_calls,
    diagnostics,
    file_keeping,
    file_links,
    file_status,
    firmware,
    forwarding,
    guard,
    late_refusal,
    learning,
    own_reports,
    owned_profiles,
    rewriting,
    routing,
    signed,
    steering,
)
from edgegw.core.calls import Origin, Outgoing
from edgegw.core.effects import CallFinished, CallOutcome, Effect, Noticed, SendCharger, SendCloud
from edgegw.core.events import Instant
from edgegw.core.routing import Up
from edgegw.core.state import ChargerState
from edgegw.wire import frames, tokens
from edgegw.wire.frames import Call, CallError, CallResult, CallResultError, Send

# --- from the cloud ---------------------------------------------------------------------------------


def on_call(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    if state.to_charger.is_repeated(call):
        state.site.counters["cloud_call_repeated"] += 1
        return []  # the charger has it, or will: it must not do it twice (faults 24 and 55)
    reading = signed.plain(state.version, call)
    up = routing.from_cloud(reading.action).up
    if up is Up.OWN and state.power.balanced:
        owned = owned_profiles.on_cloud_call(state, reading, now)
        if owned is not None:
            return owned
    if up is Up.FILES:
        moved = _FILES[reading.action](state, reading, now, signed=reading is not call)
        if moved is not None:
            return moved
    if reading.action in ("TriggerMessage", "ExtendedTriggerMessage"):
        file_status.on_trigger(state, reading)
    data, purpose = call.raw, ""
    if up is Up.GUARD and guard.moves(reading):
        # What is signed cannot be rewritten, so it cannot be adopted.
        verdict = guard.judge(state, call) if reading is call else guard.refuse(reading)
        if verdict.answer is not None:
            text = f"{state.identity}: the cloud's {call.action} would move it off this gateway: refused"
            return [Noticed("move_refused", text), SendCloud(frames.result(call.id, verdict.answer))]
        data, purpose = verdict.raw, verdict.cloud_url
    elif up in (Up.REWRITE, Up.OWN):
        if call.action == "RemoteStopTransaction" and _already_stopped(state, call):
            return [SendCloud(frames.result(call.id, {"status": "Rejected"}))]
        data = rewriting.for_charger(state, call)
    kept = own_reports.asked_by_cloud(state, reading)
    return [*kept, *forwarding.forward(state, call, data, now, purpose=purpose)]


def _already_stopped(state: ChargerState, call: Call) -> bool:
    """The Stop of this transaction is in our queue: the cloud does not know yet that it ended."""
    if state.to_charger.is_pending(call.id):
        return False  # of two CALLs with one id the first is answered first: the charger refuses it as well
    local = state.transactions.id_for_charger(call.payload.get("transactionId"))
    return (
        local is not None and str(local) not in state.transactions.running and state.outbox.has_transactions
    )


def on_send(state: ChargerState, send: Send) -> list[Effect]:
    return [SendCharger(send.raw)]


def on_result_error(state: ChargerState, frame: CallResultError) -> list[Effect]:
    """OCPP 2.1: the cloud could not use the charger's answer."""
    return [SendCharger(frame.raw)]


# --- answers of the charger -----------------------------------------------------------------------------


def on_answer(state: ChargerState, frame: CallResult | CallError, now: Instant) -> list[Effect]:
    out = state.to_charger.resolve(frame.id)
    if out is None:
        state.site.counters["charger_answer_unknown"] += 1
        return []
    effects: list[Effect]
    if out.origin is Origin.RELAY:
        effects = [SendCloud(_for_cloud(state, out, frame))]
        if _is_about_files(out):
            effects += _file_answer(state, out, frame, now)
        elif out.purpose:
            effects += _adopt(state, out, frame)
        if state.power.starts:
            effects = [*owned_profiles.on_charger_answer(state, out.call, frame, now), *effects]
    elif out.origin is Origin.API:
        effects = [_finished(out, frame), *_disturbed(state, out, now)]
    elif out.purpose.startswith(actuation.PURPOSE):
        effects = steering.on_answer(state, out, frame, now)
    elif _is_about_files(out):
        effects = _file_answer(state, out, frame, now)
    else:
        effects = late_refusal.on_answer(state, out, frame, now)
    if isinstance(frame, CallResult):
        learned = learning.from_charger_answer(state, out.call, frame.payload, now)
        # A list that the cloud takes for set must be on disk: nobody sends it a second time.
        is_list = out.call.action == "SendLocalList"
        effects = [*learned, *effects] if is_list else [*effects, *learned]
    return effects + advance(state, now)


def _for_cloud(state: ChargerState, out: Outgoing, frame: CallResult | CallError) -> bytes:
    data = frame.raw
    if out.id != out.call.id:
        data = tokens.with_message_id(data, out.call.id)
    if (
        out.call.action == "GetTransactionStatus"
        and isinstance(frame, CallResult)
        and state.outbox.has_transactions
    ):
        # The charger has nothing queued because we have it (2.x E14).
        data = tokens.with_member(data, "messagesInQueue", b"true")
    if out.purpose.startswith(file_keeping.PURPOSE):
        return firmware.mask(state, out.purpose, frame, data)
    return diagnostics.mask(state, out.purpose, frame, data) if _is_about_files(out) else data


_FILES: dict[str, Callable[..., list[Effect] | None]] = {
    **dict.fromkeys(firmware.ACTIONS, firmware.on_cloud_call),
    **dict.fromkeys(diagnostics.ACTIONS, diagnostics.on_cloud_call),
}


def _is_about_files(out: Outgoing) -> bool:
    return (
        out.purpose.startswith((file_keeping.PURPOSE, diagnostics.PURPOSE))
        or out.purpose == file_links.PURPOSE
    )


def _file_answer(
    state: ChargerState, out: Outgoing, frame: CallResult | CallError | None, now: Instant
) -> list[Effect]:
    """The charger answered a CALL about a file (None: not in time)."""
    if out.purpose == file_links.PURPOSE:
        learned = file_links.learn_protocols(state, frame.payload) if isinstance(frame, CallResult) else []
        state.files.asking_protocols = False
        return [*learned, *firmware.protocols_told(state, now), *diagnostics.protocols_told(state, now)]
    if out.purpose.startswith(file_keeping.PURPOSE):
        return firmware.on_answer(state, out.purpose, frame, now)
    return diagnostics.on_answer(state, out.purpose, frame, now)


def _adopt(state: ChargerState, out: Outgoing, frame: CallResult | CallError) -> list[Effect]:
    """The charger took our address in place of the new one: the new one is its cloud from now on."""
    if not isinstance(frame, CallResult) or not guard.is_taken(out.call, frame.payload):
        return []
    text = f"{state.identity}: moved by the cloud; connected onward to {out.purpose} from its next connect"
    return [*state.save_profile(cloud_url=out.purpose), Noticed("move_adopted", text)]


def _disturbed(state: ChargerState, out: Outgoing, now: Instant) -> list[Effect]:
    """Somebody on the box set or cleared profiles of a balanced charger: ours are set again."""
    if out.call.action not in ("SetChargingProfile", "ClearChargingProfile") or not state.power.balanced:
        return []
    return actuation.disturbed(state, now)


def _finished(out: Outgoing, frame: CallResult | CallError) -> CallFinished:
    if isinstance(frame, CallResult):
        return CallFinished(ticket=out.ticket, outcome=CallOutcome.RESULT, payload=frame.payload)
    return CallFinished(
        ticket=out.ticket,
        outcome=CallOutcome.ERROR,
        code=frame.code,
        description=frame.description,
        payload=frame.details,
    )


def advance(state: ChargerState, now: Instant) -> list[Effect]:
    out = state.to_charger.next(now.mono)
    return [SendCharger(out.data)] if out is not None else []


# --- time and loss ------------------------------------------------------------------------------------


def on_deadline(state: ChargerState, now: Instant) -> list[Effect]:
    out = state.to_charger.outstanding
    if out is None or out.give_up_at > now.mono:
        return []
    state.to_charger.give_up()
    state.site.counters["charger_silent"] += 1
    effects: list[Effect] = []
    if out.origin is Origin.API:
        effects.append(box_calls.finished(out.ticket, CallOutcome.TIMEOUT))
        effects += _disturbed(state, out, now)
    elif out.purpose.startswith(actuation.PURPOSE):
        effects += steering.on_answer(state, out, None, now)
    elif _is_about_files(out) and out.origin is Origin.GATEWAY:
        effects += _file_answer(state, out, None, now)  # a late answer to the cloud still counts
    elif out.origin is Origin.GATEWAY:
        effects += late_refusal.on_answer(state, out, None, now)
    if out.origin is not Origin.RELAY:
        # Whoever asked was told; an answer that still comes is learned from, told to nobody (fault 26).
        # One about a file still counts: the charger may begin, or refuse, however late.
        out.purpose = out.purpose if _is_about_files(out) else ""
        out.origin = Origin.GATEWAY
    return effects + advance(state, now)


def on_lost(state: ChargerState, now: Instant) -> list[Effect]:
    """The charger is gone: nobody answers these CALLs. The one that was sent it may have done."""
    sent, effects = state.to_charger.outstanding, list[Effect]()
    for out in state.to_charger.lost():
        if out.origin is Origin.API:
            effects.append(box_calls.finished(out.ticket, CallOutcome.GONE))
            effects += _disturbed(state, out, now) if out is sent else []
    purpose = sent.purpose if sent is not None else ""
    return effects + firmware.on_lost(state, purpose) + diagnostics.on_lost(state, purpose)


def on_cloud_lost(state: ChargerState, now: Instant) -> list[Effect]:
    """What the cloud asked and the charger has not heard yet is void: a later leg knows no such id."""
    state.to_charger.disown()
    effects = firmware.on_cloud_lost(state, now) + diagnostics.on_cloud_lost(state)
    return effects + (owned_profiles.on_cloud_lost(state, now) if state.power.balanced else [])
