"""The client: answers as models, every failure in words that say what to do."""

from __future__ import annotations

import asyncio
import os
import socket
import threading

import pytest

from edgegw.control.client import ControlClient, NotReachable, NotUnderstood, Refused, Silent
from tests.control.house import DEADLINE_S, House


async def test_it_asks_everything_there_is(house: House):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    transaction_id = await house.starts(charger)

    def ask() -> None:
        with ControlClient(house.socket) as client:
            assert client.health().status == "away"
            assert client.site().chargers.connected == 1
            assert [c.identity for c in client.chargers().chargers] == ["CP-1", "CP-9"]
            assert client.charger("CP-1").connected
            assert client.quarantine("CP-1").frames == ()
            (one,) = client.transactions(charger="CP-1", running=True).transactions
            assert client.transaction("CP-1", one.id).id == str(transaction_id)
            assert client.queue().stored == 1
            (row,) = client.queue_rows(state="stored", raw=True).rows
            assert row.raw is not None
            assert client.resend("CP-1").resent == 0
            assert client.last == {"charger": "CP-1", "resent": 0}

    await asyncio.to_thread(ask)


async def test_calls_and_refusals(house: House):
    charger = await house.boots("CP-1")

    def ask(action: str):
        with ControlClient(house.socket) as client:
            return client.call("CP-1", action, {})

    asked = asyncio.create_task(asyncio.to_thread(ask, "ClearCache"))
    frame = await charger.hears()
    charger.says([4, frame[1], "NotSupported", "", {}])
    assert (await asked).code == "NotSupported"
    house.is_impatient()
    with pytest.raises(Silent, match="did not answer ClearCache in time"):
        await asyncio.to_thread(ask, "ClearCache")
    charger.cut()
    with pytest.raises(Refused, match="CP-1 is not connected") as refused:
        await asyncio.to_thread(ask, "ClearCache")
    assert (refused.value.status, refused.value.code) == (409, "not_connected")


async def test_over_the_loopback_port(house: House):
    def ask(token: str | None):
        with ControlClient(base_url=f"http://{house.server.address}", token=token) as client:
            return client.site().id

    assert await asyncio.to_thread(ask, house.token) == "depot-1"
    with pytest.raises(Refused, match="token"):
        await asyncio.to_thread(ask, None)


def test_no_gateway(tmp_path):
    for make in (lambda path: None, lambda path: path.write_text(""), dead_socket):
        path = tmp_path / "s"
        path.unlink(missing_ok=True)
        make(path)
        with ControlClient(path) as client, pytest.raises(NotReachable, match="is `edgegw run` running"):
            client.health()


def dead_socket(path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may everything")
def test_no_permission(tmp_path):
    path = tmp_path / "s"
    dead_socket(path)
    path.chmod(0)
    with ControlClient(path) as client, pytest.raises(NotReachable, match="may not use"):
        client.health()


def test_no_permission_in_words(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with ControlClient(tmp_path / "s") as client, pytest.raises(NotReachable, match="in the group of edgegw"):
        client.health()


def answering(path, answer: bytes) -> threading.Thread:
    """A server that says `answer` to one request."""
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(path))
    door.listen()
    door.settimeout(DEADLINE_S)

    def serve() -> None:
        with door:
            while True:  # the client knocks before it asks
                with door.accept()[0] as peer:
                    if peer.recv(65536):
                        peer.sendall(answer)
                        return

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("head", "body", "text"),
    [
        ("HTTP/1.1 200 OK", "hello", "is not edgegw"),
        ("HTTP/1.1 200 OK\r\nedgegw-version: 9.9.9", '{"status": "fine"}', "runs edgegw 9.9.9"),
        (
            "HTTP/1.1 404 N\r\nedgegw-version: 9.9.9",
            '{"error": {"code": "no_such_path", "text": ""}}',
            "9.9.9",
        ),
        ("HTTP/1.1 502 Bad", "<html>", "is not edgegw"),
    ],
)
def test_somebody_else_or_another_version_answers(tmp_path, head: str, body: str, text: str):
    thread = answering(tmp_path / "s", f"{head}\r\nconnection: close\r\n\r\n{body}".encode())
    with ControlClient(tmp_path / "s") as client, pytest.raises(NotUnderstood, match=text):
        client.health()
    thread.join()


def test_a_connection_that_breaks_off(tmp_path):
    thread = answering(tmp_path / "s", b"HTTP/1.1 200")
    with ControlClient(tmp_path / "s") as client, pytest.raises(NotReachable, match="failed"):
        client.health()
    thread.join()
