"""Fetching from SSH servers: host keys, and faults 75, 76 and 77 again."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import pytest

from edgegw.files.fetch import FetchFailed, FetchSettings
from tests.files.origin import FIRMWARE, OTHER_FIRMWARE
from tests.files.rig import Box, box

SHA256 = hashlib.sha256(FIRMWARE).hexdigest()
OTHER_SHA256 = hashlib.sha256(OTHER_FIRMWARE).hexdigest()
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")


class Doorman(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("hans", "geheim")


@dataclass
class SftpOrigin:
    folder: Path
    port: int
    cut_at: list[int] = field(default_factory=list)  # the connection ends when this offset is read
    silent_at: list[int] = field(default_factory=list)  # no answer when this offset is read
    reads: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def file(self) -> Path:
        return self.folder / "fw" / "charger-1.2.bin"

    def url(self, path: str = "fw/charger-1.2.bin", credentials: str = "hans:geheim@", host: str = "") -> str:
        return f"sftp://{credentials}{host or '127.0.0.1'}:{self.port}/{path}"

    def known_hosts(self, path: Path, host: str = "127.0.0.1") -> Path:
        key = HOST_KEY.export_public_key().decode()
        path.write_text(f"[{host}]:{self.port} {key}")
        return path


def sessions(origin: Callable[[], SftpOrigin]) -> type[asyncssh.SFTPServer]:
    class Sessions(asyncssh.SFTPServer):
        def __init__(self, channel: asyncssh.SSHServerChannel) -> None:
            self._connection = channel.get_connection()
            super().__init__(channel, chroot=str(origin().folder).encode())

        async def read(self, file_obj: object, offset: int, size: int) -> bytes:
            plan = origin()
            plan.reads.append(offset)
            plan.sizes.append(size)
            if plan.cut_at and offset >= plan.cut_at[0]:
                plan.cut_at.pop(0)
                self._connection.abort()
            if plan.silent_at and offset >= plan.silent_at[0]:
                await plan.release.wait()
            return super().read(file_obj, offset, size)

    return Sessions


@asynccontextmanager
async def sftp_origin(folder: Path) -> AsyncIterator[SftpOrigin]:
    (folder / "fw").mkdir(parents=True)
    (folder / "fw" / "charger-1.2.bin").write_bytes(FIRMWARE)
    origin = SftpOrigin(folder, 0)
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Doorman,
        server_host_keys=[HOST_KEY],
        sftp_factory=sessions(lambda: origin),
    )
    origin.port = server.get_port()
    try:
        yield origin
    finally:
        origin.release.set()
        server.close()
        await server.wait_closed()


async def refusal(here: Box, url: str) -> FetchFailed:
    with pytest.raises(FetchFailed) as caught:
        await here.fetcher.fetch(url)
    assert here.cache.files == {}
    return caught.value


async def test_a_file_is_fetched_and_no_log_names_the_user(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    async with (
        sftp_origin(tmp_path / "site") as origin,
        box(tmp_path / "cache", known_hosts=origin.known_hosts(tmp_path / "known")) as here,
    ):
        file = await here.fetcher.fetch(origin.url())
        assert (file.sha256, file.name, file.origin) == (
            SHA256,
            "charger-1.2.bin",
            origin.url(credentials=""),
        )
        assert here.parts() == []
    client_lines = [r.getMessage() for r in caplog.records if r.name.startswith("edgegw")]
    assert all("hans" not in line and "geheim" not in line for line in client_lines)


async def test_without_known_hosts_nothing_is_fetched(tmp_path: Path):
    async with sftp_origin(tmp_path / "site") as origin, box(tmp_path / "cache") as here:
        failed = await refusal(here, origin.url())
        assert (failed.kind, "known_hosts" in failed.text) == ("refused", True)


async def test_a_server_with_another_key_is_refused_before_it_hears_the_password(tmp_path: Path):
    async with sftp_origin(tmp_path / "site") as origin:
        known = tmp_path / "known"
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        for text in (f"[127.0.0.1]:{origin.port} {other}", ""):
            known.write_text(text)
            async with box(tmp_path / "cache", known_hosts=known) as here:
                failed = await refusal(here, origin.url())
                assert (failed.kind, "is not in known" in failed.text) == ("forbidden", True)
        assert origin.reads == []


async def test_a_known_hosts_file_that_is_missing_opens_nothing(tmp_path: Path):
    async with (
        sftp_origin(tmp_path / "site") as origin,
        box(tmp_path / "cache", known_hosts=tmp_path / "missing", attempts=1) as here,
    ):
        await refusal(here, origin.url())
        assert origin.reads == []


async def test_fault_75_the_key_is_known_by_name_and_the_checked_address_is_connected(tmp_path: Path):
    asked: list[str] = []

    def rebinding(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    async with sftp_origin(tmp_path / "site") as origin:
        known = origin.known_hosts(tmp_path / "known", "files.example")
        async with box(tmp_path / "cache", known_hosts=known, lookup=rebinding) as here:
            file = await here.fetcher.fetch(origin.url(host="files.example"))
            assert (file.sha256, asked) == (SHA256, ["files.example"])


async def test_fault_75_an_inner_server_hears_nothing(tmp_path: Path):
    async with sftp_origin(tmp_path / "site") as origin:
        known = origin.known_hosts(tmp_path / "known")
        async with box(tmp_path / "cache", known_hosts=known, inward=()) as here:
            assert (await refusal(here, origin.url())).kind == "forbidden"
            assert origin.reads == []


@pytest.mark.parametrize(
    ("path", "credentials", "why"),
    [("fw/charger-1.2.bin", "hans:falsch@", "log-in"), ("fw/missing.bin", "hans:geheim@", "does not have")],
)
async def test_a_no_is_final_at_once(tmp_path: Path, path: str, credentials: str, why: str):
    async with (
        sftp_origin(tmp_path / "site") as origin,
        box(tmp_path / "cache", known_hosts=origin.known_hosts(tmp_path / "known")) as here,
    ):
        failed = await refusal(here, origin.url(path, credentials))
        assert (failed.kind, why in failed.text) == ("refused", True)


async def test_size_and_mtime_tell_whether_it_is_still_current(tmp_path: Path):
    async with (
        sftp_origin(tmp_path / "site") as origin,
        box(tmp_path / "cache", known_hosts=origin.known_hosts(tmp_path / "known")) as here,
    ):
        await here.fetcher.fetch(origin.url())
        reads = len(origin.reads)
        await here.fetcher.fetch(origin.url("%66w/../fw/charger-1.2.bin"))  # another address
        assert len(origin.reads) > reads
        reads = len(origin.reads)
        await here.fetcher.fetch(origin.url())
        assert len(origin.reads) == reads
        origin.file.write_bytes(OTHER_FIRMWARE + b"longer")
        assert (await here.fetcher.fetch(origin.url())).size_bytes == len(FIRMWARE) + 6


async def test_fault_76_a_file_that_is_too_large_is_not_begun(tmp_path: Path):
    async with sftp_origin(tmp_path / "site") as origin:
        known = origin.known_hosts(tmp_path / "known")
        async with box(tmp_path / "cache", known_hosts=known, file_bytes_max=1000) as here:
            assert (await refusal(here, origin.url())).kind == "too_large"
            assert origin.reads == []


async def test_fault_76_an_origin_that_falls_silent_is_given_up(tmp_path: Path):
    async with sftp_origin(tmp_path / "site") as origin:
        origin.silent_at = [1_000_000]
        known = origin.known_hosts(tmp_path / "known")
        async with box(tmp_path / "cache", known_hosts=known, attempts=1, stall_timeout_s=0.5) as here:
            assert (await refusal(here, origin.url())).kind == "unreachable"


async def test_an_answer_has_come_in_time_at_the_lowest_rate(tmp_path: Path):
    """A read is answered whole: no byte of it is seen before."""
    async with (
        sftp_origin(tmp_path / "site") as origin,
        box(tmp_path / "cache", known_hosts=origin.known_hosts(tmp_path / "known")) as here,
    ):
        await here.fetcher.fetch(origin.url())
        settings = FetchSettings()
        assert max(origin.sizes) / settings.rate_min_bytes_per_s < settings.stall_timeout_s


async def test_fault_77_a_cut_download_goes_on_where_it_was_cut(tmp_path: Path):
    async with sftp_origin(tmp_path / "site") as origin:
        origin.cut_at = [1_500_000]
        async with box(tmp_path / "cache", known_hosts=origin.known_hosts(tmp_path / "known")) as here:
            assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256
        cut = next(n for n, offset in enumerate(origin.reads) if offset >= 1_500_000)
        assert min(origin.reads[cut + 1 :]) > 1_000_000


async def test_fault_77_content_that_changes_between_parts_is_read_anew(tmp_path: Path):
    async with sftp_origin(tmp_path / "site") as origin:
        origin.cut_at = [1_500_000]
        known = origin.known_hosts(tmp_path / "known")
        async with box(tmp_path / "before", known_hosts=known, attempts=1) as before:
            await refusal(before, origin.url())
        origin.file.write_bytes(OTHER_FIRMWARE)
        async with box(tmp_path / "before", known_hosts=known) as after:
            assert (await after.fetcher.fetch(origin.url())).sha256 == OTHER_SHA256
