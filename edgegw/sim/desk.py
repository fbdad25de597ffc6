"""What the simulated cloud says: payload in, payload out, for every CALL a charger may send.

Rules of this file:
- No I/O and no connection: the same desk answers for `SimCloud` and for `OcppCloud`.
- 1.6 transaction ids come from one sequence over all chargers. With `deduplicate` the same message id
  of the same charger gets the same id again; without it the cloud is naive and starts another one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from edgegw.errors import EdgegwError

V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"
VERSIONS = (V21, V201, V16)
Payload = dict[str, Any]


class CallRefused(EdgegwError):
    """A CALL that is answered with, or was answered with, CALLERROR."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code
        self.description = description


def subprotocol_of(version: str) -> str:
    """ "1.6" or "ocpp1.6" -> "ocpp1.6". Raises ValueError."""
    name = version if version.startswith("ocpp") else f"ocpp{version}"
    if name not in VERSIONS:
        raise ValueError(f"unknown OCPP version {version!r}; known: {', '.join(VERSIONS)}")
    return name


def timestamp(when: datetime | None = None) -> str:
    """RFC 3339 in UTC with milliseconds."""
    when = when or datetime.now(UTC)
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


@dataclass(slots=True)
class Registration:
    status: str = "Accepted"
    interval: int = 300


@dataclass
class Desk:
    """State of the cloud's business. `tags`: status by idTag; others get `unknown_tag`."""

    tags: dict[str, str] = field(default_factory=dict)
    unknown_tag: str = "Accepted"
    first_transaction_id: int = 1
    deduplicate: bool = True
    registration: Registration = field(default_factory=Registration)
    registrations: dict[str, Registration] = field(default_factory=dict)
    booted: dict[str, Payload] = field(default_factory=dict)
    statuses: dict[tuple[str, int, int], str] = field(default_factory=dict)
    clock: Callable[[], str] = timestamp

    def __post_init__(self) -> None:
        self._ids = itertools.count(self.first_transaction_id)
        self._given: dict[tuple[str, str], tuple[str, int]] = {}

    def assign_from(self, first: int) -> None:
        """Next 1.6 transaction id."""
        self._ids = itertools.count(first)

    def answer(self, identity: str, version: str, action: str, payload: Payload, message_id: str) -> Payload:
        """The CALLRESULT payload. Raises CallRefused, KeyError, TypeError on payloads without sense."""
        if action == "BootNotification":
            return self._boot(identity, payload)
        if action == "StatusNotification":
            place = (identity, payload.get("evseId", 0), payload["connectorId"])
            self.statuses[place] = payload.get("status") or payload["connectorStatus"]
            return {}
        if version == V16:
            return self._answer_16(identity, action, payload, message_id)
        return self._answer_2x(action, payload)

    def _boot(self, identity: str, payload: Payload) -> Payload:
        self.booted[identity] = payload
        registration = self.registrations.get(identity, self.registration)
        return {
            "status": registration.status,
            "currentTime": self.clock(),
            "interval": registration.interval,
        }

    def _answer_16(self, identity: str, action: str, payload: Payload, message_id: str) -> Payload:
        if action == "StartTransaction":
            transaction_id = self._transaction_id(identity, message_id, repr(payload))
            return {"transactionId": transaction_id, "idTagInfo": self._tag_info(payload["idTag"])}
        if action == "Authorize":
            return {"idTagInfo": self._tag_info(payload["idTag"])}
        if action == "StopTransaction":
            return {"idTagInfo": self._tag_info(payload["idTag"])} if "idTag" in payload else {}
        return self._plain(action, _PLAIN_16)

    def _answer_2x(self, action: str, payload: Payload) -> Payload:
        if action == "Authorize":
            return {"idTokenInfo": self._tag_info(payload["idToken"]["idToken"])}
        if action == "TransactionEvent":
            # E01.FR.12: idTokenInfo if, and only if, the event names a token.
            token = payload.get("idToken")
            return {"idTokenInfo": self._tag_info(token["idToken"])} if token else {}
        return self._plain(action, _PLAIN_2X)

    def _plain(self, action: str, table: dict[str, Payload]) -> Payload:
        if action == "Heartbeat":
            return {"currentTime": self.clock()}
        if action not in table:
            raise CallRefused("NotImplemented", action)
        return dict(table[action])

    def _tag_info(self, tag: str) -> Payload:
        return {"status": self.tags.get(tag, self.unknown_tag)}

    def _transaction_id(self, identity: str, message_id: str, content: str) -> int:
        known = self._given.get((identity, message_id))
        if self.deduplicate and known is not None and known[0] == content:
            return known[1]
        assigned = next(self._ids)
        self._given[identity, message_id] = (content, assigned)
        return assigned

    def remember(self, identity: str, message_id: str, payload: Payload, assigned: int) -> None:
        """A StartTransaction that was answered in an earlier life."""
        self._given[identity, message_id] = (repr(payload), assigned)


_EMPTY_16 = (
    "MeterValues",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "LogStatusNotification",
    "SecurityEventNotification",
    "SignedFirmwareStatusNotification",
)
_PLAIN_16: dict[str, Payload] = {
    "DataTransfer": {"status": "Accepted"},
    "SignCertificate": {"status": "Accepted"},
    **{action: {} for action in _EMPTY_16},
}
_EMPTY_2X = (
    "ClearedChargingLimit",
    "FirmwareStatusNotification",
    "LogStatusNotification",
    "MeterValues",
    "NotifyChargingLimit",
    "NotifyCustomerInformation",
    "NotifyDisplayMessages",
    "NotifyEvent",
    "NotifyMonitoringReport",
    "NotifyReport",
    "NotifySettlement",
    "PublishFirmwareStatusNotification",
    "ReportChargingProfiles",
    "ReservationStatusUpdate",
    "SecurityEventNotification",
)
_PLAIN_2X: dict[str, Payload] = {
    "DataTransfer": {"status": "Accepted"},
    "SignCertificate": {"status": "Accepted"},
    "Get15118EVCertificate": {"status": "Failed", "exiResponse": ""},
    "GetCertificateStatus": {"status": "Failed"},
    "NotifyEVChargingNeeds": {"status": "Rejected"},
    "NotifyEVChargingSchedule": {"status": "Accepted"},
    "OpenPeriodicEventStream": {"status": "Rejected"},
    "PullDynamicScheduleUpdate": {"status": "Rejected"},
    **{action: {} for action in _EMPTY_2X},
}


def actions(version: str) -> set[str]:
    """Everything a charger of this version may ask the desk."""
    common = {"BootNotification", "Heartbeat", "StatusNotification", "Authorize"}
    if version == V16:
        return common | {"StartTransaction", "StopTransaction"} | set(_PLAIN_16)
    return common | {"TransactionEvent"} | set(_PLAIN_2X)


def transaction_of(action: str, payload: Payload) -> str:
    """Transaction id a message names, as text; "" when none."""
    info = payload.get("transactionInfo")
    if isinstance(info, dict):
        return str(info.get("transactionId", ""))
    found = payload.get("transactionId")
    if found is None and action == "SetChargingProfile":
        profile = payload.get("csChargingProfiles") or payload.get("chargingProfile") or {}
        found = profile.get("transactionId") if isinstance(profile, dict) else None
    return "" if found is None else str(found)


def energy_of(action: str, payload: Payload) -> float | None:
    """Last Energy.Active.Import.Register in a transaction message, Wh; None when there is none."""
    for key in ("meterStop", "meterStart"):
        if key in payload:
            return float(payload[key])
    for value in reversed(payload.get("meterValue") or []):
        for sample in reversed(value.get("sampledValue") or []):
            if sample.get("measurand", _REGISTER) == _REGISTER and sample.get("format") != "SignedData":
                return _in_wh(sample)
    return None


_REGISTER = "Energy.Active.Import.Register"  # also the default measurand, 1.6 7.31 and 2.x SampledValue


def _in_wh(sample: Payload) -> float:
    unit = sample.get("unitOfMeasure") or {}
    name = unit.get("unit") or sample.get("unit") or "Wh"
    factor = 1000 if name == "kWh" else 1
    return round(float(sample["value"]) * factor * float(10 ** unit.get("multiplier", 0)), 3)
