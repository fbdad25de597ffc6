"""CALLs that the box sends to the cloud in a charger's name, through the same queue as all others.

The answers are for nobody: `uplink` knows them by their origin and drops them. A CALL that is lost with the
cloud's leg is not sent again by itself. While one is unanswered the charger's own CALLs wait behind it.
"""

from __future__ import annotations

from typing import Any

from edgegw.core.calls import Origin, Outgoing, Priority
from edgegw.core.effects import Effect, SendCloud
from edgegw.core.events import Instant
from edgegw.core.state import ChargerState
from edgegw.wire import frames
from edgegw.wire.frames import Call, parse


def tell_cloud(
    state: ChargerState,
    action: str,
    payload: dict[str, Any],
    purpose: str,
    now: Instant,
    *,
    message_id: str = "",
    timeout_s: float | None = None,
) -> list[Effect]:
    """Queue a CALL to the cloud; nothing when the cloud is away.

    `message_id` "": a new one. `timeout_s` None: the cloud has as long as for any other CALL.
    """
    if not state.cloud_up:
        return []
    raw = frames.call(message_id or state.site.new_id(), action, payload)
    call = parse(raw, state.version)
    assert isinstance(call, Call)
    out = Outgoing(
        call,
        origin=Origin.GATEWAY,
        priority=Priority.GATEWAY,
        timeout_s=state.site.policy.cloud_give_up_s if timeout_s is None else timeout_s,
        purpose=purpose,
    )
    sent = state.to_cloud.submit(out, now.mono)
    return [SendCloud(raw)] if sent is not None else []
