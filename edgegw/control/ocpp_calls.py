"""What an action is as a CALL of OCPP 1.6, 2.0.1 and 2.1, and what the answer means.

Rules of this file: pure; the tables at its end are the whole of it, and the tests hold every row against the
schemas of every version. A connector is a connectorId of 1.6 and an EVSE of 2.x.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from edgegw.control import detail_models as models
from edgegw.errors import EdgegwError
from edgegw.redaction import plain
from edgegw.wire.versions import Version

# Of all the answers to these CALLs; every other word is a no.
DONE = frozenset({"Accepted", "Scheduled", "Unlocked"})
# The longest that the schemas allow.
TOKEN_CHARACTERS_MAX: Mapping[Version, int] = {Version.V16: 20, Version.V201: 36, Version.V21: 255}
ONLY_CONNECTOR = 1  # of an EVSE: two sockets behind one are rare, and only one of them is in use
WORD_SHOWN_MAX = 50


class NotPossible(EdgegwError):
    """The charger's version of OCPP has no such thing. In words."""


class Ocpp(NamedTuple):
    action: str
    payload: dict[str, Any]


class Facts(NamedTuple):
    """What the order alone does not say."""

    session: str = ""  # the transaction to stop, as the charger calls it
    remote_start_id: int = 0


def call_of(order: models.Order, version: Version, facts: Facts) -> Ocpp:
    """Raises NotPossible, and KeyError for an order that is no CALL."""
    return _TABLE[type(order)](order, version, facts)


def _availability(asked: models.Availability, version: Version, facts: Facts) -> Ocpp:
    word = "Operative" if asked.operative else "Inoperative"
    if not version.is_2x:
        return Ocpp("ChangeAvailability", {"connectorId": asked.connector, "type": word})
    where = {"evse": {"id": asked.connector}} if asked.connector else {}
    return Ocpp("ChangeAvailability", {"operationalStatus": word, **where})


def _reset(asked: models.Reset, version: Version, facts: Facts) -> Ocpp:
    if version.is_2x:
        return Ocpp("Reset", {"type": "OnIdle" if asked.kind == "soft" else "Immediate"})
    return Ocpp("Reset", {"type": "Soft" if asked.kind == "soft" else "Hard"})


def _unlock(asked: models.Unlock, version: Version, facts: Facts) -> Ocpp:
    if version.is_2x:
        return Ocpp("UnlockConnector", {"evseId": asked.connector, "connectorId": ONLY_CONNECTOR})
    return Ocpp("UnlockConnector", {"connectorId": asked.connector})


def _start(asked: models.Start, version: Version, facts: Facts) -> Ocpp:
    longest = TOKEN_CHARACTERS_MAX[version]
    if len(asked.id_tag) > longest:
        raise NotPossible(f"the card id is too long: {version.value} allows {longest} characters")
    if not version.is_2x:
        return Ocpp("RemoteStartTransaction", {"connectorId": asked.connector, "idTag": asked.id_tag})
    return Ocpp(
        "RequestStartTransaction",
        {
            "evseId": asked.connector,
            "remoteStartId": facts.remote_start_id,
            "idToken": {"idToken": asked.id_tag, "type": asked.id_token_type},
        },
    )


def _stop(asked: models.Stop, version: Version, facts: Facts) -> Ocpp:
    if version.is_2x:
        return Ocpp("RequestStopTransaction", {"transactionId": facts.session})
    try:
        number = int(facts.session)
    except ValueError:
        raise NotPossible("an OCPP 1.6 charger calls its transactions by numbers") from None
    return Ocpp("RemoteStopTransaction", {"transactionId": number})


def _trigger(asked: models.Trigger, version: Version, facts: Facts) -> Ocpp:
    if version.is_2x:
        return _trigger_2x(asked)
    if asked.message == "TransactionEvent":
        raise NotPossible("message: OCPP 1.6 has no TransactionEvent")
    where = {"connectorId": asked.connector} if asked.connector is not None else {}
    # OCPP 1.6 security white paper, A: the plain one does not know the log
    action = "ExtendedTriggerMessage" if asked.message == "LogStatusNotification" else "TriggerMessage"
    return Ocpp(action, {"requestedMessage": asked.message, **where})


def _trigger_2x(asked: models.Trigger) -> Ocpp:
    message: str = asked.message
    if message == "DiagnosticsStatusNotification":
        message = "LogStatusNotification"  # what it is called since 2.0
    if asked.connector is None:
        if message == "StatusNotification":
            raise NotPossible("connector: OCPP 2.x tells the status of one connector only")  # F06.FR.12
        return Ocpp("TriggerMessage", {"requestedMessage": message})
    evse = {"id": asked.connector}
    if message == "StatusNotification":
        evse["connectorId"] = ONLY_CONNECTOR
    return Ocpp("TriggerMessage", {"requestedMessage": message, "evse": evse})


_TABLE: Mapping[type[models.Order], Callable[[Any, Version, Facts], Ocpp]] = {
    models.Availability: _availability,
    models.Reset: _reset,
    models.Unlock: _unlock,
    models.Start: _start,
    models.Stop: _stop,
    models.Trigger: _trigger,
}


# --- answers ----------------------------------------------------------------------------------------


def status_of(payload: Mapping[str, Any] | None) -> dict[str, Any]:
    """What of the charger's answer goes to the asker: its word and, of 2.x, why; short and printable."""
    payload = payload or {}
    found = {"status": _word(payload.get("status"))}
    info = payload.get("statusInfo")
    if isinstance(info, dict):
        found["reason"] = _word(info.get("reasonCode"))
        found["info"] = _word(info.get("additionalInfo"))
    return found


def _word(value: object) -> str:
    return plain(value[:WORD_SHOWN_MAX]) if isinstance(value, str) else ""


def meaning_of(action: str, status: str) -> str:
    """In words, what the charger's answer means and what may be done about it."""
    told = _MEANINGS.get((action, status)) or _MEANINGS.get(("", status))
    return told or (f"the charger answered {status}" if status else "the charger answered without a status")


_START = "the charger starts it; the car must be plugged in"
_NO_START = (
    "the charger does not start it: is the connector free and in service, a car there, the card known?"
)
_NO_STOP = "the charger does not know this transaction, or does not stop it from afar"
_MEANINGS: Mapping[tuple[str, str], str] = {
    ("Reset", "Accepted"): "the charger restarts; it is back in a minute or two",
    ("Reset", "Scheduled"): "the charger restarts as soon as nothing charges any more",
    ("Reset", "Rejected"): "the charger does not restart now: try the other kind of reset, or at its switch",
    ("UnlockConnector", "Unlocked"): "the plug is free",
    ("UnlockConnector", "UnlockFailed"): "the lock did not open: look at plug and lock, then try again",
    ("UnlockConnector", "NotSupported"): "this connector has no lock that can be opened from afar",
    ("UnlockConnector", "OngoingAuthorizedTransaction"): "somebody charges there: stop the transaction first",
    ("UnlockConnector", "UnknownConnector"): "the charger has no such connector",
    ("ChangeAvailability", "Accepted"): "done",
    ("ChangeAvailability", "Scheduled"): "it will be so as soon as the transaction there has ended",
    ("ChangeAvailability", "Rejected"): "the charger does not do it: is there such a connector?",
    ("RemoteStartTransaction", "Accepted"): _START,
    ("RequestStartTransaction", "Accepted"): _START,
    ("RemoteStartTransaction", "Rejected"): _NO_START,
    ("RequestStartTransaction", "Rejected"): _NO_START,
    ("RemoteStopTransaction", "Accepted"): "the charger stops it",
    ("RequestStopTransaction", "Accepted"): "the charger stops it",
    ("RemoteStopTransaction", "Rejected"): _NO_STOP,
    ("RequestStopTransaction", "Rejected"): _NO_STOP,
    ("TriggerMessage", "Accepted"): "the message follows",
    ("ExtendedTriggerMessage", "Accepted"): "the message follows",
    ("TriggerMessage", "NotImplemented"): "the charger cannot be asked for this message",
    ("ExtendedTriggerMessage", "NotImplemented"): "the charger cannot be asked for this message",
    ("TriggerMessage", "Rejected"): "the charger does not send it now",
    ("ExtendedTriggerMessage", "Rejected"): "the charger does not send it now",
    ("", "NotImplemented"): "the charger does not know this action",
    ("", "NotSupported"): "the charger does not support this action",
}
