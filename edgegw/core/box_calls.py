"""CALLs that the box itself sends to a charger, through the same single-outstanding queue as all others."""

from __future__ import annotations

from typing import Any

from edgegw.core import own_reports
from edgegw.core.calls import Origin, Outgoing, Priority
from edgegw.core.effects import CallFinished, CallOutcome, Effect, SendCharger
from edgegw.core.events import CallRequested, Instant
from edgegw.core.state import ChargerState
from edgegw.wire import frames
from edgegw.wire.frames import Call, FrameRefused, parse


def ask(
    state: ChargerState,
    action: str,
    payload: dict[str, Any],
    purpose: str,
    now: Instant,
    *,
    priority: Priority = Priority.GATEWAY,
    timeout_s: float | None = None,
) -> list[Effect]:
    """Queue a CALL for a purpose of the box; its answer comes to whoever the purpose names (`downlink`).

    `timeout_s` None: the charger has as long as for any other CALL.
    """
    raw = frames.call(state.site.new_id(), action, payload)
    return _submit(
        state, raw, now, origin=Origin.GATEWAY, purpose=purpose, priority=priority, timeout_s=timeout_s
    )


def requested(state: ChargerState, event: CallRequested, now: Instant) -> list[Effect]:
    """Somebody on the box wants a CALL sent: `CallFinished` follows in every case."""
    if not state.charger_up:
        return [finished(event.ticket, CallOutcome.GONE)]
    try:
        raw = frames.call(state.site.new_id(), event.action, event.payload)
        sent = _submit(state, raw, now, origin=Origin.API, ticket=event.ticket)
        return [*own_reports.asked(state, event), *sent]
    except (ValueError, FrameRefused) as refused:
        text = str(refused)
        return [CallFinished(ticket=event.ticket, outcome=CallOutcome.ERROR, code="", description=text)]


def _submit(
    state: ChargerState,
    raw: bytes,
    now: Instant,
    *,
    origin: Origin,
    ticket: int = 0,
    purpose: str = "",
    priority: Priority = Priority.GATEWAY,
    timeout_s: float | None = None,
) -> list[Effect]:
    call = parse(raw, state.version)
    assert isinstance(call, Call)
    if timeout_s is None:
        timeout_s = state.site.policy.charger_answer_timeout_s
    out = Outgoing(
        call, origin=origin, priority=priority, timeout_s=timeout_s, ticket=ticket, purpose=purpose
    )
    sent = state.to_charger.submit(out, now.mono)
    return [SendCharger(raw)] if sent is not None else []


def finished(ticket: int, outcome: CallOutcome) -> CallFinished:
    return CallFinished(ticket=ticket, outcome=outcome)


def set_heartbeat_interval(state: ChargerState, interval_s: int, now: Instant) -> list[Effect]:
    """The cloud wants another interval than the box told the charger at its boot."""
    if not state.version.is_2x:
        payload: dict[str, Any] = {"key": "HeartbeatInterval", "value": str(interval_s)}
        return ask(state, "ChangeConfiguration", payload, "heartbeat", now)
    variable = {
        "component": {"name": "OCPPCommCtrlr"},
        "variable": {"name": "HeartbeatInterval"},
        "attributeValue": str(interval_s),
    }
    return ask(state, "SetVariables", {"setVariableData": [variable]}, "heartbeat", now)
