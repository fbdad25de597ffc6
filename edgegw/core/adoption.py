"""Bringing a charger under control: quiet, read what it can, clear what others left, set the safe limit.

Rules of this file:
- One CALL at a time. After a boot all of it, but for the clearing, which is done once when the gateway first
  meets the charger; after a mere reconnect only what is missing.
- The standing limit is what holds whenever nobody steers: it comes before any live one (OCPP 2.x K03).
- What is refused or unanswered never stops here: the next way, or on without. A charger that took no standing
  limit is unsteerable until it takes one or a live one; it is tried again every few minutes.
"""

from __future__ import annotations

from edgegw.core import box_calls, capabilities, limit_profiles
from edgegw.core.calls import Outgoing, Priority
from edgegw.core.effects import Effect, Noticed
from edgegw.core.events import Instant
from edgegw.core.limit_orders import READY, standing_method, standing_plan, standing_ways
from edgegw.core.limit_profiles import own_id
from edgegw.core.limits_held import safe_a
from edgegw.core.live_limits import (
    ANSWER_TIMEOUT_S,
    TRY_ALL_AGAIN_S,
    back_off_s,
    drop,
    forget_all,
    forget_live,
)
from edgegw.core.power import Capabilities, ConnectorPower, Control
from edgegw.core.power_notes import (
    count_write,
    keep,
    keep_charger,
    note_answer,
    obeys_again,
    silent,
    unsteerable,
)
from edgegw.core.state import ChargerState
from edgegw.quirks.match import match
from edgegw.wire.frames import Call, CallError, CallResult

STRANGERS_MAX = 16  # connectors of one charger that people are told of
SETTLING, READING, CLEARING, STANDING, HOPELESS = "settling", "reading", "clearing", "standing", "hopeless"
READ_PURPOSE, CLEAR_PURPOSE, STANDING_PURPOSE = "power read", "power clear", "power standing"
_HARDWARE_1X = ("chargePointVendor", "chargePointModel", "chargePointSerialNumber")
_HARDWARE_2X = ("vendorName", "model", "serialNumber")
ATTEMPTS_MAX = 3  # of one CALL that is not answered, then on without


def begin(state: ChargerState, now: Instant) -> list[Effect]:
    """The charger is accepted: bring it under control, after a quiet moment."""
    power, profile = state.power, state.profile
    power.quirks = match(power.entries, profile.vendor, profile.model, profile.firmware)
    power.asking, power.attempts, power.cursor = "", 0, 0
    power.standing_way = min(power.standing_way, len(standing_ways(power)) - 1)
    if not power.quirks.smart_charging:
        power.stage = HOPELESS
        return _all_unsteerable(state, "this model has no smart charging")
    power.stage = SETTLING
    power.settle_at = now.mono + power.quirks.settle_s
    power.retry_at = power.settle_at
    return []


def met(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    """Its boot says what it is. Another one in its place has none of our limits, perhaps some of others."""
    power, payload = state.power, call.payload
    station = payload.get("chargingStation")
    words = [payload.get(name) for name in _HARDWARE_1X]
    if isinstance(station, dict):
        words = [station.get(name) for name in _HARDWARE_2X]
    known, power.hardware = power.hardware, " ".join(str(word)[:50] for word in words if word)
    if known == power.hardware:
        return []
    if not known:
        return keep_charger(state)
    power.adopted, power.standing_way = False, 0
    for c in power.connectors.values():
        forget_all(c)
    text = f"{state.identity} was replaced: {power.hardware}, before {known}; its profiles are set anew"
    kept = [effect for c in power.connectors.values() for effect in keep(state, c, now)]
    return [Noticed("charger_replaced", text, warning=False), *kept, *keep_charger(state)]


def stranger(state: ChargerState, number: object) -> list[Effect]:
    """It speaks of a connector that the site file does not know. Told once."""
    power = state.power
    if not isinstance(number, int) or number < 1:
        return []
    known = number in power.connectors or number in power.strangers
    if known or len(power.strangers) >= STRANGERS_MAX:
        return []
    power.strangers.add(number)
    text = (
        f"{state.identity}/{number} is not in the site file, other connectors of this charger are: "
        "nobody limits it, and limits of the cloud for it are refused"
    )
    return [Noticed("connector_not_in_site_file", text)]


def due(state: ChargerState, now: Instant) -> bool:
    power = state.power
    if power.asking or power.stage in ("", HOPELESS) or now.mono < power.retry_at:
        return False
    return power.stage != READY or not power.armed


def step(state: ChargerState, now: Instant) -> list[Effect]:
    """The next CALL of bringing it under control, if it is time."""
    power = state.power
    if not due(state, now):
        return []
    if power.stage == SETTLING:
        _enter(state, READING)
    if power.stage == READING:
        if not power.capabilities.read and power.quirks.reads_configuration:
            action, payload = capabilities.request(state.version)
            return _ask(state, action, payload, READ_PURPOSE, now)
        _enter(state, CLEARING)
    if power.stage == CLEARING:
        payloads = limit_profiles.clear_payloads(state.version)
        power.uncleared = power.uncleared and power.cursor > 0
        if not power.adopted and power.cursor < len(payloads):
            return _ask(state, "ClearChargingProfile", payloads[power.cursor], CLEAR_PURPOSE, now)
        return _cleared(state) + _stand(state, now)
    if power.stage == READY:
        _enter(state, STANDING)
    return _stand(state, now)


def _enter(state: ChargerState, stage: str) -> None:
    power = state.power
    power.stage, power.attempts, power.cursor = stage, 0, 0


def _ask(
    state: ChargerState, action: str, payload: dict[str, object], purpose: str, now: Instant
) -> list[Effect]:
    state.power.asking = purpose
    safety = Priority.SAFETY if purpose == STANDING_PURPOSE else Priority.GATEWAY
    return box_calls.ask(state, action, payload, purpose, now, priority=safety, timeout_s=ANSWER_TIMEOUT_S)


def _cleared(state: ChargerState) -> list[Effect]:
    power = state.power
    _enter(state, STANDING)
    if power.adopted:
        return []
    power.adopted = True
    for c in power.connectors.values():  # a limit of ours that was set meanwhile went with the others
        c.unsure = c.unsure or c.accepted_a is not None
    text = f"{state.identity} is balanced from now on: "
    if power.uncleared:
        text += "it did not clear the charging profiles that others left in it, one of them may still hold"
    else:
        text += "the charging profiles that were in it were cleared"
    return [Noticed("charger_adopted", text, warning=power.uncleared), *keep_charger(state)]


# --- the standing limit ----------------------------------------------------------------------------


def _stand(state: ChargerState, now: Instant) -> list[Effect]:
    """The standing limit of the next connector, or the end."""
    power = state.power
    slots = _slots(state)
    if power.armed or power.cursor >= len(slots):
        power.armed = True
        _enter(state, READY)
        return []
    slot = slots[power.cursor]
    lowest = min(_members(state, slot), key=lambda one: safe_a(one, power))
    count_write(lowest, now)
    payload = limit_profiles.set_payload(standing_plan(state, lowest, slot, now))
    return _ask(state, "SetChargingProfile", payload, STANDING_PURPOSE, now)


def _slots(state: ChargerState) -> list[int]:
    """The connectors that get a standing limit of their own; [0] for one for all."""
    power = state.power
    _, where = standing_ways(power)[power.standing_way]
    return sorted(power.connectors) if where == "each" else [0]


def _members(state: ChargerState, slot: int) -> list[ConnectorPower]:
    connectors = state.power.connectors
    return list(connectors.values()) if slot == 0 else [connectors[slot]]


# --- answers ---------------------------------------------------------------------------------------


def on_answer(
    state: ChargerState, out: Outgoing, answer: CallResult | CallError | None, now: Instant
) -> list[Effect]:
    power = state.power
    if power.asking != out.purpose:
        return []  # of before a boot
    power.asking = ""
    if answer is None and power.attempts + 1 < ATTEMPTS_MAX:
        power.attempts += 1
        power.retry_at = now.mono + back_off_s(power.attempts)
        return _silent(state) if out.purpose == STANDING_PURPOSE else []
    power.attempts = 0
    if out.purpose == READ_PURPOSE:
        _read(state, answer)
        return step(state, now)
    if out.purpose == CLEAR_PURPOSE:
        # Unknown: there was none. Whoever cannot clear is steered all the same.
        done = isinstance(answer, CallResult) and answer.payload.get("status") in ("Accepted", "Unknown")
        power.uncleared = power.uncleared or not done
        power.cursor += 1
        return step(state, now)
    _note_standing(state, answer, now)
    if isinstance(answer, CallResult) and answer.payload.get("status") == "Accepted":
        return _stands(state, now)
    return _standing_refused(state, answer, now)


def _note_standing(state: ChargerState, answer: CallResult | CallError | None, now: Instant) -> None:
    slot = _slots(state)[state.power.cursor]
    limit_a = min(safe_a(one, state.power) for one in _members(state, slot))
    note_answer(state, slot, "standing", limit_a, answer, now)


def _read(state: ChargerState, answer: CallResult | CallError | None) -> None:
    power = state.power
    found = capabilities.parse(answer.payload) if isinstance(answer, CallResult) else Capabilities(read=True)
    power.capabilities = found
    _enter(state, CLEARING)


def _stands(state: ChargerState, now: Instant) -> list[Effect]:
    power = state.power
    slot = _slots(state)[power.cursor]
    effects: list[Effect] = []
    members = _members(state, slot)
    limit_a = min(safe_a(one, power) for one in members)
    for c in members:
        c.safe_accepted_a = limit_a
        effects += obeys_again(state, c, Control.UNKNOWN, Control.SILENT, Control.REFUSES)
        effects += _above_wish(state, c, limit_a)
        effects += keep(state, c, now)
    power.cursor += 1
    if standing_method(power) == "max":  # a TxDefaultProfile below would hold it down
        effects += _leave_tx_default(state, now)
    return effects + step(state, now)


def _leave_tx_default(state: ChargerState, now: Instant) -> list[Effect]:
    power, effects = state.power, list[Effect]()
    for number in (0, *power.connectors):
        effects += drop(state, own_id("safe", number), now)
        effects += drop(state, own_id("tx_default", number), now)
    for c in power.connectors.values():
        if c.method == "tx_default":
            forget_live(c)
            c.method = ""
    return effects


def _above_wish(state: ChargerState, c: ConnectorPower, limit_a: float) -> list[Effect]:
    if limit_a <= c.wiring.safe_a + 0.05:
        return []
    text = (
        f"{state.identity}/{c.wiring.connector} cannot be told less than {limit_a:g} A: "
        f"that is its safe limit, not the {c.wiring.safe_a:g} A of the site file"
    )
    return [Noticed("safe_limit_raised", text)]


def _silent(state: ChargerState) -> list[Effect]:
    return [effect for c in state.power.connectors.values() for effect in silent(state, c)]


def _standing_refused(
    state: ChargerState, answer: CallResult | CallError | None, now: Instant
) -> list[Effect]:
    power = state.power
    if power.standing_way + 1 < len(standing_ways(power)):
        power.standing_way, power.cursor = power.standing_way + 1, 0
        return step(state, now)
    _enter(state, READY)
    power.retry_at = now.mono + TRY_ALL_AGAIN_S
    power.standing_way = 0
    if isinstance(answer, CallError):
        said = f"answers {answer.code}"
    else:
        said = "does not answer" if answer is None else f"answers {answer.payload.get('status')}"
    return _all_unsteerable(state, f"it takes no standing limit: it {said}")


def _all_unsteerable(state: ChargerState, why: str) -> list[Effect]:
    effects: list[Effect] = []
    for c in state.power.connectors.values():
        effects += unsteerable(state, c, Control.REFUSES, why)
    return effects
