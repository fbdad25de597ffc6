"""The live limit of each connector: sent when `limit_orders` says so, and what its answer means.

Rules of this file:
- At most one limit is under way per connector; a newer one takes the place of one that still waits in the
  queue. What is lower goes with the priority of safety.
- Refused: the next method. All refused: REFUSES, its maximum is reserved, all are tried anew later.
- No answer: SILENT, tried again and again, and whatever was asked may hold (`limits_held`).
"""

from __future__ import annotations

from edgegw.balance.model import INFINITE
from edgegw.core import box_calls, limit_profiles
from edgegw.core.calls import Outgoing, Priority
from edgegw.core.effects import Effect
from edgegw.core.events import Instant
from edgegw.core.limit_orders import (
    LIMIT_PURPOSE,
    Order,
    ends_s,
    is_shared,
    live_plan,
    method_of,
    order_for,
    standing_method,
    standing_ways,
    waiting_call,
)
from edgegw.core.limits_held import held_a, transaction_on
from edgegw.core.power import ConnectorPower, Control
from edgegw.core.power_notes import count_write, keep, note_answer, obeys_again, silent, unsteerable
from edgegw.core.state import ChargerState
from edgegw.wire.frames import CallError, CallResult

DROP_PURPOSE = "power drop"  # a profile of ours that is not used any more

ANSWER_TIMEOUT_S = 10.0  # chargers take up to 5 s; longer would hold up the next decrease
FAILURES_MAX = 3  # in a row, before a method that has worked is given up
BACK_OFF_FIRST_S, BACK_OFF_MAX_S = 2.0, 30.0
TRY_ALL_AGAIN_S = 300.0  # after everything was refused: somebody may have changed a setting

# Answers that speak of the moment, not of the method.
_TRANSIENT = frozenset({"InternalError", "GenericError", "RateLimitExceeded", "SecurityError"})


# --- sending ---------------------------------------------------------------------------------------


def steer(state: ChargerState, c: ConnectorPower, now: Instant) -> list[Effect]:
    """Send what should be sent for this connector."""
    order = order_for(state, c, now)
    if order is None:
        return []
    waiting = waiting_call(state, c)
    if waiting is not None:
        state.to_charger.withdraw(waiting)
    else:
        count_write(c, now)
    plan = live_plan(state, c, order, now)
    _note_asked(state, order, now.mono, now.mono + ends_s(plan, state.power))
    # On its way it may be taken, whatever becomes of us: a restart must know the higher of the two.
    kept = (
        []
        if order.lowers
        else [e for n in order.members for e in keep(state, state.power.connectors[n], now)]
    )
    return kept + box_calls.ask(
        state,
        "SetChargingProfile",
        limit_profiles.set_payload(plan),
        f"{LIMIT_PURPOSE}{c.wiring.connector}",
        now,
        priority=Priority.SAFETY if order.lowers else Priority.GATEWAY,
        timeout_s=ANSWER_TIMEOUT_S,
    )


def _note_asked(state: ChargerState, order: Order, asked_at: float, expires_at: float) -> None:
    for number in order.members:
        c = state.power.connectors[number]
        c.asked_a, c.asked_at, c.asked_for = order.limit_a, asked_at, order.transaction
        c.asked_method, c.asked_expires_at = order.method, expires_at


# --- answers ---------------------------------------------------------------------------------------


def on_answer(
    state: ChargerState, out: Outgoing, answer: CallResult | CallError | None, now: Instant
) -> list[Effect]:
    c = state.power.connectors.get(int(out.purpose.removeprefix(LIMIT_PURPOSE)))
    if c is None or c.asked_a is None:
        return []
    note_answer(state, c.wiring.connector, c.asked_method, c.asked_a, answer, now)
    members = [c]
    if is_shared(state.power, c.asked_method):
        members = [one for one in state.power.connectors.values() if one.asked_method == c.asked_method]
    if answer is None:
        effects = _unanswered(state, members, now)
    elif isinstance(answer, CallResult) and answer.payload.get("status") == "Accepted":
        effects = _accepted(state, members, now)
    else:
        effects = _refused(state, c, members, answer, now)
    for one in members:
        effects += steer(state, one, now)
    return effects


def _accepted(state: ChargerState, members: list[ConnectorPower], now: Instant) -> list[Effect]:
    effects: list[Effect] = []
    for c in members:
        if c.asked_a is None:
            continue
        held = held_a(c, c.asked_for, now)
        if held is None or c.asked_a < held:
            c.lowered_at, c.over_since = now.mono, INFINITE
        c.accepted_a, c.accepted_at, c.accepted_for = c.asked_a, now.mono, c.asked_for
        c.expires_at, c.expires_wall = c.asked_expires_at, None
        c.method = c.asked_method
        c.asked_a = c.maybe_a = None
        c.unsure, c.failures = False, 0
        effects += obeys_again(state, c, Control.REFUSES, Control.SILENT, Control.UNKNOWN)
        effects += keep(state, c, now)
    return effects


def _unanswered(state: ChargerState, members: list[ConnectorPower], now: Instant) -> list[Effect]:
    effects: list[Effect] = []
    for c in members:
        may_hold(c)
        c.failures += 1
        c.retry_at = now.mono + back_off_s(c.failures)
        if c.failures >= FAILURES_MAX and c.method != c.asked_method:
            effects += next_method(state, c, "does not answer", now)
        effects += silent(state, c)
    return effects


def may_hold(c: ConnectorPower) -> None:
    """What was asked has an unknown outcome."""
    if c.asked_a is None:
        return
    if c.maybe_a is None:
        c.maybe_a, c.maybe_until, c.maybe_for = c.asked_a, c.asked_expires_at, c.asked_for
    else:
        c.maybe_a = max(c.asked_a, c.maybe_a)
        c.maybe_until = max(c.asked_expires_at, c.maybe_until)
        c.maybe_for = c.asked_for if c.asked_for == c.maybe_for else ""
    c.asked_a, c.unsure = None, True


def _refused(
    state: ChargerState,
    c: ConnectorPower,
    members: list[ConnectorPower],
    answer: CallResult | CallError,
    now: Instant,
) -> list[Effect]:
    for one in members:
        one.asked_a = None
    if c.asked_for and transaction_on(state, c.wiring.connector) != c.asked_for:
        return []  # the transaction has ended meanwhile: no word on the method
    said = answer.code if isinstance(answer, CallError) else str(answer.payload.get("status"))
    effects: list[Effect] = []
    for one in members:
        one.refused_at = now.mono
        one.failures += 1
        one.retry_at = now.mono + back_off_s(one.failures)
        may_pass = one.method == one.asked_method or said in _TRANSIENT
        if one.failures >= FAILURES_MAX or not may_pass:
            effects += next_method(state, one, f"answers {said}", now)
    return effects


def next_method(state: ChargerState, c: ConnectorPower, said: str, now: Instant) -> list[Effect]:
    """The method it was asked by does not work here: the next one, or nothing left."""
    effects = _drop_live(state, c, now)
    c.refused = (*c.refused, c.asked_method)
    c.failures, c.retry_at = 0, now.mono
    method = method_of(state.power, c)
    if method is None:
        c.refused, c.method = (), ""
        c.retry_at = now.mono + TRY_ALL_AGAIN_S
        if c.control is not Control.DISOBEYS:
            effects += unsteerable(state, c, Control.REFUSES, f"it {said}, whatever kind of profile")
    elif method == "max" and standing_method(state.power) != "max":
        _stand_on_max(state, now)
    return effects


def _drop_live(state: ChargerState, c: ConnectorPower, now: Instant) -> list[Effect]:
    """A TxProfile hides a TxDefaultProfile: take ours out before the next method is tried."""
    if c.asked_method != "tx" or c.accepted_a is None or not c.accepted_for:
        return []
    forget_live(c)
    return drop(state, limit_profiles.own_id("tx", c.wiring.connector), now)


def forget_all(c: ConnectorPower) -> None:
    """Nothing is known to hold: its maximum is reserved until something is accepted again."""
    c.accepted_a = c.safe_accepted_a = c.maybe_a = None


def forget_live(c: ConnectorPower) -> None:
    """Its live limit is being taken out: it may hold, but nothing counts on it any more."""
    if c.accepted_a is None:
        return
    c.maybe_a, c.maybe_until = max(c.accepted_a, c.maybe_a or 0.0), c.expires_at
    c.maybe_for = c.accepted_for
    c.accepted_a, c.accepted_for = None, ""


def _stand_on_max(state: ChargerState, now: Instant) -> None:
    """A TxDefaultProfile of the safe value holds down every Max: the standing limit becomes a Max too.

    `adoption` sets it and then takes the TxDefaultProfile out: something safe holds at every moment.
    """
    power = state.power
    power.standing_way = len(standing_ways(power)) - 1
    power.armed, power.retry_at = False, now.mono


def drop(state: ChargerState, profile_id: int, now: Instant) -> list[Effect]:
    """Take one of our own profiles out; whatever the charger answers."""
    payload = limit_profiles.clear_one(state.version, profile_id)
    return box_calls.ask(
        state, "ClearChargingProfile", payload, DROP_PURPOSE, now, timeout_s=ANSWER_TIMEOUT_S
    )


def back_off_s(failures: int) -> float:
    seconds: float = min(BACK_OFF_FIRST_S * 2 ** (failures - 1), BACK_OFF_MAX_S)
    return seconds
