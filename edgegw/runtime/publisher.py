"""Who fetches firmware for the cloud and offers it on site, as the own station sees it; the work under way.

Rules of this file:
- What a `Publisher` raises on purpose becomes a status for the cloud. Anything else is a bug: it is logged,
  and the cloud hears PublishFailed or a CALLERROR instead of nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Literal, Protocol

from edgegw.core.own_station import Unpublished, UnpublishSettled, UnpublishWanted
from edgegw.core.publishing import PublishProgress, PublishWanted, Stage
from edgegw.errors import EdgegwError
from edgegw.runtime.tasks import Tasks

log = logging.getLogger("edgegw.own_station")

FaultKind = Literal["download", "checksum", "publish"]
_STAGE_OF: dict[FaultKind, Stage] = {
    "download": Stage.DOWNLOAD_FAILED,
    "checksum": Stage.INVALID_CHECKSUM,
    "publish": Stage.PUBLISH_FAILED,
}


class PublishFault(EdgegwError):
    """A file could not be published. `text` is for people and holds no password."""

    def __init__(self, kind: FaultKind, text: str) -> None:
        super().__init__(text)
        self.kind: FaultKind = kind
        self.text = text


class Publisher(Protocol):
    """Fetches files and offers them to the chargers of the site."""

    async def publish(self, url: str, md5: str, on_stage: Callable[[Stage], None]) -> tuple[str, ...]:
        """The addresses of the file, one per protocol that is served. Raises PublishFault.

        `md5` in lower case. `on_stage` may be told DOWNLOADING, PAUSED, DOWNLOADED and VERIFIED, on the
        event loop; what is left out is filled in. Cancelled when the cloud wants the file from elsewhere, and
        at the end.
        """

    def ongoing(self, md5: str) -> bool:
        """Is a charger downloading this file now?"""

    async def unpublish(self, md5: str) -> bool:
        """Stop offering it. False when it is not offered."""


class PublishRuns:
    """The work of one `OwnStation`; `tell` takes its events until `cancel`."""

    def __init__(
        self, publisher: Publisher, tasks: Tasks, tell: Callable[[PublishProgress | UnpublishSettled], None]
    ) -> None:
        self._publisher = publisher
        self._tasks = tasks
        self._tell_to = tell
        self._runs: dict[int, asyncio.Task[Any]] = {}
        self._void = False

    def begin(self, wanted: PublishWanted) -> None:
        self._runs[wanted.run] = self._tasks.spawn(self._publish(wanted), f"publish {wanted.md5}")

    def stop(self, run: int) -> None:
        task = self._runs.pop(run, None)
        if task is not None:
            task.cancel()

    def cancel(self) -> None:
        """The decisions that wanted all this are void."""
        self._void = True
        for run in list(self._runs):
            self.stop(run)

    def _tell(self, event: PublishProgress | UnpublishSettled) -> None:
        if not self._void:
            self._tell_to(event)

    async def _publish(self, wanted: PublishWanted) -> None:
        end = await self._end_of(wanted)
        self._runs.pop(wanted.run, None)
        self._tell(end)

    async def _end_of(self, wanted: PublishWanted) -> PublishProgress:
        run = wanted.run
        try:
            locations = await self._publisher.publish(
                wanted.url, wanted.md5, lambda stage: self._tell(PublishProgress(run=run, stage=stage))
            )
        except PublishFault as fault:
            return PublishProgress(run=run, stage=_STAGE_OF[fault.kind], why=fault.text)
        except Exception:  # the supervisor's edge
            log.exception("bug while publishing %s", wanted.md5)
            return PublishProgress(run=run, stage=Stage.PUBLISH_FAILED, why="internal error")
        return PublishProgress(run=run, stage=Stage.PUBLISHED, locations=tuple(locations))

    def unpublish(self, wanted: UnpublishWanted) -> None:
        self._tasks.spawn(self._unpublish(wanted), f"unpublish {wanted.md5}")

    async def _unpublish(self, wanted: UnpublishWanted) -> None:
        try:
            outcome: Unpublished | None = await self._outcome(wanted.md5)
        except Exception:  # the supervisor's edge
            log.exception("bug while unpublishing %s", wanted.md5)
            outcome = None
        self._tell(UnpublishSettled(ticket=wanted.ticket, outcome=outcome))

    async def _outcome(self, md5: str) -> Unpublished:
        if self._publisher.ongoing(md5):
            return Unpublished.DOWNLOAD_ONGOING
        return Unpublished.DONE if await self._publisher.unpublish(md5) else Unpublished.NO_FIRMWARE
