"""What the tests of files build on holds without a gateway: servers, chargers, orders, statuses, logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegw.config import loads
from edgegw.sim.cloud import SimCloud
from edgegw.sim.desk import V16, V21, V201
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
from tests.e2e.gateway import FAST, toml
from tests.e2e.signed_firmware import SCHEMES, Scheme, make_firmware, sign, tampered
from tests.servers.nginx import Nginx
from tests.servers.openssh import OpenSsh
from tests.servers.shared import Server
from tests.servers.vsftpd import Vsftpd

PLAIN_16 = ["Downloading", "Downloaded", "Installing", "Installed"]
PLAIN_2X = ["Downloading", "Downloaded", "Installing", "InstallRebooting", "Installed"]
SIGNED = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"]


def test_the_table_is_one_that_the_gateway_takes(tmp_path: Path):
    (tmp_path / "ca.pem").write_text("x")
    with files_table(ftp=True, fresh_s="0 s", ca_file=tmp_path / "ca.pem") as files, files_table() as others:
        cloud = {**FAST["cloud"], "url": "ws://127.0.0.1:9/csms"}
        site = loads(toml({**FAST, "cloud": cloud, "files": files}), tmp_path / "site.toml")
        assert site.files is not None
        assert site.files.fresh_s == 0
        assert site.files.ftp_listen is not None
        assert files["listen"] != others["listen"]


async def test_a_fleet_of_both_versions_updates_from_nginx(tmp_path: Path):
    async with Nginx(tmp_path / "origin") as origin, SimCloud(ledger=tmp_path / "cloud.jsonl") as cloud:
        firmware = put(origin, "/fw.bin", make_firmware())
        async with Fleet(cloud.url, 6, folder=tmp_path) as fleet:
            await fleet.online(cloud)
            await order_updates(cloud, fleet, origin.url("/fw.bin"))
            heard = await updates_ended(cloud, fleet)
            assert {facts["sha256"] for facts in fleet.of("installed").values()} == {firmware.sha256}
            assert {facts["version"] for facts in fleet.of("installed").values()} == {firmware.version}
            assert set(fleet.count("downloaded").values()) == {1}
        for name, statuses in heard.items():
            assert statuses == (PLAIN_16 if fleet.chargers[name].version == V16 else PLAIN_2X)
        await origin.settled()
        assert len(origin.downloads("/fw.bin")) == 6


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_signed_file_is_taken_and_a_tampered_one_is_not(tmp_path: Path, scheme: Scheme):
    async with Nginx(tmp_path / "origin") as origin:
        signed = put(origin, "/fw.bin", sign(make_firmware(), scheme))
        put(origin, "/bad.bin", tampered(signed))
        for version in (V16, V201, V21):
            assert await told_without_gateway(version, origin.url("/fw.bin"), signed=signed) == SIGNED
        refused = await told_without_gateway(V201, origin.url("/bad.bin"), signed=signed)
        assert refused == ["Downloading", "Downloaded", "InvalidSignature"]


@pytest.mark.parametrize("kind", [Nginx, Vsftpd])
async def test_logs_arrive_at_a_real_target(tmp_path: Path, kind: type[Server]):
    async with kind(tmp_path / "target") as target, SimCloud() as cloud:
        (target.files / "logs").mkdir()
        async with Fleet(cloud.url, 2) as fleet:
            await fleet.online(cloud)
            answers = await order_logs(cloud, fleet, target.url("/logs/"))  # type: ignore[attr-defined]
            heard = await uploads_ended(cloud, fleet)
            assert list(heard.values()) == [["Uploading", "Uploaded"]] * 2
            for identity, answer in answers.items():
                name = answer.get("fileName") or answer["filename"]
                uploaded = target.files / "logs" / name
                assert uploaded.read_bytes() == expected_log(fleet, identity, name)
                await until(lambda path=f"/logs/{name}": target.uploads(path))


async def test_a_charger_speaks_no_sftp(tmp_path: Path):
    """So that whoever sees it download from such an address has seen the gateway do it."""
    async with OpenSsh(tmp_path / "origin") as origin:
        put(origin, "/fw.bin", make_firmware())
        told = await told_without_gateway(V201, origin.url("/fw.bin"), habits=EAGER)
        assert told[-1] == "DownloadFailed"
        assert origin.entries() == []
