"""The flight recorder: what happened to each charger, on its way to the telemetry file and to who watches.

```
session ─ take ─ [a few at a time] ─ scribe ─ blocks in memory ─ [about a second] ─ sink
```
Rules of this file:
- A session's part is `take`: a place in a list. Secrets go and records are made for a few entries at a time:
  between two messages that costs half as much again. Whoever looks at records sees to the list first.
  Nothing is packed, compressed or written there, and a bug there is this file's own.
- Nothing waits for this: what is too much is dropped and counted, and a line says that it is missing.
- Lines are made of records for who watches, and for nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from edgegw.core import flight, flight_site
from edgegw.core.events import ChargerSpoke, CloudSpoke, Rewired
from edgegw.core.flight import FrameTurnedAway, IdGiven, Line, Recordable
from edgegw.core.flight_block import Block, lines
from edgegw.core.site import Site
from edgegw.runtime import clock
from edgegw.runtime.flight_redaction import masked
from edgegw.runtime.flight_scribe import Entry, Scribe
from edgegw.runtime.loop_guard import LoopGuard
from edgegw.runtime.session import Session
from edgegw.runtime.tasks import Tasks
from edgegw.runtime.watchers import Watchers

log = logging.getLogger(__name__)

TELL_EVERY_S: Final = 0.05  # those who watch
LOOK_EVERY_S: Final = 0.25  # whether somebody does
WRITE_EVERY_S: Final = 1.0
WAITING_BYTES_MAX: Final = 4 * 1024 * 1024  # not written yet: a disk that stands still costs frames
TAKEN_MAX: Final = 64  # entries, of about 16 messages and their answers
LONG_BYTES: Final = 64 * 1024  # a longer frame does not wait: TAKEN_MAX of them are much memory
STATE_EVERY_S: Final = 600.0  # of a charger that speaks: a replay can begin there


class Sink(Protocol):
    async def write(self, block: Block) -> bool:
        """Keep it. False when it could not be; never raises."""


class FlightRecorder:
    """`start()` it before the first session, `await stop()` it behind the last."""

    def __init__(self, sink: Sink, site: Site, *, next_n: int, about: dict[str, Any]) -> None:
        """`about`: what the first line says of the box beside what the site decides."""
        self.dropped = 0  # records, since the start
        self.listeners: Watchers[Sequence[Line]] = Watchers()
        self._sink = sink
        self._site = site
        self._about = about
        self._scribe = Scribe(next_n, on_full=self._keep, on_rewired=self._rewired)
        self._taken: list[Entry] = []
        self._missing = 0
        self._waiting: deque[Block] = deque()
        self._waiting_bytes = 0
        self._writing: tuple[Block, ...] = ()
        self._full = asyncio.Event()
        self._one_writes = asyncio.Lock()
        self._states: dict[str, float] = {}  # mono of the newest state of each charger that spoke
        self._sessions: dict[str, Session] = {}
        self._power = site.power
        self._stopping = asyncio.Event()
        self._guard = LoopGuard(log, "recording frames")
        self._tasks = Tasks()
        self._running: list[asyncio.Task[None]] = []

    def start(self, sessions: dict[str, Session]) -> None:
        self._sessions = sessions
        self._power = self._site.power
        self._add_site(start=True)
        for session in sessions.values():
            session.record_state("opens")
        self._running = [
            self._tasks.spawn(self._tell_on(), "flight recorder tells"),
            self._tasks.spawn(self._write_on(), "flight recorder writes"),
        ]

    async def stop(self) -> None:
        """Everything that was taken is with the sink, or dropped. Safe to call twice."""
        self._stopping.set()
        self._full.set()
        if self._running:
            await asyncio.wait(self._running)

    # --- on the way of messages -------------------------------------------------------------------

    def take(self, entry: Entry) -> None:
        self._taken.append(entry)
        thing = entry[2]
        if len(self._taken) >= TAKEN_MAX or (type(thing) in _MAY_NOT_WAIT and _cannot_wait(thing)):
            self._make_records()

    def _make_records(self) -> None:
        """Of all that was taken, in that order."""
        taken, self._taken = self._taken, []
        for entry in taken:
            try:
                self._scribe.add(entry)
            except Exception:  # the edge between deciding and watching
                self._missing += 1
                with self._guard:
                    raise

    def ids(self, new_id: Callable[[], str]) -> Callable[[], str]:
        """`new_id`, with every id it gives kept: a replay must give the same."""

        def given() -> str:
            made = new_id()
            self.take((clock.now(), "", IdGiven(made)))
            return made

        return given

    def _rewired(self) -> None:
        """Once, before the first charger hears of it."""
        if self._site.power is not self._power:
            self._power = self._site.power
            self._add_site(start=False)

    def _add_site(self, *, start: bool) -> None:
        """The box started, or what the site decides changed."""
        self._make_records()
        self._scribe.add_of_box(flight.STARTED, clock.now(), {"start": start, **self.header()})

    def _keep(self, full: Block) -> None:
        """It waits to be written."""
        self._waiting.append(full)
        self._waiting_bytes += len(full)
        while self._waiting_bytes > WAITING_BYTES_MAX:
            oldest = self._waiting.popleft()
            self._waiting_bytes -= len(oldest)
            self._missing += oldest.count
        self._full.set()

    # --- to the file ------------------------------------------------------------------------------

    async def _write_on(self) -> None:
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(WRITE_EVERY_S):
                    await self._full.wait()
            await self.write()
        await self.write()

    async def write(self) -> None:
        """Everything there is now is with the sink behind this, or dropped."""
        async with self._one_writes:
            with self._guard:
                await self._write()

    async def _write(self) -> None:
        self._make_records()
        self._say_missing()
        self._scribe.close()
        self._full.clear()
        while self._waiting:
            self.tell()  # they look at what waits
            block = self._waiting.popleft()
            self._waiting_bytes -= len(block)
            self._writing = (block,)
            if not await self._sink.write(block):
                self._missing += block.count
            self._writing = ()
            self._keep_states(block)

    def _say_missing(self) -> None:
        if self._missing:
            count, self._missing = self._missing, 0
            self.dropped += count
            self._scribe.add_of_box("missing", clock.now(), {"count": count})

    def _keep_states(self, written: Block) -> None:
        """Of chargers that spoke, where they are due."""
        now = clock.now().mono
        for identity in written.chargers:
            known = self._states.setdefault(identity, now)
            session = self._sessions.get(identity)
            if now - known >= STATE_EVERY_S and session is not None and _is_quiet(session):
                self._states[identity] = now
                session.record_state("later")

    # --- who watches, who asks --------------------------------------------------------------------

    async def _tell_on(self) -> None:
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(TELL_EVERY_S if self.listeners else LOOK_EVERY_S):
                    await self._stopping.wait()
            self.tell()

    def tell(self) -> None:
        """Those who watch know everything there is now."""
        self._make_records()
        news = [block.news() for block in (*self._waiting, self._scribe.block)]
        if self.listeners:
            with self._guard:
                self.listeners.tell([line for one in news for line in lines(*one)])

    def unwritten(self) -> list[tuple[int, bytes]]:
        """What is not in the file yet, oldest first, for `flight_block.lines`."""
        self._make_records()
        return [(one.first_n, one.pack()) for one in (*self._writing, *self._waiting, self._scribe.block)]

    def header(self) -> dict[str, Any]:
        return {**self._about, "site": flight_site.to_data(self._site, masked)}


_MAY_NOT_WAIT = frozenset({ChargerSpoke, CloudSpoke, FrameTurnedAway, Rewired})


def _cannot_wait(thing: Recordable) -> bool:
    """What it says of the site holds now, or it is long. What is sent was heard, or is short."""
    kind = type(thing)
    if kind is ChargerSpoke or kind is CloudSpoke:
        return len(thing.frame.raw) > LONG_BYTES  # type: ignore[union-attr]
    return kind is Rewired or len(thing.data) > LONG_BYTES  # type: ignore[union-attr]


def _is_quiet(session: Session) -> bool:
    """No CALL is under way: a replay that begins here knows all there is."""
    state = session.charger.state
    queues = (state.to_charger, state.to_cloud)
    return session.sequencer.idle and not any(queue.outstanding or queue.waiting for queue in queues)
