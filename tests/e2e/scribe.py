"""JSON spelt as oddly as it may be, and what chargers and clouds say in it.

Blanks anywhere, members in any order, numbers such as 1.10 and 1E3, escapes where none are needed, signed
meter values, members no schema knows. The same seed gives the same text.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

V16, V201, V21 = VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
CALL, CALLRESULT, CALLERROR, CALLRESULTERROR, SEND = 2, 3, 4, 5, 6


class Spelt(str):
    """A JSON value as it is to be written."""


NUMBERS = [
    Spelt(number)
    for number in (
        "1.10",
        "1E3",
        "-0.0",
        "12345678901234567890",
        "123456789012345678901234567890",
        "9007199254740993",
        "1e-7",
        "0.1e+1",
        "16.10",
        "-0",
        "3.0",
        "7",
        "2147483648",
        "0.30000000000000004",
        "100e-2",
    )
]
STRINGS = [
    "plain",
    "",
    'a/b\\c"d',
    "Zähler №1 €",
    "\U0001f697 car",
    "tab\tand\nline\x7f\u2028",
    Spelt(r'"\ud800 is half a pair"'),
    Spelt(r'"\u0000"'),
    "2026-11-21T04:05:06+14:00",
    "x" * 3000,
]
OCMF = (
    'OCMF|{"FV":"1.0","GI":"edgegw","MV":"Zähler №1","RD":[{"TM":"2026-11-21T04:05:06,000+0100 S","RV":1.10,'
    '"RI":"1-b:1.8.0","RU":"kWh","ST":"G"}]}|{"SA":"ECDSA-secp256r1-SHA256","SD":"3045022100/+=="}'
)


class Scribe:
    """Writes JSON in every way it may be written, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.choice = self._random.choice
        self.chance = lambda p: self._random.random() < p

    def write(self, value: Any) -> str:
        if isinstance(value, Spelt):
            return str(value)
        if isinstance(value, dict):
            members = [
                f"{self.write(k)}{self._blank()}:{self._blank()}{self.write(v)}" for k, v in value.items()
            ]
            self._random.shuffle(members)
            return self._bracket("{", members, "}")
        if isinstance(value, list):
            return self._bracket("[", [self.write(item) for item in value], "]")
        if isinstance(value, str):
            return f'"{"".join(map(self._character, value))}"'
        return json.dumps(value)

    def message(self, frame: list[Any]) -> str:
        return f"{self._blank()}{self.write(frame)}{self._blank()}"

    def odd(self) -> Any:
        """Any value, for where a schema leaves the choice to vendors."""
        kind = self._random.randrange(6)
        if kind == 0:
            return {self.choice(["ü", "a.b", "", "A"]): self.choice(NUMBERS), "z": [None, True, {}, []]}
        if kind == 1:
            return [self.choice(NUMBERS) for _ in range(self._random.randrange(4))]
        return self.choice(NUMBERS if kind < 4 else STRINGS)

    def pieces(self, text: str) -> str | list[str]:
        """Now and then as a fragmented message."""
        if len(text) < 4 or not self.chance(0.1):
            return text
        at = self._random.randrange(1, len(text) - 1)
        return [text[:at], text[at:]]

    def _bracket(self, opening: str, items: list[str], closing: str) -> str:
        between = f"{self._blank()},{self._blank()}"
        return f"{opening}{self._blank()}{between.join(items)}{self._blank()}{closing}"

    def _blank(self) -> str:
        return self.choice(["", "", "", " ", "\n", "\t", "\r\n  "])

    def _character(self, character: str) -> str:
        if character == "/":
            return self.choice(["/", "\\/"])
        if character in '"\\' or character < " ":
            return json.dumps(character)[1:-1]
        if not self.chance(0.03):
            return character
        units = character.encode("utf-16-be")
        pairs = [f"{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2)]
        return "".join(f"\\u{pair}" for pair in pairs)


# --- what is said ---------------------------------------------------------------------------------

Payload = Any
Speech = list[tuple[str, Callable[[Scribe], Payload]]]


def _samples_16(s: Scribe) -> list[Payload]:
    signed = {"value": OCMF, "format": "SignedData", "context": "Transaction.End"}
    plain = {"value": s.choice(["1.10", "1E3", "0", "-0.0"]), "unit": "Wh", "measurand": "Power.Offered"}
    return [{"timestamp": s.choice(STRINGS), "sampledValue": [signed, plain], "vendor": s.odd()}]


def _samples_2x(s: Scribe) -> list[Payload]:
    signed = {
        "signedMeterData": OCMF,
        "signingMethod": "",
        "encodingMethod": "OCMF",
        "publicKey": s.choice(STRINGS),
    }
    return [{"timestamp": "now", "sampledValue": [{"value": s.choice(NUMBERS), "signedMeterValue": signed}]}]


FROM_CHARGER_16: Speech = [
    (
        "MeterValues",
        lambda s: {"connectorId": 1, "transactionId": s.choice(NUMBERS), "meterValue": _samples_16(s)},
    ),
    ("MeterValues", lambda s: {"meterValue": _samples_16(s), "connectorId": s.choice(NUMBERS)}),
    (
        "StartTransaction",
        lambda s: {"idTag": s.choice(STRINGS), "meterStart": s.choice(NUMBERS), "connectorId": 1},
    ),
    ("StopTransaction", lambda s: {"transactionId": s.choice(NUMBERS), "transactionData": _samples_16(s)}),
    (
        "StatusNotification",
        lambda s: {"connectorId": 1, "status": s.choice(STRINGS), "info": s.choice(STRINGS)},
    ),
    ("DataTransfer", lambda s: {"vendorId": "edgegw", "data": s.odd()}),
    (
        "DataTransfer",
        lambda s: {
            "vendorId": "org.openchargealliance.costmsg",
            "messageId": "ConnectorUnplugged",
            "data": '{"transactionId": 1.10e1, "timestamp": "x"}',
        },
    ),
    ("Authorize", lambda s: {"idTag": s.choice(STRINGS)}),
    ("Heartbeat", lambda s: s.choice([{}, None, {"vendor": s.odd()}])),
    ("SecurityEventNotification", lambda s: {"type": s.choice(STRINGS), "techInfo": s.odd()}),
    ("VendorHello-Signed", lambda s: {"payload": s.odd(), "signatures": [s.odd()]}),
]
FROM_CHARGER_2X: Speech = [
    (
        "TransactionEvent",
        lambda s: {
            "eventType": s.choice(["Started", "Updated", "Ended"]),
            "seqNo": s.choice(NUMBERS),
            "offline": False,
            "transactionInfo": {"transactionId": s.choice(STRINGS), "timeSpentCharging": s.choice(NUMBERS)},
            "idToken": {"idToken": s.choice(STRINGS), "type": "Central"},
            "meterValue": _samples_2x(s),
            "customData": {"vendorId": "edgegw", "x": s.odd()},
        },
    ),
    ("MeterValues", lambda s: {"evseId": s.choice(NUMBERS), "meterValue": _samples_2x(s)}),
    ("StatusNotification", lambda s: {"evseId": 1, "connectorId": 1, "connectorStatus": s.choice(STRINGS)}),
    (
        "NotifyEvent",
        lambda s: {"seqNo": s.choice(NUMBERS), "eventData": [{"trigger": "Delta", "x": s.odd()}]},
    ),
    ("DataTransfer", lambda s: {"vendorId": "edgegw", "data": s.odd()}),
    ("Authorize", lambda s: {"idToken": {"idToken": s.choice(STRINGS), "type": "ISO14443"}, "x": s.odd()}),
    ("Heartbeat", lambda s: s.choice([{}, None, {"customData": {"vendorId": "a", "n": s.odd()}}])),
    ("TransactionEvent-Signed", lambda s: {"payload": s.odd(), "signatures": [s.odd()]}),
]
FROM_CLOUD_16: Speech = [
    ("RemoteStopTransaction", lambda s: {"transactionId": s.choice(NUMBERS)}),
    (
        "RemoteStartTransaction",
        lambda s: {"idTag": s.choice(STRINGS), "chargingProfile": {"transactionId": s.odd()}},
    ),
    (
        "SetChargingProfile",
        lambda s: {
            "connectorId": 1,
            "csChargingProfiles": {
                "transactionId": s.choice(NUMBERS),
                "chargingSchedule": {"limit": s.choice(NUMBERS)},
                "x": s.odd(),
            },
        },
    ),
    ("ChangeConfiguration", lambda s: {"key": "HeartbeatInterval", "value": s.choice(STRINGS)}),
    (
        "SendLocalList",
        lambda s: {
            "listVersion": s.choice(NUMBERS),
            "updateType": "Full",
            "localAuthorizationList": [{"idTag": s.choice(STRINGS), "idTagInfo": s.odd()}],
        },
    ),
    ("GetConfiguration", lambda s: s.choice([{}, None, {"key": [s.choice(STRINGS)]}])),
    (
        "DataTransfer",
        lambda s: {
            "vendorId": "org.openchargealliance.costmsg",
            "messageId": "RunningCost",
            "data": '{ "transactionId":7, "cost": 1.10 }',
        },
    ),
    ("ClearCache", lambda s: {}),
    ("VendorCommand", lambda s: {"x": s.odd()}),
]
FROM_CLOUD_2X: Speech = [
    (
        "SetChargingProfile",
        lambda s: {
            "evseId": 1,
            "chargingProfile": {
                "id": s.choice(NUMBERS),
                "chargingSchedule": [{"limit": s.choice(NUMBERS), "limit_L2": s.choice(NUMBERS)}],
            },
        },
    ),
    (
        "SetVariables",
        lambda s: {
            "setVariableData": [
                {
                    "component": {"name": "OCPPCommCtrlr"},
                    "variable": {"name": "X"},
                    "attributeValue": s.choice(STRINGS),
                }
            ]
        },
    ),
    ("RequestStopTransaction", lambda s: {"transactionId": s.choice(STRINGS)}),
    ("GetTransactionStatus", lambda s: {"transactionId": s.choice(STRINGS)}),
    ("CostUpdated", lambda s: {"totalCost": s.choice(NUMBERS), "transactionId": s.choice(STRINGS)}),
    (
        "SendLocalList",
        lambda s: {
            "versionNumber": s.choice(NUMBERS),
            "updateType": "Full",
            "x": s.odd(),
            "localAuthorizationList": [{"idToken": {"idToken": s.choice(STRINGS)}}],
        },
    ),
    ("DataTransfer", lambda s: {"vendorId": "edgegw", "data": s.odd()}),
    ("ClearCache", lambda s: {}),
    ("VendorCommand-Signed", lambda s: {"payload": s.odd(), "signatures": [s.odd()]}),
]


def answer_to(s: Scribe, version: str, action: str) -> list[Any]:
    """All but type and id of an answer: a payload with what is looked at and something odd, or an error."""
    if action == "BootNotification":
        return [CALLRESULT, {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T04:05:06Z"}]
    if s.chance(0.1):
        return [CALLERROR, "GenericError", s.choice(STRINGS), {"odd": s.odd()}]
    info = {"status": s.choice(["Accepted", "Blocked"]), "expiryDate": s.choice(STRINGS)}
    payload: Payload = {"status": "Accepted", "idTagInfo": info, "idTokenInfo": info, "vendor": s.odd()}
    if action == "StartTransaction":
        payload["transactionId"] = s.choice([Spelt("7"), Spelt("-1"), Spelt("0"), Spelt("1E3"), Spelt("7.0")])
    if action == "GetTransactionStatus":
        payload = {"messagesInQueue": False, "ongoingIndicator": s.chance(0.5)}
    return [CALLRESULT, s.choice([payload, payload, payload, {}, None])]


FROM_CHARGER = {V16: FROM_CHARGER_16, V201: FROM_CHARGER_2X, V21: FROM_CHARGER_2X}
FROM_CLOUD = {V16: FROM_CLOUD_16, V201: FROM_CLOUD_2X, V21: FROM_CLOUD_2X}
