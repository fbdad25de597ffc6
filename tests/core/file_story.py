"""A story about files: policies with `[files]`, the CALLs of each version, and what the file service says."""

from __future__ import annotations

from typing import Any

from edgegw.core.files import (
    FetchFirmware,
    FetchOutcome,
    FilesPolicy,
    FirmwareFetched,
    FirmwareNews,
    OpenUpload,
    UploadNews,
    UploadOpened,
    UploadOutcome,
)
from edgegw.core.site import Site
from edgegw.wire.versions import Version
from tests.core.story import BOOT, V16, Story, story, time_at

ORIGIN = "https://vendor.example/fw/one-2.0.bin"
LINK = "http://10.0.0.5:9080/fw/TOKEN/one-2.0.bin"
FTP_LINK = "ftp://10.0.0.5:2121/fw/TOKEN/one-2.0.bin"
WANTED_AT = "ftp://logs.example/in/"
PLACE = "http://10.0.0.5:9080/up/TOKEN/"
WORKS = FilesPolicy(works=True)


class FileStory(Story):
    """The file service is a mailbox: what it was asked last, and what it says."""

    files_policy: FilesPolicy = WORKS
    order = ""  # for a test to remember one

    def restart(self) -> None:
        super().restart()
        self.site.files = self.files_policy

    def speaks_up(self) -> None:
        """The charger's first word on a connection, its boot aside."""
        self.charger.sends("Heartbeat")

    @property
    def asked(self) -> list[FetchFirmware | OpenUpload]:
        return [e for e in self.effects if isinstance(e, FetchFirmware | OpenUpload)]

    @property
    def news(self) -> list[tuple[str, str]]:
        return [(e.order, e.status) for e in self.effects if isinstance(e, FirmwareNews | UploadNews)]

    def fetched(self, *urls: str, outcome: FetchOutcome = FetchOutcome.READY, why: str = "") -> None:
        order = self.asked[-1].order
        self.happens(FirmwareFetched(order=order, outcome=outcome, urls=urls or (LINK,), why=why))

    def not_fetched(self, outcome: FetchOutcome, why: str = "404 Not Found") -> None:
        self.happens(FirmwareFetched(order=self.asked[-1].order, outcome=outcome, why=why))

    def opened(self, *urls: str, outcome: UploadOutcome = UploadOutcome.READY, why: str = "") -> None:
        order = self.asked[-1].order
        self.happens(UploadOpened(order=order, outcome=outcome, urls=urls or (PLACE,), why=why))


def file_story(
    version: Version, *, policy: FilesPolicy = WORKS, protocols: str = "HTTP,FTP", **site: Any
) -> FileStory:
    """Online; the charger has said which protocols it knows, unless `protocols` is ""."""
    plain = story(version, **site)
    told = FileStory(version, plain.policy)
    told.files_policy = policy
    told.site = Site(told.policy, told._new_id, files=policy)
    told.core = type(told.core)(told.identity, told.site)
    told.cloud.comes_back()
    told.charger.connects()
    told.charger.sends("BootNotification", BOOT[version])
    told.cloud.answers({"status": "Accepted", "currentTime": time_at(), "interval": 300})
    if protocols:
        told._sequencer.push([*told.core.state.save_profile(file_protocols=tuple(protocols.split(",")))])
    told.forget()
    return told


def update(
    version: Version, *, signed: bool = False, location: str = ORIGIN, request: int = 7
) -> tuple[str, Any]:
    """(action, payload) of the cloud's CALL; 1.6 plain, or by the security whitepaper."""
    if version is V16 and not signed:
        return "UpdateFirmware", {"location": location, "retrieveDate": time_at()}
    firmware = {"location": location, "retrieveDateTime": time_at()}
    if signed:
        firmware |= {"signingCertificate": "CERTIFICATE", "signature": "SIGNATURE"}
    action = "SignedUpdateFirmware" if version is V16 else "UpdateFirmware"
    return action, {"requestId": request, "firmware": firmware}


def get_log(
    version: Version, *, plain: bool = True, request: int = 9, location: str = WANTED_AT
) -> tuple[str, Any]:
    if version is V16 and plain:
        return "GetDiagnostics", {"location": location}
    log = {"remoteLocation": location}
    return "GetLog", {"logType": "DiagnosticsLog", "requestId": request, "log": log}


def status_of(version: Version, status: str, *, signed: bool = False, request: int = 7) -> tuple[str, Any]:
    if version is V16 and not signed:
        return "FirmwareStatusNotification", {"status": status}
    action = "SignedFirmwareStatusNotification" if version is V16 else "FirmwareStatusNotification"
    return action, {"status": status, "requestId": request}


def log_status_of(version: Version, status: str, *, plain: bool = True, request: int = 9) -> tuple[str, Any]:
    if version is V16 and plain:
        return "DiagnosticsStatusNotification", {"status": status}
    return "LogStatusNotification", {"status": status, "requestId": request}
