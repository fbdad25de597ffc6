"""The live picture of the site: made once for everybody who listens, told as what changed.

Rules of this file:
- It runs only while somebody listens: a look every TICK_S, in portions, so that chargers wait for none of it.
- A charger's row is made again when its session was touched, when an alarm or a failed handshake is its own,
  and once in SWEEP_S whatever happened. A row or part that comes out the same is no news.
- Every row and part carries the number (`seq`) of the look that changed it. A listener is told what has a
  higher number than what it was told last: one that is slow is told less often and never more at once than
  the whole picture.
- A listener that missed who is gone (GONE_MAX) is told the whole picture again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from itertools import islice
from typing import Any

import msgspec

from edgegw.alarms.watch import AlarmWatch
from edgegw.catalogue.model import Catalogue
from edgegw.control import live_parts, models
from edgegw.control.event_stream import COMMENT_EVERY_S, QUIET, event
from edgegw.control.file_house import FileRooms
from edgegw.control.live_models import RoleName
from edgegw.control.live_parts import AlarmsMaker, Made
from edgegw.control.live_rows import NO_NOTES, Notes, RowMaker, shown
from edgegw.control.live_view import PARTS
from edgegw.core.charger import Charger
from edgegw.core.events import Instant
from edgegw.runtime import clock
from edgegw.runtime.entrance import Notice
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.loop_guard import LoopGuard
from edgegw.runtime.session import Session
from edgegw.runtime.tasks import Tasks
from edgegw.wire.timestamps import format_timestamp

log = logging.getLogger("edgegw.control")

TICK_S = 0.25
PARTS_EVERY_S = 1.0  # those that have no sign of their own that they changed
SWEEP_S = 60.0
PORTION = 40  # rows made before others get their turn: about a millisecond
CHARGERS_MAX = (
    5_000  # anybody on the chargers' network may make up identities; those that are named come first
)
GONE_MAX = 1_000
NEVER_LOOKED_AT = -1  # `touched` of no session

_encode = msgspec.json.Encoder().encode


class LiveSources(msgspec.Struct, kw_only=True):
    """Where the picture comes from."""

    gateway: Gateway
    catalogue: Catalogue
    site: Callable[[], models.SiteView]
    health: Callable[[], models.Health]
    counted: Callable[[], Awaitable[object]]  # returns when the numbers of `health` are there
    known: Callable[[], Iterable[str]]  # every charger there is
    alarms: AlarmWatch | None = None
    files: FileRooms | None = None
    bypassed: Callable[[str], bool] = lambda identity: False


class _Row:
    """One charger in the picture."""

    __slots__ = ("json", "maker", "notes", "seq", "session", "touched")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.touched = NEVER_LOOKED_AT
        self.notes = NO_NOTES
        self.maker = RowMaker()
        self.json = b""
        self.seq = 0


class _Part:
    __slots__ = ("json", "seq", "substance")

    def __init__(self) -> None:
        self.json, self.substance, self.seq = b"null", None, 0

    def take(self, made: Made, seq: int) -> bool:
        self.json = made.json
        if made.substance == self.substance and self.seq:
            return False
        self.substance, self.seq = made.substance, seq
        return True


def _told(failure: Notice | None, identity: str) -> tuple[str, float, bool]:
    if failure is None:
        return "", 0.0, False
    if failure.charger == identity:
        return shown(failure.text), failure.at, False
    return shown(f"from its address {failure.charger}: {failure.text}"), failure.at, True


class LiveDesk:
    def __init__(self, sources: LiveSources) -> None:
        self.seq = 0
        self.looks = 0
        self.rows_made = 0
        self._from = sources
        self._alarms = AlarmsMaker(sources.alarms)
        self._rows: dict[str, _Row] = {}  # by identity, sorted
        self._parts = {name: _Part() for name in PARTS}
        self._gone: dict[str, int] = {}  # since which look
        self._gone_before = 0  # who left until then is forgotten
        self._cuts: dict[int, bytes] = {}  # changes since ..., of this look
        self._signs: dict[str, object] = {}  # by part: while it is the same, so is the part
        self._parts_at = float("-inf")
        self._swept = 0
        self._listeners = 0
        self._looking = asyncio.Lock()
        self._news = asyncio.Event()  # of the next look that finds something; a new one for each
        self._tasks = Tasks()
        self._ticking: asyncio.Task[None] | None = None
        self._stopping = False
        self._unfinished = False
        self._guard = LoopGuard(log, "looking for what consoles are told")

    async def close(self) -> None:
        """Streams end. Safe to call twice."""
        self._stopping = True
        self._news.set()
        await self._tasks.cancel()

    # --- for people ------------------------------------------------------------------------------

    async def snapshot(self, role: RoleName) -> bytes:
        """`live_models.Snapshot` of this instant, as JSON."""
        await self._look_at_all()
        return self._whole(role)

    async def stream(self, role: RoleName) -> AsyncGenerator[bytes, None]:
        """Blocks of server-sent events, each made when it is asked for."""
        self._listeners += 1
        try:
            await self._look_at_all()
            self._tick()
            told = self.seq
            yield event("snapshot", self._whole(role))
            while not self._stopping:
                next_at = clock.now().mono + TICK_S
                if not await self._is_news(told):
                    yield QUIET
                    continue
                await asyncio.sleep(max(0.0, next_at - clock.now().mono))
                is_lost, since, told = told < self._gone_before, told, self.seq
                yield event("snapshot", self._whole(role)) if is_lost else self._change(since)
        finally:
            self._listeners -= 1

    async def _is_news(self, told: int) -> bool:
        """False after COMMENT_EVERY_S without any."""
        try:
            async with asyncio.timeout(COMMENT_EVERY_S):
                while self.seq <= told and not self._stopping:
                    await self._news.wait()
        except TimeoutError:
            return False
        return not self._stopping

    # --- looking ---------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self._ticking is None or self._ticking.done():
            self._ticking = self._tasks.spawn(self._run(), "live picture")

    async def _run(self) -> None:
        while self._listeners and not self._stopping:
            await asyncio.sleep(TICK_S)
            with self._guard:
                await self._look()

    async def _look_at_all(self) -> None:
        await self._from.counted()
        await self._look(everything=True)

    async def _look(self, *, everything: bool = False) -> None:
        """Once; `everything`: also what is looked at now and then only."""
        async with self._looking:
            self.looks += 1
            now, seq = clock.now(), self.seq + 1
            changed, self._unfinished = self._unfinished, True  # a bug may have come in between
            changed = self._look_who(seq) or changed
            changed = self._look_beside(now, seq) or changed
            changed = await self._look_rows(now, seq) or changed
            if everything or now.mono - self._parts_at >= PARTS_EVERY_S:
                self._parts_at = now.mono
                changed = await self._look_parts(seq) or changed
            self._unfinished = False
            if changed:
                self.seq = seq
                self._cuts.clear()
                self._forget_gone()
                news, self._news = self._news, asyncio.Event()
                news.set()

    def _look_beside(self, now: Instant, seq: int) -> bool:
        """Parts that have a sign of their own, and what is told of chargers outside of their sessions."""
        gateway, changed = self._from.gateway, False
        alarms, failures = self._alarms.alarms, gateway.handshake_failures
        if self._is_new("alarms", alarms):
            changed = self._parts["alarms"].take(self._alarms.made(alarms), seq)
        load = gateway.load
        if self._is_new("power", (load.steps, load.control.limits.revision) if load is not None else None):
            changed = self._parts["power"].take(live_parts.power(load, now), seq) or changed
        newest = failures[-1] if failures else None
        if self._is_new("notes", (alarms, newest)):
            self._note(self._noted(alarms, failures))
        return changed

    def _is_new(self, name: str, sign: object) -> bool:
        if name in self._signs and self._signs[name] == sign:
            return False
        self._signs[name] = sign
        return True

    def _noted(self, alarms: Iterable[Any], failures: Iterable[Notice]) -> dict[str, Notes]:
        found = live_parts.by_charger(alarms, self._rows.__contains__)
        failed = {notice.charger: notice for notice in failures}  # the newest of each
        notes = {}
        for identity, row in self._rows.items():
            failure = failed.get(identity) or failed.get(row.session.peer_ip)  # who has no name yet
            if identity in found or failure is not None:
                count, severity = found.get(identity, (0, None))
                notes[identity] = Notes(count, severity, *_told(failure, identity))
        return notes

    def _note(self, notes: dict[str, Notes]) -> None:
        for identity, row in self._rows.items():
            known = notes.get(identity, NO_NOTES)
            if known is not row.notes:
                row.notes, row.touched = known, NEVER_LOOKED_AT

    def _look_who(self, seq: int) -> bool:
        """Who is there now."""
        known = self._known()
        if known == self._rows.keys():
            return False
        for identity in self._rows.keys() - known:
            del self._rows[identity]
            self._gone[identity] = seq
        rows = self._rows
        self._rows = {name: rows.get(name) or _Row(self._session(name)) for name in sorted(known)}
        for identity in known & self._gone.keys():
            del self._gone[identity]
        self._signs.pop("notes", None)
        return True

    def _known(self) -> set[str]:
        known = set(self._from.known())
        if len(known) <= CHARGERS_MAX:
            return known
        named = sorted(known & self._from.gateway.named)
        return set([*named, *sorted(known.difference(named))][:CHARGERS_MAX])

    def _session(self, identity: str) -> Session:
        gateway = self._from.gateway
        return gateway.sessions.get(identity) or Session(Charger(identity, gateway.site), gateway)

    async def _look_rows(self, now: Instant, seq: int) -> bool:
        changed = False
        self._sweep()
        sessions = self._from.gateway.sessions
        due = [
            (row, session)
            for identity, row in self._rows.items()
            if (session := sessions.get(identity, row.session)).touched != row.touched
            or session is not row.session
        ]
        for made, (row, session) in enumerate(due, start=1):
            changed = self._remake(row, session, now, seq) or changed
            if made % PORTION == 0:
                await asyncio.sleep(0)
        self.rows_made += len(due)
        return changed

    def _sweep(self) -> None:
        """Some rows are made again whatever happened."""
        count = len(self._rows)
        first = self._swept if self._swept < count else 0
        self._swept = first + max(1, round(count * TICK_S / SWEEP_S))
        for row in islice(self._rows.values(), first, self._swept):
            row.touched = NEVER_LOOKED_AT
            row.maker.look_again()

    def _remake(self, row: _Row, session: Session, now: Instant, seq: int) -> bool:
        row.session, row.touched, notes = session, session.touched, row.notes
        if self._from.bypassed(session.identity):
            notes = notes._replace(bypassed=True)
        text = row.maker.row(session, notes, self._from.catalogue, now)
        if text == row.json:
            return False
        row.json, row.seq = text, seq
        return True

    async def _look_parts(self, seq: int) -> bool:
        sources, changed = self._from, False
        makers: dict[str, Callable[[], Made]] = {
            "site": lambda: live_parts.site(sources.site()),
            "health": lambda: live_parts.health(sources.health()),
            "queue": lambda: live_parts.queue(sources.gateway.sessions.values()),
            "firmware": lambda: live_parts.firmware(sources.files),
            "rollouts": lambda: live_parts.rollouts(sources.files),
        }
        for name, make in makers.items():
            changed = self._parts[name].take(make(), seq) or changed
            await asyncio.sleep(0)
        return changed

    def _forget_gone(self) -> None:
        while len(self._gone) > GONE_MAX:
            identity = next(iter(self._gone))
            self._gone_before = self._gone.pop(identity)

    # --- telling ---------------------------------------------------------------------------------

    def _whole(self, role: RoleName) -> bytes:
        parts = b",".join(b'"%b":%b' % (name.encode(), part.json) for name, part in self._parts.items())
        rows = b",".join([row.json for row in self._rows.values() if row.json])
        return b'%b,"role":"%b",%b,"chargers":[%b]}' % (self._head(), role.encode(), parts, rows)

    def _change(self, since: int) -> bytes:
        """The same for all who were told the same last."""
        cut = self._cuts.get(since)
        if cut is None:
            cut = self._cuts[since] = event("change", self._cut(since))
        return cut

    def _cut(self, since: int) -> bytes:
        parts = b",".join(
            b'"%b":%b' % (name.encode(), part.json if part.seq > since else b"null")
            for name, part in self._parts.items()
        )
        rows = b",".join([row.json for row in self._rows.values() if row.seq > since])
        gone = _encode([identity for identity, seq in self._gone.items() if seq > since])
        return b'%b,%b,"chargers":[%b],"gone":%b}' % (self._head(), parts, rows, gone)

    def _head(self) -> bytes:
        return b'{"seq":%d,"at":"%b"' % (self.seq, format_timestamp(clock.now().wall).encode())
