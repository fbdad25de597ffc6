"""A site whose alarms are looked for by hand: the real gateway, a clock of the test, what is around it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from edgegw.alarms.conditions import broker, doors_shut, files_unusable, loop_lag, telemetry
from edgegw.alarms.firmware import rollouts
from edgegw.alarms.power import lapsed
from edgegw.alarms.watch import AlarmWatch
from edgegw.balance.model import Reading
from edgegw.catalogue.alarms import load_alarms
from edgegw.catalogue.load import load_catalogue
from edgegw.core.alarms import Alarm, Condition
from edgegw.core.events import Instant
from edgegw.core.records import Document, Recovery
from edgegw.core.rollout_state import Rollout
from edgegw.core.state import ChargerState
from edgegw.store.reader import StoreCounts
from tests.control.house import GARAGE, House, Wire

GIB = 1024**3
RULES = load_alarms()
CATALOGUE = load_catalogue(None)
FINE = StoreCounts(
    stored=0, parked=0, settled=0, quarantined=0, oldest_stored_at=None,
    database_bytes=GIB, log_bytes=0, free_bytes=10 * GIB, reserve=True,
)  # fmt: skip


class Store:
    """What the watch asks of the journal, and can be made to go wrong."""

    def __init__(self) -> None:
        self.broken = False
        self.fails: Exception | None = None
        self.hangs: asyncio.Event | None = None
        self.has = FINE

    def holds(self, **changes: object) -> None:
        self.has = msgspec.structs.replace(FINE, **changes)

    async def counts(self) -> StoreCounts:
        if self.hangs is not None:
            await self.hangs.wait()
        if self.fails is not None:
            raise self.fails
        return self.has


class Broker:
    def __init__(self) -> None:
        self.up = True
        self.trouble = ""
        self.taken_over = False


class Scene(House):
    """`passes` lets time go by and looks; nothing here waits for a real clock."""

    def __init__(self, folder: Path, *, has_api: bool = False) -> None:
        super().__init__(folder, known=frozenset({"CP-1", "CP-2"}), plan=GARAGE)
        self._has_api = has_api
        self.store = Store()
        self.broker = Broker()
        self.telemetry_trouble = self.files_trouble = ""
        self.shut: dict[str, str] = {}
        self.lag_ms = 3.0
        self.rollouts: list[Rollout] = []
        self.more: list[Condition] = []
        self.certificate = folder / "chargers.pem"
        self.reading: tuple[float, float, float] | None = (10.0, 10.0, 10.0)
        self.mono = time.monotonic()
        self.wall_ahead = time.time() - self.mono
        self.trusted = True

    async def open_files(self, recovery: Recovery) -> None:
        self.load.stop()  # the test decides when
        self.watch = self.watches(recovery.documents)
        self.parts["alarms"] = self.watch

    def watches(self, documents: Iterable[Document]) -> AlarmWatch:
        watch = AlarmWatch(
            self.gateway,
            self.store,  # type: ignore[arg-type]
            RULES,
            catalogue=CATALOGUE,
            documents=documents,
            certificates={"chargers": self.certificate} if self.certificate.exists() else {},
        )
        watch.sources += [
            lambda now: broker(self.broker),
            lambda now: telemetry(self.telemetry_trouble),
            lambda now: loop_lag(self.lag_ms),
            lambda now: files_unusable(self.files_trouble),
            lambda now: doors_shut(self.shut),
            lambda now: lapsed(self.gateway.load, {"bms"}),
            lambda now: rollouts(self.rollouts),
            lambda now: self.more,
        ]
        return watch

    async def open_api(self, recovery: Recovery, *, tcp: bool) -> None:
        """Most stories need none, and it takes as long as all the rest."""
        if self._has_api:
            await super().open_api(recovery, tcp=tcp)
        else:
            await self.open_files(recovery)

    async def stop(self) -> None:
        await self.watch.stop()
        if self._has_api:
            await self.server.stop()
        await self.gateway.stop()
        await self.journal.close()

    async def restarts(self) -> None:
        """A new process: all it knows is what the store says."""
        await self.stop()
        await self.start()
        self.mono = time.monotonic()

    # --- time -----------------------------------------------------------------------------------

    @property
    def now(self) -> Instant:
        return Instant(self.mono, self.mono + self.wall_ahead, self.trusted)

    async def passes(self, seconds: float, *, every: float = 1.0) -> list[str]:
        """What changed meanwhile."""
        changes = []
        until = self.mono + seconds
        while self.mono < until:
            self.mono = min(until, self.mono + every)
            self._reads_and_decides()
            changes += self.watch.look(self.now)
            for _ in range(3):  # what the look asked for in a task is answered
                await asyncio.sleep(0)
        return [f"{change.kind} {change.alarm.code}" for change in changes]

    def _reads_and_decides(self) -> None:
        if self.reading is not None:
            self.load.control.read("grid", Reading(at=self.mono, current_a=self.reading))
        states = {identity: s.charger.state for identity, s in self.gateway.sessions.items()}
        self.load.control.decide(states, self.now)

    # --- what is there --------------------------------------------------------------------------

    def state(self, identity: str) -> ChargerState:
        return self.gateway.sessions[identity].charger.state

    def alarm(self, code: str) -> Alarm | None:
        return next((alarm for alarm in self.watch.alarms if alarm.code == code), None)

    def is_on(self, code: str) -> bool:
        return any(alarm.code == code and alarm.state == "active" for alarm in self.watch.alarms)

    async def faults(self, charger: Wire, code: str, **more: object) -> None:
        status = "Available" if code == "NoError" else "Faulted"
        charger.calls("StatusNotification", {"connectorId": 1, "errorCode": code, "status": status, **more})
