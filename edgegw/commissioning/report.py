"""The report of a commissioning: JSON for a system, text of 80 columns for a folder; in new files.

Rules of this file: what a charger or a person wrote is plain text without control characters; lines are
wrapped, never cut.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from edgegw import __version__, new_files
from edgegw.commissioning.words import Observation, StepRecord, untested_words
from edgegw.redaction import plain

WIDTH = 80
_SIGNS = {
    "passed": "PASSED",
    "remark": "REMARK",
    "failed": "FAILED",
    "skipped": "SKIPPED",
    "running": "RUNNING",
    "waiting": "WAITING",
}


class ReportValue(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    value: str


class ReportStep(BaseModel):
    model_config = ConfigDict(frozen=True)

    key: str
    title: str
    verdict: str
    text: str
    began_at: str | None
    ended_at: str | None
    values: tuple[ReportValue, ...]


class Report(BaseModel):
    """Everything somebody may want to know in five years."""

    model_config = ConfigDict(frozen=True)

    kind: str = "edgegw commissioning report"
    edgegw: str = __version__
    result: str
    untested: str  # which steps could not be tested, in words
    began_at: str
    ended_at: str
    by: str
    site: str
    charger: str
    connector: int
    what: str
    serial: str
    firmware: str
    version: str
    circuit: str
    fuse_a: float | None
    meter: str
    phases: str
    phases_before: str
    min_a: float | None
    max_a: float | None
    safe_a: float | None
    steps: tuple[ReportStep, ...]

    def to_json(self) -> str:
        return self.model_dump_json(indent=2) + "\n"

    def to_text(self) -> str:
        return "\n".join(_lines(self)) + "\n"


def make(
    *,
    records: tuple[StepRecord, ...],
    result: str,
    seen: Observation,
    charger: str,
    connector: int,
    phases_before: str,
    by: str,
    site: str,
    began_at: float,
    ended_at: float,
) -> Report:
    wired = seen.wired
    circuit = next((one for one in seen.circuits if wired is not None and one.name == wired.circuit), None)
    return Report(
        result=result or "under way",
        untested=untested_words(records),
        began_at=_time(began_at) or "",
        ended_at=_time(ended_at) or "",
        by=plain(by),
        site=plain(site),
        charger=plain(charger),
        connector=connector,
        what=plain(seen.what),
        serial=plain(seen.serial),
        firmware=plain(seen.firmware),
        version=seen.version,
        circuit=wired.circuit if wired is not None else "",
        fuse_a=circuit.fuse_a if circuit is not None else None,
        meter=seen.meter,
        phases=wired.phases if wired is not None else "",
        phases_before=phases_before,
        min_a=wired.min_a if wired is not None else None,
        max_a=wired.max_a if wired is not None else None,
        safe_a=wired.safe_a if wired is not None else None,
        steps=tuple(_step(record) for record in records),
    )


def files_of(path: Path) -> tuple[Path, Path]:
    """Where both forms go: `path` with .json and with .txt."""
    stem = path.with_suffix("") if path.suffix in (".json", ".txt") else path
    return Path(f"{stem}.json"), Path(f"{stem}.txt")


def check_new(path: Path, *, replace: bool = False) -> None:
    """Before anybody plugs in a car. Raises OSError for what would be in the way of `write`."""
    for file in files_of(path):
        new_files.check_new(file, replace=replace)


def write(report: Report, path: Path, *, replace: bool = False) -> tuple[Path, Path]:
    """Both forms beside each other, for their owner alone; both, or none that is new. Raises OSError."""
    check_new(path, replace=replace)
    as_json, as_text = files_of(path)
    _write(as_json, report.to_json(), replace=replace)
    try:
        _write(as_text, report.to_text(), replace=replace)
    except BaseException:
        if not replace:
            as_json.unlink(missing_ok=True)
        raise
    return as_json, as_text


def _write(path: Path, text: str, *, replace: bool) -> None:
    with new_files.new_file(path, replace=replace) as file:
        file.write(text.encode())


def _step(record: StepRecord) -> ReportStep:
    return ReportStep(
        key=record.key,
        title=record.title,
        verdict=record.verdict,
        text=plain(record.text),
        began_at=_time(record.began_at),
        ended_at=_time(record.ended_at),
        values=tuple(ReportValue(name=plain(name), value=plain(value)) for name, value in record.values),
    )


def _time(wall: float | None) -> str | None:
    return None if wall is None else datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- text -------------------------------------------------------------------------------------------


def _lines(report: Report) -> Iterator[str]:
    yield "COMMISSIONING REPORT"
    yield "=" * WIDTH
    facts = {
        "Result": _result(report),
        "Site": report.site,
        "Charger": f"{report.charger}, connector {report.connector}",
        "Make": ", ".join(word for word in (report.what, report.serial) if word),
        "Firmware": ", ".join(word for word in (report.firmware, report.version) if word),
        "Circuit": _circuit(report),
        "Phases": _phases(report),
        "Currents": _currents(report),
        "By": report.by,
        "Time": f"{report.began_at} to {report.ended_at}",
        "Made by": f"edgegw {report.edgegw}",
    }
    for name, value in facts.items():
        yield from _wrapped(f"{name:<10}", value or "-")
    for number, step in enumerate(report.steps, start=1):
        yield ""
        yield "-" * WIDTH
        yield f"{number}. {step.title:<60}{_SIGNS.get(step.verdict, step.verdict):>17}"
        yield from _wrapped("   ", step.text or "-")
        for measured in step.values:
            yield from _wrapped(f"   {measured.name:<24} ", measured.value)
        if step.began_at and step.ended_at:
            yield f"   {step.began_at[11:19]} to {step.ended_at[11:19]} UTC"
    yield "=" * WIDTH


def _result(report: Report) -> str:
    words = report.result.upper()
    return f"{words}: {report.untested}" if report.result == "incomplete" else words


def _circuit(report: Report) -> str:
    if not report.circuit:
        return ""
    fuse = f", fuse {report.fuse_a:g} A per phase" if report.fuse_a is not None else ""
    return f"{report.circuit}{fuse}, meter {report.meter or 'none'}"


def _phases(report: Report) -> str:
    if report.phases_before and report.phases_before != report.phases:
        return f"{report.phases} (before: {report.phases_before})"
    return report.phases


def _currents(report: Report) -> str:
    if report.min_a is None or report.max_a is None or report.safe_a is None:
        return ""
    return f"min {report.min_a:g} A, max {report.max_a:g} A, safe {report.safe_a:g} A"


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_long_words=True
    )
