"""Diagnostics and logs of one charger: the box takes them and sends them on to where the cloud wants them.

- GetDiagnostics and GetLog go to the charger with an address of the box. While the charger uploads,
  everything is relayed; its word that it is done ("Uploaded") is kept back until the file is where the
  cloud wants it, and becomes a failure when it never gets there. So what the cloud hears is true, also
  after an outage.
- One that is asked for on site goes nowhere near the cloud, and gives way to the cloud's.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from edgegw.core import box_calls, file_keeping, file_links, forwarding
from edgegw.core.calls import NEVER
from edgegw.core.effects import Effect, Noticed, SendCloud
from edgegw.core.events import Instant
from edgegw.core.file_orders import UPLOAD, UPLOADS_MAX, UploadOrder, UploadStage
from edgegw.core.files import LogOrdered, OpenUpload, UploadForwarded, UploadNews, UploadOpened, UploadOutcome
from edgegw.core.speaking import deliver, speak
from edgegw.core.state import ChargerState
from edgegw.wire import frames, tokens
from edgegw.wire.frames import Call, CallError, CallResult, parse

ACTIONS = frozenset({"GetDiagnostics", "GetLog"})
PURPOSE = "upload "
OPEN_WITHIN_S = 5.0  # making a place is a moment's work; a box that cannot do it relays


# --- the cloud asks -----------------------------------------------------------------------------------


def on_cloud_call(state: ChargerState, call: Call, now: Instant) -> list[Effect] | None:
    """GetDiagnostics or GetLog, not signed by JWS. None: relay it as it is."""
    location = location_of(call)
    if not state.site.files.works or location is None or not state.charger_up:
        return None
    if any(
        order.raw == call.raw and order.stage is UploadStage.OPENING for order in state.files.uploads.values()
    ):
        return []  # the same CALL again: its answer is on its way
    if len(state.files.uploads) >= UPLOADS_MAX:
        return None  # so many files are owed: this one goes its own way
    mine = _of_site(state)
    order = UploadOrder(
        id=state.site.new_id(),
        action=call.action,
        request_id=_request_id(call),
        raw=call.raw,
        after_site=mine is not None and mine.at_charger,
    )
    # Two CALLs at once (which no cloud may send) reach the charger in their order all the same.
    effects = _give_up_opening(state, now, "another CALL followed")
    if mine is not None:
        state.to_charger.withdraw_all(PURPOSE + mine.id)  # behind the cloud's it would cancel that
        effects += _end(state, mine, "Replaced", "the cloud asks for one of its own")
    state.files.upload_answer_by = now.mono + OPEN_WITHIN_S
    opening = OpenUpload(order=order.id, url=location, kind=_kind(call))
    return [*effects, *_keep(state, order), *file_links.ask_protocols(state, now), opening]


def location_of(call: Call) -> str | None:
    inner = call.payload.get("log", call.payload)
    location = inner.get(_path(call)[-1]) if isinstance(inner, dict) else None
    return location if isinstance(location, str) else None


def _path(call: Call) -> tuple[str, ...]:
    return ("log", "remoteLocation") if "log" in call.payload else ("location",)


def _request_id(call: Call) -> int | None:
    number = call.payload.get("requestId")
    return number if isinstance(number, int) else None


def _kind(call: Call) -> str:
    return "security" if call.payload.get("logType") == "SecurityLog" else "diagnostics"


def on_opened(state: ChargerState, event: UploadOpened, now: Instant) -> list[Effect]:
    order = state.files.uploads.get(event.order)
    if order is None or order.stage is not UploadStage.OPENING or order.by_site:
        return []
    state.files.upload_answer_by = NEVER
    if event.outcome is UploadOutcome.FORBIDDEN:
        return _forbidden(state, order, event)
    call = parse(order.raw, state.version)
    assert isinstance(call, Call)  # it was one when it came
    location = location_of(call) or ""
    link = file_links.choose(state, event.urls, location)
    if link is None:
        why = event.why or "the charger knows none of the protocols that are served here"
        text = f"{state.identity}: diagnostics go straight to the cloud's address: {why}"
        # Kept all the same: while the cloud's own is running nobody on site may ask for another.
        effects: list[Effect] = [Noticed("upload_original", text)]
        effects += _keep(state, replace(order, stage=UploadStage.SENT, original=True))
        effects.append(UploadNews(order=order.id, status="Original", why=why, ended=True))
        return effects + forwarding.forward(state, call, call.raw, now, purpose=PURPOSE + order.id)
    data = tokens.with_value(call.raw, _path(call), orjson.dumps(link))
    effects = _keep(state, replace(order, stage=UploadStage.SENT))
    return effects + forwarding.forward(state, call, data, now, purpose=PURPOSE + order.id)


def _forbidden(state: ChargerState, order: UploadOrder, event: UploadOpened) -> list[Effect]:
    """Fault 82. 1.6 has no status for it: a conf without fileName says that there is nothing."""
    call = parse(order.raw, state.version)
    assert isinstance(call, Call)
    answer = {} if order.action == "GetDiagnostics" else {"status": "Rejected"}
    text = f"{state.identity}: diagnostics refused: {event.why}"
    refused: list[Effect] = [Noticed("upload_forbidden", text), *_end(state, order, "Refused", event.why)]
    return [*refused, SendCloud(frames.result(call.id, answer))] if state.cloud_up else refused


# --- somebody on site asks ----------------------------------------------------------------------------


def on_ordered(state: ChargerState, event: LogOrdered, now: Instant) -> list[Effect]:
    if not state.charger_up:
        return [_no(event, "not connected")]
    if any(
        not order.by_site and order.stage is not UploadStage.OWED for order in state.files.uploads.values()
    ):
        return [_no(event, "an upload that the cloud ordered is under way")]
    mine = _of_site(state)
    effects = _end(state, mine, "Replaced", "asked for again") if mine is not None else []
    action, payload = _payload(state, event)
    request_id = payload.get("requestId")
    order = UploadOrder(id=event.order, action=action, request_id=request_id, stage=UploadStage.SENT)
    effects += [*_keep(state, order), *file_keeping.note_request(state, request_id)]
    return effects + box_calls.ask(state, action, payload, PURPOSE + order.id, now)


def _no(event: LogOrdered, why: str) -> UploadNews:
    return UploadNews(order=event.order, status="Refused", why=why, ended=True)


def _payload(state: ChargerState, event: LogOrdered) -> tuple[str, dict[str, Any]]:
    security = event.kind == "security"
    if not state.version.is_2x and not security:
        return "GetDiagnostics", {"location": event.url}
    log_type = "SecurityLog" if security else "DiagnosticsLog"
    log = {"remoteLocation": event.url}
    return "GetLog", {"logType": log_type, "requestId": event.request_id, "log": log}


def _of_site(state: ChargerState) -> UploadOrder | None:
    return next((order for order in state.files.uploads.values() if order.by_site), None)


# --- the charger answers and reports ------------------------------------------------------------------


def on_answer(
    state: ChargerState, purpose: str, frame: CallResult | CallError | None, now: Instant
) -> list[Effect]:
    """The charger answered the CALL of an order (None: not in time)."""
    order = state.files.uploads.get(purpose.removeprefix(PURPOSE))
    if order is None or order.stage is not UploadStage.SENT:
        return []
    why = file_keeping.refusal(frame)
    if why:
        return _end(state, order, "Refused", why)
    assert isinstance(frame, CallResult)
    name = frame.payload.get("filename", frame.payload.get("fileName"))
    if name is None and order.action == "GetDiagnostics":
        return _end(state, order, "Refused", "it has no diagnostics")  # 1.6 5.8: fileName is then not there
    sent = UploadNews(order=order.id, status="Sent", file_name=str(name or "")[:255])
    return [*_keep(state, replace(order, stage=UploadStage.RUNNING)), sent]


def mask(state: ChargerState, purpose: str, frame: CallResult | CallError, data: bytes) -> bytes:
    """The charger cancelled an upload that the cloud never asked for."""
    order = state.files.uploads.get(purpose.removeprefix(PURPOSE))
    return file_keeping.without_canceled(frame, data) if order is not None and order.after_site else data


def order_of(state: ChargerState, call: Call) -> UploadOrder | None:
    """Which upload a status is about; 1.6 has no id, and one upload at a time."""
    request_id = call.payload.get("requestId")
    known = [order for order in state.files.uploads.values() if order.at_charger]
    return next((order for order in reversed(known) if order.request_id == request_id), None)


def on_status(state: ChargerState, order: UploadOrder, call: Call, now: Instant) -> tuple[bool, list[Effect]]:
    """(whether it stays here, what follows): DiagnosticsStatusNotification, LogStatusNotification."""
    status = str(call.payload.get("status", ""))[:40]
    if status in ("Idle", "Uploading"):
        return order.by_site, [UploadNews(order=order.id, status=status)]
    if status != "Uploaded" or order.by_site or order.original:
        return order.by_site, _end(state, order, status)
    owed = replace(order, stage=UploadStage.OWED, uploaded=call.raw)
    return True, [*_keep(state, owed), UploadNews(order=order.id, status=status, ended=True)]


def on_forwarded(state: ChargerState, event: UploadForwarded, now: Instant) -> list[Effect]:
    """The file is where the cloud wants it, or never will be: now it may hear so."""
    order = state.files.uploads.get(event.order)
    if order is None or order.stage is not UploadStage.OWED:
        return []
    forget = _forget(state, order)
    if event.ok:
        return [*deliver(state, order.uploaded, now), *forget]
    text = f"{state.identity}: its upload could not be sent on to the cloud's address: {event.why}"
    return [Noticed("upload_not_forwarded", text), *_failed(state, order, now), *forget]


def _failed(state: ChargerState, order: UploadOrder, now: Instant) -> list[Effect]:
    if order.action == "GetDiagnostics":
        return speak(state, "DiagnosticsStatusNotification", {"status": "UploadFailed"}, now)
    known = {} if order.request_id is None else {"requestId": order.request_id}
    return speak(state, "LogStatusNotification", {"status": "UploadFailure", **known}, now)


def on_connected(state: ChargerState, now: Instant) -> list[Effect]:
    """What is owed to the cloud is asked after again: a power cut may have come between two books."""
    effects: list[Effect] = []
    for order in list(state.files.uploads.values()):
        if order.stage is not UploadStage.OWED:
            continue
        if state.site.files.works:
            effects.append(UploadNews(order=order.id, status="Uploaded", ended=True))
        else:
            gone = UploadForwarded(order=order.id, ok=False, why="no [files] any more")
            effects += on_forwarded(state, gone, now)
    return effects


# --- time and loss --------------------------------------------------------------------------------------


def on_deadline(state: ChargerState, now: Instant) -> list[Effect]:
    """The box could make no place in time."""
    if state.files.upload_answer_by > now.mono:
        return []
    return _give_up_opening(state, now, "the box is too busy")


def _give_up_opening(state: ChargerState, now: Instant, why: str) -> list[Effect]:
    state.files.upload_answer_by = NEVER
    late = [order for order in state.files.uploads.values() if order.stage is UploadStage.OPENING]
    effects: list[Effect] = []
    for order in late:
        answer = UploadOpened(order=order.id, outcome=UploadOutcome.UNABLE, why=why)
        effects += on_opened(state, answer, now)
    return effects


def on_cloud_lost(state: ChargerState) -> list[Effect]:
    """What the charger has not heard yet is void."""
    state.files.upload_answer_by = NEVER
    out = state.to_charger.outstanding
    sent = out.purpose if out is not None else ""
    unheard = (UploadStage.OPENING, UploadStage.SENT)
    void = [
        order
        for order in state.files.uploads.values()
        if order.stage in unheard and not order.by_site and sent != PURPOSE + order.id
    ]
    return [effect for order in void for effect in _end(state, order, "Replaced", "the cloud is gone")]


def on_lost(state: ChargerState) -> list[Effect]:
    """The charger is gone before it answered."""
    unheard = (UploadStage.OPENING, UploadStage.SENT)
    void = [order for order in state.files.uploads.values() if order.stage in unheard]
    return [effect for order in void for effect in _end(state, order, "Refused", "disconnected")]


# --- keep -----------------------------------------------------------------------------------------------


def _keep(state: ChargerState, order: UploadOrder) -> list[Effect]:
    state.files.uploads[order.id] = order
    return [state.document(UPLOAD, order.id, msgspec.json.encode(order))]


def _forget(state: ChargerState, order: UploadOrder) -> list[Effect]:
    state.files.uploads.pop(order.id, None)
    return [state.document(UPLOAD, order.id, None)]


def _end(state: ChargerState, order: UploadOrder, status: str, why: str = "") -> list[Effect]:
    return [*_forget(state, order), UploadNews(order=order.id, status=status, why=why, ended=True)]
