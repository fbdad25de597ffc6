"""The steps of the limit: down and up once, and what that says of the phases."""

from __future__ import annotations

from abc import abstractmethod

from edgegw.commissioning import rotation
from edgegw.commissioning.rotation import NAMES, Finding, Sample, phases_of
from edgegw.commissioning.settling import Settling
from edgegw.commissioning.stage import Stage, amps, highest, outcome
from edgegw.commissioning.stepping import SAME_A, Ended, StepWatch
from edgegw.commissioning.words import (
    YES_NO,
    Observation,
    Order,
    Question,
    SetLimit,
    Wire,
)

STEP_LEAST_A = 3.0
BELOW_A = 1.5  # cars draw so much less than they may


class StepsOfTheLimit(Stage):
    """Down and up once; a later stage may ask for more of them."""

    needs = ("charge",)

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._watch: StepWatch | None = None
        self._targets: list[float] | None = None
        self._settling: Settling | None = None  # while no step is possible yet

    def look(self, seen: Observation, now: float) -> list[Order]:
        told = outcome(seen, SetLimit)
        if told is not None and not told.ok:
            return self.end("failed", told.text)
        if self._targets is None and not self._choose(seen, now):
            return []
        if self._watch is None:
            return self._next()
        self._watch.look(seen, now)
        self.saying = self._watch.saying
        ended = self._watch.ended
        if ended is not None:
            limit_a, self._watch = self._watch.limit_a, None
            return self.stepped(limit_a, ended, now)
        return self._orders(self._watch)

    def _orders(self, watch: StepWatch) -> list[Order]:
        if not watch.wants_limit:
            return []
        self.notes.limited = True
        return [SetLimit(watch.limit_a, self.plan.limit_for_s)]

    def _choose(self, seen: Observation, now: float) -> bool:
        """From what the car draws now, down and up again, or up and down. False: nothing can be stepped."""
        drawn, (least, most) = highest(seen.drawn_a) or 0.0, _range(seen)
        low = self.plan.low_a if drawn - self.plan.low_a >= STEP_LEAST_A else least
        if drawn - low >= STEP_LEAST_A:
            self._targets = [low, min(max(self.plan.high_a, low + STEP_LEAST_A), most)]
        elif most - max(least, drawn) >= STEP_LEAST_A and _is_held_back(seen):
            self._targets = [min(max(self.plan.high_a, drawn + STEP_LEAST_A), most), least]
        elif not self._may_come(seen, now, most):
            text = f"the car draws {drawn:.1f} A: too little for a step; use another car or a test load"
            self.end("remark", text, untested=True)
        return self._targets is not None

    def _may_come(self, seen: Observation, now: float, most: float) -> bool:
        """A car still comes to its draw, or has all that the site gives it so far: wait, but not forever."""
        settling = self._settling = self._settling or Settling(self.plan, now)
        settling.look(seen, now)
        self.saying = f"the car draws {amps(seen.drawn_a)}: waiting whether it becomes enough for a step"
        if not seen.transaction or not seen.connected or settling.waited(now) > self.plan.follow_up_s:
            return False
        may_rise = _is_held_back(seen) and (seen.limit_a or 0.0) < most - SAME_A
        return may_rise or not settling.is_settled(now)

    def _next(self) -> list[Order]:
        assert self._targets is not None
        if not self._targets:
            return self.all_stepped()
        self._watch = StepWatch(self.plan, self._targets.pop(0))
        return []

    def again(self, low_a: float, high_a: float) -> None:
        self._targets = [low_a, high_a]

    def keep(self, sample: Sample | None) -> None:
        if sample is not None:
            self.notes.samples.append(sample)

    @abstractmethod
    def stepped(self, limit_a: float, ended: Ended, now: float) -> list[Order]:
        """One step is over."""

    @abstractmethod
    def all_stepped(self) -> list[Order]:
        """All of them are."""


class Stepping(StepsOfTheLimit):
    key = "step"

    def __init__(self, *given: object) -> None:
        super().__init__(*given)
        self._trouble = ""
        self._followed = 0
        self._compared = 0
        self._tries = 1
        self._limits: list[float] = []

    def stepped(self, limit_a: float, ended: Ended, now: float) -> list[Order]:
        if ended.why:
            sites = ended.is_the_sites
            return self.end("remark" if sites else "failed", ended.why, untested=sites)
        self.keep(ended.sample)
        self._trouble = ended.meter_trouble
        self._limits.append(limit_a)
        name = f"to {limit_a:g} A" if self._tries == 1 else f"to {limit_a:g} A, try {self._tries}"
        self.value(
            name,
            f"accepted after {ended.accepted_after_s:.0f} s, followed after {ended.followed_after_s:.0f} s",
        )
        if ended.sample is not None:
            self.value(f"{name}: charger", amps(ended.sample.own))
            self.value(f"{name}: meter", amps(ended.sample.meter))
            self._compared += 1
            self._followed += self._follows(ended.sample)
        return []

    def _follows(self, sample: Sample) -> bool:
        """Together over all phases, whichever they are."""
        own, meter = sum(sample.own), sum(sample.meter)
        moved = sum(abs(one) > 1.0 for one in sample.own)
        margin = max(self.plan.tolerance_a * max(1, moved), self.plan.tolerance_share * abs(own))
        return abs(own - meter) <= margin

    def all_stepped(self) -> list[Order]:
        if self._trouble and not self._compared:
            return self.end(
                "remark", f"the charger follows its limit; not compared with the meter: {self._trouble}"
            )
        if self._followed == 0 and self._tries < self.plan.tries:
            self._tries += 1
            self.again(self._limits[-2], self._limits[-1])
            self._followed = self._compared = 0
            return []
        if self._followed == 0:
            return self.end(
                "remark",
                "the charger follows its limit; the meter did not move by the same: see the next step, and "
                "whether this meter measures this charger",
            )
        return self.end("passed", "the charger accepts limits, follows them, and the meter shows it")


class Phases(StepsOfTheLimit):
    key = "phases"
    needs = ("step",)

    def __init__(self, *given: object) -> None:
        super().__init__(*given)
        self._tries = 1
        self._trouble = ""
        self._suggested = ""
        self._offered = ""

    def look(self, seen: Observation, now: float) -> list[Order]:
        if self._suggested:
            return self._rewired(seen)
        if self._offered:
            return self._offer(seen)
        if self._watch is not None or self._targets:
            return super().look(seen, now)
        if self._trouble:
            return self.end("remark", self._trouble, untested=True)
        if seen.wired is None:
            return self.end("failed", "its wiring is gone")
        return self._judge(seen)

    def _judge(self, seen: Observation) -> list[Order]:
        assert seen.wired is not None
        if not self.notes.samples:
            text = "the meter showed no step: the phases could not be compared"
            return self.end("remark", text, untested=True)
        found = rotation.judge(self.notes.samples, phases_of(seen.wired.phases))
        self._show()
        if found.outcome == "noise" and self._tries < self.plan.tries:
            self._tries += 1
            drawn = highest(seen.drawn_a) or self.plan.high_a
            low = self.plan.low_a if drawn - self.plan.low_a >= STEP_LEAST_A else seen.wired.min_a
            self.again(low, min(max(self.plan.high_a, low + STEP_LEAST_A), seen.wired.max_a))
            self.saying = f"{found.text}: the step is repeated"
            return self._next()
        return self._told(found, seen)

    def _told(self, found: Finding, seen: Observation) -> list[Order]:
        assert seen.wired is not None
        if found.untold:
            self.value("not told", found.untold)
        if found.outcome == "agrees":
            return self.end("remark" if found.untold else "passed", self._with_untold(found))
        if found.outcome == "differs":
            assert found.suggestion is not None
            words = rotation.phase_words(found.suggestion)
            self.value("wired as", seen.wired.phases)
            self.value("suggested", words)
            if seen.wired.by_site_file:
                text = f'{found.text}: write phases = "{words}" in its [[connector]] in the site file'
                return self.end("failed", text)
            self._offered = words
            self._finding = found
            return self._offer(seen)
        if found.outcome == "reversed":
            return self.end("failed", f"{found.text}: set invert = true in its [[meter]], or turn them")
        text = f"{found.text} ({self._count()})"
        if found.outcome == "unseen":
            return self.end("failed", text)
        return self.end("remark", text, untested=True)

    def _with_untold(self, found: Finding) -> str:
        return f"{found.text}; {found.untold}" if found.untold else found.text

    def _offer(self, seen: Observation) -> list[Order]:
        assert seen.wired is not None
        text = f"{self._finding.text}. Wire it as {self._offered} from now on?"
        answer = self.ask(Question(text, YES_NO))
        if answer == "no":
            return self.end("failed", f"{self._finding.text}; it was left as it is")
        if answer != "yes":
            return []
        self._suggested = self._offered
        was = seen.wired
        return [Wire(was.circuit, self._suggested, was.min_a, was.max_a, was.safe_a)]

    def _rewired(self, seen: Observation) -> list[Order]:
        told = outcome(seen, Wire)
        if told is not None and not told.ok:
            return self.end("failed", f"{self._finding.text}, and could not be changed: {told.text}")
        if seen.wired is None or seen.wired.phases != self._suggested:
            return []
        self.notes.touched = f"phases {self._suggested}"
        return self.end("remark", f"{self._finding.text}; it is wired as {self._suggested} now")

    def stepped(self, limit_a: float, ended: Ended, now: float) -> list[Order]:
        if ended.why:
            self._targets = []
            self._trouble = f"the phases could not be told: {ended.why}"
            return []
        self.keep(ended.sample)
        if ended.sample is None:
            self._trouble = f"the phases could not be told: {ended.meter_trouble}"
            self._targets = []
        return []

    def all_stepped(self) -> list[Order]:
        return []

    def _count(self) -> str:
        return f"{len(self.notes.samples)} steps"

    def _show(self) -> None:
        """What each moved by, over all steps that went down less those that went up."""
        samples = self.notes.samples
        signs = [1.0 if sum(sample.own) >= 0 else -1.0 for sample in samples]
        own = [
            sum(sign * sample.own[n] for sign, sample in zip(signs, samples, strict=True)) / len(samples)
            for n in range(len(samples[0].own))
        ]
        grid = [
            sum(sign * sample.meter[n] for sign, sample in zip(signs, samples, strict=True)) / len(samples)
            for n in range(len(NAMES))
        ]
        self.value("charger moved by", amps(tuple(own)))
        self.value("meter moved by", amps(tuple(grid)))
        self.value("steps", str(len(samples)))


def _range(seen: Observation) -> tuple[float, float]:
    """The least and the most that the connector may be given."""
    return (seen.wired.min_a, seen.wired.max_a) if seen.wired is not None else (6.0, 32.0)


def _is_held_back(seen: Observation) -> bool:
    """The car takes what it may, so that it will take more when it may."""
    allowed = seen.accepted_a if seen.accepted_a is not None else seen.limit_a
    return allowed is not None and (highest(seen.drawn_a) or 0.0) >= allowed - max(BELOW_A, 0.15 * allowed)
