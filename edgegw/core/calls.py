"""One outstanding CALL per direction and socket (OCPP-J 1.6 4.1.1, 2.x Part 4 4.1.1), whoever sends it.

A `CallQueue` holds what wants to go out on one leg: relayed CALLs in the order in which they came,
stored messages, CALLs of the box itself. Answers are matched by id, never by order; an answer that
comes after its deadline still finds its CALL in `late`, once.
"""

from __future__ import annotations

from bisect import insort
from enum import IntEnum

import msgspec

from edgegw.core.records import JournalRow
from edgegw.wire.frames import Call

PENDING_CALLS_PER_DIRECTION_MAX = 1  # OCPP-J 4.1.1
LATE_CALLS_MAX = 8  # CALLs whose answer came too late and may still come
NEVER = float("inf")


class Priority(IntEnum):
    SAFETY = 0  # limits that hold the fuse
    BOOT = 1  # nothing may precede a boot (OCPP 1.6 4.2)
    LIVE = 2  # what charger and cloud say to each other now
    GATEWAY = 3  # what people or the box ask
    REPLAY = 4  # what waited in the store


class Origin(IntEnum):
    RELAY = 0  # the other leg's peer sent it and waits for the answer
    REPLAY = 1  # a stored row
    GATEWAY = 2  # the box itself, for a purpose of its own
    API = 3  # a person or program on the box, by ticket


class Outgoing(msgspec.Struct, eq=False, gc=False):
    """A CALL on its way. Mutable: deadlines move, and `row` appears when a relayed CALL was stored."""

    call: Call
    origin: Origin = Origin.RELAY
    priority: Priority = Priority.LIVE
    answer_by: float = NEVER  # when the asker must have been told something
    timeout_s: float = NEVER  # from sending: how long the peer may take
    give_up_at: float = NEVER  # set when sent
    row: JournalRow | None = None
    ticket: int = 0
    purpose: str = ""
    data: bytes = b""  # on the wire; of the CALL when none is given
    id: str = ""  # on the wire; of the CALL when none is given
    answered: bool = False  # the asker was told; True when nobody waits
    order: int = 0

    def __post_init__(self) -> None:
        if not self.data:
            self.data = self.call.raw
        if not self.id:
            self.id = self.call.id
        self.answered = self.origin is not Origin.RELAY


class CallQueue:
    """What waits for one leg. `ready` is whether that leg is open."""

    __slots__ = ("_count", "_late", "outstanding", "ready", "waiting")

    def __init__(self) -> None:
        self.ready = False
        self.outstanding: Outgoing | None = None
        self.waiting: list[Outgoing] = []
        self._late: list[Outgoing] = []
        self._count = 0

    def submit(self, out: Outgoing, now_mono: float) -> Outgoing | None:
        """Queue `out`; returns it when it is to be sent at once."""
        if self.outstanding is None and self.ready and not self.waiting:
            self.outstanding = out
            out.give_up_at = now_mono + out.timeout_s
            return out
        self._count += 1
        out.order = self._count
        insort(self.waiting, out, key=_rank)
        return None

    def next(self, now_mono: float) -> Outgoing | None:
        """The next CALL to send now, if the leg is free."""
        if self.outstanding is not None or not self.ready or not self.waiting:
            return None
        out = self.waiting.pop(0)
        out.give_up_at = now_mono + out.timeout_s
        self.outstanding = out
        return out

    def resolve(self, wire_id: str) -> Outgoing | None:
        """The CALL this answer belongs to; each is found once."""
        out = self.outstanding
        if out is not None and out.id == wire_id:
            self.outstanding = None
            return out
        for out in self._late:
            if out.id == wire_id:
                self._late.remove(out)
                return out
        return None

    def is_pending(self, wire_id: str) -> bool:
        out = self.outstanding
        if out is not None and out.id == wire_id:
            return True
        return any(o.id == wire_id for o in self.waiting) or any(o.id == wire_id for o in self._late)

    def awaits(self, call_id: str) -> bool:
        """Does whoever sent this CALL still wait for an answer?"""
        ahead = [self.outstanding] if self.outstanding is not None else []
        return any(o.call.id == call_id and not o.answered for o in [*ahead, *self.waiting])

    def is_repeated(self, call: Call) -> bool:
        """Is this very message of the same peer still on its way? Not one that was given up."""
        ahead = [self.outstanding] if self.outstanding is not None else []
        return any(o.origin is Origin.RELAY and o.call.raw == call.raw for o in [*ahead, *self.waiting])

    def give_up(self) -> Outgoing | None:
        """Stop waiting for the outstanding CALL; its answer may still come, late."""
        out = self.outstanding
        if out is not None:
            self.outstanding = None
            self._late.append(out)
            del self._late[:-LATE_CALLS_MAX]
        return out

    def withdraw(self, out: Outgoing) -> None:
        self.waiting.remove(out)

    def withdraw_all(self, purpose: str) -> None:
        """What waits for this purpose of the box is not wanted any more; what was sent, was sent."""
        self.waiting = [out for out in self.waiting if out.purpose != purpose or out.origin is Origin.RELAY]

    def lost(self) -> list[Outgoing]:
        """The leg is gone: everything that was on it or waited for it, in order of importance."""
        self.ready = False
        gone = [self.outstanding] if self.outstanding is not None else []
        gone += self.waiting
        self.outstanding = None
        self.waiting = []
        self._late = []
        return gone

    def disown(self) -> None:
        """The leg that asked is gone: what was not sent is void, what still comes back is told to nobody."""
        self.waiting = [out for out in self.waiting if out.origin is not Origin.RELAY]
        for out in (self.outstanding, *self._late):
            if out is not None and out.origin is Origin.RELAY:
                out.origin = Origin.GATEWAY

    def wake_at(self) -> float:
        """The next deadline of anything here."""
        out = self.outstanding
        soonest = NEVER
        if out is not None:
            soonest = out.give_up_at if out.answered else min(out.answer_by, out.give_up_at)
        for held in self.waiting:
            if not held.answered and held.answer_by < soonest:
                soonest = held.answer_by
        return soonest


def _rank(out: Outgoing) -> tuple[int, int]:
    return out.priority, out.order
