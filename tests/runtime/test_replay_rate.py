"""Never above the configured rate in any second, whatever the timers do: on a clock of the test's own."""

from __future__ import annotations

import asyncio

import pytest

from edgegw.core.events import Instant
from edgegw.runtime import clock
from edgegw.runtime.replay_rate import ReplayRate


class Loop:
    """Timers that fire late, or early by the millisecond a real loop rounds away."""

    def __init__(self, off_s: list[float]) -> None:
        self.now = 100.0
        self._off_s = off_s
        self._timers: list[tuple[float, object]] = []

    def call_later(self, delay_s: float, callback):
        off_s = self._off_s.pop(0) if self._off_s else 0.0
        self._timers.append((max(self.now, self.now + delay_s + off_s), callback))

    def turn(self) -> None:
        at, callback = self._timers.pop(0)
        self.now = max(self.now, at) + 1e-6
        callback()


@pytest.mark.parametrize("rate", [0.5, 1, 20, 333])
def test_no_second_holds_more_than_the_rate(rate: float, monkeypatch: pytest.MonkeyPatch):
    lateness = [0.0, 0.3, -0.001, 0.0, 0.04, -0.001] * 50
    loop = Loop(lateness)
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    monkeypatch.setattr(clock, "now", lambda: Instant(loop.now, 0.0))
    pace = ReplayRate(rate)
    granted: list[float] = []
    for _ in range(120):
        pace.ask(lambda: granted.append(loop.now))
    while len(granted) < 120:
        loop.turn()
    window_s = max(1.0, 1 / rate)
    busiest = max(sum(at <= other < at + window_s for other in granted) for at in granted)
    assert busiest <= max(1, rate)
    if rate <= 20:  # and it is not far below it either
        assert len(granted) / (granted[-1] - granted[0]) > 0.8 * rate
