"""Issue "files": one download from outside for a whole site, and logs that arrive after an outage.

Origins and targets are Debian's nginx, vsftpd and OpenSSH; what moved is what their logs say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgegw.sim.cloud import SimCloud
from edgegw.sim.desk import V16, V201
from tests.e2e.faults import until
from tests.e2e.file_site import (
    EAGER,
    Fleet,
    expected_log,
    files_table,
    order_logs,
    order_updates,
    put,
    told_without_gateway,
    updates_ended,
    uploads_ended,
)
from tests.e2e.gateway import Gateways
from tests.e2e.signed_firmware import Firmware, make_firmware, sign
from tests.servers.nginx import Nginx
from tests.servers.openssh import OpenSsh
from tests.servers.shared import Server
from tests.servers.vsftpd import Vsftpd

CHARGERS = 100
BOTH = (V16, V201)
pytestmark = pytest.mark.timeout(600)  # a hundred chargers in one process; the waits end sooner


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[SimCloud]:
    async with SimCloud(ledger=tmp_path / "cloud.jsonl") as cloud:
        yield cloud


async def usual(origin: Nginx, *, signed: Firmware | None = None) -> dict[str, list[str]]:
    """By version: what the cloud hears of an update without a gateway."""
    put(origin, "/usual.bin", signed or make_firmware())
    return {
        version: await told_without_gateway(version, origin.url("/usual.bin"), signed=signed)
        for version in BOTH
    }


def assert_all_updated(fleet: Fleet, firmware: Firmware, files: dict[str, Any]) -> None:
    """With the right file, from the box."""
    installed, downloaded = fleet.of("installed"), fleet.of("downloaded")
    assert len(installed) == len(fleet.chargers)
    assert {facts["sha256"] for facts in installed.values()} == {firmware.sha256}
    assert [url for url in urls(downloaded) if not url.startswith(f"http://{files['listen']}/fw/")] == []
    assert len(set(urls(downloaded))) == len(fleet.chargers)  # to each its own


def urls(facts: dict[str, dict[str, Any]]) -> list[str]:
    return [one["url"] for one in facts.values()]


async def assert_fetched_once(origin: Nginx, firmware: Firmware) -> None:
    await origin.settled()
    [download] = origin.downloads("/fw.bin")
    assert (download.moved_bytes, download.complete) == (len(firmware.content), True)


# --- firmware -------------------------------------------------------------------------------------


async def test_a_hundred_chargers_cost_one_download(tmp_path: Path, cloud: SimCloud, gateways: Gateways):
    async with Nginx(tmp_path / "origin") as origin:
        as_usual = await usual(origin)
        firmware = put(origin, "/fw.bin", make_firmware("3.1"))
        with files_table() as files:
            gateway = await gateways(cloud.url, {"files": files})
            async with Fleet(gateway.url, CHARGERS) as fleet:
                await fleet.online(cloud)
                await order_updates(cloud, fleet, origin.url("/fw.bin"))
                heard = await updates_ended(cloud, fleet)
                assert_all_updated(fleet, firmware, files)
                for name, statuses in heard.items():
                    assert statuses == as_usual[fleet.chargers[name].version], name
            await assert_fetched_once(origin, firmware)
            await gateway.terminate()


async def test_the_cloud_is_cut_between_command_and_download(
    tmp_path: Path, cloud: SimCloud, gateways: Gateways
):
    async with Nginx(tmp_path / "origin") as origin:
        as_usual = await usual(origin)
        firmware = put(origin, "/fw.bin", make_firmware("3.1"))
        with files_table(fetch_stall="120 s") as files:  # it stands still for as long as the orders take
            gateway = await gateways(cloud.url, {"files": files})
            async with Fleet(gateway.url, CHARGERS) as fleet:
                await fleet.online(cloud)
                origin.freeze()
                await order_updates(cloud, fleet, origin.url("/fw.bin"))
                await cloud.cut()
                origin.thaw()
                await fleet.told("installed")
                assert cloud.heard.everything() == {}
                await cloud.restore()
                heard = await updates_ended(cloud, fleet)
                assert_all_updated(fleet, firmware, files)
                for name, statuses in heard.items():
                    assert statuses == as_usual[fleet.chargers[name].version], name
            await assert_fetched_once(origin, firmware)
            await gateway.terminate()


async def test_the_gateway_is_killed_in_mid_rollout(tmp_path: Path, cloud: SimCloud, gateways: Gateways):
    firmware = make_firmware("3.1", size_bytes=1_000_000)
    slow = {V16: EAGER, V201: replace(EAGER, speed_bytes_per_s=200_000)}  # half are through, half are not
    async with Nginx(tmp_path / "origin") as origin:
        put(origin, "/fw.bin", firmware)
        with files_table(downloads=100) as files:
            gateway = await gateways(cloud.url, {"files": files})
            async with Fleet(gateway.url, CHARGERS, habits=slow) as fleet:
                await fleet.online(cloud)
                await order_updates(cloud, fleet, origin.url("/fw.bin"))
                await fleet.told("downloaded", 1)
                assert len(fleet.of("installed")) < CHARGERS
                await gateway.restart()
                heard = await updates_ended(cloud, fleet)
                assert_all_updated(fleet, firmware, files)
                assert {statuses[-1] for statuses in heard.values()} == {"Installed"}
            await assert_fetched_once(origin, firmware)
            await gateway.terminate()


async def test_the_gateway_is_killed_while_it_fetches(tmp_path: Path, cloud: SimCloud, gateways: Gateways):
    firmware = make_firmware("3.1", size_bytes=8_000_000)
    async with Nginx(tmp_path / "origin", rate_bytes_per_s=400_000) as origin:
        put(origin, "/fw.bin", firmware)
        with files_table() as files:
            gateway = await gateways(cloud.url, {"files": files})
            parts = gateway.folder / "firmware_cache" / "parts"
            async with Fleet(gateway.url, 6) as fleet:
                await fleet.online(cloud)
                await order_updates(cloud, fleet, origin.url("/fw.bin"))
                await until(lambda: any(part.stat().st_size for part in parts.glob("*.part")))
                await gateway.kill()
                await origin.pace(0)
                await gateway.start()
                await updates_ended(cloud, fleet)
                assert_all_updated(fleet, firmware, files)
            await gateway.terminate()


@pytest.mark.parametrize("scheme", ["http", "https", "ftp", "sftp"])
async def test_signed_firmware_from_every_kind_of_origin(
    tmp_path: Path, cloud: SimCloud, gateways: Gateways, scheme: str
):
    signed = sign(make_firmware("3.1"), "ECDSA")
    async with origin_of(scheme, tmp_path / "origin") as (origin, url, trust):
        put(origin, "/fw.bin", signed)
        with files_table(**trust) as files:
            gateway = await gateways(cloud.url, {"files": files})
            async with Fleet(gateway.url, 4, security=True) as fleet:
                await fleet.online(cloud)
                await order_updates(cloud, fleet, url, signed=signed)
                heard = await updates_ended(cloud, fleet)
                assert_all_updated(fleet, signed, files)
                assert all("SignatureVerified" in statuses for statuses in heard.values())
            await until(lambda: origin.downloads("/fw.bin"))
            assert sum(one.moved_bytes for one in origin.downloads("/fw.bin")) == len(signed.content)
            assert "pa55" not in gateway.log
            await gateway.terminate()


@asynccontextmanager
async def origin_of(scheme: str, folder: Path) -> AsyncIterator[tuple[Server, str, dict[str, Any]]]:
    """A server, the address of its firmware, and the keys of [files] by which it is trusted."""
    if scheme == "ftp":
        async with Vsftpd(folder) as ftp:
            yield ftp, ftp.url("/fw.bin"), {}
    elif scheme == "sftp":
        async with OpenSsh(folder) as sftp:
            yield sftp, sftp.url("/fw.bin"), {"known_hosts": sftp.known_hosts}
    else:
        async with Nginx(folder) as web:
            url = web.url("/fw.bin") if scheme == "http" else web.tls_url("/fw.bin")
            yield web, url, {"ca_file": web.authority}


# --- diagnostics ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "ftp", "sftp"])
async def test_a_log_arrives_after_the_outage(
    tmp_path: Path, cloud: SimCloud, gateways: Gateways, scheme: str
):
    async with target_of(scheme, tmp_path / "target") as (target, url, trust):
        with files_table(**trust) as files:
            gateway = await gateways(cloud.url, {"files": files})
            async with Fleet(gateway.url, 4) as fleet:
                await fleet.online(cloud)
                await target.stop()  # the line that is down leads to both
                answers = await order_logs(cloud, fleet, url)
                await cloud.cut()
                uploaded = await fleet.told("uploaded")
                assert [
                    one for one in urls(uploaded) if not one.startswith(f"http://{files['listen']}/up/")
                ] == []
                await target.start()
                await cloud.restore()
                heard = await uploads_ended(cloud, fleet)
                assert {statuses[-1] for statuses in heard.values()} == {"Uploaded"}
                for identity, answer in answers.items():
                    name = answer.get("fileName") or answer["filename"]
                    await until(lambda name=name: target.uploads(f"/logs/{name}"))
                    content = (target.files / "logs" / name).read_bytes()
                    assert content == expected_log(fleet, identity, name)
            assert "pa55" not in gateway.log
            await gateway.terminate()


@asynccontextmanager
async def target_of(scheme: str, folder: Path) -> AsyncIterator[tuple[Server, str, dict[str, Any]]]:
    """A server, the address of a folder that logs go to, and the keys of [files] by which it is trusted."""
    kinds: dict[str, type[Any]] = {"http": Nginx, "ftp": Vsftpd, "sftp": OpenSsh}
    async with kinds[scheme](folder) as target:
        (target.files / "logs").mkdir()
        yield target, target.url("/logs/"), {"known_hosts": target.known_hosts} if scheme == "sftp" else {}


async def test_a_folder_that_cannot_be_used_stops_no_charging(
    tmp_path: Path, cloud: SimCloud, gateways: Gateways
):
    (tmp_path / "firmware_cache" / "manifest.json").mkdir(parents=True)
    async with Nginx(tmp_path / "origin") as origin:
        firmware = put(origin, "/fw.bin", make_firmware("3.1"))
        with files_table() as files:
            gateway = await gateways(cloud.url, {"files": files})
            async with Fleet(gateway.url, 2) as fleet:
                await fleet.online(cloud)
                await order_updates(cloud, fleet, origin.url("/fw.bin"))
                await updates_ended(cloud, fleet)
                assert {one["sha256"] for one in fleet.of("installed").values()} == {firmware.sha256}
                assert {one["url"] for one in fleet.of("downloaded").values()} == {origin.url("/fw.bin")}
            assert "relayed untouched" in (tmp_path / "edgegw.log").read_text()
