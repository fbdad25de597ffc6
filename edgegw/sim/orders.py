"""What a cloud orders about files, as CALLs, and what it hears of them, as statuses per charger.

Rules of this file:
- An order is (action, payload) in the version's own words. Times are wall clock seconds; None is now.
- Everything heard is kept in the order it came, repetitions too, but no more than HEARD_MAX per charger.
"""

from __future__ import annotations

from collections import defaultdict, deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from edgegw.sim.desk import V16, Payload, subprotocol_of, timestamp
from edgegw.sim.ledger import read

Order = tuple[str, Payload]
HEARD_MAX = 1000
FIRMWARE = ("FirmwareStatusNotification", "SignedFirmwareStatusNotification")
LOGS = ("DiagnosticsStatusNotification", "LogStatusNotification")
_FILE_ACTIONS = frozenset((*FIRMWARE, *LOGS, "PublishFirmwareStatusNotification"))


class FileStatus(NamedTuple):
    """One status a charger told. request_id: None in plain 1.6, and with Idle."""

    action: str
    status: str
    request_id: int | None = None


# --- orders ---------------------------------------------------------------------------------------


def update_order(
    version: str,
    url: str,
    request_id: int | None = None,
    *,
    retrieve_at: float | None = None,
    install_at: float | None = None,
    certificate: str = "",
    signature: str = "",
    retries: int | None = None,
    retry_interval_s: int | None = None,
) -> Order:
    """UpdateFirmware; SignedUpdateFirmware when it is 1.6 and there is a certificate."""
    patience = _patience(retries, retry_interval_s)
    if subprotocol_of(version) == V16 and not certificate:
        return "UpdateFirmware", {"location": url, "retrieveDate": _when(retrieve_at), **patience}
    firmware = {"location": url, "retrieveDateTime": _when(retrieve_at)}
    if install_at is not None:
        firmware["installDateTime"] = _when(install_at)
    if certificate:
        firmware |= {"signingCertificate": certificate, "signature": signature}
    action = "SignedUpdateFirmware" if subprotocol_of(version) == V16 else "UpdateFirmware"
    return action, {"requestId": request_id or 1, "firmware": firmware, **patience}


def log_order(
    version: str,
    url: str,
    request_id: int | None = None,
    *,
    kind: str = "Diagnostics",
    retries: int | None = None,
    retry_interval_s: int | None = None,
) -> Order:
    """GetLog; GetDiagnostics when it is 1.6 and there is no request id. kind: or "Security"."""
    patience = _patience(retries, retry_interval_s)
    if subprotocol_of(version) == V16 and request_id is None:
        return "GetDiagnostics", {"location": url, **patience}
    log = {"remoteLocation": url}
    return "GetLog", {"logType": f"{kind}Log", "requestId": request_id or 1, "log": log, **patience}


def _patience(retries: int | None, retry_interval_s: int | None) -> Payload:
    wishes = {"retries": retries, "retryInterval": retry_interval_s}
    return {name: value for name, value in wishes.items() if value is not None}


def _when(at: float | None) -> str:
    return timestamp(None if at is None else datetime.fromtimestamp(at, UTC))


# --- what is heard --------------------------------------------------------------------------------


def file_status(action: str, payload: Any) -> FileStatus | None:
    """None for any other message, and for a payload without sense."""
    if action not in _FILE_ACTIONS or not isinstance(payload, dict):
        return None
    return FileStatus(action, str(payload.get("status", "")), payload.get("requestId"))


class Heard:
    """Statuses of file work by charger."""

    def __init__(self) -> None:
        self._by_charger: defaultdict[str, deque[FileStatus]] = defaultdict(lambda: deque(maxlen=HEARD_MAX))

    def hear(self, identity: str, action: str, payload: Any) -> None:
        status = file_status(action, payload)
        if status is not None:
            self._by_charger[identity].append(status)

    def of(self, identity: str) -> list[FileStatus]:
        return list(self._by_charger.get(identity, ()))

    def everything(self) -> dict[str, list[FileStatus]]:
        return {identity: list(heard) for identity, heard in sorted(self._by_charger.items())}

    def statuses(
        self, identity: str, actions: tuple[str, ...] = FIRMWARE, request_id: int | None = None
    ) -> list[str]:
        """The words alone, of all requests or of one."""
        wanted = [s for s in self.of(identity) if s.action in actions]
        return [s.status for s in wanted if request_id is None or s.request_id == request_id]


def heard_in(ledger: str | Path) -> Heard:
    """The same from a cloud's ledger file."""
    heard = Heard()
    for entry in read(ledger):
        if entry.kind == "received_call" and entry.action in _FILE_ACTIONS:
            heard.hear(entry.who, entry.action, msgspec.json.decode(entry.raw)[3])
    return heard
