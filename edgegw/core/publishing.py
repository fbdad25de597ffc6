"""Firmware files that the site publishes for the cloud: OCPP 2.x use cases L03 and L04. No I/O, no clock.

Rules of this file:
- A file is known by the MD5 of all of it (L03.FR.02): 32 hexadecimal digits, in either case, one file.
- Every status that is entered is reported, in order, none left out (L03.FR.01). A file that is on site
  already goes through the same statuses: the cloud sees one story. `Idle` is an answer to a trigger only.
- DownloadFailed, InvalidChecksum, PublishFailed and Published end it. Between attempts it is DownloadPaused.
  Only a download is tried again, `retries` times: a wrong file does not become right by fetching it again.
- What is accepted is on disk before the cloud hears so. After a restart what was not finished begins again
  with the attempts it has left, and an end that the cloud has not confirmed is reported again.
- The address may carry a password: it is kept until the file is published or given up, and is in no text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from edgegw.core.calls import NEVER
from edgegw.core.effects import Noticed
from edgegw.core.events import Instant
from edgegw.core.records import Document, SaveDocument

DOCUMENT_KIND = "published"
SCHEMES = frozenset({"http", "https", "ftp", "sftp"})
DOWNLOADS_MAX = 2  # at once: more would only share the site's line to the cloud
PUBLICATIONS_MAX = 64  # files known at once; a site has a handful of charger models
RETRIES_DEFAULT = 2  # the cloud leaves it to us
RETRIES_MAX = 100
RETRY_INTERVAL_DEFAULT_S = 60
RETRY_INTERVAL_MAX_S = 86_400
LOCATION_LENGTH_MAX = 512  # OCPP 2.0.1 PublishFirmwareStatusNotification

_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Stage(StrEnum):
    """PublishFirmwareStatusEnumType."""

    IDLE = "Idle"
    SCHEDULED = "DownloadScheduled"
    DOWNLOADING = "Downloading"
    PAUSED = "DownloadPaused"
    DOWNLOADED = "Downloaded"
    VERIFIED = "ChecksumVerified"
    PUBLISHED = "Published"
    DOWNLOAD_FAILED = "DownloadFailed"
    INVALID_CHECKSUM = "InvalidChecksum"
    PUBLISH_FAILED = "PublishFailed"


ENDS = frozenset({Stage.PUBLISHED, Stage.DOWNLOAD_FAILED, Stage.INVALID_CHECKSUM, Stage.PUBLISH_FAILED})
REPORTABLE = frozenset({Stage.DOWNLOADING, Stage.PAUSED, Stage.DOWNLOADED, Stage.VERIFIED})  # while it runs
_WAY = (Stage.DOWNLOADING, Stage.DOWNLOADED, Stage.VERIFIED, Stage.PUBLISHED)
# The last stage that a file was in before this end, if it ended so.
_BEFORE = {Stage.INVALID_CHECKSUM: Stage.DOWNLOADED, Stage.PUBLISH_FAILED: Stage.VERIFIED}


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """One file, as it is kept. `stage` IDLE: accepted, nothing reported yet."""

    md5: str
    request_id: int
    url: str = ""  # a secret; "" once it ended
    retries: int = RETRIES_DEFAULT
    retry_interval_s: int = RETRY_INTERVAL_DEFAULT_S
    failures: int = 0
    stage: Stage = Stage.IDLE
    locations: tuple[str, ...] = ()
    told: Stage | None = None  # the last status that the cloud has confirmed
    told_order: int = 0  # counts over all files: which confirmation was the last


# --- with the runtime -----------------------------------------------------------------------------


class PublishWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Effect: fetch, check and publish this file. `PublishProgress` with the same `run` follow."""

    run: int
    request_id: int
    url: str  # a secret
    md5: str
    attempt: int  # 1, 2, ...


class PublishStopped(msgspec.Struct, frozen=True):
    """Effect: nobody wants this run any more; nothing it still says is listened to."""

    run: int


class PublishProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Event: a run is in this stage now. An end comes once; `locations` with PUBLISHED, else `why`."""

    run: int
    stage: Stage
    locations: tuple[str, ...] = ()
    why: str = ""


class StatusReport(msgspec.Struct, frozen=True, kw_only=True):
    """For the station's queue: one PublishFirmwareStatusNotification."""

    md5: str
    request_id: int
    stage: Stage
    locations: tuple[str, ...] = ()

    def payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = {"status": self.stage.value, "requestId": self.request_id}
        if self.locations:
            payload["location"] = list(self.locations)
        return payload


PublishEffect = SaveDocument | Noticed | PublishWanted | PublishStopped | StatusReport


class Publishing:
    """All files of the site. `wake_at` is when `woke` wants to be called (mono)."""

    def __init__(
        self, documents: Iterable[Document] = (), location_length_max: int = LOCATION_LENGTH_MAX
    ) -> None:
        self.files: dict[str, Publication] = {}
        self._location_length_max = location_length_max
        self._runs: dict[int, str] = {}  # run -> md5
        self._last_run = 0
        self._waiting: list[str] = []  # for a turn to download
        self._due: dict[str, float] = {}  # md5 -> when the next attempt may begin (mono)
        for document in documents:
            if document.kind == DOCUMENT_KIND:
                self._recover(document)

    def _recover(self, document: Document) -> None:
        try:
            file = msgspec.json.decode(document.value, type=Publication)
        except msgspec.DecodeError:
            return  # of an edgegw that kept it otherwise: the cloud can order it again
        if file.stage not in ENDS:
            file = replace(file, stage=Stage.IDLE)
            self._waiting.append(file.md5)
        self.files[file.md5] = file

    @property
    def wake_at(self) -> float:
        return min(self._due.values(), default=NEVER)

    @property
    def last_told(self) -> Publication | None:
        """The file of the last status that the cloud has confirmed."""
        told = [file for file in self.files.values() if file.told is not None]
        return max(told, key=lambda file: file.told_order, default=None)

    def resume(self) -> list[PublishEffect]:
        """Once, after a restart."""
        unheard = [f for f in self.files.values() if f.stage in ENDS and f.told is not f.stage]
        return [*(_report(file) for file in unheard), *self._take_turns()]

    # --- what the cloud orders -------------------------------------------------------------------

    def order(self, payload: dict[str, Any]) -> tuple[str, list[PublishEffect], list[PublishEffect]]:
        """PublishFirmware: ("", what must be before the answer, what comes after it).

        Or why not: a reason code of the specification, with two empty lists.
        """
        md5, url = payload["checksum"].lower(), payload["location"]
        if not is_md5(md5):
            return "InvalidValue", [], []
        if not _is_fetchable(url):
            return "InvalidURL", [], []
        room = self._make_room(md5)
        if room is None:
            return "OutOfStorage", [], []
        before, after = self._accept(_ordered(md5, url, payload))
        return "", [*room, *before], after

    def _accept(self, file: Publication) -> tuple[list[PublishEffect], list[PublishEffect]]:
        known = self.files.get(file.md5)
        stopped: list[PublishEffect] = []
        if known is not None and known.stage not in ENDS:
            if known.url == file.url:
                return self._join(known, file)
            stopped = self._stop(file.md5)  # the first address may have been the wrong one
        if known is not None:
            file = replace(file, locations=known.locations)  # it may be published from an earlier order
        saved = self._keep(file, durable=True)
        self._waiting.append(file.md5)
        return [saved], [*stopped, *self._take_turns()]

    def _join(self, known: Publication, file: Publication) -> tuple[list[PublishEffect], list[PublishEffect]]:
        """The same file from the same place is under way: it goes on, and reports to the newest request."""
        if known.request_id == file.request_id:
            return [], []
        joined = replace(file, failures=known.failures, stage=known.stage, locations=known.locations)
        saved = self._keep(joined, durable=True)
        return [saved], [] if joined.stage is Stage.IDLE else [_report(joined)]

    def _make_room(self, md5: str) -> list[PublishEffect] | None:
        """The oldest that failed makes room; a published one never does. None: there is no room."""
        if md5 in self.files or len(self.files) < PUBLICATIONS_MAX:
            return []
        for other in self.files.values():
            if other.stage in ENDS and other.stage is not Stage.PUBLISHED and not other.locations:
                return [self._forget(other.md5)]
        return None

    def is_downloading(self, md5: str) -> bool:
        """Is the box itself fetching it now?"""
        return md5.lower() in self._runs.values()

    def unpublished(self, md5: str) -> list[PublishEffect]:
        """The file is not published any more, or never was; an order that waits is called off with it."""
        md5 = md5.lower()
        if md5 not in self.files or self.is_downloading(md5):
            return []
        self._stop(md5)
        return [self._forget(md5)]

    # --- how it gets on --------------------------------------------------------------------------

    def progressed(self, event: PublishProgress, now: Instant) -> list[PublishEffect]:
        md5 = self._runs.get(event.run)
        if md5 is None:
            return []
        if event.stage not in ENDS:
            return self._enter(md5, event.stage) if event.stage in REPORTABLE else []
        del self._runs[event.run]
        if event.stage is Stage.PUBLISHED:
            effects = self._published(md5, event.locations)
        elif event.stage is Stage.DOWNLOAD_FAILED:
            effects = self._download_failed(md5, event.why, now)
        else:
            effects = self._gave_up(md5, event.stage, event.why)
        return [*effects, *self._take_turns()]

    def _published(self, md5: str, locations: tuple[str, ...]) -> list[PublishEffect]:
        fitting = tuple(url for url in locations if 0 < len(url) <= self._location_length_max)
        if not fitting:
            why = "no address to offer it at" if not locations else "its addresses are too long for OCPP"
            return self._gave_up(md5, Stage.PUBLISH_FAILED, why)
        text = f"firmware {md5} is published at {len(fitting)} addresses"
        self._change(md5, locations=fitting)
        return [*self._enter(md5, Stage.PUBLISHED), Noticed("firmware_published", text, warning=False)]

    def _download_failed(self, md5: str, why: str, now: Instant) -> list[PublishEffect]:
        file = self.files[md5]
        if file.failures >= file.retries:
            return self._gave_up(md5, Stage.DOWNLOAD_FAILED, why)
        self._change(md5, failures=file.failures + 1)
        self._due[md5] = now.mono + file.retry_interval_s
        text = f"firmware {md5} could not be fetched, trying again in {file.retry_interval_s} s: {why}"
        return [*self._enter(md5, Stage.PAUSED), Noticed("firmware_publish_retried", text)]

    def _gave_up(self, md5: str, stage: Stage, why: str) -> list[PublishEffect]:
        before = _BEFORE.get(stage)
        effects = [] if before is None or self._is_past(md5, before) else self._enter(md5, before)
        text = f"firmware {md5} is not published ({stage.value}): {why}"
        return [*effects, *self._enter(md5, stage), Noticed("firmware_not_published", text)]

    def woke(self, now: Instant) -> list[PublishEffect]:
        for md5 in [md5 for md5, due in self._due.items() if due <= now.mono]:
            del self._due[md5]
            self._waiting.append(md5)
        return self._take_turns()

    def told(self, report: StatusReport) -> list[PublishEffect]:
        """The cloud has answered this report."""
        file = self.files.get(report.md5)
        if file is None or file.request_id != report.request_id:
            return []
        last = self.last_told
        order = last.told_order + 1 if last is not None else 1
        return [self._keep(replace(file, told=report.stage, told_order=order), durable=False)]

    # --- inside ----------------------------------------------------------------------------------

    def _enter(self, md5: str, stage: Stage) -> list[PublishEffect]:
        """Be in this stage; report it and those on the way to it that nobody spoke of."""
        file = self.files[md5]
        if file.stage is stage:
            return []
        first = _WAY.index(file.stage) + 1 if file.stage in _WAY else 0
        last = _WAY.index(stage) if stage in _WAY else 0
        reports = [_report(replace(file, stage=passed)) for passed in _WAY[first:last]]
        file = replace(file, stage=stage, url="" if stage in ENDS else file.url)
        saved = self._keep(file, durable=stage in ENDS)
        return [saved, *reports, _report(file)]

    def _is_past(self, md5: str, stage: Stage) -> bool:
        now = self.files[md5].stage
        return now in _WAY and _WAY.index(now) >= _WAY.index(stage)

    def _take_turns(self) -> list[PublishEffect]:
        effects: list[PublishEffect] = []
        while self._waiting and len(self._runs) < DOWNLOADS_MAX:
            effects.append(self._start(self._waiting.pop(0)))
        for md5 in self._waiting:
            effects += self._enter(md5, Stage.SCHEDULED)
        return effects

    def _start(self, md5: str) -> PublishWanted:
        file = self.files[md5]
        self._last_run += 1
        self._runs[self._last_run] = md5
        return PublishWanted(
            run=self._last_run,
            request_id=file.request_id,
            url=file.url,
            md5=md5,
            attempt=file.failures + 1,
        )

    def _stop(self, md5: str) -> list[PublishEffect]:
        """Out of every queue."""
        self._due.pop(md5, None)
        self._waiting = [other for other in self._waiting if other != md5]
        runs = [run for run, running in self._runs.items() if running == md5]
        for run in runs:
            del self._runs[run]
        return [PublishStopped(run) for run in runs]

    def _change(self, md5: str, **changes: Any) -> None:
        """For what `_enter` saves a moment later."""
        self.files[md5] = replace(self.files[md5], **changes)

    def _keep(self, file: Publication, *, durable: bool) -> SaveDocument:
        self.files[file.md5] = file
        value = msgspec.json.encode(file)
        return SaveDocument(kind=DOCUMENT_KIND, charger="", key=file.md5, value=value, durable=durable)

    def _forget(self, md5: str) -> SaveDocument:
        del self.files[md5]
        return SaveDocument(kind=DOCUMENT_KIND, charger="", key=md5, value=None)


def is_md5(text: str) -> bool:
    """In lower case."""
    return _MD5.fullmatch(text) is not None


def _report(file: Publication) -> StatusReport:
    locations = file.locations if file.stage is Stage.PUBLISHED else ()
    return StatusReport(md5=file.md5, request_id=file.request_id, stage=file.stage, locations=locations)


def _ordered(md5: str, url: str, payload: dict[str, Any]) -> Publication:
    retries = payload.get("retries", RETRIES_DEFAULT)
    interval_s = payload.get("retryInterval", RETRY_INTERVAL_DEFAULT_S)
    return Publication(
        md5=md5,
        request_id=payload["requestId"],
        url=url,
        retries=min(max(retries, 0), RETRIES_MAX),
        retry_interval_s=min(max(interval_s, 1), RETRY_INTERVAL_MAX_S),
    )


def _is_fetchable(url: str) -> bool:
    """A first look; what the address leads to is judged by whoever fetches it."""
    if not url.isascii() or any(character <= " " for character in url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme.lower() in SCHEMES and bool(parts.hostname)
    except ValueError:
        return False
