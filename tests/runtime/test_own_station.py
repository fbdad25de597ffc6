"""The box's own identity for real: a leg on loopback, documents in the real store, a cloud that is cut."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import time
from pathlib import Path

import pytest

from edgegw.core.own_variables import OwnFacts
from edgegw.core.publishing import Stage
from edgegw.core.state import Registration
from edgegw.errors import StoreFault
from edgegw.links.cloud_client import CloudClient, CloudSettings
from edgegw.links.websocket import LegSettings
from edgegw.runtime import own_station
from edgegw.runtime.backoff import BackoffSettings
from edgegw.runtime.own_station import StationRunner, StationSettings
from edgegw.runtime.publisher import PublishFault
from edgegw.runtime.ride_along import RideAlong
from edgegw.sim.cloud import SimCloud
from edgegw.sim.cloud_faults import HandshakeRefusal
from edgegw.sim.desk import CallRefused
from edgegw.sim.desk import Registration as Verdict
from edgegw.store.journal import Journal
from edgegw.wire.schemas import Schemas
from edgegw.wire.versions import Version
from tests.links.house import DEADLINE_S, eventually

IDENTITY = "gateway @1"  # a space and an @: they must be escaped in the path
MD5 = "0123456789abcdef0123456789abcdef"
ORDER = {"location": "http://files.example/wall-2.bin", "checksum": MD5, "requestId": 7, "retryInterval": 1}
HTTP, FTP = "http://10.0.0.5/fw/a/wall-2.bin", "ftp://10.0.0.5/fw/a/wall-2.bin"
STATUS = "PublishFirmwareStatusNotification"
WAY = ["Downloading", "Downloaded", "ChecksumVerified", "Published"]
SCHEMAS = Schemas()


class HandWork:
    """A publisher whose work is done when the test says so."""

    def __init__(self) -> None:
        self.may_finish = asyncio.Event()
        self.may_finish.set()
        self.begun: list[tuple[str, str]] = []
        self.cancelled = 0
        self.faults: list[Exception] = []
        self.offered: set[str] = set()
        self.downloading: set[str] = set()
        self.broken = False

    async def publish(self, url, md5, on_stage):
        self.begun.append((url, md5))
        on_stage(Stage.DOWNLOADING)
        try:
            await self.may_finish.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.faults:
            raise self.faults.pop(0)
        on_stage(Stage.DOWNLOADED)
        on_stage(Stage.VERIFIED)
        self.offered.add(md5)
        return HTTP, FTP

    def ongoing(self, md5):
        return md5 in self.downloading

    async def unpublish(self, md5):
        if self.broken:
            raise RuntimeError("planted")
        was_offered = md5 in self.offered
        self.offered.discard(md5)
        return was_offered


class Box:
    """One gateway process as far as its own identity goes: store, dialler, runner."""

    def __init__(self, folder: Path, cloud: SimCloud, version: Version, password: bytes | None) -> None:
        self.folder = folder
        self.cloud = cloud
        self.settings = StationSettings(
            cloud_url=cloud.url,
            version=version,
            password=password,
            backoff=BackoffSettings(wait_minimum_s=0.01, random_range_s=0.01, repeat_times=1),
        )
        self.publisher = HandWork()
        self.broken_commits = 0

    async def start(self) -> None:
        self.journal = await Journal.open(self.folder, retention_s=86_400.0, reserve_bytes=0, wall=time.time)
        leg = LegSettings(ping_interval_s=0.0, close_timeout_s=0.5)
        self.client = CloudClient(CloudSettings(leg=leg, connect_timeout_s=DEADLINE_S))
        self.riders = RideAlong(lambda ops: self._store(ops, lambda error: None))
        documents = (await self.journal.recover()).documents
        facts = OwnFacts(identity=IDENTITY, firmware="1.2.3")
        self.runner = StationRunner(
            self.settings, facts, documents, self.client, self.publisher, self._commit
        )
        self.runner.start()

    async def stop(self) -> None:
        await self.runner.stop()
        self.riders.flush()
        self.client.close()
        await self.journal.close()

    async def restarts(self) -> None:
        await self.stop()
        await self.start()

    def _commit(self, ops, done) -> None:
        """As the gateway does it."""
        if self.broken_commits:
            self.broken_commits -= 1
            asyncio.get_running_loop().call_soon(done, StoreFault("planted"))
            return
        if self.riders.take(ops):
            return
        self.riders.flush()
        self._store(ops, done)

    def _store(self, ops, done) -> None:
        self.journal.commit(ops).add_done_callback(lambda future: done(future.exception()))

    # --- what the cloud sees and does -------------------------------------------------------------

    async def is_up(self) -> None:
        await self.cloud.wait_calls("SecurityEventNotification", IDENTITY)

    async def call(self, action: str, payload: dict) -> dict:
        answer = await self.cloud.call(IDENTITY, action, payload)
        assert SCHEMAS.complaints(self.settings.version, "response", action, answer) == ()
        return answer

    async def is_published(self) -> None:
        """Accepted, published, and the station knows that the cloud has heard so."""
        assert await self.call("PublishFirmware", ORDER) == {"status": "Accepted"}
        files = self.runner.station.publishing.files
        await eventually(lambda: files[MD5].told is Stage.PUBLISHED)

    async def statuses(self, count: int) -> list[str]:
        calls = await self.cloud.wait_calls(STATUS, IDENTITY, count=count, timeout_s=DEADLINE_S)
        return [call.payload["status"] for call in calls]


@pytest.fixture(params=[Version.V201, Version.V21], ids=str)
def version(request) -> Version:
    return request.param


@pytest.fixture
async def cloud():
    async with SimCloud() as it:
        yield it
        for call in it.received:
            sent_with = next(c for c in it.history if c.number == call.conn).subprotocol
            complaints = SCHEMAS.complaints(Version(sent_with), "request", call.action, call.payload)
            assert complaints == (), (call, complaints)
        assert it.junk == []


@contextlib.asynccontextmanager
async def box_at(cloud: SimCloud, folder: Path, version: Version, password: bytes | None = None):
    box = Box(folder, cloud, version, password)
    await box.start()
    try:
        yield box
    finally:
        await box.stop()


@pytest.fixture
async def box(cloud, tmp_path, version):
    async with box_at(cloud, tmp_path, version) as it:
        yield it


# --- the connection -------------------------------------------------------------------------------


async def test_it_has_a_connection_of_its_own_with_its_own_credentials(cloud, tmp_path, version):
    async with box_at(cloud, tmp_path, version, password=b"correct:horse battery") as box:
        await box.is_up()
        (connection,) = cloud.history
        assert connection.identity == IDENTITY
        assert connection.raw_segment == "gateway%20%401"
        assert (connection.offered, connection.subprotocol) == ((version.value,), version.value)
        header = "Basic " + base64.b64encode(b"gateway @1:correct:horse battery").decode()
        assert connection.authorization == header
        assert [call.action for call in cloud.received] == ["BootNotification", "SecurityEventNotification"]
        assert box.runner.connected
        assert box.runner.station.registration is Registration.ACCEPTED
    assert not box.runner.connected
    await cloud.wait_for(lambda: not cloud.connections)  # closed in an orderly way, at once
    assert connection.ws.close_code == 1001


async def test_without_a_password_there_is_no_header(box, cloud):
    await box.is_up()
    assert cloud.history[0].authorization is None


async def test_a_cloud_that_is_cut_is_dialled_until_it_is_back(box, cloud):
    await box.is_up()
    await cloud.cut()
    await eventually(lambda: "TCP" in box.runner.error)
    await cloud.restore()
    await cloud.wait_calls("Heartbeat", IDENTITY)
    assert len(cloud.calls("BootNotification")) == 1  # a reconnect is no boot


async def test_a_refused_handshake_is_no_reason_to_give_up(cloud, tmp_path, version):
    cloud.faults.handshake = HandshakeRefusal(401)
    async with box_at(cloud, tmp_path, version) as box:
        await cloud.wait_for(lambda: cloud.refused_handshakes >= 3)
        await eventually(lambda: "401" in box.runner.error)
        cloud.faults.handshake = None
        await box.is_up()


async def test_stopping_while_it_dials_and_before_it_is_accepted(cloud, tmp_path, version):
    cloud.desk.registration = Verdict("Pending", 1000)
    async with box_at(cloud, tmp_path, version):
        await cloud.wait_calls("BootNotification")
    await cloud.cut()
    async with box_at(cloud, tmp_path, version) as box:
        await eventually(lambda: box.runner.error)


async def test_a_short_interval_is_kept_by_the_timer(cloud, tmp_path, version):
    cloud.desk.registration = Verdict("Rejected", 1)
    async with box_at(cloud, tmp_path, version) as box:
        await cloud.wait_calls("BootNotification", count=2, timeout_s=DEADLINE_S)
        cloud.desk.registration = Verdict("Accepted", 1)
        await box.is_up()
        await cloud.wait_calls("Heartbeat", timeout_s=DEADLINE_S)


async def test_bad_frames_of_the_cloud_cost_nothing_but_themselves(box, cloud):
    await box.is_up()
    await cloud.send_text(IDENTITY, "no json")
    await cloud.send_text(IDENTITY, '[2,"x","Reset"]')
    await cloud.send_text(IDENTITY, '[3,"nobody",{}]')
    assert await box.call("GetLocalListVersion", {}) == {"versionNumber": 0}
    assert len(cloud.history) == 1


# --- files ----------------------------------------------------------------------------------------


async def test_l03_l04_a_file_is_published_and_taken_back(box):
    await box.is_up()
    assert await box.call("PublishFirmware", ORDER) == {"status": "Accepted"}
    assert await box.statuses(4) == WAY
    published = box.cloud.calls(STATUS)[-1]
    assert published.payload == {"status": "Published", "requestId": 7, "location": [HTTP, FTP]}
    box.publisher.downloading.add(MD5)
    unpublish = {"checksum": MD5.upper()}
    assert await box.call("UnpublishFirmware", unpublish) == {"status": "DownloadOngoing"}
    box.publisher.downloading.clear()
    assert await box.call("UnpublishFirmware", unpublish) == {"status": "Unpublished"}
    assert await box.call("UnpublishFirmware", unpublish) == {"status": "NoFirmware"}


async def test_a_published_file_is_still_known_after_a_restart(box):
    await box.is_up()
    await box.is_published()
    await box.restarts()
    await box.cloud.wait_calls("SecurityEventNotification", count=2)
    assert list(box.runner.station.publishing.files) == [MD5]
    assert await box.call("TriggerMessage", {"requestedMessage": STATUS}) == {"status": "Accepted"}
    assert (await box.statuses(5))[4:] == ["Idle"]
    assert await box.call("UnpublishFirmware", {"checksum": MD5}) == {"status": "Unpublished"}
    await box.restarts()
    assert not box.runner.station.publishing.files


async def test_an_unfinished_file_goes_on_after_a_restart(box):
    await box.is_up()
    box.publisher.may_finish.clear()
    await box.call("PublishFirmware", ORDER)
    assert await box.statuses(1) == ["Downloading"]
    await box.restarts()
    assert box.publisher.cancelled == 1
    box.publisher.may_finish.set()
    assert await box.statuses(5) == ["Downloading", *WAY]
    assert len(box.publisher.begun) == 2


async def test_an_end_during_an_outage_is_told_when_the_cloud_is_back(box, cloud):
    await box.is_up()
    box.publisher.may_finish.clear()
    await box.call("PublishFirmware", ORDER)
    await box.statuses(1)
    await cloud.cut()
    box.publisher.may_finish.set()
    await eventually(lambda: box.publisher.offered)
    await cloud.restore()
    heard = await box.statuses(4)
    assert [word for index, word in enumerate(heard) if word not in heard[:index]] == WAY


@pytest.mark.parametrize(
    ("kind", "end"), [("checksum", "InvalidChecksum"), ("publish", "PublishFailed"), (None, "PublishFailed")]
)
async def test_what_goes_wrong_becomes_a_status(box, kind, end):
    await box.is_up()
    fault = PublishFault(kind, "no") if kind else ZeroDivisionError("planted")
    box.publisher.faults = [fault]
    await box.call("PublishFirmware", ORDER)
    await box.cloud.wait_for(lambda: end in [c.payload["status"] for c in box.cloud.calls(STATUS)])


async def test_a_failed_download_is_tried_again(box):
    await box.is_up()
    box.publisher.faults = [PublishFault("download", "no")]
    await box.call("PublishFirmware", ORDER)
    assert await box.statuses(6) == ["Downloading", "DownloadPaused", *WAY]


async def test_another_address_stops_the_first_download(box):
    await box.is_up()
    box.publisher.may_finish.clear()
    await box.call("PublishFirmware", ORDER)
    await box.statuses(1)
    other = ORDER | {"location": "http://mirror.example/wall-2.bin", "requestId": 8}
    await box.call("PublishFirmware", other)
    await eventually(lambda: box.publisher.cancelled == 1)
    box.publisher.may_finish.set()
    assert (await box.statuses(5))[1:] == WAY


async def test_an_unpublishing_that_breaks_is_an_error_and_not_silence(box):
    await box.is_up()
    box.publisher.broken = True
    with pytest.raises(CallRefused, match="InternalError"):
        await box.call("UnpublishFirmware", {"checksum": MD5})


# --- trouble inside -------------------------------------------------------------------------------


async def test_what_could_not_be_stored_is_not_accepted_and_it_starts_over(box, monkeypatch):
    monkeypatch.setattr(own_station, "START_OVER_S", 0.01)
    await box.is_up()
    await box.is_published()
    box.broken_commits = 1
    with pytest.raises(CallRefused, match="NotConnected"):
        await box.call("PublishFirmware", ORDER | {"checksum": "f" * 32})
    await box.cloud.wait_calls("SecurityEventNotification", count=2)
    assert list(box.runner.station.publishing.files) == [MD5]  # what is on disk, and no more
    assert len(box.publisher.begun) == 1
    assert await box.call("PublishFirmware", ORDER | {"checksum": "f" * 32}) == {"status": "Accepted"}
    assert (await box.statuses(8))[4:] == WAY


async def test_a_bug_in_the_decisions_makes_it_start_over(box, monkeypatch, caplog):
    monkeypatch.setattr(own_station, "START_OVER_S", 0.01)
    await box.is_up()

    def planted(*_):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(box.runner.station, "_called", planted)
    with caplog.at_level(logging.CRITICAL), pytest.raises(CallRefused, match="NotConnected"):
        await box.call("ClearCache", {})
    await box.cloud.wait_calls("SecurityEventNotification", count=2)
    assert (await box.call("ClearCache", {}))["status"] == "Rejected"


async def test_stopping_in_the_middle_leaves_nothing_running(box):
    await box.is_up()
    box.publisher.may_finish.clear()
    await box.call("PublishFirmware", ORDER)
    await box.statuses(1)
    await box.stop()
    assert box.publisher.cancelled == 1
    assert {task for task in asyncio.all_tasks() if "publish" in task.get_name()} == set()
    await box.start()
