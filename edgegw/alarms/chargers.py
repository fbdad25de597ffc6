"""What is wrong with a charger's connections and obedience. The rules of `alarms.conditions` hold here too.

Rules of this file:
- A charger that was never here is no alarm: it is not installed yet. Nor is one that the gateway does not
  expect: it was taken away.
- How long it is silent is counted on the monotonic clock, from when a look found that it had spoken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from edgegw.core.alarms import Condition
from edgegw.core.events import Instant
from edgegw.core.local_csms import BOOT_LOOP_BOOTS, BOOT_LOOP_GAP_S
from edgegw.core.power import ConnectorPower, Control
from edgegw.core.state import ChargerState, Profile, Registration
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.session import Session
from edgegw.wire.timestamps import format_timestamp

QUIET_HEARTBEATS = 3  # one lost Heartbeat is the life of a mobile line, three are none
QUIET_MIN_S = 900.0  # some chargers keep to no interval they are given
CONNECTS = 5  # so often ...
CONNECTS_WITHIN_S = 600.0  # ... within that long is flapping

_UNSTEERED = {
    Control.REFUSES: "charger_refuses_limits",
    Control.DISOBEYS: "charger_disobeys",
    Control.SILENT: "charger_silent_to_limits",
}


class _Heard:
    """What a charger did, as the looks found it."""

    __slots__ = ("connected_mono", "connects", "spoke_at", "spoke_wall")

    def __init__(self) -> None:
        self.connected_mono = 0.0
        self.connects: deque[float] = deque(maxlen=CONNECTS)  # mono
        self.spoke_wall = -1.0
        self.spoke_at = 0.0  # mono

    def look(self, session: Session, now: Instant) -> None:
        spoke_wall = session.charger.state.last_seen_wall
        if spoke_wall != self.spoke_wall:
            self.spoke_wall, self.spoke_at = spoke_wall, now.mono
        if session.charger_leg is not None and session.connected_mono != self.connected_mono:
            self.connected_mono = session.connected_mono
            self.connects.append(now.mono)

    def flaps(self, now: Instant) -> bool:
        return len(self.connects) == CONNECTS and now.mono - self.connects[0] <= CONNECTS_WITHIN_S


class ChargerEyes:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._heard: dict[str, _Heard] = {}

    def look(self, now: Instant) -> Iterator[Condition]:
        has_cloud = any(session.cloud_leg is not None for session in self._gateway.sessions.values())
        for identity, session in self._gateway.sessions.items():
            heard = self._heard.get(identity)
            if heard is None:
                heard = self._heard[identity] = _Heard()
            heard.look(session, now)
            if session.charger_leg is None:
                yield from self._gone(session)
            else:
                yield from _here(session, heard, now, has_cloud=has_cloud)
            yield from _flaps(session, heard, now)
            if self._gateway.expects(identity):
                yield from unsteered(session.charger.state)

    def _gone(self, session: Session) -> Iterator[Condition]:
        state = session.charger.state
        was_here = state.profile != Profile() or state.last_seen_wall
        if was_here and self._gateway.expects(session.identity):
            text = f"{session.identity} is not connected{_heard_last(state)}"
            yield Condition(code="charger_silent", target=session.identity, text=text)


def _heard_last(state: ChargerState) -> str:
    if not state.last_seen_wall:
        return ""  # not since edgegw started
    day, _, time = format_timestamp(state.last_seen_wall).partition("T")
    return f"; it was heard last on {day} at {time[:5]}Z"


def _here(session: Session, heard: _Heard, now: Instant, *, has_cloud: bool) -> Iterator[Condition]:
    identity, state = session.identity, session.charger.state
    quiet_s = _quiet_s(state)
    if now.mono - heard.spoke_at > quiet_s:
        text = f"{identity} is connected and has sent nothing for more than {quiet_s / 60:.0f} min"
        yield Condition(code="charger_quiet", target=identity, text=text)
    if state.cloud_up and state.profile.registration in (Registration.PENDING, Registration.REJECTED):
        text = f"the cloud has {identity} {state.profile.registration.value}"
        yield Condition(code="charger_not_accepted", target=identity, text=text)
    if has_cloud and session.wants_cloud:
        why = f": {session.cloud_error}" if session.cloud_error else ""
        text = f"{identity} has no connection to the cloud, others have{why}"
        yield Condition(code="charger_without_cloud", target=identity, text=text)


def _quiet_s(state: ChargerState) -> float:
    interval_s = state.profile.interval_s or state.site.policy.heartbeat_interval_s
    return max(QUIET_MIN_S, QUIET_HEARTBEATS * float(interval_s))


def _flaps(session: Session, heard: _Heard, now: Instant) -> Iterator[Condition]:
    state = session.charger.state
    looping = state.boots_in_a_row >= BOOT_LOOP_BOOTS and now.mono - state.boot_seen_at < BOOT_LOOP_GAP_S
    if looping:
        text = f"{session.identity} boots again and again, less than {BOOT_LOOP_GAP_S:.0f} s apart"
    elif heard.flaps(now):
        minutes = CONNECTS_WITHIN_S / 60
        text = f"{session.identity} has connected {CONNECTS} times or more within {minutes:.0f} min"
    else:
        return
    yield Condition(code="charger_flapping", target=session.identity, text=text)


def unsteered(state: ChargerState) -> Iterator[Condition]:
    for number, connector in state.power.connectors.items():
        code = _UNSTEERED.get(connector.control)
        if code is not None:
            place = f"{state.identity}/{number}"
            yield Condition(code=code, target=place, text=_why(place, connector))


def _why(place: str, connector: ConnectorPower) -> str:
    why = f": {connector.fault}" if connector.fault else ""
    return f"{place} cannot be steered{why}"
