"""What is kept of a charger's files over a restart: the update under way, the uploads under way.

Data only; `firmware` and `diagnostics` decide. A firmware order is a job, not a live command: the file may
take longer than any connection lasts, so the order outlives the cloud's connection and the box. An upload is
as live as the CALL that asked for it until the charger has said that it is done; then the box owes the cloud
a file.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from edgegw.core.calls import NEVER
from edgegw.core.files import FirmwareFetched, UploadOpened
from edgegw.core.records import Document

SITE_REQUESTS_MAX = 16  # request ids of the box that a charger may still report on
OWED_MAX = 8  # files of one charger that are here and not yet where the cloud wants them
SILENT_S = 86_400.0  # an update or upload without a word for so long is over for whoever wants another

FIRMWARE, UPLOAD, REQUESTS = "firmware", "upload", "file_requests"  # kinds of documents
KINDS = frozenset({FIRMWARE, UPLOAD, REQUESTS})


class Stage(StrEnum):
    FETCHING = "fetching"  # the charger has not heard of it: the file, or the charger, is not here yet
    SENT = "sent"  # the charger was told, and has not answered
    LOCAL = "local"  # the charger took the local link
    ORIGINAL = "original"  # the charger has the origin's own address
    FAILED = "failed"  # over; it could not use the local link: next time it gets the original at once


class FirmwareOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One update of one charger. There is at most one: the newest."""

    id: str
    action: str
    version: str = ""  # of OCPP; another one cannot carry it
    request_id: int | None = None  # None: plain 1.6, which has none
    raw: bytes = b""  # the cloud's CALL as it came; b"" when the site itself ordered it
    location: str = ""
    stage: Stage = Stage.FETCHING
    told: bool = False  # the cloud has its answer, or nobody waits for one any more
    relayed: bool = False  # the charger's answer goes to the cloud
    original: bool = False  # the charger is given the origin's own address
    failures: int = 0  # times the charger said DownloadFailed of the local link
    failed_local: bool = False  # the charger cannot use it
    after_site: bool = False  # it took the place of an update of the site: the cloud must not notice
    after_told: bool = False  # of one that the cloud was told Accepted and the charger never heard of
    at: float = 0.0  # wall clock, when it came
    heard_at: float = 0.0  # wall clock, the charger's last word

    @property
    def by_site(self) -> bool:
        return not self.raw

    @property
    def runs(self) -> bool:
        return self.stage is not Stage.FAILED

    @property
    def at_charger(self) -> bool:
        return self.stage in (Stage.SENT, Stage.LOCAL, Stage.ORIGINAL)

    def is_silent(self, wall: float) -> bool:
        """At the charger, which has not said a word for long: it will not any more."""
        return self.at_charger and abs(wall - max(self.at, self.heard_at)) > SILENT_S


class UploadStage(StrEnum):
    OPENING = "opening"  # the charger has not heard of it
    SENT = "sent"
    RUNNING = "running"  # the charger accepted it, or may have
    OWED = "owed"  # the charger is done; the cloud hears so when the file is where it wants it


class UploadOrder(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    action: str
    version: str = ""
    at: float = 0.0  # wall clock, when it came
    request_id: int | None = None  # None: 1.6 GetDiagnostics, which has none
    raw: bytes = b""  # the cloud's CALL; b"" when somebody on site asked
    stage: UploadStage = UploadStage.OPENING
    original: bool = False  # the charger sends it to the cloud's own address
    after_site: bool = False  # it took the place of one that was asked for on site
    uploaded: bytes = b""  # the charger's own word that it is done, for the cloud

    @property
    def by_site(self) -> bool:
        return not self.raw

    @property
    def at_charger(self) -> bool:
        return self.stage in (UploadStage.SENT, UploadStage.RUNNING)

    def is_silent(self, wall: float) -> bool:
        return self.at_charger and abs(wall - self.at) > SILENT_S


class SiteWork(msgspec.Struct, frozen=True, kw_only=True):
    """What the site asked of a charger, so that its late words about it never reach the cloud."""

    requests: tuple[int, ...] = ()  # ids, newest last
    reports: tuple[int, ...] = ()  # the same of inventories: others, so that asking for them pushes none out
    update: bool = False  # the last update it was sent is the site's (plain 1.6 statuses have no id)
    log: bool = False  # the same of the last upload


class FileOrders:
    """Of one charger. Mutable: the modules about files write it."""

    __slots__ = (
        "asked_protocols",
        "asking_protocols",
        "fetched",
        "firmware",
        "firmware_answer_by",
        "offer_at",
        "offer_due",
        "opened",
        "previous",
        "site",
        "triggered",
        "upload_answer_by",
        "uploads",
    )

    def __init__(self) -> None:
        self.firmware: FirmwareOrder | None = None
        self.firmware_answer_by = NEVER  # mono: then the cloud is answered although the file is not here
        self.previous: FirmwareOrder | None = None  # at the charger, while a newer one is fetched
        self.offer_due = False  # the newest waits for the charger's first word on this connection
        self.offer_at = NEVER  # mono: a charger that has said nothing until then has nothing to say first
        self.fetched: FirmwareFetched | None = None  # waits for what the charger says of its protocols
        self.opened: UploadOpened | None = None  # so does this
        self.uploads: dict[str, UploadOrder] = {}
        self.upload_answer_by = NEVER
        self.site = SiteWork()
        self.triggered: set[str] = set()  # statuses that the cloud has triggered and not heard yet
        self.asked_protocols = False  # on this connection
        self.asking_protocols = False

    def wake_at(self) -> float:
        return min(self.firmware_answer_by, self.upload_answer_by, self.offer_at)

    def recover(self, document: Document) -> None:
        """Whoever waited for an answer is gone with the process; what was only live is void."""
        if document.kind == FIRMWARE:
            order = msgspec.json.decode(document.value, type=FirmwareOrder)
            unanswered = order.stage is Stage.SENT
            stage = Stage.FETCHING if unanswered else order.stage
            if not (unanswered and order.by_site):  # its rollout sends it again
                self.firmware = msgspec.structs.replace(order, told=True, relayed=False, stage=stage)
        elif document.kind == UPLOAD:
            upload = msgspec.json.decode(document.value, type=UploadOrder)
            if upload.stage in (UploadStage.RUNNING, UploadStage.OWED):
                self.uploads[upload.id] = upload
        else:
            self.site = msgspec.json.decode(document.value, type=SiteWork)
