"""What chargers reported, as the API tells it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edgegw.catalogue.load import load_catalogue
from edgegw.config_text import SiteFileFault
from edgegw.control.client import ControlClient, Refused
from edgegw.control.service import Service
from tests.control.house import DEADLINE_S, Api, House, Wire

TIME = "2026-11-20T10:00:00Z"


async def reports(house: House, charger: Wire, code: str = "GroundFailure", **more: object) -> None:
    """A 1.6 charger has an error, and the cloud heard of it."""
    payload = {"connectorId": 1, "errorCode": code, "status": "Faulted", "timestamp": TIME, **more}
    charger.calls("StatusNotification", payload)
    await asyncio.wait_for(next(iter(house.cloud.wires.values())).hears(), DEADLINE_S)


async def alone(house: House, identity: str = "CP-1", version: str = "ocpp1.6") -> Wire:
    """A charger of a site whose cloud is away: every message is answered here."""
    house.cloud.goes_down()
    return await house.connects(identity, version)


async def fails(charger: Wire, code: str = "GroundFailure", **more: object) -> None:
    charger.calls("StatusNotification", {"connectorId": 1, "errorCode": code, "status": "Faulted", **more})
    await charger.hears()


async def test_an_event_in_plain_words(house: House, api: Api):
    charger = await house.boots("CP-1")
    await reports(house, charger, info="30 mA", vendorErrorCode="E42")
    (event,) = (await api.get("/v1/chargers/{identity}/events", identity="CP-1"))["events"]
    assert event.pop("at") == event.pop("first_at")
    assert "leaks to earth" in event.pop("text")
    assert event.pop("todo")
    assert event == {
        "charger": "CP-1",
        "said_at": TIME,
        "count": 1,
        "kind": "status",
        "code": "GroundFailure",
        "vendor_code": "E42",
        "connector": "1",
        "info": "30 mA",
        "cleared": False,
        "severity": "critical",
        "known": True,
    }


async def test_the_newest_of_all_chargers_come_first(house: House, api: Api):
    one, two = await alone(house, "CP-1"), await alone(house, "CP-2")
    await fails(one, "ReaderFailure")
    await fails(two, "HighTemperature")
    await fails(one, "OverVoltage")
    found = (await api.get("/v1/events"))["events"]
    assert [(e["charger"], e["code"]) for e in found] == [
        ("CP-1", "OverVoltage"), ("CP-2", "HighTemperature"), ("CP-1", "ReaderFailure"),
    ]  # fmt: skip
    assert [e["code"] for e in (await api.get("/v1/events", params={"limit": 1}))["events"]] == [
        "OverVoltage"
    ]


async def test_only_what_is_bad_enough(house: House, api: Api):
    charger = await alone(house)
    for code in ("WeakSignal", "ReaderFailure", "HighTemperature", "GroundFailure"):
        await fails(charger, code)

    async def count(severity: str, **parts: str) -> int:
        route = "/v1/chargers/{identity}/events" if parts else "/v1/events"
        return len((await api.get(route, params={"severity": severity}, **parts))["events"])

    assert [await count(s) for s in ("info", "warning", "error", "critical")] == [4, 3, 2, 1]
    assert await count("error", identity="CP-1") == 2
    refused = await api.get("/v1/events", params={"severity": "awful"}, status=422)
    assert "severity" in refused["error"]["text"]
    await api.get("/v1/events", params={"limit": 0}, status=422)


async def test_a_charger_that_reported_nothing_and_one_that_is_unknown(api: Api):
    assert (await api.get("/v1/events")) == {"events": []}
    assert (await api.get("/v1/chargers/{identity}/events", identity="CP-9")) == {"events": []}
    refused = await api.get("/v1/chargers/{identity}/events", identity="CP-77", status=404)
    assert refused["error"]["code"] == "no_such_charger"


async def test_events_are_there_after_a_restart(house: House, tmp_path: Path):
    charger = await alone(house)
    await fails(charger)
    await house.all_is_stored()
    await house.stop()
    await house.start()
    async with house.http() as http:
        found = (await (await Api.of(http)).get("/v1/events"))["events"]
    assert [(e["charger"], e["code"]) for e in found] == [("CP-1", "GroundFailure")]


async def test_nothing_a_charger_wrote_can_move_a_cursor_or_tell_a_secret(house: House, api: Api):
    charger = await alone(house)
    await fails(charger, "OtherError", info="\x1b[2J idTag", vendorErrorCode="\x9b31m", vendorId="\u202eX")
    await fails(charger, "Bog\x07us", info="new password=hunter2")
    answer = await api.http.get("/v1/events")
    assert all(c.isprintable() for e in answer.json()["events"] for v in e.values() for c in str(v))
    assert "hunter2" not in answer.text


async def test_the_port_wants_its_token(house: House):
    async with house.tcp(None) as http:
        assert (await http.get("/v1/events")).status_code == 401
    async with house.tcp(house.token) as http:
        assert (await http.get("/v1/events")).status_code == 200


async def test_many_reports_are_read_in_portions(house: House, api: Api):
    charger = await alone(house)
    for number in range(5):
        await fails(charger, "OtherError", vendorErrorCode=f"E{number}")
    book = house.gateway.sessions["CP-1"].charger.state.reports
    lines = book.lines * 200
    book.lines = lines
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await asyncio.sleep(0)
    before = turns
    found = await house.server.service.events(None, "critical", 10)
    beside.cancel()
    assert found.events == ()
    assert turns - before >= len(lines) // 200


async def test_the_client_asks_for_one_or_all(house: House):
    charger = await alone(house)
    await fails(charger, "ReaderFailure")

    def ask() -> None:
        with ControlClient(house.socket) as client:
            assert [e.code for e in client.events().events] == ["ReaderFailure"]
            assert [e.code for e in client.events("CP-1", limit=1).events] == ["ReaderFailure"]
            assert client.events("CP-1", severity="critical").events == ()
            with pytest.raises(Refused, match="no charger"):
                client.events("CP-77")

    await asyncio.to_thread(ask)


async def test_the_operators_own_words(house: House, tmp_path: Path):
    own = tmp_path / "catalogue"
    own.mkdir()
    (own / "mine.toml").write_text(
        'kind = "error"\n[[entry]]\n'
        'code = "GroundFailure"\ntext = "Call Jo."\nseverity = "info"\ndo = "Call."\n'
    )
    service = Service(
        house.gateway, house.journal, site_id="second", started_at=1.8e9, catalogue=load_catalogue(own)
    )
    await fails(await alone(house))
    found = await service.events(None, "info", 10)
    assert [event.text for event in found.events] == ["Call Jo."]
    await service.close()
    await service.finish()
    (own / "mine.toml").write_text("kind = 3\n")
    with pytest.raises(SiteFileFault, match=r"mine\.toml:1"):
        load_catalogue(own)
