"""Frames that no peer should send, and endless variations of them (faults 14 to 30 and 33 to 39).

Rules of this file:
- Everything comes from a seeded source: a seed and a number give the same frame again.
- `Text` is the content of a WebSocket text message; `Wire` are bytes for the socket below it, with the
  close codes that RFC 6455 and the fault list allow for them.
"""

from __future__ import annotations

import copy
import json
import random
import struct
import uuid
from dataclasses import dataclass

V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"
VERSIONS = (V16, V201, V21)

NASTY: list[object] = [
    None, True, False, 0, -1, 1, 999, 2**31 - 1, 2**31, -(2**31) - 1, 2**63, 2**70, 0.1, -0.0, 1e308, "",
    "0", "1", "-1", "NaN", "Infinity", "1e999", "yesterday", "222222017-10-27T19:10:11Z",
    "1970-01-01T00:00:00Z", "2106-02-07T06:28:16Z", "2026-06-30T23:59:60Z", "2026-01-01T00:00:00+14:00",
    "2026-01-01T00:00:00", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "\x00", "\u202egnp.exe",
    "\x1b[2J\x1b]0;title\x07", "../../etc/passwd", "x" * 5000, "é" * 300, "\U0001f50c", [], {}, [[]], [{}],
    {"a": {"b": {"c": []}}}, [None], ["x"], [1, 2, 3], {"idToken": None}, {"status": 1}, {"": ""},
]  # fmt: skip

NOT_FRAMES: list[bytes] = [
    b"",
    b" ",
    b"null",
    b"42",
    b'"x"',
    b"{}",
    b"[]",
    b"[2]",
    b"[2,",
    b'[2,"a"',
    b"[]]",
    b'[2,"1","Heartbeat",{}]x',
    b'\xef\xbb\xbf[2,"1","Heartbeat",{}]',
    b"[" * 100_000,
    b'[2,"1","Heartbeat",' + b'{"a":' * 5000 + b"1",
    b'[2,"1","Heartbeat",{"n":' + b"9" * 5000 + b"}]",
    b'[2,"1","Heartbeat",{"n":NaN}]',
    b'[2,"1","Heartbeat",{"n":Infinity}]',
    b'[2,"1","Heartbeat",{"n":1e999}]',
    b'[2,"1","Heartbeat",{"n":-0}]',
    b'[2,"1","StartTransaction",{"connectorId":1,"connectorId":2}]',
    b'[2,"1","Heartbeat",{"s":"\\ud800"}]',
    b'[2,"1","Heartbeat",{"s":"\\u0000"}]',
    b'[2,"\\u0000","Heartbeat",{}]',
    b'[0,"1",{}]',
    b'[1,"1",{}]',
    b'[5,"1","GenericError","",{}]',
    b'[6,"1","NotifyPeriodicEventStream",{}]',
    b'[9,"1",{}]',
    b'[-1,"1",{}]',
    b'["2","1","Heartbeat",{}]',
    b'[true,"1","Heartbeat",{}]',
    b'[2.0,"1","Heartbeat",{}]',
    b'[2,1,"Heartbeat",{}]',
    b'[2,null,"Heartbeat",{}]',
    b'[2,{},"Heartbeat",{}]',
    b'[2,"","Heartbeat",{}]',
    b'[2,"' + b"i" * 10_000 + b'","Heartbeat",{}]',
    b'[2,"1","../../../../etc/passwd",{}]',
    b'[2,"1","a\\u0000b",{}]',
    b'[2,"1",["x"],{}]',
    b'[2,"1",7,{}]',
    b'[2,"1","Heartbeat",[]]',
    b'[2,"1","Heartbeat","x"]',
    b'[2,"1","Heartbeat"]',
    b'[2,"1","Heartbeat",{},{}]',
    b'[3,"nobody",{}]',
    b'[3,"nobody"]',
    b'[3,"nobody",7]',
    b'[4,"nobody","X","",{}]',
    b'[4,"nobody"]',
    b'[4,"nobody",1,2,3]',
    b"[3,null,{}]",
    b'[4,[],"GenericError","",{}]',
]

_NOW = "2026-06-01T12:00:00Z"
_METER = [{"timestamp": _NOW, "sampledValue": [{"value": "1500", "unit": "Wh"}]}]
_TOKEN = {"idToken": "TAG01", "type": "Central"}
CALLS_16: dict[str, dict[str, object]] = {
    "Authorize": {"idTag": "TAG01"},
    "BootNotification": {"chargePointVendor": "V", "chargePointModel": "M"},
    "StartTransaction": {"connectorId": 1, "idTag": "TAG01", "meterStart": 1000, "timestamp": _NOW},
    "StopTransaction": {
        "transactionId": 7, "meterStop": 2000, "timestamp": _NOW, "idTag": "TAG01", "transactionData": _METER
    },
    "MeterValues": {"connectorId": 1, "transactionId": 7, "meterValue": _METER},
    "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
    "DataTransfer": {"vendorId": "v", "data": "d"},
    "FirmwareStatusNotification": {"status": "Idle"},
    "DiagnosticsStatusNotification": {"status": "Idle"},
    "SecurityEventNotification": {"type": "x", "timestamp": _NOW},
    "Heartbeat": {},
}  # fmt: skip
CALLS_2X: dict[str, dict[str, object]] = {
    "Authorize": {"idToken": _TOKEN},
    "BootNotification": {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}},
    "TransactionEvent": {
        "eventType": "Started", "timestamp": _NOW, "triggerReason": "CablePluggedIn", "seqNo": 0,
        "transactionInfo": {"transactionId": "t1"}, "idToken": _TOKEN, "evse": {"id": 1, "connectorId": 1},
        "meterValue": [{"timestamp": _NOW, "sampledValue": [{"value": 1500.5}]}],
    },
    "StatusNotification": {"timestamp": _NOW, "connectorStatus": "Available", "evseId": 1, "connectorId": 1},
    "MeterValues": {"evseId": 1, "meterValue": [{"timestamp": _NOW, "sampledValue": [{"value": 1}]}]},
    "NotifyEvent": {"generatedAt": _NOW, "seqNo": 0, "eventData": []},
    "SecurityEventNotification": {"type": "x", "timestamp": _NOW},
    "DataTransfer": {"vendorId": "v"},
    "NotifyReport": {"requestId": 1, "generatedAt": _NOW, "seqNo": 0},
    "Heartbeat": {},
}  # fmt: skip
FROM_CLOUD_16: dict[str, dict[str, object]] = {
    "ChangeConfiguration": {"key": "AuthorizationKey", "value": "0123456789abcdef"},
    "SendLocalList": {
        "listVersion": 3, "updateType": "Full",
        "localAuthorizationList": [{"idTag": "TAG01", "idTagInfo": {"status": "Accepted"}}],
    },
    "RemoteStartTransaction": {"connectorId": 1, "idTag": "TAG01"},
    "RemoteStopTransaction": {"transactionId": 7},
    "SetChargingProfile": {"connectorId": 1, "csChargingProfiles": {"transactionId": 7, "stackLevel": 0}},
    "GetConfiguration": {"key": ["x"]},
    "ClearCache": {},
    "Reset": {"type": "Soft"},
    "TriggerMessage": {"requestedMessage": "Heartbeat"},
    "GetLocalListVersion": {},
    "DataTransfer": {"vendorId": "v"},
}  # fmt: skip
FROM_CLOUD_2X: dict[str, dict[str, object]] = {
    "SetVariables": {
        "setVariableData": [
            {
                "attributeValue": "0123456789abcdef", "component": {"name": "SecurityCtrlr"},
                "variable": {"name": "BasicAuthPassword"},
            }
        ]
    },
    "SetNetworkProfile": {"configurationSlot": 1, "connectionData": {"ocppCsmsUrl": "wss://x.example/y"}},
    "SendLocalList": {
        "versionNumber": 3, "updateType": "Full",
        "localAuthorizationList": [{"idToken": _TOKEN, "idTokenInfo": {"status": "Accepted"}}],
    },
    "RequestStartTransaction": {"idToken": _TOKEN, "remoteStartId": 1},
    "RequestStopTransaction": {"transactionId": "t1"},
    "GetTransactionStatus": {"transactionId": "t1"},
    "GetVariables": {"getVariableData": []},
    "Reset": {"type": "OnIdle"},
    "ClearCache": {},
    "DataTransfer": {"vendorId": "v"},
}  # fmt: skip


class Fuzzer:
    """`text()` is the next message for one side of a session of one version."""

    def __init__(self, seed: int, version: str, *, from_cloud: bool = False) -> None:
        self._rng = random.Random(f"{seed} {version} {from_cloud}")
        pools = (FROM_CLOUD_16, FROM_CLOUD_2X) if from_cloud else (CALLS_16, CALLS_2X)
        self._calls = pools[version != V16]
        self._ids = ["1", "2", "same"]

    def text(self) -> bytes:
        """One message; about one in six is no OCPP-J frame at all."""
        lot = self._rng.random()
        if lot < 0.08:
            return self._rng.choice(NOT_FRAMES)
        if lot < 0.16:
            return self._bitten(self._rng.choice([*NOT_FRAMES, self._call()]))
        if lot < 0.24:
            return self._answer()
        return self._call()

    def _id(self) -> str:
        return (
            self._rng.choice(self._ids)
            if self._rng.random() < 0.1
            else str(uuid.UUID(int=self._rng.getrandbits(128)))
        )

    def _call(self) -> bytes:
        action = self._rng.choice(list(self._calls))
        payload = json.loads(json.dumps(self._calls[action]))
        for _ in range(self._rng.choice((0, 1, 1, 2, 4))):
            payload = self._spoiled(payload)
        return _dumps([2, self._id(), action, payload])

    def _answer(self) -> bytes:
        if self._rng.random() < 0.5:
            return _dumps([3, self._id(), self._spoiled({"status": "Accepted"})])
        return _dumps([4, self._id(), "GenericError", self._nasty(), self._nasty()])

    def _nasty(self) -> object:
        return copy.deepcopy(self._rng.choice(NASTY))  # it may be spoiled further

    def _spoiled(self, value: object) -> object:
        """One place of `value`, anywhere in it, is replaced, removed or added."""
        if isinstance(value, dict) and value and self._rng.random() < 0.9:
            key = self._rng.choice(list(value))
            lot = self._rng.random()
            if lot < 0.1:
                del value[key]
            elif lot < 0.2:
                value["extra"] = self._nasty()
            else:
                value[key] = self._spoiled(value[key])
            return value
        if isinstance(value, list) and value and self._rng.random() < 0.8:
            value[self._rng.randrange(len(value))] = self._spoiled(value[0])
            return value
        return self._nasty()

    def _bitten(self, raw: bytes) -> bytes:
        """A few bytes changed; still UTF-8, for what is not ends the connection."""
        data = bytearray(raw[:4000])
        for _ in range(self._rng.randint(1, 4)):
            if data:
                data[self._rng.randrange(len(data))] = self._rng.randrange(0x20, 0x7F)
        return bytes(data).decode("utf-8", "ignore").encode()


def _dumps(frame: list[object]) -> bytes:
    return json.dumps(frame).encode()


@dataclass(frozen=True)
class Wire:
    """Bytes on the socket of a session (faults 14 to 17), and how it may end. (): it lives on."""

    name: str
    data: bytes
    codes: tuple[int, ...]


def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """RFC 6455 5.2; the mask of zeros is as good as any for a test."""
    head = bytes(((0x80 if fin else 0) | rsv << 4 | opcode,))
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes((bit | len(payload),))
    elif len(payload) < 65536:
        head += bytes((bit | 126,)) + struct.pack(">H", len(payload))
    else:
        head += bytes((bit | 127,)) + struct.pack(">Q", len(payload))
    return head + (bytes(4) if masked else b"") + payload


def wires(max_message_bytes: int, *, masked: bool = True) -> list[Wire]:
    """`masked`: as a client sends, which is what a gateway's charger side reads."""

    def make(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, mask: bool = masked) -> bytes:
        return frame(opcode, payload, fin=fin, masked=mask, rsv=rsv)

    heartbeat = b'[2,"w","Heartbeat",{}]'
    return [
        Wire("fault 14: binary", make(2, heartbeat), (1003,)),
        Wire("fault 15: not UTF-8", make(1, b'[2,"\xff","Heartbeat",{}]'), (1007,)),
        Wire("fault 15: continuation of nothing", make(0, b"x"), (1002,)),
        Wire("fault 15: one byte per fragment", _in_pieces(make, heartbeat), ()),
        Wire("fault 15: ping flood", make(9, b"p") * 2000, ()),
        Wire("fault 15: pongs that nobody asked for", make(10, b"p") * 2000, ()),
        Wire("fault 15: ping of 126 bytes", make(9, b"p" * 126), (1002,)),
        Wire("fault 16: one byte too long", make(1, b" " * (max_message_bytes + 1)), (1009,)),
        Wire("reserved bit", make(1, heartbeat, rsv=4), (1002,)),
        Wire("reserved opcode", make(3, heartbeat), (1002,)),
        Wire("the wrong side masks", make(1, heartbeat, mask=not masked), (1002,)),
        Wire("close with one byte", make(8, b"x"), (1002,)),
        Wire("close with code 1005", make(8, b"\x03\xed"), (1002,)),
    ]


def _in_pieces(make, text: bytes) -> bytes:  # type: ignore[no-untyped-def]
    pieces = [make(1, text[:1], fin=False)]
    pieces += [make(0, text[i : i + 1], fin=False) for i in range(1, len(text) - 1)]
    return b"".join([*pieces, make(0, text[-1:])])
