"""What a simulated charger keeps over a power loss: transactions, unsent messages, settings, firmware.

Rules of this file:
- One JSON file, replaced as a whole by rename after each change: kill -9 leaves the old or the new one.
- Without a path the memory lives as long as the object, which is enough for a simulated reboot.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from edgegw.sim.charging_profiles import Kept


class Session(msgspec.Struct, kw_only=True):
    """One charging transaction. `name` is the charger's own; `tx` what is on the wire, "" if not known."""

    name: str
    connector: int
    id_tag: str
    start_wh: int
    tx: str = ""
    sequence: int = 0  # 2.x seqNo
    remote_start_id: int | None = None
    refused: bool = False  # the cloud said no to the start
    began_at: float = 0.0  # wall clock
    charging_state: str = "Charging"  # word of 2.x

    def take_sequence(self) -> int:
        self.sequence += 1
        return self.sequence - 1


class Queued(msgspec.Struct, kw_only=True):
    """A transaction message that has no answer yet."""

    action: str
    payload: dict[str, Any]
    session: str
    energy_wh: int
    ends: bool = False  # the last message of its transaction
    id: str = ""  # given at the first transmission, kept for every further one
    sent: bool = False
    attempts: int = 0  # CALLERRORs got for it


class Update(msgspec.Struct, kw_only=True):
    """A firmware update that was ordered and is not over. request_id None: OCPP 1.6 without security."""

    url: str
    retrieve_at: float = 0.0  # wall clock
    install_at: float = 0.0
    request_id: int | None = None
    attempts: int = 1
    retry_interval_s: float = 0.0
    certificate: str = ""
    signature: str = ""
    installed: bool = False  # only the boot into it is missing


class LogUpload(msgspec.Struct, kw_only=True):
    """An upload that was ordered and is not over. request_id None: 1.6 GetDiagnostics."""

    url: str
    kind: str
    name: str
    request_id: int | None = None
    attempts: int = 1
    retry_interval_s: float = 0.0


class Notice(msgspec.Struct, kw_only=True):
    """Something to tell the cloud that is no transaction message."""

    action: str
    payload: dict[str, Any]


class Told(msgspec.Struct, kw_only=True):
    """The last status of a kind of file work."""

    status: str = "Idle"
    request_id: int | None = None


class Memory(msgspec.Struct, kw_only=True):
    boot: int = 0
    queue: list[Queued] = []
    sessions: dict[int, Session] = {}  # running ones, by connector
    ids: dict[str, str] = {}  # session name -> transaction id, while messages of it are queued
    registers_wh: dict[int, int] = {}
    settings: dict[str, str] = {}
    unavailable: list[int] = []
    profiles: list[Kept] = []
    list_version: int = 0
    local_list: list[dict[str, Any]] = []
    firmware_version: str = "1.0"
    firmware_sha256: str = ""  # of the file it came from
    update: Update | None = None
    update_told: Told = msgspec.field(default_factory=Told)
    upload: LogUpload | None = None
    upload_told: Told = msgspec.field(default_factory=Told)
    uploads: int = 0  # made so far: no two logs have one name
    notices: list[Notice] = []


class MemoryFile:
    """`memory` and its file. Call `save` after each change."""

    def __init__(self, path: str | Path | None) -> None:
        self._path = Path(path) if path is not None else None
        self.memory = Memory()
        if self._path is not None and self._path.exists():
            self.memory = msgspec.json.decode(self._path.read_bytes(), type=Memory)

    def save(self) -> None:
        if self._path is None:
            return
        draft = self._path.with_suffix(".tmp")
        draft.write_bytes(msgspec.json.encode(self.memory))
        os.replace(draft, self._path)
