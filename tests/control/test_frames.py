"""Frames over the local API: what is shown, what is left out, how a stream is held."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from edgegw.control import frame_desk
from edgegw.control.client import ControlClient, Refused
from edgegw.control.live_client import LiveClient
from edgegw.core.flight import encode_line
from tests.control.flight_house import FlightHouse, lines_of
from tests.control.house import TAG, Api, House
from tests.links.house import eventually

SECRET = "hunter2hunter2"
STATUS = {"connectorId": 1, "status": "Available", "errorCode": "NoError"}


@pytest.fixture
async def recorded(tmp_path) -> AsyncIterator[FlightHouse]:
    house = FlightHouse(tmp_path, known=frozenset({"CP-9"}))
    await house.start()
    yield house
    await house.stop()


@pytest.fixture
async def asked(recorded: FlightHouse) -> AsyncIterator[httpx.AsyncClient]:
    async with recorded.http() as http:
        yield http


async def frames(house: FlightHouse, http: httpx.AsyncClient, **asked: object) -> list[dict]:
    await house.taken_down()
    answer = await http.get("/v1/frames", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["frames"]


async def test_a_frame_is_shown_on_both_legs_with_its_action(recorded: FlightHouse, asked: httpx.AsyncClient):
    charger = await recorded.boots("CP-1")
    asked_id = charger.calls("StatusNotification", STATUS)
    cloud = recorded.cloud.wires["CP-1"]
    await cloud.hears()
    cloud.says([3, asked_id, {}])
    await charger.hears()
    found = await frames(recorded, asked, action="StatusNotification")
    await (await Api.of(asked)).get("/v1/frames")  # is what the document of the API says
    told = [(f["leg"], f["direction"], f["kind"], f["message_id"]) for f in found]
    assert told == [
        ("charger", "in", "CALL", asked_id),
        ("cloud", "out", "CALL", asked_id),
        ("cloud", "in", "CALLRESULT", asked_id),
        ("charger", "out", "CALLRESULT", asked_id),
    ]
    assert json.loads(found[0]["text"]) == [2, asked_id, "StatusNotification", STATUS]
    assert found[0]["size_bytes"] == len(json.dumps([2, asked_id, "StatusNotification", STATUS]))
    assert {f["charger"] for f in found} == {"CP-1"}
    assert [f["n"] for f in found] == sorted(f["n"] for f in found)


async def test_pages_lead_back_to_the_first_frame(recorded: FlightHouse, asked: httpx.AsyncClient):
    charger = await recorded.boots("CP-1")
    for _ in range(12):
        charger.calls("Heartbeat", {})
    await recorded.taken_down()
    await recorded.recorder.write()
    charger.calls("DataTransfer", {"vendorId": "x"})
    await recorded.taken_down()
    seen: list[int] = []
    before: int | None = None
    while True:
        page = (
            await asked.get("/v1/frames", params={"limit": 5} | ({"before": before} if before else {}))
        ).json()
        seen = [f["n"] for f in page["frames"]] + seen
        before = page["next_before"]
        if before is None:
            break
    whole = await frames(recorded, asked, limit=1000)
    assert seen == [f["n"] for f in whole if f["n"] <= seen[-1]], "what came meanwhile is on no page"
    assert len(seen) > 15, "three pages and more; the last answers may still be on their way"


async def test_of_one_charger_only_its_own(recorded: FlightHouse, asked: httpx.AsyncClient):
    await recorded.boots("CP-1")
    await recorded.boots("CP-2")
    assert {f["charger"] for f in await frames(recorded, asked, charger="CP-2")} == {"CP-2"}
    assert await frames(recorded, asked, charger="CP-9") == []
    assert (await asked.get("/v1/frames", params={"charger": "CP-77"})).status_code == 404


async def test_what_does_not_fit_its_schema_is_said(recorded: FlightHouse, asked: httpx.AsyncClient):
    charger = await recorded.boots("CP-1")
    charger.calls("StatusNotification", {**STATUS, "connectorId": "one"})
    charger.says(b"no json at all")
    found = await frames(recorded, asked)
    bad = next(f for f in found if f["kind"] == "bad")
    assert bad["complaints"] == ["refused: not_json"]
    assert bad["text"] == "no json at all"
    odd = next(f for f in found if f["action"] == "StatusNotification")
    assert odd["complaints"] == ["connectorId: must be of type integer"]


async def test_no_password_and_no_card_id_is_shown_exported_or_on_the_disk(
    recorded: FlightHouse, asked: httpx.AsyncClient
):
    charger = await recorded.boots("CP-1")
    charger.calls("Authorize", {"idTag": TAG})
    cloud = recorded.cloud.wires["CP-1"]
    frame = await cloud.hears()
    cloud.says([3, frame[1], {"idTagInfo": {"status": "Accepted", "parentIdTag": TAG}}])
    cloud.says([2, "c1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}])
    cloud.says([2, "c2", "SendLocalList", {"listVersion": 1, "localAuthorizationList": [{"idTag": TAG}]}])
    await charger.hears()
    for _ in range(2):
        charger.says([3, (await charger.hears())[1], {"status": "Accepted"}])
    recorded.cloud.goes_down()
    await recorded.starts(charger)  # its card id is in a key and in the words that tell two Starts apart
    recorded.gateway.sessions["CP-1"].record_state("later")
    recorded.is_impatient()  # nobody answers the next one
    async with asyncio.timeout(30):
        await recorded.gateway.call(
            "CP-1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}
        )
    shown = json.dumps(await frames(recorded, asked, limit=1000))
    exported = await recorded.export()
    await recorded.recorder.write()
    blocks = b"".join(encode_line(line) for line in (await recorded.flight._file.since(None, 0.0, 0))[0])
    for text in (shown.encode(), exported, blocks):
        for secret in (TAG, TAG.lower(), SECRET):
            assert secret.encode() not in text
    assert "****E5F6" in shown
    assert any(line.what == "call_requested" for line in lines_of(exported))
    assert b"transaction_id" in exported
    assert b"****" in exported


async def test_an_export_is_a_file_for_replay_of_one_charger(recorded: FlightHouse):
    await recorded.boots("CP-1")
    await recorded.boots("CP-2")
    exported = await recorded.export(charger="CP-1")
    lines = lines_of(exported)
    assert {line.charger for line in lines} == {"", "CP-1"}
    assert json.loads(exported.splitlines()[0])["site_id"] == "depot-1"
    assert json.loads(exported.splitlines()[-1]) == {"edgegw_flight_end": len(lines)}


async def test_frames_come_as_they_pass(recorded: FlightHouse):
    charger = await recorded.boots("CP-1")
    async with LiveClient(recorded.socket) as live, asyncio.timeout(30):
        stream = live.frames("CP-1")
        coming = asyncio.ensure_future(anext(stream))
        await eventually(lambda: recorded.recorder.listeners)
        await recorded.taken_down()
        charger.calls("Heartbeat", {})
        await recorded.taken_down()
        frame = await coming
        while frame.action != "Heartbeat":
            frame = await anext(stream)
        assert (frame.leg, frame.direction) == ("charger", "in")
        await stream.aclose()


async def test_who_reads_too_slowly_is_told_what_is_missing(
    recorded: FlightHouse, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(frame_desk, "BUFFER_FRAMES", 3)
    await recorded.taken_down()
    charger = await recorded.boots("CP-1")
    stream = recorded.server.service.frames.stream("CP-1")
    await anext(stream)
    for _ in range(10):
        charger.calls("Heartbeat", {})
    await recorded.taken_down()
    events = (await anext(stream)).decode()
    assert events.startswith("event: dropped")
    told = json.loads(events.splitlines()[1].removeprefix("data: "))["count"]
    assert events.count("event: frame") == 3
    assert told >= 7, "ten on the charger's side, and what went on to the cloud meanwhile"
    await stream.aclose()
    assert not recorded.recorder.listeners


async def test_streams_end_when_the_gateway_stops(recorded: FlightHouse):
    await recorded.boots("CP-1")
    stream = recorded.server.service.frames.stream(None)
    await anext(stream)
    ending = asyncio.ensure_future(_rest(stream))
    recorded.server.service.frames.close()
    await asyncio.wait_for(ending, 30)


async def _rest(stream: AsyncIterator[bytes]) -> None:
    async for _ in stream:
        pass


async def test_the_seventeenth_stream_is_refused(recorded: FlightHouse):
    with pytest.MonkeyPatch.context() as full:
        full.setattr(recorded.server.service.frames.seats, "taken", 16)
        async with recorded.http() as http:
            answer = await http.get("/v1/frames/stream")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "too_many_streams")


async def test_without_a_recorder_it_says_so(house: House):
    async with house.http() as http:
        for route in ("", "/export", "/stream"):
            answer = await http.get(f"/v1/frames{route}")
            assert answer.status_code == 409
            assert "flight_quota" in answer.json()["error"]["text"]


async def test_the_client_asks_and_saves(recorded: FlightHouse, tmp_path):
    await recorded.boots("CP-1")
    await recorded.taken_down()

    def ask() -> tuple[int, int]:
        with ControlClient(recorded.socket) as client:
            found = client.frames("CP-1", action="BootNotification", limit=2)
            assert [frame.kind for frame in found.frames] == ["CALLRESULT", "CALLRESULT"]
            with pytest.raises(Refused):
                client.export_frames(tmp_path / "never", charger="CP-77")
            assert not list(tmp_path.glob("never*"))
            size_bytes = client.export_frames(tmp_path / "saved", charger="CP-1")
            with pytest.raises(FileExistsError):
                client.export_frames(tmp_path / "saved", charger="CP-1")
            assert size_bytes == (tmp_path / "saved").stat().st_size
            again_bytes = client.export_frames(tmp_path / "saved", charger="CP-1", replace=True)
            assert again_bytes == (tmp_path / "saved").stat().st_size
            return len(found.frames), (tmp_path / "saved").stat().st_size

    count, size_bytes = await asyncio.to_thread(ask)
    assert count == 2
    assert size_bytes > 500
    assert (tmp_path / "saved").stat().st_mode & 0o777 == 0o600


async def test_without_a_quota_nothing_is_recorded(tmp_path):
    house = FlightHouse(tmp_path)
    house.quota_bytes = 0
    await house.start()
    try:
        assert house.flight is None
        await house.boots("CP-1")
        assert house.gateway.sessions["CP-1"].record is None
    finally:
        await house.stop()
