"""What a simulated charger says, as payloads: one class for 1.6, one for 2.0.1 and 2.1.

Rules of this file:
- Pure functions of their arguments; the charger adds ids, times and energy.
- Wire names throughout. `sequence` (seqNo) and the transaction id of 2.x are the charger's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgegw.sim.desk import V16, Payload

VENDOR, MODEL = "edgegw", "SimCharger"

# StatusNotification of 2.x knows only these.
_STATUS_2X = {"Available": "Available", "Unavailable": "Unavailable", "Faulted": "Faulted"}
# reason of 1.6 -> (stoppedReason, triggerReason) of 2.x
_REASON_2X = {
    "Local": ("Local", "StopAuthorized"),
    "EVDisconnected": ("EVDisconnected", "EVCommunicationLost"),
    "Remote": ("Remote", "RemoteStop"),
    "DeAuthorized": ("DeAuthorized", "Deauthorized"),
    "SoftReset": ("Reboot", "ResetCommand"),
    "HardReset": ("ImmediateReset", "ResetCommand"),
    "Reboot": ("Reboot", "ResetCommand"),
    "PowerLoss": ("PowerLoss", "AbnormalCondition"),
    "UnlockCommand": ("Other", "UnlockCommand"),
}


def signed_text(identity: str, register_wh: int, when: str) -> str:
    """OCMF-like text with characters that invite re-spelling."""
    return (
        'OCMF|{"FV":"1.0","GI":"edgegw/sim","GS":"' + identity + '","PG":"T1","MV":"Zähler №1",'
        f'"RD":[{{"TM":"{when} S","TX":"C","RV":{register_wh / 1000:.3f}0,"RI":"1-b:1.8.0",'
        '"RU":"kWh","ST":"G"}]}'
        f'|{{"SA":"ECDSA-secp256r1-SHA256","SD":"30450221/{register_wh:016x}+=="}}'
    )


class Dialect16:
    start_action = "StartTransaction"
    meter_action = "MeterValues"
    stop_action = "StopTransaction"

    def boot(self, identity: str, reason: str, firmware: str = "1.0") -> Payload:
        return {
            "chargePointVendor": VENDOR,
            "chargePointModel": MODEL,
            "chargePointSerialNumber": identity[:25],
            "firmwareVersion": firmware,
        }

    def status(self, connector: int, status: str, when: str) -> Payload:
        return {"connectorId": connector, "errorCode": "NoError", "status": status, "timestamp": when}

    def status_connectors(self, connectors: int) -> range:
        return range(connectors + 1)  # 0 is the charger itself

    def authorize(self, tag: str) -> Payload:
        return {"idTag": tag}

    def tag_status(self, answer: Payload) -> str | None:
        info = answer.get("idTagInfo")
        return info.get("status") if isinstance(info, dict) else None

    def start(self, session: Any, when: str) -> Payload:
        return {
            "connectorId": session.connector,
            "idTag": session.id_tag,
            "meterStart": session.start_wh,
            "timestamp": when,
        }

    def meter(
        self,
        session: Any,
        when: str,
        register_wh: int,
        power_w: float,
        signed: str | None,
        amps: Sequence[float] = (),
    ) -> Payload:
        samples: list[Payload] = [
            {
                "value": str(register_wh),
                "context": "Sample.Periodic",
                "measurand": "Energy.Active.Import.Register",
                "unit": "Wh",
            },
            {"value": f"{power_w / 1000:.2f}", "measurand": "Power.Active.Import", "unit": "kW"},
        ]
        samples += [
            {"value": f"{value:.2f}", "measurand": "Current.Import", "phase": f"L{phase}", "unit": "A"}
            for phase, value in enumerate(amps, 1)
        ]
        if signed:
            samples.append({"value": signed, "format": "SignedData", "context": "Sample.Periodic"})
        # transactionId is filled in when the message is sent: the cloud may not have given it yet.
        return {
            "connectorId": session.connector,
            "meterValue": [{"timestamp": when, "sampledValue": samples}],
        }

    def stop(self, session: Any, when: str, register_wh: int, reason: str, signed: str | None) -> Payload:
        payload: Payload = {"meterStop": register_wh, "timestamp": when, "reason": reason}
        payload["idTag"] = session.id_tag
        if signed:
            sample = {"value": signed, "format": "SignedData", "context": "Transaction.End"}
            payload["transactionData"] = [{"timestamp": when, "sampledValue": [sample]}]
        return payload


class Dialect2x:
    start_action = meter_action = stop_action = "TransactionEvent"

    def boot(self, identity: str, reason: str, firmware: str = "1.0") -> Payload:
        known = {
            "PowerLoss": "PowerUp",
            "SoftReset": "ScheduledReset",
            "HardReset": "RemoteReset",
            "FirmwareUpdate": "FirmwareUpdate",
        }
        return {
            "reason": known.get(reason, "PowerUp"),
            "chargingStation": {
                "vendorName": VENDOR,
                "model": MODEL,
                "serialNumber": identity[:25],
                "firmwareVersion": firmware,
            },
        }

    def status(self, connector: int, status: str, when: str) -> Payload:
        return {
            "timestamp": when,
            "connectorStatus": _STATUS_2X.get(status, "Occupied"),
            "evseId": connector,
            "connectorId": 1,
        }

    def status_connectors(self, connectors: int) -> range:
        return range(1, connectors + 1)

    def authorize(self, tag: str) -> Payload:
        return {"idToken": token(tag)}

    def tag_status(self, answer: Payload) -> str | None:
        info = answer.get("idTokenInfo")
        return info.get("status") if isinstance(info, dict) else None

    def start(self, session: Any, when: str) -> Payload:
        trigger = "RemoteStart" if session.remote_start_id is not None else "Authorized"
        event = self._event(session, "Started", trigger, when, session.charging_state)
        event["evse"] = {"id": session.connector, "connectorId": 1}
        event["idToken"] = token(session.id_tag)
        if session.remote_start_id is not None:
            event["transactionInfo"]["remoteStartId"] = session.remote_start_id
        event["meterValue"] = [_values_2x(when, session.start_wh, "Transaction.Begin", None, None)]
        return event

    def meter(
        self,
        session: Any,
        when: str,
        register_wh: int,
        power_w: float,
        signed: str | None,
        amps: Sequence[float] = (),
    ) -> Payload:
        event = self._event(session, "Updated", "MeterValuePeriodic", when, session.charging_state)
        event["meterValue"] = [_values_2x(when, register_wh, "Sample.Periodic", power_w, signed, amps)]
        return event

    def state_changed(self, session: Any, when: str) -> Payload:
        return self._event(session, "Updated", "ChargingStateChanged", when, session.charging_state)

    def stop(self, session: Any, when: str, register_wh: int, reason: str, signed: str | None) -> Payload:
        stopped, trigger = _REASON_2X.get(reason, ("Other", "AbnormalCondition"))
        event = self._event(session, "Ended", trigger, when, "Idle")
        event["transactionInfo"]["stoppedReason"] = stopped
        event["meterValue"] = [_values_2x(when, register_wh, "Transaction.End", None, signed)]
        return event

    def _event(self, session: Any, kind: str, trigger: str, when: str, state: str) -> Payload:
        return {
            "eventType": kind,
            "timestamp": when,
            "triggerReason": trigger,
            "seqNo": session.take_sequence(),
            "transactionInfo": {"transactionId": session.tx, "chargingState": state},
        }


def token(tag: str) -> Payload:
    return {"idToken": tag, "type": "ISO14443"}


def _values_2x(
    when: str,
    register_wh: int,
    context: str,
    power_w: float | None,
    signed: str | None,
    amps: Sequence[float] = (),
) -> Payload:
    register: Payload = {
        "value": register_wh,
        "context": context,
        "measurand": "Energy.Active.Import.Register",
        "unitOfMeasure": {"unit": "Wh"},
    }
    if signed:
        register["signedMeterValue"] = {
            "signedMeterData": signed,
            "signingMethod": "",
            "encodingMethod": "OCMF",
            "publicKey": "oca:base16:asn1:3059",
        }
    samples = [register]
    if power_w is not None:
        unit = {"unit": "W"}
        samples.append({"value": power_w + 0.5, "measurand": "Power.Active.Import", "unitOfMeasure": unit})
    for phase, value in enumerate(amps, 1):
        samples.append(
            {
                "value": round(value, 2),
                "measurand": "Current.Import",
                "phase": f"L{phase}",
                "unitOfMeasure": {"unit": "A"},
            }
        )
    return {"timestamp": when, "sampledValue": samples}


def dialect_of(version: str) -> Dialect16 | Dialect2x:
    """version: WebSocket subprotocol."""
    return Dialect16() if version == V16 else Dialect2x()
