"""A charging station that behaves like a real one, in 1.6, 2.0.1 or 2.1, with its own ledger.

Rules of this file:
- It boots, obeys the registration it is given, reports connectors, beats its heart, reconnects with
  back-off, and never drops a transaction message for being offline (`delivery`).
- Times are parameters in seconds; nothing waits longer than it is told to. Energy is whole Wh.
- It knows nothing of a gateway: it dials a URL and believes it is the cloud.
"""

from __future__ import annotations

import asyncio
import base64
import random
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.protocol import State
from websockets.typing import Subprotocol

from edgegw.sim import commands, profile_commands
from edgegw.sim.charging import Charging
from edgegw.sim.charging_profiles import Manners
from edgegw.sim.delivery import Delivery
from edgegw.sim.desk import V21, CallRefused, Payload, subprotocol_of
from edgegw.sim.dialect import dialect_of
from edgegw.sim.file_work import FileWork
from edgegw.sim.habits import Habits
from edgegw.sim.ledger import Ledger
from edgegw.sim.memory import MemoryFile, Queued, Session
from edgegw.sim.peer import FollowUp, LibraryPeer, LinkLost, OwnPeer, Peer
from edgegw.sim.power_path import PowerPath
from edgegw.sim.watch import PATIENCE_S
from edgegw.sim.wire_log import Context, WireLog


class SimCharger(Charging):
    """See the module. Use as `async with SimCharger("CP1", "1.6", url) as charger:`.

    version: "1.6", "2.0.1", "2.1" or the subprotocol; url: base, the identity is appended.
    ledger: a path, a Ledger (may be shared) or None; memory: file that survives the process.
    on_event(identity, event, facts): online, offline, booted, started, power, sample, stopped, delivered,
    given_up, downloaded, installed, uploaded, failed.
    """

    def __init__(
        self,
        identity: str,
        version: str,
        url: str,
        *,
        ledger: Ledger | str | Path | None = None,
        memory: str | Path | None = None,
        habits: Habits | None = None,
        on_event: Callable[[str, str, dict[str, Any]], None] | None = None,
    ) -> None:
        super().__init__()
        self.identity = identity
        self.version = subprotocol_of(version)
        self.url = f"{url.rstrip('/')}/{quote(identity, safe='')}"
        self.habits = habits or Habits()
        self.dialect = dialect_of(self.version)
        self.ledger = ledger if isinstance(ledger, Ledger) or ledger is None else Ledger(ledger, "charger")
        self._owns_ledger = self.ledger is not ledger
        self.file = MemoryFile(memory)
        self.delivery = Delivery(
            self, attempts_max=self.habits.attempts_max, retry_interval_s=self.habits.retry_interval_s
        )
        self.accepted = False  # by the cloud, since the last boot
        self.registration = ""
        self.heartbeat_s = self.habits.heartbeat_s or 0.0
        self.powered = False
        self.rng = random.Random(f"{self.habits.seed} {identity}")
        self.manners = Manners()
        self.power = PowerPath(self)
        self.file_work = FileWork(self)
        self._on_event = on_event
        self._peer: Peer | None = None
        self._wire: WireLog | None = None
        self._conn = 0
        self._ids = 0
        self._reported: dict[int, str] = {}
        self._statuses: dict[int, str] = {}
        self._boot_now = asyncio.Event()
        self._stop_wishes: dict[str, str] = {}  # session name -> reason
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- power --------------------------------------------------------------------------------

    async def start(self, reason: str = "PowerLoss", *, resume: bool = False) -> Self:
        """Power on. Transactions found in the memory are stopped with `reason`, or resumed."""
        self.memory.boot += 1
        self.file.save()
        self.powered, self.accepted, self.closed, self._ids, self._reported = True, False, False, 0, {}
        self._statuses = dict.fromkeys(range(self.habits.connectors + 1), "Available")
        self._note("booted", note=reason)
        for session in list(self.memory.sessions.values()):
            if resume:
                self.power.plug(session)
                self._set_status(session.connector, session.charging_state)
                self.spawn(self._charge_on(session, None))
            else:
                self.finish(session.connector, reason)
        self.spawn(self._live(reason))
        self.spawn(self.delivery.run())
        self.file_work.power_on()
        if self.power.works:
            self.spawn(self.power.run())
        return self

    async def power_off(self) -> None:
        """As if unplugged: the connection breaks, everything that is not in the memory is gone."""
        self.powered = False
        self.power.cut()
        self._happened()
        self._break_link()
        tasks = self._tasks - {asyncio.current_task()}
        while tasks:  # a send or connect that is cancelled may end as one whose connection was closed
            for task in tasks:
                task.cancel()
            _, tasks = await asyncio.wait(tasks, timeout=1.0)
        self._peer = None

    async def reboot(self, reason: str = "PowerLoss", *, resume: bool = False) -> None:
        await self.power_off()
        await self.start(reason, resume=resume)

    async def stop(self) -> None:
        """Power off for good and close a ledger that is its own."""
        await self.power_off()
        if self.ledger is not None and self._owns_ledger:
            self.ledger.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.fail(task.exception())

    # --- link ---------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        """Connected and accepted: may send what it likes."""
        return self._peer is not None and self.accepted

    @property
    def connected(self) -> bool:
        return self._peer is not None

    def drop_link(self) -> None:
        """Break the connection without a close frame; it reconnects by itself."""
        self._break_link()

    def _break_link(self) -> None:
        if self._wire is not None:
            self._wire.ws.transport.abort()

    async def _live(self, reason: str) -> None:
        failures = 0
        while True:
            try:
                ws = await self._connect()
            except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError, EOFError) as error:
                self._note("note", note=f"no connection: {type(error).__name__}: {error}")
                await asyncio.sleep(self._back_off_s(failures))
                failures += 1
                continue
            was_accepted = self.accepted
            await self._use(ws, reason)
            failures = 0 if self.accepted or was_accepted else failures + 1
            await asyncio.sleep(self._back_off_s(failures))

    def _back_off_s(self, failures: int) -> float:
        """2.x 5.4: doubled after each failure, fresh randomness each time."""
        base: float = self.habits.backoff_min_s * 2 ** min(failures, 16)
        return min(base, self.habits.backoff_max_s) + self.rng.random() * self.habits.backoff_min_s

    async def _connect(self) -> ClientConnection:
        headers = {}
        if self.habits.password is not None:
            pair = f"{self.identity}:{self.habits.password}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        offers = self.habits.offers or (self.version,)
        return await connect(
            self.url,
            subprotocols=[Subprotocol(name) for name in offers],
            additional_headers=headers,
            compression="deflate" if self.habits.compression else None,
            proxy=None,
            open_timeout=self.habits.message_timeout_s,
            close_timeout=1,
            ping_interval=self.habits.ping_interval_s,
            max_size=16 * 2**20,
        )

    async def _use(self, ws: ClientConnection, reason: str) -> None:
        """Work on one connection until it ends."""
        self._conn = self.ledger.next_conn() if self.ledger else self._conn + 1
        self._wire = WireLog(ws, self._note)
        self._note("connected", note=str(ws.subprotocol))
        if ws.subprotocol != self.version:
            await ws.close(1002)
            self._note("disconnected", note="no common subprotocol")
            return
        self._peer = self._new_peer(self._wire)
        greeting = self.spawn(self._greet(reason))
        try:
            await self._peer.run()
        finally:
            greeting.cancel()
            self._peer = None
            self.delivery.mark_offline()
            self._note("disconnected", note=str(ws.close_code))
            self._event("offline")
            await ws.close()

    def _new_peer(self, wire: WireLog) -> Peer:
        if self.version == V21 or self.habits.engine == "own":
            return OwnPeer(wire, self._on_call, self.habits.message_timeout_s, spaced=self.habits.spaced)
        return LibraryPeer(
            self.version,
            self.identity,
            wire,
            self._on_call,
            set(commands.table(self.version)),
            self.habits.message_timeout_s,
        )

    async def _greet(self, reason: str) -> None:
        """Boot if it has not been accepted since power on, report connectors, then beat."""
        try:
            while not self.accepted:
                await self._boot(reason)
            self._event("online")
            for connector in self.dialect.status_connectors(self.habits.connectors):
                await self._report_status(connector)
            while self.heartbeat_s > 0:
                await asyncio.sleep(self.heartbeat_s)
                await self._try_call("Heartbeat", {})
        except LinkLost:
            return

    async def _boot(self, reason: str) -> None:
        self._boot_now.clear()
        wait_s = self.habits.boot_retry_s
        try:
            boot = self.dialect.boot(self.identity, reason, self.memory.firmware_version)
            answer = await self._call("BootNotification", boot)
        except (CallRefused, TimeoutError):
            self.registration = ""
        else:
            self.registration = answer["status"]
            interval = float(answer["interval"])
            if self.registration == "Accepted":
                self.heartbeat_s = interval if self.habits.heartbeat_s is None else self.habits.heartbeat_s
                self.accepted = True
                self._event("booted")
                return
            wait_s = interval if wait_s is None else wait_s
        self._happened()
        try:
            async with asyncio.timeout(wait_s if wait_s is not None else 60.0):
                await self._boot_now.wait()
        except TimeoutError:
            return

    # --- CALLs --------------------------------------------------------------------------------

    def new_id(self) -> str:
        if self.habits.id_style == "uuid":
            return str(uuid.uuid4())
        taken = {message.id for message in self.memory.queue}
        self._ids += 1
        while str(self._ids) in taken:
            self._ids += 1
        return str(self._ids)

    async def call(self, action: str, payload: Payload) -> Payload:
        """Send a CALL that is no transaction message. Raises LinkLost when not online, CallRefused,
        TimeoutError."""
        if not self.online:
            raise LinkLost("not online")
        return await self._call(action, payload)

    async def _call(self, action: str, payload: Payload) -> Payload:
        return await self.exchange(self.new_id(), payload, Context(action))

    async def exchange(self, message_id: str, payload: Payload, context: Context) -> Payload:
        if self._peer is None or self._wire is None or self._wire.ws.state is not State.OPEN:
            raise LinkLost("not connected")
        try:
            return await self._peer.call(message_id, payload, context)
        except TimeoutError:
            self._note("timed_out", id=message_id, action=context.action, session=context.session)
            raise

    async def _try_call(self, action: str, payload: Payload) -> Payload | None:
        """None when the cloud does not answer or refuses. Raises LinkLost."""
        try:
            return await self._call(action, payload)
        except (CallRefused, TimeoutError):
            return None

    async def _on_call(self, action: str, payload: Payload) -> tuple[Payload, FollowUp | None]:
        if self.habits.answer_delay_s:
            await asyncio.sleep(self.habits.answer_delay_s)
        if self.manners.answer_delay_s and action in commands.ABOUT_PROFILES:
            await asyncio.sleep(self.manners.answer_delay_s)
        return commands.answer(self, action, payload)

    def keep_profile(self, session: Session, profile: Payload) -> None:
        profile_commands.keep_for(self, session, profile)

    def forget_profiles(self, session: Session) -> None:
        profile_commands.forget_session(self, session)

    def dial(self, url: str) -> None:
        """From the next connection on: another base URL."""
        self.url = f"{url.rstrip('/')}/{quote(self.identity, safe='')}"
        self._break_link()

    def triggered(self, action: str, connector: int | None = None) -> None:
        """Send a message the cloud asked for by TriggerMessage."""
        if action == "BootNotification":
            self._boot_now.set()
        elif action == "StatusNotification":
            for number in self.dialect.status_connectors(self.habits.connectors):
                if connector in (None, number):
                    self._reported.pop(number, None)
                    self.spawn(self._quietly(self._report_status, number))
        elif action == "Heartbeat":
            self.spawn(self._quietly(self._try_call, "Heartbeat", {}))
        elif action == "MeterValues":
            for session in self.memory.sessions.values():
                if connector in (None, session.connector):
                    self.sample(session.connector)
        else:
            self.file_work.triggered(action)

    # --- delivery -----------------------------------------------------------------------------

    async def ready_to_send(self) -> None:
        await self.wait_for(lambda: self.online, timeout_s=None)

    def on_delivered(self, message: Queued, answer: Payload) -> None:
        status = self.dialect.tag_status(answer)
        session = next((s for s in self.memory.sessions.values() if s.name == message.session), None)
        if session is not None and status not in (None, "Accepted"):
            session.refused = True
            self.wish_stop(session, "DeAuthorized")  # StopTransactionOnInvalidId
        self._event("delivered", action=message.action, waiting=len(self.memory.queue))

    def on_given_up(self, message: Queued) -> None:
        self._note("gave_up", id=message.id, action=message.action, session=message.session)
        self._event("given_up", action=message.action)

    # --- for tests and people -----------------------------------------------------------------

    async def wait_online(self, timeout_s: float = PATIENCE_S) -> None:
        await self.wait_for(lambda: self.online, timeout_s)

    async def drained(self, timeout_s: float = PATIENCE_S) -> None:
        """Until every transaction message has its answer."""
        await self.wait_for(lambda: not self.memory.queue, timeout_s)

    def wake(self) -> None:
        self._happened()

    def moved(self, event: str, **facts: Any) -> None:
        """A file was downloaded, installed or uploaded."""
        self._note("note", note=f"{event} {facts}")
        self._event(event, **facts)

    def _event(self, event: str, **facts: Any) -> None:
        if self._on_event is not None:
            self._on_event(self.identity, event, facts)
        self._happened()

    def _note(self, kind: str, **facts: Any) -> None:
        if self.ledger is not None:
            self.ledger.write(
                self.identity, kind, conn=self._conn, boot=self.memory.boot, version=self.version, **facts
            )
