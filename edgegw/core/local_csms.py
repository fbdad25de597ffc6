"""The box as CSMS: what a charger is told while nobody else can tell it, and what is kept for later.

Every answer is the one the specification gives a central system; `routing` says which kind for which
action. A message that is kept is in the list of effects before its answer, so it is on disk first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from edgegw.core import routing, sanity
from edgegw.core.authorization import token_1x, token_2x
from edgegw.core.effects import Effect, Noticed, SendCharger
from edgegw.core.events import Instant
from edgegw.core.records import Append, Discard, JournalRow, Lane, RowState
from edgegw.core.routing import Down, FromCharger, Newest
from edgegw.core.state import EPOCH_ROWS_MAX, ChargerState, ConnectorStatus, Registration
from edgegw.wire import frames
from edgegw.wire.error_codes import ErrorMeaning, error_code
from edgegw.wire.frames import Call

BOOT_RETRY_S = 60  # told to a charger the cloud never accepted, while the cloud is away
BOOT_LOOP_GAP_S = 30.0  # two boots closer than this are not two power cuts
BOOT_LOOP_BOOTS = 5
BOOT_LOOP_INTERVAL_S = 900  # told to a charger that boots all the time (fault 42)


# FirmwareStatus, DiagnosticsStatus and UploadLogStatus that something else will follow.
_ON_THE_WAY = (
    *("Idle", "Downloading", "DownloadScheduled", "DownloadPaused", "Downloaded", "SignatureVerified"),
    *("Installing", "InstallScheduled", "InstallRebooting", "Published", "Uploading"),
)


class Unanswerable(Exception):
    """Only the cloud could answer; the charger gets a CALLERROR."""

    def __init__(self, meaning: ErrorMeaning, text: str) -> None:
        super().__init__(text)
        self.meaning = meaning
        self.text = text


class Served:
    """What serving one CALL came to: effects, and the row if it was kept."""

    __slots__ = ("effects", "row")

    def __init__(self, effects: list[Effect], row: JournalRow | None = None) -> None:
        self.effects = effects
        self.row = row


def serve(state: ChargerState, call: Call, now: Instant, *, note: str = "") -> Served:
    """Answer `call` here. `note` goes to the row's flags (why it was not the cloud who answered)."""
    rule = routing.from_charger(state.version, call.action)
    try:
        if not _registered(state) and rule.keep is not Lane.TRANSACTION and rule.down is not Down.BOOT:
            # JE16 3.10, 2.x B01.FR.10. Transaction messages are kept all the same: nothing is lost.
            raise Unanswerable(ErrorMeaning.SECURITY, "not accepted yet: BootNotification first")
        if rule.down is Down.START:
            return _start(state, call, now, note)
        payload = _ANSWERS[rule.down](state, call, now, rule)
    except Unanswerable as refusal:
        return _refuse(state, call, refusal)
    answer = frames.result(call.id, payload)
    if rule.keep is None:
        return _told(state, call, answer)
    notes = (*_tag_flags(state, call, payload.get("idTokenInfo"), now), *filter(None, (note,)))
    return _kept(state, call, rule, answer, now, notes)


def _registered(state: ChargerState) -> bool:
    return state.profile.registration is Registration.ACCEPTED or state.site.policy.standalone


def _refuse(state: ChargerState, call: Call, refusal: Unanswerable) -> Served:
    code = error_code(state.version, refusal.meaning)
    return _told(state, call, frames.error(call.id, code, refusal.text))


def _told(state: ChargerState, call: Call, answer: bytes) -> Served:
    state.remember_answer(call.id, answer)
    return Served([SendCharger(answer)])


# --- keeping ----------------------------------------------------------------------------------------


def _kept(
    state: ChargerState, call: Call, rule: FromCharger, answer: bytes, now: Instant, notes: tuple[str, ...]
) -> Served:
    effects: list[Effect] = []
    if rule.keep is Lane.BOOT and not _registered(state):
        return _told(state, call, answer)  # the charger will boot again
    if rule.keep is Lane.STATUS:
        effects += note_status(state, call, now, cloud_saw=False)
    if rule.keep is Lane.NOTICE and not _worth_keeping(state, call):
        state.site.counters["notice_not_kept"] += 1
        return _told(state, call, answer)
    flags = (*sanity.flags(state, call, now), *_registration_flag(state), *notes)
    if rule.keep is Lane.TRANSACTION:
        effects += note_transaction(state, call, now, offline=not state.site.policy.standalone)
    row = store(state, call, rule, answer, now, flags, effects)
    effects.append(SendCharger(answer))
    state.remember_answer(call.id, answer)
    return Served(effects, row)


def store(
    state: ChargerState,
    call: Call,
    rule: FromCharger,
    answer: bytes,
    now: Instant,
    flags: tuple[str, ...],
    effects: list[Effect],
    transaction: str = "",
) -> JournalRow:
    """Put one row in front of `effects`' answer. A power cut after any effect is survivable."""
    assert rule.keep is not None
    standalone = state.site.policy.standalone
    lane = rule.keep
    if lane is Lane.NOTICE and not state.outbox.room_for_notice():
        lane = Lane.TRANSACTION  # its backlog is on disk, and may be of any length
    row = JournalRow(
        charger=state.identity,
        seq=state.outbox.next_seq(),
        epoch=state.epoch,
        message_id=call.id,
        lane=lane,
        version=state.version,
        action=call.action,
        raw=call.raw,
        answer=answer,
        received_at=now.wall,
        clock_trusted=now.trusted,
        state=RowState.RECORDED if standalone else RowState.STORED,
        transaction=transaction or transaction_of(call),
        subject=_subject(call, rule),
        flags=flags,
    )
    state.epoch_rows += 1
    if state.epoch_rows >= EPOCH_ROWS_MAX:
        state.new_epoch()
    effects.append(Append(row))
    if not standalone:
        superseded = state.outbox.append(row)
        if superseded:
            effects.append(Discard(state.identity, superseded))
    if flags:
        state.site.counters.update(flags)
    return row


def _registration_flag(state: ChargerState) -> tuple[str, ...]:
    return () if _registered(state) else ("not_accepted",)


def _subject(call: Call, rule: FromCharger) -> str:
    """What this row is the newest of; "" when every one counts."""
    if rule.newest is Newest.PER_ACTION:
        # How an update or an upload ended must not be forgotten for an Idle that came after it.
        ended = rule.keep is Lane.NOTICE and call.payload.get("status", "Idle") not in _ON_THE_WAY
        return "" if ended else call.action
    if rule.newest is Newest.PER_CONNECTOR and call.payload.get("errorCode", "NoError") == "NoError":
        return f"connector {connector_of(call)}"
    return ""


def connector_of(call: Call) -> str:
    """`2` in 1.6, `1.2` (EVSE.connector) in 2.x."""
    connector = call.payload.get("connectorId")
    evse = call.payload.get("evseId")
    return f"{connector}" if evse is None else f"{evse}.{connector}"


def transaction_of(call: Call) -> str:
    info = call.payload.get("transactionInfo")
    key = info.get("transactionId") if isinstance(info, dict) else call.payload.get("transactionId")
    return "" if key is None else str(key)[:64]


def _worth_keeping(state: ChargerState, call: Call) -> bool:
    if call.action == "SecurityEventNotification":
        return True  # 2.x A04.FR.02: guaranteed, whatever the number
    if not state.outbox.room_for_notice():
        return False
    if call.action != "NotifyEvent":
        return True
    events = call.payload.get("eventData")
    events = events if isinstance(events, list) else []
    return any(_is_severe(event) for event in events if isinstance(event, dict))


def _is_severe(event: dict[str, Any]) -> bool:
    """4 and below are errors (2.x N07); severity is in 2.1 only. A periodic sample that is late is stale."""
    severity = event.get("severity")
    if not isinstance(severity, int):
        return event.get("trigger") != "Periodic"
    return severity <= 4


# --- observing what a charger says of itself, wherever it is answered ------------------------------------


def note_status(state: ChargerState, call: Call, now: Instant, *, cloud_saw: bool) -> list[Effect]:
    key = connector_of(call)
    payload = call.payload
    if key not in state.connectors and len(state.connectors) >= sanity.CONNECTOR_MAX:
        return [
            Noticed("unknown_connector", f"{state.identity}: status of connector {key!r} is one too many")
        ]
    status = ConnectorStatus(
        raw=call.raw,
        status=str(payload.get("status", payload.get("connectorStatus", "")))[:40],
        error_code=str(payload.get("errorCode", ""))[:40],
        info=str(payload.get("info", ""))[:255],
        at=now.wall,
        cloud_saw=cloud_saw,
    )
    before = state.connectors.get(key)
    state.connectors[key] = status
    if before is not None and _same_state(before, status):
        return []  # a charger that repeats itself costs no write
    return [state.document("status", key, msgspec.json.encode(status), durable=False)]


def _same_state(before: ConnectorStatus, after: ConnectorStatus) -> bool:
    return (
        before.status == after.status
        and before.error_code == after.error_code
        and before.info == after.info
        and before.cloud_saw == after.cloud_saw
    )


def note_transaction(state: ChargerState, call: Call, now: Instant, *, offline: bool) -> list[Effect]:
    """Keep the record of a transaction up to date; StartTransaction is noted where its id is known."""
    if call.action == "MeterValues":
        state.transactions.metered(call)
    elif call.action == "StopTransaction":
        return list(state.transactions.stopped(call, now, offline=offline))
    elif call.action == "TransactionEvent":
        sanity.note_seq_no(state, call.payload)
        return list(state.transactions.event(call, now, offline=offline))
    return []


def note_boot(state: ChargerState, now: Instant) -> list[Effect]:
    """A charger that boots again and again is worth a look; it is told to take its time (fault 42)."""
    soon = now.mono - state.boot_seen_at < BOOT_LOOP_GAP_S
    state.boots_in_a_row = state.boots_in_a_row + 1 if soon else 1
    state.boot_seen_at, state.boot_seen_wall = now.mono, now.wall
    state.clock.start_over(now)
    if state.boots_in_a_row != BOOT_LOOP_BOOTS:
        return []
    text = f"{state.identity}: booted {BOOT_LOOP_BOOTS} times, less than {BOOT_LOOP_GAP_S:g} s apart"
    return [Noticed("boot_loop", text)]


# --- answers ----------------------------------------------------------------------------------------


def _boot(state: ChargerState, call: Call, now: Instant, rule: FromCharger) -> dict[str, Any]:
    policy = state.site.policy
    status, interval = "Accepted", state.profile.interval_s or policy.heartbeat_interval_s
    if not _registered(state):
        status = "Rejected" if state.profile.registration is Registration.REJECTED else "Pending"
        interval = BOOT_RETRY_S
    if state.boots_in_a_row >= BOOT_LOOP_BOOTS:
        interval = max(interval, BOOT_LOOP_INTERVAL_S)
    return {"status": status, "currentTime": state.site.time_text(now), "interval": interval}


def _time(state: ChargerState, call: Call, now: Instant, rule: FromCharger) -> dict[str, Any]:
    return {"currentTime": state.site.time_text(now)}


def _fixed(state: ChargerState, call: Call, now: Instant, rule: FromCharger) -> dict[str, Any]:
    return rule.answer


def _vat(state: ChargerState, call: Call, now: Instant, rule: FromCharger) -> dict[str, Any]:
    return {"vatNumber": str(call.payload.get("vatNumber", ""))[:20], "status": "Rejected"}


def _refused(state: ChargerState, call: Call, now: Instant, rule: FromCharger) -> dict[str, Any]:
    known = call.action in routing.FROM_CHARGER
    meaning = ErrorMeaning.GENERIC if known else ErrorMeaning.NOT_IMPLEMENTED
    raise Unanswerable(meaning, "the CSMS cannot be reached" if known else "unknown action")


def authorize(state: ChargerState, call: Call, now: Instant, rule: FromCharger) -> dict[str, Any]:
    """Authorize.conf from the lists (1.6 5.1, 2.x C)."""
    if state.version.is_2x:
        if has_certificate(call):
            raise Unanswerable(ErrorMeaning.GENERIC, "certificates are checked by the CSMS only")  # 2.x C07
        return {"idTokenInfo": _info_2x(state, call.payload.get("idToken"), now)}
    return {"idTagInfo": _info_1x(state, call.payload.get("idTag"), now)}


def has_certificate(call: Call) -> bool:
    """Only the cloud can check one (2.x C07)."""
    return "iso15118CertificateHashData" in call.payload or "certificate" in call.payload


def _tag_flags(state: ChargerState, call: Call, info: object, now: Instant) -> tuple[str, ...]:
    """What was decided on a tag, for the row; "tag_unknown" when nobody vouched for it (fault 40)."""
    if not isinstance(info, dict):
        return ()
    token = (
        token_2x(call.payload.get("idToken")) if state.version.is_2x else token_1x(call.payload.get("idTag"))
    )
    decided = f"tag_{info.get('status', '')}".lower()
    is_known = token is not None and state.authorization.knows(token, now)
    return (decided,) if is_known else (decided, "tag_unknown")


def _info_1x(state: ChargerState, id_tag: object, now: Instant) -> dict[str, Any]:
    token = token_1x(id_tag)
    return {"status": "Invalid"} if token is None else state.authorization.decide(token, now).info


def _info_2x(state: ChargerState, id_token: object, now: Instant) -> dict[str, Any]:
    if isinstance(id_token, dict) and id_token.get("type") == "NoAuthorization":
        return {"status": "Accepted"}  # 2.x C02: a start button, nothing to check
    token = token_2x(id_token)
    return {"status": "Invalid"} if token is None else state.authorization.decide(token, now).info


def _start(state: ChargerState, call: Call, now: Instant, note: str) -> Served:
    """StartTransaction.conf with an id of our own (1.6 4.8). A Start is never refused, only its tag."""
    rule = routing.from_charger(state.version, call.action)
    info = _start_info(state, call, now)
    repeated = state.transactions.repeated_start(call)
    if repeated is not None:
        state.site.counters["start_repeated"] += 1
        return _told(state, call, frames.result(call.id, {"transactionId": repeated, "idTagInfo": info}))
    local, saved = state.site.next_local_id(state.transactions.in_use)
    answer = frames.result(call.id, {"transactionId": local, "idTagInfo": info})
    flags = (*sanity.flags(state, call, now), *_registration_flag(state), *filter(None, (note,)))
    flags = (*flags, *_tag_flags(state, call, info, now))
    forgotten = state.forget_pairs()  # before this one is there: it is no surplus
    pair = state.transactions.open_pair(call, local, now)
    effects: list[Effect] = [saved, pair, *forgotten]
    effects += state.transactions.started(call, str(local), now, offline=not state.site.policy.standalone)
    row = store(state, call, rule, answer, now, flags, effects, transaction=str(local))
    effects.append(SendCharger(answer))
    state.remember_answer(call.id, answer)
    return Served(effects, row)


def _start_info(state: ChargerState, call: Call, now: Instant) -> dict[str, Any]:
    info = _info_1x(state, call.payload.get("idTag"), now)
    busy = (r.id_tag.casefold() for r in state.transactions.running.values())
    one_each = state.site.policy.one_transaction_per_tag and info.get("status") == "Accepted"
    if one_each and str(call.payload.get("idTag", "")).casefold() in busy:
        return {**info, "status": "ConcurrentTx"}
    return info


def _stop(state: ChargerState, call: Call, now: Instant, rule: FromCharger) -> dict[str, Any]:
    tag = call.payload.get("idTag")
    return {"idTagInfo": _info_1x(state, tag, now)} if tag is not None else {}


def _event(state: ChargerState, call: Call, now: Instant, rule: FromCharger) -> dict[str, Any]:
    token = call.payload.get("idToken")
    if token is None:
        return {}
    info = _info_2x(state, token, now)
    if state.site.policy.one_transaction_per_tag and info.get("status") == "Accepted":
        used = state.transactions.uses_tag(token, besides=transaction_of(call))
        if used and call.payload.get("eventType") != "Ended":
            info = {**info, "status": "ConcurrentTx"}
    return {"idTokenInfo": info}


_ANSWERS: dict[Down, Callable[[ChargerState, Call, Instant, FromCharger], dict[str, Any]]] = {
    Down.BOOT: _boot,
    Down.TIME: _time,
    Down.AUTHORIZE: authorize,
    Down.STOP: _stop,
    Down.EVENT: _event,
    Down.FIXED: _fixed,
    Down.VAT: _vat,
    Down.REFUSE: _refused,
}
