"""What a charger says, on its way to the cloud; and the cloud's answers on their way back.

While the cloud answers, its answer is the charger's. A CALL that the cloud leaves unanswered for
`cloud_answer_timeout_s` is answered here, and journalled first if it is billing; the cloud's own answer
may still come and is then learned from, not passed on.
"""

from __future__ import annotations

from edgegw.core import file_status, learning, local_csms, own_reports, replay, rewriting, routing, sanity
from edgegw.core.answered import Answered
from edgegw.core.authorization import token_1x, token_2x
from edgegw.core.calls import NEVER, Origin, Outgoing, Priority
from edgegw.core.effects import CloseCloud, Effect, Noticed, SendCharger, SendCloud
from edgegw.core.events import Instant
from edgegw.core.records import Discard, Lane
from edgegw.core.routing import FromCharger, Newest, Up
from edgegw.core.state import ChargerState
from edgegw.wire import frames, tokens
from edgegw.wire.error_codes import ErrorMeaning, error_code
from edgegw.wire.frames import Call, CallError, CallResult, CallResultError, Send
from edgegw.wire.versions import Version

GIVE_UPS_MAX = 2  # messages in a row without an answer: the leg is dead


# --- from the charger -------------------------------------------------------------------------------


def on_call(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    known = state.answered.get(call.id)
    if known is not None:
        seen = _seen_before(state, call, known)
        if seen is not None:
            return seen
    if own_reports.is_own(state, call):
        return own_reports.heard(state, call, now)
    rule = routing.from_charger(state.version, call.action)
    state.remember_call(call.id, call.raw, transactional=rule.keep is Lane.TRANSACTION)
    if call.action == "BootNotification":
        return local_csms.note_boot(state, now) + _carry(state, call, rule, now)
    if rule.up is Up.FILES and state.site.files.works:
        stays_here, effects = file_status.heard(state, call, now)
        return effects if stays_here else _carry(state, call, rule, now) + effects
    return _carry(state, call, rule, now)


def _carry(state: ChargerState, call: Call, rule: FromCharger, now: Instant) -> list[Effect]:
    """A CALL that was not seen before goes to the cloud, or is answered here."""
    transactional = rule.keep is Lane.TRANSACTION
    if not state.cloud_up:
        return _serve_away(state, call, now)
    up = rule.up
    if up is Up.AUTHORIZE and _answered_from_lists(state, call, now):
        return _authorize_here(state, call, rule, now)
    if transactional and state.holds_transactions:
        return serve(state, call, now, note="behind_queue")
    if rule.keep is Lane.STATUS and state.outbox.has_states and state.serves:
        # The stored state would arrive later and be taken for the newer one (1.6 4.9 rule 4).
        return serve(state, call, now, note="behind_queue")
    if up is Up.FILES and state.serves and state.outbox.has_early(call.action):
        return serve(state, call, now, note="behind_queue")  # the states of an update are one story
    data = call.raw
    if up is Up.REWRITE and state.version is Version.V16:
        data = rewriting.for_cloud(state, call)
    return _relay(state, call, rule, data, now)


def _serve_away(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    if state.serves:
        return serve(state, call, now)
    code = error_code(state.version, ErrorMeaning.GENERIC)
    return [SendCharger(frames.error(call.id, code, "the CSMS cannot be reached"))]


def _relay(state: ChargerState, call: Call, rule: FromCharger, data: bytes, now: Instant) -> list[Effect]:
    policy = state.site.policy
    out = Outgoing(
        call,
        priority=Priority.BOOT if rule.keep is Lane.BOOT else Priority.LIVE,
        answer_by=now.mono + policy.cloud_answer_timeout_s if state.serves else NEVER,
        timeout_s=policy.cloud_give_up_s,
        data=data,
    )
    queue = state.to_cloud
    if queue.submit(out, now.mono) is not None:
        return [SendCloud(data)]
    if rule.newest is Newest.PER_CONNECTOR or call.action == "Heartbeat":
        return _overtake(state, out)
    return []


def _overtake(state: ChargerState, newer: Outgoing) -> list[Effect]:
    """A state that waits for the cloud while a newer one arrives is answered here and not sent (fault 41)."""
    key = local_csms.connector_of(newer.call)
    for held in state.to_cloud.waiting:
        same = held.call.action == newer.call.action and local_csms.connector_of(held.call) == key
        if held is newer or held.origin is not Origin.RELAY or not same or held.call.action == "Heartbeat":
            continue
        if held.call.payload.get("errorCode", "NoError") != "NoError":
            continue  # errors are all told (1.6 4.9 rule 2)
        state.to_cloud.withdraw(held)
        state.site.counters["status_overtaken"] += 1
        answer = frames.result(held.call.id, {})
        state.remember_answer(held.call.id, answer)
        return [SendCharger(answer)]
    return []


def _seen_before(state: ChargerState, call: Call, known: Answered) -> list[Effect] | None:
    """The charger used this message id before. None: go on, it is another message."""
    if known.fingerprint == hash(call.raw):
        if call.action == "Heartbeat" and known.answer is not None:
            return None  # a charger with one id for all of them would be told the same time for ever
        state.site.counters["call_repeated"] += 1
        return [] if known.answer is None else [SendCharger(known.answer)]
    if known.earlier:
        return None  # counted anew since its boot; the epoch is a new one, too
    state.site.counters["message_id_reused"] += 1
    text = f"{state.identity}: message id {call.id!r} used again for another {call.action}"
    if routing.from_charger(state.version, call.action).keep is not Lane.TRANSACTION:
        code = error_code(state.version, ErrorMeaning.FORMATION)
        refusal = SendCharger(frames.error(call.id, code, "message id used before"))
        return [Noticed("message_id_reused", text), refusal]
    # Billing is never refused for a clumsy id: a new epoch keeps the two rows apart.
    state.new_epoch()
    return None


def on_send(state: ChargerState, send: Send, now: Instant) -> list[Effect]:
    """OCPP 2.1 SEND: nobody answers, nobody waits; without a cloud there is nobody to tell."""
    return [SendCloud(send.raw)] if state.cloud_up else []


def on_result_error(state: ChargerState, frame: CallResultError) -> list[Effect]:
    """OCPP 2.1: the charger could not use an answer. The cloud is told unless the answer was ours.

    A long answer is not remembered; it can only have been the cloud's.
    """
    known = state.answered.get(frame.id)
    is_ours = known is not None and known.answer is not None and not known.by_cloud
    return [SendCloud(frame.raw)] if state.cloud_up and not is_ours else []


# --- authorisation by [authorization] mode ------------------------------------------------------------


def _answered_from_lists(state: ChargerState, call: Call, now: Instant) -> bool:
    mode = state.site.policy.mode
    if mode == "cloud_first" or not state.serves:
        return False
    if mode == "local_only":
        return True
    token = (
        token_2x(call.payload.get("idToken")) if state.version.is_2x else token_1x(call.payload.get("idTag"))
    )
    if local_csms.has_certificate(call) or token is None or not state.authorization.knows(token, now):
        return False
    return state.authorization.decide(token, now).accepted


def _authorize_here(state: ChargerState, call: Call, rule: FromCharger, now: Instant) -> list[Effect]:
    return local_csms.serve(state, call, now).effects


# --- answering here -----------------------------------------------------------------------------------


def serve(state: ChargerState, call: Call, now: Instant, *, note: str = "") -> list[Effect]:
    """Answer here. Whatever transaction messages wait for the cloud go into the store before this one."""
    rule = routing.from_charger(state.version, call.action)
    effects: list[Effect] = []
    if rule.keep is Lane.TRANSACTION:
        effects += _store_waiting_transactions(state, now)
    return effects + _serve_one(state, call, now, note=note)


def _serve_one(
    state: ChargerState, call: Call, now: Instant, *, note: str, out: Outgoing | None = None
) -> list[Effect]:
    if call.action == "BootNotification":
        state.new_epoch()
    served = local_csms.serve(state, call, now, note=note)
    if out is not None:
        out.answered = True
        out.row = served.row
    if call.action == "BootNotification":
        return [*learning.booted(state, call), *served.effects]
    return served.effects


def _store_waiting_transactions(state: ChargerState, now: Instant) -> list[Effect]:
    """Keep the order: what was said earlier and still waits is stored earlier."""
    effects: list[Effect] = []
    queue = state.to_cloud
    ahead = [queue.outstanding] if queue.outstanding is not None else []
    for out in [*ahead, *queue.waiting]:
        if out.answered or out.origin is not Origin.RELAY:
            continue
        if routing.from_charger(state.version, out.call.action).keep is not Lane.TRANSACTION:
            continue
        effects += _serve_one(state, out.call, now, note="no_answer", out=out)
        if out is not queue.outstanding:
            queue.withdraw(out)
    return effects


# --- answers of the cloud -----------------------------------------------------------------------------


def on_answer(state: ChargerState, frame: CallResult | CallError, now: Instant) -> list[Effect]:
    out = state.to_cloud.resolve(frame.id)
    if out is None:
        state.site.counters["cloud_answer_unknown"] += 1
        return []
    state.give_ups = 0
    if out.row is not None:
        effects = replay.answered(state, out.row, out.call, frame, now)
    elif out.origin is not Origin.RELAY:
        effects = _box_answered(state, out, frame, now)
    elif out.answered:
        effects = _late(state, out, frame, now)
    else:
        effects = _pass_on(state, out, frame, now)
    return effects + advance(state, now)


def _pass_on(state: ChargerState, out: Outgoing, frame: CallResult | CallError, now: Instant) -> list[Effect]:
    call = out.call
    data = frame.raw
    effects: list[Effect] = []
    if isinstance(frame, CallResult):
        cloud_id = frame.payload.get("transactionId") if call.action == "StartTransaction" else None
        if state.transactions.is_local(cloud_id):
            data, effects = _clashing_id(state, call, frame, now)
        elif isinstance(cloud_id, int):
            effects = [*state.site.cloud_took_id(cloud_id)]
        state.remember_answer(call.id, data, by_cloud=True)
        return [*effects, SendCharger(data), *_learn(state, call, frame, now)]
    state.answered.forget(call.id)  # the charger may try again with the same id
    return [SendCharger(data)]


def _learn(state: ChargerState, call: Call, frame: CallResult, now: Instant) -> list[Effect]:
    effects: list[Effect] = []
    if call.action in _BILLING:
        doubts = sanity.flags(state, call, now)
        if doubts:
            state.site.counters.update(doubts)
        effects += local_csms.note_transaction(state, call, now, offline=False)
    effects += learning.from_cloud_answer(state, call, frame.payload, now)
    if call.action == "BootNotification":
        effects += state.save_profile(told_accepted=frame.payload.get("status") == "Accepted")
        state.boot_at = 0.0
        state.new_epoch()
        stale = state.outbox.boot
        if stale is not None:  # the live boot says all that the stored one would
            state.outbox.gone(stale)
            effects.append(Discard(state.identity, (stale.seq,)))
    return effects


_BILLING = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})


def _clashing_id(
    state: ChargerState, call: Call, frame: CallResult, now: Instant
) -> tuple[bytes, list[Effect]]:
    """The cloud chose an id that this charger already knows as one of ours."""
    cloud_id = frame.payload["transactionId"]
    local, saved = state.site.next_local_id(state.transactions.in_use)
    effects: list[Effect] = [saved, state.transactions.adopt_pair(local, cloud_id, now)]
    effects += state.transactions.started(call, str(local), now, offline=False, cloud_id=str(cloud_id))
    return tokens.with_value(frame.raw, ("transactionId",), b"%d" % local), effects


def _late(state: ChargerState, out: Outgoing, frame: CallResult | CallError, now: Instant) -> list[Effect]:
    """The charger was answered here in the meantime."""
    state.site.counters["cloud_answer_late"] += 1
    if isinstance(frame, CallResult):
        effects = learning.from_cloud_answer(state, out.call, frame.payload, now)
        if out.call.action == "BootNotification":
            replay.plan_boot(state, frame, now)
        return effects
    return []


def _box_answered(
    state: ChargerState, out: Outgoing, frame: CallResult | CallError, now: Instant
) -> list[Effect]:
    if isinstance(frame, CallResult) and out.purpose == "boot":
        effects: list[Effect] = [*learning.registered(state, out.call, frame.payload, now)]
        replay.plan_boot(state, frame, now)
        return effects if state.cloud_says_wait else effects + replay.tell_states(state, now)
    return []


def advance(state: ChargerState, now: Instant) -> list[Effect]:
    """The way to the cloud may be free: live messages first, then stored ones."""
    out = state.to_cloud.next(now.mono)
    if out is not None:
        return [SendCloud(out.data)]
    return replay.pump(state, now) if len(state.outbox) else []


# --- time and loss ------------------------------------------------------------------------------------


def on_deadline(state: ChargerState, now: Instant) -> list[Effect]:
    effects: list[Effect] = []
    queue = state.to_cloud
    ahead = [queue.outstanding] if queue.outstanding is not None else []
    for out in [*ahead, *queue.waiting]:
        if not out.answered and out.answer_by <= now.mono:
            effects += _answer_instead(state, out, now)
    out_late = queue.outstanding
    if out_late is not None and out_late.give_up_at <= now.mono:
        effects += _give_up(state, out_late, now)
    return effects


def _answer_instead(state: ChargerState, out: Outgoing, now: Instant) -> list[Effect]:
    effects: list[Effect] = []
    if routing.from_charger(state.version, out.call.action).keep is Lane.TRANSACTION:
        effects += _store_waiting_transactions(state, now)
    if not out.answered:
        effects += _serve_one(state, out.call, now, note="no_answer", out=out)
        if out is not state.to_cloud.outstanding:
            state.to_cloud.withdraw(out)
    state.site.counters["answered_instead"] += 1
    return effects


def _give_up(state: ChargerState, out: Outgoing, now: Instant) -> list[Effect]:
    """The cloud does not answer. That is no attempt of the message: same id, same bytes, next link."""
    state.give_ups += 1
    billing = out.row is not None
    if billing or state.give_ups >= GIVE_UPS_MAX:
        out.give_up_at = NEVER  # once: the disk may keep the closing waiting
        text = f"no answer to {out.call.action} in {state.site.policy.cloud_give_up_s:g} s"
        return [CloseCloud(text), Noticed("cloud_silent", f"{state.identity}: cloud gave {text}")]
    state.to_cloud.give_up()
    if not out.answered:
        state.answered.forget(out.call.id)  # nobody answered: asked again, it is asked anew
    return advance(state, now)


def on_lost(state: ChargerState, now: Instant) -> list[Effect]:
    """The cloud leg is gone: everyone who waits for an answer gets one here, in order."""
    effects: list[Effect] = []
    for out in state.to_cloud.lost():
        if out.origin is Origin.RELAY and not out.answered and state.charger_up:
            effects += _serve_after_loss(state, out, now)
    state.give_ups = 0
    state.boot_at = 0.0
    state.replay_slot = 0
    return effects


def _serve_after_loss(state: ChargerState, out: Outgoing, now: Instant) -> list[Effect]:
    if not state.serves:
        return []  # the charger is dropped with the cloud
    return _serve_one(state, out.call, now, note="link_lost", out=out)
