"""What a car takes: what it draws, on which phases, how much it can use, the least it charges with.

Rules of this file:
- One `Car` per connector, kept between steps; `see` brings it up to date, nothing else writes what it
  learned.
- What is learned belongs to the session and is forgotten with it; whether it charges belongs to the plug.
- What it draws is a span (`low`, `high`): a limit that was just changed has not shown yet. A sample of the
  charger, or time, closes the span.
- A car that does not follow our own command has not shown what it can take.
"""

from __future__ import annotations

from math import ceil, floor

from edgegw.balance.model import INFINITE, PHASES, Connector, Plug, PlugState, Settings

AC_MOST_A = 32.0
SIZE_MOST = 3.0
DRAWS_A = 1.0  # more is drawing
PHASE_IN_USE_A = 1.5
CLEAR_DRAW_A = 3.0  # enough to tell used phases from unused ones
UNDER_USE_A = 1.5  # this far below its limit a car does not use it
FULL_AFTER_S = 200.0  # the car has stopped by itself so long after having charged
DEFIES_AFTER_S = 10.0
OWN_DOING_S = 15.0  # a car that stops later than this after a new limit does not stop because of it
STARTS_S = 12.0  # until its draw has risen to its limit
IDLE_AFTER_S = 120.0  # may charge and has not begun
REFUSES_AFTER_S = 45.0
STEP_DOWN_BLAME_S = 16.0

_NOTHING = [0.0, 0.0, 0.0]
_PRESENT = (PlugState.WAITING, PlugState.CHARGING, PlugState.SUSPENDED_EV)


class Car:
    """The plug at one connector and the car in it. Amps are per phase, triples are by grid phase."""

    __slots__ = (
        "_pending_a",
        "arrived_at",
        "bypass_ended_at",
        "bypassing",
        "cap_a",
        "ceiling_a",
        "connector",
        "defies",
        "dozes",
        "drew_since_on",
        "effect_until",
        "energy_wh",
        "est",
        "floor_a",
        "high",
        "index",
        "learned_min_a",
        "least_a",
        "low",
        "most_a",
        "not_before",
        "off_at",
        "offer_a",
        "offer_at",
        "on",
        "on_at",
        "paused",
        "pauses",
        "phase_samples",
        "phases",
        "plug",
        "present",
        "priority",
        "reserved_a",
        "sample_at",
        "session",
        "size",
        "standing_a",
        "started",
        "state",
        "state_at",
        "steered",
        "stepped_down_at",
        "stopped",
        "stubborn_a",
        "target_a",
    )

    def __init__(self, index: int, connector: Connector) -> None:
        self.index = index
        self.connector = connector
        step = connector.step_a
        least = max(connector.min_a, min(step, connector.max_a))
        self.floor_a = round(ceil(least / step - 1e-9) * step, 6)
        self.ceiling_a = round(floor(connector.max_a / step + 1e-9) * step, 6)
        if self.floor_a > self.ceiling_a:  # no step lies between: exactly these two
            self.floor_a, self.ceiling_a = least, connector.max_a
        # A fast charger counts by its size beside an AC charger of 32 A, within reason.
        self.size = min(SIZE_MOST, max(1.0, self.ceiling_a / AC_MOST_A)) if connector.dc else 1.0
        self.plug = Plug(connector=connector.id)
        self.started = False
        self.state = PlugState.FREE
        self.state_at = -INFINITE
        self.present = False
        self.steered = True
        self.reserved_a = 0.0
        self.standing_a = 0.0
        self.offer_a = 0.0  # what we let it have; while free nothing
        self.offer_at = -INFINITE
        self.stepped_down_at = -INFINITE
        self.on = False
        self.on_at = -INFINITE
        self.off_at = -INFINITE
        self.paused = False  # taken back by us; not set for a car that never had its turn
        self.arrived_at = -INFINITE
        self.priority = connector.priority
        self.est = _NOTHING  # never changed in place
        self.low = self.est
        self.high = self.est
        self.sample_at = -INFINITE
        self.target_a = 0.0
        self._pending_a: tuple[float, float] | None = None  # least and most of targets that no sample showed
        self.stubborn_a = 0.0  # what it draws while it defies its limit
        self.bypassing = False  # left out of balancing: its most is its least (`bypass`)
        self.bypass_ended_at = -INFINITE
        self.stopped: list[float] | None = None  # what it drew, in the step in which it stopped by itself
        self.effect_until = -INFINITE
        self._forget("")
        self.bound(self.bypassing)

    def _forget(self, session: str) -> None:
        self.session = session
        self.phases = tuple(sorted(self.connector.phases))
        self.phase_samples = 0
        self.cap_a = INFINITE  # what it has shown that it can use
        self.learned_min_a = 0.0
        self.pauses = 0
        self.drew_since_on = False
        self.defies = False  # its last settled sample was above its limit
        self.not_before = -INFINITE  # its even share is not asked for again
        self.dozes = False  # it had its turn and made no use of it: full, asleep, or not authorised
        self.energy_wh = 0.0

    # --- what it may have -------------------------------------------------------------------------

    def bound(self, bypassing: bool) -> None:
        """`least_a`: the least it charges with. `most_a`: the most that charger and cloud let it be offered,
        in steps; 0 when that is below its least."""
        self.least_a = max(self.floor_a, min(self.learned_min_a, self.ceiling_a))
        most = self.ceiling_a
        cap_a = min(self.plug.cap_a, self.plug.operator_a)
        if cap_a < most:
            most = self.quantised(max(0.0, cap_a))
        self.most_a = most if most >= self.least_a else 0.0
        if bypassing and self.most_a > 0.0:
            self.least_a = self.most_a

    def bypass(self, bypassing: bool, now: float) -> None:
        """Leave it out of balancing, or end that."""
        if self.bypassing and not bypassing:
            self.bypass_ended_at = now
        self.bypassing = bypassing
        self.bound(bypassing)
        if bypassing and not self.on and self.wants:
            self.admit(now)

    @property
    def use_a(self) -> float:
        """The most it makes use of, as a legal offer."""
        most = self.most_a
        if self.cap_a >= most or self.bypassing:
            return most
        step = self.connector.step_a
        return min(most, max(self.least_a, round(ceil(self.cap_a / step - 1e-9) * step, 6)))

    def quantised(self, amps: float) -> float:
        """`amps` down to the steps of the connector."""
        if amps >= self.ceiling_a:
            return self.ceiling_a
        step = self.connector.step_a
        down = round(floor(amps / step + 1e-9) * step, 6)
        return down if down >= self.floor_a or amps < self.floor_a else self.floor_a

    @property
    def drawing_a(self) -> float:
        return max(self.est)

    @property
    def wants(self) -> bool:
        return self.present and self.steered and self.most_a > 0

    def _watch_idle(self, now: float) -> None:
        since = now - max(self.state_at, self.on_at)
        if self.state is PlugState.CHARGING:
            self.dozes = False
        elif self.state is PlugState.SUSPENDED_EV:
            self.dozes |= since > FULL_AFTER_S
        elif self.offer_a > 0:
            self.dozes |= since > IDLE_AFTER_S

    # --- what is seen -----------------------------------------------------------------------------

    def see(self, plug: Plug, now: float, settings: Settings) -> None:
        """Take over what is known of the plug now."""
        self.plug = plug
        self.stopped = None
        self.priority = self.connector.priority if plug.priority is None else plug.priority
        self.standing_a = plug.standing_a
        self.steered = plug.steered
        self.reserved_a = 0.0 if plug.steered else max(0.0, plug.reserved_a)
        if plug.state is not self.state or plug.session != self.session or not self.started:
            self._changed(plug, now)
        self.energy_wh = max(self.energy_wh, plug.energy_wh)
        self._sample(plug, now, settings)
        self._close_span(now)
        if self.on and self.present:
            self._watch_idle(now)
            self._learn(now, settings)
        self.bound(self.bypassing)

    def _changed(self, plug: Plug, now: float) -> None:
        present = plug.state in _PRESENT
        first = not self.started
        self.started = True
        if self.state is PlugState.CHARGING is not plug.state and now - self.offer_at > OWN_DOING_S:
            self.stopped = self.est
        if plug.session != self.session:
            self._forget(plug.session)
        if present and not self.present:
            self._arrive(plug, now, first)
        elif not present:
            self._leave()
        if plug.state is not self.state:
            self.state = plug.state
            self.state_at = now
            if plug.state is PlugState.CHARGING:
                self.effect_until = now + STARTS_S
                self._pending_a = None
                self.target_a = min(max(self.offer_a, plug.standing_a), self.cap_a)
        self.present = present

    def _arrive(self, plug: Plug, now: float, first: bool) -> None:
        """A car is there. After a restart one that charges goes on as it is; else it has to be admitted."""
        self.arrived_at = now
        self.off_at = -INFINITE
        self.paused = False
        self.on = False
        self.offer_a = 0.0
        self.offer_at = now if first else -INFINITE
        if first and plug.state is not PlugState.WAITING:
            standing = self.quantised(plug.standing_a)
            if standing >= self.floor_a:
                self.on, self.on_at, self.offer_a = True, now, standing

    def _leave(self) -> None:
        self.on = False
        self.offer_a = 0.0
        self.target_a = 0.0
        self._pending_a = None
        self.effect_until = -INFINITE

    def _sample(self, plug: Plug, now: float, settings: Settings) -> None:
        if plug.drawn_a is None or plug.drawn_at <= self.sample_at:
            return
        known = [amps for amps in plug.drawn_a if amps is not None]
        if not known or plug.drawn_at < self.state_at - 1.0:
            return
        self.sample_at = plug.drawn_at
        est = [0.0, 0.0, 0.0]
        highest = max(known)  # for a phase it does not speak of: never less than it draws
        for phase, amps in zip(self.connector.phases, plug.drawn_a, strict=False):
            est[phase] = max(0.0, highest if amps is None else amps)
        self.est = est
        if highest > DRAWS_A:
            self.drew_since_on = True
        if highest <= max(self.offer_a, plug.standing_a) + 1.0:
            self.defies = False
        elif plug.drawn_at > self.offer_at + DEFIES_AFTER_S and highest > self.offer_a + UNDER_USE_A:
            self.defies = True  # from now on no new limit hides it
        settled = plug.drawn_at >= self.offer_at + 5.0
        if settled and self.effect_until > now and abs(highest - self.target_a) < UNDER_USE_A:
            self.effect_until = now
            self._pending_a = None
        self._learn_phases(highest, settled)

    def _learn_phases(self, highest: float, settled: bool) -> None:
        used = tuple(phase for phase in range(PHASES) if self.est[phase] > PHASE_IN_USE_A)
        if not set(used) <= set(self.phases):  # more than was thought: at once
            self.phases = tuple(sorted({*self.phases, *used}))
            self.phase_samples = 0
        if highest <= CLEAR_DRAW_A or not settled or used == self.phases:
            self.phase_samples = 0
            return
        self.phase_samples += 1
        if self.phase_samples >= 2:
            self.phases = used

    def _close_span(self, now: float) -> None:
        """Where the draw may be: a point, or between what it was and what the limit makes it."""
        self.stubborn_a = 0.0
        if self.state is not PlugState.CHARGING:
            self._close_at_rest(now)
        elif self.defies:
            self.low = self.high = self.est
            self.stubborn_a = max(self.est)
        elif self.effect_until == -INFINITE:
            self.low = self.high = self.est
        elif now >= self.effect_until:
            self.effect_until = -INFINITE
            self._pending_a = None
            if self.sample_at < self.offer_at + 5.0:  # no sample since has shown it
                self.est = self._at_target()
            self.low = self.high = self.est
        else:
            least, most = self._pending_a or (self.target_a, self.target_a)
            est, low, high = self.est, self._on_phases(least), self._on_phases(most)
            self.low = [min(est[0], low[0]), min(est[1], low[1]), min(est[2], low[2])]
            self.high = [max(est[0], high[0]), max(est[1], high[1]), max(est[2], high[2])]

    def _close_at_rest(self, now: float) -> None:
        """It does not draw, or not for long: its word may be ahead of the meter, or behind."""
        since = now - self.state_at
        if since >= 2.0 and (not self.present or self.sample_at < self.state_at + 5.0):
            self.est = _NOTHING
        self.low = self.high = self.est
        if since < 2.0:
            self.low = _NOTHING
        if self.on and now < self.effect_until:
            self.high = self._at_target()

    def _at_target(self) -> list[float]:
        return self._on_phases(self.target_a)

    def _on_phases(self, value_a: float) -> list[float]:
        amps = [0.0, 0.0, 0.0]
        for phase in self.phases:
            amps[phase] = value_a
        return amps

    def _learn(self, now: float, settings: Settings) -> None:
        self._learn_minimum(now, settings)
        if self.state is not PlugState.CHARGING or self.sample_at < self.offer_at + 5.0:
            return
        drawn = max(self.est)
        if drawn > self.cap_a - 0.8 or drawn > self.offer_a - 0.8:
            if self.cap_a < INFINITE:
                self.cap_a = max(self.cap_a, drawn) + max(4.0, 0.15 * self.cap_a)
                if self.cap_a >= self.ceiling_a:
                    self.cap_a = INFINITE
        elif now - self.offer_at > settings.settled_s and DRAWS_A < drawn < self.offer_a - UNDER_USE_A:
            self.cap_a = drawn + UNDER_USE_A

    def _learn_minimum(self, now: float, settings: Settings) -> None:
        needs = settings.refuses_below_a
        if self.connector.dc or self.learned_min_a or self.offer_a >= needs or self.ceiling_a < needs:
            return
        if self.state is not PlugState.SUSPENDED_EV:
            return
        never = not self.drew_since_on and now - max(self.state_at, self.on_at) > REFUSES_AFTER_S
        if never or (
            self.state_at - self.stepped_down_at < STEP_DOWN_BLAME_S and self.state_at >= self.stepped_down_at
        ):
            self.learned_min_a = needs

    # --- what we decide ---------------------------------------------------------------------------

    def offer(self, amps: float, now: float, settings: Settings) -> None:
        """Let it have `amps` from now on."""
        if amps == self.offer_a:
            return
        was, pending = self.offer_a, now < self.effect_until
        before_a = self.target_a
        self.offer_a = amps
        self.offer_at = now
        if amps < was:
            self.stepped_down_at = now
            self.effect_until = now + settings.effect_down_s
        else:
            self.effect_until = now + settings.effect_up_s
        self.target_a = min(amps, self.cap_a)
        if pending:  # it may have followed the one before already, though no sample has shown it
            least, most = self._pending_a or (before_a, before_a)
            self._pending_a = min(least, self.target_a), max(most, self.target_a)
        else:
            self._pending_a = None

    def admit(self, now: float) -> None:
        """Its turn: from now on its least is kept for it; the offer follows when the room is free."""
        self.on = True
        self.on_at = now
        self.paused = False
        self.drew_since_on = False

    def pause(self, now: float) -> None:
        """Its turn is over for the others' sake; `offer` takes back what it has."""
        self.off_at = now
        self.paused = True
        if self.offer_a > 0 and not self.dozes:
            self.pauses += 1
