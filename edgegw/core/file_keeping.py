"""Keeping the orders of updates, and what a charger answers to a CALL about a file."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from edgegw.core.calls import NEVER
from edgegw.core.effects import Effect
from edgegw.core.file_orders import FIRMWARE, REQUESTS, FirmwareOrder, Stage
from edgegw.core.files import FirmwareNews
from edgegw.core.state import ChargerState
from edgegw.wire import tokens
from edgegw.wire.frames import CallError, CallResult

PURPOSE = "firmware "  # of the CALL of an update, with the order's id behind it
_TAKEN = frozenset({"Accepted", "AcceptedCanceled"})


def keep(state: ChargerState, order: FirmwareOrder) -> list[Effect]:
    state.files.firmware = order
    return [state.document(FIRMWARE, "", msgspec.json.encode(order))]


def end(state: ChargerState, order: FirmwareOrder, status: str, why: str = "") -> list[Effect]:
    """Nothing more follows. A charger that could not use the local link is remembered."""
    state.files.firmware_answer_by = NEVER
    news = FirmwareNews(order=order.id, status=status, why=why, ended=True)
    if order.failed_local and not order.by_site:
        return [*keep(state, replace(order, stage=Stage.FAILED, status=status)), news]
    state.files.firmware = None
    return [state.document(FIRMWARE, "", None), news]


def note_request(state: ChargerState, request_id: int | None) -> list[Effect]:
    """What the charger says of this request is for the box, also when it says so late."""
    if request_id is None:
        return []
    state.files.site_requests.append(request_id)
    value = msgspec.json.encode(list(state.files.site_requests))
    return [state.document(REQUESTS, "", value, durable=True)]


def refusal(frame: CallResult | CallError | None) -> str:
    """Why the charger does not do what it was asked; "" when it does. Plain 1.6 answers {}."""
    if frame is None:
        return "no answer in time"
    if isinstance(frame, CallError):
        return f"{frame.code} {frame.description}".strip()[:255]
    status = frame.payload.get("status", "Accepted")
    return "" if status in _TAKEN else str(status)[:40]


def without_canceled(frame: CallResult | CallError, data: bytes) -> bytes:
    if not isinstance(frame, CallResult) or frame.payload.get("status") != "AcceptedCanceled":
        return data
    return tokens.with_value(data, ("status",), b'"Accepted"')
