"""The part of the control client that fetches a backup."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, TypeVar

from httpx_sse import EventSource, ServerSentEvent, SSEError
from pydantic import BaseModel, ValidationError

from edgegw.control import backup_models as models
from edgegw.control import faults
from edgegw.control.models import ErrorBody
from edgegw.control.talks import Talks

BLOCK_BYTES = 256 * 1024
SILENT_S = 120.0  # a disk that syncs slowly says nothing for a while

Told = Callable[[models.BackupProgress], None]
Moved = Callable[[int], None]
T = TypeVar("T", bound=BaseModel)


class BackupClient(Talks):
    """Mixed into `ControlClient`, which does the talking."""

    where: str

    def make_backup(self, *, telemetry: bool = False, told: Told) -> models.BackupReady:
        """The gateway copies its store; the archive then waits for `fetch_backup`."""
        with self._streaming(
            "/v1/backup", method="POST", json={"telemetry": telemetry}, timeout=SILENT_S
        ) as answer:
            try:
                for event in EventSource(answer).iter_sse():
                    if event.event == "progress":
                        told(self._heard(models.BackupProgress, event))
                    elif event.event == "ready":
                        return self._heard(models.BackupReady, event)
                    elif event.event == "failed":
                        error = self._heard(ErrorBody, event).error
                        raise faults.Refused(0, error.code, error.text)
            except SSEError as error:
                raise faults.strange(self.where, answer) from error
        raise faults.NotReachable(f"the gateway on {self.where} ended the backup: it stops or starts again")

    def fetch_backup(self, ready: models.BackupReady, into: BinaryIO, *, moved: Moved) -> int:
        """Write the archive into `into`; how many bytes it has. Raises OSError."""
        size_bytes = 0
        with self._streaming(f"/v1/backup/{ready.id}", timeout=SILENT_S) as answer:
            for block in answer.iter_bytes(BLOCK_BYTES):
                into.write(block)
                size_bytes += len(block)
                moved(size_bytes)
        return size_bytes

    def _heard(self, model: type[T], event: ServerSentEvent) -> T:
        try:
            return model.model_validate_json(event.data)
        except ValidationError as error:
            raise faults.NotUnderstood(
                f"edgegw on {self.where} sent something that this edgegw does not understand: a bug"
            ) from error
