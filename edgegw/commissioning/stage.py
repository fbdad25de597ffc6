"""What every step of the walk shares: its record, its clock, and how it ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar

from edgegw.commissioning.plan import Plan
from edgegw.commissioning.rotation import NAMES, Sample
from edgegw.commissioning.words import (
    STEPS,
    Amps,
    Observation,
    Order,
    Question,
    StepRecord,
    Told,
    Verdict,
)

TITLES = dict(STEPS)


class Notes:
    """What steps leave for later ones. Mutable: the steps write it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.samples: list[Sample] = []  # what charger and meter did at each step of the limit
        self.limited = False  # a limit of ours may hold
        self.falling = False  # renewals are withheld
        self.touched = ""  # what was changed and is to stay, in words
        self.phases_before = ""


class Stage(ABC):
    """One step. `look` is called with every observation until there is a verdict."""

    key: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()  # steps without whose success this one makes no sense

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.plan = notes.plan
        self.record = StepRecord(self.key, TITLES[self.key])
        self.saying = ""  # what happens now
        self.question: Question | None = None
        self.answer_given = ""
        self.began = 0.0  # mono
        self._since = 0.0
        self._values: dict[str, str] = {}

    @property
    def is_over(self) -> bool:
        return self.record.verdict not in ("waiting", "running")

    def begin(self, now: float, wall: float) -> None:
        self.began = self._since = now
        self.record = replace(self.record, verdict="running", began_at=wall)

    @abstractmethod
    def look(self, seen: Observation, now: float) -> list[Order]:
        """What is to be done now. Ends by `end`."""

    # --- for the steps ----------------------------------------------------------------------------

    def value(self, name: str, words: str) -> None:
        self._values[name] = words
        self.record = replace(self.record, values=tuple(self._values.items()))

    def end(self, verdict: Verdict, text: str, *, untested: bool = False) -> list[Order]:
        """`untested`: what the step is for could not be tested; so it is with one that is skipped."""
        untested = untested or verdict == "skipped"
        self.record = replace(self.record, verdict=verdict, text=text, untested=untested)
        self.question = None
        return []

    def restart_clock(self, now: float) -> None:
        self._since = now

    def waited(self, now: float) -> float:
        return now - self._since

    def ask(self, question: Question) -> str:
        """The key of the answer; "" while there is none."""
        if self.answer_given:
            given, self.answer_given, self.question = self.answer_given, "", None
            return given
        if self.plan.yes and any(choice.key == "yes" for choice in question.choices):
            return "yes"
        self.question = question
        return ""

    def answer(self, key: str) -> bool:
        """False: nobody asked that."""
        if self.question is None or key not in {choice.key for choice in self.question.choices}:
            return False
        self.answer_given = key
        return True


def outcome(seen: Observation, kind: type[Order]) -> Told | None:
    """What became of an order of this kind just now."""
    return next((told for told in seen.told if isinstance(told.order, kind)), None)


def amps(values: Amps | None) -> str:
    """ "L1 6.1  L2 -  L3 0.0 A"."""
    if values is None:
        return "-"
    told = (
        f"{name} {'-' if one is None else format(one, '.1f')}"
        for name, one in zip(NAMES, values, strict=False)
    )
    return "  ".join(told) + " A"


def highest(values: Amps | None) -> float | None:
    known = [one for one in values or () if one is not None]
    return max(known, default=None)
