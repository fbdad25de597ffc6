"""`edgegw events`: tables a person can read at night, and JSON."""

from __future__ import annotations

from edgegw.cli.events import _everybody, _one_charger, _todo
from edgegw.cli.tables import table
from edgegw.control.event_models import EventView
from tests.cli.conftest import Shell
from tests.control.house import House, Wire


async def broken(house: House, *codes: str, **more: object) -> Wire:
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    for code in codes:
        payload = {"connectorId": 1, "errorCode": code, "status": "Faulted", **more}
        charger.calls("StatusNotification", payload)
        await charger.hears()
    return charger


async def test_nothing_was_reported(house: House, shell: Shell):
    assert (await shell("events")).stdout == "nothing was reported by any charger\n"
    await house.boots("CP-1")
    told = (await shell("events", "CP-1", "--severity", "error")).stdout
    assert told == "nothing was reported by CP-1 that is error or worse\n"
    assert "no charger 'CP-7'" in (await shell("events", "CP-7", code=1)).stderr
    assert "awful" in (await shell("events", "--severity", "awful", code=2)).stderr


async def test_all_chargers_in_a_table(house: House, shell: Shell):
    await broken(house, "ReaderFailure", "GroundFailure", "GroundFailure", info="30 mA")
    head, first, second = (await shell("events")).stdout.splitlines()
    assert head.split() == ["WHEN", "CHARGER", "CON", "SEVERITY", "WHAT"]
    assert first.split()[2:5] == ["CP-1", "1", "critical"]
    assert first.endswith("current leaks to earth (30 mA), 2 times")
    assert "ReaderFailure: The card reader does not work (30 mA)" in second
    assert len((await shell("events", "--limit", "1")).stdout.splitlines()) == 2
    assert len((await shell("events", "--severity", "critical")).stdout.splitlines()) == 2


async def test_one_charger_with_what_to_do(house: House, shell: Shell):
    charger = await broken(house, "GroundFailure")
    charger.calls("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})
    await charger.hears()
    events, todo = (await shell("events", "CP-1")).stdout.split("\n\n")
    assert "info      GroundFailure: Over: " in events
    assert todo.splitlines()[0].split(maxsplit=1) == ["CODE", "WHAT TO DO"]
    assert todo.splitlines()[1].split(maxsplit=1)[0] == "GroundFailure"
    assert "Nothing now" not in todo  # it may come back: what to do stands there


async def test_json(house: House, shell: Shell):
    await broken(house, "GroundFailure")
    (event,) = (await shell.json("events", "CP-1", "--severity", "critical"))["events"]
    assert (event["code"], event["severity"]) == ("GroundFailure", "critical")
    assert (await shell.json("events", "CP-7", code=1))["error"]["code"] == "no_such_charger"


async def test_what_a_charger_wrote_cannot_move_the_cursor(house: House, shell: Shell):
    await broken(house, "Bo\x1b[2Jgus", info="\x1b]0;gotcha\x07[bold]", vendorErrorCode="\x9b7m")
    for arguments in (("events",), ("events", "CP-1"), ("events", "--json")):
        text = (await shell(*arguments)).output
        assert all(c.isprintable() or c == "\n" for c in text), text


def test_the_tables_fit_80_columns(monkeypatch):
    event = EventView(
        charger="PARKHAUS-NORD-EBENE-2-0017",
        at="2026-11-20T10:00:00Z",
        first_at="2026-11-20T10:00:00Z",
        said_at="",
        count=12,
        kind="event",
        code="ConnectorPlugRetentionLock.Problem",
        vendor_code="E" * 50,
        connector="12.34",
        info="i" * 255,
        cleared=False,
        severity="critical",
        known=True,
        text="t " * 80,
        todo="d " * 120,
    )

    def narrow(columns, rows):
        return table(columns, rows, width=80)

    monkeypatch.setattr("edgegw.cli.events.table", narrow)
    for text in (_everybody((event,)), _one_charger((event,)), _todo((event,))):
        assert max(map(len, text.splitlines())) <= 80
        assert "2026-11-20 10:00Z" in text or text.startswith("CODE")
        assert len(text.splitlines()) < 40
