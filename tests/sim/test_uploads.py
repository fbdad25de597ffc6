"""Logs of a simulated charger: really uploaded, by PUT, POST and FTP, every step told."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgegw.sim.charger import SimCharger
from edgegw.sim.cloud import SimCloud
from edgegw.sim.cloud_control import obey
from edgegw.sim.desk import CallRefused
from edgegw.sim.habits import Habits
from edgegw.sim.ocpp_cloud import OcppCloud
from edgegw.sim.orders import LOGS, FileStatus, heard_in, log_order
from edgegw.sim.uploads import log_content
from tests.sim.file_servers import FtpServer, Origin

Quick = Callable[..., Habits]
Facts = list[tuple[str, dict[str, Any]]]
SECURE = {"file_protocols": ("HTTP", "FTP"), "security": True}


@asynccontextmanager
async def online(
    cloud: SimCloud, version: str, habits: Habits, facts: Facts | None = None
) -> AsyncIterator[SimCharger]:
    def on_event(identity: str, event: str, told: dict[str, Any]) -> None:
        if facts is not None:
            facts.append((event, told))

    async with SimCharger("CP1", version, cloud.url, habits=habits, on_event=on_event) as charger:
        await charger.wait_online()
        yield charger


async def heard(cloud: SimCloud, last: str, count: int = 1) -> list[str]:
    """The statuses of logs up to the `count`th `last`."""
    await cloud.wait_for(lambda: cloud.heard.statuses("CP1", LOGS).count(last) >= count)
    return cloud.heard.statuses("CP1", LOGS)


# --- whole sequences ------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["own", "ocpp"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_16_uploads_its_diagnostics(
    cloud: SimCloud, origin: Origin, quick: Quick, engine: str, method: str
):
    facts: Facts = []
    habits = quick(file_protocols=("HTTP",), engine=engine, upload_method=method, upload_field="diag")
    async with online(cloud, "1.6", habits, facts):
        answer = await cloud.call("CP1", *log_order("1.6", f"{origin.url}/logs/"))
        assert answer == {"fileName": "CP1-diagnostics-1.log"}
        assert await heard(cloud, "Uploaded") == ["Uploading", "Uploaded"]
    assert cloud.heard.of("CP1")[0] == FileStatus("DiagnosticsStatusNotification", "Uploading", None)
    (upload,) = origin.uploads
    content = log_content("CP1", "CP1-diagnostics-1.log", 20_000)
    assert (upload.method, upload.content) == (method, content)
    path = "/logs/CP1-diagnostics-1.log" if method == "PUT" else "/logs/"
    named = ("", "") if method == "PUT" else ("CP1-diagnostics-1.log", "diag")
    assert (upload.path, (upload.name, upload.field)) == (path, named)
    sha256 = hashlib.sha256(content).hexdigest()
    told = {"sha256": sha256, "bytes": 20_000, "url": f"{origin.url}{path}"}
    assert [told for event, told in facts if event == "uploaded"] == [told]


@pytest.mark.parametrize(
    ("version", "engine"),
    [("1.6", "own"), ("1.6", "ocpp"), ("2.0.1", "own"), ("2.0.1", "ocpp"), ("2.1", "own")],
)
@pytest.mark.parametrize("kind", ["Diagnostics", "Security"])
async def test_get_log_uploads_with_its_request_id(
    cloud: SimCloud, origin: Origin, quick: Quick, version: str, engine: str, kind: str
):
    async with online(cloud, version, quick(engine=engine, **SECURE)):
        answer = await cloud.call("CP1", *log_order(version, f"{origin.url}/up/exact", 9, kind=kind))
        name = f"CP1-{kind.lower()}-1.log"
        assert answer == {"status": "Accepted", "filename": name}
        assert await heard(cloud, "Uploaded") == ["Uploading", "Uploaded"]
    assert set(cloud.heard.of("CP1")) == {
        FileStatus("LogStatusNotification", "Uploading", 9),
        FileStatus("LogStatusNotification", "Uploaded", 9),
    }
    (upload,) = origin.uploads
    assert upload.path == "/up/exact"
    assert upload.content == log_content("CP1", name, 20_000)


@pytest.mark.parametrize("version", ["1.6", "2.1"])
async def test_an_upload_by_ftp(cloud: SimCloud, ftp: FtpServer, quick: Quick, shelf: Path, version: str):
    (shelf / "logs").mkdir()
    habits = quick(file_protocols=("FTP",), upload_method="FTP", upload_bytes=200_000)
    request_id = None if version == "1.6" else 3
    async with online(cloud, version, habits):
        await cloud.call("CP1", *log_order(version, f"{ftp.url}/logs/", request_id))
        await heard(cloud, "Uploaded")
    name = "CP1-diagnostics-1.log"
    assert (shelf / "logs" / name).read_bytes() == log_content("CP1", name, 200_000)
    assert ftp.asked == [f"STOR logs/{name}"]


async def test_the_ocpp_package_on_both_sides_agrees(tmp_path: Path, origin: Origin, quick: Quick):
    async with (
        OcppCloud(ledger=tmp_path / "cloud.jsonl") as cloud,
        online(cloud, "2.0.1", quick(engine="ocpp", **SECURE)),
    ):
        await cloud.call("CP1", *log_order("2.0.1", f"{origin.url}/x", 1))
        await heard(cloud, "Uploaded")
    assert heard_in(tmp_path / "cloud.jsonl").of("CP1") == cloud.heard.of("CP1")


async def test_no_two_logs_have_one_name_and_a_name_may_be_odd(cloud: SimCloud, origin: Origin, quick: Quick):
    habits = quick(file_protocols=("HTTP",), upload_name="../../etc/cron.d/x", upload_appends_name=True)
    async with online(cloud, "1.6", quick(file_protocols=("HTTP",))):
        for count in (1, 2):
            answer = await cloud.call("CP1", *log_order("1.6", f"{origin.url}/"))
            assert answer == {"fileName": f"CP1-diagnostics-{count}.log"}
            await heard(cloud, "Uploaded", count)
    async with online(cloud, "1.6", habits):
        await cloud.call("CP1", *log_order("1.6", f"{origin.url}/up?token=1"))
        await heard(cloud, "Uploaded", 3)
    assert origin.uploads[-1].path == "/up/..%2F..%2Fetc%2Fcron.d%2Fx?token=1"


# --- breaks, failures, replacement ----------------------------------------------------------------


@pytest.mark.parametrize("way", ["PUT", "POST", "FTP"])
async def test_an_upload_that_breaks_begins_anew(
    cloud: SimCloud, origin: Origin, ftp: FtpServer, quick: Quick, shelf: Path, way: str
):
    habits = quick(
        upload_method=way, upload_bytes=300_000, upload_cut_after_bytes=100_000, file_attempts=1, **SECURE
    )
    url = f"{ftp.url}/x" if way == "FTP" else f"{origin.url}/x"
    async with online(cloud, "1.6", habits):
        await cloud.call("CP1", *log_order("1.6", url))
        assert await heard(cloud, "Uploaded") == ["Uploading", "Uploaded"]
    content = log_content("CP1", "CP1-diagnostics-1.log", 300_000)
    if way == "FTP":
        assert ftp.asked == ["STOR x", "STOR x"]
        assert (shelf / "x").read_bytes() == content
    else:
        assert len(origin.asked) == 2
        assert [u.content for u in origin.uploads] == [content]


@pytest.mark.parametrize(
    ("refusals", "word"), [([500, 507], "UploadFailure"), ([403, 403], "PermissionDenied")]
)
@pytest.mark.parametrize("version", ["1.6", "1.6 get log", "2.0.1"])
async def test_what_is_refused_is_tried_again_and_then_failed(
    cloud: SimCloud, origin: Origin, quick: Quick, version: str, refusals: list[int], word: str
):
    origin.refusals = list(refusals)
    plain, version = version == "1.6", version.split()[0]
    async with online(cloud, version, quick(**SECURE)):
        wanted = log_order(version, f"{origin.url}/x", None if plain else 5, retries=1, retry_interval_s=0)
        await cloud.call("CP1", *wanted)
        last = "UploadFailed" if plain else word
        assert await heard(cloud, last) == ["Uploading", last]
    assert len(origin.asked) == 2


async def test_an_address_it_cannot_use(cloud: SimCloud, quick: Quick):
    async with online(cloud, "2.1", quick(file_protocols=("HTTP",), upload_method="FTP")):
        for count, url in enumerate(("http://127.0.0.1:9/", "sftp://127.0.0.1/", "ftp://127.0.0.1/"), 1):
            await cloud.call("CP1", *log_order("2.1", url, count))
            await heard(cloud, "NotSupportedOperation", count)


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_a_new_get_log_cancels_the_old_one(cloud: SimCloud, origin: Origin, quick: Quick, version: str):
    origin.gate.clear()
    async with online(cloud, version, quick(**SECURE)):
        await cloud.call("CP1", *log_order(version, f"{origin.url}/old", 1))
        await heard(cloud, "Uploading")
        answer = await cloud.call("CP1", *log_order(version, f"{origin.url}/new", 2))
        assert answer == {"status": "AcceptedCanceled", "filename": "CP1-diagnostics-2.log"}
        origin.gate.set()
        await heard(cloud, "Uploaded")
    told = [(s.status, s.request_id) for s in cloud.heard.of("CP1")]
    canceled = [] if version == "1.6" else [("AcceptedCanceled", 1)]
    assert told == [("Uploading", 1), *canceled, ("Uploading", 2), ("Uploaded", 2)]


async def test_a_charger_without_logs_says_so(cloud: SimCloud, quick: Quick):
    habits = quick(upload_bytes=0, **SECURE)
    async with online(cloud, "1.6", habits):
        assert await cloud.call("CP1", *log_order("1.6", "http://127.0.0.1:9/")) == {}
    async with online(cloud, "2.1", habits):
        answer = await cloud.call("CP1", *log_order("2.1", "http://127.0.0.1:9/", 1))
        assert answer == {"status": "Rejected"}


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_charger_without_files_knows_no_logs(cloud: SimCloud, quick: Quick, version: str):
    async with online(cloud, version, quick(security=True)):
        for request_id in (None, 1):
            with pytest.raises(CallRefused) as refused:
                await cloud.call("CP1", *log_order(version, "http://127.0.0.1:9/", request_id))
            assert refused.value.code == "NotImplemented"
        trigger = {"requestedMessage": "FirmwareStatusNotification"}
        assert await cloud.call("CP1", "TriggerMessage", trigger) == {"status": "NotImplemented"}


@pytest.mark.parametrize("version", ["1.6", "1.6 get log", "2.0.1", "2.1"])
async def test_a_trigger_tells_what_is_being_uploaded(
    cloud: SimCloud, origin: Origin, quick: Quick, version: str
):
    plain, version = version == "1.6", version.split()[0]
    extended = version == "1.6" and not plain
    message = "DiagnosticsStatusNotification" if plain else "LogStatusNotification"
    trigger = "ExtendedTriggerMessage" if extended else "TriggerMessage", {"requestedMessage": message}
    origin.gate.clear()
    async with online(cloud, version, quick(**SECURE)):
        await cloud.call("CP1", *trigger)
        assert await heard(cloud, "Idle") == ["Idle"]
        await cloud.call("CP1", *log_order(version, f"{origin.url}/x", None if plain else 4))
        await heard(cloud, "Uploading")
        await cloud.call("CP1", *trigger)
        await heard(cloud, "Uploading", 2)
        origin.gate.set()
        await heard(cloud, "Uploaded")
        await cloud.call("CP1", *trigger)
        await heard(cloud, "Idle", 2)
    assert {s.action for s in cloud.heard.of("CP1")} == {message}
    ids = [s.request_id for s in cloud.heard.of("CP1")]
    assert ids == ([None] * 5 if plain else [None, 4, 4, 4, None])


# --- as processes ---------------------------------------------------------------------------------


async def test_the_clouds_commands_order_and_tell(cloud: SimCloud, origin: Origin, quick: Quick, shelf: Path):
    (shelf / "fw").write_bytes(b"firmware 9\n")
    async with online(cloud, "2.1", quick(**SECURE)):
        done = await obey(cloud, f"update CP1 {origin.url}/fw 11")
        assert done == {"ok": True, "answer": {"status": "Accepted"}}
        await cloud.wait_for(lambda: "Installed" in cloud.heard.statuses("CP1"))
        await cloud.wait_for(lambda: "CP1" in cloud.connections)
        done = await obey(cloud, f"log CP1 {origin.url}/up 12")
        assert done["answer"]["status"] == "Accepted"
        await heard(cloud, "Uploaded")
        told = json.loads(json.dumps(await obey(cloud, "statuses CP1")))["statuses"]["CP1"]
        assert told[0] == ["FirmwareStatusNotification", "Downloading", 11]
        assert told[-1] == ["LogStatusNotification", "Uploaded", 12]
        assert (await obey(cloud, "statuses"))["statuses"].keys() == {"CP1"}
        assert not (await obey(cloud, "log NOBODY http://127.0.0.1/"))["ok"]


async def test_a_process_of_chargers_takes_habits_as_json(cloud: SimCloud, origin: Origin, shelf: Path):
    (shelf / "fw").write_bytes(b"firmware 9\n")
    habits = {"file_protocols": ["HTTP"], "backoff_min_s": 0.01}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edgegw.sim.chargers", "--url", cloud.url, "--count", "1"),
        *("--versions", "2.0.1", "--no-cars", "--habits", json.dumps(habits)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        await cloud.wait_for(lambda: "CP01" in cloud.desk.booted, 30)
        await obey(cloud, f"update CP01 {origin.url}/fw 1")
        await cloud.wait_for(lambda: "Installed" in cloud.heard.statuses("CP01"), 30)
        process.stdin.write(b"quit\n")
        events = [json.loads(line) for line in (await process.stdout.read()).splitlines()]
    finally:
        process.stdin.close()
        await process.wait()
    moved = next(e for e in events if e.get("event") == "downloaded")
    assert moved["sha256"] == hashlib.sha256(b"firmware 9\n").hexdigest()
    assert any(e.get("event") == "installed" and e["version"] == "9" for e in events)
