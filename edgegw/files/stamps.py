"""The wall clock of a store: what it stamps things with, and when it may judge how old they are.

Rules of this file:
- A box without a battery starts in 1970 and is set by NTP, by decades at once. Nothing is past its time by a
  clock that was never set.
- What was stamped by such a clock is moved to the first reading that can be believed, once, as if its last
  stamp had been made just then: it gets its time anew, which is the safe side.
- The clock is read before a stamp is looked at: the reading is what moves the stamps.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from edgegw.files.manifest import Grant
from edgegw.files.upload_index import UploadSlot


def always() -> bool:
    return True


class StampClock:
    """`move` is given the first reading to be believed after others; it moves what they stamped."""

    def __init__(
        self, wall: Callable[[], float], trusted: Callable[[], bool], move: Callable[[float], None]
    ) -> None:
        self._wall = wall
        self._trusted = trusted
        self._move = move
        self._in_doubt = True  # also of what a former run has stamped

    @property
    def trusted(self) -> bool:
        return self._trusted()

    def __call__(self) -> float:
        """For a stamp."""
        now = self._wall()
        if not self._trusted():
            self._in_doubt = True
        elif self._in_doubt:
            self._in_doubt = False
            self._move(now)
        return now

    def judging(self) -> float:
        """What ends before this is past its time; nothing is before a clock that was not set."""
        now = self()
        return now if self._trusted() else -math.inf


def stamped(slot: UploadSlot, trusted: bool, **stamps: float) -> UploadSlot:
    """`slot` with these stamps."""
    others = tuple(name for name in slot.undated if name not in stamps)
    undated = others if trusted else (*others, *stamps)
    return msgspec.structs.replace(slot, undated=undated, **stamps)


def slot_moved(slot: UploadSlot, now: float) -> UploadSlot:
    """Its undated stamps, as far apart as they were, the last of them now."""
    stamps = {name: float(getattr(slot, name)) for name in slot.undated}
    made = [at for name, at in stamps.items() if name != "expires_at"]
    if not made:
        return slot
    step = now - max(made)
    moved = {name: at + step for name, at in stamps.items()}
    return msgspec.structs.replace(slot, undated=(), **moved)


def grant_moved(grant: Grant, now: float) -> Grant:
    if grant.undated_at is None:
        return grant
    expires_at = grant.expires_at + now - grant.undated_at
    return msgspec.structs.replace(grant, expires_at=expires_at, undated_at=None)
