"""Chargers that knocked and that nobody has named: who they are, for whoever may accept them.

Rules of this file:
- Bounded, whoever knocks: one address can push out only what came from it, and who knocked seldom and long
  ago goes first. So a flood of made-up identities does not hide the charger that knocks every minute.
- An identity is what `core.admission` let through; everything else that a peer wrote is plain text, cut.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edgegw.redaction import plain

STRANGERS_MAX = 200
PER_ADDRESS_MAX = 40
OFFERED_MAX, OFFER_CHARACTERS_MAX = 8, 40


class Knock(msgspec.Struct, kw_only=True):
    """One identity at the door. Times are wall clock. Mutable: `Strangers` writes it."""

    identity: str
    peer: str
    first_at: float
    last_at: float
    times: int = 1
    offered: tuple[str, ...] = ()


class Strangers:
    def __init__(self) -> None:
        self._known: dict[str, Knock] = {}

    def newest(self) -> list[Knock]:
        """Who knocked last comes first."""
        return sorted(self._known.values(), key=lambda knock: (-knock.last_at, knock.identity))

    def knocked(self, identity: str, peer: str, offered: Sequence[str], wall: float) -> None:
        told = tuple(plain(word[:OFFER_CHARACTERS_MAX]) for word in offered[:OFFERED_MAX])
        known = self._known.get(identity)
        if known is None:
            self._make_room(peer)
            self._known[identity] = Knock(
                identity=identity, peer=peer, first_at=wall, last_at=wall, offered=told
            )
            return
        known.peer, known.last_at, known.offered = peer, wall, told
        known.times += 1

    def forget(self, identity: str) -> None:
        """It is let in now."""
        self._known.pop(identity, None)

    def _make_room(self, peer: str) -> None:
        of_peer = [knock for knock in self._known.values() if knock.peer == peer]
        if len(of_peer) >= PER_ADDRESS_MAX:
            self.forget(_least(of_peer))
        elif len(self._known) >= STRANGERS_MAX:
            self.forget(_least(list(self._known.values())))


def _least(knocks: list[Knock]) -> str:
    return min(knocks, key=lambda knock: (knock.times, knock.last_at)).identity
