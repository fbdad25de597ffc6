"""All sessions of the site: who is let in, which cloud leg belongs to whom, and what they share.

Admission (OCPP-J 3.3, 2.x Part 4 6.2): the cloud is dialled first with exactly the charger's subprotocols,
and the charger gets what the cloud chose; so both legs speak one version and a refusal of the cloud is
the charger's answer. While the cloud is away the charger is admitted on what the store knows of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

import msgspec

from edgegw.core import admission
from edgegw.core.admission import Target, TargetRefused
from edgegw.core.charger import Charger
from edgegw.core.effects import CallFinished, CallOutcome, LoadRows, Noticed
from edgegw.core.events import CallRequested, RowsLoaded, RowsReleased
from edgegw.core.load_control import LoadControl
from edgegw.core.records import Recovery, SaveDocument, StoreOp
from edgegw.core.site import Site
from edgegw.core.state import Registration
from edgegw.errors import StoreFault
from edgegw.runtime import clock
from edgegw.runtime.cloud_way import NO_COMMON_VERSION, PASSED_THROUGH, CloudWay, GatewaySettings
from edgegw.runtime.load import LoadLoop
from edgegw.runtime.observer import Observer
from edgegw.runtime.ports import (
    Admitted,
    CloudDialler,
    DialFailed,
    DialRequest,
    DialTurns,
    HandshakeRequest,
    JournalPort,
    LoginBrake,
    Refused,
    Verifiers,
)
from edgegw.runtime.replay_rate import ReplayRate
from edgegw.runtime.ride_along import RideAlong
from edgegw.runtime.sequencer import Done
from edgegw.runtime.session import ChargerSide, CloudSide, Session, SessionOwner
from edgegw.runtime.tasks import Tasks
from edgegw.wire.versions import Version

log = logging.getLogger("edgegw.gateway")

PROBE_S = 2.0  # how long an older connection of one identity has to show it is alive
OPEN_WITHIN_S = 15.0  # an admitted charger that never completes its handshake is let go
REBUILD_AGAIN_S = 1.0  # a store that cannot be read is tried again; a broken one ends the process
SESSIONS_MAX = 20_000  # identities: with unknown = "accept" anybody on the network can make up another
NOTICES_MAX = 500


class Notice(msgspec.Struct, frozen=True):
    at: float
    charger: str
    kind: str
    text: str


class Gateway(SessionOwner):
    """The gatekeeper and the owner of every session."""

    def __init__(
        self,
        site: Site,
        settings: GatewaySettings,
        journal: JournalPort,
        dialler: CloudDialler | None,
        turns: DialTurns | None,
        verifiers: Verifiers,
        logins: LoginBrake | None = None,
    ) -> None:
        self.site = site
        self.settings = settings
        self.sessions: dict[str, Session] = {}
        self.notices: deque[Notice] = deque(maxlen=NOTICES_MAX)
        self.handshake_failures: deque[Notice] = deque(maxlen=NOTICES_MAX)
        self.store_errors = 0
        self._journal = journal
        self._verifiers = verifiers
        self._logins = logins
        self._replay = ReplayRate(settings.replay_rate_per_s)
        self._riders = RideAlong(self._commit_riders)
        self._observer = Observer()
        self.observe = self._observer.look
        self._tasks = Tasks()
        self.cloud = CloudWay(settings, dialler, turns, self._tasks)
        self._tickets: dict[int, tuple[asyncio.Future[CallFinished], Session]] = {}
        self._ticket = 0
        self._at_door: set[str] = set()
        self.load: LoadLoop | None = None  # balances the site; None: nothing is balanced
        self.stopping = False

    # --- start and stop --------------------------------------------------------------------------

    def recover(self, recovery: Recovery) -> None:
        self.site.recover(recovery.documents)
        for kept in recovery.chargers:
            session = Session(Charger.recover(kept, self.site), self)
            for document in kept.documents:
                if document.kind == "verifier":
                    session.verifier = document.value.decode()
            self.sessions[kept.charger] = session

    def balance(self, control: LoadControl, meters: tuple[str, ...]) -> LoadLoop:
        """Steer the chargers of `control`'s plan from now on."""
        self.load = LoadLoop(control, self.sessions, self._site_noticed, self.commit_site, meters)
        self.load.start()
        return self.load

    async def stop(self) -> None:
        self.stopping = self.cloud.stopping = True
        if self.load is not None:
            self.load.stop()
        self._replay.close()
        await self._tasks.cancel()
        for session in self.sessions.values():
            session.drop_cloud("the gateway stops")
            session.close()
        self._riders.flush()

    def session(self, identity: str) -> Session:
        known = self.sessions.get(identity)
        if known is None:
            known = self.sessions[identity] = Session(Charger(identity, self.site), self)
        return known

    # --- admission -------------------------------------------------------------------------------

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
        target = admission.parse_target(request.target, self.settings.path)
        if isinstance(target, TargetRefused):
            return self._refuse("", request, target.status, target.reason)
        if len(self.sessions) >= SESSIONS_MAX and target.identity not in self.sessions:
            return self._refuse(target.identity, request, 503, f"{SESSIONS_MAX} chargers are known already")
        if not self._is_welcome(target.identity):
            return self._refuse(target.identity, request, 404, "unknown charger: not in [chargers] known")
        if target.identity in self._at_door or self.stopping:
            return self._refuse(target.identity, request, 503, "another connection of it is being admitted")
        self._at_door.add(target.identity)
        try:
            return await self._admit(target, request)
        finally:
            self._at_door.discard(target.identity)

    def _is_welcome(self, identity: str) -> bool:
        if self.site.policy.accept_unknown_chargers or identity in self.settings.known:
            return True
        known = self.sessions.get(identity)
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
        version = admission.version_of(outcome.subprotocol, self.settings.assumed_version)
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
        session = self.sessions.get(identity)
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
        if not self.cloud.exists:
            return None
        return await self.cloud.dial_for_newcomer(self._dial_request(target, request, cloud))

    def _dial_request(self, target: Target, request: HandshakeRequest, cloud: CloudSide) -> DialRequest:
        session = self.sessions.get(target.identity)
        adopted = session.charger.state.profile.cloud_url if session is not None else ""
        offered = request.subprotocols
        if not offered and self.settings.assumed_version is not None:
            offered = (self.settings.assumed_version.value,)
        return DialRequest(
            identity=target.identity,
            raw_segment=target.raw_segment,
            base_url=adopted or self.settings.cloud_url,
            subprotocols=offered,
            authorization=request.authorization,
            compression=request.compression and Version.V16 not in offered,
            listener=cloud,
        )

    async def _admit_away(
        self, target: Target, request: HandshakeRequest, failure: DialFailed | None
    ) -> Admitted | Refused:
        if failure is not None and not self.site.policy.serve_locally:
            return self._refuse(target.identity, request, 503, f"the cloud is away: {failure.text}")
        session = self.sessions.get(target.identity)
        stored = session.verifier if session is not None else ""
        if stored and not await self._proves(request, stored):
            return self._refuse(
                target.identity, request, 401, "wrong password (checked against the last good one)"
            )
        last = session.charger.state.version if session is not None and session.raw_segment else None
        if session is not None and session.charger.state.profile.registration is not Registration.NEVER:
            last = session.charger.state.version
        version = admission.local_version(request.subprotocols, last, self.settings.assumed_version)
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
        self._save_verifier(session, await self._verifiers.make(authorization))

    def _save_verifier(self, session: Session, verifier: str) -> None:
        session.verifier = verifier
        saved = SaveDocument(kind="verifier", charger=session.identity, key="", value=verifier.encode())
        session.sequencer.push([saved])

    def _prepare(self, target: Target, request: HandshakeRequest, version: Version) -> Session:
        session = self.session(target.identity)
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
        self.site.counters["handshake_refused"] += 1
        self.handshake_failures.append(Notice(clock.now().wall, identity or peer_ip, "handshake", reason))
        log.warning(
            "handshake from %s %sfailed: %s", peer_ip, f"as {identity!r} " if identity else "", reason
        )

    # --- the cloud leg over time -----------------------------------------------------------------

    def charger_leg_lost(self, session: Session) -> None:
        """OCPP 2.x Part 4 6.3: a charger that is gone has no connection to the cloud."""
        session.drop_cloud("the charger disconnected")

    def charger_leg_opened(self, session: Session) -> None:
        """Admitted while the cloud was away, or the cloud leg went while the charger shook hands."""
        if not session.wants_cloud:
            return
        drops = self.cloud.exists and not self.site.policy.serve_locally  # [cloud] on_loss = "drop_charger"
        if drops and session.charger_leg is not None:
            session.charger_leg.close(1001, "the CSMS connection was lost")
            return
        self.cloud.keep(session)

    def cloud_leg_lost(self, session: Session) -> None:
        if session.charger_leg is not None and self.site.policy.serve_locally:
            self.cloud.keep(session)

    # --- what sessions ask of their owner ----------------------------------------------------------

    def commit(self, ops: list[StoreOp], done: Done) -> None:
        if self._riders.take(ops):
            return  # nobody waits for these
        self._riders.flush()
        self._commit(ops, done)

    def _commit(self, ops: list[StoreOp], done: Done) -> None:
        future = self._journal.commit(ops)

        def finished(outcome: asyncio.Future[None]) -> None:
            # Nobody cancels it; if somebody did, the outcome would not be known.
            done(asyncio.CancelledError() if outcome.cancelled() else outcome.exception())

        future.add_done_callback(finished)

    def commit_site(self, ops: list[StoreOp]) -> None:
        """What the site itself keeps; a failure shows in the store's own alarms."""
        self._riders.flush()
        self._commit(ops, lambda error: None)

    def _commit_riders(self, ops: list[StoreOp]) -> None:
        """If the store is broken the next durable commit says so."""
        self._commit(ops, lambda error: None)

    def load_rows(self, session: Session, effect: LoadRows) -> None:
        self._tasks.spawn(self._load_rows(session, effect), f"rows of {session.identity}")

    async def _load_rows(self, session: Session, effect: LoadRows) -> None:
        charger = session.charger
        try:
            rows = await self._journal.rows(session.identity, after_seq=effect.after_seq, limit=effect.limit)
        except StoreFault as fault:
            log.error("%s: cannot read stored messages: %s", session.identity, fault)
            charger.state.outbox.link_lost()
            return
        if session.charger is charger:
            session.handle(RowsLoaded(tuple(rows)))

    def ask_replay_slot(self, session: Session) -> None:
        self._replay.ask(session.replay_granted)

    def noticed(self, session: Session, notice: Noticed) -> None:
        self.site.counters[notice.kind] += 1
        self.notices.append(Notice(clock.now().wall, session.identity, notice.kind, notice.text))
        log.log(logging.WARNING if notice.warning else logging.INFO, "%s", notice.text)

    def _site_noticed(self, notice: Noticed) -> None:
        self.site_noticed(notice.kind, notice.text)
        log.log(logging.WARNING if notice.warning else logging.INFO, "%s", notice.text)

    def site_noticed(self, kind: str, text: str) -> None:
        """Something about the box itself."""
        self.site.counters[kind] += 1
        self.notices.append(Notice(clock.now().wall, "", kind, text))

    def credentials_changed(self, session: Session, password: str) -> None:
        """The cloud stops accepting the old password now (2.x A01.FR.03)."""
        self._tasks.spawn(self._new_password(session, password), "new password")

    async def _new_password(self, session: Session, password: str) -> None:
        session.authorization = None  # the next handshake brings the new header, perhaps at once
        verifier = await self._verifiers.make_password(session.identity, password.encode())
        self._save_verifier(session, verifier)
        text = f"{session.identity}: accepted a new password from the cloud"
        self.noticed(session, Noticed("password_changed", text, warning=False))

    def broken(self, session: Session, error: BaseException) -> None:
        """Nothing behind the failure happened; start this charger over from what the store says."""
        self.store_errors += isinstance(error, StoreFault)
        log.error("%s: session starts over: %s", session.identity, error)
        session.sequencer.halt()  # until `reborn`: what the old decisions still want is not to be trusted
        self._cut(session)
        for ticket in [t for t, (_, who) in self._tickets.items() if who is session]:
            self.call_finished(CallFinished(ticket=ticket, outcome=CallOutcome.GONE))
        self._tasks.spawn(self._rebuild(session), f"rebuild {session.identity}")

    def _cut(self, session: Session) -> None:
        leg = session.charger_leg
        if leg is not None:
            leg.close(1011, "try again")
            session.charger_leg = None
        session.drop_cloud("session starts over")

    async def _rebuild(self, session: Session) -> None:
        """Until then the charger is kept at the door."""
        self._at_door.add(session.identity)
        try:
            self._riders.flush()
            kept = await self._read_again(session.identity)
            self._cut(session)  # a leg that opened meanwhile spoke to decisions that are void
            fresh = next((Charger.recover(charger, self.site) for charger in kept.chargers), None)
            session.reborn(fresh or Charger(session.identity, self.site))
        finally:
            self._at_door.discard(session.identity)

    async def _read_again(self, identity: str) -> Recovery:
        while True:
            try:
                return await self._journal.recover(identity)
            except StoreFault as fault:
                log.error("%s: the store cannot be read: %s", identity, fault)
            await asyncio.sleep(REBUILD_AGAIN_S)

    # --- commands of people ------------------------------------------------------------------------

    async def call(self, identity: str, action: str, payload: dict[str, Any]) -> CallFinished:
        """Send a CALL to a charger through its queue and return what became of it."""
        session = self.sessions.get(identity)
        if session is None:
            return CallFinished(ticket=0, outcome=CallOutcome.GONE)
        self._ticket += 1
        future: asyncio.Future[CallFinished] = asyncio.get_running_loop().create_future()
        self._tickets[self._ticket] = (future, session)
        session.handle(CallRequested(self._ticket, action, payload))
        return await future

    def call_finished(self, effect: CallFinished) -> None:
        future, _ = self._tickets.pop(effect.ticket, (None, None))
        if future is not None and not future.done():
            future.set_result(effect)

    async def released(self, identity: str, count: int) -> None:
        """Parked rows of a charger are `stored` again in the store. Raises StoreFault."""
        session = self.sessions.get(identity)
        if session is None or not count:
            return
        recovery = await self._journal.recover(identity)
        early = tuple(row for kept in recovery.chargers for row in kept.stored_rows_head)
        session.handle(RowsReleased(count, early))


class _Nobody:
    """Listener of a leg that is closed as soon as it is open."""

    def on_open(self, leg: object) -> None:
        return

    def on_text(self, data: bytes) -> None:
        return

    def on_closed(self, code: int, reason: str) -> None:
        return


_NOBODY = _Nobody()
