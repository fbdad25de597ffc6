"""How a simulated charger answers commands about files: firmware, diagnostics, logs, their triggers.

Rules of this file:
- A charger without file protocols refuses all of it, as it always has.
- 1.6 with security takes signed updates only: plain UpdateFirmware is NotSupported (2.x L01.FR.20).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edgegw.sim.desk import V16, CallRefused, Payload
from edgegw.sim.memory import LogUpload, Update
from edgegw.sim.peer import FollowUp

if TYPE_CHECKING:
    from edgegw.sim.charger import SimCharger

Answer = tuple[Payload, FollowUp | None]
_TRIGGERED_16 = {"FirmwareStatusNotification", "DiagnosticsStatusNotification"}
_TRIGGERED_2X = {"FirmwareStatusNotification", "LogStatusNotification"}
SETTING_16, SETTING_2X = "SupportedFileTransferProtocols", "FileTransferProtocols"


def settings(charger: SimCharger) -> dict[str, str]:
    """What is answered about files, read-only. In 2.x it is a variable of OCPPCommCtrlr."""
    habits = charger.habits
    if not habits.file_protocols or not habits.tells_file_protocols:
        return {}
    return {SETTING_16 if charger.version == V16 else SETTING_2X: ",".join(habits.file_protocols)}


def triggers(charger: SimCharger, *, extended: bool = False) -> set[str]:
    """Messages about files that a trigger may ask for."""
    if not charger.habits.file_protocols:
        return set()
    if charger.version != V16 or extended:
        return _TRIGGERED_2X
    # A signed update's states have no words in the plain message.
    return _TRIGGERED_16 - {"FirmwareStatusNotification"} if charger.habits.security else _TRIGGERED_16


# --- firmware -------------------------------------------------------------------------------------


def update_firmware(charger: SimCharger, payload: Payload) -> Answer:
    if not charger.habits.file_protocols:
        raise CallRefused("NotSupported", "no firmware in this charger")
    if charger.version == V16 and charger.habits.security:
        raise CallRefused("NotSupported", "signed updates only")
    if charger.version != V16:
        return _update(charger, payload)
    order = Update(
        url=payload["location"], retrieve_at=_moment(payload["retrieveDate"]), **_patience(charger, payload)
    )
    return {}, lambda: charger.file_work.updates.begin(order)


def signed_update_firmware(charger: SimCharger, payload: Payload) -> Answer:
    _needs_security(charger, "SignedUpdateFirmware")
    return _update(charger, payload)


def _update(charger: SimCharger, payload: Payload) -> Answer:
    firmware, updates = payload["firmware"], charger.file_work.updates
    order = Update(
        url=firmware["location"],
        retrieve_at=_moment(firmware["retrieveDateTime"]),
        install_at=_moment(firmware["installDateTime"]) if "installDateTime" in firmware else 0.0,
        request_id=payload["requestId"],
        certificate=firmware.get("signingCertificate", ""),
        signature=firmware.get("signature", ""),
        **_patience(charger, payload),
    )
    status = updates.judge(order)
    accepted = status in ("Accepted", "AcceptedCanceled")
    return {"status": status}, (lambda: updates.begin(order)) if accepted else None


# --- logs -----------------------------------------------------------------------------------------


def get_diagnostics(charger: SimCharger, payload: Payload) -> Answer:
    if not charger.habits.file_protocols:
        raise CallRefused("NotImplemented", "GetDiagnostics")
    name = charger.file_work.uploads.name("diagnostics")
    if not name:
        return {}, None
    order = LogUpload(url=payload["location"], kind="diagnostics", name=name, **_patience(charger, payload))
    return {"fileName": name}, lambda: charger.file_work.uploads.begin(order)


def get_log(charger: SimCharger, payload: Payload) -> Answer:
    _needs_security(charger, "GetLog")
    kind, uploads = payload["logType"].removesuffix("Log").lower(), charger.file_work.uploads
    name = uploads.name(kind)
    if not name:
        return {"status": "Rejected"}, None
    order = LogUpload(
        url=payload["log"]["remoteLocation"],
        kind=kind,
        name=name,
        request_id=payload["requestId"],
        **_patience(charger, payload),
    )
    status = "AcceptedCanceled" if uploads.busy else "Accepted"
    return {"status": status, "filename": name}, lambda: uploads.begin(order)


# --- common ---------------------------------------------------------------------------------------


def _needs_security(charger: SimCharger, action: str) -> None:
    plain = charger.version == V16 and not charger.habits.security
    if plain or not charger.habits.file_protocols:
        raise CallRefused("NotImplemented", action)


def _patience(charger: SimCharger, payload: Payload) -> Payload:
    habits, retries = charger.habits, payload.get("retries")
    return {
        "attempts": habits.file_attempts if retries is None else retries + 1,
        "retry_interval_s": float(payload.get("retryInterval", habits.file_retry_interval_s)),
    }


def _moment(text: str) -> float:
    """Wall clock of an RFC 3339 text. Raises CallRefused."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise CallRefused("PropertyConstraintViolation", f"no date: {text[:40]}") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
