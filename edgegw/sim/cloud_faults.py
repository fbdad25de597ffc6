"""What can be wrong with the simulated cloud, as plain settings that `SimCloud` obeys."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgegw.sim.desk import Desk, Registration

EVERY_ACTION = "all"


@dataclass(slots=True)
class Refusal:
    code: str
    times: int  # how many CALLs still; -1 without end
    description: str = "refused by the simulated cloud"


@dataclass(slots=True)
class CloseBeforeAnswer:
    times: int
    answer_bytes: int = 0  # bytes of the answer's WebSocket frame that still go out
    action: str = EVERY_ACTION


@dataclass(slots=True)
class HandshakeRefusal:
    status: int
    retry_after_s: float | None = None


@dataclass(slots=True)
class CloudFaults:
    """Current troubles. A fresh one has none."""

    slow_s: float = 0.0  # before each answer; the connection reads nothing meanwhile
    late_s: float = 0.0  # each answer comes this much later; the connection goes on reading
    silent: set[str] = field(default_factory=set)  # actions, or EVERY_ACTION
    refusals: dict[str, Refusal] = field(default_factory=dict)  # by action or EVERY_ACTION
    closing: CloseBeforeAnswer | None = None
    handshake: HandshakeRefusal | None = None

    def is_silent(self, action: str) -> bool:
        return action in self.silent or EVERY_ACTION in self.silent

    def take_refusal(self, action: str) -> Refusal | None:
        """The refusal for this CALL, if any; uses one of its times up."""
        key = action if action in self.refusals else EVERY_ACTION
        refusal = self.refusals.get(key)
        if refusal is None:
            return None
        refusal.times -= 1
        if refusal.times == 0:
            del self.refusals[key]
        return refusal

    def take_closing(self, action: str) -> CloseBeforeAnswer | None:
        closing = self.closing
        if closing is None or closing.action not in (EVERY_ACTION, action):
            return None
        closing.times -= 1
        if closing.times == 0:
            self.closing = None
        return closing


class Troubles:
    """The settings as a person or a test gives them; base of `SimCloud`."""

    faults: CloudFaults
    desk: Desk

    def slow(self, seconds: float) -> None:
        """Wait before each answer, one after the other on a connection. 0 ends it."""
        self.faults.slow_s = seconds

    def late(self, seconds: float) -> None:
        """Answer that much later while going on to read. 0 ends it."""
        self.faults.late_s = seconds

    def refuse(self, action: str, code: str = "InternalError", times: int = -1) -> None:
        """Answer the next `times` CALLs of `action` ("all": any) with CALLERROR; 0 ends it."""
        self.faults.refusals.pop(action, None)
        if times:
            self.faults.refusals[action] = Refusal(code, times)

    def silence(self, action: str = EVERY_ACTION) -> None:
        """Never answer `action` until `speak`."""
        self.faults.silent.add(action)

    def speak(self) -> None:
        self.faults.silent.clear()

    def refuse_handshake(self, status: int | None, retry_after_s: float | None = None) -> None:
        """Answer handshakes with an HTTP status; None ends it."""
        self.faults.handshake = None if status is None else HandshakeRefusal(status, retry_after_s)

    def close_before_answer(
        self, times: int = 1, *, answer_bytes: int = 0, action: str = EVERY_ACTION
    ) -> None:
        """Take the next `times` CALLs in, then break the connection after `answer_bytes` of the
        answer's WebSocket frame."""
        self.faults.closing = CloseBeforeAnswer(times, answer_bytes, action) if times else None

    def registration(self, identity: str | None, status: str, interval: int = 300) -> None:
        """What BootNotification is answered with; identity None: for all others."""
        if identity is None:
            self.desk.registration = Registration(status, interval)
        else:
            self.desk.registrations[identity] = Registration(status, interval)
