"""Brings a charger to the limit it should have, and knows what it may draw meanwhile: the doors of this part.

`adoption` brings it under control, `limit_orders` decides what it is told, `live_limits` tells it,
`obedience` checks it, `limits_held` says what holds.

Rules of this file: entry points change nothing but `state.power` and the queue to the charger; none acts on
a charger that is left out of balancing or away; every CALL has a purpose that begins with `PURPOSE`, by which
its answer comes back here.
"""

from __future__ import annotations

from edgegw.balance.model import INFINITE
from edgegw.core import adoption, limit_orders, live_limits, obedience, power_notes
from edgegw.core.calls import Outgoing
from edgegw.core.effects import Effect
from edgegw.core.events import Instant, LimitGrant
from edgegw.core.limits_held import standing_a, target_a
from edgegw.core.power import Capabilities, ConnectorPower
from edgegw.core.records import Document
from edgegw.core.state import ChargerState, Registration
from edgegw.quirks.match import match
from edgegw.wire.frames import Call, CallError, CallResult

__all__ = [
    "PURPOSE",
    "advance",
    "disturbed",
    "due",
    "measured",
    "on_answer",
    "on_boot",
    "on_connected",
    "on_limits",
    "on_lost",
    "on_registered",
    "recover",
    "standing_a",
    "target_a",
]

PURPOSE = "power "


def on_connected(state: ChargerState, now: Instant) -> list[Effect]:
    """Its connection is open. Nothing is sent before `on_registered`."""
    for c in state.power.connectors.values():
        c.unsure = c.unsure or c.accepted_a is not None
        c.failures, c.retry_at = 0, now.mono
    _settle_expiry(state, now)
    return []


def on_boot(state: ChargerState, now: Instant) -> list[Effect]:
    """It sent a BootNotification: what it has is not known any more, and is set again once it is accepted."""
    power = state.power
    power.armed, power.stage, power.asking = False, "", ""
    power.capabilities = Capabilities()
    for c in power.connectors.values():
        live_limits.may_hold(c)
        c.unsure = c.unsure or c.accepted_a is not None
        c.refused, c.failures, c.retry_at = (), 0, now.mono
    return []


def disturbed(state: ChargerState, now: Instant) -> list[Effect]:
    """Somebody else may have changed its profiles, a person by a CALL of their own: nothing is known to hold.

    Until all of it is set again, as when the charger was first met, its maximum is reserved.
    """
    power = state.power
    power.armed = power.adopted = False
    if power.stage in (limit_orders.READY, adoption.STANDING):
        power.stage, power.cursor, power.attempts = adoption.CLEARING, 0, 0
        power.asking, power.retry_at = "", now.mono
    for c in power.connectors.values():
        live_limits.forget_all(c)
    kept = [effect for c in power.connectors.values() for effect in power_notes.keep(state, c, now)]
    return [*kept, *power_notes.keep_charger(state), *advance(state, now)]


def on_registered(state: ChargerState, now: Instant) -> list[Effect]:
    """It may be called: it was accepted now, or had been when it connected."""
    return adoption.begin(state, now)


def on_lost(state: ChargerState, now: Instant) -> list[Effect]:
    """Its connection is gone: whatever was under way may hold, and expires by the charger's own clock."""
    power = state.power
    power.stage, power.asking = "", ""
    for c in power.connectors.values():
        live_limits.may_hold(c)
        c.unsure = c.unsure or c.accepted_a is not None
        c.over_since = c.obeyed_since = INFINITE
    _settle_expiry(state, now)
    return []


def on_limits(state: ChargerState, grants: tuple[LimitGrant, ...], now: Instant) -> list[Effect]:
    """What the site gives each connector now."""
    for grant in grants:
        c = state.power.connectors.get(grant.connector)
        if c is not None:
            c.granted_a, c.why, c.binding = grant.limit_a, grant.why, grant.binding
    return advance(state, now)


def due(state: ChargerState, now: Instant) -> bool:
    """Would `advance` do something? Asked once a second for every charger."""
    power = state.power
    if not power.connectors:
        return False
    if any(_unsettled_expiry(state, c, now) for c in power.connectors.values()):
        return True
    if not state.charger_up:
        return False
    if _to_begin(state) or adoption.due(state, now):
        return True
    return any(limit_orders.order_for(state, c, now) is not None for c in power.connectors.values())


def advance(state: ChargerState, now: Instant) -> list[Effect]:
    """Do what is due: renewals, repetitions, a transaction's first limit, a limit of the cloud that moved.

    What the site gave a charger that was not under control yet is what it drew once: whoever has come under
    control only now has the standing limit, and waits for what the site gives it next.
    """
    power = state.power
    _settle_expiry(state, now)
    if not power.connectors or not state.charger_up:
        return []
    was_ready = power.stage == limit_orders.READY
    effects = adoption.begin(state, now) if _to_begin(state) else []
    effects += adoption.step(state, now)
    for c in power.connectors.values() if was_ready else ():
        effects += live_limits.steer(state, c, now)
    return effects


def _to_begin(state: ChargerState) -> bool:
    """It was accepted without a boot: the gateway came between a charger and a cloud that knew each other."""
    power = state.power
    return power.stage == "" and not power.boot_id and state.profile.registration is Registration.ACCEPTED


def on_answer(
    state: ChargerState, out: Outgoing, answer: CallResult | CallError | None, now: Instant
) -> list[Effect]:
    """The charger answered a CALL of this part; None: it did not in time."""
    if out.purpose.startswith(limit_orders.LIMIT_PURPOSE):
        return live_limits.on_answer(state, out, answer, now)
    if out.purpose.startswith(live_limits.DROP_PURPOSE):
        return []
    return adoption.on_answer(state, out, answer, now)


def measured(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    """MeterValues or TransactionEvent of the charger."""
    return obedience.measured(state, call, now)


def recover(state: ChargerState, document: Document) -> None:
    """A document of kind "power", at the start."""
    power_notes.recover(state, document)
    profile = state.profile
    state.power.quirks = match(state.power.entries, profile.vendor, profile.model, profile.firmware)


# --- when limits end while nobody steers -----------------------------------------------------------


def _unsettled_expiry(state: ChargerState, c: ConnectorPower, now: Instant) -> bool:
    if c.expires_wall is not None:
        return now.trusted
    if state.charger_up or c.accepted_a is None or c.expires_at < INFINITE:
        return False
    return limit_orders.ends_offline(state, c.method)


def _settle_expiry(state: ChargerState, now: Instant) -> None:
    for c in state.power.connectors.values():
        if not _unsettled_expiry(state, c, now):
            continue
        if c.expires_wall is not None:
            c.expires_at, c.expires_wall = now.mono + max(0.0, c.expires_wall - now.wall), None
        else:  # 2.1 maxOfflineDuration counts from the loss
            c.expires_at = now.mono + state.power.lifetime_s
