"""Sockets of the simulated world: latency, loss at any moment, and a note of every text message.

Order is kept per direction. What is under way when a socket is cut is gone in both directions. Who
closes a socket hears nothing more on it; what it said before still arrives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import orjson

from tests.simulation.ledger import Leg, Text

if TYPE_CHECKING:
    from tests.simulation.world import World


class End(Protocol):
    def on_text(self, text: Text) -> None: ...
    def on_closed(self) -> None: ...


class Socket:
    """`down` is the end farther from the cloud, `top` the one nearer to it."""

    __slots__ = ("_due", "_world", "alive", "charger", "down", "latency_s", "leg", "side", "top")

    def __init__(self, world: World, charger: str, side: str, latency_s: float) -> None:
        self._world = world
        self.charger = charger
        self.side = side
        self.latency_s = latency_s
        self.alive = True
        self.down: End | None = None
        self.top: End | None = None
        self._due = [0.0, 0.0]
        self.leg = Leg(len(world.ledger.legs) + 1, charger, side, world.agenda.now)
        world.ledger.legs[self.leg.number] = self.leg
        world.sockets.append(self)

    def send(self, *, up: bool, raw: bytes) -> Text:
        world = self._world
        world.count += 1
        frame = orjson.loads(raw)
        text = Text(world.count, self.charger, self.side, up, self.leg.number, raw, frame, world.agenda.now)
        world.ledger.texts.append(text)
        if world.trace is not None:
            arrow = ("->" if up else "<-") + (" cloud" if self.side == "cloud" else " box" if up else "")
            world.say(self.charger, f"leg {self.leg.number} {arrow} {raw.decode()[:180]}")
        if self.alive:
            world.agenda.at(self._when(up), lambda: self._arrive(text, up))
        return text

    def _when(self, up: bool) -> float:
        world = self._world
        due = world.agenda.now + self.latency_s * (0.5 + world.rng.random())
        self._due[up] = max(self._due[up], due)
        return self._due[up]

    def _arrive(self, text: Text, up: bool) -> None:
        end = self.top if up else self.down
        if not self.alive or end is None:
            return
        world = self._world
        world.count += 1
        text.got_at, text.got_n = world.agenda.now, world.count
        end.on_text(text)

    def close(self, *, by_down: bool) -> None:
        """The closing handshake of one end."""
        if by_down:
            self.down = None
        else:
            self.top = None
        self._ended()
        if self.alive:
            self._world.agenda.at(self._when(by_down), lambda: self._close_arrives(by_down))

    def _close_arrives(self, by_down: bool) -> None:
        if self.alive:
            self.alive = False
            self._tell(top=by_down)

    def cut(self, *, down_knows_after_s: float, top_knows_after_s: float) -> None:
        """The wire is gone; each end finds out in its own time."""
        if not self.alive:
            return
        self.alive = False
        self._ended()
        if self._world.trace is not None:
            self._world.say(self.charger, f"leg {self.leg.number} ({self.side}) CUT")
        self._world.agenda.after(down_knows_after_s, lambda: self._tell(top=False))
        self._world.agenda.after(top_knows_after_s, lambda: self._tell(top=True))

    def _ended(self) -> None:
        self.leg.open_until = min(self.leg.open_until, self._world.agenda.now)

    def _tell(self, *, top: bool) -> None:
        end = self.top if top else self.down
        if top:
            self.top = None
        else:
            self.down = None
        if end is not None:
            end.on_closed()
