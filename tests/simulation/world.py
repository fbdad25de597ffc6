"""The simulated site: chargers, wires, a box that loses power, a cloud; faults first, then calm.

One seed, one run, always the same. `run` returns the ledger; nothing outside the models wrote into it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from random import Random

from edgegw.core.records import RowState
from tests.simulation.agenda import Agenda
from tests.simulation.box import Box, PowerCut
from tests.simulation.charger import SimCharger
from tests.simulation.cloud import SimCloud
from tests.simulation.ledger import Ledger, Text
from tests.simulation.script import CALM_S, Script
from tests.simulation.store import Disk
from tests.simulation.wire import Socket

STEPS_MAX = 400_000


class World:
    def __init__(self, script: Script, trace: Callable[[str], None] | None = None) -> None:
        self.script = script
        self.trace = trace
        self.rng = Random(script.seed * 7919 + 1)
        self.agenda = Agenda()
        self.ledger = Ledger()
        self.sockets: list[Socket] = []
        self.count = 0
        self.calm = False
        self._wall_offset = script.wall_at_start
        self._failures = sorted(script.store_failures)
        self.cloud = SimCloud(self, script, Random(script.seed * 7919 + 2))
        self.chargers: dict[str, SimCharger] = {}
        for number, (name, habits) in enumerate(script.habits.items()):
            self.chargers[name] = SimCharger(self, name, habits, Random(script.seed * 7919 + 10 + number))
            self.ledger.versions[name] = habits.version
        self.disk = Disk()
        self.box: Box | None = None

    # --- run -------------------------------------------------------------------------------------

    def run(self) -> Ledger:
        self._plan()
        self._go(self.script.faults_s)
        self._calm_down()
        self._go(self.script.faults_s + CALM_S)
        self._close_books()
        return self.ledger

    def _go(self, until: float) -> None:
        agenda = self.agenda
        while (action := agenda.next(until)) is not None:
            try:
                action()
            except PowerCut:
                self.cut_power()
            if agenda.steps > STEPS_MAX:
                self.ledger.bugs.append(f"more than {STEPS_MAX} steps: something goes round in circles")
                return

    def _plan(self) -> None:
        at, script = self.agenda.at, self.script
        self._start_box()
        for charger in self.chargers.values():
            at(charger.rng.uniform(0.0, 30.0), charger.connect)
            charger.connectors.begin()
        self.cloud.demands.begin()
        for when in script.cuts:
            at(when, self.cut_power)
        for when, effects in script.cuts_after_effects:
            at(when, lambda n=effects: self._cut_soon(n))
        for when, name, side in script.flaps:
            at(when, lambda n=name, s=side: self._flap(n, s))
        for when, name in script.reboots:
            at(when, self.chargers[name].reboot)
        for when, name in script.floods:
            at(when, self.chargers[name].connectors.flood)
        for when, seconds in script.steps:
            at(when, lambda s=seconds: self._step_clock(s))
        for when, tag, status in script.tag_changes:
            at(when, lambda t=tag, s=status: self.cloud.tags.__setitem__(t.casefold(), s))
        for window in script.windows:
            if window.mode == "drop_legs":
                at(window.start, lambda w=window: self._drop_legs(w.charger))

    # --- faults ------------------------------------------------------------------------------------

    def cut_power(self) -> None:
        """kill -9 or the plug: memory is gone, sockets are cut, the disk keeps what was synced."""
        if self.box is None:
            return
        self.say("box", "POWER CUT")
        self.ledger.cuts.append(self.agenda.now)
        self.box.dead = True
        self.box.store.cut()
        self.box = None
        for socket in self.sockets:
            if socket.side == "charger":
                socket.top = None
            else:
                socket.down = None
            quick, slow = self.rng.uniform(0.01, 1.0), self.rng.uniform(1.0, 50.0)
            after_s = self.rng.choice((quick, slow))
            socket.cut(down_knows_after_s=after_s, top_knows_after_s=after_s)
        self.sockets.clear()
        self.agenda.after(self.rng.choice((2.0, 20.0, 300.0)), self._start_box)

    def _start_box(self) -> None:
        self.ledger.starts.append(self.agenda.now)
        self.say("box", "START")
        self.box = Box(self, self.disk, Random(self.rng.random()))

    def _cut_soon(self, effects: int) -> None:
        if self.box is not None and not self.calm:
            self.box.effects_left = effects

    def _flap(self, charger: str, side: str) -> None:
        self.sockets = [s for s in self.sockets if s.alive]
        for socket in self.sockets:
            if socket.charger == charger and socket.side == side:
                slow = self.rng.choice((0.5, 5.0, 55.0))
                ends = (0.01, slow) if self.rng.random() < 0.5 else (slow, 0.01)
                socket.cut(down_knows_after_s=ends[0], top_knows_after_s=ends[1])

    def _drop_legs(self, charger: str) -> None:
        for name in list(self.cloud.legs):
            if charger in ("", name):
                self.cloud.hang_up(name)

    def _step_clock(self, seconds: float) -> None:
        self.say("box", f"wall clock steps by {seconds:g} s")
        self._wall_offset += seconds

    def store_must_fail(self) -> bool:
        if self._failures and self._failures[0] <= self.agenda.now and not self.calm:
            self._failures.pop(0)
            return True
        return False

    def wall(self) -> float:
        return self.agenda.now + self._wall_offset

    # --- calm ----------------------------------------------------------------------------------------

    def _calm_down(self) -> None:
        """No more faults, no new sessions: whatever was promised must come true now."""
        self.say("world", "CALM")
        self.calm = self.cloud.calm = True
        self.ledger.calm_from = self.agenda.now
        if self.box is not None:
            self.box.effects_left = None
        for charger in self.chargers.values():
            charger.quiet = True
            self.agenda.after(600.0, charger.connectors.stop_all)
        if self.script.people_release:
            self.agenda.after(4500.0, self._release)

    def _release(self) -> None:
        """Whoever runs the cloud has repaired it, and a person sends what it had refused again."""
        self.cloud.poison = 0
        for name in self.chargers:
            self._note_parked(name)
            if self.box is not None:
                self.box.released(name, self.disk.release(name))

    def _note_parked(self, name: str) -> None:
        for row in self.disk.rows.get(name, {}).values():
            if row.state is RowState.PARKED:
                self.ledger.ever_parked.add((name, row.raw))

    def _close_books(self) -> None:
        ledger = self.ledger
        ledger.ended_at = self.agenda.now
        for name, charger in self.chargers.items():
            self._note_parked(name)
            ledger.queued_at_end[name] = len(charger.queue)
            for row in self.disk.rows.get(name, {}).values():
                if row.state is RowState.PARKED:
                    ledger.parked[name, row.message_id] = row.raw
                elif row.state is RowState.STORED:
                    ledger.stored[name, row.message_id] = row.raw

    # --- what the parts ask of the world ---------------------------------------------------------------

    def knock(self, charger: SimCharger, socket: Socket) -> None:
        if self.box is None or charger.down:
            self.agenda.after(0.5, charger.refused)
        else:
            self.box.admit(charger, socket)

    def last_asked(self, answer: Text) -> bytes | None:
        """The bytes of the charger's transaction message that this answers."""
        asked = self.chargers[answer.charger].last_asked(answer.id)
        return asked.text.raw if asked is not None and asked.message is not None else None

    def bug(self, charger: str, event: object, bug: BaseException) -> None:
        if isinstance(bug, PowerCut):
            raise bug
        text = "".join(traceback.format_exception(bug))
        self.ledger.bugs.append(f"{charger}: {type(event).__name__}: {text}")

    def say(self, who: str, what: str) -> None:
        if self.trace is not None:
            self.trace(f"{self.agenda.now:10.3f} {who:<6} {what}")
