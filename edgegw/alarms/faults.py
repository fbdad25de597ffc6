"""What chargers report to be wrong, from their books of reports. The rules of `alarms.conditions` hold here.

Rules of this file:
- A charger's faults are worked out again only when it has reported something, and of CHARGERS_PER_LOOK
  chargers at most: a site that floods costs no more per second.
- A fault is over when the charger says so. An event that is never said to be over counts for a day, a
  security event for a minute: its alarm is latched.
- What the catalogue calls "info" is no alarm. Nor is what a charger reported that was taken away since, save
  a security event: perhaps whoever took it away made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgegw.catalogue.explain import explain
from edgegw.catalogue.model import SEVERITIES, Catalogue, Severity
from edgegw.core.alarms import Condition
from edgegw.core.events import Instant
from edgegw.core.report_book import Report, ReportBook
from edgegw.redaction import is_harmless
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.session import Session

FAULTS_MAX = 5  # of one charger, the worst: mostly they have one cause
CHARGERS_PER_LOOK = 20
EVENT_HOLD_S = 86_400.0
SECURITY_HOLD_S = 60.0
SECURITY = "charger_security"
SECURITY_FROM: Severity = "error"  # a restart is a security event too; these somebody must look into


class Fault:
    """One report that is not over."""

    __slots__ = ("at", "condition", "hold_s")

    def __init__(self, condition: Condition, at: float, hold_s: float | None) -> None:
        self.condition = condition
        self.at = at  # wall clock
        self.hold_s = hold_s  # None: until the charger says that it is over

    def is_on(self, now: Instant) -> bool:
        """A clock that was set back makes an old report no new one."""
        return self.hold_s is None or abs(now.wall - self.at) <= self.hold_s


class _Seen:
    """What came of one charger's reports when they were looked at last."""

    __slots__ = ("at", "book", "faults", "newest", "vendor")

    def __init__(self) -> None:
        self.at = float("-inf")  # mono
        self.book: ReportBook | None = None
        self.newest: Report | None = None
        self.vendor = ""
        self.faults: list[Fault] = []

    def is_old(self, session: Session) -> bool:
        """Every report makes a new line, also one that is repeated."""
        state = session.charger.state
        lines = state.reports.lines
        if not lines:
            return bool(self.faults)
        newer = self.newest is not lines[-1] or self.book is not state.reports
        return newer or self.vendor != state.profile.vendor


class FaultEyes:
    def __init__(self, gateway: Gateway, catalogue: Catalogue) -> None:
        self._gateway = gateway
        self._catalogue = catalogue
        self._seen: dict[str, _Seen] = {}

    def look(self, now: Instant) -> Iterator[Condition]:
        for session in self._waiting():
            self._work_out(session, self._seen[session.identity], now)
        for identity, seen in self._seen.items():
            found = [fault.condition for fault in seen.faults if fault.is_on(now)]
            if found and not self._gateway.expects(identity):
                found = [condition for condition in found if condition.code == SECURITY]
            yield from found

    def _waiting(self) -> list[Session]:
        """Those that reported something, who was looked at longest ago first."""
        changed = []
        for identity, session in self._gateway.sessions.items():
            seen = self._seen.get(identity)
            if seen is None:
                seen = self._seen[identity] = _Seen()
            if seen.is_old(session):
                changed.append(session)
        if len(changed) > CHARGERS_PER_LOOK:
            changed.sort(key=lambda session: self._seen[session.identity].at)
        return changed[:CHARGERS_PER_LOOK]

    def _work_out(self, session: Session, seen: _Seen, now: Instant) -> None:
        state = session.charger.state
        seen.at, seen.book, seen.vendor = now.mono, state.reports, state.profile.vendor
        seen.newest = state.reports.lines[-1] if state.reports.lines else None
        seen.faults = faults_of(session.identity, state.reports, self._catalogue, seen.vendor)


def faults_of(identity: str, book: ReportBook, catalogue: Catalogue, vendor: str) -> list[Fault]:
    """The worst FAULTS_MAX that are not over."""
    found = []
    for report in _not_over(book):
        meaning = explain(catalogue, report, vendor)
        needed: Severity = SECURITY_FROM if report.kind == "security" else "warning"
        if SEVERITIES.index(meaning.severity) >= SEVERITIES.index(needed):
            condition = _condition(identity, report, meaning.text, meaning.severity, meaning.todo)
            found.append(Fault(condition, report.at, _hold_s(report)))
    found.sort(key=lambda fault: (-SEVERITIES.index(fault.condition.severity or "info"), -fault.at))
    return found[:FAULTS_MAX]


def _not_over(book: ReportBook) -> Iterable[Report]:
    """Errors as the book keeps them; of events the last word on each counts."""
    yield from book.open_errors
    said: set[tuple[str, str, str, str]] = set()
    for line in reversed(book.lines):
        if line.kind == "status":
            continue
        key = (line.kind, line.connector, line.code, line.vendor_code)
        if key not in said and not line.cleared:
            yield line
        said.add(key)


def _condition(identity: str, report: Report, text: str, severity: Severity, todo: str) -> Condition:
    # What a charger adds goes to the building too.
    shown = f" ({report.info})" if is_harmless(report.info) else ""
    words = f"{report.code}: {text}{shown}"
    return Condition(
        code=SECURITY if report.kind == "security" else "charger_fault",
        target=_place(identity, report.connector),
        text=words,
        severity=severity,
        todo=todo,
        key=" ".join(filter(None, (report.code, report.vendor_code))).casefold(),
    )


def _place(identity: str, connector: str) -> str:
    """ "CP-7/1": connector of 1.6, EVSE of 2.x ("1.2" is its connector 2); 0 is the whole charger."""
    number = connector.partition(".")[0]
    return f"{identity}/{number}" if number not in ("", "0") else identity


def _hold_s(report: Report) -> float | None:
    if report.kind == "security":
        return SECURITY_HOLD_S
    return EVENT_HOLD_S if report.kind == "event" else None
