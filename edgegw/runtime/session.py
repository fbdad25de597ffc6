"""One charger at run time: its two legs, its decisions (`core.charger`) and the effects of them.

A session lasts as long as the process; legs come and go. The path of a message is one call stack: leg ->
parse -> `Charger.handle` -> sequencer -> leg, with no task and no queue between. A leg that is not the
current one is ignored, whatever it still says.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from edgegw.core.calls import NEVER, CallQueue
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
    Reported,
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
    Instant,
    ReplayGranted,
    Woke,
)
from edgegw.core.files import FetchFirmware, FileEffect, FirmwareNews, OpenUpload, UploadNews
from edgegw.core.flight import FrameTurnedAway, StateKept, Why
from edgegw.runtime import clock, pace
from edgegw.runtime.ports import Leg
from edgegw.runtime.sequencer import Sequencer
from edgegw.runtime.session_owner import SessionOwner
from edgegw.wire.frames import CallError, CallResult, FrameRefused, parse
from edgegw.wire.versions import Version

log = logging.getLogger("edgegw.charger")

BAD_FRAMES_MAX = 100  # in a row from a charger: it is not speaking OCPP (fault 18)
QUARANTINE_MAX = 100  # refused frames kept for the technician, per charger
QUARANTINE_BYTES = 256  # of each
BACKLOG_MAX = 256  # effects behind the disk; beyond it the charger is slowed down by TCP
# The same for the cloud, which may have one CALL under way (OCPP-J 4.1.1). Each of its charging profiles is a
# commit of its own, and a limit that must be lowered stands behind them.
CLOUD_BACKLOG_MAX = 32
CHARGER_AGAIN_S, CLOUD_AGAIN_S = 0.02, 0.05  # who was slowed down is looked at again


class Session:
    __slots__ = (
        "_decided_at",
        "_owner",
        "_timer",
        "_timer_at",
        "authorization",
        "bad_frames",
        "charger",
        "charger_leg",
        "cloud_error",
        "cloud_leg",
        "cloud_since",
        "complaints",
        "compression",
        "connected_mono",
        "connected_wall",
        "identity",
        "offered",
        "peer_ip",
        "quarantine",
        "raw_segment",
        "record",
        "redialling",
        "sequencer",
        "touched",
        "verifier",
        "version",
    )

    def __init__(self, charger: Charger, owner: SessionOwner) -> None:
        self.charger = charger
        self.identity = charger.state.identity
        self.version: Version = charger.state.version
        self.charger_leg: Leg | None = None
        self.cloud_leg: Leg | None = None
        self.sequencer = Sequencer(self._perform, owner.commit, self._commit_failed)
        self.complaints: Counter[str] = Counter()
        self.quarantine: deque[tuple[float, str, str]] | None = None
        self.bad_frames = 0
        # What the charger said at its door, for its cloud leg. The header is a secret and stays in memory.
        self.authorization: str | None = None
        self.offered: tuple[str, ...] = ()
        self.raw_segment = ""
        self.compression = False
        self.peer_ip = ""
        self.verifier = ""
        self.connected_mono = 0.0
        self.connected_wall = 0.0
        self.cloud_since = 0.0
        self.cloud_error = ""
        self.redialling = False
        self.touched = 0  # grows with whatever may change what people see of it
        self.record = owner.record
        self._owner = owner
        self._decided_at: Instant | None = None  # of the event whose effects go out now
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER

    # --- events in -------------------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        now = clock.now()
        self.touched += 1
        if self.record is not None:
            self.record((now, self.identity, event))
            self._decided_at = now
        try:
            effects = self.charger.handle(event, now)
        except Exception as bug:  # the supervisor's edge: this session only
            self._decided_at = None
            log.exception("%s: bug while deciding on %s", self.identity, type(event).__name__)
            self._owner.broken(self, bug)
            return
        if effects:
            self.sequencer.push(effects)
        self._decided_at = None
        wake = self.charger.wake_at
        if wake < self._timer_at:
            self._arm(wake)

    def _arm(self, wake: float) -> None:
        """Deadlines mostly move away before they come: the timer is only ever moved forward."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer_at = wake
        self._timer = loop.call_later(max(0.0, wake - clock.now().mono), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._timer_at = NEVER
        wake = self.charger.wake_at
        if wake > clock.now().mono:
            if wake < NEVER:
                self._arm(wake)
            return
        self.handle(Woke())

    # --- the charger's leg -----------------------------------------------------------------------

    def charger_opened(self, leg: Leg, version: Version) -> None:
        old = self.charger_leg
        if old is not None:  # two handshakes of one charger were under way
            old.close(1001, "replaced by a new connection")
            self.charger_closed(old, 1001, "replaced by a new connection")
        self._first_leg_opens()
        self.charger_leg = leg
        self.version = version
        self.bad_frames = 0
        now = clock.now()
        self.connected_mono, self.connected_wall = now.mono, now.wall
        self.handle(ChargerConnected(version))
        self._owner.charger_leg_opened(self)

    def charger_said(self, data: bytes) -> None:
        try:
            frame = parse(data, self.version)
        except FrameRefused as refusal:
            self._charger_frame_refused(data, refusal)
            return
        self.bad_frames = 0
        asked = self.charger.state.to_charger
        action = _action_of(asked, frame) if type(frame) is CallResult else None
        self.handle(ChargerSpoke(frame))
        self._owner.observe(self.version, frame, action, self.complaints)
        leg = self.charger_leg
        if (self.charger.charger_is_ahead or self.sequencer.held > BACKLOG_MAX) and leg is not None:
            pace.hold(leg, CHARGER_AGAIN_S, self._charger_must_wait)

    def _charger_must_wait(self, leg: Leg) -> bool | None:
        ahead = self.charger.charger_is_ahead or self.sequencer.held > BACKLOG_MAX
        return ahead if leg is self.charger_leg else None

    def _charger_frame_refused(self, data: bytes, refusal: FrameRefused) -> None:
        self.bad_frames += 1
        self._put_aside(data, "charger", refusal)
        leg = self.charger_leg
        if leg is None:
            return
        if refusal.reply is not None:
            self._send_charger(SendCharger(refusal.reply))
        if refusal.close_code is not None:
            leg.close(refusal.close_code, refusal.rule)
        elif self.bad_frames >= BAD_FRAMES_MAX:
            leg.close(1008, "too many messages that are not OCPP-J")

    def _put_aside(self, data: bytes, side: str, refusal: FrameRefused) -> None:
        self.touched += 1
        if self.quarantine is None:
            self.quarantine = deque(maxlen=QUARANTINE_MAX)
        text = data[:QUARANTINE_BYTES].decode("utf-8", "backslashreplace")
        self.quarantine.append((clock.now().wall, f"{side}: {refusal.rule}", text))
        self.complaints[f"{side} frame: {refusal.rule}"] += 1
        if self.record is not None:
            self.record((clock.now(), self.identity, FrameTurnedAway(side, refusal.rule, data)))
        if self.bad_frames in (0, 1, BAD_FRAMES_MAX):
            log.warning("%s: refused a message of the %s: %s", self.identity, side, refusal.rule)

    def charger_closed(self, leg: Leg | None, code: int, reason: str) -> None:
        if leg is not self.charger_leg:
            return
        self.charger_leg = None
        self.sequencer.forget(SendCharger, CloseCharger)
        log.info("%s: charger disconnected (%d %s)", self.identity, code, reason)
        self.handle(ChargerLost(code, reason))
        self._owner.charger_leg_lost(self)

    # --- the cloud's leg -------------------------------------------------------------------------

    def cloud_opened(self, leg: Leg) -> None:
        self.drop_cloud("replaced by a new connection")  # left by a handshake that came to nothing
        self._first_leg_opens()
        self.cloud_leg = leg
        self.cloud_error = ""
        self.cloud_since = clock.now().wall
        self.handle(CloudConnected())
        self._owner.cloud_leg_opened(self)

    def cloud_said(self, data: bytes) -> None:
        try:
            frame = parse(data, self.version)
        except FrameRefused as refusal:
            # A bad cloud frame never costs the charger its connection (fault 55).
            self._put_aside(data, "cloud", refusal)
            if self.cloud_leg is not None:
                if refusal.reply is not None:
                    self._send_cloud(SendCloud(refusal.reply))
                if refusal.close_code is not None:
                    self.cloud_leg.close(refusal.close_code, refusal.rule)
            return
        action = _action_of(self.charger.state.to_cloud, frame) if type(frame) is CallResult else None
        self.handle(CloudSpoke(frame))
        self._owner.observe(self.version, frame, action, self.complaints)
        leg = self.cloud_leg
        if leg is not None and self._cloud_must_wait(leg):
            pace.hold(leg, CLOUD_AGAIN_S, self._cloud_must_wait)

    def _cloud_must_wait(self, leg: Leg) -> bool | None:
        ahead = self.charger.cloud_is_ahead or self.sequencer.held > CLOUD_BACKLOG_MAX
        return ahead if leg is self.cloud_leg else None

    def cloud_closed(self, leg: Leg | None, code: int, reason: str) -> None:
        if leg is not self.cloud_leg:
            return
        self.cloud_leg = None
        self.sequencer.forget(SendCloud, CloseCloud)
        self.cloud_error = f"closed with {code}" + (f": {reason}" if reason else "")
        self.cloud_since = clock.now().wall
        self.handle(CloudLost(reason))
        self._owner.cloud_leg_lost(self)

    # --- effects out -----------------------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:
        _PERFORM[type(effect)](self, effect)

    def _send_charger(self, effect: SendCharger) -> None:
        if self.charger_leg is not None:
            self.charger_leg.send(effect.data)
            if self.record is not None:
                self.record((self._decided_at or clock.now(), self.identity, effect))

    def _send_cloud(self, effect: SendCloud) -> None:
        if self.cloud_leg is not None:
            self.cloud_leg.send(effect.data)
            if self.record is not None:
                self.record((self._decided_at or clock.now(), self.identity, effect))

    def _close_charger(self, effect: CloseCharger) -> None:
        if self.charger_leg is not None:
            self.charger_leg.close(effect.code, effect.reason)

    def _close_cloud(self, effect: CloseCloud) -> None:
        if self.cloud_leg is not None:
            self.drop_cloud(effect.reason)

    @property
    def wants_cloud(self) -> bool:
        """A charger that is here, and no leg to its cloud."""
        return self.charger_leg is not None and self.cloud_leg is None

    def drop_cloud(self, reason: str) -> None:
        """Let go of the cloud leg now; the closing handshake runs on without us."""
        leg = self.cloud_leg
        if leg is not None:
            leg.close(1000, reason[:100])
            self.cloud_closed(leg, 1000, reason)

    def _load_rows(self, effect: LoadRows) -> None:
        self._owner.load_rows(self, effect)

    def _ask_replay_slot(self, effect: AskReplaySlot) -> None:
        self._owner.ask_replay_slot(self)

    def _call_finished(self, effect: CallFinished) -> None:
        self._owner.call_finished(effect)

    def _reported(self, effect: Reported) -> None:
        self._owner.reported(self, effect)

    def _credentials_changed(self, effect: CredentialsChanged) -> None:
        self._owner.credentials_changed(self, effect.password)

    def _file_effect(self, effect: FileEffect) -> None:
        self._owner.file_effect(self, effect)

    def _noticed(self, effect: Noticed) -> None:
        self._owner.noticed(self, effect)

    def replay_granted(self) -> None:
        self.handle(ReplayGranted())

    def _commit_failed(self, error: BaseException) -> None:
        self._owner.broken(self, error)

    def reborn(self, charger: Charger) -> None:
        """The decisions start over from what the store says; legs are closed by now."""
        self.sequencer.reset()
        self.charger = charger
        self.touched += 1
        self.record_state("again")

    def _first_leg_opens(self) -> None:
        if self.charger_leg is None and self.cloud_leg is None:
            self.record_state("opens")

    def record_state(self, why: Why) -> None:
        """What decisions from here on stand on, for who replays them."""
        if self.record is not None:
            self.record((clock.now(), self.identity, StateKept.of(self.charger.state, why)))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _action_of(queue: CallQueue, frame: CallResult | CallError | Any) -> str | None:
    out = queue.outstanding
    return out.call.action if out is not None and out.id == frame.id else None


_PERFORM: dict[type, Callable[[Session, Any], None]] = {
    SendCharger: Session._send_charger,
    SendCloud: Session._send_cloud,
    CloseCharger: Session._close_charger,
    CloseCloud: Session._close_cloud,
    LoadRows: Session._load_rows,
    AskReplaySlot: Session._ask_replay_slot,
    CallFinished: Session._call_finished,
    Reported: Session._reported,
    CredentialsChanged: Session._credentials_changed,
    Noticed: Session._noticed,
    FetchFirmware: Session._file_effect,
    FirmwareNews: Session._file_effect,
    OpenUpload: Session._file_effect,
    UploadNews: Session._file_effect,
}
