"""How a simulated charger answers the cloud: one row per action, for 1.6 and for 2.x.

Rules of this file:
- A row is a function of charger and payload that returns the answer and what to do once it is sent.
- Requests are obeyed plainly; charging profiles have their own file, `profile_commands`, and so have
  firmware and logs, `file_commands`. What has no row is answered NotImplemented.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgegw.sim import file_commands as files
from edgegw.sim import profile_commands as profiles
from edgegw.sim import report_commands as reports
from edgegw.sim.desk import V16, CallRefused, Payload
from edgegw.sim.memory import Session
from edgegw.sim.peer import FollowUp

if TYPE_CHECKING:
    from edgegw.sim.charger import SimCharger

Row = Callable[["SimCharger", Payload], tuple[Payload, FollowUp | None]]
VENDOR_ID = "org.edgegw.sim"  # DataTransfer is echoed for this one
_READ_ONLY = {"NumberOfConnectors", "SupportedFeatureProfiles"}
_MESSAGES_TRIGGERED = {"BootNotification", "StatusNotification", "Heartbeat", "MeterValues"}
ABOUT_PROFILES = {"SetChargingProfile", "ClearChargingProfile", "GetCompositeSchedule"}
_REMOTE_REFUSED = {"Pending", "Rejected", ""}  # 1.6 4.2, 2.x B02.FR.05


def answer(charger: SimCharger, action: str, payload: Payload) -> tuple[Payload, FollowUp | None]:
    """Raises CallRefused."""
    row = table(charger.version).get(action)
    if row is None:
        raise CallRefused("NotImplemented", action)
    return row(charger, payload)


def table(version: str) -> dict[str, Row]:
    """version: WebSocket subprotocol."""
    return _ROWS_16 if version == V16 else _ROWS_2X


def _status(status: str, follow_up: FollowUp | None = None) -> tuple[Payload, FollowUp | None]:
    return {"status": status}, follow_up


# --- start and stop ---------------------------------------------------------------------------------


def _remote_start_16(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    profile = payload.get("chargingProfile")
    return _remote_start(charger, payload.get("connectorId"), payload["idTag"], None, profile)


def _request_start(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    tag = payload["idToken"]["idToken"]
    profile = payload.get("chargingProfile")
    return _remote_start(charger, payload.get("evseId"), tag, payload["remoteStartId"], profile)


def _remote_start(
    charger: SimCharger,
    connector: int | None,
    tag: str,
    remote_start_id: int | None,
    profile: Payload | None,
) -> tuple[Payload, FollowUp | None]:
    wanted = [connector] if connector else range(1, charger.habits.connectors + 1)
    free = [number for number in wanted if charger.free(number)]
    if not free or charger.registration in _REMOTE_REFUSED:
        return _status("Rejected")

    def begin() -> None:
        told = {"remote_start_id": remote_start_id, "authorize": False, "profile": profile}
        charger.spawn(charger.charge(free[0], tag, samples=None, **told))

    return _status("Accepted", begin)


def _remote_stop(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    session = _session_of(charger, payload["transactionId"])
    if session is None or charger.registration in _REMOTE_REFUSED:
        return _status("Rejected")
    return _status("Accepted", lambda: charger.wish_stop(session, "Remote"))


def _session_of(charger: SimCharger, tx: object) -> Session | None:
    return next((s for s in charger.memory.sessions.values() if s.tx == str(tx)), None)


def _unlock(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    session = charger.session(payload.get("evseId") or payload["connectorId"])
    if session is None:
        return _status("Unlocked")
    if charger.version != V16:
        return _status("OngoingAuthorizedTransaction")  # F05.FR.02
    return _status("Unlocked", lambda: charger.wish_stop(session, "UnlockCommand"))


def _transaction_status(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    tx = payload.get("transactionId")
    waiting = [m for m in charger.memory.queue if tx in (None, _tx_of(m.payload))]
    result: Payload = {"messagesInQueue": bool(waiting)}
    if tx is not None:
        result["ongoingIndicator"] = _session_of(charger, tx) is not None
    return result, None


def _tx_of(payload: Payload) -> Any:
    return payload.get("transactionInfo", {}).get("transactionId")


# --- device -----------------------------------------------------------------------------------------


def _reset(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    reason = "HardReset" if payload["type"] in ("Hard", "Immediate") else "SoftReset"

    def reboot() -> None:
        for connector in list(charger.memory.sessions):
            charger.finish(connector, reason)
        charger.spawn(charger.reboot(reason))

    return _status("Accepted", reboot)


def _trigger(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    return _triggered(charger, payload, _MESSAGES_TRIGGERED | files.triggers(charger))


def _trigger_extended(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    if not charger.habits.security:
        raise CallRefused("NotImplemented", "ExtendedTriggerMessage")
    return _triggered(charger, payload, _MESSAGES_TRIGGERED | files.triggers(charger, extended=True))


def _triggered(charger: SimCharger, payload: Payload, known: set[str]) -> tuple[Payload, FollowUp | None]:
    wanted = payload["requestedMessage"]
    connector = payload.get("connectorId") or (payload.get("evse") or {}).get("id")
    if wanted not in known:
        return _status("NotImplemented")
    if wanted == "BootNotification" and charger.accepted:
        return _status("Rejected")  # F06.FR.17
    return _status("Accepted", lambda: charger.triggered(wanted, connector))


def _availability_16(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    return _availability(charger, payload["connectorId"], payload["type"] == "Operative")


def _availability_2x(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    connector = (payload.get("evse") or {}).get("id", 0)
    return _availability(charger, connector, payload["operationalStatus"] == "Operative")


def _availability(charger: SimCharger, connector: int, operative: bool) -> tuple[Payload, FollowUp | None]:
    busy = connector in charger.memory.sessions or (connector == 0 and bool(charger.memory.sessions))
    status = "Scheduled" if busy and not operative else "Accepted"
    return _status(status, lambda: charger.set_available(connector, operative))


def _data_transfer(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    if payload["vendorId"] != VENDOR_ID:
        return _status("UnknownVendorId")
    return {"status": "Accepted", **({"data": payload["data"]} if "data" in payload else {})}, None


# --- settings ---------------------------------------------------------------------------------------


def _settings(charger: SimCharger) -> dict[str, str]:
    profiles_known = "Core,RemoteTrigger,SmartCharging,LocalAuthListManagement"
    if charger.habits.file_protocols:
        profiles_known += ",FirmwareManagement"
    return {
        "HeartbeatInterval": f"{charger.heartbeat_s:g}",
        "MeterValueSampleInterval": f"{charger.habits.meter_interval_s:g}",
        "NumberOfConnectors": str(charger.habits.connectors),
        "TransactionMessageAttempts": str(charger.delivery.attempts_max),
        "TransactionMessageRetryInterval": f"{charger.delivery.retry_interval_s:g}",
        "StopTransactionOnInvalidId": "true",
        "LocalAuthorizeOffline": "true",
        "WebSocketPingInterval": "0",
        "SupportedFeatureProfiles": profiles_known,
        **files.settings(charger),
        **(profiles.smart_settings(charger) if charger.version == V16 else {}),
        **charger.memory.settings,
    }


def _read_only(charger: SimCharger) -> set[str]:
    return _READ_ONLY | set(profiles.smart_settings(charger)) | set(files.settings(charger))


def _change(charger: SimCharger, key: str, value: str) -> str:
    if key not in {*_settings(charger), "AuthorizationKey", "BasicAuthPassword"}:
        return "NotSupported"
    if key in _read_only(charger):
        return "Rejected"
    charger.memory.settings[key] = value
    charger.file.save()
    try:
        if key == "HeartbeatInterval":
            charger.heartbeat_s = float(value)
        elif key == "TransactionMessageAttempts":
            charger.delivery.attempts_max = int(value)
        elif key == "TransactionMessageRetryInterval":
            charger.delivery.retry_interval_s = float(value)
    except ValueError:
        return "Rejected"
    return "Accepted"


def _get_configuration(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    known = {key: value for key, value in _settings(charger).items() if key != "AuthorizationKey"}
    wanted = payload.get("key") or list(known)
    fixed = _read_only(charger)
    keys = [{"key": k, "readonly": k in fixed, "value": known[k]} for k in wanted if k in known]
    unknown = [k for k in wanted if k not in known]
    found: Payload = {"configurationKey": keys} if keys else {}
    return found | ({"unknownKey": unknown} if unknown else {}), None


def _change_configuration(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    return _status(_change(charger, payload["key"], payload["value"]))


def _get_variables(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    settings, smart = _settings(charger), profiles.smart_settings(charger)
    results = []
    for item in payload["getVariableData"]:
        name = item["variable"]["name"]
        known = smart if item["component"]["name"] == "SmartChargingCtrlr" else settings
        result = {"component": item["component"], "variable": item["variable"]}
        if "attributeType" in item:
            result["attributeType"] = item["attributeType"]
        if name in known and name != "BasicAuthPassword":
            result |= {"attributeStatus": "Accepted", "attributeValue": known[name]}
        else:
            result |= {"attributeStatus": "UnknownVariable"}
        results.append(result)
    return {"getVariableResult": results}, None


def _set_variables(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    words = {"NotSupported": "UnknownVariable"}
    results = []
    for item in payload["setVariableData"]:
        done = _change(charger, item["variable"]["name"], item["attributeValue"])
        results.append(
            {
                "attributeStatus": words.get(done, done),
                "component": item["component"],
                "variable": item["variable"],
            }
        )
    return {"setVariableResult": results}, None


def _base_report(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    return reports.base_report(charger, payload, _settings(charger), _read_only(charger))


# --- local list -------------------------------------------------------------------------------------


def _send_list(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    entries = payload.get("localAuthorizationList", [])
    memory = charger.memory
    version = payload.get("listVersion", payload.get("versionNumber"))
    if payload["updateType"] == "Full":
        memory.local_list = list(entries)
    else:
        changed = {str(entry.get("idTag", entry.get("idToken"))) for entry in entries}
        kept = [e for e in memory.local_list if str(e.get("idTag", e.get("idToken"))) not in changed]
        memory.local_list = kept + [e for e in entries if "idTagInfo" in e or "idTokenInfo" in e]
    memory.list_version = int(version or 0)
    charger.file.save()
    return _status("Accepted")


def _list_version_16(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    return {"listVersion": charger.memory.list_version}, None


def _list_version_2x(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    return {"versionNumber": charger.memory.list_version}, None


def _clear_cache(charger: SimCharger, payload: Payload) -> tuple[Payload, FollowUp | None]:
    return _status("Accepted")


_BOTH: dict[str, Row] = {
    "Reset": _reset,
    "TriggerMessage": _trigger,
    "UnlockConnector": _unlock,
    "DataTransfer": _data_transfer,
    "UpdateFirmware": files.update_firmware,
    "GetLog": files.get_log,
    "SendLocalList": _send_list,
    "ClearCache": _clear_cache,
    "SetChargingProfile": profiles.set_profile,
    "ClearChargingProfile": profiles.clear_profile,
    "GetCompositeSchedule": profiles.composite,
}
_ROWS_16: dict[str, Row] = {
    **_BOTH,
    "RemoteStartTransaction": _remote_start_16,
    "RemoteStopTransaction": _remote_stop,
    "ChangeAvailability": _availability_16,
    "GetConfiguration": _get_configuration,
    "ChangeConfiguration": _change_configuration,
    "GetLocalListVersion": _list_version_16,
    "GetDiagnostics": files.get_diagnostics,
    "SignedUpdateFirmware": files.signed_update_firmware,
    "ExtendedTriggerMessage": _trigger_extended,
}
_ROWS_2X: dict[str, Row] = {
    **_BOTH,
    "RequestStartTransaction": _request_start,
    "RequestStopTransaction": _remote_stop,
    "GetTransactionStatus": _transaction_status,
    "ChangeAvailability": _availability_2x,
    "GetVariables": _get_variables,
    "SetVariables": _set_variables,
    "GetBaseReport": _base_report,
    "GetLocalListVersion": _list_version_2x,
}
