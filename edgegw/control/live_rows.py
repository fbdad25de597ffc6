"""One charger in one line, from its session and what is known beside it. Pure: read only, time comes in.

Rules of this file:
- This runs for every charger that said something, four times a second: what costs (words, faults, texts) is
  made again only when what it is made of is another, and stays JSON. What moves while a car charges (MOVING)
  is written behind it. No pydantic here: both together have the members of `live_models.ChargerRow`.
- Whatever a charger wrote is printable and short before it gets here, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import zip_longest
from typing import Any, NamedTuple

import msgspec

from edgegw.alarms.faults import SECURITY, faults_of
from edgegw.catalogue.model import Catalogue, Severity
from edgegw.control import drawn
from edgegw.control.live_models import CloudState, ControlName
from edgegw.control.verdict import verdict
from edgegw.core import plugs
from edgegw.core.draw import Drawn
from edgegw.core.events import Instant
from edgegw.core.power import ConnectorPower, Control
from edgegw.core.records import TransactionRecord
from edgegw.core.state import ChargerState
from edgegw.redaction import plain
from edgegw.runtime.session import Session
from edgegw.wire.timestamps import format_timestamp

WORD_MAX = 64  # characters of what a charger calls itself
TEXT_MAX = 300
CONNECTORS_MAX = 64  # `core.sanity.CONNECTOR_MAX`
# The first that one of its connectors says is the charger's.
_TELLING = (
    *("Faulted", "Charging", "SuspendedEVSE", "SuspendedEV", "Finishing", "Occupied", "Preparing"),
    *("Reserved", "Unavailable", "Available"),
)
_RANK = {word: rank for rank, word in enumerate(_TELLING)}
_encode = msgspec.json.Encoder().encode
_WORST = (Control.REFUSES, Control.DISOBEYS, Control.SILENT, Control.UNKNOWN, Control.STEERED)


class Notes(NamedTuple):
    """What is known of a charger outside of its session."""

    alarms: int = 0
    severity: Severity | None = None
    handshake: str = ""
    handshake_at: float = 0.0  # wall
    by_address: bool = False  # it may have been another one behind the same router
    bypassed: bool = False


NO_NOTES = Notes()


MOVING = ("current_a", "energy_wh", "last_seen")


class StillFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The members of `live_models.ChargerRow` without MOVING."""

    identity: str
    vendor: str
    model: str
    firmware: str
    version: str
    connected: bool
    status: str
    error: str
    limit_a: float | None
    why: str
    control: ControlName
    transactions: int
    cloud: CloudState
    queue: int
    parked: int
    alarms: int
    severity: Severity | None
    verdict: str
    handshake: str


class RowMaker:
    """Of one charger."""

    __slots__ = ("_amps", "_key", "_spoken_of", "_still")

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._still = b""  # JSON of `StillFacts`, its last brace left out
        self._spoken_of: frozenset[int] = frozenset()  # connectors
        self._amps: dict[int, tuple[object, Drawn | None]] = {}  # by connector: of which sample

    def row(self, session: Session, notes: Notes, catalogue: Catalogue, now: Instant) -> bytes:
        """JSON of one `live_models.ChargerRow`."""
        state = session.charger.state
        running = state.transactions.running
        self._look_at_still(session, notes, catalogue, now)
        return b'%b,"current_a":%b,"energy_wh":%b,"last_seen":%b}' % (
            self._still,
            _number(self._current_a(state, now) if session.charger_leg is not None else None),
            _number(_energy_wh(running.values()) if running else None),
            _second(int(state.last_seen_wall)),
        )

    def look_again(self) -> None:
        """What is made of time alone (an event that counts for a day) is looked at anew."""
        self._key = None

    # --- what stays ------------------------------------------------------------------------------

    def _look_at_still(self, session: Session, notes: Notes, catalogue: Catalogue, now: Instant) -> None:
        state = session.charger.state
        lines, wired = state.reports.lines, state.power.connectors
        key = (
            session.charger_leg is None,
            session.cloud_leg is None,
            session.cloud_error,
            session.bad_frames,
            state.last_seen_wall > 0,
            state.profile,
            len(state.outbox),
            state.outbox.parked,
            lines[-1] if lines else None,
            notes,
            session.version,
            session.connected_wall,
            tuple(state.transactions.running),
            tuple(state.connectors.values()),
            tuple([_held(power) for power in wired.values()]) if wired else (),
        )
        if self._key != key:
            self._key, self._spoken_of = key, _spoken_of(state)
            self._still = _encode(_still(session, notes, catalogue, now))[:-1]

    # --- what it draws ---------------------------------------------------------------------------

    def _current_a(self, state: ChargerState, now: Instant) -> float | None:
        """The highest of its own L1 to L3, over all connectors; None when none of them is known."""
        each = [found for number in self._numbers(state) if (found := self._drawn(state, number, now))]
        if len(each) == 1:
            known = [amps for amps in each[0] if amps is not None]
        else:
            phases = ([amps for amps in phase if amps is not None] for phase in zip_longest(*each))
            known = [sum(phase) for phase in phases if phase]
        return round(max(known), 1) + 0.0 if known else None

    def _numbers(self, state: ChargerState) -> Iterable[int]:
        """Connectors of 1.6, EVSEs of 2.x, of which anybody may know what they draw."""
        numbers = state.power.connectors.keys() or self._spoken_of
        if state.samples.keys() <= numbers:
            return numbers
        return sorted(numbers | state.samples.keys())[:CONNECTORS_MAX]

    def _drawn(self, state: ChargerState, number: int, now: Instant) -> Drawn | None:
        power, sample = state.power.connectors.get(number), state.samples.get(number)
        if drawn.is_idle(power, sample, _word(state, number, power)):
            return _NOTHING
        if sample is None or drawn.is_old(sample, now):
            return None
        if power is not None and (known := drawn.known_amps(power, sample)) is not None:
            return known
        read = self._amps.get(number)
        if read is None or read[0] is not sample:
            read = self._amps[number] = sample, drawn.said_amps(sample)
        return read[1]


_NOTHING = (0.0, 0.0, 0.0)


def _word(state: ChargerState, number: int, power: ConnectorPower | None) -> str:
    """`drawn.word_of`: in 1.6 it needs no transaction to be looked for."""
    status = plugs.status_of(state, number)
    if not state.version.is_2x:
        return status.status if status is not None else ""
    return drawn.word_of(state, status, power, plugs.running_on(state, number))


def _spoken_of(state: ChargerState) -> frozenset[int]:
    """Numbers of connectors in 1.6, of EVSEs in 2.x."""
    heads = (name.partition(".")[0] for name in state.connectors)  # 2.x: "1.2" is connector 2 of EVSE 1
    said = {int(head) for head in heads if head.isdecimal() and head.isascii() and len(head) < 4}
    return frozenset(sorted(said - {0})[:CONNECTORS_MAX])


def _held(power: ConnectorPower) -> tuple[Any, ...]:
    """All of it that is in words."""
    held = (power.granted_a, power.accepted_a, power.why, power.binding, power.control, power.fault)
    return held


def _still(session: Session, notes: Notes, catalogue: Catalogue, now: Instant) -> StillFacts:
    state = session.charger.state
    profile, wired = state.profile, state.power.connectors
    connected = session.charger_leg is not None
    failed_since = notes.handshake_at > session.connected_wall and not (connected and notes.by_address)
    return StillFacts(
        identity=session.identity,
        vendor=shown(profile.vendor, WORD_MAX),
        model=shown(profile.model, WORD_MAX),
        firmware=shown(profile.firmware, WORD_MAX),
        version=session.version.value,
        connected=connected,
        status=_status(state),
        error=_error(session.identity, state, catalogue, now),
        limit_a=round(sum(power.granted_a for power in wired.values()), 1) if wired else None,
        why=shown(_why(state)) if wired else "",
        control=_control(wired.values(), notes),
        transactions=len(state.transactions.running),
        cloud=_cloud(session),
        queue=len(state.outbox),
        parked=state.outbox.parked,
        alarms=notes.alarms,
        severity=notes.severity,
        verdict=shown(verdict(session)),
        handshake=notes.handshake if failed_since else "",
    )


def _status(state: ChargerState) -> str:
    said = [connector.status for connector in state.connectors.values() if connector.status]
    word = min(said, key=lambda status: _RANK.get(status, -1), default="")  # an unknown word is news
    return shown(word, WORD_MAX)


def _error(identity: str, state: ChargerState, catalogue: Catalogue, now: Instant) -> str:
    """The worst that is not over; of security events there is an alarm."""
    for fault in faults_of(identity, state.reports, catalogue, state.profile.vendor):
        if fault.condition.code != SECURITY and fault.is_on(now):
            return shown(fault.condition.text)
    return ""


def _why(state: ChargerState) -> str:
    """Of a connector in use before one that is not; of several the one with the lowest limit."""
    in_use = [power for number, power in state.power.connectors.items() if plugs.running_on(state, number)]
    powers = in_use or list(state.power.connectors.values())
    return min(powers, key=lambda power: power.granted_a).why


def _control(powers: Iterable[ConnectorPower], notes: Notes) -> ControlName:
    found = {power.control for power in powers}
    if not found:
        return "none"
    if notes.bypassed:
        return "bypassed"
    return next(control for control in _WORST if control in found).value


def _cloud(session: Session) -> CloudState:
    if session.charger.state.site.policy.standalone or session.charger_leg is None:
        return "none"
    return "up" if session.cloud_leg is not None else "away"


def _energy_wh(records: Iterable[TransactionRecord]) -> int | None:
    """Of those whose readings are known."""
    energy_wh = None
    for record in records:
        last_wh, start_wh = record.meter_last_wh, record.meter_start_wh
        if last_wh is not None and start_wh is not None:
            energy_wh = (energy_wh or 0) + last_wh - start_wh
    return energy_wh


def shown(text: str, characters_max: int = TEXT_MAX) -> str:
    """Printable and short."""
    text = plain(text)
    return text if len(text) <= characters_max else f"{text[: characters_max - 1]}…"


def _number(value: float | None) -> bytes:
    return b"null" if value is None else b"%a" % value


@lru_cache(maxsize=1024)
def _second(wall_s: int) -> bytes:
    return _encode(format_timestamp(wall_s) if wall_s > 0 else None)
