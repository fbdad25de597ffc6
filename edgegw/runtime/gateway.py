"""All sessions of the site: what they share and ask of each other, and what people ask of them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from edgegw.core.charger import Charger
from edgegw.core.effects import CallFinished, CallOutcome, LoadRows, Noticed, Reported
from edgegw.core.events import CallRequested, Event, Rewired, RowsLoaded, RowsReleased
from edgegw.core.files import FileEffect, FirmwareNews, UploadNews
from edgegw.core.limits_held import EXPIRY_SLACK_S
from edgegw.core.load_control import LoadControl, PowerPlan
from edgegw.core.records import Recovery, SaveTransaction, StoreOp, TransactionRecord
from edgegw.core.site import Site
from edgegw.errors import StoreFault
from edgegw.runtime import clock
from edgegw.runtime.cloud_way import CloudWay, GatewaySettings
from edgegw.runtime.entrance import NOTICES_MAX, Entrance, Notice
from edgegw.runtime.load import LoadLoop
from edgegw.runtime.observer import Observer
from edgegw.runtime.ports import (
    Admitted,
    CloudDialler,
    DialTurns,
    FilesPort,
    HandshakeRequest,
    JournalPort,
    LoginBrake,
    Refused,
    Verifiers,
)
from edgegw.runtime.replay_rate import ReplayRate
from edgegw.runtime.ride_along import RideAlong
from edgegw.runtime.sequencer import Done
from edgegw.runtime.session import Session
from edgegw.runtime.session_owner import Record, SessionOwner
from edgegw.runtime.tasks import Tasks
from edgegw.runtime.watchers import Watchers

log = logging.getLogger("edgegw.gateway")

REBUILD_AGAIN_S = 1.0  # a store that cannot be read is tried again; a broken one ends the process


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
        self.store_errors = 0
        self._journal = journal
        self._verifiers = verifiers
        self._replay = ReplayRate(settings.replay_rate_per_s)
        self._riders = RideAlong(self._commit_riders)
        self._observer = Observer()
        self.observe = self._observer.look
        self.record: Record | None = None  # set it before the first session
        self._tasks = Tasks()
        self.cloud = CloudWay(settings, dialler, turns, self._tasks)
        self.entrance = Entrance(
            site, settings, self.sessions, self.session, self.cloud, self._tasks, verifiers, logins
        )
        self._tickets: dict[int, tuple[asyncio.Future[CallFinished], Session]] = {}
        self._ticket = 0
        self.load: LoadLoop | None = None  # balances the site; None: nothing is balanced
        self.files: FilesPort | None = None  # firmware and diagnostics; None: they are relayed
        self.file_listeners: list[Callable[[str, FirmwareNews | UploadNews], None]] = []
        self.notice_listeners: Watchers[Notice] = Watchers()
        self.report_listeners: Watchers[tuple[str, Reported]] = Watchers()
        self.transaction_listeners: Watchers[TransactionRecord] = Watchers()
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
        if gone := self.entrance.acceptance.recover(recovery.documents, self.settings.known):
            self.commit_site(list(gone))
        for identity in self.entrance.acceptance.welcome:
            self.session(identity)  # it may never have connected

    def balance(self, control: LoadControl, meters: tuple[str, ...]) -> LoadLoop:
        """Steer the chargers of `control`'s plan from now on."""
        self.load = LoadLoop(control, self.sessions, self.note, self.commit_site, meters)
        self.load.start()
        return self.load

    def rewire(self, plan: PowerPlan) -> None:
        """Other connectors are balanced from now on; `balance` came before."""
        assert self.load is not None
        before, power = self.load.control.plan.wirings, self.site.power
        self.load.replan(plan, hold_s=power.profile_lifetime_s + EXPIRY_SLACK_S)
        self.site.power = msgspec.structs.replace(power, wirings=plan.wirings)
        for identity in sorted(before.keys() | plan.wirings.keys()):
            if before.get(identity) != plan.wirings.get(identity):
                self.tell(identity, Rewired())
        self.load.step()

    async def stop(self) -> None:
        self.stopping = self.cloud.stopping = self.entrance.stopping = True
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

    @property
    def named(self) -> frozenset[str]:
        """Chargers that the site file names, or a person did."""
        wired = self.load.control.plan.wirings.keys() if self.load is not None else ()
        return self.settings.known.union(wired, self.entrance.acceptance.welcome)

    def expects(self, identity: str) -> bool:
        """Who is here or is named by the site file; all, when that names none. Others were taken away."""
        session, known = self.sessions.get(identity), self.settings.known
        if not known or identity in known or (session is not None and session.charger_leg is not None):
            return True
        word = self.entrance.acceptance.word(identity)
        if word is not None and word.welcome:
            return True
        return (
            self.load is not None and identity in self.load.control.plan.wirings
        )  # not `named`: asked of each

    @property
    def cloud_is_away(self) -> bool:
        """No charger that is here has a connection; with none here, the last dial failed."""
        connected = [session for session in self.sessions.values() if session.charger_leg is not None]
        if connected:
            return all(session.cloud_leg is None for session in connected)
        return self.cloud.failed_at > self.cloud.reached_at

    @property
    def cloud_trouble(self) -> str:
        """Why the last connection failed or ended; "" while all is well."""
        errors = (
            s.cloud_error for s in self.sessions.values() if s.charger_leg is not None and s.cloud_error
        )
        return self.cloud.error or next(errors, "")

    # --- at the door -----------------------------------------------------------------------------

    async def admit(self, request: HandshakeRequest) -> Admitted | Refused:
        return await self.entrance.admit(request)

    def handshake_failed(self, peer_ip: str, reason: str) -> None:
        self.entrance.handshake_failed(peer_ip, reason)

    @property
    def handshake_failures(self) -> deque[Notice]:
        return self.entrance.failures

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

    def cloud_leg_opened(self, session: Session) -> None:
        if self.files is not None:
            self.files.cloud_is_back()

    def cloud_leg_lost(self, session: Session) -> None:
        if session.charger_leg is not None and self.site.policy.serve_locally:
            self.cloud.keep(session)

    # --- what sessions ask of their owner ----------------------------------------------------------

    def commit(self, ops: list[StoreOp], done: Done) -> None:
        if not self._riders.take(ops):
            self._riders.flush()
            self._commit(ops, done)
        if self.transaction_listeners:  # behind the commit: who watches comes last
            self._tell_transactions(ops)

    def _tell_transactions(self, ops: list[StoreOp]) -> None:
        for op in ops:
            if type(op) is SaveTransaction:
                self.transaction_listeners.tell(op.record)

    def _commit(self, ops: list[StoreOp], done: Done) -> asyncio.Future[None]:
        future = self._journal.commit(ops)

        def finished(outcome: asyncio.Future[None]) -> None:
            # Nobody cancels it; if somebody did, the outcome would not be known.
            done(asyncio.CancelledError() if outcome.cancelled() else outcome.exception())

        future.add_done_callback(finished)
        return future

    def commit_site(self, ops: list[StoreOp]) -> asyncio.Future[None]:
        """What the site itself keeps. Whoever promises it waits (`runtime.on_disk`); for the others a failure
        shows in the store's own alarms."""
        self._riders.flush()
        return self._commit(ops, lambda error: None)

    def _commit_riders(self, ops: list[StoreOp]) -> asyncio.Future[None]:
        """If the store is broken the next durable commit says so."""
        return self._commit(ops, lambda error: None)

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

    def file_effect(self, session: Session, effect: FileEffect) -> None:
        if self.files is not None:
            self.files.perform(session.identity, effect)
        if isinstance(effect, FirmwareNews | UploadNews):
            for listener in self.file_listeners:
                listener(session.identity, effect)

    def tell(self, identity: str, event: Event) -> None:
        """Something outside happened that a charger's decisions wait for."""
        session = self.sessions.get(identity)
        if session is not None:
            session.handle(event)

    def noticed(self, session: Session, notice: Noticed) -> None:
        self._tell_notice(session.identity, notice.kind, notice.text)
        log.log(logging.WARNING if notice.warning else logging.INFO, "%s", notice.text)

    def note(self, notice: Noticed) -> None:
        """Something about the site, for people and the log."""
        self.site_noticed(notice.kind, notice.text)
        log.log(logging.WARNING if notice.warning else logging.INFO, "%s", notice.text)

    def site_noticed(self, kind: str, text: str) -> None:
        """Something about the box itself."""
        self._tell_notice("", kind, text)

    def _tell_notice(self, identity: str, kind: str, text: str) -> None:
        self.site.counters[kind] += 1
        notice = Notice(clock.now().wall, identity, kind, text)
        self.notices.append(notice)
        self.notice_listeners.tell(notice)

    def credentials_changed(self, session: Session, password: str) -> None:
        """The cloud stops accepting the old password now (2.x A01.FR.03)."""
        self._tasks.spawn(self._new_password(session, password), "new password")

    async def _new_password(self, session: Session, password: str) -> None:
        session.authorization = None  # the next handshake brings the new header, perhaps at once
        verifier = await self._verifiers.make_password(session.identity, password.encode())
        self.entrance.save_verifier(session, verifier)
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
        self.entrance.at_door.add(session.identity)
        try:
            self._riders.flush()
            kept = await self._read_again(session.identity)
            self._cut(session)  # a leg that opened meanwhile spoke to decisions that are void
            fresh = next((Charger.recover(charger, self.site) for charger in kept.chargers), None)
            session.reborn(fresh or Charger(session.identity, self.site))
        finally:
            self.entrance.at_door.discard(session.identity)

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

    def reported(self, session: Session, effect: Reported) -> None:
        """A part of an inventory that somebody on the box asked this charger for."""
        self.report_listeners.tell((session.identity, effect))

    async def released(self, identity: str, count: int) -> None:
        """Parked rows of a charger are `stored` again in the store. Raises StoreFault."""
        session = self.sessions.get(identity)
        if session is None or not count:
            return
        recovery = await self._journal.recover(identity)
        early = tuple(row for kept in recovery.chargers for row in kept.stored_rows_head)
        session.handle(RowsReleased(count, early))
