"""The way to the cloud: who may dial when, what the last dials said, and keeping every charger's leg up.

Rules of this file:
- A leg is dialled for a charger that is here, and dropped when the charger left meanwhile.
- Both legs of a charger speak one version, or it must connect again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from typing import Any

import msgspec

from edgegw.core import admission
from edgegw.runtime import clock
from edgegw.runtime.backoff import Backoff, BackoffSettings
from edgegw.runtime.ports import CloudDialler, DialFailed, DialRequest, DialTurns
from edgegw.runtime.session import Session
from edgegw.runtime.sides import CloudSide
from edgegw.runtime.tasks import Tasks
from edgegw.wire.versions import Version

log = logging.getLogger("edgegw.cloud")

PASSED_THROUGH = frozenset({401, 403, 404})  # the cloud's refusals that a charger must see
NO_COMMON_VERSION = 101  # so is this one: it is no outage, and says nothing about other chargers
TURN_WITHIN_S = 5.0  # a charger at the door waits this long for its turn to dial the cloud
AWAY_FOR_S = 15.0  # after a failed dial the cloud counts as away for new arrivals


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """From the site file; seconds throughout."""

    path: str = "/ocpp"
    cloud_url: str = ""  # "" for standalone
    known: frozenset[str] = frozenset()
    assumed_version: Version | None = None  # for chargers that offer no subprotocol
    replay_rate_per_s: float = 10.0
    connect_timeout_s: float = 10.0
    backoff: BackoffSettings = BackoffSettings()


class CloudWay:
    """Shared by all sessions. `failed_at` and `reached_at` are monotonic instants of the last dials."""

    def __init__(
        self, settings: GatewaySettings, dialler: CloudDialler | None, turns: DialTurns | None, tasks: Tasks
    ) -> None:
        self.failed_at = float("-inf")
        self.reached_at = float("-inf")
        self.error = ""
        self.dials: Counter[str] = Counter()  # by what came of them: "reached", "refused", "failed"
        self.stopping = False
        self.exists = dialler is not None and turns is not None
        self._settings = settings
        self._dialler = dialler
        self._turns = turns
        self._tasks = tasks
        self._not_before = 0.0  # the cloud asked for quiet (Retry-After), mono

    async def dial_for_newcomer(self, request: DialRequest) -> Any:
        """The cloud leg, or `DialFailed`; nobody at the door waits long."""
        assert self._turns is not None
        if self.is_away():
            return DialFailed(f"away: {self.error}")
        try:
            async with asyncio.timeout(TURN_WITHIN_S):
                await self._turns.wait()
        except TimeoutError:
            return DialFailed("too many chargers dial the cloud at once")
        return await self._dial(request)

    async def _dial(self, request: DialRequest) -> Any:
        assert self._dialler is not None
        try:
            leg = await self._dialler.dial(request)
        except DialFailed as failure:
            refused = failure.status in PASSED_THROUGH or failure.status == NO_COMMON_VERSION
            self.dials["refused" if refused else "failed"] += 1
            if not refused and request.base_url == self._settings.cloud_url:
                self._failed(failure)
            return failure
        self.dials["reached"] += 1
        if request.base_url == self._settings.cloud_url:  # an adopted charger's cloud is another one
            self._reached()
        return leg

    def _failed(self, failure: DialFailed) -> None:
        mono = clock.now().mono
        if self.error != failure.text:
            log.warning("cloud: %s", failure.text)
        self.failed_at = mono
        self.error = failure.text
        if failure.retry_after_s is not None:
            self._not_before = max(self._not_before, mono + failure.retry_after_s)

    def _reached(self) -> None:
        self.reached_at = clock.now().mono
        self.error = ""

    def is_away(self) -> bool:
        """The last dial failed a moment ago: nobody at the door has to wait for the next one."""
        mono = clock.now().mono
        failed_last = self.failed_at > self.reached_at
        return (failed_last and mono - self.failed_at < AWAY_FOR_S) or mono < self._not_before

    # --- the leg over time -----------------------------------------------------------------------

    def keep(self, session: Session) -> None:
        """Dial the cloud for this charger until it is reached or the charger leaves."""
        if self._dialler is None or session.redialling or self.stopping:
            return
        session.redialling = True
        self._tasks.spawn(self._redial(session), f"dial {session.identity}")

    async def _redial(self, session: Session) -> None:
        backoff = Backoff(self._settings.backoff)
        retry_after_s: float | None = None
        try:
            while True:
                await asyncio.sleep(self._wait_s(backoff, retry_after_s))
                if not await self._still_wanted(session):
                    return
                outcome = await self._dial_again(session)
                if not isinstance(outcome, DialFailed):
                    return
                retry_after_s = outcome.retry_after_s
        finally:
            session.redialling = False

    def _wait_s(self, backoff: Backoff, retry_after_s: float | None) -> float:
        wait_s = backoff.failed(random.random(), retry_after_s)  # noqa: S311  jitter, not a secret
        return max(wait_s, self._not_before - clock.now().mono)

    async def _still_wanted(self, session: Session) -> bool:
        if not session.wants_cloud:
            return False
        assert self._turns is not None
        await self._turns.wait()
        return session.wants_cloud

    async def _dial_again(self, session: Session) -> Any:
        charger_leg = session.charger_leg
        cloud = CloudSide()
        offered = session.offered or (session.version.value,)
        request = DialRequest(
            identity=session.identity,
            raw_segment=session.raw_segment,
            base_url=session.charger.state.profile.cloud_url or self._settings.cloud_url,
            subprotocols=offered,
            authorization=session.authorization,
            compression=session.compression and session.version.is_2x,
            listener=cloud,
        )
        outcome = await self._dial(request)
        if isinstance(outcome, DialFailed):
            session.cloud_error = outcome.text
            return outcome
        if charger_leg is None or session.charger_leg is not charger_leg:
            # It may be here again, and that arrival found us dialling: go on until it has its leg.
            outcome.close(1000, "the charger disconnected")
            return DialFailed("the charger disconnected")
        if admission.version_of(outcome.subprotocol, self._settings.assumed_version) is not session.version:
            # Both legs must speak one version: the charger connects again and gets the cloud's choice.
            outcome.close(1000, "the charger speaks another version")
            charger_leg.close(1012, "the CSMS chose another OCPP version; connect again")
            return outcome
        if not cloud.attach(session):
            return DialFailed("the cloud closed at once")
        return outcome
