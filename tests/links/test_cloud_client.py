"""Dialling the cloud: what it sees, what it may answer, and what the technician is told (fault 44)."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import socket
import ssl
import time
from pathlib import Path

import pytest
from websockets.asyncio.server import serve

from edgegw.errors import ConfigFault
from edgegw.links.cloud_client import CloudClient, CloudSettings, check_base_url
from edgegw.links.resolver import Resolver
from edgegw.links.websocket import LegSettings
from edgegw.runtime.ports import DialFailed, DialRequest
from tests.links.chaos import ChaosProxy
from tests.links.house import DEADLINE_S, Listener, eventually

LEG = LegSettings(ping_interval_s=0.0, close_timeout_s=0.5)


def request(base_url: str, listener: Listener | None = None, **changes) -> DialRequest:
    values = {
        "identity": "CP|1",
        "raw_segment": "CP%7C1",
        "base_url": base_url,
        "subprotocols": ("ocpp2.0.1", "ocpp1.6"),
        "authorization": None,
        "compression": False,
        "listener": listener or Listener(),
    }
    return DialRequest(**(values | changes))


@contextlib.asynccontextmanager
async def client(**settings):
    dialler = CloudClient(CloudSettings(**({"leg": LEG, "connect_timeout_s": DEADLINE_S} | settings)))
    try:
        yield dialler
    finally:
        dialler.close()


class Cloud:
    """A cloud of `websockets`; keeps the handshake requests, echoes messages."""

    def __init__(self) -> None:
        self.requests = []
        self.port = 0
        self.first = []
        self.sent = asyncio.Event()

    async def handle(self, connection) -> None:
        for message in self.first:
            await connection.send(message)
        self.sent.set()
        async for message in connection:
            await connection.send(message)

    def remember(self, connection, asked) -> None:
        self.requests.append(asked)


@contextlib.asynccontextmanager
async def cloud(**kwargs):
    it = Cloud()
    options = {
        "subprotocols": ["ocpp2.0.1", "ocpp1.6"],
        "process_request": it.remember,
        "ping_interval": None,
    }
    async with serve(it.handle, "127.0.0.1", 0, **(options | kwargs)) as server:
        it.port = server.sockets[0].getsockname()[1]
        yield it


@contextlib.asynccontextmanager
async def answering(answer: bytes, then_close: bool = True):
    """A TCP server that answers every request with `answer`; yields (port, requests)."""
    heads: list[bytes] = []
    busy: set[asyncio.StreamWriter] = set()

    async def handle(reader, writer) -> None:
        busy.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
            if not then_close:
                await reader.read()
        writer.close()
        busy.discard(writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()
        await server.wait_closed()
        await eventually(lambda: not busy)


async def close(leg, listener: Listener) -> None:
    leg.close(1000, "")
    await listener.until_closed()


async def failure(answer: bytes, **kwargs) -> DialFailed:
    async with answering(answer, **kwargs) as (port, _), client() as dialler:
        with pytest.raises(DialFailed) as failed:
            await dialler.dial(request(f"ws://127.0.0.1:{port}/ocpp"))
        return failed.value


async def test_the_cloud_sees_what_the_charger_sent():
    async with cloud() as there, client() as dialler:
        listener = Listener()
        wanted = request(
            f"ws://127.0.0.1:{there.port}/tenant/ocpp/",
            listener,
            authorization="Basic \xe9\xff=",
            raw_segment="RDAM%20%7c123",
        )
        leg = await dialler.dial(wanted)
        assert listener.leg is leg
        assert leg.subprotocol == "ocpp2.0.1"
        assert leg.peer == f"127.0.0.1:{there.port}"
        [seen] = there.requests
        assert seen.path == "/tenant/ocpp/RDAM%20%7c123"
        assert seen.headers["Authorization"] == "Basic \xe9\xff="
        assert seen.headers["Sec-WebSocket-Protocol"] == "ocpp2.0.1, ocpp1.6"
        assert "User-Agent" not in seen.headers
        assert "Sec-WebSocket-Extensions" not in seen.headers
        assert "Origin" not in seen.headers
        for message in (b"short", b"x" * 126, b"y" * 70_000, "ü".encode()):
            leg.send(message)
        assert await listener.until_texts(4) == [b"short", b"x" * 126, b"y" * 70_000, "ü".encode()]
        await close(leg, listener)
        assert listener.closed == [(1000, "")]


async def test_no_subprotocols_no_header():
    async with cloud(subprotocols=None) as there, client() as dialler:
        listener = Listener()
        leg = await dialler.dial(request(f"ws://127.0.0.1:{there.port}", listener, subprotocols=()))
        assert leg.subprotocol is None
        assert "Sec-WebSocket-Protocol" not in there.requests[0].headers
        assert "Authorization" not in there.requests[0].headers
        await close(leg, listener)


async def test_credentials_of_the_url_serve_chargers_that_have_none():
    async with cloud() as there, client() as dialler:
        for own, seen in ((None, "Basic dTpwQHc="), ("Basic b3du", "Basic b3du")):
            listener = Listener()
            url = f"ws://u:p%40w@127.0.0.1:{there.port}/o?tenant=7"
            leg = await dialler.dial(request(url, listener, authorization=own))
            assert there.requests[-1].headers.get_all("Authorization") == [seen]
            assert there.requests[-1].path == "/o/CP%7C1?tenant=7"
            await close(leg, listener)


async def test_compression_when_asked_for():
    async with cloud() as there, client() as dialler:
        listener = Listener()
        leg = await dialler.dial(request(f"ws://127.0.0.1:{there.port}", listener, compression=True))
        assert leg._engine.extensions
        leg.send(b"squeeze " * 1000)
        assert await listener.until_texts(1) == [b"squeeze " * 1000]
        await close(leg, listener)


async def test_early_frames_arrive_after_on_open():
    async with cloud() as there, client() as dialler:
        there.first = ["first", "second"]
        async with ChaosProxy(there.port) as line:
            line.delay_s = 0.05  # so that the answer and the frames come in one piece
            listener = Listener()
            leg = await dialler.dial(request(f"ws://127.0.0.1:{line.port}", listener))
            assert await listener.until_texts(2) == [b"first", b"second"]
            await close(leg, listener)


async def test_frames_in_one_piece_with_the_answer():
    async with cloud() as there:
        there.first = ["first"]
        async with ChaosProxy(there.port) as line, client() as dialler:
            line.freeze("down")
            listener = Listener()
            dialling = asyncio.gather(dialler.dial(request(f"ws://127.0.0.1:{line.port}", listener)))
            await eventually(lambda: there.requests)
            await there.sent.wait()
            line.thaw()
            [leg] = await dialling
            assert await listener.until_texts(1) == [b"first"]
            await close(leg, listener)


@pytest.mark.parametrize(
    ("head", "status", "retry_after_s", "words"),
    [
        (b"401 Unauthorized\r\nWWW-Authenticate: Basic\r\n", 401, None, "HTTP: 401 Unauthorized"),
        (b"404 Not Found\r\n", 404, None, "HTTP: 404 Not Found"),
        (b"429 Too Many Requests\r\nRetry-After: 120\r\n", 429, 120.0, "HTTP: 429 Too Many Requests"),
        (b"503 Service Unavailable\r\nRetry-After: nonsense\r\n", 503, None, "HTTP: 503 Service Unavailable"),
        (b"503 Busy\r\nRetry-After: 99999999999999999999\r\n", 503, 86400.0, "HTTP: 503 Service Unavailable"),
        (b"599 Odd\r\n", 599, None, "HTTP: 599"),
        (b"200 OK\r\n", 200, None, "HTTP: 200 OK"),
    ],
)
async def test_fault_44_an_http_answer_is_told(head, status, retry_after_s, words):
    failed = await failure(
        b"HTTP/1.1 " + head + b"Content-Length: 5000\r\n\r\nbody that never ends", then_close=False
    )
    assert (failed.status, failed.retry_after_s, failed.text) == (status, retry_after_s, words)


@pytest.mark.parametrize("own_clock", [True, False])
async def test_fault_44_retry_after_as_a_date(own_clock):
    began = time.time()
    base = 1_000_000_000 if own_clock else began
    then = email.utils.formatdate(base + 300, usegmt=True)
    date = f"Date: {email.utils.formatdate(base, usegmt=True)}\r\n" if own_clock else ""
    failed = await failure(f"HTTP/1.1 503 Busy\r\n{date}Retry-After: {then}\r\n\r\n".encode())
    passed_s = 0.0 if own_clock else time.time() - began
    assert 300 - passed_s - 1 <= failed.retry_after_s <= 300  # dates have whole seconds


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_fault_44_a_redirect_is_told_and_not_followed(status):
    async with answering(b"") as (other_port, other_heads):
        where = f"ws://u:secret@127.0.0.1:{other_port}/x?token=secret"
        failed = await failure(f"HTTP/1.1 {status} Moved\r\nLocation: {where}\r\n\r\n".encode())
        assert failed.status == status
        assert f"to ws://***@127.0.0.1:{other_port}/x; redirects are not followed" in failed.text
        assert "secret" not in failed.text
        assert other_heads == []


async def test_fault_44_a_subprotocol_that_was_not_offered():
    async with cloud(select_subprotocol=lambda connection, offered: "ocpp1.5") as there, client() as dialler:
        with pytest.raises(DialFailed, match=r"ocpp1\.5"):
            await dialler.dial(request(f"ws://127.0.0.1:{there.port}"))


async def test_fault_44_no_common_subprotocol():
    async with cloud(select_subprotocol=lambda connection, offered: None) as there, client() as dialler:
        with pytest.raises(DialFailed, match=r"none of the OCPP versions ocpp2\.0\.1, ocpp1\.6"):
            await dialler.dial(request(f"ws://127.0.0.1:{there.port}"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "HTTP: 127.0.0.1"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/2 101\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "not a WebSocket answer"),
        (
            b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            "not a WebSocket",
        ),
        (b"x" * 9000, "longer than 4096"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 4000, "longer than 16384"),
    ],
)
async def test_fault_44_junk_instead_of_an_answer(answer, words):
    failed = await failure(answer)
    assert words in failed.text
    assert failed.text.startswith("HTTP: ")


async def test_fault_44_refused_tcp():
    with socket.socket() as claim:  # nobody listens, and nobody else gets the port
        claim.bind(("127.0.0.1", 0))
        port = claim.getsockname()[1]
        async with client() as dialler:
            with pytest.raises(DialFailed) as failed:
                await dialler.dial(request(f"ws://127.0.0.1:{port}"))
        assert failed.value.text == f"TCP: 127.0.0.1:{port}: connection refused"
        assert failed.value.status is None


async def test_fault_44_a_cloud_that_says_nothing():
    async with answering(b"", then_close=False) as (port, _), client(connect_timeout_s=1.0) as dialler:
        with pytest.raises(DialFailed, match=r"^HTTP: no answer from 127\.0\.0\.1:\d+ within 1 s$"):
            await dialler.dial(request(f"ws://127.0.0.1:{port}"))


async def test_fault_44_a_cloud_that_dribbles_its_answer():
    async with cloud() as there, ChaosProxy(there.port) as line, client(connect_timeout_s=0.3) as dialler:
        line.dribble(1, 0.05)
        with pytest.raises(DialFailed, match=r"within 0\.3 s"):
            await dialler.dial(request(f"ws://127.0.0.1:{line.port}"))


@pytest.mark.parametrize("count", [0, 1, 20, 100])
async def test_a_cut_at_any_byte_of_the_answer_is_a_failed_dial(count):
    async with cloud() as there, ChaosProxy(there.port) as line, client() as dialler:
        line.cut_after(count or None, "down")
        line.refuse = not count
        with pytest.raises(DialFailed, match="closed without an answer"):
            await dialler.dial(request(f"ws://127.0.0.1:{line.port}"))


async def test_a_cancelled_dial_leaves_no_connection():
    async with cloud() as there, ChaosProxy(there.port) as line, client() as dialler:
        line.freeze()
        dialling = asyncio.gather(dialler.dial(request(f"ws://127.0.0.1:{line.port}")))
        await eventually(lambda: line.connections)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        line.thaw()
        await eventually(lambda: not line.connections)


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_a_verified_cloud(certificates):
    files = certificates.make("cloud", "localhost")
    async with cloud(ssl=server_tls(*files)) as there, client(ca_file=certificates.authority) as dialler:
        listener = Listener()
        leg = await dialler.dial(request(f"wss://localhost:{there.port}/ocpp", listener))
        leg.send(b"over TLS")
        assert await listener.until_texts(1) == [b"over TLS"]
        await close(leg, listener)


@pytest.mark.parametrize(
    ("label", "name", "dates", "words"),
    [
        ("expired", "localhost", ("20200101000000Z", "20210101000000Z"), "the certificate has expired"),
        (
            "future",
            "localhost",
            ("20900101000000Z", "20910101000000Z"),
            "not valid yet; this machine's clock says",
        ),
        ("other", "elsewhere.example", ("", ""), "the certificate is for another name than localhost"),
    ],
)
async def test_fault_12_certificates_in_words(certificates, label, name, dates, words):
    files = certificates.make(label, name, not_before=dates[0], not_after=dates[1])
    async with cloud(ssl=server_tls(*files)) as there, client(ca_file=certificates.authority) as dialler:
        with pytest.raises(DialFailed) as failed:
            await dialler.dial(request(f"wss://localhost:{there.port}"))
        assert failed.value.text.startswith("TLS: 127.0.0.1:")
        assert words in failed.value.text


async def test_fault_12_self_signed_and_unknown_authority(certificates):
    files = certificates.self_signed("selfsigned")
    async with cloud(ssl=server_tls(*files)) as there, client() as dialler:
        with pytest.raises(DialFailed, match="self-signed and not in the list of trusted ones"):
            await dialler.dial(request(f"wss://localhost:{there.port}"))
    files = certificates.make("unknown", "localhost")
    async with cloud(ssl=server_tls(*files)) as there, client() as dialler:
        with pytest.raises(DialFailed, match="issued by an unknown authority"):
            await dialler.dial(request(f"wss://localhost:{there.port}"))


async def test_wss_to_a_port_without_tls():
    async with cloud() as there, client() as dialler:
        with pytest.raises(DialFailed, match=r"^TLS: 127\.0\.0\.1:\d+: "):
            await dialler.dial(request(f"wss://localhost:{there.port}"))


async def test_a_name_that_does_not_exist():
    def lookup(host):
        raise OSError(-2, "Name or service not known")

    dialler = CloudClient(CloudSettings(leg=LEG), resolver=Resolver(lookup))
    with pytest.raises(DialFailed, match=r"^DNS: cloud\.example: Name or service not known$"):
        await dialler.dial(request("ws://cloud.example/ocpp"))
    dialler.close()


async def test_the_second_address_serves_when_the_first_refuses():
    async with cloud() as there:
        dialler = CloudClient(
            CloudSettings(leg=LEG), resolver=Resolver(lambda host: ["127.0.0.2", "127.0.0.1"])
        )
        listener = Listener()
        leg = await dialler.dial(request(f"ws://cloud.example:{there.port}", listener))
        assert there.requests[0].headers["Host"] == f"cloud.example:{there.port}"
        await close(leg, listener)
        dialler.close()


@pytest.mark.parametrize("segment", ["", "a b", "a/b", "a?b", "a#b", "a\r\nX: y", "ü"])
async def test_segments_that_would_break_the_request(segment):
    async with client() as dialler:
        with pytest.raises(DialFailed, match="path segment"):
            await dialler.dial(request("ws://127.0.0.1:1/", raw_segment=segment))


@pytest.mark.parametrize(
    "url", ["http://x/", "ws:///ocpp", "ws://x:99999/", "ws://x/#f", "ws://x:a/", "", "ws://[::1/"]
)
def test_cloud_urls_that_are_none(url):
    with pytest.raises(ConfigFault):
        check_base_url(url)


def test_a_ca_file_that_is_none(tmp_path):
    with pytest.raises(ConfigFault, match="cannot read the CA file: No such file"):
        CloudClient(CloudSettings(ca_file=tmp_path / "none.pem"))
    (tmp_path / "empty.pem").write_text("hello")
    with pytest.raises(ConfigFault, match="no PEM certificate"):
        CloudClient(CloudSettings(ca_file=tmp_path / "empty.pem"))
