"""One step of the limit, watched to its end: the charger's answer, its MeterValues, the site's meter. Pure.

Rules of this file: a value of the meter is the mean of several new readings; a step that has no meter to be
compared with ends with what the charger says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgegw.commissioning.plan import Plan
from edgegw.commissioning.rotation import Sample
from edgegw.commissioning.stage import amps, highest
from edgegw.commissioning.words import Amps, Observation

Phase = Literal["settling", "accepting", "following", "measuring", "done"]
SAME_A = 0.15
STEADY_A = 0.8  # a current that moves less is steady
METER_OLD_S = 15.0
RISEN_A = 3.0  # enough to be told from the building
RAISE_S = 60.0  # so long the whole raise is waited for


@dataclass(frozen=True, slots=True)
class Ended:
    """How a step ended. `why` "": all answered."""

    why: str = ""
    is_the_sites: bool = False  # `why` is not the charger's fault: the site had no more to give
    sample: Sample | None = None
    meter_trouble: str = ""
    accepted_after_s: float = 0.0
    followed_after_s: float = 0.0


class Meter:
    """Collects readings until they make one value."""

    def __init__(self, readings: int) -> None:
        self._wanted = readings
        self._seen: list[tuple[float, float, float]] = []
        self._last_at: float | None = None

    def look(self, seen: Observation, now: float) -> None:
        first, second, third = (*seen.meter_a, None, None, None)[:3]
        if seen.meter_age_s is None or first is None or second is None or third is None:
            return
        at = now - seen.meter_age_s
        if self._last_at is not None and at - self._last_at < 0.3:
            return  # the same reading again
        self._last_at = at
        self._seen.append((first, second, third))

    @property
    def mean(self) -> tuple[float, float, float] | None:
        if len(self._seen) < self._wanted:
            return None
        newest = self._seen[-self._wanted :]
        first, second, third = (sum(one[n] for one in newest) / len(newest) for n in range(3))
        return first, second, third


def meter_trouble(seen: Observation) -> str:
    """Why nothing can be compared with the site's meter; "" when it can."""
    if not seen.meter:
        return "there is no meter above this connector"
    if seen.meter_trouble:
        return f"meter {seen.meter}: {seen.meter_trouble}"
    if seen.meter_age_s is None or seen.meter_age_s > METER_OLD_S:
        return f"meter {seen.meter} is silent"
    return ""


class StepWatch:
    """From one steady state, through a new limit, to the next. `look` until `ended`."""

    def __init__(self, plan: Plan, limit_a: float) -> None:
        self.limit_a = limit_a
        self.wants_limit = False  # the limit is to be set now
        self.ended: Ended | None = None
        self.saying = ""
        self._plan = plan
        self._phase: Phase = "settling"
        self._since: float | None = None
        self._steady_since: float | None = None
        self._drawn: Amps = ()
        self._before: Amps = ()
        self._meter = Meter(plan.readings)
        self._meter_before: tuple[float, float, float] | None = None
        self._accepted_s = self._followed_s = 0.0
        self._lagging_since: float | None = None

    def look(self, seen: Observation, now: float) -> None:
        self._since = now if self._since is None else self._since
        self.wants_limit = False
        self._watch_steady(seen, now)
        if not seen.transaction or not seen.connected:
            self.ended = Ended(why="the car stopped charging, or the charger left, in the middle of the step")
        elif self._phase == "settling":
            self._settle(seen, now)
        elif self._phase == "accepting":
            self._accept(seen, now)
        elif self._phase == "following":
            self._follow(seen, now)
        elif self._phase == "measuring":
            self._measure(seen, now)

    def _watch_steady(self, seen: Observation, now: float) -> None:
        drawn = seen.drawn_a or ()
        moved = len(drawn) != len(self._drawn) or any(
            abs((one or 0.0) - (other or 0.0)) > STEADY_A
            for one, other in zip(drawn, self._drawn, strict=False)
        )
        if moved or self._steady_since is None:
            self._drawn, self._steady_since = drawn, now

    def _enter(self, phase: Phase, now: float) -> None:
        self._phase, self._since = phase, now

    def _waited(self, now: float) -> float:
        return now - (self._since or now)

    def _settle(self, seen: Observation, now: float) -> None:
        self.saying = "waiting until car and meter are steady"
        trouble = meter_trouble(seen)
        self._meter.look(seen, now)
        steady = self._is_steady(now)
        late = self._waited(now) > self._plan.follow_down_s
        if not (steady or late) or (not trouble and self._meter.mean is None and not late):
            return
        self._before, self._meter_before = self._drawn, None if trouble else self._meter.mean
        self.wants_limit = True
        self._enter("accepting", now)

    def _accept(self, seen: Observation, now: float) -> None:
        self.saying = f"limit {self.limit_a:g} A: waiting until the charger accepts it"
        if self.limit_a < (highest(self._before) or 0.0):
            is_there = seen.accepted_a is not None and seen.accepted_a <= self.limit_a + SAME_A
            is_late = self._waited(now) > self._plan.accept_limit_s
        else:
            is_there, is_late = self._is_raised(seen, now)
        if is_there:
            self._accepted_s = self._waited(now)
            self._enter("following", now)
            self._steady_since = now
        elif is_late:
            self.ended = Ended(why=self._not_accepted(seen), is_the_sites=_takes_what_is_given(seen))

    def _is_raised(self, seen: Observation, now: float) -> tuple[bool, bool]:
        """The site raises by and by, and not always all the way: what it gives is what must be accepted."""
        if seen.limit_a is None or seen.accepted_a is None or seen.accepted_a < seen.limit_a - SAME_A:
            self._lagging_since = now if self._lagging_since is None else self._lagging_since
            return False, now - self._lagging_since > self._plan.accept_limit_s
        self._lagging_since = None
        is_full = seen.limit_a >= self.limit_a - SAME_A
        risen = seen.limit_a >= (highest(self._before) or 0.0) + RISEN_A
        return is_full or (risen and self._waited(now) > RAISE_S), self._waited(now) > self._plan.follow_up_s

    def _not_accepted(self, seen: Observation) -> str:
        if _takes_what_is_given(seen):
            return f"the site gave it {seen.limit_a:g} A of {self.limit_a:g} A only: {seen.why}"
        if seen.fault:
            return f"the charger did not accept {self.limit_a:g} A: {seen.fault}"
        return (
            f"the charger did not accept {self.limit_a:g} A within {self._plan.accept_limit_s:g} s: is Smart "
            "Charging switched on in it?"
        )

    def _follow(self, seen: Observation, now: float) -> None:
        drawn, before = highest(seen.drawn_a), highest(self._before) or 0.0
        self.saying = f"limit {self.limit_a:g} A accepted; the charger says {amps(seen.drawn_a)}"
        fresh = seen.drawn_age_s is None or seen.drawn_age_s <= self._waited(now) + 1.0
        margin = max(1.0, 0.1 * self.limit_a)
        falls = self.limit_a < before
        if falls:
            follows = drawn is not None and drawn <= self.limit_a + margin
            patience = self._plan.follow_down_s
        else:
            follows = (
                drawn is not None
                and drawn >= min(self.limit_a - margin, before + 2.0)
                and self._is_steady(now)
            )
            patience = self._plan.follow_up_s
        if fresh and follows:
            self._followed_s = self._waited(now)
            self._meter = Meter(self._plan.readings)
            self._enter("measuring", now)
        elif self._waited(now) > patience:
            self.ended = Ended(
                why=self._not_followed(seen, drawn, before, falls), accepted_after_s=self._accepted_s
            )

    def _is_steady(self, now: float) -> bool:
        return self._steady_since is not None and now - self._steady_since >= self._plan.steady_s

    def _not_followed(self, seen: Observation, drawn: float | None, before: float, falls: bool) -> str:
        if drawn is None or (seen.drawn_age_s or 0.0) > self._plan.follow_down_s:
            return "it sent no new MeterValues: set MeterValueSampleInterval to 30 s or less"
        if falls:
            return (
                f"it accepted {self.limit_a:g} A and {drawn:.1f} A are drawn all the same: it ignores "
                "limits; update its firmware, or see its maker's settings for Smart Charging"
            )
        return f"it may draw {seen.accepted_a or 0.0:g} A and draws {drawn:.1f} A, as before ({before:.1f} A)"

    def _measure(self, seen: Observation, now: float) -> None:
        self.saying = "the charger follows; comparing with the meter"
        trouble = meter_trouble(seen)
        if trouble or self._meter_before is None:
            self._finish(seen, None, trouble or "the meter was silent before the step")
            return
        if self._waited(now) >= self._plan.averages_s:
            self._meter.look(seen, now)
        mean = self._meter.mean
        if mean is not None and self._is_steady(now):
            first, second, third = (b - a for a, b in zip(self._meter_before, mean, strict=True))
            own = tuple(
                (b or 0.0) - (a or 0.0) for a, b in zip(self._before, seen.drawn_a or (), strict=False)
            )
            self._finish(seen, Sample(own, (first, second, third)), "")
        elif self._waited(now) > self._plan.meter_s:
            self._finish(seen, None, f"meter {seen.meter} gave too few readings")

    def _finish(self, seen: Observation, sample: Sample | None, trouble: str) -> None:
        self._phase = "done"
        self.ended = Ended(
            sample=sample,
            meter_trouble=trouble,
            accepted_after_s=self._accepted_s,
            followed_after_s=self._followed_s,
        )


def _takes_what_is_given(seen: Observation) -> bool:
    """The charger accepted all that the site gives it."""
    return (
        seen.accepted_a is not None and seen.limit_a is not None and seen.accepted_a >= seen.limit_a - SAME_A
    )
