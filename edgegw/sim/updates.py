"""A charger's firmware: ordered, downloaded, checked, installed, booted into, and every step told.

    1.6             Downloading Downloaded Installing, reboot, Installed
    2.x, 1.6 signed [DownloadScheduled] Downloading Downloaded [SignatureVerified] [InstallScheduled]
                    Installing InstallRebooting, reboot, Installed
    in between      DownloadFailed, InvalidSignature or InstallationFailed end it

Rules of this file:
- An order is in the memory until it is over: a power loss begins it again, and one that was installed
  needs only the boot.
- A new order takes the place of an unfinished one, of which nothing more is heard.
- Installation waits until nobody charges; meanwhile nobody may begin to.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from edgegw.sim.desk import V16, timestamp
from edgegw.sim.firmware_image import certificate_holds, signature_holds, version_of
from edgegw.sim.memory import Told, Update
from edgegw.sim.notices import Notices
from edgegw.sim.transfers import Incoming, TransferFailed, download, persist

if TYPE_CHECKING:
    from edgegw.sim.file_work import FileWork

_OVER = {"Idle", "Installed", "DownloadFailed", "InstallationFailed", "InvalidSignature"}


class InstallFailed(Exception):
    """The image cannot be installed."""


class BadSignature(Exception):
    """The image is not what its maker signed."""


class Updates:
    def __init__(self, work: FileWork, notices: Notices) -> None:
        self._work, self._charger, self._notices = work, work.charger, notices
        self._task: asyncio.Task[None] | None = None

    def power_on(self) -> None:
        """Say what came of an installation, or begin an unfinished order again."""
        update = self._charger.memory.update
        if update is None:
            return
        if update.installed:
            self._installed(update)
        else:
            self._task = self._charger.spawn(self._run(update))

    def judge(self, update: Update) -> str:
        """The status an order is answered with; `begin` it when the answer is sent."""
        checks = self._charger.habits.checks_signature and update.certificate
        if checks and not certificate_holds(update.certificate):
            return "InvalidCertificate"
        return "Accepted" if self._charger.memory.update is None else "AcceptedCanceled"

    def begin(self, update: Update) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            self._charger.close(False)
        self._charger.memory.update = update
        self._charger.file.save()
        self._task = self._charger.spawn(self._run(update))

    def triggered(self) -> None:
        """The last status again, Idle when there is nothing to tell (2.x L01.FR.25, FR.26)."""
        told = self._charger.memory.update_told
        idle = told.status in _OVER if told.request_id is None else told.status in ("Idle", "Installed")
        self._tell(Told() if idle else told)

    # --- one update ---------------------------------------------------------------------------

    async def _run(self, update: Update) -> None:
        try:
            await self._until(update, update.retrieve_at, "DownloadScheduled")
            with self._incoming(update) as image:
                await self._fetch(update, image)
                self._check(update, image)
                await self._until_idle(update)
                await self._install(update, image)
        except TransferFailed as error:
            self._end(update, "DownloadFailed", str(error))
        except BadSignature:
            self._end(update, "InvalidSignature", "")
            self._security_event("InvalidFirmwareSignature")
        except InstallFailed as error:
            self._end(update, "InstallationFailed", str(error))
        else:
            await self._notices.said()
            await self._charger.reboot("FirmwareUpdate")

    async def _until(self, update: Update, when: float, status: str) -> None:
        wait_s = when - time.time()
        if wait_s > 0:
            self._say_scheduled(update, status)
            await asyncio.sleep(wait_s)

    def _say_scheduled(self, update: Update, status: str) -> None:
        if update.request_id is not None:  # plain 1.6 has no word for it
            self._say(update, status)

    def _incoming(self, update: Update) -> Incoming:
        habits = self._charger.habits
        if habits.download_fails_from and update.url.startswith(habits.download_fails_from):
            return Incoming(habits.download_fails_after_bytes, breaks_always=True)
        return Incoming(habits.download_cut_after_bytes)

    async def _fetch(self, update: Update, image: Incoming) -> None:
        habits = self._charger.habits

        async def attempt() -> None:
            if not habits.download_resumes:
                image.restart()
            await download(update.url, image, habits)

        self._say(update, "Downloading")
        await persist(attempt, update.attempts, update.retry_interval_s)
        self._work.moved(
            "downloaded", sha256=image.sha256, bytes=image.size_bytes, url=update.url, resumed=image.resumed
        )
        self._say(update, "Downloaded")

    def _check(self, update: Update, image: Incoming) -> None:
        if not update.signature:
            return
        checks = self._charger.habits.checks_signature
        if checks and not signature_holds(image.digest, update.certificate, update.signature):
            raise BadSignature
        self._say(update, "SignatureVerified")

    async def _until_idle(self, update: Update) -> None:
        sessions = self._charger.memory.sessions
        scheduled = update.install_at > time.time()
        await self._until(update, update.install_at, "InstallScheduled")
        self._charger.close(True)
        if sessions and not scheduled:
            self._say_scheduled(update, "InstallScheduled")
        await self._charger.wait_for(lambda: not sessions, None)

    async def _install(self, update: Update, image: Incoming) -> None:
        self._say(update, "Installing")
        await asyncio.sleep(self._charger.habits.install_s)
        if self._charger.habits.install_fails or not image.size_bytes:
            raise InstallFailed("the image cannot be installed")
        memory = self._charger.memory
        memory.firmware_version, memory.firmware_sha256 = version_of(image), image.sha256
        update.installed = True
        self._charger.file.save()
        if update.request_id is not None:
            self._say(update, "InstallRebooting")

    def _installed(self, update: Update) -> None:
        memory = self._charger.memory
        facts: dict[str, Any] = {"version": memory.firmware_version, "sha256": memory.firmware_sha256}
        self._work.moved("installed", **facts)
        self._end(update, "Installed", "")
        self._security_event("FirmwareUpdated")

    # --- what is told -------------------------------------------------------------------------

    def _end(self, update: Update, status: str, why: str) -> None:
        self._charger.close(False)
        self._charger.memory.update = None
        if why:
            self._work.failed(status, why)
        self._say(update, status)

    def _say(self, update: Update, status: str) -> None:
        told = Told(status=status, request_id=update.request_id)
        self._charger.memory.update_told = told
        self._tell(told)

    def _tell(self, told: Told) -> None:
        signed = self._charger.version == V16 and self._charger.habits.security
        action = "SignedFirmwareStatusNotification" if signed else "FirmwareStatusNotification"
        self._notices.say(action, payload_of(told))

    def _security_event(self, kind: str) -> None:
        """2.x L01.FR.03 and FR.31, the same in 1.6 with security."""
        if self._charger.version != V16 or self._charger.habits.security:
            self._notices.say("SecurityEventNotification", {"type": kind, "timestamp": timestamp()})


def payload_of(told: Told) -> dict[str, Any]:
    request = {} if told.request_id is None else {"requestId": told.request_id}
    return {"status": told.status, **request}
