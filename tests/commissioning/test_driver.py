"""The thread around the walk: what it orders is done, and undone whatever goes wrong; the report is whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgegw.commissioning import report as reports
from edgegw.commissioning.driver import CommissioningRun
from edgegw.commissioning.plan import Plan
from edgegw.commissioning.words import Observation, Restore, SetLimit, StepRecord
from edgegw.control.client import NotReachable, Refused
from edgegw.control.detail_models import ConnectorOrders
from tests.commissioning.client import EARLIER, Client
from tests.commissioning.site import Site, Walk


def run_with(client: Client) -> CommissioningRun:
    return CommissioningRun(lambda: client, Plan("CP-7"), look_s=0.0)  # type: ignore[arg-type,return-value]


def test_an_earlier_limit_of_somebody_else_is_put_back():
    client = Client((EARLIER,))
    run = run_with(client)
    for order in (SetLimit(10.0, 60.0), SetLimit(16.0, 60.0), Restore()):
        assert run._carry_out(client, order).ok  # type: ignore[arg-type]
    assert client.limits == [10.0, 16.0, 11.0]
    assert client.ended == 0


def test_without_an_earlier_limit_ours_is_ended():
    client = Client()
    run = run_with(client)
    for order in (SetLimit(10.0, 60.0), Restore()):
        assert run._carry_out(client, order).ok  # type: ignore[arg-type]
    assert client.ended == 1


def test_a_refusal_is_told_to_the_walk():
    client = Client()
    client.limit_connector = _refuses  # type: ignore[method-assign]
    told = run_with(client)._carry_out(client, SetLimit(10.0, 60.0))  # type: ignore[arg-type]
    assert (told.ok, told.text) == (False, "nothing is balanced here")


def _refuses(*_: object) -> ConnectorOrders:
    raise Refused(409, "not_balanced", "nothing is balanced here")


@pytest.mark.parametrize("fault", [Refused(403, "read_only", "read only"), RuntimeError("a bug")])
def test_what_ends_the_thread_is_shown_and_a_limit_is_taken_back(fault: Exception):
    client = Client(fault=fault)
    run = run_with(client)
    run._walk.notes.limited = True
    run.start()
    assert run.join(30.0)
    assert run.state.finished
    assert str(fault) in run.state.fault
    assert client.ended == 1


def test_a_gateway_that_is_away_is_asked_again_until_the_person_gives_up():
    client = Client(fault=NotReachable("no gateway answers"))
    run = run_with(client)
    seen: list[str] = []
    run._watch = lambda state: seen.append(state.fault)
    run._look_s = 0.01
    run.start()
    while not seen:
        assert not run.join(0.01)
    assert seen[0] == "no gateway answers"
    run.abort()
    assert run.join(30.0)
    assert run.state.result == "aborted"


# --- the report -----------------------------------------------------------------------------------------


def test_the_report_fits_a_folder_and_is_whole(tmp_path: Path):
    walk = Walk(Site(truth=(1, 2, 0), car=(0,))).run()
    found = _report(walk, what="Acme\x1b[31m Wall" + " very long" * 20)
    as_json, as_text = reports.write(found, tmp_path / "CP-7.v2")
    assert (as_json.name, as_text.name) == ("CP-7.v2.json", "CP-7.v2.txt")
    text = as_text.read_text()
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    assert "Phases    L2 L3 L1 (before: L1 L2 L3)" in text
    assert json.loads(as_json.read_text())["steps"][4]["verdict"] == "passed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CP-7.v2.json", "CP-7.v2.txt"]


def test_the_report_says_what_could_not_be_tested():
    found = _report(Walk(Site(car=(0,), takes_a=8.2)).run())
    assert json.loads(found.to_json())["result"] == "incomplete"
    text = " ".join(found.to_text().split())
    words = "INCOMPLETE: not everything could be tested: the limit is followed, the phases are right"
    assert f"Result {words}" in text


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = _report(Walk(Site()))
    _, as_text = reports.write(found, tmp_path / "report")
    as_text.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        reports.write(found, tmp_path / "report", replace=True)
    assert as_text.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(OSError, match="No space"):
        reports.write(found, tmp_path / "other")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_report_is_a_new_one_for_its_owner_alone(tmp_path: Path):
    found = _report(Walk(Site()))
    for file in reports.write(found, tmp_path / "report"):
        assert file.stat().st_mode & 0o777 == 0o600
        file.write_text("of last year")
    for name in ("report", "report.json"):
        with pytest.raises(FileExistsError, match="another name, or --force"):
            reports.write(found, tmp_path / name)
    (tmp_path / "report.json").unlink()
    with pytest.raises(FileExistsError):  # both or none
        reports.write(found, tmp_path / "report")
    assert [file.name for file in tmp_path.iterdir()] == ["report.txt"]
    assert (tmp_path / "report.txt").read_text() == "of last year"
    reports.write(found, tmp_path / "report", replace=True)
    assert "COMMISSIONING" in (tmp_path / "report.txt").read_text()


def test_a_report_of_which_one_half_fails_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    link = os.link

    def taken(part: Path, target: Path) -> None:
        if target.suffix == ".txt":
            target.write_text("somebody was quicker")
        link(part, target)

    monkeypatch.setattr(os, "link", taken)
    with pytest.raises(FileExistsError):
        reports.write(_report(Walk(Site())), tmp_path / "report")
    assert [file.name for file in tmp_path.iterdir()] == ["report.txt"]
    assert (tmp_path / "report.txt").read_text() == "somebody was quicker"


def _report(walk: Walk, what: str = "Acme Wall") -> reports.Report:
    records: tuple[StepRecord, ...] = walk.walk.records
    seen: Observation = walk.site.seen()
    return reports.make(
        records=records,
        result=walk.walk.result,
        seen=Observation(what=what, wired=seen.wired, circuits=seen.circuits, meter=seen.meter),
        charger="CP-7",
        connector=1,
        phases_before=walk.walk.notes.phases_before,
        by="the tests",
        site="depot-1",
        began_at=1_790_000_000.0,
        ended_at=1_790_000_900.0,
    )
