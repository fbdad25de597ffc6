"""One limit that somebody set, from its setting to its end.

Rules of this file:
- Wall clock seconds since 1970 come in as arguments.
- `expired` is for good: a clock that is wrong later cannot bring the limit back.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from edgegw.balance.model import Amps


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that somebody set."""

    source: str
    circuit: str
    limit_a: Amps  # per phase
    chargers_only: bool = False
    priority: int = 0
    set_at: float = 0.0  # wall
    expires_at: float | None = None  # wall; None: until it is cleared
    fallback_a: float | None = None  # per phase, after it has expired
    asked_w: float | None = None  # when it was set in watts
    floor_14a: bool = False  # §14a EnWG: raised to what the law leaves the chargers
    expired: bool = False  # for good, whatever a clock says later: the fallback holds

    def at(self, now_wall: float) -> Amps | None:
        """What holds now; None when nothing does."""
        if self.state(now_wall) == "holds":
            return self.limit_a
        return None if self.fallback_a is None else on_all(self.fallback_a)

    def state(self, now_wall: float) -> Literal["holds", "fallback"]:
        """Of an order that `LimitBook.orders` tells: does its limit hold, or what it fell back to?"""
        is_over = self.expired or (self.expires_at is not None and now_wall >= self.expires_at)
        return "fallback" if is_over else "holds"

    def moved(self, seconds: float) -> Order:
        """The same order on a clock that was set by so much."""
        expires_at = None if self.expires_at is None else self.expires_at + seconds
        return replace(self, set_at=self.set_at + seconds, expires_at=expires_at)

    def from_unknown_time(self, now_wall: float) -> Order:
        """How much of its life is left nobody knows: the lower of both holds, its whole life at most."""
        if self.expires_at is None or self.expired:
            return replace(self, set_at=now_wall)
        life_s = max(0.0, self.expires_at - self.set_at)
        begun = replace(self, set_at=now_wall, expires_at=now_wall + life_s)
        if self.fallback_a is None:
            return begun
        if self.fallback_a <= min(self.limit_a):
            return replace(begun, expired=True)
        first, second, third = (min(amps, self.fallback_a) for amps in self.limit_a)
        return replace(begun, limit_a=(first, second, third))


def on_all(amps: float) -> Amps:
    """The same on all three phases."""
    return amps, amps, amps
