"""What a report means, how bad it is, and what to do. Pure: a catalogue and a report in, words out.

Rules of this file:
- The vendor's own code says more than the standard's, so its words win. How bad it is, is the worse of
  both; a standard code that says nothing ("OtherError", ...) has no voice in that.
- An OCPP 1.6 error with a status that is not Faulted is a warning (1.6 4.9); what can hurt somebody stays
  an error.
- The severity a 2.x charger gives itself can raise ours, never lower it.
- What is over is "info". What the catalogue does not know is said to be unknown, with its code.
"""

from __future__ import annotations

from edgegw.catalogue.model import Catalogue, Entry, Explanation, Severity, Told, worse
from edgegw.redaction import plain

VENDOR_CODES_MAX = 4  # of one report that are looked up; some chargers send a list
_VAGUE = frozenset({"othererror", "internalerror", "faulted", "chargingstation.problem", "evse.problem"})
_OCPP_SEVERITY: tuple[Severity, ...] = (  # OCPP 2.x 1.23: 0 danger ... 9 debug
    *("critical", "critical", "critical", "critical", "error"),
    *("warning", "warning", "info", "info", "info"),
)
_ASK = "Look the code up in the manual of the charger, or ask its manufacturer."


def explain(catalogue: Catalogue, report: Told, vendor: str) -> Explanation:
    """`vendor` is the one of the BootNotification; the report may name another (vendorId)."""
    found = _found(catalogue, report, vendor)
    if report.cleared:
        return Explanation(f"Over: {found.text}", "info", _if_again(found), found.known)
    if report.kind == "status" and not report.faulted:
        return Explanation(found.text, _eased(found.severity), found.todo, found.known)
    return found


def _if_again(found: Explanation) -> str:
    return f"Nothing now. If it comes back: {found.todo}" if found.known else "Nothing now."


def _eased(severity: Severity) -> Severity:
    eased: dict[Severity, Severity] = {"critical": "error", "error": "warning"}
    return eased.get(severity, severity)


def _found(catalogue: Catalogue, report: Told, vendor: str) -> Explanation:
    standard = _standard(catalogue, report)
    special = _special(catalogue, report, vendor)
    if not special:
        return standard if standard is not None else _unknown(report)
    severity = special[0].severity
    for entry in special[1:]:
        severity = worse(severity, entry.severity)
    if standard is not None and report.code.casefold() not in _VAGUE:
        severity = worse(severity, standard.severity)
    text = " ".join(entry.text for entry in special)
    todo = " ".join(dict.fromkeys(entry.do for entry in special))
    return Explanation(text, _own(report, severity), todo)


def _standard(catalogue: Catalogue, report: Told) -> Explanation | None:
    code = report.code.casefold()
    if report.kind == "event":
        return _component(catalogue, report)
    entry = (catalogue.errors if report.kind == "status" else catalogue.security).get(code)
    if entry is None:
        return None
    text = entry.text
    if report.vendor_code and code in _VAGUE:
        text += f" The vendor's code is {plain(report.vendor_code)!r}."
    return Explanation(text, entry.severity, entry.do)


def _component(catalogue: Catalogue, report: Told) -> Explanation | None:
    code = report.code.casefold()
    component, _, variable = report.code.partition(".")
    entry, text = catalogue.components.get(code), ""
    if entry is None:
        entry = catalogue.components.get(f"*.{variable.casefold()}")
        text = f"{plain(component)}: "
    if entry is None:
        return None
    text += entry.text
    if report.vendor_code:
        text += f" Its technical code is {plain(report.vendor_code)!r}."
    return Explanation(text, _own(report, entry.severity), entry.do)


def _special(catalogue: Catalogue, report: Told, vendor: str) -> list[Entry]:
    """What vendor files say of the vendor's codes, each once."""
    codes = [code.strip().casefold() for code in report.vendor_code.split(",", VENDOR_CODES_MAX)]
    names = (vendor, report.vendor)
    found: dict[str, Entry] = {}
    for code in filter(None, codes[:VENDOR_CODES_MAX]):
        for codes_of in catalogue.vendors:
            entry = codes_of.entries.get(code)
            if entry is not None and codes_of.is_of(names):
                found.setdefault(entry.code, entry)
                break
    return list(found.values())


def _own(report: Told, severity: Severity) -> Severity:
    given = report.severity
    if given is None or not 0 <= given < len(_OCPP_SEVERITY):
        return severity
    return worse(severity, _OCPP_SEVERITY[given])


def _unknown(report: Told) -> Explanation:
    code = plain(report.code) or "(none)"
    if report.kind == "security":
        text = f"The charger reports a security event that edgegw does not know: {code!r}."
        return Explanation(text, "warning", _ASK, known=False)
    if report.kind == "event":
        text = f"The charger reports {code!r}, which edgegw does not know."
    else:
        text = f"The charger reports an error that edgegw does not know: {code!r}."
    if report.vendor_code:
        text += f" The vendor's code is {plain(report.vendor_code)!r}."
    severity: Severity = "error" if report.faulted else "info" if report.kind == "event" else "warning"
    return Explanation(text, _own(report, severity), _ASK, known=False)
