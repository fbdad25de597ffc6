"""A log that somebody on site wants: the cloud hears nothing of it, and its own goes first."""

from __future__ import annotations

from typing import Any

from edgegw.core import box_calls
from edgegw.core.diagnostics import PURPOSE, end_upload, keep_upload
from edgegw.core.effects import Effect
from edgegw.core.events import Instant
from edgegw.core.file_keeping import note_site
from edgegw.core.file_orders import UploadOrder, UploadStage
from edgegw.core.files import LogOrdered, UploadNews
from edgegw.core.state import ChargerState


def on_ordered(state: ChargerState, event: LogOrdered, now: Instant) -> list[Effect]:
    if not state.charger_up:
        return [_no(event, "not connected")]
    others = [order for order in state.files.uploads.values() if order.stage is not UploadStage.OWED]
    if any(not order.by_site and not order.is_silent(now.wall) for order in others):
        return [_no(event, "an upload that the cloud ordered is under way")]
    effects: list[Effect] = []
    for order in others:
        state.to_charger.withdraw_all(PURPOSE + order.id)
        effects += end_upload(state, order, "Replaced", "asked for again")
    action, payload = _payload(state, event)
    request_id = payload.get("requestId")
    order = UploadOrder(
        id=event.order,
        action=action,
        version=state.version.value,
        at=now.wall,
        request_id=request_id,
        stage=UploadStage.SENT,
    )
    effects += [*keep_upload(state, order), *note_site(state, request_id, log=True)]
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
