"""What everything but the chargers draws behind one meter, and whether the meter can be believed.

Rules of this file:
- The building is the meter less the cars. While limits are on their way the cars are a span, and the
  building stays where it was as long as the span explains what the meter shows; what it does not explain is
  the building.
- It counts with its highest value of the last seconds; no median: one poll lost is one poll of overload.
- A phase whose meter is silent, shows less than the chargers draw, or falls when they draw more is not
  believed: the installer's reserve takes its place, and the window starts empty.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterator

from edgegw.balance.model import INFINITE, PHASE_NAMES, PHASES, Amps, Circuit, Reading, Settings

BELOW_AFTER_S = 10.0
BELIEVED_AFTER_S = 30.0
OVER_LIMIT_DOUBT_S = 8.0  # above the limit so long with lower limits on their way: they count as done
STOP_A = 4.0  # a car that drew so much and stops is seen at the meter
STOP_SEEN_S = 5.0  # before and after the charger's word
STOPS_FOR_A_VERDICT = 5  # in a row; a machine that starts in the same seconds deceives once, not five times


class PhaseMeter:
    """One phase of one meter."""

    def __init__(self, circuit: Circuit, settings: Settings) -> None:
        self.circuit = circuit
        self.settings = settings
        self.measured_a: float | None = None
        self.at = -INFINITE
        self.now_a = circuit.reserve_a  # of the building, by the last reading
        self.believed = False
        self.stale = True
        self.below = False  # shows less than the chargers draw
        self.reversed = False
        self.chargers_a = 0.0  # by their own word, at least
        self.limit_a = circuit.limit_a
        self._seen: deque[tuple[float, float]] = deque()
        self._below_since = INFINITE
        self._above_since = -INFINITE
        self.over_since = INFINITE
        self._history: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []
        self._sampled_at = -INFINITE
        self._recent: deque[tuple[float, float]] = deque()
        self._stops: deque[tuple[float, float, float]] = deque()
        self._against = 0  # stops in a row at which it rose

    def read(self, now: float, at: float, amps: float, low: float, high: float, limit: float) -> None:
        """A new value: the cars draw between `low` and `high`."""
        if at <= self.at:
            return
        fresh = self._seen and self.believed
        self.measured_a = amps
        self.at = at
        self.chargers_a, self.limit_a = low, limit
        if amps > limit:
            self.over_since = min(self.over_since, now)
            if now - self.over_since > OVER_LIMIT_DOUBT_S:
                high = low
        else:
            self.over_since = INFINITE
        was = self.now_a if fresh else amps - high
        self.now_a = max(amps - high, min(amps - low, was))
        self._judge(now, amps, low)
        self._watch_direction(now, amps)

    def _judge(self, now: float, amps: float, low: float) -> None:
        short = low - self.circuit.feed_in_a - amps
        if short > 2.0 + 0.05 * low:
            self._below_since = min(self._below_since, now)
            self._above_since = INFINITE
            if now - self._below_since >= BELOW_AFTER_S:
                self.below = True
        else:
            self._below_since = INFINITE
            self._above_since = min(self._above_since, now)
            if now - self._above_since >= BELIEVED_AFTER_S:
                self.below = False

    def car_stopped(self, now: float, amps: float) -> None:
        """A car stopped by itself: the meter must fall.

        Nothing else is evidence: what we do ourselves follows the meter, and goes against it.
        """
        if amps >= STOP_A and self._recent:
            self._stops.append((now + STOP_SEEN_S, amps, self._recent[0][1]))

    def _watch_direction(self, now: float, amps: float) -> None:
        recent = self._recent
        recent.append((now, amps))
        while recent[0][0] < now - STOP_SEEN_S:
            recent.popleft()
        while self._stops and self._stops[0][0] <= now:
            _, stopped, before = self._stops.popleft()
            if before - amps >= 0.5 * stopped:
                self._against = 0
            elif before - amps <= -0.5 * stopped:
                self._against += 1
        self.reversed = self._against >= STOPS_FOR_A_VERDICT

    def settle(self, now: float) -> None:
        """Judge its age and move the windows on; once per step, after the readings."""
        self.stale = now - self.at > self.settings.stale_after_s
        self.believed = not (self.stale or self.below or self.reversed)
        if not self.believed:
            self._seen.clear()
            self.over_since = INFINITE
            return
        seen = self._seen
        if not seen or seen[-1][0] < self.at:
            seen.append((self.at, max(self.now_a, -self.circuit.feed_in_a)))
        while len(seen) > 1 and seen[0][0] < now - self.settings.base_window_s:
            seen.popleft()
        if now - self._sampled_at >= self.settings.sample_every_s:
            self._sampled_at = now
            self._remember(now, self.base_a)

    def _remember(self, now: float, base: float) -> None:
        self._history.append((now, base))
        insort(self._sorted, base)
        while self._history[0][0] < now - self.settings.history_s:
            self._sorted.remove(self._history.popleft()[1])

    @property
    def base_a(self) -> float:
        """What the building counts with."""
        if not self.believed:
            return self.circuit.reserve_a
        return max(base for _, base in self._seen)

    @property
    def usual_a(self) -> float:
        """What it hardly ever exceeds; never below what it counts with now."""
        if not self.believed or not self._sorted:
            return self.base_a
        at = min(len(self._sorted) - 1, int(self.settings.quantile * len(self._sorted)))
        return max(self.base_a, self._sorted[at])


class Building:
    """The meter of one circuit, by phase."""

    def __init__(self, circuit: Circuit, settings: Settings) -> None:
        self.circuit = circuit
        self.phases = tuple(PhaseMeter(circuit, settings) for _ in range(PHASES))
        self.read_at = -INFINITE

    def see(
        self,
        now: float,
        reading: Reading | None,
        low: list[float],
        high: list[float],
        limit: Amps,
    ) -> None:
        if reading is not None:
            for phase, amps in enumerate(reading.current_a):
                if amps is not None and amps - amps == 0.0:  # neither NaN nor infinite
                    self.phases[phase].read(
                        now, min(reading.at, now), amps, low[phase], high[phase], limit[phase]
                    )
                    self.read_at = max(self.read_at, min(reading.at, now))
        for meter in self.phases:
            meter.settle(now)

    @property
    def stale(self) -> bool:
        return any(meter.stale for meter in self.phases)

    def alarms(self, now: float, started_at: float) -> Iterator[tuple[str, str]]:
        """(kind, what people must know)."""
        name, instead = self.circuit.name, f"{self.circuit.reserve_a:g} A are kept for the building instead"
        if self.stale:
            since = min(max(meter.at, started_at) for meter in self.phases)
            if now - since > self.phases[0].settings.stale_after_s:
                yield "meter_stale", f"{name}: no reading for {now - since:.0f} s, {instead}"
        for phase, meter in enumerate(self.phases):
            where, measured = f"{name} {PHASE_NAMES[phase]}", meter.measured_a or 0.0
            if meter.stale:
                continue
            if meter.below:
                told = f"the meter shows {measured:.0f} A, the chargers say {meter.chargers_a:.0f} A"
                yield "meter_below_chargers", f"{where}: {told}; {instead}"
            if meter.reversed:
                told = "the meter falls when cars draw more: is its transformer the wrong way round?"
                yield "meter_reversed", f"{where}: {told} {instead}"
            if now - meter.over_since > meter.settings.overload_tolerance_s:
                told = (
                    f"{measured:.0f} A for {now - meter.over_since:.0f} s, its limit is {meter.limit_a:g} A"
                )
                yield "over_limit", f"{where}: {told}"
