"""The walk itself: one step after the other, with skipping and giving up. Pure.

Rules of this file: a step that makes no sense because an earlier one did not work out is skipped in words;
however the walk ends, a limit of its own is taken back and renewals go on.
"""

from __future__ import annotations

from dataclasses import replace

from edgegw.commissioning.arriving import Accepting, Charging, Connecting, Wiring
from edgegw.commissioning.falling import FallingBack
from edgegw.commissioning.plan import Plan
from edgegw.commissioning.stage import Notes, Stage
from edgegw.commissioning.testing import Phases, Stepping
from edgegw.commissioning.words import (
    STEPS,
    EndFall,
    Observation,
    Order,
    Progress,
    Question,
    Restore,
    Result,
    Step,
    StepRecord,
    untested_words,
)

_DONE = ("passed", "remark")
_MADE: tuple[type[Stage], ...] = (Accepting, Wiring, Connecting, Charging, Stepping, Phases, FallingBack)
assert [stage.key for stage in _MADE] == [key for key, _ in STEPS]


class Commissioning:
    """`next(seen, now, wall)` until `progress.finished`; in between `answer`, `skip`, `abort`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.notes = Notes(plan)
        self._stages = [make(self.notes) for make in _MADE]
        self._at = 0
        self._seen = Observation()
        self._skip = ""
        self._aborted = False
        self._finished = False

    # --- what the person says ---------------------------------------------------------------------

    def answer(self, key: str) -> bool:
        """False: nobody asked that."""
        stage = self._stage
        return stage is not None and stage.answer(key)

    def skip(self, reason: str) -> None:
        """ValueError without a reason: the report must say why."""
        if not reason.strip():
            raise ValueError("say why the step is skipped; the report will")
        self._skip = reason.strip()[:200]

    def abort(self) -> None:
        self._aborted = True

    @property
    def is_aborted(self) -> bool:
        return self._aborted

    # --- what happens -----------------------------------------------------------------------------

    def next(self, seen: Observation, now: float, wall: float) -> Step:
        """Look at the site and say what to do. `now` is monotonic, `wall` for the report."""
        self._seen = seen
        orders: list[Order] = []
        while not self._finished:
            if self._aborted:
                orders += self._give_up(wall)
                break
            stage = self._stage
            if stage is None:
                orders += self._leave()
                self._finished = True
                break
            orders += self._take(stage, seen, now, wall)
            if not stage.is_over:
                break
            stage.record = replace(stage.record, ended_at=wall)
            self._at += 1
            seen = replace(seen, told=())  # those were the answers to the step before
            if orders:  # they come first; the next step looks at what came of them
                break
        return Step(self.progress(), tuple(orders))

    def _take(self, stage: Stage, seen: Observation, now: float, wall: float) -> list[Order]:
        if stage.record.verdict == "waiting":
            if why := self._senseless(stage):
                return stage.end("skipped", why)
            stage.begin(now, wall)
        if self._skip:
            reason, self._skip = self._skip, ""
            return stage.end("skipped", reason) + self._end_fall()
        return stage.look(seen, now)

    def _senseless(self, stage: Stage) -> str:
        for key in stage.needs:
            earlier = next(one for one in self._stages if one.key == key).record
            if earlier.verdict not in _DONE:
                return f"not reached: {earlier.title.lower()}: {earlier.verdict}"
        return ""

    def _end_fall(self) -> list[Order]:
        falling, self.notes.falling = self.notes.falling, False
        return [EndFall()] if falling else []

    def _leave(self) -> list[Order]:
        limited, self.notes.limited = self.notes.limited, False
        return [*self._end_fall(), *([Restore()] if limited else [])]

    def _give_up(self, wall: float) -> list[Order]:
        for stage in self._stages[self._at :]:
            words = "given up here" if stage.record.verdict == "running" else "not reached: given up"
            stage.end("skipped", words)
            stage.record = replace(stage.record, ended_at=wall)
        self._at, self._finished = len(self._stages), True
        return self._leave()

    # --- what there is to see -----------------------------------------------------------------------

    @property
    def _stage(self) -> Stage | None:
        return self._stages[self._at] if self._at < len(self._stages) else None

    @property
    def records(self) -> tuple[StepRecord, ...]:
        return tuple(stage.record for stage in self._stages)

    @property
    def result(self) -> Result:
        """ "" while it is under way."""
        if not self._finished:
            return ""
        if self._aborted:
            return "aborted"
        verdicts = {record.verdict for record in self.records}
        if "failed" in verdicts:
            return "failed"
        if any(record.untested for record in self.records):
            return "incomplete"
        return "passed" if verdicts == {"passed"} else "passed with remarks"

    def _last_words(self) -> str:
        return untested_words(self.records) if self.result == "incomplete" else ""

    def progress(self) -> Progress:
        stage, seen = self._stage, self._seen
        question: Question | None = stage.question if stage is not None else None
        return Progress(
            charger=self.plan.charger,
            connector=self.plan.connector,
            steps=self.records,
            current=stage.key if stage is not None else "",
            text=stage.saying if stage is not None else self._last_words(),
            question=question,
            limit_a=seen.limit_a,
            accepted_a=seen.accepted_a,
            drawn_a=seen.drawn_a,
            meter_a=seen.meter_a,
            finished=self._finished,
            result=self.result,
        )
