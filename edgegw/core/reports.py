"""What a charger reports of itself, found in its messages: StatusNotification, NotifyEvent, SecurityEvent.

An observer: it comes behind what is relayed or answered, adds at most one store operation that nobody
waits for, and never fails on what a charger wrote. A message that is repeated with its id counts once.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from edgegw.core.effects import Effect
from edgegw.core.events import Instant
from edgegw.core.report_book import Report
from edgegw.core.state import ChargerState
from edgegw.redaction import HIDDEN, plain, redact
from edgegw.secret_words import names_secret
from edgegw.wire.frames import Call

ACTIONS = frozenset({"StatusNotification", "NotifyEvent", "SecurityEventNotification"})

INFO_MAX = 255  # characters; techInfo of a security event has as many
CODE_MAX = 101  # component and variable name of 2.x with the dot between
VENDOR_CODE_MAX = 50
NAME_MAX = 50
CONNECTOR_MAX = 12
TIME_MAX = 35
TEXT_READ_MAX = 1024  # of a text, before it is made printable and cut
EVENTS_MAX = 50  # of one NotifyEvent; the first ones are left out of a longer list

_OVER_WHEN_FALSE = frozenset({"problem", "tripped", "overload", "fallback"})  # variables of a fault
_ERRORS_UP_TO = 4  # severity; 2.x N07: above it, it is no error


def is_new(state: ChargerState, call: Call) -> bool:
    """Asked before the call is answered: not the same message once more."""
    known = state.answered.get(call.id)
    return known is None or known.fingerprint != hash(call.raw)


def heard(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    """Note what a message of `ACTIONS` reports."""
    if call.action == "StatusNotification":
        _status(state, call.payload, now)
    elif call.action == "NotifyEvent":
        _events(state, call.payload, now)
    else:
        _security(state, call.payload, now)
    return keep(state, now) if state.reports.unsaved else []


def keep(state: ChargerState, now: Instant, *, leaving: bool = False) -> list[Effect]:
    """Write what is not written yet, unless this charger writes too much (`report_book`)."""
    if not state.reports.may_write(now.mono) and not leaving:
        return []
    return [state.document("reports", "", state.reports.document(), durable=False)]


# --- StatusNotification -----------------------------------------------------------------------------


def _status(state: ChargerState, payload: dict[str, Any], now: Instant) -> None:
    faulted = payload.get("status", payload.get("connectorStatus")) == "Faulted"
    if not (faulted or state.reports.has_open or payload.get("errorCode", "NoError") != "NoError"):
        return  # nearly all of them
    error = _text(payload.get("errorCode"), CODE_MAX)
    has_error = error.casefold() not in ("", "noerror")
    connector = _connector(payload)
    said_at = _text(payload.get("timestamp"), TIME_MAX)
    if not has_error and not faulted:
        state.reports.clear(connector, now.wall, said_at)
        return
    report = Report(
        at=now.wall,
        said_at=said_at,
        kind="status",
        code=error if has_error else "Faulted",
        vendor_code=_text(payload.get("vendorErrorCode"), VENDOR_CODE_MAX),
        vendor=_text(payload.get("vendorId"), NAME_MAX),
        connector=connector,
        info=_text(payload.get("info"), INFO_MAX),
        faulted=faulted,
    )
    state.reports.add(report)


def _connector(payload: dict[str, Any]) -> str:
    connector = _text(payload.get("connectorId"), CONNECTOR_MAX)
    evse = _text(payload.get("evseId"), CONNECTOR_MAX)
    return f"{evse}.{connector}" if evse else connector


# --- NotifyEvent --------------------------------------------------------------------------------------


def _events(state: ChargerState, payload: dict[str, Any], now: Instant) -> None:
    events = payload.get("eventData")
    if not isinstance(events, list):
        return
    for event in events[-EVENTS_MAX:]:
        if isinstance(event, dict):
            _event(state, event, now)


def _event(state: ChargerState, event: dict[str, Any], now: Instant) -> None:
    component, variable = _table(event, "component"), _table(event, "variable")
    place = _place(_table(component, "evse"))
    name = _text(variable.get("name"), NAME_MAX)
    value = HIDDEN if names_secret(name) else _text(event.get("actualValue"), INFO_MAX)
    if name == "AvailabilityState":
        return _availability(state, event, place, value, now)
    code = ".".join(filter(None, (_text(component.get("name"), NAME_MAX), name)))
    if not code or not _is_report(event):
        return
    is_fault = name.casefold() in _OVER_WHEN_FALSE
    instances = (_text(part.get("instance"), NAME_MAX) for part in (component, variable))
    shown = "" if is_fault and value.casefold() in ("true", "false") else value
    info = ", ".join(filter(None, (*instances, shown, _text(event.get("techInfo"), INFO_MAX))))
    over = event.get("cleared") is True or (is_fault and value.casefold() == "false")
    report = _report(event, now, kind="event", code=code, connector=place)
    state.reports.add(replace(report, info=info[:INFO_MAX], cleared=over))


def _availability(state: ChargerState, event: dict[str, Any], place: str, value: str, now: Instant) -> None:
    """2.1 tells the state of a connector so, instead of by StatusNotification."""
    report = _report(event, now, kind="status", code="Faulted", connector=place)
    if value == "Faulted":
        state.reports.add(replace(report, faulted=True))
    elif value:
        state.reports.clear(place, now.wall, report.said_at)


def _report(event: dict[str, Any], now: Instant, **given: Any) -> Report:
    return Report(
        at=now.wall,
        said_at=_text(event.get("timestamp"), TIME_MAX),
        vendor_code=_text(event.get("techCode"), VENDOR_CODE_MAX),
        info=_text(event.get("techInfo"), INFO_MAX),
        severity=_severity(event),
        **given,
    )


def _is_report(event: dict[str, Any]) -> bool:
    """Not a sample that is sent every so often."""
    if event.get("trigger") != "Periodic" or event.get("techCode") or event.get("cleared") is True:
        return True
    severity = _severity(event)
    return severity is not None and severity <= _ERRORS_UP_TO


def _severity(event: dict[str, Any]) -> int | None:
    severity = event.get("severity")
    return severity if type(severity) is int and 0 <= severity <= 9 else None


def _place(evse: dict[str, Any]) -> str:
    parts = (_text(evse.get(name), CONNECTOR_MAX) for name in ("id", "connectorId"))
    return ".".join(filter(None, parts))


def _table(payload: dict[str, Any], name: str) -> dict[str, Any]:
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


# --- SecurityEventNotification ------------------------------------------------------------------------


def _security(state: ChargerState, payload: dict[str, Any], now: Instant) -> None:
    report = Report(
        at=now.wall,
        said_at=_text(payload.get("timestamp"), TIME_MAX),
        kind="security",
        code=_text(payload.get("type"), CODE_MAX),
        info=_text(payload.get("techInfo"), INFO_MAX),
    )
    state.reports.add(report)


# --- texts --------------------------------------------------------------------------------------------


def _text(value: object, limit: int) -> str:
    """A text or number of the charger: short, printable, without credentials; "" for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        value = str(value) if abs(value) < 1e15 else ""
    if not isinstance(value, str):
        return ""
    return plain(redact(value[:TEXT_READ_MAX]))[:limit].strip()
