"""One charger inside the simulated box: the real `Charger` and `Sequencer`, driven as in production.

Follows `edgegw.runtime.session` step by step, on the agenda instead of an event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgegw.core.calls import NEVER
from edgegw.core.charger import Charger
from edgegw.core.effects import (
    AskReplaySlot,
    CallFinished,
    CloseCharger,
    CloseCloud,
    CredentialsChanged,
    Effect,
    LoadRows,
    Noticed,
    SendCharger,
    SendCloud,
)
from edgegw.core.events import (
    ChargerConnected,
    ChargerLost,
    ChargerSpoke,
    CloudConnected,
    CloudLost,
    CloudSpoke,
    Event,
    ReplayGranted,
    Woke,
)
from edgegw.core.records import StoreOp
from edgegw.runtime.sequencer import Done, Sequencer
from edgegw.wire.frames import parse
from edgegw.wire.versions import Version
from tests.simulation.ledger import Text
from tests.simulation.wire import Socket

if TYPE_CHECKING:
    from tests.simulation.box import Box


class ChargerEnd:
    """The box's end of a charger's socket; deaf once the session has another."""

    def __init__(self, session: Session, socket: Socket) -> None:
        self._session = session
        self._socket = socket

    def on_text(self, text: Text) -> None:
        if self._session.charger_leg is self._socket:
            self._session.charger_said(text)

    def on_closed(self) -> None:
        self._session.charger_closed(self._socket)


class CloudEnd:
    def __init__(self, session: Session, socket: Socket) -> None:
        self._session = session
        self._socket = socket

    def on_text(self, text: Text) -> None:
        if self._session.cloud_leg is self._socket:
            self._session.cloud_said(text)

    def on_closed(self) -> None:
        self._session.cloud_closed(self._socket)


class Session:
    def __init__(self, charger: Charger, box: Box) -> None:
        self.charger = charger
        self.identity = charger.state.identity
        self.box = box
        self.version = Version.V16
        self.charger_leg: Socket | None = None
        self.cloud_leg: Socket | None = None
        self.redialling = False
        self.sequencer = Sequencer(self._perform, self._commit, self._commit_failed)
        self._timer_at = NEVER
        self._timer = 0

    # --- events in -------------------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        world = self.box.world
        if world.trace is not None and not isinstance(event, ChargerSpoke | CloudSpoke):
            world.say(self.identity, f"  event {event!r}"[:200])
        try:
            effects = self.charger.handle(event, self.box.now())
        except Exception as bug:  # noqa: BLE001  the edge where the runtime, too, catches bugs
            world.bug(self.identity, event, bug)
            self.box.broken(self, bug)
            return
        if world.trace is not None:
            for effect in effects:
                world.say(self.identity, f"  effect {effect!r}"[:260])
        if effects:
            self.sequencer.push(effects)
        wake = self.charger.wake_at
        if wake < self._timer_at:
            self._arm(wake)

    def _arm(self, wake: float) -> None:
        self._timer += 1
        timer, self._timer_at = self._timer, wake
        delay_s = max(0.0, wake - self.box.now().mono) + 1e-6  # floats: never a hair too early
        self.box.after(delay_s, lambda: self._wake(timer))

    def _wake(self, timer: int) -> None:
        if timer != self._timer:
            return
        self._timer_at = NEVER
        wake = self.charger.wake_at
        if wake > self.box.now().mono:
            if wake < NEVER:
                self._arm(wake)
            return
        self.handle(Woke())

    # --- legs --------------------------------------------------------------------------------------

    def charger_opened(self, leg: Socket, version: Version) -> None:
        old = self.charger_leg
        if old is not None:
            old.close(by_down=False)
            self.charger_closed(old)
        self.charger_leg = leg
        leg.top = ChargerEnd(self, leg)
        self.version = version
        self.handle(ChargerConnected(version))
        if self.wants_cloud:
            self.box.keep_cloud(self)

    def charger_said(self, text: Text) -> None:
        self.box.after_crash_point()
        self.handle(ChargerSpoke(parse(text.raw, self.version)))

    def charger_closed(self, leg: Socket) -> None:
        if leg is not self.charger_leg:
            return
        self.charger_leg = None
        self.sequencer.forget(SendCharger, CloseCharger)
        self.handle(ChargerLost(1006, "gone"))
        self.drop_cloud()

    def cloud_opened(self, leg: Socket) -> None:
        self.drop_cloud()
        self.cloud_leg = leg
        leg.down = CloudEnd(self, leg)
        self.handle(CloudConnected())

    def cloud_said(self, text: Text) -> None:
        self.box.after_crash_point()
        self.handle(CloudSpoke(parse(text.raw, self.version)))

    def cloud_closed(self, leg: Socket) -> None:
        if leg is not self.cloud_leg:
            return
        self.cloud_leg = None
        self.sequencer.forget(SendCloud, CloseCloud)
        self.handle(CloudLost("gone"))
        if self.charger_leg is not None and self.box.site.policy.serve_locally:
            self.box.keep_cloud(self)

    @property
    def wants_cloud(self) -> bool:
        return self.charger_leg is not None and self.cloud_leg is None

    def drop_cloud(self) -> None:
        leg = self.cloud_leg
        if leg is not None:
            leg.close(by_down=True)
            self.cloud_closed(leg)

    # --- effects out -------------------------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:
        self.box.effect_is_due()
        _PERFORM[type(effect)](self, effect)

    def _send_charger(self, effect: SendCharger) -> None:
        if self.charger_leg is not None:
            text = self.charger_leg.send(up=False, raw=effect.data)
            if text.kind == 3:
                self.box.note_row_on_disk(text)

    def _send_cloud(self, effect: SendCloud) -> None:
        if self.cloud_leg is not None:
            self.cloud_leg.send(up=True, raw=effect.data)

    def _close_charger(self, effect: CloseCharger) -> None:
        leg = self.charger_leg
        if leg is not None:
            leg.close(by_down=False)
            self.charger_closed(leg)

    def _close_cloud(self, effect: CloseCloud) -> None:
        self.drop_cloud()

    def _load_rows(self, effect: LoadRows) -> None:
        self.box.load_rows(self, effect)

    def _ask_slot(self, effect: AskReplaySlot) -> None:
        self.box.ask_slot(self)

    def _ignore(self, effect: Effect) -> None:
        return

    def slot_granted(self) -> None:
        self.handle(ReplayGranted())

    def _commit(self, ops: list[StoreOp], done: Done) -> None:
        self.box.effect_is_due()
        self.box.store.commit(ops, done)

    def _commit_failed(self, error: BaseException) -> None:
        self.box.broken(self, error)

    def reborn(self, charger: Charger) -> None:
        self.sequencer.reset()
        self.charger = charger


_PERFORM: dict[type, Any] = {
    SendCharger: Session._send_charger,
    SendCloud: Session._send_cloud,
    CloseCharger: Session._close_charger,
    CloseCloud: Session._close_cloud,
    LoadRows: Session._load_rows,
    AskReplaySlot: Session._ask_slot,
    CallFinished: Session._ignore,
    CredentialsChanged: Session._ignore,
    Noticed: Session._ignore,
}
