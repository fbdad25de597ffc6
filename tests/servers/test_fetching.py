"""The gateway's own fetching from real servers: whole, resumed, asked again, refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgegw.files.fetch import FetchFailed
from tests.e2e.faults import until
from tests.e2e.signed_firmware import make_firmware
from tests.files.rig import Box, box
from tests.servers.nginx import Nginx
from tests.servers.openssh import OpenSsh
from tests.servers.shared import Server
from tests.servers.vsftpd import Vsftpd

SCHEMES = ["http", "https", "ftp", "sftp"]
RATE_BYTES_PER_S = 8 * 1024 * 1024
# The origin is away for a moment in the middle: a fetcher that keeps trying until it is back.
PATIENT = {"attempts": 10_000, "retry_wait_s": 0.01, "retry_wait_max_s": 0.05}


@asynccontextmanager
async def origin_of(scheme: str, folder: Path, rate: int = 0) -> AsyncIterator[tuple[Server, str]]:
    """A server and what its firmware is fetched by."""
    if scheme == "ftp":
        async with Vsftpd(folder, rate_bytes_per_s=rate) as ftp:
            yield ftp, ftp.url("/fw.bin")
    elif scheme == "sftp":
        async with OpenSsh(folder) as sftp:
            yield sftp, sftp.url("/fw.bin")
    else:
        async with Nginx(folder, rate_bytes_per_s=rate) as web:
            yield web, web.url("/fw.bin") if scheme == "http" else web.tls_url("/fw.bin")


def trust(server: Server) -> dict[str, Any]:
    """What the gateway is given to believe this server."""
    if isinstance(server, OpenSsh):
        return {"known_hosts": server.known_hosts}
    return {"ca_file": server.authority} if isinstance(server, Nginx) else {}


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_file_comes_whole_and_only_once(tmp_path: Path, scheme: str):
    firmware = make_firmware()
    async with origin_of(scheme, tmp_path / "origin") as (server, url):
        (server.files / "fw.bin").write_bytes(firmware.content)
        async with box(tmp_path / "cache", **trust(server)) as here:
            files = await asyncio.gather(*(here.fetcher.fetch(url) for _ in range(20)))
            assert {file.sha256 for file in files} == {firmware.sha256}
            assert {file.md5 for file in files} == {firmware.md5}
            assert "pa55" not in files[0].origin
            again = await here.fetcher.fetch(url)  # the origin is asked, and has nothing new
            assert again.sha256 == firmware.sha256
            await until(lambda: server.downloads("/fw.bin"))
            assert sum(one.moved_bytes for one in server.downloads("/fw.bin")) == len(firmware.content)


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_new_file_at_the_origin_is_fetched(tmp_path: Path, scheme: str):
    old, new = make_firmware("1.0"), make_firmware("2.0", size_bytes=310_000)
    async with (
        origin_of(scheme, tmp_path / "origin") as (server, url),
        box(tmp_path / "cache", **trust(server)) as here,
    ):
        for firmware in (old, new):
            (server.files / "fw.bin").write_bytes(firmware.content)
            assert (await here.fetcher.fetch(url)).sha256 == firmware.sha256


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_download_that_the_origin_breaks_off_goes_on_where_it_was(tmp_path: Path, scheme: str):
    firmware = make_firmware(size_bytes=12 * 1024 * 1024)
    async with origin_of(scheme, tmp_path / "origin", RATE_BYTES_PER_S) as (server, url):
        (server.files / "fw.bin").write_bytes(firmware.content)
        async with box(tmp_path / "cache", **PATIENT, **trust(server)) as here:
            fetching = asyncio.ensure_future(here.fetcher.fetch(url))
            await until(lambda: received(here) > 1024 * 1024)
            await server.stop()
            before_bytes = received(here)
            assert before_bytes < len(firmware.content)
            await server.start()
            assert (await fetching).sha256 == firmware.sha256
            # What was cut by kill -9 is in no log: the rest alone is.
            await until(lambda: server.downloads("/fw.bin"))
            [rest] = [one for one in server.downloads("/fw.bin") if one.moved_bytes]
            assert rest.moved_bytes <= len(firmware.content) - 1024 * 1024


def received(here: Box) -> int:
    return max((one.received_bytes for one in here.fetcher.progress), default=0)


async def test_a_server_that_nobody_vouches_for_is_no_origin(tmp_path: Path):
    async with (
        Nginx(tmp_path / "web") as web,
        OpenSsh(tmp_path / "ssh") as ssh,
        OpenSsh(tmp_path / "other") as other,
    ):
        for server in (web, ssh):
            (server.files / "fw.bin").write_bytes(make_firmware().content)
        async with box(tmp_path / "cache", known_hosts=other.known_hosts, attempts=1) as here:
            for url in (web.tls_url("/fw.bin"), ssh.url("/fw.bin")):
                with pytest.raises(FetchFailed):
                    await here.fetcher.fetch(url)
            assert here.cache.files == {}
        assert web.entries() == ssh.entries() == []


@pytest.mark.parametrize("scheme", ["ftp", "sftp"])
async def test_a_wrong_password_and_a_missing_file_are_refusals(tmp_path: Path, scheme: str):
    async with (
        origin_of(scheme, tmp_path / "origin") as (server, url),
        box(tmp_path / "cache", **trust(server)) as here,
    ):
        for bad in (url.replace("pa55", "wrong"), url):
            with pytest.raises(FetchFailed) as caught:
                await here.fetcher.fetch(bad)
            assert caught.value.kind == "refused"
            assert "pa55" not in caught.value.text
