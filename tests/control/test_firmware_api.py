"""Firmware, rollouts and diagnostics over the local API, with a real cache and real decisions."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgegw.control import gate
from edgegw.control.client import ControlClient
from edgegw.control.firmware_client import DamagedOnTheWay
from edgegw.core.rollout_state import Stage
from edgegw.errors import StoreFull
from edgegw.files.doors import Transfer
from edgegw.files.download import FetchProgress
from edgegw.runtime.log_orders import LOG_REQUEST_ID_FIRST
from edgegw.runtime.rollouts import REQUEST_ID_FIRST, request_id
from tests.control.file_house import FILE_BYTES_MAX, FilesHouse
from tests.control.house import BOOT, DEADLINE_S, Api, House
from tests.links.house import eventually

FIRMWARE = bytes(range(256)) * 5000  # 1.28 MB: more than a body may otherwise have
SHA256 = hashlib.sha256(FIRMWARE).hexdigest()
MADE_FOR = {"vendor": "Acme", "model": "Wall*", "version": "2.0"}


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[FilesHouse]:
    house = FilesHouse(tmp_path, known=frozenset({"CP-1", "CP-9"}))
    await house.start(tcp=True)
    yield house
    await house.stop()


async def add(api: Api, data: bytes = FIRMWARE, status: int = 201, **asked: str) -> dict:
    params = {"name": "fw-2.0.bin", **MADE_FOR, **asked}
    answer = await api.http.post("/v1/firmware/files", params=params, content=data)
    assert answer.status_code == status, answer.text
    api.fits("post", "/v1/firmware/files", answer)
    return answer.json()


async def rollout(api: Api, status: int = 201, **order: object) -> dict:
    return await api.post("/v1/firmware/rollouts", {"sha256": SHA256, **order}, status=status)


async def seen(api: Api, rollout_id: str = "1") -> dict:
    return await api.get("/v1/firmware/rollouts/{rollout_id}", rollout_id=rollout_id)


def leftovers(house: FilesHouse) -> list[str]:
    return [path.name for path in house.shelf.receiving.iterdir()]


# --- without [files] --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/firmware"),
        ("POST", "/v1/firmware/files?name=x.bin"),
        ("DELETE", f"/v1/firmware/files/{SHA256}"),
        ("GET", "/v1/firmware/rollouts"),
        ("POST", "/v1/firmware/rollouts"),
        ("GET", "/v1/firmware/rollouts/1"),
        ("POST", "/v1/firmware/rollouts/1/pause"),
        ("POST", "/v1/firmware/rollouts/1/resume"),
        ("POST", "/v1/firmware/rollouts/1/stop"),
        ("GET", "/v1/diagnostics"),
        ("GET", "/v1/diagnostics/log-1"),
        ("GET", "/v1/diagnostics/log-1/file"),
        ("DELETE", "/v1/diagnostics/log-1"),
        ("POST", "/v1/chargers/CP-1/diagnostics"),
    ],
)
async def test_a_box_without_files_says_so_everywhere(tmp_path, method: str, path: str):
    plain = House(tmp_path)
    await plain.start()
    body = {"sha256": SHA256} if path.endswith("rollouts") else {}
    async with plain.http() as http:
        answer = await http.request(method, path, json=body if method == "POST" else None)
    await plain.stop()
    assert answer.status_code == 409, answer.text
    assert answer.json()["error"]["code"] == "no_files"
    assert "[files] is not in the site file" in answer.json()["error"]["text"]


# --- files ------------------------------------------------------------------------------------------


async def test_a_file_is_added_shown_and_removed(house: FilesHouse, api: Api):
    added = await add(api)
    assert (added["sha256"], added["md5"]) == (SHA256, hashlib.md5(FIRMWARE).hexdigest())
    assert (added["name"], added["vendor"], added["version"]) == ("fw-2.0.bin", "Acme", "2.0")
    assert (added["local"], added["origin"], added["signature"]) == (True, "added here", "none")
    assert (await house.shelf.cache.open_verified(SHA256)).read_bytes() == FIRMWARE
    found = await api.get("/v1/firmware")
    assert found["files"] == [added]
    assert found["size_bytes"] == len(FIRMWARE)
    assert leftovers(house) == []
    removed = await api.http.delete(f"/v1/firmware/files/{SHA256}")
    assert removed.json() == {"sha256": SHA256}
    again = await api.http.delete(f"/v1/firmware/files/{SHA256}")
    assert (again.status_code, again.json()["error"]["code"]) == (404, "no_such_file")
    assert (await api.get("/v1/firmware"))["files"] == []


async def test_what_moves_is_shown(house: FilesHouse, api: Api):
    fetch = FetchProgress(key="k", shown="http://origin/fw.bin", name="fw.bin", started_at=1.8e9)
    fetch.received_bytes, fetch.total_bytes = 10, 100
    house.shelf.fetching.append(fetch)
    house.shelf.transfers.append(
        Transfer(charger="CP-1", name="fw.bin", order="o", direction="down", protocol="http",
                 peer_ip="192.0.2.7", started_at=1.8e9, total_bytes=100, bytes_moved=25)
    )  # fmt: skip
    found = await api.get("/v1/firmware")
    assert [(f["name"], f["received_bytes"], f["total_bytes"]) for f in found["fetching"]] == [
        ("fw.bin", 10, 100)
    ]
    assert [(t["charger"], t["moved_bytes"], t["state"]) for t in found["transfers"]] == [
        ("CP-1", 25, "running")
    ]


@pytest.mark.parametrize("name", ["../x.bin", "/etc/passwd", "a/b", "..", "a\\b", "a\nb", "x" * 101])
async def test_a_name_that_is_none_is_refused(house: FilesHouse, api: Api, name: str):
    assert (await add(api, b"x", 422, name=name))["error"]["code"] == "invalid"
    assert leftovers(house) == []


async def test_an_empty_file_and_one_too_long_are_refused_and_leave_nothing(house: FilesHouse, api: Api):
    assert (await add(api, b"", 422))["error"]["code"] == "empty"
    assert (await add(api, b"x" * (FILE_BYTES_MAX + 1), 413))["error"]["code"] == "too_large"

    async def endless() -> AsyncIterator[bytes]:  # no length announced
        for _ in range(FILE_BYTES_MAX // 100_000 + 2):
            yield b"x" * 100_000

    params = {"name": "fw.bin"}
    answer = await api.http.post("/v1/firmware/files", params=params, content=endless())
    assert answer.status_code == 413
    assert leftovers(house) == []
    assert house.shelf.files == {}


async def test_a_cut_upload_leaves_nothing(house: FilesHouse, api: Api):
    _, writer = await asyncio.open_unix_connection(str(house.socket))
    head = "POST /v1/firmware/files?name=fw.bin HTTP/1.1\r\nHost: box\r\nContent-Length: 1000000\r\n\r\n"
    writer.write(head.encode() + b"x" * 300_000)
    await writer.drain()
    await eventually(lambda: leftovers(house) != [])
    writer.close()
    await writer.wait_closed()
    await eventually(lambda: leftovers(house) == [])
    assert house.shelf.files == {}
    await add(api)  # and the next one finds a free place


async def test_only_so_many_at_once(house: FilesHouse, api: Api):
    head = "POST /v1/firmware/files?name=fw.bin HTTP/1.1\r\nHost: box\r\nContent-Length: 10\r\n\r\n12345"
    writers = []
    for count in (1, 2):
        _, writer = await asyncio.open_unix_connection(str(house.socket))
        writers.append(writer)
        writer.write(head.encode())
        await eventually(lambda count=count: len(leftovers(house)) == count)
    assert (await add(api, status=429))["error"]["code"] == "busy"
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    await eventually(lambda: leftovers(house) == [])


async def test_a_cache_that_is_full_says_so(house: FilesHouse, api: Api):
    for number in range(7):
        await add(api, bytes([number]) * 2_800_000)
    full = await add(api, b"y" * 2_800_000, 507)
    assert full["error"]["code"] == "no_room"
    assert leftovers(house) == []


async def test_other_routes_keep_their_limit(api: Api):
    long = b'{"sha256": "' + b"a" * gate.BODY_BYTES_MAX + b'"}'
    for path in ("/v1/firmware/rollouts", "/v1/firmware/files/", "/v1/queue/resend"):
        answer = await api.http.post(path, content=long)
        assert answer.status_code in (404, 413, 307), (path, answer.text)
    assert (await api.http.post("/v1/firmware/rollouts", content=long)).status_code == 413


async def test_the_loopback_door_wants_its_token_for_files_too(house: FilesHouse):
    async with house.tcp(None) as http:
        answer = await http.post("/v1/firmware/files", params={"name": "x"}, content=b"data")
    assert answer.status_code == 401
    assert leftovers(house) == []


async def answered_and_closed(reader: asyncio.StreamReader) -> bytes:
    """All that the server says until it hangs up, while the body is still to come."""
    async with asyncio.timeout(DEADLINE_S):
        return await reader.read()


@pytest.mark.parametrize("length", ["Content-Length: 60000000000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("token", ["", "Authorization: Bearer another-token-0123456789\r\n"])
async def test_who_has_no_token_is_turned_away_before_a_byte_of_the_body(
    house: FilesHouse, length: str, token: str
):
    host, _, port = str(house.server.address).rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /v1/firmware/files?name=fw.bin HTTP/1.1\r\nHost: box\r\n{token}{length}\r\n\r\n".encode()
    )
    answer = await answered_and_closed(reader)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert leftovers(house) == []


async def pours(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def test_an_endless_body_from_who_has_no_token_ends(house: FilesHouse):
    host, _, port = str(house.server.address).rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/firmware/files?name=x HTTP/1.1\r\nHost: box\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(pours(writer), DEADLINE_S)
    writer.close()
    with contextlib.suppress(ConnectionError):
        assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
    assert leftovers(house) == []


@pytest.mark.parametrize(
    ("name", "length", "status"), [("a%2Fb", 10, 422), ("fw.bin", FILE_BYTES_MAX + 1, 413)]
)
async def test_a_file_that_is_refused_is_not_waited_for(
    house: FilesHouse, name: str, length: int, status: int
):
    reader, writer = await asyncio.open_unix_connection(str(house.socket))
    head = f"POST /v1/firmware/files?name={name} HTTP/1.1\r\nHost: box\r\nContent-Length: {length}\r\n\r\n"
    writer.write(head.encode())
    answer = await answered_and_closed(reader)
    writer.close()
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


async def test_connections_are_kept_for_who_is_answered_as_usual(house: FilesHouse):
    reader, writer = await asyncio.open_unix_connection(str(house.socket))
    for _ in range(2):
        writer.write(b"POST /v1/firmware/rollouts HTTP/1.1\r\nHost: box\r\nContent-Length: 2\r\n\r\n{}")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        assert head.startswith(b"HTTP/1.1 422 ")
        assert b"close" not in head.lower()
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))
    writer.close()


async def test_the_same_file_twice_at_once_is_one_file(house: FilesHouse, api: Api):
    first, second = await asyncio.gather(add(api), add(api, version="2.0-b"))
    assert first["sha256"] == second["sha256"] == SHA256
    (kept,) = (await api.get("/v1/firmware"))["files"]
    assert kept["version"] in ("2.0", "2.0-b")
    assert (await house.shelf.cache.open_verified(SHA256)).read_bytes() == FIRMWARE
    assert leftovers(house) == []
    removed = await api.http.delete(f"/v1/firmware/files/{SHA256}")
    assert removed.status_code == 200
    left = (path for path in (house.folder / "cache").rglob("*") if path.is_file())
    assert [path.name for path in left if path.name != "manifest.json"] == []


# --- rollouts ---------------------------------------------------------------------------------------


async def test_a_rollout_from_beginning_to_end_without_the_cloud_noticing(house: FilesHouse, api: Api):
    first, second = await house.idles("CP-1"), await house.idles("CP-2")
    cloud = house.cloud.wires["CP-1"]
    await add(api)
    begun = await rollout(api)
    assert (begun["id"], begun["state"], begun["vendor"], begun["model"]) == ("1", "running", "Acme", "Wall*")
    link = await house.gets_update(first)
    assert link.endswith("/fw-2.0.bin")
    await house.reports(first, "Downloading", "Downloaded", "Installing", "Installed")
    now = await seen(api)
    assert now["down"] == 1
    assert [(c["charger"], c["stage"], c["why"]) for c in now["chargers"]] == [
        ("CP-1", "installed", "not back yet"),
        ("CP-2", "waiting", "waits for its turn"),
    ]
    first.cut()
    first = await house.connects("CP-1")
    asked = first.calls("BootNotification", {**BOOT, "firmwareVersion": "2.0"})
    cloud = house.cloud.wires["CP-1"]
    frame = await cloud.hears()
    assert frame[2] == "BootNotification"  # and no firmware status before it
    accepted = {"status": "Accepted", "currentTime": "2026-11-20T10:00:00Z", "interval": 300}
    cloud.says([3, asked, accepted])
    await first.hears()
    house.rooms.rollouts.step()
    await house.gets_update(second)
    await house.reports(second, "InstallationFailed")
    await eventually(lambda: house.rooms.rollouts.known["1"].ended)
    over = await seen(api)
    assert (over["state"], over["why"]) == ("ended", "1 installed, 1 failed")
    assert over["counts"] == {"installed": 1, "failed": 1}
    assert [r["id"] for r in (await api.get("/v1/firmware/rollouts"))["rollouts"]] == ["1"]


async def test_an_order_about_a_rollout_is_answered_when_it_is_on_the_disk(
    house: FilesHouse, api: Api, monkeypatch: pytest.MonkeyPatch
):
    await house.idles("CP-1")
    await add(api)
    disk = asyncio.Event()
    rollouts = house.rooms.rollouts
    commit = rollouts._commit

    def later(ops: Any, done: Any) -> None:
        held.append(asyncio.ensure_future(disk.wait()))
        held[-1].add_done_callback(lambda _: commit(ops, done))

    held: list[asyncio.Task[Any]] = []
    monkeypatch.setattr(rollouts, "_commit", later)
    asked = asyncio.ensure_future(rollout(api, at_once=1))
    await eventually(lambda: held or asked.done())
    await seen(api)  # an answer that does not wait has time to come
    assert not asked.done()
    disk.set()
    assert (await asked)["id"] == "1"

    def full(ops: Any, done: Any) -> None:
        done(StoreFull("nothing was written: database or disk is full"))

    monkeypatch.setattr(rollouts, "_commit", full)
    told = await api.post("/v1/firmware/rollouts/{rollout_id}/stop", {}, status=503, rollout_id="1")
    assert told["error"]["code"] == "not_stored"
    assert "rollout 1 has ended now" in told["error"]["text"]
    assert (await seen(api))["state"] == "ended"


async def test_pause_resume_stop(house: FilesHouse, api: Api):
    charger = await house.boots("CP-1")  # its connectors are not known: not idle
    await add(api)
    began = await rollout(api)
    assert began["chargers"][0]["why"] == "has not said how its connectors are"
    path = "/v1/firmware/rollouts/{rollout_id}/"
    paused = await api.post(path + "pause", {}, rollout_id="1")
    assert (paused["state"], paused["why"]) == ("paused", "by a person")
    assert (await api.post(path + "resume", {}, rollout_id="1"))["state"] == "running"
    used = await api.http.delete(f"/v1/firmware/files/{SHA256}")
    assert (used.status_code, used.json()["error"]["code"]) == (409, "in_use")
    stopped = await api.post(path + "stop", {}, rollout_id="1")
    assert (stopped["state"], stopped["chargers"][0]["stage"]) == ("ended", "skipped")
    refused = await api.post(path + "resume", {}, rollout_id="1", status=409)
    assert refused["error"]["code"] == "ended"
    assert (await api.http.delete(f"/v1/firmware/files/{SHA256}")).status_code == 200
    assert charger.open


async def test_any_time_and_named_chargers(house: FilesHouse, api: Api):
    charger = await house.boots("CP-1")
    await house.boots("CP-2")
    await add(api)
    begun = await rollout(api, only_idle=False, chargers=["CP-1", "CP-1"])
    assert [c["charger"] for c in begun["chargers"]] == ["CP-1"]
    await house.gets_update(charger)


async def test_who_runs_it_already_or_is_another_make_is_skipped(house: FilesHouse, api: Api):
    await house.idles("CP-1")
    await add(api)
    done = await rollout(api, version="1.2")
    assert (done["state"], done["chargers"][0]["why"]) == ("ended", "runs 1.2 already")
    other = await rollout(api, vendor="Other", chargers=["CP-1"])
    assert (other["state"], other["chargers"][0]["why"]) == ("ended", "is Acme Wall")


@pytest.mark.parametrize(
    ("order", "status", "words"),
    [
        ({"sha256": "0" * 64}, 404, "no file 000000000000... is kept here"),
        ({"sha256": "nonsense"}, 422, "sha256"),
        ({"chargers": ["CP-77"]}, 404, "no charger 'CP-77' was ever here"),
        ({"chargers": []}, 422, "at least 1 item"),
        ({"vendor": "Nobody"}, 409, "ever here is a Nobody Wall*, they are Acme Wall: give the vendor and"),
        ({"vendor": "", "model": ""}, 422, "give vendor and model, or chargers"),
        ({"window": "22:00"}, 422, 'such as "22:00-05:00"'),
        ({"at_once": 0}, 422, "greater than or equal to 1"),
        ({"at_once": True}, 422, "valid integer"),
        ({"failures_max": 0}, 422, "greater than or equal to 1"),
        ({"atonce": 5}, 422, "Extra inputs"),
    ],
)
async def test_a_wrong_rollout_is_refused(
    house: FilesHouse, api: Api, order: dict[str, object], status: int, words: str
):
    await house.idles("CP-1")
    await add(api)
    assert words in (await rollout(api, status, **order))["error"]["text"]
    assert (await api.get("/v1/firmware/rollouts"))["rollouts"] == []


async def test_a_rollout_on_a_site_where_no_charger_ever_was_says_what_to_do(house: FilesHouse, api: Api):
    await add(api)
    refused = await rollout(api, 409, vendor="*", model="*")
    assert refused["error"]["text"] == "no charger was ever here: connect them first, then begin the rollout"


async def test_a_rollout_that_is_not_there(api: Api):
    for word in ("pause", "resume", "stop"):
        answer = await api.http.post(f"/v1/firmware/rollouts/7/{word}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_rollout")
    assert (await api.http.get("/v1/firmware/rollouts/7")).status_code == 404


async def test_a_link_that_cannot_be_made(house: FilesHouse, api: Api):
    await house.idles("CP-1")
    await house.idles("CP-2")
    await add(api)
    house.shelf.no_link = "the file was tampered with"
    await rollout(api)
    await eventually(lambda: house.rooms.rollouts.known["1"].paused)
    stopped = await seen(api)
    assert (stopped["why"], stopped["counts"]) == ("the file was tampered with", {"waiting": 2})
    house.shelf.no_link = ""
    house.shelf.no_link_for["CP-1"] = "it knows none of http, https"
    await api.post("/v1/firmware/rollouts/{rollout_id}/resume", {}, rollout_id="1")
    await eventually(lambda: house.rooms.rollouts.known["1"].count(Stage.SENT) == 1)
    now = await seen(api)
    assert now["chargers"][0]["why"] == "it knows none of http, https"
    assert (now["state"], now["counts"], now["down"]) == ("running", {"sent": 1, "skipped": 1}, 1)


async def test_a_rollout_survives_a_restart(tmp_path):
    house = FilesHouse(tmp_path)
    await house.start()
    async with house.http() as http:
        api = await Api.of(http)
        first, _ = await house.idles("CP-1"), await house.idles("CP-2")
        await add(api)
        await rollout(api)
        await house.gets_update(first)
        await house.reports(first, "Downloading")
        await house.all_is_stored()
    await house.stop()
    again = FilesHouse(tmp_path)
    await again.start()
    async with again.http() as http:
        api = await Api.of(http)
        now = await seen(api)
        assert [c["stage"] for c in now["chargers"]] == ["downloading", "waiting"]
        first, second = await again.connects("CP-1"), await again.connects("CP-2")
        await again.reports(first, "Downloaded", "InstallationFailed")
        stopped = await seen(api)
        assert (stopped["state"], stopped["why"]) == ("paused", "1 failed: CP-1")
        assert second.open
    await again.stop()


def test_request_ids_are_far_from_clouds_and_fit_an_int():
    first, second = request_id("rollout-1-0"), request_id("rollout-1-1")
    assert first != second
    assert first == request_id("rollout-1-0")
    for order in (f"rollout-{n}-{m}" for n in range(20) for m in range(20)):
        assert REQUEST_ID_FIRST <= request_id(order) < LOG_REQUEST_ID_FIRST
        assert LOG_REQUEST_ID_FIRST <= request_id(order, LOG_REQUEST_ID_FIRST) < 2**31
    assert REQUEST_ID_FIRST > 2_050_000_000  # seconds since 1970 in the year 2034


# --- diagnostics ------------------------------------------------------------------------------------


async def asks(api: Api, charger: str = "CP-1", status: int = 202, **body: str) -> dict:
    return await api.post("/v1/chargers/{identity}/diagnostics", body, status=status, identity=charger)


async def test_a_log_is_fetched_for_the_site_and_the_cloud_hears_nothing(house: FilesHouse, api: Api):
    charger = await house.boots("CP-1")
    cloud = house.cloud.wires["CP-1"]
    asking = asyncio.create_task(asks(api))
    order = await house.uploads_log(charger, b"what happened", 'lo"g ä.zip')
    asked = await asking
    assert (asked["order"], asked["asked_by"], asked["target"]) == (order, "site", "")
    done = await api.get("/v1/diagnostics/{order}", order=order)
    assert (done["state"], done["status"], done["available"]) == ("kept", "Uploaded", True)
    assert (done["size_bytes"], done["sha256"]) == (13, hashlib.sha256(b"what happened").hexdigest())
    file = await api.http.get(f"/v1/diagnostics/{order}/file")
    assert (file.content, file.headers["content-type"]) == (b"what happened", "application/octet-stream")
    assert file.headers["content-disposition"].startswith("attachment; filename*=UTF-8''lo")
    assert '"' not in file.headers["content-disposition"]
    assert [u["order"] for u in (await api.get("/v1/diagnostics"))["uploads"]] == [order]
    charger.calls("Heartbeat", {})
    assert (await cloud.hears())[2] == "Heartbeat"  # and nothing before it
    assert (await api.http.delete(f"/v1/diagnostics/{order}")).json() == {"order": order}
    assert (await api.http.get(f"/v1/diagnostics/{order}")).status_code == 404


async def test_only_of_chargers_that_are_here_and_a_failure_is_told(house: FilesHouse, api: Api):
    assert (await asks(api, "CP-77", 404))["error"]["code"] == "no_such_charger"
    assert (await asks(api, "CP-9", 409))["error"]["code"] == "not_connected"
    charger = await house.boots("CP-1")
    asking = asyncio.create_task(asks(api))
    await house.takes_log_order(charger)
    assert (await asking)["status"] == "Sent"
    await house.reports(charger, "UploadFailed", log=True)
    (failed,) = (await api.get("/v1/diagnostics"))["uploads"]
    assert (failed["state"], failed["error"]) == ("failed", "UploadFailed")
    assert (await asks(api, kind="everything", status=422))["error"]["code"] == "invalid"
    not_here = await api.http.get(f"/v1/diagnostics/{failed['order']}/file")
    assert (not_here.status_code, not_here.json()["error"]["code"]) == (409, "not_here")
    await house.shelf.discard(failed["order"])  # as the file service does when nothing came
    gone = await api.http.get(f"/v1/diagnostics/{failed['order']}")
    assert (gone.status_code, gone.json()["error"]["text"]) == (410, "CP-1 gave no log: UploadFailed")


async def test_a_charger_that_rebooted_in_the_middle_can_be_asked_again(house: FilesHouse, api: Api):
    charger = await house.boots("CP-1")
    asking = asyncio.create_task(asks(api))
    await house.takes_log_order(charger)
    first = await asking
    await house.reports(charger, "Uploading", log=True)
    charger.cut()  # and forgets it
    charger = await house.boots("CP-1")
    asking = asyncio.create_task(asks(api))
    order = await house.uploads_log(charger, b"what happened")
    assert (await asking)["order"] == order != first["order"]
    known = house.rooms.logs.known
    assert (known[first["order"]].status, known[first["order"]].ended) == ("Replaced", True)
    old = await api.get("/v1/diagnostics/{order}", order=first["order"])
    assert (old["state"], old["error"]) == ("failed", "Replaced: asked for again")
    assert (await api.get("/v1/diagnostics/{order}", order=order))["state"] == "kept"


async def test_a_charger_that_knows_no_logs(house: FilesHouse, api: Api):
    charger = await house.boots("CP-1")
    asking = asyncio.create_task(asks(api, status=409))
    frame = await charger.hears()
    charger.says([4, frame[1], "NotSupported", "", {}])
    assert (await asking)["error"] == {"code": "refused", "text": "CP-1 gives no log now: NotSupported"}
    assert (await api.get("/v1/diagnostics"))["uploads"] == []


async def test_no_place_no_order(house: FilesHouse, api: Api):
    charger = await house.boots("CP-1")
    house.shelf.no_link = "the quota for uploads is used up"
    refused = await asks(api, status=409)
    assert (refused["error"]["code"], "quota" in refused["error"]["text"]) == ("no_place", True)
    assert house.rooms.logs.known == {}
    charger.calls("Heartbeat", {})
    assert (await house.cloud.wires["CP-1"].hears())[2] == "Heartbeat"


async def test_what_the_cloud_still_waits_for_is_not_removed_by_mistake(house: FilesHouse, api: Api):
    uploads = house.shelf.uploads
    slot = await uploads.open_slot(
        "c1", "CP-1", expires_at=9e9, remote_url="ftp://u:secret@cloud/x", remote_shown="ftp://cloud/x"
    )
    reception = await uploads.receive(slot.token)
    await reception.write(b"data")
    await reception.finish(method="FTP", sent_name="a.log")
    await uploads.hand_over("c1")
    (shown,) = (await api.get("/v1/diagnostics"))["uploads"]
    assert (shown["asked_by"], shown["state"], shown["target"]) == ("cloud", "forwarding", "ftp://cloud/x")
    assert "secret" not in json.dumps(shown)
    assert (await api.http.delete("/v1/diagnostics/c1")).json()["error"]["code"] == "not_forwarded"
    assert (await api.http.get("/v1/diagnostics/c1/file")).content == b"data"
    assert (await api.http.delete("/v1/diagnostics/c1", params={"force": True})).status_code == 200


# --- the client -------------------------------------------------------------------------------------


async def test_the_client_moves_files_in_both_directions(house: FilesHouse, tmp_path):
    charger = await house.boots("CP-1")
    source, target = tmp_path / "fw-2.0.bin", tmp_path / "log.zip"
    source.write_bytes(FIRMWARE)
    moved: list[int] = []

    def adds() -> None:
        with ControlClient(house.socket) as client:
            assert client.add_firmware(source, moved=moved.append, **MADE_FOR).sha256 == SHA256
            assert [f.name for f in client.firmware().files] == ["fw-2.0.bin"]
            assert client.ask_diagnostics("CP-1").asked_by == "site"

    asked = asyncio.create_task(asyncio.to_thread(adds))
    order = await house.uploads_log(charger, FIRMWARE)
    await asked
    assert (len(moved) > 1, moved[-1]) == (True, len(FIRMWARE))

    def saves() -> None:
        with ControlClient(house.socket) as client:
            assert client.save_upload(order, target) == len(FIRMWARE)
            with pytest.raises(IsADirectoryError):  # nobody else's fault than the folder's
                client.save_upload(order, tmp_path)
            assert client.remove_upload(order).order == order
            assert client.remove_firmware(SHA256).sha256 == SHA256
            assert client.rollouts().rollouts == ()

    await asyncio.to_thread(saves)
    assert target.read_bytes() == FIRMWARE
    assert not list(tmp_path.glob("*.part"))


async def test_a_file_that_changes_on_the_way_is_taken_back(house: FilesHouse, tmp_path, monkeypatch):
    source = tmp_path / "fw.bin"
    source.write_bytes(FIRMWARE)
    honest = house.shelf.cache.add_local

    async def add_local(path, **about: str):  # a disk that lies
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        path.write_bytes(data)
        return await honest(path, **about)

    monkeypatch.setattr(house.shelf.cache, "add_local", add_local)

    def adds() -> None:
        with ControlClient(house.socket) as client:
            client.add_firmware(source, **MADE_FOR)

    with pytest.raises(DamagedOnTheWay, match="arrived with another hash"):
        await asyncio.to_thread(adds)
    assert house.shelf.files == {}


async def test_never_while_the_cloud_has_one_of_its_own_under_way(house: FilesHouse, api: Api):
    charger = await house.boots("CP-1")
    house.cloud.wires["CP-1"].calls("GetDiagnostics", {"location": "ftp://cloud.test/logs/"})
    await eventually(lambda: house.gateway.sessions["CP-1"].sequencer.idle)
    refused = await asks(api, status=409)
    assert refused["error"]["code"] == "refused"
    assert "the cloud ordered is under way" in refused["error"]["text"]
    assert (await api.get("/v1/diagnostics"))["uploads"] == []  # its place is taken back
    assert charger.open
