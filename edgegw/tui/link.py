"""The console's line to the gateway: one picture after another, and a new attempt when it breaks.

Rules of this file:
- It never ends by itself and never raises: what is wrong is a state that everybody can see.
- The last picture stays while the line is down; it says since when it is old.
- Not more than SHOWN_PER_S pictures are handed on: people do not read faster, and slow lines are kept free.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgegw.control.client import ControlClient, ControlFault
from edgegw.control.live_client import LiveClient
from edgegw.control.live_models import Snapshot

SHOWN_PER_S = 2.0
AGAIN_FIRST_S = 0.5
AGAIN_MAX_S = 5.0

State = Literal["connecting", "live", "lost"]


@dataclass(frozen=True, slots=True)
class Where:
    """Which gateway: its socket, or its loopback port with a token."""

    socket: Path | None = None
    base_url: str | None = None
    token: str | None = None
    operator: bool = False

    def live(self) -> LiveClient:
        return LiveClient(self.socket, base_url=self.base_url, token=self.token, read_only=not self.operator)

    def client(self) -> ControlClient:
        """For one question or order; to be used in a thread."""
        return ControlClient(
            self.socket, base_url=self.base_url, token=self.token, read_only=not self.operator
        )

    @property
    def name(self) -> str:
        return str(self.socket or self.base_url)


@dataclass(frozen=True, slots=True)
class LinkState:
    """`since`: seconds since 1970, when it came into this state. `error`: why it is not live."""

    state: State = "connecting"
    since: float = 0.0
    error: str = ""
    losses: int = 0


class Link:
    """`await run()` until cancelled. `on_snapshot` and `on_state` are called in the console's loop."""

    def __init__(
        self,
        where: Where,
        on_snapshot: Callable[[Snapshot], None],
        on_state: Callable[[LinkState], None],
        *,
        shown_per_s: float = SHOWN_PER_S,
    ) -> None:
        self._where = where
        self._on_snapshot = on_snapshot
        self._on_state = on_state
        self._gap_s = 1.0 / shown_per_s
        self.state = LinkState(since=time.time())
        self._waits: asyncio.TimerHandle | None = None  # for its turn to be shown
        self._newest: Snapshot | None = None
        self._next_at = 0.0  # by the loop's clock

    async def run(self) -> None:
        again_s = AGAIN_FIRST_S
        while True:
            try:
                async with self._where.live() as live, aclosing(live.snapshots()) as snapshots:
                    async for snapshot in snapshots:
                        again_s = AGAIN_FIRST_S
                        self._take(snapshot)
                self._lose("the gateway ended the connection")
            except ControlFault as fault:
                self._lose(str(fault))
            await asyncio.sleep(again_s)
            again_s = min(again_s * 2, AGAIN_MAX_S)

    def _take(self, snapshot: Snapshot) -> None:
        """Show it now, or when its turn comes, unless a newer one is here by then."""
        self._newest = snapshot
        loop = asyncio.get_running_loop()
        if self.state.state != "live":
            self._hand_on()  # somebody waits for it
        elif self._waits is None:
            self._waits = loop.call_at(max(self._next_at, loop.time()), self._hand_on)

    def _hand_on(self) -> None:
        snapshot, self._newest = self._newest, None
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None
        assert snapshot is not None, "it is called because there is one"
        self._next_at = asyncio.get_running_loop().time() + self._gap_s
        self._on_snapshot(snapshot)
        self._enter("live")

    def _lose(self, error: str) -> None:
        """What came last is shown before."""
        if self._newest is not None:
            self._hand_on()
        self._enter("lost", error)

    def _enter(self, state: State, error: str = "") -> None:
        before = self.state
        if (before.state, before.error) == (state, error):
            return
        losses = before.losses + (before.state == "live" and state == "lost")
        since = before.since if before.state == state else time.time()
        self.state = LinkState(state, since, error, losses)
        self._on_state(self.state)
