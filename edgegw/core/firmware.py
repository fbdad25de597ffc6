"""A firmware update of one charger: the box has the file before the charger hears of it.

- The cloud's CALL is held for `patience_s` while the file is fetched (plain 1.6: a moment, its answer says
  nothing). When that is not enough the cloud is answered in the charger's place, and the CALL goes on when
  the file is here: a slow link never sends a whole site to the origin. What the charger then refuses, the
  cloud hears as a status. While an update is at the charger already nothing waits: a new one cancels it.
- Only the address changes. Signature and certificate stay; `-Signed` messages are relayed as they are.
- What cannot be fetched goes on as it came; what must not be fetched, or is not what was signed, does not.
- Statuses go to the cloud untouched (`file_status`), those of an update of the site (`site_update`) do not.
- An order ends with a word of the charger, never for want of one.
"""

from __future__ import annotations

import orjson
from msgspec.structs import replace

from edgegw.core import file_links, forwarding, site_update
from edgegw.core.calls import NEVER, Origin, Outgoing, Priority
from edgegw.core.effects import Effect, Noticed, SendCharger, SendCloud
from edgegw.core.events import Instant
from edgegw.core.file_keeping import PURPOSE, end, keep, note_site, refusal, with_status
from edgegw.core.file_orders import FirmwareOrder, Stage
from edgegw.core.files import FetchOutcome, FirmwareFetched, FirmwareNews
from edgegw.core.firmware_call import fetch, location_of, path_of, request_id_of, says_nothing
from edgegw.core.speaking import security_event, speak
from edgegw.core.state import ChargerState
from edgegw.wire import frames, tokens
from edgegw.wire.frames import Call, CallError, CallResult, parse

ACTIONS = frozenset({"UpdateFirmware", "SignedUpdateFirmware"})
ANSWER_SOON_S = 1.0  # plain 1.6: `{}` says nothing, so the cloud need not wait for it
OFFER_AFTER_S = 10.0  # from connect or boot: a charger that has to boot has done it by then
LOCAL_TRIES_MAX = 4  # of one order, each a DownloadFailed that was our own doing
FAILED_LOCAL_S = 86_400.0  # so long a charger that could not use the local link gets the original at once


# --- the cloud orders -------------------------------------------------------------------------------


def on_cloud_call(state: ChargerState, call: Call, now: Instant, *, signed: bool) -> list[Effect] | None:
    """UpdateFirmware or SignedUpdateFirmware. `signed` by JWS: not a byte may change. None: it is junk."""
    location = location_of(call)
    held = state.files.firmware
    if not state.site.files.works or location is None or not state.charger_up:
        return None
    if held is not None and held.raw == call.raw and not held.told:
        return []  # the same CALL again: its answer is on its way
    order = FirmwareOrder(
        id=state.site.new_id(),
        action=call.action,
        version=state.version.value,
        request_id=request_id_of(call),
        raw=call.raw,
        location=location,
        failed_local=_failed_before(held, location, now),
        after_told=held is not None and held.stage is Stage.FETCHING and held.told,
        at=now.wall,
    )
    effects = _make_place(state, held)
    quirks = file_links.quirks_of(state)
    if signed or order.failed_local or not quirks.local_firmware:
        return effects + send(state, replace(order, original=True, relayed=True), call, call.raw, now)
    state.files.firmware_answer_by = now.mono + _patience_s(state, call)
    return [*effects, *keep(state, order), *file_links.ask_protocols(state, now), fetch(state, order, now)]


def _failed_before(known: FirmwareOrder | None, location: str, now: Instant) -> bool:
    if known is None or not known.failed_local or known.location != location:
        return False
    return abs(now.wall - known.at) < FAILED_LOCAL_S


def _make_place(state: ChargerState, held: FirmwareOrder | None) -> list[Effect]:
    """For a new order. What the charger works on stays known until the charger hears of the new one."""
    state.files.fetched = None
    if held is None or not held.runs:
        return []
    if held.at_charger:
        state.files.previous = held
        return []
    answer = [] if held.told else _answer(state, held, "Rejected")
    return [*answer, FirmwareNews(order=held.id, status="Replaced", ended=True)]


def _patience_s(state: ChargerState, call: Call) -> float:
    patience_s = state.site.files.patience_s
    soon = says_nothing(state.version, call.action) and state.files.previous is None
    return min(ANSWER_SOON_S, patience_s) if soon else patience_s


# --- the file is here, or never will be ---------------------------------------------------------------


def on_fetched(state: ChargerState, event: FirmwareFetched, now: Instant) -> list[Effect]:
    order = state.files.firmware
    if order is None or order.id != event.order or order.stage is not Stage.FETCHING or order.by_site:
        return []
    if not state.charger_up or state.files.offer_due or state.cloud_says_wait:
        state.files.offer_due = True  # asked again when it may hear of it
        return []
    relays = event.outcome is FetchOutcome.FORBIDDEN and state.site.files.relay_forbidden
    if event.outcome in _REFUSALS and not relays:
        return _refuse(state, order, event, now)
    if state.files.asking_protocols and event.outcome is FetchOutcome.READY:
        state.files.fetched = event
        return []
    return _offer(state, order, event, now)


def on_heard(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    """The charger's first word on this connection, its boot aside: now it may be told (OCPP 1.6 4.2)."""
    if call.action == "BootNotification":
        state.files.offer_at = now.mono + OFFER_AFTER_S
        return []
    return _offer_now(state, now)


def _offer_now(state: ChargerState, now: Instant) -> list[Effect]:
    order = state.files.firmware
    state.files.offer_at = NEVER
    if state.cloud_says_wait or not state.charger_up:
        return []
    state.files.offer_due = False
    if order is None or order.stage is not Stage.FETCHING:
        return []
    if not state.site.files.works:  # the site file lost its [files]: the charger must fetch it itself
        gone = FirmwareFetched(order=order.id, outcome=FetchOutcome.UNREACHABLE, why="no [files] any more")
        return on_fetched(state, gone, now)
    return [*file_links.ask_protocols(state, now), fetch(state, order, now)]


def protocols_told(state: ChargerState, now: Instant) -> list[Effect]:
    """The charger said which protocols it knows, or will not say."""
    event, state.files.fetched = state.files.fetched, None
    return on_fetched(state, event, now) if event is not None else []


def _offer(state: ChargerState, order: FirmwareOrder, event: FirmwareFetched, now: Instant) -> list[Effect]:
    call = parse(order.raw, state.version)
    assert isinstance(call, Call)  # it was one when it came
    usable = event.urls if order.failures < LOCAL_TRIES_MAX else ()
    link = file_links.choose(state, usable, order.location) if usable else None
    data = call.raw
    effects: list[Effect] = []
    if link is not None:
        data = tokens.with_value(call.raw, path_of(call), orjson.dumps(link))
    else:
        why = event.why or "the charger knows none of the protocols that are served here"
        text = f"{state.identity}: firmware from the origin itself, not from the cache: {why}"
        effects.append(Noticed("firmware_original", text))
        effects.append(FirmwareNews(order=order.id, status="Original", why=why))
    failed = order.failed_local or (link is None and order.failures > 0)
    order = replace(order, relayed=not order.told, original=link is None, failed_local=failed)
    return [*effects, *send(state, order, call, data, now)]


def send(state: ChargerState, order: FirmwareOrder, call: Call, data: bytes, now: Instant) -> list[Effect]:
    """To the charger: as the cloud's CALL while the cloud waits for the answer, else as the box's."""
    files = state.files
    files.firmware_answer_by = NEVER
    older, files.previous = files.previous, None
    order = replace(
        order, stage=Stage.SENT, told=True, after_site=older is not None and older.by_site, heard_at=now.wall
    )
    effects = [*keep(state, order), *note_site(state, update=False)]
    if older is not None:
        state.to_charger.withdraw_all(PURPOSE + older.id)  # behind the new one it would take its place
        effects.append(FirmwareNews(order=older.id, status="Replaced", ended=True))
    purpose = PURPOSE + order.id
    if order.relayed:
        return effects + forwarding.forward(state, call, data, now, purpose=purpose)
    wire_id = state.site.new_id()
    return effects + _as_box(state, call, tokens.with_message_id(data, wire_id), wire_id, purpose, now)


def _as_box(
    state: ChargerState, call: Call, data: bytes, wire_id: str, purpose: str, now: Instant
) -> list[Effect]:
    out = Outgoing(
        call,
        origin=Origin.GATEWAY,
        priority=Priority.GATEWAY,
        timeout_s=state.site.policy.charger_answer_timeout_s,
        purpose=purpose,
        data=data,
        id=wire_id,
    )
    sent = state.to_charger.submit(out, now.mono)
    return [SendCharger(data)] if sent is not None else []


# What the cloud is told: the answer while it waits for one, the status behind it, and the security event.
_REFUSALS = {
    FetchOutcome.FORBIDDEN: ("Rejected", "DownloadFailed", ""),
    FetchOutcome.BAD_CERTIFICATE: (
        "InvalidCertificate",
        "InvalidSignature",
        "InvalidFirmwareSigningCertificate",
    ),
    FetchOutcome.BAD_SIGNATURE: ("Accepted", "InvalidSignature", "InvalidFirmwareSignature"),
}


def _refuse(state: ChargerState, order: FirmwareOrder, event: FirmwareFetched, now: Instant) -> list[Effect]:
    """The charger is told nothing (faults 75 and 78)."""
    answer, status, security = _REFUSALS[event.outcome]
    plain = says_nothing(state.version, order.action)
    text = f"{state.identity}: update refused: {event.why}"
    effects: list[Effect] = [Noticed(f"firmware_{event.outcome.value}", text)]
    effects += end(state, order, "Refused", event.why)
    if not order.told:
        effects += _answer(state, order, answer)
    if order.told or plain or answer == "Accepted":
        effects += tell_status(state, order, status, now)
    if security and not plain:  # 2.x L01.FR.02 and .03, the same in the 1.6 whitepaper
        effects += security_event(state, security, now)
    return effects


def tell_status(state: ChargerState, order: FirmwareOrder, status: str, now: Instant) -> list[Effect]:
    """A FirmwareStatus in the charger's place: it does not know of the update, or would not have it."""
    if order.action == "SignedUpdateFirmware":
        action = "SignedFirmwareStatusNotification"
    else:
        action = "FirmwareStatusNotification"
    if says_nothing(state.version, order.action):
        status = "DownloadFailed"  # plain 1.6 knows no word for the others
    known = {} if order.request_id is None else {"requestId": order.request_id}
    return speak(state, action, {"status": status, **known}, now)


# --- the charger answers ------------------------------------------------------------------------------


def on_answer(
    state: ChargerState, purpose: str, frame: CallResult | CallError | None, now: Instant
) -> list[Effect]:
    """The charger answered the CALL of an order (None: not in time; it may still do it)."""
    order = state.files.firmware
    if order is None or purpose != PURPOSE + order.id or not order.at_charger:
        return []
    if order.by_site and order.action == "SignedUpdateFirmware" and site_update.knows_no_signed(frame):
        return site_update.unsigned(state, order, now)
    why = refusal(frame)
    stage = Stage.ORIGINAL if order.original else Stage.LOCAL
    if frame is None and not order.by_site:
        return []  # `on_lost` offers it again, a late answer or a status settles it
    if not why:
        news = [FirmwareNews(order=order.id, status="Sent")] if order.stage is Stage.SENT else []
        return [*keep(state, replace(order, stage=stage)), *news]
    effects = end(state, order, "Refused", why)
    if not order.relayed and not order.by_site:
        text = f"{state.identity}: would not have the update that the cloud ordered: {why}"
        bad = "InvalidSignature" if why in ("InvalidCertificate", "RevokedCertificate") else "DownloadFailed"
        effects += [Noticed("firmware_refused", text), *tell_status(state, order, bad, now)]
    return effects


def mask(state: ChargerState, purpose: str, frame: CallResult | CallError, data: bytes) -> bytes:
    """What the charger cancelled is not what the cloud knows of as running."""
    order = state.files.firmware
    if order is None or purpose != PURPOSE + order.id:
        return data
    if order.after_site:
        return with_status(frame, data, "AcceptedCanceled", "Accepted")
    if order.after_told:
        return with_status(frame, data, "Accepted", "AcceptedCanceled")
    return data


# --- time and loss ------------------------------------------------------------------------------------


def on_deadline(state: ChargerState, now: Instant) -> list[Effect]:
    """The cloud has waited long enough, or the charger has been quiet for long enough."""
    if state.files.offer_at <= now.mono:
        return _offer_now(state, now)
    if state.files.firmware_answer_by > now.mono:
        return []
    state.files.firmware_answer_by = NEVER
    order = state.files.firmware
    if order is None or order.told:
        return []
    if state.files.previous is not None:
        # It may be meant to cancel what runs (2.x L02.FR.15: with an address that leads nowhere).
        why = "an update is under way at the charger, which must hear of the new one now"
        late = FirmwareFetched(order=order.id, outcome=FetchOutcome.UNREACHABLE, why=why)
        return on_fetched(state, late, now)
    status = "AcceptedCanceled" if order.after_told else "Accepted"
    return [*keep(state, replace(order, told=True)), *_answer(state, order, status)]


def _answer(state: ChargerState, order: FirmwareOrder, status: str) -> list[Effect]:
    call = parse(order.raw, state.version)
    if not state.cloud_up or not isinstance(call, Call):
        return []
    plain = says_nothing(state.version, order.action)
    return [SendCloud(frames.result(call.id, {} if plain else {"status": status}))]


def on_cloud_lost(state: ChargerState, now: Instant) -> list[Effect]:
    """Nobody waits for the answer any more. What the charger was to hear it still hears: it is a job."""
    state.files.firmware_answer_by = NEVER
    order = state.files.firmware
    if order is None or order.by_site or not order.runs or (order.told and not order.relayed):
        return []
    order = replace(order, told=True, relayed=False)
    out = state.to_charger.outstanding
    if order.stage is not Stage.SENT or (out is not None and out.purpose == PURPOSE + order.id):
        return keep(state, order)
    # Its CALL still waited for the charger, and went with the cloud's leg.
    again = replace(order, stage=Stage.FETCHING)
    return [*keep(state, again), fetch(state, again, now)]


def on_lost(state: ChargerState, sent: str) -> list[Effect]:
    """The charger is gone. `sent`: the purpose of the CALL that it had and did not answer."""
    state.files.fetched = None
    order = state.files.firmware
    if order is None or order.stage is not Stage.SENT:
        return []
    if order.by_site:
        return end(state, order, "Refused", "disconnected before it answered")
    if not order.relayed:
        return keep(state, replace(order, stage=Stage.FETCHING))  # it hears of it again
    if sent != PURPOSE + order.id:
        return end(state, order, "Refused", "disconnected before it heard of it")
    return keep(state, replace(order, stage=Stage.ORIGINAL if order.original else Stage.LOCAL))


def on_connected(state: ChargerState, now: Instant) -> list[Effect]:
    """What the charger has not heard of yet waits for its first word, or for a moment of silence."""
    files = state.files
    files.asked_protocols = files.asking_protocols = False
    files.triggered.clear()
    order = files.firmware
    if order is not None and order.runs and order.version != state.version.value:
        return end(state, order, "Refused", f"the charger speaks {state.version.value} now")
    files.offer_due = order is not None and not order.by_site and order.stage is Stage.FETCHING
    files.offer_at = now.mono + OFFER_AFTER_S if files.offer_due else NEVER
    return []
