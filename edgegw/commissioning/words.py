"""What goes into the walk and what comes out of it. Data only; amps per phase, instants in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Amps = tuple[float | None, ...]
Verdict = Literal["waiting", "running", "passed", "remark", "failed", "skipped"]
Result = Literal["", "passed", "passed with remarks", "incomplete", "failed", "aborted"]

STEPS: tuple[tuple[str, str], ...] = (
    ("accept", "The charger is let in"),
    ("wire", "Its connector is wired"),
    ("connect", "Connected and under control"),
    ("charge", "A car charges"),
    ("step", "The limit is followed"),
    ("phases", "The phases are right"),
    ("fallback", "It falls back by itself"),
)


# --- in: what is seen -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wired:
    circuit: str
    phases: str  # "L2 L3 L1"
    min_a: float
    max_a: float
    safe_a: float
    by_site_file: bool
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class CircuitFacts:
    name: str
    fuse_a: float
    meter: str  # of the nearest circuit with one, itself first; "" none
    safe_left_a: Amps = (None, None, None)


@dataclass(frozen=True, slots=True)
class Told:
    """What became of an order."""

    order: Order
    ok: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """The site as it is now. What nobody knows is None, "" or False."""

    stranger: str = ""  # the address it knocks from, while it is turned away
    known: bool = False
    connected: bool = False
    registered: bool = False  # its BootNotification was accepted
    what: str = ""  # vendor, model
    serial: str = ""
    firmware: str = ""
    version: str = ""
    status: str = ""  # of the connector
    transaction: bool = False
    wired: Wired | None = None
    circuits: tuple[CircuitFacts, ...] = ()
    control: str = ""
    fault: str = ""
    limit_a: float | None = None  # what the site gives it
    why: str = ""
    accepted_a: float | None = None
    drawn_a: Amps | None = None  # its own L1, L2, L3
    drawn_age_s: float | None = None
    expires_in_s: float | None = None
    meter: str = ""
    meter_a: Amps = (None, None, None)
    meter_age_s: float | None = None
    meter_trouble: str = ""
    told: tuple[Told, ...] = ()  # of the orders of the step before


# --- out: what is to be done ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accept:
    pass


@dataclass(frozen=True, slots=True)
class Wire:
    circuit: str
    phases: str
    min_a: float
    max_a: float
    safe_a: float


@dataclass(frozen=True, slots=True)
class SetLimit:
    limit_a: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Restore:
    """Put back the limit of before, or none."""


@dataclass(frozen=True, slots=True)
class LetFall:
    """Do not renew the live limit of the connector."""


@dataclass(frozen=True, slots=True)
class EndFall:
    pass


Order = Accept | Wire | SetLimit | Restore | LetFall | EndFall


@dataclass(frozen=True, slots=True)
class Choice:
    key: str
    label: str


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    choices: tuple[Choice, ...]


YES_NO = (Choice("yes", "Yes"), Choice("no", "No"))


@dataclass(frozen=True, slots=True)
class StepRecord:
    key: str
    title: str
    verdict: Verdict = "waiting"
    text: str = ""
    values: tuple[tuple[str, str], ...] = ()
    began_at: float | None = None  # wall
    ended_at: float | None = None
    untested: bool = False  # it is over, and what it is for could not be tested


def untested_words(steps: tuple[StepRecord, ...]) -> str:
    """Which steps tell nothing; "" none."""
    titles = [step.title.lower() for step in steps if step.untested]
    return f"not everything could be tested: {', '.join(titles)}" if titles else ""


@dataclass(frozen=True, slots=True)
class Progress:
    """All that a screen shows."""

    charger: str
    connector: int
    steps: tuple[StepRecord, ...] = ()
    current: str = ""
    text: str = ""
    question: Question | None = None
    limit_a: float | None = None
    accepted_a: float | None = None
    drawn_a: Amps | None = None
    meter_a: Amps | None = None
    finished: bool = False
    result: Result = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What `Commissioning.next` says: carry out the orders, in order, and show the progress."""

    progress: Progress
    orders: tuple[Order, ...] = field(default=())
