"""What the local API does, without the web around it: questions are answered, orders carried out.

Rules of this file:
- Runs in the gateway's loop and never blocks it: many chargers are looked at in portions, the store is
  read through its own queue.
- Whatever cannot be done is a `Problem`: a status, a stable code, and words for a technician.
- An order leaves one line in the log. Payloads are not in it: they may hold a password.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import AsyncIterator, Callable

from edgegw import __version__
from edgegw.alarms.watch import AlarmWatch
from edgegw.catalogue.model import Catalogue, Severity
from edgegw.control import models, view
from edgegw.control.action_desk import ActionDesk
from edgegw.control.alarm_desk import AlarmDesk
from edgegw.control.audit_desk import AuditDesk
from edgegw.control.backup_desk import BackupDesk
from edgegw.control.connector_desk import ConnectorDesk
from edgegw.control.detail_desk import DetailDesk
from edgegw.control.diagnostics_desk import DiagnosticsDesk
from edgegw.control.event_models import EventList
from edgegw.control.event_stream import Seats
from edgegw.control.event_view import EventDesk
from edgegw.control.fallback_desk import FallbackDesk
from edgegw.control.file_house import FileRooms
from edgegw.control.file_streams import FileStreams
from edgegw.control.firmware_desk import FirmwareDesk
from edgegw.control.frame_desk import FrameDesk
from edgegw.control.health import StoreWatch, health
from edgegw.control.history_desk import HistoryDesk
from edgegw.control.live_desk import LiveDesk, LiveSources
from edgegw.control.log_desk import LogDesk
from edgegw.control.metrics import Metrics
from edgegw.control.metrics_sources import MeterSource, MqttSource, Sources, call_histograms
from edgegw.control.power_desk import PowerDesk
from edgegw.control.probes import Probes
from edgegw.control.problem import Problem
from edgegw.control.setting_desk import SettingDesk
from edgegw.control.transaction_tally import TransactionTally
from edgegw.control.wiring_desk import WiringDesk
from edgegw.core.charger import Charger
from edgegw.core.effects import CallFinished, CallOutcome
from edgegw.core.records import JournalRow, RowState
from edgegw.logs import LogRing
from edgegw.runtime import clock
from edgegw.runtime.audit import AuditBook
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.loop_lag import LoopLag
from edgegw.runtime.session import Session
from edgegw.runtime.tasks import Tasks
from edgegw.runtime.wiring_book import WiringBook
from edgegw.store.flight_reader import FlightReader
from edgegw.store.journal import Journal
from edgegw.wire import frames
from edgegw.wire.schemas import known_actions

log = logging.getLogger("edgegw.control")

PORTION = 50  # chargers looked at before others get their turn
TRANSACTIONS_SEARCHED_MAX = 5000  # of one charger, for a single one by its id
PAGE = 500
QUEUE_AHEAD_MAX = 2  # answer timeouts a CALL may wait behind others before its asker is told so
GRACE_S = 5.0


class Service:
    def __init__(
        self,
        gateway: Gateway,
        journal: Journal,
        *,
        site_id: str,
        site_name: str = "",
        started_at: float,
        catalogue: Catalogue | None = None,
        files: FileRooms | None = None,
        alarms: AlarmWatch | None = None,
        audit: AuditBook | None = None,
        lag: LoopLag | None = None,
        mqtt: MqttSource | None = None,
        meters: MeterSource | None = None,
        door_is_open: Callable[[], bool] | None = None,
        flight: FlightReader | None = None,
        log_ring: LogRing | None = None,
        wiring: WiringBook | None = None,
    ) -> None:
        """`started_at` is the wall clock in seconds since 1970. `catalogue` None: the shipped one.

        What else is None is not there: no book of orders, no metrics of the loop, of the broker, of polls.
        """
        self._gateway = gateway
        self._journal = journal
        self._site_id = site_id
        self._site_name = site_name
        self._started_at = started_at
        self.power = PowerDesk(gateway)
        self.actions = ActionDesk(self._session, self.call)
        self.wiring = WiringDesk(gateway, wiring)
        self.fallback = FallbackDesk(gateway)
        self._events = EventDesk(catalogue)
        self._streams = FileStreams()
        self.firmware = FirmwareDesk(gateway, files, self._streams)
        self.diagnostics = DiagnosticsDesk(gateway, files, self._streams)
        self._store = StoreWatch(journal)
        self.backups = BackupDesk(
            journal,
            self._streams,
            site_id=site_id,
            firmware=self.firmware.firmware,
            started_at=started_at,
        )
        self.alarms = AlarmDesk(alarms)
        self.frames = FrameDesk(gateway, flight, site_id=site_id)
        self.connectors = ConnectorDesk(gateway)
        self.settings = SettingDesk(gateway, self._session, self.call)
        self.detail = DetailDesk(
            gateway, self._session, self.events, self.power, self.connectors, self.alarms
        )
        self.audit = AuditDesk(audit)
        self.probes = Probes(gateway, journal, self._store, door_is_open)
        self._calls = call_histograms()
        tally = TransactionTally(gateway.sessions.values())
        gateway.transaction_listeners.append(tally.saved)
        sources = Sources(
            gateway=gateway,
            journal=journal,
            started_at=started_at,
            transactions=tally,
            lag=lag,
            alarms=alarms,
            mqtt=mqtt,
            meters=meters,
            calls=self._calls,
        )
        self.metrics = Metrics(sources, self._store)
        self.live = LiveDesk(
            LiveSources(
                gateway=gateway,
                catalogue=self._events.catalogue,
                site=self._site,
                health=self._health,
                counted=self._store.counts,
                known=lambda: gateway.sessions.keys() | gateway.settings.known,
                alarms=alarms,
                files=files,
                bypassed=self.connectors.is_bypassed,
            )
        )
        self.history = HistoryDesk(gateway)
        self.log = LogDesk(log_ring)
        self.seats = Seats()
        self._tasks = Tasks()
        self._stopping = asyncio.Event()

    async def close(self) -> None:
        """CALLs that wait for an answer are told that the box stops."""
        self._stopping.set()
        await self.settings.close()
        self.frames.close()
        await self.backups.close()
        await self.live.close()
        self.log.close()
        await self._store.close()

    async def finish(self) -> None:
        """When nobody asks any more."""
        self._streams.close()
        await self._tasks.cancel()

    # --- the box ----------------------------------------------------------------------------------

    async def health(self) -> models.Health:
        await self._store.counts()
        return self._health()

    def _health(self) -> models.Health:
        about = {"version": __version__, "started_at": self._started_at}
        counts = self._store.glimpse()
        return health(self._gateway, self._journal, counts, **about)  # type: ignore[arg-type]

    async def site(self) -> models.SiteView:
        return self._site()

    def _site(self) -> models.SiteView:
        return view.site_view(
            self._gateway,
            clock.now(),
            site_id=self._site_id,
            name=self._site_name,
            version=__version__,
            started_at=self._started_at,
        )

    # --- chargers ---------------------------------------------------------------------------------

    def _session(self, identity: str) -> Session:
        """Of a charger that was here, or that the site file knows. Raises Problem."""
        session = self._gateway.sessions.get(identity)
        if session is None and identity in self._gateway.settings.known:
            session = Session(Charger(identity, self._gateway.site), self._gateway)
        if session is None:
            raise self._no_such_charger(identity)
        return session

    def _no_such_charger(self, identity: str) -> Problem:
        near = _near(identity, [*self._gateway.sessions, *self._gateway.settings.known])
        return Problem(404, "no_such_charger", f"no charger {identity!r} is known here{near}")

    async def _sessions(self) -> AsyncIterator[Session]:
        everyone = sorted(self._gateway.sessions.keys() | self._gateway.settings.known)
        for number, identity in enumerate(everyone, start=1):
            yield self._session(identity)
            if number % PORTION == 0:
                await asyncio.sleep(0)

    async def chargers(self) -> models.ChargerList:
        views = [view.charger_view(session) async for session in self._sessions()]
        return models.ChargerList(chargers=tuple(views))

    async def charger(self, identity: str) -> models.ChargerView:
        return view.charger_view(self._session(identity))

    async def quarantine(self, identity: str) -> models.Quarantine:
        return view.quarantine(self._session(identity))

    async def events(self, identity: str | None, severity: Severity, limit: int) -> EventList:
        """What one charger, or all of them, reported: the newest of at least this severity."""
        sessions = self._gateway.sessions.values() if identity is None else [self._session(identity)]
        return await self._events.newest(sessions, severity, limit)

    # --- transactions -----------------------------------------------------------------------------

    async def transactions(
        self, charger: str | None, running: bool | None, limit: int, before: int | None
    ) -> models.TransactionList:
        found = await self._journal.transactions(charger=charger, running=running, limit=limit, before=before)
        if charger is not None and not found:
            self._session(charger)
        views = (view.transaction_view(row, view.newest_of(record, self._gateway)) for row, record in found)
        next_before = found[-1][0] if len(found) == limit else None
        return models.TransactionList(transactions=tuple(views), next_before=next_before)

    async def transaction(
        self, charger: str, transaction_id: str, *, whole_tag: bool = True
    ) -> models.TransactionView:
        """The only answer with a whole card id."""
        session = self._gateway.sessions.get(charger)
        running = session.charger.state.transactions.running if session is not None else {}
        if transaction_id in running:
            return view.transaction_view(None, running[transaction_id], whole_tag=whole_tag)
        before: int | None = None
        for _ in range(TRANSACTIONS_SEARCHED_MAX // PAGE):
            page = await self._journal.transactions(charger=charger, limit=PAGE, before=before)
            for row, record in page:
                if record.id == transaction_id:
                    return view.transaction_view(row, record, whole_tag=whole_tag)
            if len(page) < PAGE:
                break
            before = page[-1][0]
        self._session(charger)
        text = f"{charger} has no transaction {transaction_id!r} among its newest {TRANSACTIONS_SEARCHED_MAX}"
        raise Problem(404, "no_such_transaction", text)

    # --- the queue --------------------------------------------------------------------------------

    async def queue(self) -> models.QueueView:
        return view.queue_view(self._gateway.sessions.values())

    async def queue_rows(
        self, state: models.QueueState | None, charger: str | None, limit: int, before: int | None, raw: bool
    ) -> models.QueueRows:
        if charger is not None and charger not in self._gateway.sessions:
            self._session(charger)
        if state == "in_flight":
            return self._rows_in_flight(charger, raw)
        kept = None if state is None else RowState(state)
        found = await self._journal.listing(state=kept, charger=charger, limit=limit, before=before)
        flying = {(row.charger, row.seq) for row in self._in_flight()}
        views = (
            view.queue_row(row_id, row, in_flight=(row.charger, row.seq) in flying, raw=raw)
            for row_id, row in found
        )
        shown = tuple(row for row in views if state is None or row.state == state)
        return models.QueueRows(rows=shown, next_before=found[-1][0] if len(found) == limit else None)

    def _in_flight(self) -> list[JournalRow]:
        rows = (view.row_in_flight(session) for session in self._gateway.sessions.values())
        return [row for row in rows if row is not None]

    def _rows_in_flight(self, charger: str | None, raw: bool) -> models.QueueRows:
        rows = [row for row in self._in_flight() if charger is None or row.charger == charger]
        rows.sort(key=lambda row: row.received_at, reverse=True)
        views = (view.queue_row(None, row, in_flight=True, raw=raw) for row in rows)
        return models.QueueRows(rows=tuple(views), next_before=None)

    async def resend(self, order: models.Resend, asker: str) -> models.Resent:
        """Parked messages wait for the cloud again."""
        self._session(order.charger)
        if self._gateway.site.policy.standalone:
            raise Problem(409, "no_cloud", "this box is standalone: there is no cloud to send anything to")
        count = await self._journal.resend(order.charger, order.seqs)
        await self._gateway.released(order.charger, count)
        log.info("%s sent %d parked messages of %s again", asker, count, order.charger)
        return models.Resent(charger=order.charger, resent=count)

    # --- calls ------------------------------------------------------------------------------------

    async def call(self, identity: str, order: models.CallRequest, asker: str) -> models.CallAnswer:
        """Send a CALL and wait for what the charger says. Raises Problem when it says nothing."""
        session = self._session(identity)
        if session.charger_leg is None:
            raise Problem(409, "not_connected", f"{identity} is not connected", outcome="gone")
        _check_call(session, order)
        started = clock.now().mono
        finished = await self._ask(identity, order)
        outcome = finished.outcome.value if finished is not None else CallOutcome.TIMEOUT.value
        took_s = clock.now().mono - started
        self._calls[outcome].observe(took_s)
        log.info("%s called %s %s: %s after %.3f s", asker, identity, order.action, outcome, took_s)
        return _answer(identity, order.action, finished)

    async def _ask(self, identity: str, order: models.CallRequest) -> CallFinished | None:
        """None when it still waits behind other CALLs after a long time."""
        limit_s = self._gateway.site.policy.charger_answer_timeout_s * (1 + QUEUE_AHEAD_MAX) + GRACE_S
        asked = self._tasks.spawn(self._gateway.call(identity, order.action, dict(order.payload)), "call")
        stopping = self._tasks.spawn(self._stopping.wait(), "call until stop")
        try:
            await asyncio.wait([asked, stopping], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()  # type: ignore[no-any-return]
        finally:
            stopping.cancel()
            asked.cancel()
        if self._stopping.is_set():
            raise Problem(503, "stopping", "edgegw stops; whether the charger got the message is not known")
        return None


def _check_call(session: Session, order: models.CallRequest) -> None:
    """Raises Problem 422 for what cannot, or without `unchecked` should not, be sent."""
    version = session.version
    actions = known_actions(version)
    if order.action not in actions and not order.unchecked:
        near = _near(order.action, sorted(actions))
        text = (
            f'{version.value} has no action {order.action!r}{near}; "unchecked": true sends it all the same'
        )
        raise Problem(422, "unknown_action", text)
    try:
        raw = frames.call("0" * frames.MESSAGE_ID_MAX, order.action, dict(order.payload))
        frames.parse(raw, version)
    except (ValueError, frames.FrameRefused) as refused:
        raise Problem(422, "not_a_call", f"this is no OCPP-J message: {refused}") from refused


def _answer(identity: str, action: str, finished: CallFinished | None) -> models.CallAnswer:
    if finished is None or finished.outcome is CallOutcome.TIMEOUT:
        text = f"{identity} did not answer {action} in time; it may still act on it"
        raise Problem(504, "timeout", text, outcome="timeout")
    if finished.outcome is CallOutcome.GONE:
        text = f"{identity} disconnected before it answered {action}"
        raise Problem(409, "gone", text, outcome="gone")
    if finished.outcome is CallOutcome.RESULT:
        return models.CallAnswer(outcome="result", payload=finished.payload)
    return models.CallAnswer(
        outcome="error", code=finished.code, description=finished.description, details=finished.payload
    )


def _near(name: str, known: list[str]) -> str:
    """A hint at what was probably meant, whatever the case it was written in."""
    folded = {other.casefold(): other for other in known}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=3, cutoff=0.6)
    return f"; similar: {', '.join(folded[other] for other in near)}" if near else ""
