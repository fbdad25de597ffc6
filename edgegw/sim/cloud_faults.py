"""What can be wrong with the simulated cloud, as plain settings that `SimCloud` obeys."""

from __future__ import annotations

from dataclasses import dataclass, field

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
