"""What the box says to the cloud under its own identity, and when: registration, heartbeats, notices.

Rules of this file (OCPP 2.x use cases B01 to B03, G02; OCPP-J 4.1.1):
- One CALL at a time. Before the cloud has accepted the box nothing goes out but BootNotification and what
  the cloud asked for; while it says Rejected not even that. The interval it gave counts over a new leg too.
- A boot is said once per process, not once per leg. A cloud that answers SecurityError has forgotten the box
  and is told again.
- Notices go in the order in which they were written and keep their message id when they are repeated; one
  that the cloud refuses for good, or never answers, is dropped and said to be so.
- What the cloud asked for on a leg that is gone is not sent on the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from edgegw.core.calls import NEVER
from edgegw.core.effects import CloseCloud, Noticed, SendCloud
from edgegw.core.events import Instant
from edgegw.core.own_variables import HEARTBEAT_MAX_S, MODEL, VENDOR, OwnFacts, OwnVariables
from edgegw.core.publishing import Stage, StatusReport
from edgegw.core.state import Registration
from edgegw.wire import frames
from edgegw.wire.error_codes import is_transient
from edgegw.wire.frames import CallError, CallResult

BOOT_WAIT_S = 60.0  # between boots when the cloud named no interval (B02.FR.07)
BOOT_WAIT_MAX_S = 7 * 86_400.0  # a slip of the cloud must not keep the box away for good
FORGOTTEN_WAIT_S = 10.0  # before a boot that a SecurityError calls for: the two must not chase each other
NOTICE_WAIT_S = 60.0  # before a notice that the cloud could not take just now is repeated
ATTEMPTS_MAX = 3  # per notice
SILENCES_MAX = 3  # CALLs in a row without an answer: the leg is taken for dead
ASKED_MAX = 16  # of what the cloud asked for, unsent; it may have one CALL under way (OCPP-J 4.1.1)
NOTICES_MAX = 256  # waiting; 64 files with four statuses each
SERIAL_MAX = 25  # ChargingStationType.serialNumber; a cut one would be somebody else's
STATUS_ACTION = "PublishFirmwareStatusNotification"

MailEffect = SendCloud | CloseCloud | Noticed


class Letter:
    """One CALL to the cloud. `payload` None: made when it is sent."""

    __slots__ = ("action", "asked", "attempts", "id", "payload", "report")

    def __init__(
        self,
        message_id: str,
        action: str,
        payload: dict[str, Any] | None,
        *,
        report: StatusReport | None = None,
        asked: bool = False,
    ) -> None:
        self.id = message_id
        self.action = action
        self.payload = payload
        self.report = report
        self.asked = asked  # by the cloud, on this leg
        self.attempts = 0

    @property
    def is_notice(self) -> bool:
        return not self.asked and self.action not in ("BootNotification", "Heartbeat")


class OwnMail:
    """`pump` after everything else that was called."""

    def __init__(self, facts: OwnFacts, variables: OwnVariables, new_id: Callable[[], str]) -> None:
        self.up = False
        self.registration = Registration.NEVER
        self.last_status: tuple[Stage, int | None] = (Stage.IDLE, None)  # as sent; with its request id
        self._facts = facts
        self._variables = variables
        self._new_id = new_id
        self._reason = "PowerUp"
        self._boot_at = float("-inf")  # mono
        self._sent_at = float("-inf")  # mono: the last CALL
        self._answer_by = NEVER
        self._silences = 0
        self._notice_at = float("-inf")  # mono: the notice ahead waits until then
        self._out: Letter | None = None
        self._asked: deque[Letter] = deque()
        self._notices: deque[Letter] = deque()

    # --- what is to be said ----------------------------------------------------------------------

    def post(
        self, action: str, payload: dict[str, Any], report: StatusReport | None = None
    ) -> list[MailEffect]:
        """A notice. When too many wait, the oldest status goes: newer ones say more."""
        self._notices.append(Letter(self._new_id(), action, payload, report=report))
        if len(self._notices) <= NOTICES_MAX:
            return []
        oldest = next((letter for letter in self._notices if letter.report is not None), self._notices[0])
        self._notices.remove(oldest)
        return [
            Noticed("own_notice_dropped", f"too many messages wait for the cloud: a {oldest.action} less")
        ]

    def ask(self, action: str, payload: dict[str, Any] | None) -> bool:
        """What the cloud has just asked for. It goes before all notices. False: it asks too much."""
        if len(self._asked) >= ASKED_MAX:
            return False
        self._asked.append(Letter(self._new_id(), action, payload, asked=True))
        return True

    def boot_again(self, now: Instant) -> None:
        """The cloud wants a boot now, whatever it said before (B02.FR.04)."""
        self._reason = "Triggered"
        self._boot_at = now.mono

    # --- the leg ---------------------------------------------------------------------------------

    def connected(self) -> None:
        self.up = True
        self._silences = 0
        self._sent_at = float("-inf")  # a cloud that was away hears a sign of life at once (B04)

    def lost(self) -> None:
        self.up = False
        self._asked.clear()
        out, self._out = self._out, None
        if out is not None and out.action == "BootNotification":
            self._boot_at = float("-inf")
        elif out is not None and out.is_notice:
            self._notices.appendleft(out)

    def wake_at(self) -> float:
        if not self.up:
            return NEVER
        if self._out is not None:
            return self._answer_by
        if self.registration is not Registration.ACCEPTED:
            return self._boot_at
        beat_at = self._sent_at + self._variables.heartbeat_s
        return min(beat_at, self._notice_at) if self._notices else beat_at

    def pump(self, now: Instant) -> list[MailEffect]:
        """Send what may go now."""
        if not self.up or self._out is not None:
            return []
        letter = self._next(now)
        if letter is None:
            return []
        self._out = letter
        self._sent_at = now.mono
        self._answer_by = now.mono + self._facts.answer_timeout_s
        return [SendCloud(frames.call(letter.id, letter.action, self._payload(letter)))]

    def _next(self, now: Instant) -> Letter | None:
        registration = self.registration
        if registration is not Registration.ACCEPTED and now.mono >= self._boot_at:
            reason, self._reason = self._reason, "PowerUp"
            return Letter(self._new_id(), "BootNotification", self._boot(reason))
        if registration in (Registration.NEVER, Registration.REJECTED):
            return None
        if self._asked:
            return self._asked.popleft()
        if registration is not Registration.ACCEPTED:
            return None
        if self._notices and now.mono >= self._notice_at:
            return self._notices.popleft()
        if now.mono >= self._sent_at + self._variables.heartbeat_s:
            return Letter(self._new_id(), "Heartbeat", {})
        return None

    def _boot(self, reason: str) -> dict[str, Any]:
        station = {"model": MODEL, "vendorName": VENDOR, "firmwareVersion": self._facts.firmware[:50]}
        if len(self._facts.identity) <= SERIAL_MAX:
            station["serialNumber"] = self._facts.identity
        return {"reason": reason, "chargingStation": station}

    def _payload(self, letter: Letter) -> dict[str, Any]:
        if letter.report is not None:
            self.last_status = (letter.report.stage, letter.report.request_id)
        if letter.payload is None:
            letter.payload = self._status_again()
        return letter.payload

    def _status_again(self) -> dict[str, Any]:
        """L03.FR.10, 11: Idle when the last one sent was Published, else that one again."""
        stage, request_id = self.last_status
        if stage is Stage.PUBLISHED or request_id is None:
            self.last_status = (Stage.IDLE, None)
            return {"status": Stage.IDLE.value}
        return {"status": stage.value, "requestId": request_id}

    # --- what the cloud answers ------------------------------------------------------------------

    def answered(
        self, frame: CallResult | CallError, now: Instant
    ) -> tuple[StatusReport | None, list[MailEffect]]:
        """The report that the cloud has confirmed, if it was one."""
        letter = self._resolve(frame.id)
        if letter is None:
            return None, []
        self._silences = 0
        if isinstance(frame, CallError):
            return None, self._refused(letter, frame, now)
        if letter.action == "BootNotification":
            self._registered(frame.payload, now)
        return letter.report, []

    def _resolve(self, message_id: str) -> Letter | None:
        """Of the CALL under way, or of a notice whose answer comes late."""
        out = self._out
        if out is not None and out.id == message_id:
            self._out = None
            return out
        if self._notices and self._notices[0].attempts and self._notices[0].id == message_id:
            return self._notices.popleft()
        return None

    def _registered(self, payload: dict[str, Any], now: Instant) -> None:
        try:
            registration = Registration(str(payload.get("status")).lower())
        except ValueError:
            registration = Registration.NEVER
        interval = payload.get("interval")
        interval_s = interval if type(interval) is int and interval > 0 else 0
        self.registration = registration
        if registration is Registration.ACCEPTED:
            self._variables.heartbeat_s = min(interval_s, HEARTBEAT_MAX_S) or self._variables.heartbeat_s
        else:
            self._boot_at = now.mono + min(interval_s or BOOT_WAIT_S, BOOT_WAIT_MAX_S)

    def _refused(self, letter: Letter, frame: CallError, now: Instant) -> list[MailEffect]:
        if letter.action == "BootNotification":
            self._boot_at = now.mono + BOOT_WAIT_S
            return []
        if frame.code == "SecurityError" and self.registration is Registration.ACCEPTED:
            self.registration = Registration.NEVER
            self._boot_at = now.mono + FORGOTTEN_WAIT_S
        elif not is_transient(frame.code):
            return [_dropped(letter, f"the cloud answered {frame.code}")] if letter.is_notice else []
        return self._repeat(letter, f"the cloud answered {frame.code}", now)

    def _repeat(
        self, letter: Letter, why: str, now: Instant, wait_s: float = NOTICE_WAIT_S
    ) -> list[MailEffect]:
        if not letter.is_notice:
            return []
        letter.attempts += 1
        if letter.attempts >= ATTEMPTS_MAX:
            return [_dropped(letter, why)]
        self._notices.appendleft(letter)
        self._notice_at = now.mono + wait_s
        return []

    def woke(self, now: Instant) -> list[MailEffect]:
        out = self._out
        if out is None or now.mono < self._answer_by:
            return []
        self._out = None
        self._silences += 1
        effects: list[MailEffect] = []
        if out.action == "BootNotification":
            self._boot_at = now.mono + BOOT_WAIT_S
        else:
            effects = self._repeat(out, "the cloud did not answer it", now, wait_s=0.0)
        if self._silences >= SILENCES_MAX:
            self._silences = 0
            effects.append(CloseCloud("the cloud does not answer"))
        return effects


def _dropped(letter: Letter, why: str) -> Noticed:
    what = letter.report.stage.value if letter.report is not None else letter.action
    return Noticed("own_notice_dropped", f"the cloud was not told {what}: {why}")
