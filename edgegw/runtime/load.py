"""The loop that keeps the site under its fuse: meter readings in, limits to the chargers' sessions out.

Rules of this file:
- A reading is acted on in the call that brings it; without readings the loop runs once a second all the
  same, because a silent meter, a cloud schedule and an expiring profile need decisions too.
- A bug in a decision stops nothing: it is logged and told, and the chargers fall back to their safe limits
  when the ones they have expire.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

import msgspec

from edgegw.balance.model import Allocation, Reading
from edgegw.core.effects import Noticed
from edgegw.core.load_control import LoadControl, PowerPlan
from edgegw.runtime import clock
from edgegw.runtime.limits_kept import Commit, LimitsKept
from edgegw.runtime.session import Session
from edgegw.runtime.watchers import Watchers

log = logging.getLogger("edgegw.load")

TICK_S = 1.0
READING_GAP_MIN_S = 0.05  # two meters that answer together are one decision
FAILURES_LOGGED_EVERY = 60


class MeterHealth(msgspec.Struct, kw_only=True):
    """One meter as people see it. Mutable: the loop writes it."""

    name: str
    reading: Reading | None = None
    trouble: str = ""  # why there is no reading, in words
    kind: str = ""  # of that trouble: "meter_implausible", "meter_no_answer", ...


class LoadLoop:
    def __init__(
        self,
        control: LoadControl,
        sessions: Mapping[str, Session],
        noticed: Callable[[Noticed], None],
        commit: Commit,
        meters: tuple[str, ...] = (),
    ) -> None:
        self.control = control
        self.meters = {name: MeterHealth(name=name) for name in meters}
        self.steps = 0
        self.failures = 0
        self.failing = False  # the last decision did
        self.decided: Watchers[Allocation] = Watchers()
        self._sessions = sessions
        self._noticed = noticed
        self.kept = LimitsKept(control, commit)
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._stepped_at = float("-inf")
        self._stopped = False

    def start(self) -> None:
        self._tick()

    def stop(self) -> None:
        self._stopped = True
        for timer in (self._timer, self._soon):
            if timer is not None:
                timer.cancel()

    def replan(self, plan: PowerPlan, *, hold_s: float) -> None:
        """Balance by another plan from the next step on (`LoadControl.replan`)."""
        states = {identity: session.charger.state for identity, session in self._sessions.items()}
        self.control.replan(plan, states, clock.now(), hold_s=hold_s)

    # --- what the meters say ---------------------------------------------------------------------

    def on_reading(self, meter: str, reading: Reading) -> None:
        health = self.meters[meter]
        health.reading, health.trouble = reading, ""
        self.control.read(meter, reading)
        if self._soon is None:
            early_s = READING_GAP_MIN_S - (clock.now().mono - self._stepped_at)
            if early_s <= 0:
                self.step()
            else:
                self._soon = asyncio.get_running_loop().call_later(early_s, self._step_soon)

    def on_trouble(self, meter: str, kind: str, text: str) -> None:
        """`kind` "meter_ok" ends what was wrong."""
        is_well = kind == "meter_ok"
        health = self.meters[meter]
        health.trouble, health.kind = ("", "") if is_well else (text, kind)
        self._noticed(Noticed(kind, f"meter {meter}: {text}", warning=not is_well))

    def _step_soon(self) -> None:
        self._soon = None
        self.step()

    # --- the loop --------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self._stopped:
            return
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        if clock.now().mono - self._stepped_at >= TICK_S / 2:
            self.step()

    def step(self) -> None:
        """Decide once and tell the chargers."""
        now = clock.now()
        self._stepped_at = now.mono
        self.steps += 1
        states = {identity: session.charger.state for identity, session in self._sessions.items()}
        try:
            orders, notices = self.control.decide(states, now)
        except Exception:  # the loop's edge: chargers fall back by themselves, the loop must go on
            self.failures += 1
            if self.failures % FAILURES_LOGGED_EVERY == 1:
                log.exception("bug while balancing (%d times); limits stay as they are", self.failures)
            self._tell(failing=True)
            return
        self._tell(failing=False)
        for identity, event in orders:  # before all words about them
            self._sessions[identity].handle(event)
        self.kept.keep(now.mono)
        for notice in notices:
            self._noticed(notice)
        if self.control.allocation is not None:  # who watches comes last
            self.decided.tell(self.control.allocation)

    def _tell(self, *, failing: bool) -> None:
        """The alarm begins and ends."""
        if failing is self.failing:
            return
        self.failing = failing
        if failing:
            text = "a bug while limits are worked out, see the log: each charger falls back to its safe one"
            self._noticed(Noticed("balancing_failed", text))
        else:
            self._noticed(Noticed("balancing_failed_over", "limits are worked out again", warning=False))

    # --- limits from people and systems ----------------------------------------------------------

    def limits_changed(self) -> None:
        """Act on them now, and have them kept over a restart: `kept.on_disk` says when they are."""
        self.kept.keep(clock.now().mono, again=True)
        self.step()
