"""What chargers report, in plain words, as data. `load` reads it, `explain` looks things up.

Rules of this file: data only. Codes are kept without regard to case, because chargers do not keep to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal, Protocol

import msgspec

Severity = Literal["info", "warning", "error", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error", "critical")  # from harmless to dangerous
Kind = Literal["error", "security", "component", "vendor"]
AlarmSubject = Literal["charger", "cloud", "power", "building", "store", "clock", "tls", "firmware", "box"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One code."""

    code: str  # errorCode, security event, "Component.Variable" ("*.Variable" any), or a vendor's own
    also: tuple[str, ...] = ()  # other names of the same
    text: str  # what it means, for a technician at night
    severity: Severity
    do: str  # what to do about it
    critical: bool = False  # security events: the standard wants it told to the cloud
    source: tuple[str, ...] = ()  # where it is known from


class VendorCodes(msgspec.Struct, frozen=True):
    """The codes of one vendor file."""

    vendor: tuple[str, ...]  # glob patterns
    entries: Mapping[str, Entry]  # by casefolded code

    def is_of(self, vendors: tuple[str, ...]) -> bool:
        names = [name.strip().casefold() for name in vendors]
        return any(fnmatchcase(name, glob.casefold()) for glob in self.vendor for name in names)


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """All codes, by casefolded code. Of vendor files the first that fits and knows the code counts."""

    errors: Mapping[str, Entry] = {}
    security: Mapping[str, Entry] = {}
    components: Mapping[str, Entry] = {}
    vendors: tuple[VendorCodes, ...] = ()


class Explanation(msgspec.Struct, frozen=True):
    text: str
    severity: Severity
    todo: str
    known: bool = True  # False: the catalogue has no entry, the text is generic


class Told(Protocol):
    """What `explain` needs of a report; `core.report_book.Report` is one."""

    @property
    def kind(self) -> Literal["status", "event", "security"]: ...
    @property
    def code(self) -> str: ...
    @property
    def vendor_code(self) -> str: ...
    @property
    def vendor(self) -> str: ...
    @property
    def faulted(self) -> bool: ...
    @property
    def severity(self) -> int | None: ...
    @property
    def cleared(self) -> bool: ...


class AlarmRule(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of alarm: what it is called and how it behaves (`core.alarm_book`)."""

    code: str  # "charger_silent"
    title: str  # a few words
    severity: Severity
    todo: str  # what a technician does
    subject: AlarmSubject
    raise_after_s: float = 0.0  # what is wrong must be so for that long
    clear_after_s: float = 0.0  # ... and be gone for that long
    latched: bool = False  # when it is over it stays, as "cleared", until somebody has acknowledged it


def worse(one: Severity, other: Severity) -> Severity:
    return one if SEVERITIES.index(one) >= SEVERITIES.index(other) else other
