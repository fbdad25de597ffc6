"""The routing table: which message goes where while the cloud is up, and what becomes of it while it is away.

Read it as an engineer of the cloud operator would: nothing outside this file decides what is relayed.
An action that is not in the table is relayed untouched while the cloud is up, and answered
`NotImplemented` while it is away.

Sources: OCPP 2.0.1 Part 4 chapter 6 (a local controller relays everything), OCPP 1.6 3.13.4, and for
the answers away from the cloud the clauses named in each row.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

from edgegw.core.records import Lane
from edgegw.wire.versions import Version


class Up(Enum):
    """What happens while the cloud is up."""

    RELAY = "forward the bytes"
    WATCH = "forward the bytes, learn from the answer"
    REWRITE = "forward; a local transaction id becomes the cloud's, and back; learn from the answer"
    AUTHORIZE = "forward, or answer from the lists, as [authorization] mode says"
    OWN = "answered from the box's own store of profiles for a balanced charger; relayed for any other"
    FILES = "with [files]: the address becomes one of the box, which has the file or takes it; else relayed"
    GUARD = "may move the charger to another CSMS: refuse or adopt, as [cloud] moves says"


class Down(Enum):
    """What the charger is told while the cloud is away."""

    BOOT = "Accepted if the cloud accepted it before (OCPP 1.6 4.2.1, 2.x B01)"
    TIME = "the time (OCPP 1.6 4.6, 2.x G02)"
    AUTHORIZE = "from local list, cache, policy (OCPP 1.6 3.5, 2.x C)"
    START = "a local transaction id and idTagInfo (OCPP 1.6 4.8)"
    STOP = "idTagInfo when a tag was given (OCPP 1.6 4.10)"
    EVENT = "idTokenInfo when a token was given, no cost (OCPP 2.x E01.FR.12)"
    FIXED = "the payload in this row"
    VAT = "Rejected, with the number asked about (OCPP 2.1 C)"
    REFUSE = "CALLERROR: only the cloud can answer this"


class Newest(Enum):
    """Of which messages of one kind only the newest is worth delivering late."""

    ALL = "each one counts"
    PER_CONNECTOR = "newest per connector (OCPP 1.6 4.9 rule 3); errors are all kept"
    PER_ACTION = "newest of the action"


class FromCharger(msgspec.Struct, frozen=True, kw_only=True):
    """One row: what a charger sends."""

    up: Up = Up.RELAY
    down: Down = Down.FIXED
    answer: dict[str, Any] = {}
    keep: Lane | None = None  # None: not worth delivering late
    newest: Newest = Newest.ALL


class FromCloud(msgspec.Struct, frozen=True):
    """One row: what the cloud sends."""

    up: Up = Up.RELAY


_TX = Lane.TRANSACTION
_REJECTED = {"status": "Rejected"}

# What chargers send, all versions; where versions differ the name differs.
FROM_CHARGER: dict[str, FromCharger] = {
    "BootNotification": FromCharger(up=Up.WATCH, down=Down.BOOT, keep=Lane.BOOT, newest=Newest.PER_ACTION),
    "Heartbeat": FromCharger(up=Up.WATCH, down=Down.TIME),
    "Authorize": FromCharger(up=Up.AUTHORIZE, down=Down.AUTHORIZE),
    # transactions
    "StartTransaction": FromCharger(up=Up.REWRITE, down=Down.START, keep=_TX),
    "StopTransaction": FromCharger(up=Up.REWRITE, down=Down.STOP, keep=_TX),
    "MeterValues": FromCharger(up=Up.REWRITE, keep=_TX),  # OCPP 1.6 3.7: transaction-related
    "TransactionEvent": FromCharger(up=Up.WATCH, down=Down.EVENT, keep=_TX),
    # state and events
    "StatusNotification": FromCharger(up=Up.WATCH, keep=Lane.STATUS, newest=Newest.PER_CONNECTOR),
    "SecurityEventNotification": FromCharger(keep=Lane.NOTICE),  # 2.x A04.FR.02: guaranteed
    "NotifyEvent": FromCharger(up=Up.WATCH, keep=Lane.NOTICE),
    # every state of an update is told, late or not (2.x L01.FR.01)
    "FirmwareStatusNotification": FromCharger(up=Up.FILES, keep=Lane.NOTICE),
    "SignedFirmwareStatusNotification": FromCharger(up=Up.FILES, keep=Lane.NOTICE),
    "DiagnosticsStatusNotification": FromCharger(up=Up.FILES, keep=Lane.NOTICE, newest=Newest.PER_ACTION),
    "LogStatusNotification": FromCharger(up=Up.FILES, keep=Lane.NOTICE, newest=Newest.PER_ACTION),
    "PublishFirmwareStatusNotification": FromCharger(keep=Lane.NOTICE, newest=Newest.PER_ACTION),
    "ReservationStatusUpdate": FromCharger(keep=Lane.NOTICE),
    "NotifyChargingLimit": FromCharger(keep=Lane.NOTICE, newest=Newest.PER_ACTION),
    "ClearedChargingLimit": FromCharger(keep=Lane.NOTICE),
    "NotifySettlement": FromCharger(keep=Lane.NOTICE),
    "BatterySwap": FromCharger(keep=Lane.NOTICE),
    "NotifyDERAlarm": FromCharger(keep=Lane.NOTICE),
    "NotifyDERStartStop": FromCharger(keep=Lane.NOTICE),
    "NotifyPriorityCharging": FromCharger(),
    "NotifyWebPaymentStarted": FromCharger(),
    # answers to somebody who is gone: thank the charger, keep nothing
    "NotifyReport": FromCharger(),
    "NotifyMonitoringReport": FromCharger(),
    "ReportChargingProfiles": FromCharger(),
    "ReportDERControl": FromCharger(),
    "NotifyCustomerInformation": FromCharger(),
    "NotifyDisplayMessages": FromCharger(),
    "NotifyEVChargingSchedule": FromCharger(answer={"status": "Accepted"}),
    "ClosePeriodicEventStream": FromCharger(),
    "NotifyPeriodicEventStream": FromCharger(down=Down.REFUSE),  # a SEND: nobody answers it; no CALL
    # questions only the cloud can answer; the status the specification gives for "no"
    "DataTransfer": FromCharger(up=Up.REWRITE, answer={"status": "UnknownVendorId"}),
    "SignCertificate": FromCharger(answer=_REJECTED),
    "NotifyEVChargingNeeds": FromCharger(answer=_REJECTED),  # 2.x K15.FR.15
    "OpenPeriodicEventStream": FromCharger(answer=_REJECTED),  # 2.1 N11.FR.07
    "Get15118EVCertificate": FromCharger(answer={"status": "Failed", "exiResponse": ""}),
    "GetCertificateStatus": FromCharger(answer={"status": "Failed"}),
    "VatNumberValidation": FromCharger(down=Down.VAT),
    "GetCertificateChainStatus": FromCharger(down=Down.REFUSE),
    # an answer would stop the schedule's own expiry, which is the safe way out (2.1 K28)
    "PullDynamicScheduleUpdate": FromCharger(down=Down.REFUSE),
}

# What the cloud sends, where it is more than bytes to forward.
FROM_CLOUD: dict[str, FromCloud] = {
    "RemoteStopTransaction": FromCloud(Up.REWRITE),
    # charging limits: the lower of cloud and site holds, and the cloud is told what it has set
    "SetChargingProfile": FromCloud(Up.OWN),
    "ClearChargingProfile": FromCloud(Up.OWN),
    "GetCompositeSchedule": FromCloud(Up.OWN),
    "GetChargingProfiles": FromCloud(Up.OWN),
    "UpdateDynamicSchedule": FromCloud(Up.OWN),
    "UsePriorityCharging": FromCloud(Up.OWN),
    "RemoteStartTransaction": FromCloud(Up.OWN),  # without its profile, which is kept here
    "RequestStartTransaction": FromCloud(Up.OWN),
    # firmware and logs: the address only, never a signed message
    "UpdateFirmware": FromCloud(Up.FILES),
    "SignedUpdateFirmware": FromCloud(Up.FILES),
    "GetDiagnostics": FromCloud(Up.FILES),
    "GetLog": FromCloud(Up.FILES),
    "DataTransfer": FromCloud(Up.REWRITE),
    "GetTransactionStatus": FromCloud(Up.REWRITE),  # messagesInQueue also counts our queue (2.x E14)
    "SendLocalList": FromCloud(Up.WATCH),
    "ClearCache": FromCloud(Up.WATCH),
    "ChangeConfiguration": FromCloud(Up.GUARD),
    "SetVariables": FromCloud(Up.GUARD),
    "SetNetworkProfile": FromCloud(Up.GUARD),
}

_RELAYED_FROM_CHARGER = FromCharger(down=Down.REFUSE)
_RELAYED_FROM_CLOUD = FromCloud()
# 2.x: MeterValues are those outside a transaction; a bounded share of notices, not billing (2.x J01).
_METER_VALUES_2X = FromCharger(keep=Lane.NOTICE)


def from_charger(version: Version, action: str) -> FromCharger:
    """The row for a CALL or SEND of a charger."""
    if action == "MeterValues" and version is not Version.V16:
        return _METER_VALUES_2X
    return FROM_CHARGER.get(action, _RELAYED_FROM_CHARGER)


def from_cloud(action: str) -> FromCloud:
    """The row for a CALL or SEND of the cloud or of the local API."""
    return FROM_CLOUD.get(action, _RELAYED_FROM_CLOUD)
