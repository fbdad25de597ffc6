"""The servers of this folder are what other tests take them for: they serve, resume, take, log and stop."""

from __future__ import annotations

import asyncio
import ftplib
import io
import os
from pathlib import Path

import asyncssh
import httpx
import pytest

from tests.e2e.children import DEADLINE_S
from tests.e2e.faults import until
from tests.servers.nginx import Nginx
from tests.servers.openssh import OpenSsh
from tests.servers.shared import PASSWORD, USER, Entry, Server, ask, is_running, state_of
from tests.servers.vsftpd import Vsftpd

FIRMWARE = bytes(range(256)) * 4000
LARGE = os.urandom(1024) * 32 * 1024  # more than the buffers between two programs hold
KINDS = [Nginx, Vsftpd, OpenSsh]


def put(server: Server, name: str = "fw.bin", content: bytes = FIRMWARE) -> None:
    (server.files / name).write_bytes(content)


async def logged(server: Server, path: str, count: int = 1) -> list[Entry]:
    """Both directions, as soon as so many are in the log."""
    return await until(
        lambda: (found := server.downloads(path) + server.uploads(path)) and len(found) >= count and found
    )


# --- http -----------------------------------------------------------------------------------------


async def test_nginx_serves_whole_files_parts_and_heads(tmp_path: Path):
    async with Nginx(tmp_path) as origin, httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False) as http:
        put(origin)
        whole = await http.get(origin.url("/fw.bin"))
        assert (whole.status_code, whole.content) == (200, FIRMWARE)
        assert whole.headers["etag"]
        assert whole.headers["last-modified"]
        headers = {"Range": "bytes=1000-", "If-Range": whole.headers["etag"]}
        part = await http.get(origin.url("/fw.bin"), headers=headers)
        assert (part.status_code, part.content) == (206, FIRMWARE[1000:])
        changed = await http.get(origin.url("/fw.bin"), headers={**headers, "If-Range": '"other"'})
        assert (changed.status_code, changed.content) == (200, FIRMWARE)
        head = await http.head(origin.url("/fw.bin"))
        assert head.headers["content-length"] == str(len(FIRMWARE))
        assert (await http.get(origin.url("/missing.bin"))).status_code == 404
        await origin.settled()
    size = len(FIRMWARE)
    assert [one.moved_bytes for one in origin.downloads("/fw.bin")] == [size, size - 1000, size]
    assert all(one.complete for one in origin.downloads("/fw.bin"))
    assert origin.downloads("/missing.bin") == []
    assert [one["status"] for one in origin.requests("HEAD")] == [200]


async def test_nginx_serves_over_tls_to_whom_trusts_its_authority(tmp_path: Path):
    async with Nginx(tmp_path) as origin:
        put(origin)
        async with httpx.AsyncClient(
            timeout=DEADLINE_S, trust_env=False, verify=origin.tls_context()
        ) as http:
            assert (await http.get(origin.tls_url("/fw.bin"))).content == FIRMWARE
        async with httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False) as http:
            with pytest.raises(httpx.ConnectError):
                await http.get(origin.tls_url("/fw.bin"))
        await origin.settled()
        assert [one["scheme"] for one in origin.requests("GET", "/fw.bin")] == ["https"]


async def test_nginx_takes_a_put_as_a_file_and_a_post_as_it_came(tmp_path: Path):
    async with Nginx(tmp_path) as target, httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False) as http:
        assert (await http.put(target.url("/diag/CP-1.log"), content=FIRMWARE)).status_code == 201
        assert (target.files / "diag/CP-1.log").read_bytes() == FIRMWARE
        posted = await http.post(target.url("/post/in"), files={"field": ("CP-1.log", b"x" * 100_000)})
        assert posted.status_code == 201
        await target.settled()
        assert target.uploads("/diag/CP-1.log") == [Entry("up", "/diag/CP-1.log", len(FIRMWARE), True)]
        assert len(target.uploads("/post/in")) == 1
        [body] = target.posted("/post/in")
        assert b'filename="CP-1.log"' in body
        assert b"x" * 100_000 in body
        [fact] = target.requests("POST")
        assert fact["content_type"].startswith("multipart/form-data")


async def test_nginx_keeps_a_private_folder(tmp_path: Path):
    async with Nginx(tmp_path) as origin, httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False) as http:
        (origin.files / "private").mkdir()
        put(origin, "private/fw.bin")
        assert (await http.get(origin.url("/private/fw.bin"))).status_code == 401
        answer = await http.get(origin.url("/private/fw.bin"), auth=(USER, PASSWORD))
        assert answer.content == FIRMWARE
        assert (await http.put(origin.url("/private/up", login=True), content=b"x")).status_code == 201


async def test_nginx_does_what_a_test_adds(tmp_path: Path):
    settings = "location /no-range/ { max_ranges 0; } location /away/ { return 302 /fw.bin; }"
    async with (
        Nginx(tmp_path, settings=settings) as origin,
        httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False) as http,
    ):
        (origin.files / "no-range").mkdir()
        put(origin, "no-range/fw.bin")
        whole = await http.get(origin.url("/no-range/fw.bin"), headers={"Range": "bytes=5-"})
        assert (whole.status_code, len(whole.content)) == (200, len(FIRMWARE))
        assert (await http.get(origin.url("/away/fw.bin"))).headers["location"].endswith("/fw.bin")


async def test_a_download_that_is_cut_is_in_the_log_as_cut_and_can_be_resumed(tmp_path: Path):
    async with (
        Nginx(tmp_path, rate_bytes_per_s=1024 * 1024) as origin,
        httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False) as http,
    ):
        put(origin, content=LARGE)
        async with http.stream("GET", origin.url("/fw.bin")) as answer:
            start = await anext(answer.aiter_raw())
        [cut] = await logged(origin, "/fw.bin")
        assert not cut.complete
        assert cut.moved_bytes < len(LARGE)
        async with http.stream("GET", origin.url("/fw.bin"), headers={"Range": "bytes=65536-"}) as answer:
            assert answer.status_code == 206
            assert (await anext(answer.aiter_raw()))[:64] == LARGE[65536 : 65536 + 64]
        assert LARGE.startswith(start)


# --- ftp ------------------------------------------------------------------------------------------


def ftp_talk(server: Vsftpd) -> tuple[bytes, bytes, str | None, int | None]:
    """Whole file, the rest of it, its times, its size; then an upload and one that goes on."""
    whole, rest = io.BytesIO(), io.BytesIO()
    with ftplib.FTP(timeout=DEADLINE_S) as ftp:
        ftp.connect("127.0.0.1", server.port)
        ftp.login(server.user, PASSWORD)
        ftp.retrbinary("RETR fw.bin", whole.write)
        ftp.retrbinary("RETR fw.bin", rest.write, rest=1000)
        time = ftp.sendcmd("MDTM fw.bin")
        size = ftp.size("fw.bin")
        ftp.storbinary("STOR CP-1.log", io.BytesIO(FIRMWARE[:5000]))
        ftp.storbinary("STOR CP-1.log", io.BytesIO(FIRMWARE[5000:]), rest=5000)
        ftp.sendcmd("PASV")
    return whole.getvalue(), rest.getvalue(), time, size


async def test_vsftpd_serves_resumes_and_takes(tmp_path: Path):
    async with Vsftpd(tmp_path) as server:
        put(server)
        whole, rest, time, size = await asyncio.to_thread(ftp_talk, server)
        assert (whole, rest, size) == (FIRMWARE, FIRMWARE[1000:], len(FIRMWARE))
        assert time is not None
        assert time.startswith("213 ")
        assert (server.files / "CP-1.log").read_bytes() == FIRMWARE
        await logged(server, "/CP-1.log", 2)
        assert [one.moved_bytes for one in server.downloads("/fw.bin")] == [size, size - 1000]
        assert [one.moved_bytes for one in server.uploads("/CP-1.log")] == [5000, len(FIRMWARE) - 5000]


async def test_vsftpd_keeps_to_its_passive_ports_and_wants_the_password(tmp_path: Path):
    def talk(server: Vsftpd) -> tuple[str, int]:
        with ftplib.FTP(timeout=DEADLINE_S) as ftp:
            ftp.connect("127.0.0.1", server.port)
            with pytest.raises(ftplib.error_perm, match="530"):
                ftp.login(server.user, "wrong")
        with ftplib.FTP(timeout=DEADLINE_S) as ftp:
            ftp.connect("127.0.0.1", server.port)
            ftp.login(server.user, PASSWORD)
            return ftp.makepasv()

    async with Vsftpd(tmp_path) as server:
        host, port = await asyncio.to_thread(talk, server)
        assert host == "127.0.0.1"
        assert port in server.passive_ports


# --- sftp -----------------------------------------------------------------------------------------


def sftp_login(server: OpenSsh, **how: object) -> object:
    options = {"known_hosts": str(server.known_hosts), "client_keys": None, "config": None, **how}
    return asyncssh.connect("127.0.0.1", server.port, username=USER, agent_path=None, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["password", "key"])
async def test_openssh_serves_resumes_and_takes(tmp_path: Path, how: str):
    async with OpenSsh(tmp_path) as server:
        put(server)
        login = {"password": PASSWORD} if how == "password" else {"client_keys": [str(server.client_key)]}
        async with sftp_login(server, **login) as connection, connection.start_sftp_client() as sftp:  # type: ignore[attr-defined]
            async with sftp.open(server.path("/fw.bin"), "rb") as file:
                assert await file.read() == FIRMWARE
            async with sftp.open(server.path("/fw.bin"), "rb") as file:
                assert await file.read(5000, offset=1000) == FIRMWARE[1000:6000]
            async with sftp.open(server.path("/CP-1.log"), "wb") as file:
                await file.write(FIRMWARE)
        assert (server.files / "CP-1.log").read_bytes() == FIRMWARE
        assert (await logged(server, "/CP-1.log"))[0].moved_bytes == len(FIRMWARE)
        assert [one.moved_bytes for one in server.downloads("/fw.bin")] == [len(FIRMWARE), 5000]


async def test_openssh_lets_nobody_else_in_and_shows_who_it_is(tmp_path: Path):
    async with OpenSsh(tmp_path) as server:
        with pytest.raises(asyncssh.PermissionDenied):
            await sftp_login(server, password="wrong")  # type: ignore[misc]
        await server.stop()
        server.new_host_key()
        await server.start()
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            await sftp_login(server, password=PASSWORD)  # type: ignore[misc]


# --- their life -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_is_left_of_it(tmp_path: Path, kind: type[Server]):
    async with kind(tmp_path) as server:
        alone = server.pids()
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        if kind is not Nginx:
            await until(lambda: server.pids() - alone)
        pids = server.pids()
    writer.close()
    assert len(pids) > 1
    assert [pid for pid in pids if is_running(pid)] == []
    assert await ask(server.port) == ""


@pytest.mark.parametrize("kind", KINDS)
async def test_it_comes_back_at_the_same_port(tmp_path: Path, kind: type[Server]):
    async with kind(tmp_path) as server:
        before, port = server.pids(), server.port
        await server.stop()
        assert await ask(port) == ""
        await server.start()
        assert server.port == port
        assert not before & server.pids()


@pytest.mark.parametrize("kind", KINDS)
async def test_two_at_once_do_not_meet(tmp_path: Path, kind: type[Server]):
    one, other = kind(tmp_path / "one"), kind(tmp_path / "other")
    async with one, other:
        assert one.port != other.port
        assert not one.pids() & other.pids()
        await one.stop()
        assert other.token in await other._heard()


async def test_one_that_cannot_start_says_why(tmp_path: Path):
    with pytest.raises(AssertionError, match="unknown directive"):
        async with Nginx(tmp_path, settings="nonsense on;"):
            pass


async def test_a_frozen_one_moves_nothing_and_goes_on_where_it_was(tmp_path: Path):
    async with Nginx(tmp_path) as origin, httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False) as http:
        put(origin, content=LARGE)
        async with http.stream("GET", origin.url("/fw.bin")) as answer:
            pieces = answer.aiter_raw()
            got = [await anext(pieces)]
            origin.freeze()
            await until(lambda: {state_of(pid) for pid in origin.pids()} == {"T"})
            assert origin.entries() == []
            origin.thaw()
            got += [piece async for piece in pieces]
        assert b"".join(got) == LARGE
        await origin.settled()
        assert len(origin.downloads("/fw.bin")) == 1
