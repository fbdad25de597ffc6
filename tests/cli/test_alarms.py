"""`edgegw alarms`: what a person reads at night, what a script reads, and that somebody has seen it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from edgegw.cli import alarms as command
from edgegw.cli.tables import table
from edgegw.control.alarm_models import AlarmList, AlarmView
from tests.alarms.scene import RULES, Scene
from tests.cli.conftest import Shell
from tests.control.house import House


@pytest.fixture
async def scene(tmp_path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path, has_api=True)
    await scene.start()
    yield scene
    await scene.stop()


@pytest.fixture
def run(scene: Scene) -> Shell:
    return Shell(scene)


async def goes_wrong(scene: Scene) -> None:
    (await scene.boots("CP-1")).cut()
    (await scene.boots("CP-2")).cut()
    scene.gateway.site_noticed("store_corrupt", "3 rows could not be read")
    await scene.passes(310)


async def test_nothing_is_wrong(run: Shell):
    assert (await run("alarms")).stdout == "no alarms\n"
    assert (await run("alarms", "ack", "--all")).stdout == "there was nothing to acknowledge\n"


async def test_what_is_wrong_and_what_to_do(scene: Scene, run: Shell):
    await goes_wrong(scene)
    told = (await run("alarms")).stdout.splitlines()
    assert told[0].split() == ["SEVERITY", "SINCE", "WHERE", "WHAT"]
    assert "CP-1   CP-1 is not connected; it was heard last on 20" in told[1]
    assert "CP-2" in told[2]
    assert told[3].endswith("(over)")
    assert told[5] == "ID, AND WHAT TO DO"
    assert sorted(told[6:8]) == ["charger-silent-cp-1", "charger-silent-cp-2"]
    assert told[8].strip() == RULES["charger_silent"].todo
    assert told[9] == "store-damaged"


async def test_only_some_of_them(scene: Scene, run: Shell):
    await goes_wrong(scene)
    assert "store-damaged" not in (await run("alarms", "--state", "active")).stdout
    assert "charger" not in (await run("alarms", "--state", "cleared")).stdout
    assert (await run("alarms", "--severity", "critical")).stdout == "no such alarms\n"
    found = await run.json("alarms", "--state", "cleared")
    assert [alarm["id"] for alarm in found["alarms"]] == ["store-damaged"]
    assert found["active"] == 2


async def test_somebody_has_seen_it(scene: Scene, run: Shell):
    await goes_wrong(scene)
    told = (await run("alarms", "ack", "store-damaged", "--by", "Jo")).stdout
    assert told == "store-damaged: seen by Jo; it is over and leaves the list\n"
    found = await run.json("alarms", "ack", "--all", "--by", "Kim")
    assert {alarm["acknowledged_by"] for alarm in found["alarms"]} == {"Kim"}
    assert "(seen by Kim)" in (await run("alarms")).stdout
    refused = await run("alarms", "ack", "charger-silent-cp-3", code=1)
    assert "there are charger-silent-cp-" in refused.stderr
    for arguments in ((), ("x", "--all")):
        await run("alarms", "ack", *arguments, code=2)


async def test_who_has_seen_it_is_who_is_logged_in(scene: Scene, run: Shell, monkeypatch):
    await goes_wrong(scene)
    monkeypatch.setenv("LOGNAME", "technician")
    assert "seen by technician" in (await run("alarms", "ack", "charger-silent-cp-1")).stdout

    def has_no_name() -> str:
        raise KeyError("uid")

    monkeypatch.setattr("getpass.getuser", has_no_name)
    assert "seen by the control socket" in (await run("alarms", "ack", "charger-silent-cp-2")).stdout


async def test_all_there_can_be(run: Shell):
    told = (await run("alarms", "catalogue")).stdout
    assert all(code in told for code in RULES)
    assert "5 min" in told


async def test_the_status_says_how_many_and_how_bad(scene: Scene, run: Shell):
    assert "alarms " not in (await run("status")).stdout
    await goes_wrong(scene)
    told = (await run("status")).stdout
    assert "2 alarms on, the worst is error; 3 not seen yet: edgegw alarms" in told
    assert (await run.json("status"))["alarms"]["active"] == 2


async def test_a_box_that_looks_for_no_alarms_says_there_are_none(house: House):
    assert (await Shell(house)("alarms")).stdout == "no alarms\n"


def test_the_longest_alarm_fits_a_terminal_of_80_columns(monkeypatch):
    longest = AlarmView(
        id="charger-fault-" + "x" * 64,
        code="charger_silent_to_limits",
        severity="critical",
        target="DE*ABC*PARKHAUS-NORD-EBENE-2-LADEPUNKT-17/12",
        title="t" * 60,
        text="w " * 150,
        todo="d " * 120,
        state="cleared",
        acknowledged=True,
        acknowledged_by="j" * 64,
        acknowledged_at="2026-11-20T10:00:00Z",
        since="2026-11-20T10:00:00Z",
        last_at="2026-11-20T10:00:00Z",
        cleared_at="2026-11-20T10:00:00Z",
        count=12_345,
        latched=True,
    )
    monkeypatch.setattr(command, "table", lambda columns, rows: table(columns, rows, width=80))
    found = AlarmList(alarms=(longest,), active=0, unacknowledged=0, worst=None)
    lines = "\n".join(command._parts(found)).splitlines()
    assert max(map(len, lines)) <= 80
    assert "2026-11-20 10:00Z" in lines[1]
    assert longest.id in lines
    assert len(lines) < 60
