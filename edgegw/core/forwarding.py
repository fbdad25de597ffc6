"""A CALL of the cloud, or what is left of it, on its way to the charger."""

from __future__ import annotations

from edgegw.core.calls import Outgoing
from edgegw.core.effects import Effect, SendCharger
from edgegw.core.events import Instant
from edgegw.core.state import ChargerState
from edgegw.wire import tokens
from edgegw.wire.frames import Call


def forward(state: ChargerState, call: Call, data: bytes, now: Instant, *, purpose: str = "") -> list[Effect]:
    """Queue `data`, the bytes the charger shall read for `call`; its answer goes to the cloud."""
    wire_id = call.id
    if state.to_charger.is_pending(call.id):
        # Both are "the CSMS" to the charger: two CALLs with one id would be one to it.
        wire_id = state.site.new_id()
        data = tokens.with_message_id(data, wire_id)
    timeout_s = state.site.policy.charger_answer_timeout_s
    out = Outgoing(call, timeout_s=timeout_s, data=data, id=wire_id, purpose=purpose)
    sent = state.to_charger.submit(out, now.mono)
    return [SendCharger(data)] if sent is not None else []
