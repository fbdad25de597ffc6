"""The doors of the box as chargers of all kinds use them, with real origins and real targets.

These are Debian's nginx, vsftpd and OpenSSH; what moved is what is on their disks and in their logs.
"""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from edgegw.sim.desk import V16, V201
from tests.e2e.faults import until
from tests.e2e.file_doors import UPDATE_CALLS, name_of, site, urls
from tests.e2e.file_site import (
    EAGER,
    expected_log,
    order_logs,
    order_updates,
    put,
    updates_ended,
    uploads_ended,
)
from tests.e2e.gateway import Gateways
from tests.e2e.signed_firmware import make_firmware
from tests.servers.certificates import make_authority
from tests.servers.nginx import Nginx
from tests.servers.openssh import OpenSsh
from tests.servers.vsftpd import Vsftpd


def log_folder(origin: Nginx, path: str = "logs") -> Path:
    (origin.files / path).mkdir(parents=True, exist_ok=True)
    return origin.files / path


# --- chargers of all kinds ------------------------------------------------------------------------


async def test_chargers_that_know_only_ftp(tmp_path: Path, gateways: Gateways):
    """Both the origin and the target speak HTTP."""
    async with site(tmp_path, gateways, ftp=True) as here:
        firmware = put(here.origin, "/fw.bin", make_firmware("6.0"))
        logs = log_folder(here.origin)
        async with here.fleet(replace(EAGER, file_protocols=("FTP",))) as fleet:
            await order_updates(here.cloud, fleet, here.origin.url("/fw.bin"))
            await updates_ended(here.cloud, fleet)
            assert {facts["sha256"] for facts in fleet.of("installed").values()} == {firmware.sha256}
            assert all(url.startswith(f"{here.ftp}/fw/") for url in urls(fleet.of("downloaded")))

            answers = await order_logs(here.cloud, fleet, here.origin.url("/logs/"))
            heard = await uploads_ended(here.cloud, fleet)
            assert list(heard.values()) == [["Uploading", "Uploaded"]] * 2
            assert all(url.startswith(f"{here.ftp}/up/") for url in urls(fleet.of("uploaded")))
            for identity, answer in answers.items():
                name = name_of(answer)
                assert (logs / name).read_bytes() == expected_log(fleet, identity, name)
        assert [one["protocol"] for one in await here.transfers()] == ["ftp"] * 4


async def test_a_door_with_a_certificate(tmp_path: Path, gateways: Gateways):
    """Who does not trust it, or knows no HTTPS, gets what the cloud gave."""
    make_authority(tmp_path)
    door = {"tls_certificate": tmp_path / "server.pem", "tls_key": tmp_path / "server.key"}
    trusts = replace(EAGER, file_ca=str(tmp_path / "authority.pem"))
    async with site(tmp_path, gateways, **door) as here:
        firmware, original = put(here.origin, "/fw.bin", make_firmware("6.1")), here.origin.url("/fw.bin")
        for habits, prefix, expected in [
            (trusts, "TRUSTS", f"{here.web}/fw/"),
            (EAGER, "DOUBTS", original),
            (replace(EAGER, file_protocols=("HTTP",)), "PLAIN", original),
        ]:
            async with here.fleet(habits, prefix=prefix) as fleet:
                await order_updates(here.cloud, fleet, original, retries=0)
                await here.installed(fleet)
                downloaded = fleet.of("downloaded")
                assert {one["sha256"] for one in downloaded.values()} == {firmware.sha256}
                assert [url for url in urls(downloaded) if not url.startswith(expected)] == []
        logs = log_folder(here.origin)
        async with here.fleet(trusts, prefix="TRUSTS") as fleet:
            answers = await order_logs(here.cloud, fleet, here.origin.url("/logs/"))
            await uploads_ended(here.cloud, fleet)
            assert all(url.startswith(f"{here.web}/up/") for url in urls(fleet.of("uploaded")))
            assert sorted(path.name for path in logs.iterdir()) == sorted(map(name_of, answers.values()))
        assert [one["protocol"] for one in await here.transfers()] == ["https"] * 4


async def test_a_cut_download_goes_on(tmp_path: Path, gateways: Gateways):
    cut = replace(EAGER, download_cut_after_bytes=100_000)
    habits = {V16: cut, V201: replace(cut, file_protocols=("FTP",))}
    async with site(tmp_path, gateways, ftp=True) as here:
        firmware = put(here.origin, "/fw.bin", make_firmware("6.2", size_bytes=8_000_000))
        async with here.fleet(habits) as fleet:
            await order_updates(here.cloud, fleet, here.origin.url("/fw.bin"))
            heard = await updates_ended(here.cloud, fleet)
            assert {statuses[-1] for statuses in heard.values()} == {"Installed"}
            for facts in fleet.of("downloaded").values():
                assert (facts["sha256"], facts["resumed"]) == (firmware.sha256, True)
            assert {url.partition(":")[0] for url in urls(fleet.of("downloaded"))} == {"http", "ftp"}
        rest_bytes = len(firmware.content) - 100_000

        async def done() -> list[int]:
            return [one["moved_bytes"] for one in await here.transfers() if one["state"] == "done"]

        async def both_are() -> bool:
            return len(await done()) == 2

        await until(both_are)
        assert await done() == [rest_bytes] * 2


async def test_who_cannot_load_from_the_box_gets_the_original_once(tmp_path: Path, gateways: Gateways):
    async with site(tmp_path, gateways) as here:
        put(here.origin, "/fw.bin", make_firmware("6.3"))
        original = here.origin.url("/fw.bin")
        unable = replace(EAGER, download_fails_from=here.web, download_fails_after_bytes=50_000)
        async with here.fleet(unable) as fleet:
            await order_updates(here.cloud, fleet, original, retries=0)
            heard = await here.installed(fleet)
            for statuses in heard.values():
                assert statuses[:4] == ["Downloading", "DownloadFailed", "Downloading", "Downloaded"]
            assert set(urls(fleet.of("downloaded"))) == {original}
            assert len(here.told(fleet, UPDATE_CALLS)) == 2 * len(fleet.chargers)
            # next time it gets that at once, for it is known not to manage the other
            await order_updates(here.cloud, fleet, original, retries=0)
            again = await here.installed(fleet, times=2)
            for name, statuses in again.items():
                assert statuses[len(heard[name]) :][:2] == ["Downloading", "Downloaded"]
            assert len(here.told(fleet, UPDATE_CALLS)) == 3 * len(fleet.chargers)


async def test_who_cannot_load_from_anywhere_is_not_told_for_ever(tmp_path: Path, gateways: Gateways):
    async with site(tmp_path, gateways) as here:
        put(here.origin, "/fw.bin", make_firmware("6.4"))
        async with here.fleet(replace(EAGER, download_fails_from="http:")) as fleet:
            await order_updates(here.cloud, fleet, here.origin.url("/fw.bin"), retries=0)
            twice = [["Downloading", "DownloadFailed"] * 2] * len(fleet.chargers)
            await until(lambda: here.heard(fleet) == twice)
            await here.quiet(fleet)
            assert here.heard(fleet) == twice
            assert len(here.told(fleet, UPDATE_CALLS)) == 2 * len(fleet.chargers)


# --- uploads to real targets ----------------------------------------------------------------------


def form_of(body: bytes) -> tuple[str, str, bytes]:
    """Field, file name and content of a form with one file in it."""
    boundary = body.partition(b"\r\n")[0].removeprefix(b"--").decode()
    head = f'Content-Type: multipart/form-data; boundary="{boundary}"\r\n\r\n'.encode()
    form = message_from_bytes(head + body)
    [part] = form.get_payload()  # type: ignore[misc]  # a list, for it is multipart
    assert isinstance(part, Message)
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return str(part.get_param("name", header="content-disposition")), str(part.get_filename()), content


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_logs_arrive_byte_for_byte_at_every_kind_of_target(
    tmp_path: Path, gateways: Gateways, method: str
):
    habits = replace(EAGER, upload_bytes=300_000, upload_method=method, upload_field="log_file")
    async with (
        Vsftpd(tmp_path / "ftp") as ftp,
        OpenSsh(tmp_path / "ssh") as ssh,
        site(tmp_path, gateways, known_hosts=ssh.known_hosts) as here,
        here.fleet(habits) as fleet,
    ):
        for server in (ftp, ssh):
            (server.files / "logs").mkdir()
            sent = await here.sent(fleet, server.url("/logs/"))
            assert {path.name: path.read_bytes() for path in (server.files / "logs").iterdir()} == sent
        if method == "PUT":
            sent = await here.sent(fleet, here.origin.url("/new/folder/"))
            arrived = (here.origin.files / "new" / "folder").iterdir()
            assert {path.name: path.read_bytes() for path in arrived} == sent
        else:
            sent = await here.sent(fleet, here.origin.url("/post/in"))
            await here.origin.settled()
            forms = [form_of(body) for body in here.origin.posted("/post/in")]
            assert {name: content for _, name, content in forms} == sent
            assert {field for field, _, _ in forms} == {"log_file"}
        assert {url.partition("/up/")[0] for url in urls(fleet.of("uploaded"))} == {here.web}
