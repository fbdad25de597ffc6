"""What a command of the building is as a CALL of OCPP 1.6, 2.0.1 and 2.1, and what the answer means.

Rules of this file: pure; the table at its end is the whole of it, and the tests hold every row against the
schemas of every version. A connector of the tree of topics is a connectorId of 1.6 and an EVSE of 2.x.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from edgegw.errors import EdgegwError
from edgegw.mqtt import requests
from edgegw.mqtt.requests import Request
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
    """What the request alone does not say."""

    session: str = ""  # the transaction to stop, as the charger calls it
    remote_start_id: int = 0


def call_of(request: Request, version: Version, facts: Facts) -> Ocpp:
    """Raises NotPossible, and KeyError for a request that is no CALL."""
    return _TABLE[type(request)](request, version, facts)


def _availability(asked: requests.Availability, version: Version, facts: Facts) -> Ocpp:
    word = "Operative" if asked.operative else "Inoperative"
    if not version.is_2x:
        return Ocpp("ChangeAvailability", {"connectorId": asked.connector, "type": word})
    where = {"evse": {"id": asked.connector}} if asked.connector else {}
    return Ocpp("ChangeAvailability", {"operationalStatus": word, **where})


def _reset(asked: requests.Reset, version: Version, facts: Facts) -> Ocpp:
    if version.is_2x:
        return Ocpp("Reset", {"type": "OnIdle" if asked.type == "soft" else "Immediate"})
    return Ocpp("Reset", {"type": "Soft" if asked.type == "soft" else "Hard"})


def _unlock(asked: requests.Unlock, version: Version, facts: Facts) -> Ocpp:
    if version.is_2x:
        return Ocpp("UnlockConnector", {"evseId": asked.connector, "connectorId": ONLY_CONNECTOR})
    return Ocpp("UnlockConnector", {"connectorId": asked.connector})


def _start(asked: requests.Start, version: Version, facts: Facts) -> Ocpp:
    longest = TOKEN_CHARACTERS_MAX[version]
    if len(asked.id_token) > longest:
        raise NotPossible(f"id_token: {version.value} allows {longest} characters")
    if not version.is_2x:
        return Ocpp("RemoteStartTransaction", {"connectorId": asked.connector, "idTag": asked.id_token})
    return Ocpp(
        "RequestStartTransaction",
        {
            "evseId": asked.connector,
            "remoteStartId": facts.remote_start_id,
            "idToken": {"idToken": asked.id_token, "type": asked.id_token_type},
        },
    )


def _stop(asked: requests.Stop, version: Version, facts: Facts) -> Ocpp:
    if version.is_2x:
        return Ocpp("RequestStopTransaction", {"transactionId": facts.session})
    try:
        number = int(facts.session)
    except ValueError:
        raise NotPossible("session: an OCPP 1.6 charger calls its transactions by numbers") from None
    return Ocpp("RemoteStopTransaction", {"transactionId": number})


def _trigger(asked: requests.Trigger, version: Version, facts: Facts) -> Ocpp:
    if version.is_2x:
        return _trigger_2x(asked)
    if asked.message == "TransactionEvent":
        raise NotPossible("message: OCPP 1.6 has no TransactionEvent")
    where = {"connectorId": asked.connector} if asked.connector is not None else {}
    # OCPP 1.6 security white paper, A: the plain one does not know the log
    action = "ExtendedTriggerMessage" if asked.message == "LogStatusNotification" else "TriggerMessage"
    return Ocpp(action, {"requestedMessage": asked.message, **where})


def _trigger_2x(asked: requests.Trigger) -> Ocpp:
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


_TABLE: Mapping[type[Request], Callable[[Any, Version, Facts], Ocpp]] = {
    requests.Availability: _availability,
    requests.Reset: _reset,
    requests.Unlock: _unlock,
    requests.Start: _start,
    requests.Stop: _stop,
    requests.Trigger: _trigger,
}


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
