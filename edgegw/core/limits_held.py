"""Which limit a connector should have, and which it may be drawing by: questions, no changes.

Rules of this file:
- It changes nothing. `live_limits` and `adoption` write what is read here.
- What is not known is read the dangerous way round: a limit whose CALL was never answered may hold, an
  expiry counts only with the difference of two clocks on top, a connector that never accepted anything may
  draw all it can.
"""

from __future__ import annotations

import math

from edgegw.balance.model import watts
from edgegw.core import cloud_cap
from edgegw.core.events import Instant
from edgegw.core.limit_profiles import round_down
from edgegw.core.power import ConnectorPower, Control, PowerState, Wiring
from edgegw.core.state import ChargerState
from edgegw.quirks.model import Quirks

EXPIRY_SLACK_S = 30.0  # by which the charger's clock may be behind ours, beyond `start_in_past_s`
SAME_A = 0.05  # limits have one decimal


def transaction_on(state: ChargerState, connector: int) -> str:
    """The transaction that runs on it, as the charger knows it; "" for none.

    It ends when the charger says so, not when the cloud has answered that: its TxProfile is gone by then.
    """
    running = cloud_cap.running(state).get(connector)
    return "" if running is None or _is_ending(state, running.id) else running.id


def _is_ending(state: ChargerState, transaction: str) -> bool:
    queue = state.to_cloud
    for out in (queue.outstanding, *queue.waiting):
        if out is None:
            continue
        call = out.call
        if call.action == "StopTransaction" and str(call.payload.get("transactionId")) == transaction:
            return True
        if call.action == "TransactionEvent" and call.payload.get("eventType") == "Ended":
            info = call.payload.get("transactionInfo")
            if isinstance(info, dict) and info.get("transactionId") == transaction:
                return True
    return False


# --- what it should have ---------------------------------------------------------------------------


def target_a(state: ChargerState, c: ConnectorPower, now: Instant) -> float:
    """The limit it should have: the lower of what site and cloud give it, as this model can take it.

    Without a transaction never above the safe value: a car that comes must not find more.
    """
    cap_a, _ = cloud_cap.cap_for(state, c.wiring.connector, now)
    wanted_a = min(c.granted_a, cap_a, c.wiring.max_a)
    transaction = transaction_on(state, c.wiring.connector)
    if not transaction:
        wanted_a = min(wanted_a, c.wiring.safe_a)
    elif transaction == c.forbidden:
        wanted_a = 0.0
    return as_taken(wanted_a, c.wiring, state.power)


def safe_a(c: ConnectorPower, power: PowerState) -> float:
    """The standing limit as this model can take it."""
    return as_taken(c.wiring.safe_a, c.wiring, power)


def as_taken(wanted_a: float, wiring: Wiring, power: PowerState) -> float:
    """`wanted_a` rounded down to what this model knows; below its least 0, or the least if 0 ends badly."""
    quirks = power.quirks
    least_a = _least_a(wiring, quirks, power.nominal_v)
    if wanted_a < least_a - 1e-6:
        return 0.0 if quirks.zero_pauses else min(least_a, wiring.max_a)
    if quirks.limit_steps_a:
        return max((step for step in quirks.limit_steps_a if step <= wanted_a + SAME_A), default=0.0)
    return wanted_a if wiring.dc else round_down(wanted_a)  # watts are rounded when they are made


def _least_a(wiring: Wiring, quirks: Quirks, nominal_v: float) -> float:
    least_a = max(wiring.min_a, quirks.min_limit_a or 0.0)
    if quirks.min_power_w is not None and wiring.phases == 3 and not wiring.dc:
        least_a = max(least_a, math.ceil(quirks.min_power_w / watts(1.0, 3, nominal_v) * 10) / 10)
    if quirks.limit_steps_a:
        least_a = next((step for step in quirks.limit_steps_a if step >= least_a), least_a)
    return least_a


# --- what it has -----------------------------------------------------------------------------------


def is_live(c: ConnectorPower, transaction: str, now: Instant) -> bool:
    """Does the limit it accepted last hold for this transaction, by our own clock?"""
    return c.accepted_a is not None and c.accepted_for in ("", transaction) and now.mono < c.expires_at


def held_a(c: ConnectorPower, transaction: str, now: Instant) -> float | None:
    """The limit that holds as far as it was accepted; None where none ever was."""
    return c.accepted_a if is_live(c, transaction, now) else c.safe_accepted_a


def believed_a(state: ChargerState, c: ConnectorPower, now: Instant) -> float | None:
    """The most that its limits let it draw now, if it keeps to them; None where it has none."""
    transaction = transaction_on(state, c.wiring.connector)
    held = held_a(c, transaction, now)
    if held is None:
        return None
    may_hold = [held]
    if c.accepted_a is not None and c.accepted_for in ("", transaction):
        if now.mono < c.expires_at + EXPIRY_SLACK_S:
            may_hold.append(c.accepted_a)
        if c.unsure or now.mono > c.expires_at - _early_s(state.power):
            may_hold.append(_below(c))  # it may be gone already, and the standing limit holds
    for_us = c.maybe_for in ("", transaction)
    if c.maybe_a is not None and for_us and now.mono < c.maybe_until + EXPIRY_SLACK_S:
        may_hold.append(c.maybe_a)
    if c.asked_a is not None:
        may_hold.append(c.asked_a)
    return max(may_hold)


def standing_a(state: ChargerState, c: ConnectorPower, now: Instant) -> float:
    """The most it may draw now, amps per phase, for the site to keep free."""
    believed = believed_a(state, c, now)
    if believed is None or c.control in (Control.REFUSES, Control.DISOBEYS):
        return c.wiring.max_a
    return min(believed, c.wiring.max_a)


def _early_s(power: PowerState) -> float:
    """A charger whose clock is ahead ends a limit earlier than we think."""
    return min(EXPIRY_SLACK_S, power.lifetime_s * 0.1)


def _below(c: ConnectorPower) -> float:
    return c.wiring.max_a if c.safe_accepted_a is None else c.safe_accepted_a
