"""When the cloud hears that its profile was taken: not before the charger keeps to it.

Rules of this file:
- A change goes into a new book at once, so that `actuation` steers by it. Where a running transaction must
  slow down for it, the answer waits until the charger has accepted a limit at or below the new one; a charger
  that refuses, is silent, does not obey or leaves makes it Rejected, and the old book comes back.
- Where nothing has to change now, it is Accepted at once. Accepted is durable before it is sent.
- Answers go in the order of the CALLs. Of two changes that wait, the second is done anew on the old book when
  the first is refused.
- A cloud that is lost hears nothing; what waited for it is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from edgegw.balance.profile_book import ProfileBook, Refusal
from edgegw.core import actuation, cloud_cap, profile_store
from edgegw.core.effects import Effect, Noticed, SendCloud
from edgegw.core.events import Instant
from edgegw.core.power import CloudWish, ConnectorPower, Control
from edgegw.core.state import ChargerState
from edgegw.wire import frames
from edgegw.wire.error_codes import ErrorMeaning, error_code
from edgegw.wire.frames import Call

WISHES_MAX = 8  # OCPP-J allows the cloud one; a cloud that does not wait for answers is told no
SLACK_A = 0.05  # limits on the wire have one decimal

Change = Callable[[ProfileBook], ProfileBook | Refusal]

_NOT_STEERED = {
    Control.REFUSES: "the charger refuses every limit",
    Control.DISOBEYS: "the charger does not keep to its limit",
    Control.SILENT: "the charger does not answer",
}


def answer(call_id: str, payload: dict[str, Any]) -> SendCloud:
    return SendCloud(frames.result(call_id, payload))


def no(state: ChargerState, call_id: str, refused: Refusal) -> SendCloud:
    """The cloud's CALL is refused; 2.x says why (statusInfo)."""
    if refused.error is not None:
        return SendCloud(frames.error(call_id, error_code(state.version, refused.error), refused.text))
    if not state.version.is_2x:
        return answer(call_id, {"status": refused.status})
    info = {"reasonCode": refused.reason[:20], "additionalInfo": refused.text[:512]}
    return answer(call_id, {"status": refused.status, "statusInfo": info})


def refuse(state: ChargerState, call: Call, refused: Refusal) -> list[Effect]:
    """`no`, and people see it."""
    text = f"{state.identity}: {call.action} of the cloud refused: {refused.text}"
    return [Noticed("cloud_profile_refused", text), no(state, call.id, refused)]


def not_steered(state: ChargerState, connectors: Iterable[int]) -> Refusal | None:
    """Why a limit for these connectors would be a promise nobody keeps."""
    if not state.charger_up:
        return Refusal("Rejected", "Unspecified", "the charger is not connected")
    for number in connectors:
        power = state.power.connectors[number]
        words = _NOT_STEERED.get(power.control)
        if words is not None:
            more = f" ({power.fault})" if power.fault else ""
            return Refusal("Rejected", "Unspecified", f"connector {number}: {words}{more}")
    return None


def request(
    state: ChargerState,
    call: Call,
    change: Change,
    accepted: dict[str, Any],
    connectors: Iterable[int],
    now: Instant,
) -> list[Effect]:
    """Do `change`, and answer `accepted` when it holds on the `connectors` that it may slow down."""
    power = state.power
    if len(power.wishes) >= WISHES_MAX:
        words = "too many changes wait for the charger"
        return refuse(state, call, Refusal("Rejected", "RateLimitExceeded", words, ErrorMeaning.GENERIC))
    changed = change(power.book)
    if isinstance(changed, Refusal):
        return refuse(state, call, changed)
    before, power.book = power.book, changed
    slower = tuple(number for number in connectors if _is_above(state, power.connectors[number], now))
    if not slower and not power.wishes:
        return [profile_store.save(state), answer(call.id, accepted), *actuation.advance(state, now)]
    deadline = now.mono + state.site.policy.charger_answer_timeout_s
    wish = CloudWish(call.id, before, slower, now.mono, deadline, change=change, answer=accepted)
    power.wishes.append(wish)
    return actuation.advance(state, now)


def _is_above(state: ChargerState, power: ConnectorPower, now: Instant) -> bool:
    """May a running transaction draw more than the cloud now allows?"""
    number = power.wiring.connector
    if number not in cloud_cap.running(state):
        return False
    cap_a, _ = cloud_cap.cap_for(state, number, now)
    return actuation.standing_a(state, power, now) > cap_a + SLACK_A


def after_answer(state: ChargerState, now: Instant) -> list[Effect]:
    """The charger accepted or refused a limit, or time passed: answer what the cloud waits for."""
    effects: list[Effect] = []
    while state.power.wishes:
        wish = state.power.wishes[0]
        refused = not_steered(state, wish.connectors) if wish.connectors else None
        if refused is None and any(
            _is_above(state, state.power.connectors[number], now) for number in wish.connectors
        ):
            if now.mono < wish.deadline:
                break
            words = f"the charger took no lower limit in {wish.deadline - wish.asked_at:g} s"
            refused = Refusal("Rejected", "Unspecified", words)
        effects += _came_true(state) if refused is None else _undone(state, refused, now)
    return effects


def _came_true(state: ChargerState) -> list[Effect]:
    wish = state.power.wishes.pop(0)
    return [profile_store.save(state), answer(wish.call_id, wish.answer)]


def _undone(state: ChargerState, refused: Refusal, now: Instant) -> list[Effect]:
    wish = state.power.wishes.pop(0)
    text = f"{state.identity}: a profile of the cloud was not taken: {refused.text}"
    effects: list[Effect] = [
        Noticed("cloud_profile_refused", text),
        no(state, wish.call_id, refused),
    ]
    return [*effects, *_again_from(state, wish.before), *actuation.advance(state, now)]


def _again_from(state: ChargerState, book: ProfileBook) -> list[Effect]:
    """All changes that still wait, done anew on `book`."""
    power, effects = state.power, list[Effect]()
    waiting, power.wishes = power.wishes, []
    for wish in waiting:
        wish.before = book
        changed = wish.change(book)
        if isinstance(changed, Refusal):
            effects.append(no(state, wish.call_id, changed))
            continue
        book = changed
        power.wishes.append(wish)
    power.book = book
    return effects


def change_now(state: ChargerState, change: Callable[[ProfileBook], ProfileBook]) -> list[Effect]:
    """What is so whatever the charger says, as the end of a transaction. Saved when it changes something."""
    base = profile_store.settled(state.power)
    changed = change(base)
    if changed.profiles == base.profiles and not state.power.wishes:
        return []
    effects = _again_from(state, changed)
    saved = [] if changed.profiles == base.profiles else [profile_store.save(state)]
    return [*saved, *effects]


def on_cloud_lost(state: ChargerState) -> None:
    """Nobody waits for an answer any more; the book is again what the charger has accepted."""
    power = state.power
    power.book, power.wishes = profile_store.settled(power), []
