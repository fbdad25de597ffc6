"""Reading in turns: what comes is read and acted upon for a moment, then it waits while others have the loop.

Rules of this file:
- A turn takes TURN_S and, at the end of it, one packet more. When there is more to read it goes on after
  REST_S: who sends faster waits in TCP, and the chargers have two thirds of the loop.
- Bytes that were read already wake no loop, so a turn ends when a look at the socket found nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic  # the loop's own clock stands still during a turn

from edgegw.mqtt.line import Line

TURN_S = 0.005
REST_S = 0.01


def _nothing() -> None: ...


class Turns:
    """Begun with `begin`; after `end` nothing is called any more."""

    def __init__(self, line: Line, step: Callable[[], None], over: Callable[[], None]) -> None:
        """`step`: reads a packet at most and acts upon it. `over`: this turn is over."""
        self._line = line
        self._step = step
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._fd = -1
        self._rest: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._fd = self._line.fileno()
        self._loop.add_reader(self._fd, self._turn)

    def end(self) -> None:
        """Before the line is closed: soon its number may be somebody else's."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._loop.remove_reader(fd)
        if self._rest is not None:
            self._rest.cancel()
        self._step = self._over = _nothing  # whoever they belong to holds us

    @property
    def is_behind(self) -> bool:
        """There was more to read when the last turn ended."""
        return not self._line.is_dry

    def _turn(self) -> None:
        self._line.is_dry = False
        until = monotonic() + TURN_S
        try:
            while self._goes_on:
                self._step()
                if monotonic() >= until:
                    break
        finally:  # also when a listener made a mistake
            if self._goes_on:
                self._loop.remove_reader(self._fd)
                self._rest = self._loop.call_later(REST_S, self._after_rest)
        self._over()

    @property
    def _goes_on(self) -> bool:
        return self._fd >= 0 and not self._line.is_dry

    def _after_rest(self) -> None:
        self._loop.add_reader(self._fd, self._turn)
        self._turn()
