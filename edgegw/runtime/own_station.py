"""The box's own identity at run time: a leg to the cloud, its decisions (`core.own_station`), their effects.

Rules of this file:
- One leg, dialled at the site's pace and with its back-off; it is kept as long as the process lives.
- Effects go through a `Sequencer`: what was accepted is on disk before the cloud hears so.
- A document that could not be stored, or a bug, makes the decisions start over from what is on disk for sure.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import uuid
from collections.abc import Callable, Iterable
from typing import Any, cast
from urllib.parse import quote

import msgspec

from edgegw.core.calls import NEVER
from edgegw.core.effects import CloseCloud, Effect, Noticed, SendCloud
from edgegw.core.events import CloudConnected, CloudLost, CloudSpoke, Instant, Woke
from edgegw.core.own_station import OwnStation, StationEffect, StationEvent, UnpublishWanted
from edgegw.core.own_variables import OwnFacts
from edgegw.core.publishing import DOCUMENT_KIND, PublishStopped, PublishWanted
from edgegw.core.records import Document, SaveDocument, StoreOp
from edgegw.runtime import clock
from edgegw.runtime.backoff import Backoff, BackoffSettings
from edgegw.runtime.ports import CloudDialler, DialFailed, DialRequest, DialTurns, Leg
from edgegw.runtime.publisher import Publisher, PublishRuns
from edgegw.runtime.sequencer import Done, Sequencer
from edgegw.runtime.tasks import Tasks
from edgegw.wire.frames import FrameRefused, parse
from edgegw.wire.versions import Version

log = logging.getLogger("edgegw.own_station")

STOP_WITHIN_S = 2.0  # for the closing handshake
START_OVER_S = 1.0  # a bug that comes again at once must not fill the log
TIMER_MAX_S = 3600.0  # a deadline further off is looked at again then
BACKLOG_MAX = 32  # effects behind the disk; beyond it the cloud is slowed down by TCP


class StationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """From the site file."""

    cloud_url: str
    version: Version = Version.V201
    password: bytes | None = None
    backoff: BackoffSettings = BackoffSettings()


def _logged(notice: Noticed) -> None:
    log.log(logging.WARNING if notice.warning else logging.INFO, "%s", notice.text)


class StationRunner:
    """`start` once, `stop` once. `connected`, `error` and `station.registration` are for people."""

    def __init__(
        self,
        settings: StationSettings,
        facts: OwnFacts,
        documents: Iterable[Document],
        dialler: CloudDialler,
        publisher: Publisher,
        commit: Callable[[list[StoreOp], Done], None],
        *,
        turns: DialTurns | None = None,
        noticed: Callable[[Noticed], None] = _logged,
    ) -> None:
        """`commit` as `Gateway.commit`: `done` is not called for what nobody waits for."""
        self.error = ""  # why there is no connection
        self._settings = settings
        self._facts = facts
        self._kept = {d.key: d for d in documents if d.kind == DOCUMENT_KIND}  # known to be on disk
        self._dialler = dialler
        self._publisher = publisher
        self._commit_to = commit
        self._turns = turns
        self._noticed = noticed
        self._tasks = Tasks()
        self._sequencer = Sequencer(self._perform, self._commit, self._start_over)
        self.station = self._new_station()
        self._runs = PublishRuns(publisher, self._tasks, self.handle)
        self._leg: Leg | None = None
        self._gone = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._rebirth: asyncio.TimerHandle | None = None
        self._stopping = False

    def _new_station(self) -> OwnStation:
        kept = tuple(self._kept.values())
        return OwnStation(self._facts, self._settings.version, lambda: str(uuid.uuid4()), kept)

    @property
    def connected(self) -> bool:
        return self._leg is not None

    def start(self) -> None:
        self._begin()
        self._tasks.spawn(self._keep_connected(), f"own station {self._facts.identity}")

    async def stop(self) -> None:
        """Nothing of it is left running; what was on its way to the disk gets there by the store."""
        self._stopping = True
        for timer in (self._timer, self._rebirth):
            if timer is not None:
                timer.cancel()
        await self._tasks.cancel()
        if self._leg is None:
            return
        self._leg.close(1001, "the gateway stops")
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await self._gone.wait()
        except TimeoutError:
            log.warning("the cloud did not close the connection of %s", self._facts.identity)

    # --- decisions -------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._carry_out(self.station.begin)

    def handle(self, event: StationEvent) -> None:
        if not self._stopping:
            self._carry_out(lambda now: self.station.handle(event, now))

    def _carry_out(self, decide: Callable[[Instant], list[StationEffect]]) -> None:
        try:
            effects = decide(clock.now())
        except Exception as bug:  # the supervisor's edge
            log.exception("own station %s: bug", self._facts.identity)
            self._start_over(bug)
            return
        # The sequencer only looks for store operations; who carries out the others is `_perform`.
        self._sequencer.push(cast(list[Effect], effects))
        wake = self.station.wake_at
        if wake < self._timer_at:
            self._arm(wake)

    def _arm(self, wake: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = wake
        wait_s = min(max(0.0, wake - clock.now().mono), TIMER_MAX_S)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._timer_at = NEVER
        wake = self.station.wake_at
        if wake <= clock.now().mono:
            self.handle(Woke())
        elif wake < NEVER:
            self._arm(wake)

    def _start_over(self, error: BaseException) -> None:
        """Nothing behind the failure happened, and what was decided since is void."""
        log.error("own station %s starts over: %s", self._facts.identity, error)
        self._sequencer.halt()
        self._runs.cancel()
        if self._rebirth is None and not self._stopping:
            self._rebirth = asyncio.get_running_loop().call_later(START_OVER_S, self._reborn)
        self._drop("starts over")

    def _reborn(self) -> None:
        self._rebirth = None
        self._drop("starts over")  # a leg that opened meanwhile spoke to decisions that are void
        self._sequencer.reset()
        self.station = self._new_station()
        self._runs = PublishRuns(self._publisher, self._tasks, self.handle)
        self._begin()

    # --- the leg ---------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        backoff = Backoff(self._settings.backoff)
        while True:
            if self._turns is not None:
                await self._turns.wait()
            retry_after_s = await self._connect(backoff)
            await asyncio.sleep(backoff.failed(random.random(), retry_after_s))  # noqa: S311  jitter

    async def _connect(self, backoff: Backoff) -> float | None:
        """Dial; when that succeeds, until the leg is gone. How long the cloud wants quiet, if it said so."""
        self._gone.clear()
        try:
            await self._dialler.dial(self._request())
        except DialFailed as failure:
            if failure.text != self.error:
                log.warning("own station %s: %s", self._facts.identity, failure.text)
            self.error = failure.text
            return failure.retry_after_s
        backoff.reset()
        await self._gone.wait()
        return None

    def _request(self) -> DialRequest:
        identity, settings = self._facts.identity, self._settings
        return DialRequest(
            identity=identity,
            raw_segment=quote(identity, safe=""),
            base_url=settings.cloud_url,
            subprotocols=(settings.version.value,),
            authorization=basic_header(identity, settings.password),
            compression=True,  # 2.x Part 4 3.4
            listener=_Side(self),
        )

    def opened(self, leg: Leg) -> None:
        self._leg = leg
        self.error = ""
        log.info("own station %s: connected to %s", self._facts.identity, leg.peer)
        self.handle(CloudConnected())

    def said(self, leg: Leg | None, data: bytes) -> None:
        if leg is None or leg is not self._leg:
            return
        try:
            frame = parse(data, self._settings.version)
        except FrameRefused as refusal:
            self._refuse(leg, refusal)
            return
        self.handle(CloudSpoke(frame))
        if self._sequencer.held > BACKLOG_MAX:
            self._slow_down(leg)

    def _refuse(self, leg: Leg, refusal: FrameRefused) -> None:
        log.warning("own station %s: refused a message of the cloud: %s", self._facts.identity, refusal.rule)
        if refusal.reply is not None:
            leg.send(refusal.reply)
        if refusal.close_code is not None:
            leg.close(refusal.close_code, refusal.rule)

    def _slow_down(self, leg: Leg) -> None:
        leg.pause_reading()
        asyncio.get_running_loop().call_later(0.05, self._speed_up, leg)

    def _speed_up(self, leg: Leg) -> None:
        if leg is not self._leg:
            return
        if self._sequencer.held > BACKLOG_MAX:
            asyncio.get_running_loop().call_later(0.05, self._speed_up, leg)
        else:
            leg.resume_reading()

    def closed(self, leg: Leg | None, code: int, reason: str) -> None:
        if leg is None or leg is not self._leg:
            return
        self._leg = None
        self.error = f"closed with {code}" + (f": {reason}" if reason else "")
        self._sequencer.forget(SendCloud, CloseCloud)
        self.handle(CloudLost(reason))
        self._gone.set()

    def _drop(self, reason: str) -> None:
        """Let go of the leg now; its closing handshake runs on without us."""
        leg = self._leg
        if leg is not None:
            leg.close(1000, reason)
            self.closed(leg, 1000, reason)

    # --- effects ---------------------------------------------------------------------------------

    def _perform(self, effect: Any) -> None:
        match effect:
            case SendCloud(data):
                if self._leg is not None:
                    self._leg.send(data)
            case CloseCloud(reason):
                self._drop(reason)
            case Noticed():
                self._noticed(effect)
            case PublishWanted():
                self._runs.begin(effect)
            case PublishStopped(run):
                self._runs.stop(run)
            case UnpublishWanted():
                self._runs.unpublish(effect)

    def _commit(self, ops: list[StoreOp], done: Done) -> None:
        if not any(isinstance(op, SaveDocument) and op.durable for op in ops):
            self._remember(ops)  # nobody waits for it
            self._commit_to(ops, done)
            return

        def finished(error: BaseException | None) -> None:
            if error is None:
                self._remember(ops)
            done(error)

        self._commit_to(ops, finished)

    def _remember(self, ops: list[StoreOp]) -> None:
        for op in ops:
            if not isinstance(op, SaveDocument):
                continue
            if op.value is None:
                self._kept.pop(op.key, None)
            else:
                self._kept[op.key] = Document(op.kind, op.charger, op.key, op.value)


class _Side:
    """Listener of one leg; the runner is deaf to all but the current one."""

    __slots__ = ("_leg", "_runner")

    def __init__(self, runner: StationRunner) -> None:
        self._runner = runner
        self._leg: Leg | None = None

    def on_open(self, leg: Leg) -> None:
        self._leg = leg
        self._runner.opened(leg)

    def on_text(self, data: bytes) -> None:
        self._runner.said(self._leg, data)

    def on_closed(self, code: int, reason: str) -> None:
        self._runner.closed(self._leg, code, reason)


def basic_header(identity: str, password: bytes | None) -> str | None:
    """RFC 7617; the password is sent as it is (2.x A00.FR.205)."""
    if password is None:
        return None
    return "Basic " + base64.b64encode(identity.encode() + b":" + password).decode()
