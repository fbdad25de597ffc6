"""Connectors that were taken out of balancing and may still draw what they were told last.

Rules of this file: such a connector is not steered any more and counts with what it may draw; when the life
of its last limit is over it is like everything else that nobody balances: part of the building.
"""

from __future__ import annotations

import msgspec

from edgegw.balance.model import Connector, Plug, PlugState
from edgegw.core.events import Instant


class Leaver(msgspec.Struct, frozen=True, gc=False):
    connector: Connector
    amps: float  # kept free for it, per phase
    until: float  # mono


class Leavers:
    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Leaver] = {}

    @property
    def connectors(self) -> tuple[Connector, ...]:
        return tuple(leaver.connector for leaver in self._known.values())

    @property
    def plugs(self) -> tuple[Plug, ...]:
        return tuple(
            Plug(
                connector=leaver.connector.id,
                state=PlugState.WAITING,
                standing_a=leaver.amps,
                steered=False,
                reserved_a=leaver.amps,
            )
            for leaver in self._known.values()
        )

    def add(self, connector: Connector, plug: Plug, now: Instant, hold_s: float) -> None:
        amps = max(plug.standing_a, 0.0 if plug.steered else plug.reserved_a)
        self._known[connector.id] = Leaver(connector, amps, now.mono + hold_s)

    def forget(self, wired: set[str]) -> None:
        """Those that are wired again speak for themselves."""
        self._known = {name: leaver for name, leaver in self._known.items() if name not in wired}

    def end(self, now: Instant) -> bool:
        """Whether somebody's time is over."""
        before = len(self._known)
        self._known = {name: one for name, one in self._known.items() if now.mono < one.until}
        return len(self._known) < before
