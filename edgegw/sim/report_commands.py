"""How a simulated 2.x charger tells its inventory: GetBaseReport, answered by NotifyReports that follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgegw.sim.desk import CallRefused, Payload, timestamp
from edgegw.sim.peer import FollowUp, LinkLost

if TYPE_CHECKING:
    from edgegw.sim.charger import SimCharger

PART = 6  # variables of one NotifyReport: more than one message, as real chargers need
_COMPONENTS = {
    "HeartbeatInterval": "OCPPCommCtrlr",
    "MeterValueSampleInterval": "SampledDataCtrlr",
    "TransactionMessageAttempts": "OCPPCommCtrlr",
    "TransactionMessageRetryInterval": "OCPPCommCtrlr",
    "WebSocketPingInterval": "OCPPCommCtrlr",
    "LocalAuthorizeOffline": "AuthCtrlr",
    "BasicAuthPassword": "SecurityCtrlr",
}


def base_report(
    charger: SimCharger, payload: Payload, settings: Mapping[str, str], fixed: set[str]
) -> tuple[Payload, FollowUp | None]:
    if payload["reportBase"] != "FullInventory":
        return {"status": "NotSupported"}, None
    variables = [_variable(name, value, name in fixed) for name, value in sorted(settings.items())]
    parts = [variables[at : at + PART] for at in range(0, len(variables), PART)]
    return {"status": "Accepted"}, lambda: _begin(charger, payload["requestId"], parts)


def _begin(charger: SimCharger, request_id: int, parts: list[list[Payload]]) -> None:
    charger.spawn(_tell(charger, request_id, parts))


async def _tell(charger: SimCharger, request_id: int, parts: list[list[Payload]]) -> None:
    for number, part in enumerate(parts):
        report = {
            "requestId": request_id,
            "generatedAt": timestamp(),
            "seqNo": number,
            "tbc": number + 1 < len(parts),
            "reportData": part,
        }
        try:
            await charger.call("NotifyReport", report)
        except (CallRefused, LinkLost, TimeoutError):
            return


def _variable(name: str, value: str, fixed: bool) -> Payload:
    attribute: Payload = {"mutability": "ReadOnly" if fixed else "ReadWrite"}
    if name == "BasicAuthPassword":
        attribute["mutability"] = "WriteOnly"
    else:
        attribute["value"] = value
    kind = "boolean" if value in ("true", "false") else "integer" if value.isdecimal() else "string"
    return {
        "component": {"name": _COMPONENTS.get(name, "ChargingStation")},
        "variable": {"name": name},
        "variableAttribute": [attribute],
        "variableCharacteristics": {"dataType": kind, "supportsMonitoring": False},
    }
