"""How a simulated charger puts its messages: payloads per version, and JSON the way chargers write it.

Odd on purpose: spaces, member order, numbers such as 1.10, signed data that contains what a careless
gateway would take for a transaction id. Shares no line with the gateway.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.simulation.ledger import Charging, Message
from tests.simulation.script import V16, Habits

_EPOCH = datetime(2026, 9, 21, tzinfo=UTC)
_SIGNED = 'OCMF|{"FV":"1.0","transactionId": 1073741825,"RD":[{"RV":0.10}]}|{"SD":"30\\u0041"}'
DEAR = "@1.10@"  # becomes the number 1.10, which no JSON writer would keep


def time_text(now_s: float) -> str:
    moment = _EPOCH + timedelta(milliseconds=round(now_s * 1000))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def frame(habits: Habits, rng: Random, message_id: str, action: str, payload: dict[str, Any]) -> bytes:
    members = list(payload.items())
    if habits.spaced:
        rng.shuffle(members)
    separators = (" , ", " : ") if habits.spaced else (",", ":")
    text = json.dumps([2, message_id, action, dict(members)], separators=separators)
    return text.replace(f'"{DEAR}"', "1.10").encode()


def boot(habits: Habits, number: int) -> dict[str, Any]:
    if habits.version == V16:
        return {"chargePointVendor": "Simulated", "chargePointModel": "S16", "iccid": f"{number}"}
    station = {"vendorName": "Simulated", "model": "S2x", "serialNumber": f"{number}"}
    return {"reason": "PowerUp", "chargingStation": station}


def status(habits: Habits, connector: int, state: str, now_s: float) -> dict[str, Any]:
    if habits.version == V16:
        return {
            "connectorId": connector,
            "errorCode": "NoError",
            "status": state,
            "timestamp": time_text(now_s),
        }
    state = {"Charging": "Occupied"}.get(state, state)
    return {
        "timestamp": time_text(now_s),
        "connectorStatus": state,
        "evseId": connector,
        "connectorId": 1,
    }


def authorize(habits: Habits, tag: str) -> dict[str, Any]:
    return {"idTag": tag} if habits.version == V16 else {"idToken": token(tag)}


def token(tag: str) -> dict[str, str]:
    return {"idToken": tag, "type": "ISO14443"}


# --- transaction messages -------------------------------------------------------------------------


def start_16(session: Charging, now_s: float) -> dict[str, Any]:
    return {
        "connectorId": session.connector,
        "idTag": session.tag,
        "meterStart": session.meter_wh,
        "timestamp": time_text(now_s),
    }


def sample_16(session: Charging | None, meter_wh: int, now_s: float, signed: bool) -> dict[str, Any]:
    samples: list[dict[str, Any]] = [{"value": f"{meter_wh}.0", "unit": "Wh"}]
    if signed:
        samples.append({"value": _SIGNED, "format": "SignedData"})
    values = [{"timestamp": time_text(now_s), "sampledValue": samples}]
    return {"connectorId": session.connector if session else 0, "meterValue": values}


def stop_16(session: Charging, now_s: float, reason: str) -> dict[str, Any]:
    payload = {"meterStop": session.meter_wh, "timestamp": time_text(now_s), "idTag": session.tag}
    return payload if reason == "Local" else {**payload, "reason": reason}


def event_2x(
    session: Charging, kind: str, now_s: float, reason: str, *, signed: bool, offline: bool | None
) -> dict[str, Any]:
    sample: dict[str, Any] = {"value": session.meter_wh, "measurand": "Energy.Active.Import.Register"}
    if signed:
        sample["signedMeterValue"] = {
            "signedMeterData": _SIGNED,
            "signingMethod": "",
            "encodingMethod": "OCMF",
            "publicKey": "",
        }
    values = [sample, {"value": DEAR, "measurand": "Current.Import", "phase": "L1"}]
    payload: dict[str, Any] = {
        "eventType": kind,
        "timestamp": time_text(now_s),
        "triggerReason": {"Started": "Authorized", "Updated": "MeterValuePeriodic"}.get(
            kind, "StopAuthorized"
        ),
        "seqNo": session.seq_no,
        "transactionInfo": {"transactionId": session.id},
        "evse": {"id": session.connector, "connectorId": 1},
        "meterValue": [{"timestamp": time_text(now_s), "sampledValue": values}],
    }
    if offline is not None:
        payload["offline"] = offline
    if kind == "Started":
        payload["idToken"] = token(session.tag)
    if kind == "Ended":
        payload["transactionInfo"]["stoppedReason"] = reason
    return payload


def with_id(message: Message, transaction_id: Any) -> dict[str, Any]:
    """1.6: the transaction id goes in when the message is first sent."""
    if message.action == "StartTransaction" or message.session is None:
        return message.payload
    return {"transactionId": transaction_id, **message.payload}
