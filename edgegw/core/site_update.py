"""An update that the site itself orders, from a file that is in the cache: the cloud hears nothing of it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from edgegw.core import box_calls
from edgegw.core.effects import Effect
from edgegw.core.events import Instant
from edgegw.core.file_keeping import PURPOSE, end, keep, note_site
from edgegw.core.file_orders import FirmwareOrder, Stage
from edgegw.core.files import FirmwareNews, UpdateOrdered
from edgegw.core.state import ChargerState
from edgegw.wire.frames import CallError, CallResult
from edgegw.wire.versions import Version

_BUSY = "another update is under way"


def on_ordered(state: ChargerState, event: UpdateOrdered, now: Instant) -> list[Effect]:
    """The site's own update. Never beside the cloud's."""
    busy = state.files.firmware
    if busy is not None and busy.id == event.order:
        return []  # sent again by a rollout that was interrupted
    effects: list[Effect] = []
    if busy is not None and busy.is_silent(now.wall):
        effects += end(state, busy, "Replaced", "it was silent for long")
    elif busy is not None and busy.runs:
        return [FirmwareNews(order=event.order, status="Refused", why=_BUSY, ended=True)]
    if not state.charger_up:
        return [*effects, FirmwareNews(order=event.order, status="Refused", why="not connected", ended=True)]
    action, payload = _payload(state, event, now)
    request_id = payload.get("requestId")
    order = FirmwareOrder(
        id=event.order,
        action=action,
        version=state.version.value,
        request_id=request_id,
        location=event.url,
        stage=Stage.SENT,
        told=True,
        at=now.wall,
    )
    effects += keep(state, order) + note_site(state, request_id, update=True)
    return effects + box_calls.ask(state, action, payload, PURPOSE + order.id, now)


def _payload(state: ChargerState, event: UpdateOrdered, now: Instant) -> tuple[str, dict[str, Any]]:
    when = state.site.time_text(now)
    retries: dict[str, Any] = {"retries": event.retries, "retryInterval": event.retry_interval_s}
    signed = bool(event.certificate and event.signature)
    if not state.version.is_2x and not signed:
        return "UpdateFirmware", {"location": event.url, "retrieveDate": when, **retries}
    firmware = {"location": event.url, "retrieveDateTime": when}
    if signed:
        firmware |= {"signingCertificate": event.certificate, "signature": event.signature}
    action = "SignedUpdateFirmware" if state.version is Version.V16 else "UpdateFirmware"
    return action, {"requestId": event.request_id, "firmware": firmware, **retries}


def knows_no_signed(frame: CallResult | CallError | None) -> bool:
    """A 1.6 charger without the security whitepaper; it takes the plain command."""
    return isinstance(frame, CallError) and frame.code in ("NotImplemented", "NotSupported")


def unsigned(state: ChargerState, order: FirmwareOrder, now: Instant) -> list[Effect]:
    order = replace(order, action="UpdateFirmware", request_id=None)
    payload = {"location": order.location, "retrieveDate": state.site.time_text(now)}
    return [*keep(state, order), *box_calls.ask(state, order.action, payload, PURPOSE + order.id, now)]
