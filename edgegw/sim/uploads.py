"""A charger's logs: ordered, made up, uploaded, and every step told.

    1.6 GetDiagnostics   DiagnosticsStatusNotification Uploading, Uploaded | UploadFailed, no id
    GetLog               LogStatusNotification Uploading, Uploaded | UploadFailure | PermissionDenied |
                         NotSupportedOperation, with requestId

Rules of this file:
- A new GetLog cancels the old one: in 2.x the old request hears AcceptedCanceled, 1.6 has no such status.
- An order is in the memory until it is over; after a power loss it is begun again.
- The same charger, kind and number give the same log, byte by byte; no two orders have one number.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from edgegw.sim.desk import V16
from edgegw.sim.memory import LogUpload, Told
from edgegw.sim.notices import Notices
from edgegw.sim.transfers import Outgoing, TransferFailed, persist, upload
from edgegw.sim.updates import payload_of

if TYPE_CHECKING:
    from edgegw.sim.file_work import FileWork

_NAME_LENGTH_MAX = 255  # fileName, filename
_LOG_FAILURES = {"scheme": "NotSupportedOperation", "denied": "PermissionDenied"}


class Uploads:
    def __init__(self, work: FileWork, notices: Notices) -> None:
        self._work, self._charger, self._notices = work, work.charger, notices
        self._task: asyncio.Task[None] | None = None

    def power_on(self) -> None:
        if self._charger.memory.upload is not None:
            self._task = self._charger.spawn(self._run(self._charger.memory.upload))

    def name(self, kind: str) -> str:
        """For the next log; "" when there is none to send."""
        memory, habits = self._charger.memory, self._charger.habits
        if not habits.upload_bytes:
            return ""
        memory.uploads += 1
        name = habits.upload_name or f"{self._charger.identity}-{kind}-{memory.uploads}.log"
        return name[:_NAME_LENGTH_MAX]

    @property
    def busy(self) -> bool:
        return self._charger.memory.upload is not None

    def begin(self, order: LogUpload) -> None:
        """In place of one that is not over."""
        if self._task is not None:
            self._task.cancel()
        old = self._charger.memory.upload
        if old is not None and old.request_id is not None and self._charger.version != V16:
            self._say(old, "AcceptedCanceled")
        self._charger.memory.upload = order
        self._charger.file.save()
        self._task = self._charger.spawn(self._run(order))

    def triggered(self, *, get_log: bool) -> None:
        """The status of what is being uploaded by such an order, else Idle."""
        told, order = Told(), self._charger.memory.upload
        if order is not None and (order.request_id is not None) is get_log:
            told = self._charger.memory.upload_told
        self._tell(told, get_log=get_log)

    async def _run(self, order: LogUpload) -> None:
        habits, places = self._charger.habits, [""]
        content = log_content(self._charger.identity, order.name, habits.upload_bytes)
        outgoing = Outgoing(order.name, content, habits.upload_cut_after_bytes)

        async def attempt() -> None:
            places[0] = await upload(order.url, outgoing, habits)

        self._say(order, "Uploading")
        try:
            await persist(attempt, order.attempts, order.retry_interval_s)
        except TransferFailed as error:
            self._work.failed("upload", str(error))
            self._end(order, self._failure(order, error))
        else:
            self._work.moved("uploaded", sha256=outgoing.sha256, bytes=len(content), url=places[0])
            self._end(order, "Uploaded")

    def _failure(self, order: LogUpload, error: TransferFailed) -> str:
        if order.request_id is None:
            return "UploadFailed"
        return _LOG_FAILURES.get(error.kind, "UploadFailure")

    def _end(self, order: LogUpload, status: str) -> None:
        self._charger.memory.upload = None
        self._say(order, status)

    def _say(self, order: LogUpload, status: str) -> None:
        told = Told(status=status, request_id=order.request_id)
        self._charger.memory.upload_told = told
        self._tell(told, get_log=order.request_id is not None)

    def _tell(self, told: Told, *, get_log: bool) -> None:
        action = "LogStatusNotification" if get_log else "DiagnosticsStatusNotification"
        self._notices.say(action, payload_of(told))


def log_content(identity: str, name: str, size_bytes: int) -> bytes:
    """What a charger uploads under this name."""
    lines: list[bytes] = []
    made = 0
    while made < size_bytes:
        lines.append(f"{identity} {name} {len(lines):08} all is well\n".encode())
        made += len(lines[-1])
    return b"".join(lines)[:size_bytes]
