"""The `ocpp` package's ChargePoint as charger and as CSMS, with the gateway between them.

The package validates what it reads and what it writes. Each side must hear what the other side said.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.gateway import Gateways
from tests.interop.package import PackageCloud, Payload, package_charger

V16, V201, V21 = VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
NOW = "2026-11-21T04:05:06.070Z"
TOKEN = {"idToken": "04A1B2C3", "type": "ISO14443"}
SIGNED_16 = {"value": "OCMF|{}|{}", "format": "SignedData", "context": "Transaction.End"}
SAMPLE_2X = {
    "value": 1234.5,
    "measurand": "Energy.Active.Import.Register",
    "unitOfMeasure": {"unit": "Wh", "multiplier": 0},
    "signedMeterValue": {
        "signedMeterData": "T0NNRg==",
        "signingMethod": "ECDSA",
        "encodingMethod": "OCMF",
        "publicKey": "MFkw",
    },
}
METER_2X = [{"timestamp": NOW, "sampledValue": [SAMPLE_2X]}]
BOOT = {"status": "Accepted", "currentTime": NOW, "interval": 300}

# what the charger says: action, payload, the answer of the CSMS
Talk = list[tuple[str, dict[str, Any], dict[str, Any]]]


def event(kind: str, number: int, trigger: str, **more: Any) -> dict[str, Any]:
    info = {"transactionId": "tx-1", "chargingState": "Charging"}
    return {
        "eventType": kind,
        "timestamp": NOW,
        "triggerReason": trigger,
        "seqNo": number,
        "transactionInfo": info,
        "meterValue": METER_2X,
        **more,
    }


UP_16: Talk = [
    ("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M", "iccid": "89"}, BOOT),
    ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"}, {}),
    ("Authorize", {"idTag": "TAG"}, {"idTagInfo": {"status": "Accepted", "parentIdTag": "P"}}),
    (
        "StartTransaction",
        {"connectorId": 1, "idTag": "TAG", "meterStart": 10, "timestamp": NOW},
        {"transactionId": 42, "idTagInfo": {"status": "Accepted"}},
    ),
    (
        "MeterValues",
        {
            "connectorId": 1,
            "transactionId": 42,
            "meterValue": [{"timestamp": NOW, "sampledValue": [{"value": "11.10", "unit": "Wh"}, SIGNED_16]}],
        },
        {},
    ),
    (
        "StopTransaction",
        {
            "transactionId": 42,
            "meterStop": 20,
            "timestamp": NOW,
            "reason": "EVDisconnected",
            "transactionData": [{"timestamp": NOW, "sampledValue": [SIGNED_16]}],
        },
        {},
    ),
    (
        "DataTransfer",
        {"vendorId": "edgegw", "messageId": "m", "data": "1.10"},
        {"status": "Accepted", "data": "x"},
    ),
    ("Heartbeat", {}, {"currentTime": NOW}),
]
UP_201: Talk = [
    (
        "BootNotification",
        {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M", "serialNumber": "1"}},
        BOOT,
    ),
    (
        "StatusNotification",
        {"timestamp": NOW, "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1},
        {},
    ),
    ("Authorize", {"idToken": TOKEN}, {"idTokenInfo": {"status": "Accepted", "groupIdToken": TOKEN}}),
    ("MeterValues", {"evseId": 1, "meterValue": METER_2X}, {}),
    (
        "NotifyEvent",
        {
            "generatedAt": NOW,
            "seqNo": 0,
            "tbc": False,  # the package adds it in 2.1
            "eventData": [
                {
                    "eventId": 1,
                    "timestamp": NOW,
                    "trigger": "Delta",
                    "actualValue": "true",
                    "eventNotificationType": "HardWiredNotification",
                    "component": {"name": "Connector", "evse": {"id": 1}},
                    "variable": {"name": "Problem"},
                }
            ],
        },
        {},
    ),
    ("SecurityEventNotification", {"type": "StartupOfTheDevice", "timestamp": NOW}, {}),
    ("DataTransfer", {"vendorId": "edgegw", "data": "1.10"}, {"status": "Accepted"}),
    ("Heartbeat", {}, {"currentTime": NOW}),
]
EVENTS = [
    event("Started", 0, "Authorized", evse={"id": 1, "connectorId": 1}, idToken=TOKEN),
    event("Updated", 1, "MeterValuePeriodic", offline=False, numberOfPhasesUsed=3),
    event("Ended", 2, "StopAuthorized"),
]
# members of 2.1; the package adds offline to every event there
_NEW_IN_21 = {"offline": False, "evseSleep": True, "preconditioningStatus": "Ready"}
EVENTS_21 = [{**payload, **_NEW_IN_21} for payload in EVENTS]

# what the CSMS says, and the charger's answer
VARIABLE = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
PERIOD = {"startPeriod": 0, "limit": 16.5, "numberPhases": 3}
PURPOSE = {"stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Absolute"}
DOWN_16: Talk = [
    ("GetConfiguration", {"key": ["A"]}, {"unknownKey": ["A"]}),
    ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}, {"status": "RebootRequired"}),
    ("RemoteStartTransaction", {"idTag": "TAG", "connectorId": 1}, {"status": "Accepted"}),
    ("RemoteStopTransaction", {"transactionId": 42}, {"status": "Rejected"}),
    (
        "SetChargingProfile",
        {
            "connectorId": 1,
            "csChargingProfiles": {
                "chargingProfileId": 1,
                **PURPOSE,
                "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [PERIOD]},
            },
        },
        {"status": "Accepted"},
    ),
    ("TriggerMessage", {"requestedMessage": "Heartbeat"}, {"status": "Accepted"}),
    ("Reset", {"type": "Soft"}, {"status": "Accepted"}),
]
DOWN_2X: Talk = [
    (
        "GetVariables",
        {"getVariableData": [VARIABLE]},
        {"getVariableResult": [{"attributeStatus": "Accepted", "attributeValue": "60", **VARIABLE}]},
    ),
    (
        "SetVariables",
        {"setVariableData": [{"attributeValue": "60", **VARIABLE}]},
        {"setVariableResult": [{"attributeStatus": "Accepted", **VARIABLE}]},
    ),
    (
        "RequestStartTransaction",
        {"idToken": TOKEN, "remoteStartId": 1, "evseId": 1},
        {"status": "Accepted", "transactionId": "tx-2"},
    ),
    ("RequestStopTransaction", {"transactionId": "tx-1"}, {"status": "Rejected"}),
    (
        "SetChargingProfile",
        {
            "evseId": 1,
            "chargingProfile": {
                "id": 1,
                **PURPOSE,
                "chargingSchedule": [
                    {
                        "id": 1,
                        "chargingRateUnit": "A",
                        "chargingSchedulePeriod": [PERIOD],
                        "startSchedule": NOW,
                    }
                ],
            },
        },
        {"status": "Accepted", "statusInfo": {"reasonCode": "NoError"}},
    ),
    ("TriggerMessage", {"requestedMessage": "Heartbeat"}, {"status": "Accepted"}),
    ("GetTransactionStatus", {}, {"messagesInQueue": False}),
    ("Reset", {"type": "OnIdle"}, {"status": "Accepted"}),
]
UP = {V16: UP_16, V201: UP_201, V21: UP_201}
DOWN = {V16: DOWN_16, V201: DOWN_2X, V21: DOWN_2X}


def answers(talk: Talk) -> dict[str, Payload]:
    return {action: answer for action, _, answer in talk}


@pytest.mark.parametrize("version", VERSIONS)
async def test_both_sides_hear_what_was_said(version: str, gateways: Gateways) -> None:
    says = {name: {**answers(talk), "TransactionEvent": {}} for name, talk in UP.items()}
    async with PackageCloud(says).serving() as cloud:
        gateway = await gateways(cloud.url)
        async with package_charger(gateway.url, "CP-1", version, answers(DOWN[version])) as charger:
            said = []
            for action, payload, answer in UP[version]:
                assert await charger.ask(action, payload) == answer
                said.append((action, payload))
            events = [] if version == V16 else EVENTS if version == V201 else EVENTS_21
            for payload in events:
                assert await charger.ask("TransactionEvent", payload) == {}
                said.append(("TransactionEvent", payload))
            csms = cloud.engines["CP-1"]
            assert csms.heard == said
            for action, payload, answer in DOWN[version]:
                assert await csms.ask(action, payload) == answer
            assert charger.heard == [(action, payload) for action, payload, _ in DOWN[version]]
