"""Keeping the orders of updates, and what a charger answers to a CALL about a file."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from edgegw.core.calls import NEVER
from edgegw.core.effects import Effect
from edgegw.core.file_orders import (
    FIRMWARE,
    REQUESTS,
    SITE_REQUESTS_MAX,
    FirmwareOrder,
    SiteWork,
    Stage,
)
from edgegw.core.files import FirmwareNews
from edgegw.core.state import ChargerState
from edgegw.wire import tokens
from edgegw.wire.frames import CallError, CallResult

PURPOSE = "firmware "  # of the CALL of an update, with the order's id behind it
NO_ANSWER = "no answer in time"
_TAKEN = frozenset({"Accepted", "AcceptedCanceled"})


def keep(state: ChargerState, order: FirmwareOrder) -> list[Effect]:
    state.files.firmware = order
    return [state.document(FIRMWARE, "", msgspec.json.encode(order))]


def end(state: ChargerState, order: FirmwareOrder, status: str, why: str = "") -> list[Effect]:
    """Nothing more follows of this one; what it was to replace at the charger is the newest again.

    A charger that could not use the local link is remembered.
    """
    files = state.files
    news = FirmwareNews(order=order.id, status=status, why=why, ended=True)
    if order is files.previous:
        files.previous = None  # the cloud still waits for its answer about the newer one, until its deadline
        return [news]
    files.firmware_answer_by = NEVER
    older, files.previous = files.previous, None
    if older is not None:
        return [*keep(state, older), news]
    if order.failed_local and not order.by_site:
        return [*keep(state, replace(order, stage=Stage.FAILED)), news]
    files.firmware = None
    return [state.document(FIRMWARE, "", None), news]


def note_site(state: ChargerState, request_id: int | None = None, **marks: bool) -> list[Effect]:
    """What the charger says of this is for the box, also when it says so late."""
    known = state.files.site
    requests = known.requests if request_id is None else (*known.requests, request_id)
    return keep_site(state, replace(known, requests=requests[-SITE_REQUESTS_MAX:], **marks))


def keep_site(state: ChargerState, site: SiteWork) -> list[Effect]:
    if site == state.files.site:
        return []
    state.files.site = site
    value = None if site == SiteWork() else msgspec.json.encode(site)
    return [state.document(REQUESTS, "", value)]


def refusal(frame: CallResult | CallError | None) -> str:
    """Why the charger does not do what it was asked; "" when it does. Plain 1.6 answers {}."""
    if frame is None:
        return NO_ANSWER
    if isinstance(frame, CallError):
        return f"{frame.code} {frame.description}".strip()[:255]
    status = frame.payload.get("status", "Accepted")
    return "" if status in _TAKEN else str(status)[:40]


def with_status(frame: CallResult | CallError, data: bytes, said: str, told: str) -> bytes:
    """The cloud must hear another status: of what it knows of, the charger may know less or more."""
    if not isinstance(frame, CallResult) or frame.payload.get("status") != said:
        return data
    return tokens.with_value(data, ("status",), b'"%s"' % told.encode())
