"""What is the matter with a charger, in one line for whoever stands in front of it.

Rules of this file: the most urgent thing first, words a technician uses, nothing that needs a manual.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgegw.balance.model import Binding
from edgegw.control.power_words import connector_words
from edgegw.core import plugs
from edgegw.core.power import Control
from edgegw.core.state import ChargerState, Profile, Registration
from edgegw.runtime.session import Session
from edgegw.wording import number


def verdict(session: Session) -> str:
    """One line, such as "charging: 1 transaction; 3 messages wait for the cloud"."""
    return "; ".join(_findings(session))


def _findings(session: Session) -> Iterator[str]:
    state = session.charger.state
    yield from _faults(state)
    yield _connection(session, state)
    yield from _power(state)
    yield from _away(session, state)
    if state.outbox.parked:
        yield f"{number(state.outbox.parked, 'message')} refused by the cloud and parked"
    if len(state.outbox):
        yield f"{number(len(state.outbox), 'message')} for the cloud still here"
    if session.bad_frames:
        yield f"its last {number(session.bad_frames, 'message')} could not be read as OCPP"


def _faults(state: ChargerState) -> Iterator[str]:
    for name, connector in sorted(state.connectors.items()):
        error = connector.error_code if connector.error_code not in ("", "NoError") else ""
        if connector.status == "Faulted" or error:
            yield f"connector {name} reports {error or connector.status}" + (
                f" ({connector.info})" if connector.info else ""
            )


def _power(state: ChargerState) -> Iterator[str]:
    """Of a connector with a car, or that is not steered: why it has its limit; of one away: what is kept."""
    for plug, connector in sorted(state.power.connectors.items()):
        is_used = plugs.running_on(state, plug) is not None
        is_held = not state.charger_up and connector.binding is Binding.UNSTEERED
        if is_used or is_held or connector.control not in (Control.STEERED, Control.UNKNOWN):
            yield connector_words(plug, connector)


def _connection(session: Session, state: ChargerState) -> str:
    if session.charger_leg is None:
        if state.profile == Profile() and not state.last_seen_wall:
            return "has never connected"
        return "not connected" if state.last_seen_wall else "not connected since edgegw started"
    running = len(state.transactions.running)
    doing = f"charging: {number(running, 'transaction')}" if running else "connected, nothing charging"
    if state.site.policy.standalone:
        return doing
    if session.cloud_leg is None:
        if state.profile.registration is Registration.NEVER and not running:
            return f"new here: waits for the cloud to accept it, cloud away{_why(session)}"
        return doing
    if state.profile.registration in (Registration.PENDING, Registration.REJECTED):
        return f"the cloud has it {state.profile.registration}: it may not charge yet"
    if state.profile.registration is Registration.NEVER:
        return "connected to the cloud, has not booted yet"
    return doing


def _away(session: Session, state: ChargerState) -> Iterator[str]:
    """It is served here. Behind what it charges with: cars charge on, and the site says it as well."""
    if session.charger_leg is None or session.cloud_leg is not None or state.site.policy.standalone:
        return
    if state.profile.registration is not Registration.NEVER or state.transactions.running:
        yield f"served here, cloud away{_why(session)}"


def _why(session: Session) -> str:
    return f" ({session.cloud_error})" if session.cloud_error else ""
