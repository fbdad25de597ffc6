"""Diagnostics and logs of one charger: the box takes them and sends them on to where the cloud wants them.

- GetDiagnostics and GetLog go to the charger with an address of the box. While the charger uploads,
  everything is relayed; its word that it is done ("Uploaded") is kept back until the file is where the
  cloud wants it, and becomes a failure when it never gets there. So what the cloud hears is true, also
  after an outage.
- One that is asked for on site (`site_log`) goes nowhere near the cloud, and gives way to the cloud's.
"""

from __future__ import annotations

import msgspec
import orjson
from msgspec.structs import replace

from edgegw.core import file_links, forwarding
from edgegw.core.calls import NEVER
from edgegw.core.effects import Effect, Noticed, SendCloud
from edgegw.core.events import Instant
from edgegw.core.file_keeping import note_site, refusal, with_status
from edgegw.core.file_orders import OWED_MAX, UPLOAD, UploadOrder, UploadStage
from edgegw.core.files import OpenUpload, UploadForwarded, UploadNews, UploadOpened, UploadOutcome
from edgegw.core.speaking import deliver, speak
from edgegw.core.state import ChargerState
from edgegw.wire import frames, tokens
from edgegw.wire.frames import Call, CallError, CallResult, parse

ACTIONS = frozenset({"GetDiagnostics", "GetLog"})
PURPOSE = "upload "
OPEN_WITHIN_S = 5.0  # making a place is a moment's work; a box that cannot do it relays


# --- the cloud asks -----------------------------------------------------------------------------------


def on_cloud_call(state: ChargerState, call: Call, now: Instant, *, signed: bool) -> list[Effect] | None:
    """GetDiagnostics or GetLog. `signed` by JWS: not a byte may change. None: it is junk."""
    location = location_of(call)
    if not state.site.files.works or location is None or not state.charger_up:
        return None
    if any(
        order.raw == call.raw and order.stage is UploadStage.OPENING for order in state.files.uploads.values()
    ):
        return []  # the same CALL again: its answer is on its way
    mine = _of_site(state)
    order = UploadOrder(
        id=state.site.new_id(),
        action=call.action,
        version=state.version.value,
        at=now.wall,
        request_id=_request_id(call),
        raw=call.raw,
        after_site=mine is not None and mine.at_charger,
    )
    # Two CALLs at once (which no cloud may send) reach the charger in their order all the same.
    effects = _give_up_opening(state, now, "another CALL followed")
    if mine is not None:
        state.to_charger.withdraw_all(PURPOSE + mine.id)  # behind the cloud's it would cancel that
        effects += end_upload(state, mine, "Replaced", "the cloud asks for one of its own")
    if signed or sum(o.stage is UploadStage.OWED for o in state.files.uploads.values()) >= OWED_MAX:
        return effects + _send_original(state, order, call, now)
    state.files.upload_answer_by = now.mono + OPEN_WITHIN_S
    opening = OpenUpload(order=order.id, url=location, kind=_kind(call))
    return [*effects, *keep_upload(state, order), *file_links.ask_protocols(state, now), opening]


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
    if state.files.asking_protocols and event.outcome is UploadOutcome.READY:
        state.files.opened = event  # until the charger says what it knows, or `upload_answer_by`
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
        news = UploadNews(order=order.id, status="Original", why=why, ended=True)
        return [Noticed("upload_original", text), news, *_send_original(state, order, call, now)]
    data = tokens.with_value(call.raw, _path(call), orjson.dumps(link))
    return _send(state, order, call, data, now)


def protocols_told(state: ChargerState, now: Instant) -> list[Effect]:
    """The charger said which protocols it knows, or will not say."""
    event, state.files.opened = state.files.opened, None
    return on_opened(state, event, now) if event is not None else []


def _send_original(state: ChargerState, order: UploadOrder, call: Call, now: Instant) -> list[Effect]:
    """Kept all the same: while the cloud's own is running nobody on site may ask for another."""
    return _send(state, replace(order, original=True), call, call.raw, now)


def _send(state: ChargerState, order: UploadOrder, call: Call, data: bytes, now: Instant) -> list[Effect]:
    effects = keep_upload(state, replace(order, stage=UploadStage.SENT)) + note_site(state, log=False)
    return effects + forwarding.forward(state, call, data, now, purpose=PURPOSE + order.id)


def _forbidden(state: ChargerState, order: UploadOrder, event: UploadOpened) -> list[Effect]:
    """Fault 82. 1.6 has no status for it: a conf without fileName says that there is nothing."""
    call = parse(order.raw, state.version)
    assert isinstance(call, Call)
    answer = {} if order.action == "GetDiagnostics" else {"status": "Rejected"}
    text = f"{state.identity}: diagnostics refused: {event.why}"
    refused: list[Effect] = [
        Noticed("upload_forbidden", text),
        *end_upload(state, order, "Refused", event.why),
    ]
    return [*refused, SendCloud(frames.result(call.id, answer))] if state.cloud_up else refused


def _of_site(state: ChargerState) -> UploadOrder | None:
    return next((order for order in state.files.uploads.values() if order.by_site), None)


# --- the charger answers and reports ------------------------------------------------------------------


def on_answer(
    state: ChargerState, purpose: str, frame: CallResult | CallError | None, now: Instant
) -> list[Effect]:
    """The charger answered the CALL of an order (None: not in time; it may still do it)."""
    order = state.files.uploads.get(purpose.removeprefix(PURPOSE))
    if order is None or order.stage is not UploadStage.SENT:
        return []
    if frame is None and not order.by_site:
        return keep_upload(state, replace(order, stage=UploadStage.RUNNING))
    why = refusal(frame)
    if why:
        return end_upload(state, order, "Refused", why)
    assert isinstance(frame, CallResult)
    name = frame.payload.get("filename", frame.payload.get("fileName"))
    if name is None and order.action == "GetDiagnostics":
        return end_upload(
            state, order, "Refused", "it has no diagnostics"
        )  # 1.6 5.8: fileName is then not there
    effects = _only(state, order)
    sent = UploadNews(order=order.id, status="Sent", file_name=str(name or "")[:255])
    return [*effects, *keep_upload(state, replace(order, stage=UploadStage.RUNNING)), sent]


def _only(state: ChargerState, newest: UploadOrder) -> list[Effect]:
    """A charger does one upload at a time: an older one that never said its last word is over."""
    known = list(state.files.uploads.values())  # in the order in which they came
    older = [o for o in known[: known.index(newest)] if o.at_charger]
    return [effect for order in older for effect in end_upload(state, order, "Replaced", "another followed")]


def mask(state: ChargerState, purpose: str, frame: CallResult | CallError, data: bytes) -> bytes:
    """The charger cancelled an upload that the cloud never asked for."""
    order = state.files.uploads.get(purpose.removeprefix(PURPOSE))
    if order is None or not order.after_site:
        return data
    return with_status(frame, data, "AcceptedCanceled", "Accepted")


def order_of(state: ChargerState, call: Call) -> UploadOrder | None:
    """Which upload a status is about; 1.6 has no id, and one upload at a time.

    A charger that missed our answer to its last word says it again.
    """
    request_id = call.payload.get("requestId")
    known = [o for o in state.files.uploads.values() if o.request_id == request_id]
    running = [o for o in known if o.at_charger]
    repeated = call.payload.get("status") == "Uploaded"
    owed = [o for o in known if o.stage is UploadStage.OWED] if repeated else []
    return next(reversed(running or owed), None)


def on_status(state: ChargerState, order: UploadOrder, call: Call, now: Instant) -> tuple[bool, list[Effect]]:
    """(whether it stays here, what follows): DiagnosticsStatusNotification, LogStatusNotification."""
    status = str(call.payload.get("status", ""))[:40]
    if order.stage is UploadStage.OWED:
        return True, []
    if status in ("Idle", "Uploading"):
        return order.by_site, [UploadNews(order=order.id, status=status)]
    if status != "Uploaded" or order.by_site or order.original:
        return order.by_site, end_upload(state, order, status)
    owed = replace(order, stage=UploadStage.OWED, uploaded=call.raw)
    return True, [*keep_upload(state, owed), UploadNews(order=order.id, status=status, ended=True)]


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


def owed(state: ChargerState, now: Instant) -> list[Effect]:
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


def on_connected(state: ChargerState, now: Instant) -> list[Effect]:
    """Another version of OCPP cannot carry what was said in this one."""
    version = state.version.value
    strangers = [o for o in state.files.uploads.values() if o.version != version]
    gone = [
        e for o in strangers for e in end_upload(state, o, "Refused", f"the charger speaks {version} now")
    ]
    return gone + owed(state, now)


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
    return [effect for order in void for effect in end_upload(state, order, "Replaced", "the cloud is gone")]


def on_lost(state: ChargerState, sent: str) -> list[Effect]:
    """The charger is gone. `sent`: the purpose of the CALL that it did not answer; it may still do it."""
    effects: list[Effect] = []
    for order in list(state.files.uploads.values()):
        if order.stage is UploadStage.SENT and not order.by_site and sent == PURPOSE + order.id:
            effects += keep_upload(state, replace(order, stage=UploadStage.RUNNING))
        elif order.stage in (UploadStage.OPENING, UploadStage.SENT):
            effects += end_upload(state, order, "Refused", "disconnected before it answered")
    return effects


# --- keep -----------------------------------------------------------------------------------------------


def keep_upload(state: ChargerState, order: UploadOrder) -> list[Effect]:
    state.files.uploads[order.id] = order
    return [state.document(UPLOAD, order.id, msgspec.json.encode(order))]


def _forget(state: ChargerState, order: UploadOrder) -> list[Effect]:
    state.files.uploads.pop(order.id, None)
    return [state.document(UPLOAD, order.id, None)]


def end_upload(state: ChargerState, order: UploadOrder, status: str, why: str = "") -> list[Effect]:
    return [*_forget(state, order), UploadNews(order=order.id, status=status, why=why, ended=True)]
