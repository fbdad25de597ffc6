"""The last things one charger reported: errors, events of its parts, security events.

Rules of this file:
- One line per report, the newest last. A report that is repeated in a row raises the count of its line; so
  does a fault that comes and goes: it takes two lines, however often it flaps.
- "In a row" is counted per connector: what another connector says in between does not matter.
- All lines are one document. A charger that reports once in a while is written at once; one that floods is
  written every WRITE_EVERY_S, with its next message or when it leaves. Power lost meanwhile costs the end of
  a flood, nothing else.
- What a report means is not known here; that is data (`edgegw.catalogue`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

REPORTS_MAX = 100  # lines per charger; more than a technician reads, and 60 KB at most
OPEN_MAX = 64  # errors that are not cleared yet; as many as connectors
SEEN_MAX = 24  # frames of which a repetition is recognised; as many as `answered.ANSWERED_MAX`
WRITES_AT_ONCE = 8  # a charger whose mains fail says a few things in a row, and they matter
WRITE_EVERY_S = 10.0  # then a flood costs 6 writes a minute

ReportKind = Literal["status", "event", "security"]


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. Texts are the charger's, shortened and without control characters."""

    at: float  # wall clock of the gateway, seconds since 1970: when it was said last
    first_at: float = 0.0  # ... and first
    said_at: str = ""  # the charger's own time of the last one
    kind: ReportKind
    code: str  # errorCode, "Faulted", "Component.Variable" or the type of the security event
    vendor_code: str = ""  # vendorErrorCode, techCode
    vendor: str = ""  # vendorId
    connector: str = ""  # "2", EVSE and connector "1.2", "" unknown or the whole station
    info: str = ""
    faulted: bool = False  # status: charging is not possible
    severity: int | None = None  # 2.1: 0 danger ... 9 debug
    cleared: bool = False  # this line says that it is over
    count: int = 1

    def is_same(self, other: Report) -> bool:
        return self.cleared == other.cleared and self.concerns_same(other)

    def concerns_same(self, other: Report) -> bool:
        return (
            self.code == other.code
            and self.connector == other.connector
            and self.kind == other.kind
            and self.vendor_code == other.vendor_code
        )


_decoder = msgspec.json.Decoder(list[Report])


class ReportBook:
    __slots__ = ("_open", "_tokens", "_tokens_at", "lines", "unsaved")

    def __init__(self) -> None:
        self.lines: list[Report] = []  # oldest first
        self.unsaved = False
        self._open: dict[tuple[str, str, str], Report] = {}  # errors that a NoError will clear
        self._tokens = float(WRITES_AT_ONCE)
        self._tokens_at = 0.0  # mono

    @property
    def has_open(self) -> bool:
        """Is there an error that a state without error would clear?"""
        return bool(self._open)

    @property
    def open_errors(self) -> tuple[Report, ...]:
        """Errors that are not over, the oldest first."""
        return tuple(self._open.values())

    # --- what is said -----------------------------------------------------------------------------

    def add(self, report: Report) -> None:
        twin = self._twin(report)
        if twin is None:
            line = msgspec.structs.replace(report, first_at=report.at)
        else:
            before = self.lines.pop(twin)
            line = msgspec.structs.replace(report, first_at=before.first_at, count=before.count + 1)
        self.lines.append(line)
        del self.lines[:-REPORTS_MAX]
        self.unsaved = True
        if report.kind == "status":
            self._note_open(line)

    def _twin(self, report: Report) -> int | None:
        """The line that `report` repeats: the newest of its connector, or the one before its opposite."""
        is_first = True
        for index in range(len(self.lines) - 1, -1, -1):
            line = self.lines[index]
            if line.connector != report.connector:
                continue
            if line.is_same(report):
                return index
            if not is_first or not line.concerns_same(report):
                return None
            is_first = False
        return None

    def _note_open(self, line: Report) -> None:
        key = (line.connector, line.code, line.vendor_code)
        self._open.pop(key, None)
        if not line.cleared:
            self._open[key] = line
            if len(self._open) > OPEN_MAX:
                del self._open[next(iter(self._open))]

    def clear(self, connector: str, at: float, said_at: str) -> None:
        """The connector has no error any more."""
        for line in [line for line in self._open.values() if line.connector == connector]:
            over = Report(
                at=at,
                said_at=said_at,
                kind=line.kind,
                code=line.code,
                vendor_code=line.vendor_code,
                vendor=line.vendor,
                connector=connector,
                faulted=line.faulted,
                cleared=True,
            )
            self.add(over)

    # --- keep -------------------------------------------------------------------------------------

    def may_write(self, mono: float) -> bool:
        """Takes one of the writes this charger may cause, if it has one left."""
        self._tokens += max(0.0, mono - self._tokens_at) / WRITE_EVERY_S
        self._tokens = min(self._tokens, float(WRITES_AT_ONCE))
        self._tokens_at = mono
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def document(self) -> bytes:
        self.unsaved = False
        return msgspec.json.encode(self.lines)

    def recover(self, value: bytes) -> None:
        """A document that cannot be read (of an older edgegw) is no reason not to serve the charger."""
        try:
            self.lines = _decoder.decode(value)[-REPORTS_MAX:]
        except msgspec.DecodeError:
            self.lines = []
        for line in self.lines:
            if line.kind == "status":
                self._note_open(line)
