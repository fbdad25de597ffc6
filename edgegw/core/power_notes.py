"""What people hear of a connector's control, and what a restart needs of its limits.

Each alarm is told when it begins and when it ends. `keep` writes what the charger has accepted: after a
restart the gateway must know what may still hold in a charger that is away.
"""

from __future__ import annotations

import msgspec

from edgegw.balance.model import INFINITE
from edgegw.core.effects import Effect, Noticed
from edgegw.core.events import Instant
from edgegw.core.power import ConnectorPower, Control, ProfileAnswer
from edgegw.core.records import Document
from edgegw.core.state import ChargerState
from edgegw.wire.frames import CallError, CallResult

KIND = "power"
_CHARGER_KEY = ""  # the document about the charger as a whole


class KeptConnector(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one connector. Times are wall clock."""

    accepted_a: float | None = None
    accepted_for: str = ""
    expires_wall: float | None = None
    maybe_a: float | None = None  # asked, the answer not known
    maybe_for: str = ""
    safe_a: float | None = None
    method: str = ""
    writes_day: int = 0
    writes_today: int = 0
    forbidden: str = ""
    charging_state: str = ""  # 2.x says it when it changes, and not again for a gateway that starts anew


class KeptCharger(msgspec.Struct, frozen=True, kw_only=True):
    adopted: bool = False
    standing_way: int = 0
    hardware: str = ""


def unsteerable(state: ChargerState, c: ConnectorPower, control: Control, why: str) -> list[Effect]:
    """It cannot be steered, or does not obey: its maximum is reserved. Told once."""
    known, c.control = c.control, control
    note = state.power.quirks.note
    c.fault = f"{why}. {note}" if note else why
    if known is control:
        return []
    text = f"{state.identity}/{c.wiring.connector} cannot be steered: {c.fault}"
    return [
        Noticed("charger_unsteerable", f"{text.removesuffix('.')}. Its {c.wiring.max_a:g} A stay reserved.")
    ]


def silent(state: ChargerState, c: ConnectorPower) -> list[Effect]:
    """It left a limit unanswered. Told once."""
    if c.control not in (Control.UNKNOWN, Control.STEERED):
        return []
    c.control, c.fault = Control.SILENT, "does not answer SetChargingProfile"
    text = f"{state.identity}/{c.wiring.connector} {c.fault}"
    return [Noticed("charger_silent_to_limits", text)]


def obeys_again(state: ChargerState, c: ConnectorPower, *before: Control) -> list[Effect]:
    """It is steered, if it was one of `before` until now."""
    known = c.control
    if known not in before:
        return []
    c.control, c.fault = Control.STEERED, ""
    kinds = {
        Control.REFUSES: "charger_unsteerable_over",
        Control.DISOBEYS: "charger_unsteerable_over",
        Control.SILENT: "charger_silent_to_limits_over",
    }
    if known not in kinds:
        return []
    text = f"{state.identity}/{c.wiring.connector} keeps to its limits again"
    return [Noticed(kinds[known], text, warning=False)]


def note_answer(
    state: ChargerState,
    connector: int,
    method: str,
    limit_a: float | None,
    answer: CallResult | CallError | None,
    now: Instant,
) -> None:
    """For whoever asks what this charger says to its limits."""
    if answer is None:
        said = "no answer"
    else:
        said = answer.code if isinstance(answer, CallError) else str(answer.payload.get("status", ""))
    state.power.answers.append(ProfileAnswer(now.wall, connector, method, limit_a, said[:50]))


def count_write(c: ConnectorPower, now: Instant) -> None:
    """One more profile goes into the charger's flash."""
    day = int(now.wall // 86_400)
    c.writes_today = c.writes_today + 1 if day == c.writes_day else 1
    c.writes_day = day


def keep(state: ChargerState, c: ConnectorPower, now: Instant) -> list[Effect]:
    """What may hold in the charger now, a limit on its way included."""
    finite = c.expires_at < INFINITE and now.trusted
    may_hold = [limit_a for limit_a in (c.maybe_a, c.asked_a) if limit_a is not None]
    kept = KeptConnector(
        accepted_a=c.accepted_a,
        accepted_for=c.accepted_for,
        expires_wall=now.wall + c.expires_at - now.mono if finite else None,
        maybe_a=max(may_hold, default=None),
        maybe_for=c.asked_for if c.maybe_a is None or c.maybe_for == c.asked_for else "",
        safe_a=c.safe_accepted_a,
        method=c.method,
        writes_day=c.writes_day,
        writes_today=c.writes_today,
        forbidden=c.forbidden,
        charging_state=c.charging_state,
    )
    key = str(c.wiring.connector)
    return [state.document(KIND, key, msgspec.json.encode(kept), durable=False)]


def keep_charger(state: ChargerState) -> list[Effect]:
    power = state.power
    kept = KeptCharger(adopted=power.adopted, standing_way=power.standing_way, hardware=power.hardware)
    return [state.document(KIND, _CHARGER_KEY, msgspec.json.encode(kept), durable=False)]


def recover(state: ChargerState, document: Document) -> None:
    """A document of kind "power"; one for a connector that is not in the site file any more is ignored."""
    power = state.power
    if document.key == _CHARGER_KEY:
        charger = msgspec.json.decode(document.value, type=KeptCharger)
        power.adopted, power.standing_way = charger.adopted, charger.standing_way
        power.hardware = charger.hardware
        return
    c = power.connectors.get(int(document.key)) if document.key.isdecimal() else None
    if c is None:
        return
    kept = msgspec.json.decode(document.value, type=KeptConnector)
    c.accepted_a, c.accepted_for, c.expires_wall = kept.accepted_a, kept.accepted_for, kept.expires_wall
    c.safe_accepted_a, c.method = kept.safe_a, kept.method
    c.maybe_a, c.maybe_for = kept.maybe_a, kept.maybe_for  # until the charger is back and takes another
    c.writes_day, c.writes_today = kept.writes_day, kept.writes_today
    c.forbidden, c.charging_state = kept.forbidden, kept.charging_state
    c.unsure = kept.accepted_a is not None
