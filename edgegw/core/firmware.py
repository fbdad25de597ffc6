"""A firmware update of one charger: the box has the file before the charger hears of it.

- The cloud's CALL is held for `patience_s` while the file is fetched (plain 1.6: a moment, its answer says
  nothing). When that is not enough the cloud is answered in the charger's place, and the CALL goes on when
  the file is here: a slow link never sends a whole site to the origin. What the charger then refuses, the
  cloud hears as a status.
- Only the address changes. Signature and certificate stay; `-Signed` messages are relayed as they are.
- What cannot be fetched goes on as it came; what must not be fetched, or is not what was signed, does not.
- Statuses go to the cloud untouched (`file_status`), those of an update that the site ordered go nowhere.
"""

from __future__ import annotations

from typing import Any

import orjson
from msgspec.structs import replace

from edgegw.core import file_links, forwarding, site_update
from edgegw.core.calls import NEVER, Origin, Outgoing, Priority
from edgegw.core.effects import Effect, Noticed, SendCharger, SendCloud
from edgegw.core.events import Instant
from edgegw.core.file_keeping import PURPOSE, end, keep, refusal, without_canceled
from edgegw.core.file_orders import FirmwareOrder, Stage
from edgegw.core.files import FetchFirmware, FetchOutcome, FirmwareFetched, FirmwareNews
from edgegw.core.speaking import speak
from edgegw.core.state import ChargerState
from edgegw.wire import frames, tokens
from edgegw.wire.frames import Call, CallError, CallResult, parse
from edgegw.wire.timestamps import parse_timestamp

ACTIONS = frozenset({"UpdateFirmware", "SignedUpdateFirmware"})
ANSWER_SOON_S = 1.0  # plain 1.6: `{}` says nothing, so the cloud need not wait for it
LINK_LIFETIME_S = 7 * 86_400.0  # behind the retrieveDate
FAILED_LOCAL_S = 86_400.0  # so long a charger that could not use the local link gets the original at once


# --- the cloud orders -------------------------------------------------------------------------------


def on_cloud_call(state: ChargerState, call: Call, now: Instant) -> list[Effect] | None:
    """UpdateFirmware or SignedUpdateFirmware, not signed by JWS. None: relay it as it is."""
    location = location_of(call)
    if not state.site.files.works or location is None or not state.charger_up:
        return None
    held = state.files.firmware
    if held is not None and held.raw == call.raw and not held.told:
        return []  # the same CALL again: its answer is on its way
    if not file_links.quirks_of(state).local_firmware:
        return None
    order = FirmwareOrder(
        id=state.site.new_id(),
        action=call.action,
        request_id=_request_id(call),
        raw=call.raw,
        location=location,
        failed_local=_failed_before(held, location, now),
        after_site=held is not None and held.by_site and held.at_charger,
        at=now.wall,
    )
    effects = _replaced(state)
    if order.failed_local:
        order = replace(order, told=True, relayed=True, stage=Stage.SENT, original=True)
        effects += keep(state, order)
        return effects + forwarding.forward(state, call, call.raw, now, purpose=PURPOSE + order.id)
    state.files.firmware_answer_by = now.mono + _patience_s(state, call)
    return [*effects, *keep(state, order), *file_links.ask_protocols(state, now), fetch(state, order, now)]


def location_of(call: Call) -> str | None:
    inner = _body(call)
    location = inner.get("location") if inner is not None else None
    return location if isinstance(location, str) else None


def _body(call: Call) -> dict[str, Any] | None:
    """Where the address stands: the payload of plain 1.6, `firmware` of the others."""
    inner = call.payload.get("firmware", call.payload)
    return inner if isinstance(inner, dict) else None


def _path(call: Call) -> tuple[str, ...]:
    return ("firmware", "location") if "firmware" in call.payload else ("location",)


def _request_id(call: Call) -> int | None:
    number = call.payload.get("requestId")
    return number if isinstance(number, int) else None


def _failed_before(known: FirmwareOrder | None, location: str, now: Instant) -> bool:
    if known is None or not known.failed_local or known.location != location:
        return False
    return abs(now.wall - known.at) < FAILED_LOCAL_S


def _patience_s(state: ChargerState, call: Call) -> float:
    says_nothing = not state.version.is_2x and call.action == "UpdateFirmware"
    patience_s = state.site.files.patience_s
    return min(ANSWER_SOON_S, patience_s) if says_nothing else patience_s


def fetch(state: ChargerState, order: FirmwareOrder, now: Instant) -> FetchFirmware:
    call = parse(order.raw, state.version)
    body = (_body(call) if isinstance(call, Call) else None) or {}
    when = body.get("retrieveDate", body.get("retrieveDateTime"))
    parsed = parse_timestamp(when) if isinstance(when, str) else None
    retrieve_at = max(parsed[0], now.wall) if parsed is not None else now.wall
    certificate, signature = body.get("signingCertificate"), body.get("signature")
    return FetchFirmware(
        order=order.id,
        url=order.location,
        certificate=certificate if isinstance(certificate, str) else "",
        signature=signature if isinstance(signature, str) else "",
        needed_until=retrieve_at + LINK_LIFETIME_S,
    )


# --- the file is here, or never will be ---------------------------------------------------------------


def on_fetched(state: ChargerState, event: FirmwareFetched, now: Instant) -> list[Effect]:
    order = state.files.firmware
    if order is None or order.id != event.order or order.stage is not Stage.FETCHING or order.by_site:
        return []
    if not state.charger_up:
        return []  # asked again when the charger is back
    if event.outcome in _REFUSALS and not (
        event.outcome is FetchOutcome.FORBIDDEN and state.site.files.relay_forbidden
    ):
        return _refuse(state, order, event, now)
    if state.files.asking_protocols and event.outcome is FetchOutcome.READY:
        state.files.fetched = event
        return []
    return _offer(state, order, event, now)


def protocols_told(state: ChargerState, now: Instant) -> list[Effect]:
    """The charger said which protocols it knows, or will not say."""
    files = state.files
    files.asking_protocols = False
    event, files.fetched = files.fetched, None
    return on_fetched(state, event, now) if event is not None else []


def _offer(state: ChargerState, order: FirmwareOrder, event: FirmwareFetched, now: Instant) -> list[Effect]:
    call = parse(order.raw, state.version)
    assert isinstance(call, Call)  # it was one when it came
    link = file_links.choose(state, event.urls, order.location) if event.urls else None
    data = call.raw
    effects: list[Effect] = []
    if link is not None:
        data = tokens.with_value(call.raw, _path(call), orjson.dumps(link))
    else:
        why = event.why or "the charger knows none of the protocols that are served here"
        text = f"{state.identity}: firmware from the origin itself, not from the cache: {why}"
        effects += [
            Noticed("firmware_original", text),
            FirmwareNews(order=order.id, status="Original", why=why),
        ]
    order = replace(order, stage=Stage.SENT, relayed=not order.told, original=link is None)
    return [*effects, *send(state, order, call, data, now)]


def send(state: ChargerState, order: FirmwareOrder, call: Call, data: bytes, now: Instant) -> list[Effect]:
    """To the charger: as the cloud's CALL while the cloud waits for the answer, else as the box's."""
    state.files.firmware_answer_by = NEVER
    purpose = PURPOSE + order.id
    if order.relayed:
        effects = keep(state, replace(order, told=True))
        return effects + forwarding.forward(state, call, data, now, purpose=purpose)
    wire_id = state.site.new_id()
    return keep(state, order) + _as_box(
        state, call, tokens.with_message_id(data, wire_id), wire_id, purpose, now
    )


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
        wire_id=wire_id,
    )
    sent = state.to_charger.submit(out, now.mono)
    return [SendCharger(data)] if sent is not None else []


_REFUSALS = {
    # what the cloud is told: the answer while it waits for one, and the status behind it
    FetchOutcome.FORBIDDEN: ("Rejected", "DownloadFailed"),
    FetchOutcome.BAD_CERTIFICATE: ("InvalidCertificate", "InvalidSignature"),
    FetchOutcome.BAD_SIGNATURE: ("Accepted", "InvalidSignature"),
}


def _refuse(state: ChargerState, order: FirmwareOrder, event: FirmwareFetched, now: Instant) -> list[Effect]:
    """The charger is told nothing (faults 75 and 78)."""
    answer, status = _REFUSALS[event.outcome]
    plain = order.action == "UpdateFirmware" and not state.version.is_2x
    text = f"{state.identity}: update refused: {event.why}"
    effects: list[Effect] = [Noticed(f"firmware_{event.outcome.value}", text)]
    effects += end(state, order, "Refused", event.why)
    if not order.told:
        effects += _answer(state, order, answer)
    if order.told or plain or answer == "Accepted":
        effects += tell_status(state, order, status, now)
    return effects


def tell_status(state: ChargerState, order: FirmwareOrder, status: str, now: Instant) -> list[Effect]:
    """A FirmwareStatus in the charger's place: it does not know of the update, or would not have it."""
    if order.action == "SignedUpdateFirmware":
        action = "SignedFirmwareStatusNotification"
    else:
        action = "FirmwareStatusNotification"
    if not state.version.is_2x and action == "FirmwareStatusNotification":
        status = "DownloadFailed" if status not in _STATUSES_16 else status
    known = {} if order.request_id is None else {"requestId": order.request_id}
    return speak(state, action, {"status": status, **known}, now)


_STATUSES_16 = frozenset({"DownloadFailed", "InstallationFailed"})


# --- the charger answers ------------------------------------------------------------------------------


def on_answer(
    state: ChargerState, purpose: str, frame: CallResult | CallError | None, now: Instant
) -> list[Effect]:
    """The charger answered the CALL of an order (None: not in time)."""
    order = state.files.firmware
    if order is None or purpose != PURPOSE + order.id or order.stage is not Stage.SENT:
        return []
    if order.by_site and order.action == "SignedUpdateFirmware" and site_update.knows_no_signed(frame):
        return site_update.unsigned(state, order, now)
    why = refusal(frame)
    if not why:
        stage = Stage.ORIGINAL if order.original else Stage.LOCAL
        return [*keep(state, replace(order, stage=stage)), FirmwareNews(order=order.id, status="Sent")]
    effects = end(state, order, "Refused", why)
    if not order.relayed and not order.by_site:
        text = f"{state.identity}: would not have the update that the cloud ordered: {why}"
        effects += [Noticed("firmware_refused", text), *tell_status(state, order, "DownloadFailed", now)]
    return effects


def mask(state: ChargerState, purpose: str, frame: CallResult | CallError, data: bytes) -> bytes:
    """The charger cancelled an update that the cloud never ordered: the cloud hears a plain Accepted."""
    order = state.files.firmware
    if order is None or not order.after_site or purpose != PURPOSE + order.id:
        return data
    return without_canceled(frame, data)


# --- time and loss ----------------------------------------------------------------------------------------


def on_deadline(state: ChargerState, now: Instant) -> list[Effect]:
    """The cloud has waited long enough; the update goes on."""
    if state.files.firmware_answer_by > now.mono:
        return []
    state.files.firmware_answer_by = NEVER
    order = state.files.firmware
    if order is None or order.told:
        return []
    return [*keep(state, replace(order, told=True)), *_answer(state, order, "Accepted")]


def _answer(state: ChargerState, order: FirmwareOrder, status: str) -> list[Effect]:
    call = parse(order.raw, state.version)
    if not state.cloud_up or not isinstance(call, Call):
        return []
    says_nothing = not state.version.is_2x and order.action == "UpdateFirmware"
    return [SendCloud(frames.result(call.id, {} if says_nothing else {"status": status}))]


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


def on_lost(state: ChargerState) -> list[Effect]:
    """The charger is gone. One that did not answer the box hears of it again; a CALL of the cloud is void."""
    state.files.fetched = None
    order = state.files.firmware
    if order is None or order.stage is not Stage.SENT:
        return []
    if order.by_site:
        return end(state, order, "Refused", "disconnected before it answered")
    if order.relayed:
        return end(state, order, "Refused", "disconnected before it answered the cloud")
    return keep(state, replace(order, stage=Stage.FETCHING))


def on_connected(state: ChargerState, now: Instant) -> list[Effect]:
    """What the charger has not heard of yet is offered again; for a file that is here that takes a moment."""
    state.files.asked_protocols = state.files.asking_protocols = False
    order = state.files.firmware
    if order is None or order.by_site or order.stage is not Stage.FETCHING:
        return []
    if not state.site.files.works:  # the site file lost its [files]: the charger must fetch it itself
        gone = FirmwareFetched(order=order.id, outcome=FetchOutcome.UNREACHABLE, why="no [files] any more")
        return on_fetched(state, gone, now)
    return [*file_links.ask_protocols(state, now), fetch(state, order, now)]


def _replaced(state: ChargerState) -> list[Effect]:
    """A new update takes the place of the one that is known."""
    state.files.fetched = None
    order = state.files.firmware
    if order is None or not order.runs:
        return []
    state.to_charger.withdraw_all(PURPOSE + order.id)  # behind the new one it would take its place
    effects = [] if order.told else _answer(state, order, "Rejected")
    return [*effects, FirmwareNews(order=order.id, status="Replaced", ended=True)]
