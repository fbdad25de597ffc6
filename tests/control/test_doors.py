"""Where the local API is reached and by whom: socket file, loopback port, token, start and stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import threading
from collections.abc import Callable
from functools import partial

import httpx
import pytest
import uvloop

from edgegw.config_values import Address
from edgegw.control import doors, listener
from edgegw.control.server import ControlServer
from edgegw.control.service import Service
from edgegw.errors import ConfigFault
from edgegw.runtime.shut_doors import ShutDoors
from tests.control.house import DEADLINE_S, Api, House
from tests.links.house import eventually


def server_of(house: House) -> ControlServer:
    return ControlServer(Service(house.gateway, house.journal, site_id="second", started_at=1.8e9))


# --- the Unix socket ------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_socket_is_for_owner_and_group_whatever_the_umask(tmp_path, umask: int):
    before = os.umask(umask)
    try:
        door = doors.bind_unix(tmp_path / "s")
    finally:
        os.umask(before)
    with door:
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o660


def test_a_socket_file_of_a_dead_process_is_replaced(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with doors.bind_unix(path) as door:
        door.listen()
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(path))
        assert door.getsockname() == str(path)


def test_a_socket_somebody_answers_on_is_not_taken(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        with pytest.raises(ConfigFault, match="another process answers there"):
            doors.bind_unix(path)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(path))


def test_a_live_socket_with_a_full_backlog_is_alive(tmp_path):
    path = tmp_path / "s"
    waiting = []
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen(0)
        for _ in range(4):
            waiting.append(socket.socket(socket.AF_UNIX))
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(str(path))
        with pytest.raises(ConfigFault, match="another process answers there"):
            doors.bind_unix(path)
    for peer in waiting:
        peer.close()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(ConfigFault, match="is no socket"):
        doors.bind_unix(path)
    assert path.read_text() == "precious"


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigFault, match=r"\[control\] socket = .*: No such file or directory"):
        doors.bind_unix(tmp_path / "missing" / "s")


async def test_a_second_box_on_the_same_socket_does_not_start_and_does_not_harm(house: House, api: Api):
    second = server_of(house)
    with pytest.raises(ConfigFault, match="another process answers there"):
        await second.start(house.socket)
    assert house.socket.exists()
    assert (await api.get("/v1/site"))["id"] == "depot-1"


async def test_stop_leaves_nothing_and_may_be_called_twice(house: House):
    await house.server.stop()
    assert not house.socket.exists()
    await house.server.stop()
    await house.server.start(house.socket)
    async with house.http() as http:
        assert (await http.get("/v1/health")).status_code == 200


async def test_stop_leaves_the_socket_file_of_somebody_else(house: House):
    house.socket.unlink()
    with doors.bind_unix(house.socket):
        await house.server.stop()
        assert house.socket.exists()


# --- the loopback port ----------------------------------------------------------------------------


async def test_health_is_open_and_everything_else_wants_the_token(house: House):
    for token, status in ((None, 401), ("wrong-token-0123456789", 401), (house.token, 200)):
        async with house.tcp(token) as http:
            assert (await http.get("/v1/health")).status_code == 200
            for path in ("/v1/site", "/v1/chargers", "/openapi.json"):
                answer = await http.get(path)
                assert answer.status_code == status, (token, path)
            if status == 401:
                assert answer.json()["error"]["code"] == "unauthorized"
                assert answer.headers["www-authenticate"].startswith("Bearer")
                body = {"action": "ClearCache"}
                assert (await http.post("/v1/chargers/CP-1/call", json=body)).status_code == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Basic {}", "{}", "Bearer {}x", "Bearer x{}", "Bearer {} {}", "Bearer\t{}"],
)
async def test_only_the_whole_token_opens(house: House, header: str):
    async with house.tcp(None) as http:
        shown = {"authorization": header.replace("{}", house.token)}
        assert (await http.get("/v1/site", headers=shown)).status_code == 401


async def test_who_asks_nothing_gives_its_place_to_others(house: House, monkeypatch):
    """A hundred connections without a word shut the door for all, the token or not."""
    looks: list[Callable[[], None]] = []
    later = listener._Impatient._look_later

    def look_later(door: listener._Impatient, seen: object) -> None:
        """When the test says so: a busy machine may take longer to open all of them."""
        later(door, seen)
        looks.append(partial(door._look, seen))

    monkeypatch.setattr(listener, "HEAD_WITHIN_S", 10 * DEADLINE_S)
    monkeypatch.setattr(listener._Impatient, "_look_later", look_later)
    async with house.tcp(house.token) as http:
        base = http.base_url
        silent = [
            await asyncio.open_connection(base.host, base.port) for _ in range(listener.CONNECTIONS_MAX)
        ]
        for _, writer in silent[::2]:
            writer.write(b"GET /v1/site HTTP/1.1\r\nHost: x\r\n")  # and never the end of it
        assert (await http.get("/v1/site")).status_code == 503
        for look in looks[: len(silent)]:
            look()
        for reader, writer in silent:
            assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
            writer.close()
        assert (await http.get("/v1/site")).status_code == 200


async def test_who_asks_nothing_is_shut_out_by_itself(house: House, monkeypatch):
    monkeypatch.setattr(listener, "HEAD_WITHIN_S", 0.2)
    host, _, port = str(house.server.address).rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
    writer.close()


async def test_the_scheme_is_written_in_any_case_and_two_headers_are_none(house: House):
    async with house.tcp(None) as http:
        good = ("authorization", f"bearer {house.token}")
        assert (await http.get("/v1/site", headers=[good])).status_code == 200
        assert (await http.get("/v1/site", headers=[good, good])).status_code == 401


async def test_what_a_proxy_header_claims_does_not_count(house: House):
    async with house.tcp(None) as http:
        claimed = {"x-forwarded-for": "", "x-forwarded-proto": "unix", "host": "localhost"}
        assert (await http.get("/v1/site", headers=claimed)).status_code == 401


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_token_that_others_can_read_is_refused(tmp_path, mode: int):
    path = tmp_path / "token"
    path.write_text("0123456789abcdef0123")
    path.chmod(mode)
    with pytest.raises(ConfigFault, match=f"chmod 600 {path}"):
        doors.read_token(path)


@pytest.mark.parametrize(
    "text", ["", "short", "two words 0123456789", "ü" * 20, "a" * 15, "tab\tbed0123456789"]
)
def test_a_token_that_is_none_is_refused(tmp_path, text: str):
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigFault, match="one word of at least 16"):
        doors.read_token(path)


async def test_no_port_without_a_token_and_none_that_is_not_loopback(house: House, tmp_path):
    second = server_of(house)
    with pytest.raises(ConfigFault, match="token_file"):
        await second.start(None, Address("127.0.0.1", 0), None)
    with pytest.raises(ConfigFault, match="not a loopback"):
        await second.start(None, Address("0.0.0.0", 0), house.token_file)


async def test_a_port_that_is_taken_is_named_and_opened_when_it_is_free(house: House, tmp_path):
    """The Unix socket is there meanwhile."""
    second = server_of(house)
    second.doors = ShutDoors(retry_every_s=0.01)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        wanted = Address(*other.getsockname())
        await second.start(tmp_path / "second", wanted, house.token_file)
        try:
            why = f"[control] listen = {wanted}: Address already in use; another program has this port"
            assert second.doors.shut["[control] listen"].startswith(why)
            assert second.address is None
            way = httpx.AsyncHTTPTransport(uds=str(tmp_path / "second"))
            async with httpx.AsyncClient(transport=way, base_url="http://box") as http:
                assert (await http.get("/v1/health")).status_code == 200
            other.close()
            await eventually(lambda: not second.doors.shut)
            assert second.address == wanted
        finally:
            await second.stop()


# --- in somebody else's loop ----------------------------------------------------------------------


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_runs_on_both_loops_and_leaves_signals_alone(tmp_path, factory):
    def handlers() -> tuple:
        return signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    async def story() -> None:
        before = handlers()
        house = House(tmp_path)
        await house.start(tcp=True)
        assert threading.current_thread() is threading.main_thread()
        assert handlers() == before
        async with house.http() as unix, house.tcp(house.token) as tcp:
            assert (await unix.get("/v1/site")).json()["id"] == "depot-1"
            assert (await tcp.get("/v1/site")).json()["id"] == "depot-1"
            async with asyncio.timeout(30):  # two connections are kept alive meanwhile
                await house.stop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert [task.get_name() for task in others if not task.done()] == []

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(story())
