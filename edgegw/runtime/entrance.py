"""Who is let in, and with which cloud leg.

Admission (OCPP-J 3.3, 2.x Part 4 6.2): the cloud is dialled first with exactly the charger's subprotocols,
and the charger gets what the cloud chose; so both legs speak one version and a refusal of the cloud is
the charger's answer. While the cloud is away the charger is admitted on what the store knows of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from edgegw.core import admission
from edgegw.core.admission import Target, TargetRefused
from edgegw.core.records import SaveDocument
from edgegw.core.site import Site
from edgegw.core.state import Registration
from edgegw.runtime import clock
from edgegw.runtime.acceptance import Acceptance
from edgegw.runtime.cloud_way import NO_COMMON_VERSION, PASSED_THROUGH, CloudWay, GatewaySettings
from edgegw.runtime.ports import (
    Admitted,
    DialFailed,
    DialRequest,
    HandshakeRequest,
    LoginBrake,
    Refused,
    Verifiers,
)
from edgegw.runtime.session import Session
from edgegw.runtime.sides import ChargerSide, CloudSide
from edgegw.runtime.strangers import Strangers
from edgegw.runtime.tasks import Tasks
from edgegw.wire.versions import Version

log = logging.getLogger("edgegw.gateway")

PROBE_S = 2.0  # how long an older connection of one identity has to show it is alive
OPEN_WITHIN_S = 15.0  # an admitted charger that never completes its handshake is let go
SESSIONS_MAX = 20_000  # identities: with unknown = "accept" anybody on the network can make up another
NOTICES_MAX = 500


class Notice(msgspec.Struct, frozen=True):
    at: float
    charger: str
    kind: str
    text: str
    peer: str = ""  # of a handshake: the address it came from


class Entrance:
    """`at_door` holds the identities that are being let in, and those that must wait outside."""

    def __init__(
        self,
        site: Site,
        settings: GatewaySettings,
        sessions: Mapping[str, Session],
        session: Callable[[str], Session],
        cloud: CloudWay,
        tasks: Tasks,
        verifiers: Verifiers,
        logins: LoginBrake | None,
    ) -> None:
        """`session` makes the one of a newcomer."""
        self.at_door: set[str] = set()
        self.failures: deque[Notice] = deque(maxlen=NOTICES_MAX)
        self.strangers = Strangers()
        self.acceptance = Acceptance()
        self.stopping = False
        self._site = site
        self._settings = settings
        self._sessions = sessions
        self._session = session
        self._cloud = cloud
        self._tasks = tasks
        self._verifiers = verifiers
        self._logins = logins

    async def admit(self, request: HandshakeRequest) -> Admitted | Refused:
        """Whoever guesses passwords waits before every further answer, the right one included (fault 7)."""
        if self._logins is None:
            return await self._decide(request)
        delay_s = self._logins.delay_s(request.peer_ip, clock.now().mono)
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        answer = await self._decide(request)
        if isinstance(answer, Refused) and answer.status == 401:
            self._logins.failed(request.peer_ip, clock.now().mono)
        return answer

    async def _decide(self, request: HandshakeRequest) -> Admitted | Refused:
        target = admission.parse_target(request.target, self._settings.path)
        if isinstance(target, TargetRefused):
            return self._refuse("", request, target.status, target.reason)
        if len(self._sessions) >= SESSIONS_MAX and target.identity not in self._sessions:
            return self._refuse(target.identity, request, 503, f"{SESSIONS_MAX} chargers are known already")
        if not self._is_welcome(target.identity):
            wall = clock.now().wall
            self.strangers.knocked(target.identity, request.peer_ip, request.subprotocols, wall)
            return self._refuse(
                target.identity, request, 404, "unknown charger: not in [chargers] known, nor accepted"
            )
        if target.identity in self.at_door or self.stopping:
            return self._refuse(target.identity, request, 503, "another connection of it is being admitted")
        self.at_door.add(target.identity)
        try:
            admitted = await self._admit(target, request)
            if self._is_welcome(target.identity) or isinstance(admitted, Refused):
                return admitted
            return self._taken_back(target.identity, request)
        finally:
            self.at_door.discard(target.identity)

    def _taken_back(self, identity: str, request: HandshakeRequest) -> Refused:
        """A person said so while the cloud was dialled for it."""
        if (session := self._sessions.get(identity)) is not None:
            session.drop_cloud("the charger is not accepted here any more")
        return self._refuse(identity, request, 404, "unknown charger: it was taken back just now")

    def _is_welcome(self, identity: str) -> bool:
        if self._site.policy.accept_unknown_chargers or identity in self._settings.known:
            return True
        if (word := self.acceptance.word(identity)) is not None:
            return word.welcome
        known = self._sessions.get(identity)
        return known is not None and known.charger.state.profile.registration is Registration.ACCEPTED

    async def _admit(self, target: Target, request: HandshakeRequest) -> Admitted | Refused:
        if not await self._replaces(target.identity):
            return self._refuse(target.identity, request, 409, "another connection of this identity is alive")
        cloud = CloudSide()
        outcome = await self._dial_for(target, request, cloud)
        if isinstance(outcome, DialFailed) and outcome.status in PASSED_THROUGH:
            return self._refuse(target.identity, request, outcome.status or 401, f"the cloud: {outcome.text}")
        if isinstance(outcome, DialFailed) and outcome.status == NO_COMMON_VERSION:
            return self._no_common(target, request)
        if isinstance(outcome, DialFailed):
            return await self._admit_away(target, request, outcome)
        if outcome is None:
            return await self._admit_away(target, request, None)
        version = admission.version_of(outcome.subprotocol, self._settings.assumed_version)
        if version is None:
            outcome.close(1002, "no common subprotocol")
            return self._no_common(target, request)
        session = self._prepare(target, request, version)
        if not cloud.attach(session):
            return await self._admit_away(target, request, DialFailed("the cloud closed at once"))
        self._spawn_verifier(session, request)
        # To a charger that offered none, the cloud's answer to what we offered for it is none either.
        return self._let_in(session, request, version, outcome.subprotocol if request.subprotocols else None)

    async def _replaces(self, identity: str) -> bool:
        """An older connection that is alive keeps its place; a dead one goes (SaiFlow 2023)."""
        session = self._sessions.get(identity)
        leg = session.charger_leg if session is not None else None
        if session is None or leg is None:
            return True
        if await leg.is_alive(PROBE_S):
            return False
        if session.charger_leg is leg:
            leg.close(1001, "replaced by a new connection")
            session.charger_closed(leg, 1006, "dead; replaced by a new connection")
        return True

    async def _dial_for(self, target: Target, request: HandshakeRequest, cloud: CloudSide) -> Any:
        """The cloud leg, `DialFailed`, or None when there is no cloud to dial."""
        if not self._cloud.exists:
            return None
        return await self._cloud.dial_for_newcomer(self._dial_request(target, request, cloud))

    def _dial_request(self, target: Target, request: HandshakeRequest, cloud: CloudSide) -> DialRequest:
        session = self._sessions.get(target.identity)
        adopted = session.charger.state.profile.cloud_url if session is not None else ""
        offered = request.subprotocols
        if not offered and self._settings.assumed_version is not None:
            offered = (self._settings.assumed_version.value,)
        return DialRequest(
            identity=target.identity,
            raw_segment=target.raw_segment,
            base_url=adopted or self._settings.cloud_url,
            subprotocols=offered,
            authorization=request.authorization,
            compression=request.compression and Version.V16 not in offered,
            listener=cloud,
        )

    async def _admit_away(
        self, target: Target, request: HandshakeRequest, failure: DialFailed | None
    ) -> Admitted | Refused:
        if failure is not None and not self._site.policy.serve_locally:
            return self._refuse(target.identity, request, 503, f"the cloud is away: {failure.text}")
        session = self._sessions.get(target.identity)
        stored = session.verifier if session is not None else ""
        if stored and not await self._proves(request, stored):
            return self._refuse(
                target.identity, request, 401, "wrong password (checked against the last good one)"
            )
        last = session.charger.state.version if session is not None and session.raw_segment else None
        if session is not None and session.charger.state.profile.registration is not Registration.NEVER:
            last = session.charger.state.version
        version = admission.local_version(request.subprotocols, last, self._settings.assumed_version)
        if version is None:
            return self._no_common(target, request)
        session = self._prepare(target, request, version)
        if failure is not None:
            session.cloud_error = failure.text
        subprotocol = version.value if request.subprotocols else None
        return self._let_in(session, request, version, subprotocol)

    async def _proves(self, request: HandshakeRequest, stored: str) -> bool:
        if request.authorization is None:
            return False
        return await self._verifiers.verify(request.authorization, stored)

    def _spawn_verifier(self, session: Session, request: HandshakeRequest) -> None:
        if request.authorization is not None:
            self._tasks.spawn(self._remember_verifier(session, request.authorization), "verifier")

    async def _remember_verifier(self, session: Session, authorization: str) -> None:
        """What the cloud let in proves the charger later, when the cloud is away."""
        if session.verifier and await self._verifiers.verify(authorization, session.verifier):
            return
        self.save_verifier(session, await self._verifiers.make(authorization))

    def save_verifier(self, session: Session, verifier: str) -> None:
        session.verifier = verifier
        saved = SaveDocument(kind="verifier", charger=session.identity, key="", value=verifier.encode())
        session.sequencer.push([saved])

    def _prepare(self, target: Target, request: HandshakeRequest, version: Version) -> Session:
        session = self._session(target.identity)
        session.version = version
        session.raw_segment = target.raw_segment
        session.offered = request.subprotocols
        session.authorization = request.authorization
        session.compression = request.compression
        session.peer_ip = request.peer_ip
        return session

    def _let_in(
        self, session: Session, request: HandshakeRequest, version: Version, subprotocol: str | None
    ) -> Admitted:
        log.info("%s: admitted from %s with %s", session.identity, request.peer_ip, version.value)
        side = ChargerSide(session, version)
        loop = asyncio.get_running_loop()
        loop.call_later(OPEN_WITHIN_S, self._let_go, session)
        # The specification asks a local controller for compression in 2.x and advises against it in 1.6.
        compression = request.compression and version.is_2x
        return Admitted(subprotocol=subprotocol, listener=side, compression=compression)

    def _let_go(self, session: Session) -> None:
        if session.charger_leg is None:
            session.drop_cloud("the charger is not connected")

    def _no_common(self, target: Target, request: HandshakeRequest) -> Admitted | Refused:
        offered = ", ".join(request.subprotocols) or "none"
        self._note_failure(target.identity, request.peer_ip, f"no common subprotocol (offered: {offered})")
        return Admitted(subprotocol=None, listener=_NOBODY, close_reason="no common subprotocol")

    def _refuse(self, identity: str, request: HandshakeRequest, status: int, reason: str) -> Refused:
        self._note_failure(identity, request.peer_ip, f"{status}: {reason}")
        return Refused(status=status, reason=reason)

    def handshake_failed(self, peer_ip: str, reason: str) -> None:
        self._note_failure("", peer_ip, reason)

    def _note_failure(self, identity: str, peer_ip: str, reason: str) -> None:
        self._site.counters["handshake_refused"] += 1
        self.failures.append(Notice(clock.now().wall, identity or peer_ip, "handshake", reason, peer_ip))
        log.warning(
            "handshake from %s %sfailed: %s", peer_ip, f"as {identity!r} " if identity else "", reason
        )


class _Nobody:
    """Listener of a leg that is closed as soon as it is open."""

    def on_open(self, leg: object) -> None:
        return

    def on_text(self, data: bytes) -> None:
        return

    def on_closed(self, code: int, reason: str) -> None:
        return


_NOBODY = _Nobody()
