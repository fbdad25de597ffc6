"""The gateway as a station of its own that publishes firmware (OCPP 2.x L03, L04), as a real process.

The origin is nginx; what the cloud hears, what lies behind the addresses it is told, and what chargers make
of them is looked at from outside.
"""

from __future__ import annotations

import asyncio
import ftplib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from edgegw.sim import ftp_line
from edgegw.sim import transfers as http_line
from edgegw.sim.cloud import SimCloud
from edgegw.sim.desk import V16, V21, V201, Payload
from tests.e2e.children import DEADLINE_S
from tests.e2e.faults import ask, until
from tests.e2e.file_site import EAGER, Fleet, files_table, order_updates, put, updates_ended
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.e2e.signed_firmware import Firmware, make_firmware
from tests.interop.peers import Peers
from tests.servers.nginx import Nginx

BOX = "gateway 1"
STATUS = "PublishFirmwareStatusNotification"
WAY = ["Downloading", "Downloaded", "ChecksumVerified", "Published"]


@dataclass
class Site:
    cloud: SimCloud
    origin: Nginx
    gateway: GatewayProcess
    doors: tuple[str, str]
    last_connection: int = 0

    async def ask(self, action: str, payload: Payload) -> Any:
        """Of the box itself; the status in its answer."""
        return (await self.cloud.call(BOX, action, payload, timeout_s=DEADLINE_S))["status"]

    async def publish(self, url: str, md5: str, number: int = 1) -> list[str]:
        """All statuses of such an order, with its end."""
        order = {"location": url, "checksum": md5, "requestId": number, "retries": 0}
        assert await self.ask("PublishFirmware", order) == "Accepted"
        return await self.ended(number)

    async def ended(self, number: int) -> list[str]:
        ends = {"Published", "InvalidChecksum", "DownloadFailed", "PublishFailed"}
        await self.cloud.wait_for(lambda: bool(ends & set(self.statuses(number))), DEADLINE_S)
        return self.statuses(number)

    def statuses(self, number: int) -> list[str]:
        return self.cloud.heard.statuses(BOX, (STATUS,), number)

    @property
    def locations(self) -> list[str]:
        """As last told. They are told with Published, and never before."""
        told = [call.payload for call in self.cloud.calls(STATUS, BOX)]
        assert all(("location" in payload) == (payload["status"] == "Published") for payload in told)
        found: list[str] = [payload for payload in told if "location" in payload][-1]["location"]
        return found

    async def unpublish(self, md5: str) -> Any:
        return await self.ask("UnpublishFirmware", {"checksum": md5})

    async def connected(self) -> None:
        """Until the box has booted on another connection than the last time."""

        def booted() -> bool:
            here = self.cloud.connections.get(BOX)
            boots = [call.conn for call in self.cloud.calls("BootNotification", BOX)]
            return here is not None and here.number > self.last_connection and here.number in boots

        await self.cloud.wait_for(booted, DEADLINE_S)
        self.last_connection = self.cloud.connections[BOX].number


@asynccontextmanager
async def site(
    folder: Path, gateways: Gateways, *, version: str = V201, rate: int = 0, **keys: Any
) -> AsyncIterator[Site]:
    """The box at a cloud, with both doors open. rate: bytes/s of the origin. keys: of [files]."""
    async with Nginx(folder / "origin", rate_bytes_per_s=rate) as origin, SimCloud() as cloud:
        with files_table(ftp=True, **keys) as files:
            publishing = {"identity": BOX, "version": version}
            gateway = await gateways(cloud.url, {"files": files, "publishing": publishing})
            doors = (f"http://{files['listen']}/fw/", f"ftp://{files['ftp_listen']}/fw/")
            here = Site(cloud, origin, gateway, doors)
            await here.connected()
            yield here
            await gateway.terminate()


async def content_at(location: str) -> bytes | None:
    """What a charger finds there; None: nothing."""
    if location.startswith("ftp:"):
        return await asyncio.to_thread(_ftp_content, location)
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as http:
        answer = await http.get(location)
        return answer.content if answer.status_code == 200 else None


def _ftp_content(location: str) -> bytes | None:
    url, content = urlsplit(location), io.BytesIO()
    with ftplib.FTP(timeout=DEADLINE_S) as ftp, suppress(ftplib.error_perm):
        ftp.connect(url.hostname or "", url.port or 0)
        ftp.login()
        ftp.retrbinary(f"RETR {url.path}", content.write)
        return content.getvalue()
    return None


async def assert_there(locations: list[str], firmware: Firmware) -> None:
    for location in locations:
        content = await content_at(location)
        assert content is not None, location
        assert sha256(content).hexdigest() == firmware.sha256


async def transfers(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """What the doors of the box have moved."""
    found: list[dict[str, Any]] = (await ask(gateway, "/v1/firmware"))["transfers"]
    return found


# --- the box and the cloud ------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "hard"), [(V201, True), (V21, False)])
async def test_a_file_is_published_stays_so_and_is_withdrawn(
    tmp_path: Path, gateways: Gateways, version: str, hard: bool
):
    async with site(tmp_path, gateways, version=version) as here:
        firmware = put(here.origin, "/wall-box.bin", make_firmware("4.0"))
        assert here.cloud.connections[BOX].subprotocol == version
        assert here.cloud.calls(identity=BOX)[0].action == "BootNotification"

        assert await here.publish(here.origin.url("/wall-box.bin"), firmware.md5.upper()) == WAY
        locations = here.locations
        assert [location.startswith(door) for location, door in zip(locations, here.doors, strict=True)]
        assert all(location.endswith("/wall-box.bin") for location in locations)
        await assert_there(locations, firmware)

        await here.gateway.restart(hard=hard)
        await here.connected()
        await assert_there(locations, firmware)
        assert here.locations == locations
        # after kill -9 the box may not know that the cloud knows
        assert here.statuses(1) in ([WAY, [*WAY, "Published"]] if hard else [WAY])

        assert await here.unpublish("0" * 32) == "NoFirmware"
        assert await here.unpublish(firmware.md5) == "Unpublished"
        assert [await content_at(location) for location in locations] == [None, None]
        assert await here.unpublish(firmware.md5) == "NoFirmware"


async def test_what_is_not_published(tmp_path: Path, gateways: Gateways):
    async with site(tmp_path, gateways) as here:
        firmware, url = put(here.origin, "/fw.bin", make_firmware("4.1")), here.origin.url("/fw.bin")
        wrong = "f" * 32
        not_right = ["Downloading", "Downloaded", "InvalidChecksum"]
        assert await here.publish(url, wrong, 1) == not_right
        assert await here.publish(url, firmware.md5, 2) == WAY
        locations = here.locations
        # a wrong sum for a file that is here already does not take it from anybody
        assert await here.publish(url, wrong, 3) == not_right
        assert await here.publish(here.origin.url("/no.bin"), wrong, 4) == ["Downloading", "DownloadFailed"]
        inward = await here.publish("http://169.254.169.254/fw.bin", wrong, 5)
        assert inward == ["Downloading", "DownloadFailed"]
        for bad in ("file:///etc/passwd", "http://"):
            order = {"location": bad, "checksum": wrong, "requestId": 6}
            assert await here.ask("PublishFirmware", order) == "Rejected"
        assert await here.unpublish(wrong) == "NoFirmware"
        await assert_there(locations, firmware)


async def test_killed_while_it_fetches_it_goes_on(tmp_path: Path, gateways: Gateways):
    async with site(tmp_path, gateways, rate=150_000) as here:
        firmware = put(here.origin, "/fw.bin", make_firmware("4.2", size_bytes=3_000_000))
        order = {"location": here.origin.url("/fw.bin"), "checksum": firmware.md5, "requestId": 8}
        assert await here.ask("PublishFirmware", order) == "Accepted"
        await here.cloud.wait_calls(STATUS, BOX, timeout_s=DEADLINE_S)
        parts = here.gateway.folder / "firmware_cache" / "parts"
        await until(lambda: any(part.stat().st_size > 100_000 for part in parts.glob("*.part")))

        await here.gateway.kill()
        await here.origin.pace(0)
        await here.gateway.start()
        assert await here.ended(8) == ["Downloading", *WAY]
        await assert_there(here.locations, firmware)
        await until(lambda: len(here.origin.requests("GET", "/fw.bin")) == 2)
        [rest] = [one for one in here.origin.requests("GET", "/fw.bin") if one["range"]]
        assert rest["status"] == 206
        assert int(rest["sent_bytes"]) < len(firmware.content)


@pytest.mark.parametrize("version", [V201, V21])
async def test_a_strict_cloud_has_no_complaint(
    tmp_path: Path, gateways: Gateways, peers: Peers, version: str
):
    """ocpp-rpc validates all that the box says and answers as a station."""
    cloud = await peers.cloud()
    await cloud.do("password", identity=BOX, password="pass: wörd")
    (tmp_path / "password").write_text("pass: wörd\n")
    async with Nginx(tmp_path / "origin") as origin:
        firmware = put(origin, "/fw.bin", make_firmware("4.3"))
        publishing = {"identity": BOX, "version": version, "password_file": str(tmp_path / "password")}
        with files_table(ftp=True) as files:
            await gateways(cloud.url, {"files": files, "publishing": publishing})
            await until(lambda: cloud.calls(BOX, "SecurityEventNotification"))
            order = {"location": origin.url("/fw.bin"), "checksum": firmware.md5, "requestId": 1}
            assert await cloud.call(BOX, "PublishFirmware", order) == {"status": "Accepted"}
            await until(lambda: len(cloud.calls(BOX, STATUS)) == len(WAY))
            trigger = {"requestedMessage": STATUS}
            assert await cloud.call(BOX, "TriggerMessage", trigger) == {"status": "Accepted"}
            report = {"requestId": 2, "reportBase": "FullInventory"}
            assert await cloud.call(BOX, "GetBaseReport", report) == {"status": "Accepted"}
            await until(lambda: cloud.calls(BOX, "NotifyReport"))
            reset = await cloud.call(BOX, "Reset", {"type": "Immediate"})
            assert reset["status"] == "Rejected"
            unpublished = await cloud.call(BOX, "UnpublishFirmware", {"checksum": firmware.md5})
            assert unpublished == {"status": "Unpublished"}
            told = [call["params"] for call in cloud.calls(BOX, STATUS)]
    assert [one["status"] for one in told] == [*WAY, "Idle"]
    assert [one.get("requestId") for one in told] == [1, 1, 1, 1, None]
    assert len(told[3]["location"]) == 2


# --- chargers that the cloud sends to the box -----------------------------------------------------


async def test_chargers_load_what_is_published(tmp_path: Path, gateways: Gateways):
    """The box knows its own addresses: it fetches nothing from itself, and they need not be allowed."""
    habits = {V16: EAGER, V201: replace(EAGER, file_protocols=("FTP",))}
    async with site(tmp_path, gateways, inward=["localhost"]) as here:
        firmware = put(here.origin, "/fw.bin", make_firmware("4.4"))
        origin_url = here.origin.url("/fw.bin").replace("127.0.0.1", "localhost")
        assert await here.publish(origin_url, firmware.md5) == WAY
        for number, (location, door) in enumerate(zip(here.locations, here.doors, strict=True)):
            async with Fleet(here.gateway.url, 4, habits=habits, prefix=f"CP{number}") as fleet:
                await fleet.online(here.cloud)
                await order_updates(here.cloud, fleet, location)
                heard = await updates_ended(here.cloud, fleet)
                assert {statuses[-1] for statuses in heard.values()} == {"Installed"}
                assert {facts["sha256"] for facts in fleet.of("installed").values()} == {firmware.sha256}
                for identity, facts in fleet.of("downloaded").items():
                    ftp_only = fleet.chargers[identity].version == V201
                    assert facts["url"].startswith(here.doors[1] if ftp_only else door)
        moved = await transfers(here.gateway)
        assert len(moved) == 8  # chargers', and nobody else's
        await here.origin.settled()
        assert len(here.origin.downloads("/fw.bin")) == 1


async def test_not_withdrawn_while_a_charger_loads_it(
    tmp_path: Path, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
):
    pause_s = 0.0
    for way in (http_line, ftp_line):  # after each block that a charger has read
        monkeypatch.setattr(way, "pause_s", lambda size_bytes, habits: pause_s)
    async with site(tmp_path, gateways) as here:
        firmware = put(here.origin, "/fw.bin", make_firmware("4.6", size_bytes=20_000_000))

        async def running() -> bool:
            return any(one["state"] == "running" for one in await transfers(here.gateway))

        for number, door in enumerate(here.doors):
            assert await here.publish(here.origin.url("/fw.bin"), firmware.md5, number + 1) == WAY
            [location] = [one for one in here.locations if one.startswith(door)]
            async with Fleet(here.gateway.url, 1, versions=(V201,), prefix=f"CP{number}") as fleet:
                await fleet.online(here.cloud)
                pause_s = 0.2  # it would take a minute
                await order_updates(here.cloud, fleet, location)
                await until(running)
                assert await here.unpublish(firmware.md5) == "DownloadOngoing"
                pause_s = 0.0
                await updates_ended(here.cloud, fleet)
                [installed] = fleet.of("installed").values()
                assert installed["sha256"] == firmware.sha256
                assert list(fleet.count("downloaded").values()) == [1]
            assert await here.unpublish(firmware.md5) == "Unpublished"
            assert await content_at(location) is None


async def test_an_address_of_the_box_that_leads_nowhere(tmp_path: Path, gateways: Gateways):
    """The charger finds that out itself, and the box does not run in circles."""
    async with site(tmp_path, gateways) as here:
        firmware = put(here.origin, "/fw.bin", make_firmware("4.5"))
        assert await here.publish(here.origin.url("/fw.bin"), firmware.md5) == WAY
        locations = here.locations
        assert await here.unpublish(firmware.md5) == "Unpublished"
        for number, location in enumerate(locations):
            async with Fleet(here.gateway.url, 2, prefix=f"CP{number}") as fleet:
                await fleet.online(here.cloud)
                await order_updates(here.cloud, fleet, location, retries=0)
                heard = await updates_ended(here.cloud, fleet)
                assert list(heard.values()) == [["Downloading", "DownloadFailed"]] * 2
        assert await transfers(here.gateway) == []
