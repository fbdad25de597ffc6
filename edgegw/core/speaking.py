"""Messages to the cloud in a charger's name that the charger has not sent now: kept like its own.

They take the way of everything that is delivered late: on disk first, then sent in their turn, once and again
until the cloud has answered.
"""

from __future__ import annotations

from typing import Any

from edgegw.core import local_csms, replay, routing
from edgegw.core.effects import Effect
from edgegw.core.events import Instant
from edgegw.core.state import ChargerState
from edgegw.wire import frames
from edgegw.wire.frames import Call, parse


def speak(state: ChargerState, action: str, payload: dict[str, Any], now: Instant) -> list[Effect]:
    """A CALL of the box's own making."""
    return deliver(state, frames.call(state.site.new_id(), action, payload), now)


def deliver(state: ChargerState, raw: bytes, now: Instant) -> list[Effect]:
    """A CALL that the charger sent earlier, with its own id and bytes."""
    call = parse(raw, state.version)
    assert isinstance(call, Call)
    rule = routing.from_charger(state.version, call.action.removesuffix("-Signed"))
    effects: list[Effect] = []
    # An epoch of its own: the charger may have used this id for something else since.
    state.new_epoch()
    local_csms.store(state, call, rule, frames.result(call.id, {}), now, ("late",), effects)
    state.new_epoch()
    return effects + replay.pump(state, now)


def security_event(state: ChargerState, kind: str, now: Instant) -> list[Effect]:
    """SecurityEventNotification (2.x A04, 1.6 security whitepaper) of what the box found in its place."""
    payload = {"type": kind, "timestamp": state.site.time_text(now)}
    return speak(state, "SecurityEventNotification", payload, now)
