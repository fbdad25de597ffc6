"""One life of the gateway, from start to power cut: the real `Site` and `Charger`s over a simulated store.

Follows `edgegw.runtime.gateway`: the cloud is dialled before the charger is let in, one cloud leg per
charger, redialled with back-off while the charger is there, closed when it is gone; a charger whose
commit failed is started over from the store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from edgegw.core.authorization import TokenPolicy
from edgegw.core.charger import Charger
from edgegw.core.effects import LoadRows
from edgegw.core.events import Instant, RowsLoaded, RowsReleased
from edgegw.core.site import Policy, Site
from edgegw.errors import StoreFault
from edgegw.runtime.backoff import Backoff, BackoffSettings
from edgegw.wire.versions import Version
from tests.simulation.ledger import Text
from tests.simulation.session import Session
from tests.simulation.store import Disk, SimStore
from tests.simulation.wire import Socket

if TYPE_CHECKING:
    from tests.simulation.charger import SimCharger
    from tests.simulation.world import World

TRUSTED_FROM = 1_767_225_600.0
AWAY_FOR_S = 15.0
PROBE_S = 2.0
DIAL_S = 0.1
BACKOFF = BackoffSettings(wait_minimum_s=2.0, random_range_s=3.0, repeat_times=4)


class PowerCut(Exception):
    """The box is dead from this very effect on."""


class Box:
    def __init__(self, world: World, disk: Disk, rng: Random) -> None:
        self.world = world
        self.rng = rng
        self.dead = False
        self.effects_left: int | None = None
        self.store = SimStore(world, disk, rng)
        self._mono_0 = rng.uniform(0.0, 5000.0) - world.agenda.now
        self._ids = 0
        self._life = len(world.ledger.starts)
        self._failed_at = self._reached_at = float("-inf")
        self._at_door: set[str] = set()
        self._slots: deque[Callable[[], None]] = deque()
        self._slot_at = 0.0
        recovery = disk.recovery()
        self.site = Site(policy(world), self._new_id)
        self.site.recover(recovery.documents)
        self.sessions = {k.charger: Session(Charger.recover(k, self.site), self) for k in recovery.chargers}

    def _new_id(self) -> str:
        self._ids += 1
        return f"box-{self._life}-{self._ids}"

    def now(self) -> Instant:
        world = self.world
        wall = world.wall()
        return Instant(world.agenda.now + self._mono_0, wall, wall >= TRUSTED_FROM)

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        def run() -> None:
            if not self.dead:
                action()

        self.world.agenda.after(delay_s, run)

    # --- where the power can go --------------------------------------------------------------------

    def effect_is_due(self) -> None:
        if self.effects_left is not None:
            self.effects_left -= 1
            if self.effects_left <= 0:
                raise PowerCut

    def after_crash_point(self) -> None:
        if self.effects_left == 0:
            raise PowerCut

    def note_row_on_disk(self, text: Text) -> None:
        raw = self.world.last_asked(text)
        if raw is not None:
            text.row_on_disk = self.store.disk.has(text.charger, text.id, raw)

    # --- admission -----------------------------------------------------------------------------------

    def admit(self, charger: SimCharger, socket: Socket) -> None:
        name = charger.name
        if name in self._at_door:
            self.after(0.05, charger.refused)
            return
        session = self.sessions.get(name)
        self._at_door.add(name)
        old = session.charger_leg if session is not None else None
        if old is not None:
            self.after(PROBE_S, lambda: self._probed(charger, socket, old))
        else:
            self._dial_for(charger, socket)

    def _probed(self, charger: SimCharger, socket: Socket, old: Socket) -> None:
        session = self.sessions[charger.name]
        if session.charger_leg is old:
            if old.alive and old.down is not None:
                self._at_door.discard(charger.name)
                charger.refused()
                return
            old.close(by_down=False)
            session.charger_closed(old)
        self._dial_for(charger, socket)

    def _dial_for(self, charger: SimCharger, socket: Socket) -> None:
        now = self.world.agenda.now
        if self._failed_at > self._reached_at and now - self._failed_at < AWAY_FOR_S:
            self._let_in(charger, socket, None)
            return
        self._dial(charger.name, lambda leg: self._let_in(charger, socket, leg))

    def _dial(self, name: str, then: Callable[[Socket | None], None]) -> None:
        def outcome() -> None:
            if not self.world.cloud.accepts(name):
                self._failed_at = self.world.agenda.now
                then(None)
                return
            self._reached_at = self.world.agenda.now
            leg = Socket(self.world, name, "cloud", 0.05)
            self.world.cloud.opened(leg)
            then(leg)

        self.after(DIAL_S, outcome)

    def _let_in(self, charger: SimCharger, socket: Socket, leg: Socket | None) -> None:
        name = charger.name
        self._at_door.discard(name)
        if leg is None and not self.site.policy.serve_locally:
            self.after(0.05, charger.refused)
            return
        session = self.sessions.get(name)
        if session is None:
            session = self.sessions[name] = Session(Charger(name, self.site), self)
        session.version = Version(charger.habits.version)
        if leg is not None:
            session.cloud_opened(leg)
        self.after(15.0, lambda: session.drop_cloud() if session.charger_leg is None else None)
        if socket.alive:
            session.charger_opened(socket, session.version)
            self.world.agenda.after(socket.latency_s, lambda: charger.admitted(socket))
        else:
            charger.refused()

    # --- the cloud leg over time -----------------------------------------------------------------------

    def keep_cloud(self, session: Session) -> None:
        if not session.redialling:
            session.redialling = True
            self._redial(session, Backoff(BACKOFF))

    def _redial(self, session: Session, backoff: Backoff) -> None:
        def dial() -> None:
            if not session.wants_cloud:
                session.redialling = False
                return
            charger_leg = session.charger_leg
            self._dial(session.identity, lambda leg: reached(leg, charger_leg))

        def reached(leg: Socket | None, charger_leg: Socket | None) -> None:
            if leg is None:
                self._redial(session, backoff)
                return
            session.redialling = False
            if session.charger_leg is not charger_leg or not session.wants_cloud:
                leg.close(by_down=True)
            elif not leg.alive or leg.top is None:
                self.keep_cloud(session)
            else:
                session.cloud_opened(leg)

        self.after(backoff.failed(self.rng.random()), dial)

    # --- what sessions ask for -----------------------------------------------------------------------

    def load_rows(self, session: Session, effect: LoadRows) -> None:
        charger = session.charger

        def read() -> None:
            rows = self.store.disk.waiting(session.identity, effect.after_seq, effect.limit)
            if session.charger is charger:
                session.handle(RowsLoaded(rows))

        self.store.read(read)

    def ask_slot(self, session: Session) -> None:
        """First come, first served, never faster than the site's rate."""
        now = self.world.agenda.now
        rate = self.world.script.replay_rate
        self._slot_at = max(now, self._slot_at + (1.0 / rate if rate else 0.0))
        self.after(self._slot_at - now, session.slot_granted)

    def broken(self, session: Session, error: BaseException) -> None:
        """Nothing behind the failure happened; start this charger over from what the store says."""
        world = self.world
        world.say(session.identity, f"session starts over: {error!r}")
        world.ledger.rebuilds.append((world.agenda.now, session.identity))
        if not isinstance(error, StoreFault):
            world.ledger.bugs.append(f"{session.identity}: {error!r}")
        session.sequencer.halt()
        leg = session.charger_leg
        if leg is not None:
            leg.close(by_down=False)
            session.charger_leg = None
        session.drop_cloud()
        self._at_door.add(session.identity)
        self.store.read(lambda: self._rebuild(session))

    def _rebuild(self, session: Session) -> None:
        kept = self.store.disk.recovery(session.identity).chargers
        session.reborn(Charger.recover(kept[0], self.site) if kept else Charger(session.identity, self.site))
        self._at_door.discard(session.identity)

    def released(self, identity: str, count: int) -> None:
        session = self.sessions.get(identity)
        if session is not None and count:
            session.handle(RowsReleased(count))


def policy(world: World) -> Policy:
    script = world.script
    return Policy(
        serve_locally=script.serve_locally,
        accept_unknown_chargers=True,
        mode=script.mode,
        tokens=TokenPolicy(accept_unknown=script.accept_unknown),
        replay_boot_always=script.boot_always,
        replay_unlimited=script.replay_rate == 0.0,
    )
