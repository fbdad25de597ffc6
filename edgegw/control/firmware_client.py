"""The part of the control client that is about files: firmware, rollouts, what chargers uploaded.

Files go and come in blocks; nothing here holds a whole one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from edgegw.control import firmware_models as models
from edgegw.control.talks import Talks
from edgegw.errors import EdgegwError

BLOCK_BYTES = 256 * 1024
STORE_TIMEOUT_S = 600.0  # the box hashes and syncs a file before it answers

Moved = Callable[[int], None]  # told how many bytes have moved, each time some have


class DamagedOnTheWay(EdgegwError):
    """What arrived is not what was sent; it was taken back."""


def _nothing(moved_bytes: int) -> None:
    return


class FirmwareClient(Talks):
    """Mixed into `ControlClient`, which does the talking."""

    # --- firmware -------------------------------------------------------------------------------

    def firmware(self) -> models.FirmwareView:
        return self._get(models.FirmwareView, "/v1/firmware")

    def add_firmware(
        self, source: Path, *, vendor: str, model: str, version: str, name: str = "", moved: Moved = _nothing
    ) -> models.FileView:
        """Raises OSError when `source` cannot be read, DamagedOnTheWay, and what the client raises."""
        asked = {"name": name or source.name, "vendor": vendor, "model": model, "version": version}
        digest = hashlib.sha256()
        with source.open("rb"):  # to fail before anybody is asked
            size_bytes = source.stat().st_size
        answer = self._ask(
            "POST",
            "/v1/firmware/files",
            params=asked,
            content=_blocks(source, digest.update, moved),
            headers={"content-length": str(size_bytes), "content-type": "application/octet-stream"},
            timeout=STORE_TIMEOUT_S,
        )
        added = self._read(models.FileView, answer)
        if added.sha256 != digest.hexdigest():
            self.remove_firmware(added.sha256)
            raise DamagedOnTheWay(
                f"{source} arrived with another hash; it changed, or the disk of the box is bad"
            )
        return added

    def sign_firmware(self, sha256: str, *, certificate: str, signature: str) -> models.FileView:
        body = {"certificate": certificate, "signature": signature}
        path = f"/v1/firmware/files/{_segment(sha256)}/signature"
        return self._read(models.FileView, self._ask("PUT", path, json=body, timeout=STORE_TIMEOUT_S))

    def remove_firmware(self, sha256: str) -> models.FileRemoved:
        path = f"/v1/firmware/files/{_segment(sha256)}"
        return self._read(models.FileRemoved, self._ask("DELETE", path))

    # --- rollouts -------------------------------------------------------------------------------

    def rollouts(self) -> models.RolloutList:
        return self._get(models.RolloutList, "/v1/firmware/rollouts")

    def rollout(self, rollout_id: str) -> models.RolloutView:
        return self._get(models.RolloutView, f"/v1/firmware/rollouts/{_segment(rollout_id)}")

    def begin_rollout(self, order: models.RolloutOrder) -> models.RolloutView:
        body = order.model_dump()
        return self._read(models.RolloutView, self._ask("POST", "/v1/firmware/rollouts", json=body))

    def pause_rollout(self, rollout_id: str) -> models.RolloutView:
        return self._order_rollout(rollout_id, "pause")

    def resume_rollout(self, rollout_id: str) -> models.RolloutView:
        return self._order_rollout(rollout_id, "resume")

    def stop_rollout(self, rollout_id: str) -> models.RolloutView:
        return self._order_rollout(rollout_id, "stop")

    def _order_rollout(self, rollout_id: str, word: str) -> models.RolloutView:
        path = f"/v1/firmware/rollouts/{_segment(rollout_id)}/{word}"
        return self._read(models.RolloutView, self._ask("POST", path))

    # --- diagnostics ----------------------------------------------------------------------------

    def uploads(self) -> models.UploadList:
        return self._get(models.UploadList, "/v1/diagnostics")

    def upload(self, order: str) -> models.UploadView:
        return self._get(models.UploadView, f"/v1/diagnostics/{_segment(order)}")

    def ask_diagnostics(self, charger: str, kind: models.LogKind = "diagnostics") -> models.UploadView:
        """Order one; it is on its way when this returns."""
        path = f"/v1/chargers/{_segment(charger)}/diagnostics"
        return self._read(models.UploadView, self._ask("POST", path, json={"kind": kind}))

    def save_upload(self, order: str, target: Path, *, moved: Moved = _nothing) -> int:
        """Write an upload to `target`, whole or not at all; how many bytes it has. Raises OSError."""
        part = target.with_name(f"{target.name}.part")
        size_bytes = 0
        try:
            with (
                self._streaming(f"/v1/diagnostics/{_segment(order)}/file") as answer,
                part.open("wb") as file,
            ):
                for block in answer.iter_bytes(BLOCK_BYTES):
                    size_bytes += file.write(block)
                    moved(size_bytes)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return size_bytes

    def remove_upload(self, order: str, *, force: bool = False) -> models.UploadRemoved:
        answer = self._ask("DELETE", f"/v1/diagnostics/{_segment(order)}", params={"force": force})
        return self._read(models.UploadRemoved, answer)


def _blocks(source: Path, hashed: Callable[[bytes], None], moved: Moved) -> Iterator[bytes]:
    sent_bytes = 0
    with source.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            hashed(block)
            yield block
            sent_bytes += len(block)
            moved(sent_bytes)


def _segment(text: str) -> str:
    return quote(text, safe="")
