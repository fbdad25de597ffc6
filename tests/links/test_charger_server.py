"""From the TCP connect to an open leg or a refusal (faults 1-13)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import ssl
import struct
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from edgegw.links import acceptor, unfinished
from edgegw.links.charger_server import ChargerServer, ServerSettings
from edgegw.links.http_head import HEAD_BYTES_MAX
from edgegw.links.tls import CertificateFiles, server_context
from edgegw.links.websocket import LegSettings
from edgegw.runtime.ports import Refused
from tests.links.chaos import ChaosProxy
from tests.links.house import DEADLINE_S, Gate, RawPeer, connect, eventually, serving, text, upgrade_request

V16 = ["ocpp1.6"]
LEG = LegSettings(ping_interval_s=0.0, close_timeout_s=0.5)


def settings(**changes) -> ServerSettings:
    return ServerSettings(**({"leg": LEG} | changes))


async def exchange(port: int, request: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    peer = await RawPeer.connect(port)
    try:
        await peer.say(request)
        return await peer.hear_all()
    finally:
        await peer.close()


async def test_the_gatekeeper_hears_what_the_charger_asked_for():
    gate = Gate()
    async with serving(gate, settings()) as (_, port):
        peer = await RawPeer.connect(port)
        head = await peer.upgrade(
            "/ocpp/CP%2F1?x=%20",
            "ocpp2.0.1, ocpp1.6",
            "Sec-WebSocket-Protocol: ocpp2.1\r\nAuthorization: Basic Q1A6cHc=\r\n",
        )
        [request] = gate.requests
        assert request.target == "/ocpp/CP%2F1?x=%20"
        assert request.subprotocols == ("ocpp2.0.1", "ocpp1.6", "ocpp2.1")
        assert request.authorization == "Basic Q1A6cHc="
        assert request.compression is False
        assert request.peer_ip == "127.0.0.1"
        assert request.tls is False
        assert b"Sec-WebSocket-Protocol: ocpp2.0.1\r\n" in head
        assert b"server:" not in head.lower()
        leg = await gate.listeners[0].until_open()
        assert leg.subprotocol == "ocpp2.0.1"
        assert leg.peer.startswith("127.0.0.1:")
        await peer.close()


async def test_fault_1_no_common_subprotocol_is_101_without_the_header_then_close():
    gate = Gate(lambda request: gate.admitted(None, close_reason="no common OCPP version"))
    async with serving(gate, settings()) as (_, port):
        async with connect(
            f"ws://127.0.0.1:{port}/ocpp/CP1", subprotocols=["ocpp9.9"], proxy=None
        ) as charger:
            assert charger.subprotocol is None
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(charger.recv(), DEADLINE_S)
            assert (charger.close_code, charger.close_reason) == (1002, "no common OCPP version")
        assert gate.listeners[0].leg is None
        assert gate.listeners[0].closed == []


async def test_a_charger_that_offers_nothing_may_be_let_in_without_the_header():
    gate = Gate(lambda request: gate.admitted(None), echo=True)
    async with (
        serving(gate, settings()) as (_, port),
        connect(f"ws://127.0.0.1:{port}/ocpp/CP1", proxy=None) as charger,
    ):
        assert charger.subprotocol is None
        await charger.send("hello")
        assert await asyncio.wait_for(charger.recv(), DEADLINE_S) == "hello"


@pytest.mark.parametrize("chosen", ["ocpp2.1", "ocpp2.0.1", "ocpp1.6"])
async def test_fault_2_the_chosen_version_is_the_gatekeepers(chosen):
    gate = Gate(lambda request: gate.admitted(chosen))
    offered = ["ocpp2.1", "ocpp2.0.1", "ocpp1.6"]
    async with (
        serving(gate, settings()) as (_, port),
        connect(f"ws://127.0.0.1:{port}/ocpp/CP1", subprotocols=offered, proxy=None) as charger,
    ):
        assert charger.subprotocol == chosen


@pytest.mark.parametrize(
    "target",
    ["/ocpp/CP%2F..%2Fadmin", "/../../etc", "/%00", "//CP1", "/CP1/", "/ocpp/CP1?x=", "*", "http://x/CP1"],
)
async def test_fault_3_odd_targets_reach_the_gatekeeper_as_sent(target):
    gate = Gate(lambda request: Refused(status=404, reason="no such path"))
    async with serving(gate, settings()) as (_, port):
        answer = await exchange(port, upgrade_request(target))
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert gate.requests[0].target == target


@pytest.mark.parametrize("target", ["/ocpp/CPä", "/ocpp/C P1", "/ocpp/CP1\x01\x00", "/ocpp/C\nP1"])
async def test_fault_3_control_characters_and_raw_utf8_are_400(target):
    gate = Gate()
    async with serving(gate, settings()) as (_, port):
        answer = await exchange(port, upgrade_request(target))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert gate.requests == []
        await gate.until_failure()


async def test_fault_5_a_path_of_7_kb_is_414():
    gate = Gate()
    async with serving(gate, settings()) as (_, port):
        answer = await exchange(port, upgrade_request("/ocpp/" + "x" * 7000))
        assert answer.startswith(b"HTTP/1.1 414 ")
        assert "request line longer" in await gate.until_failure()
        # The line need not end for that.
        assert (await exchange(port, b"GET /" + b"x" * 5000)).startswith(b"HTTP/1.1 414 ")
        assert gate.requests == []


async def test_headers_without_end_are_431():
    gate = Gate()
    async with serving(gate, settings()) as (_, port):
        endless = b"GET /ocpp/CP1 HTTP/1.1\r\n" + b"X-Y: z\r\n" * (HEAD_BYTES_MAX // 8)
        assert (await exchange(port, endless)).startswith(b"HTTP/1.1 431 ")
        many = upgrade_request(more="X-Y: z\r\n" * 200)
        assert (await exchange(port, many)).startswith(b"HTTP/1.1 400 ")
        assert gate.requests == []


async def test_fault_6_a_refusal_says_nothing_more_than_its_status():
    gate = Gate(lambda request: Refused(status=404, reason="charger CP1 unknown, pending at the console"))
    async with serving(gate, settings()) as (_, port):
        answer = await exchange(port, upgrade_request())
        assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
        for secret in (b"CP1", b"pending", b"edgegw", b"websockets", b"Python", b"Server:"):
            assert secret not in answer


async def test_fault_7_a_wrong_password_is_401_with_a_challenge():
    gate = Gate(lambda request: Refused(status=401, reason="wrong password"))
    async with serving(gate, settings()) as (_, port):
        answer = await exchange(port, upgrade_request())
        assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
        assert b'WWW-Authenticate: Basic realm="edgegw"\r\n' in answer


async def test_fault_8_a_duplicate_is_refused_with_409_and_headers_of_the_gatekeeper():
    gate = Gate(
        lambda request: Refused(status=409, reason="alive", text="busy\n", headers={"Retry-After": "30"})
    )
    async with serving(gate, settings()) as (_, port):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{port}/ocpp/CP1", subprotocols=V16, proxy=None)
        response = refused.value.response
        assert (response.status_code, response.body, response.headers["Retry-After"]) == (
            409,
            b"busy\n",
            "30",
        )


async def test_fault_10_slowloris_is_dropped_at_the_timeout():
    gate = Gate()
    async with serving(gate, settings(handshake_timeout_s=0.3)) as (_server, port):
        async with ChaosProxy(port) as line:
            line.dribble(1, 0.02)
            peer = await RawPeer.connect(line.port)
            await peer.say(upgrade_request(more="X: y\r\n" * 100))
            assert "no complete request in time" in await gate.until_failure()
            await peer.close()
        silent = await RawPeer.connect(port)
        assert (await silent.hear_all()).startswith(b"HTTP/1.1 408 ")
        await silent.close()
        assert gate.requests == []


async def test_fault_10_unfinished_handshakes_are_few_per_address(monkeypatch):
    gate = Gate()
    monkeypatch.setattr(unfinished, "GRACE_S", 0.1)
    async with serving(gate, settings(half_open_per_ip_max=3)) as (server, port):
        slow = [await RawPeer.connect(port) for _ in range(3)]
        await slow[0].say(b"GET /ocpp")
        fourth = await RawPeer.connect(port)
        assert await fourth.hear_all() == b""
        await fourth.close()
        assert server.refused["too many unfinished handshakes from this address"] == 1
        assert gate.failures == [("127.0.0.1", "too many unfinished handshakes from this address")]
        await slow[1].close()
        await gate.until(lambda g: len(g.failures) == 2)
        peer = await RawPeer.connect(port)
        assert (await peer.upgrade()).startswith(b"HTTP/1.1 101 ")
        for each in (*slow, peer):
            await each.close()


async def test_fault_10_unfinished_handshakes_are_few_in_all(monkeypatch, server_tls):
    gate = Gate()
    monkeypatch.setattr(unfinished, "GRACE_S", 0.1)
    async with serving(gate, settings(half_open_max=2), tls=server_tls) as (server, port):
        slow = [await RawPeer.connect(port) for _ in range(2)]
        third = await RawPeer.connect(port)
        assert await third.hear_all() == b""
        await third.close()
        assert server.refused["too many unfinished handshakes"] == 1
        for each in slow:
            await each.close()


async def test_an_admission_that_takes_long_does_not_count_as_unfinished():
    go_on = asyncio.Event()

    async def decide(request):
        await go_on.wait()
        return gate.admitted("ocpp1.6")

    gate = Gate(decide)
    async with serving(gate, settings(half_open_per_ip_max=1)) as (_, port):
        first, second = await RawPeer.connect(port), None
        await first.say(upgrade_request())
        await gate.until(lambda g: len(g.requests) == 1)
        second = await RawPeer.connect(port)
        await second.say(upgrade_request("/ocpp/CP2"))
        await gate.until(lambda g: len(g.requests) == 2)
        go_on.set()
        for peer in (first, second):
            assert (await peer.hear_head()).startswith(b"HTTP/1.1 101 ")
            await peer.close()


async def test_connections_are_bounded():
    gate = Gate()
    async with serving(gate, settings(connections_max=1)) as (server, port):
        peer = await RawPeer.connect(port)
        await peer.upgrade()
        assert await exchange(port, b"") == b""
        assert server.refused["too many connections"] == 1
        await peer.close()
        await gate.listeners[0].until_closed()
        again = await RawPeer.connect(port)
        assert (await again.upgrade()).startswith(b"HTTP/1.1 101 ")
        await again.close()


@contextlib.contextmanager
def no_descriptors_left():
    """Every descriptor that this process may have is taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 64, hard))
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            os.close(filler)


async def test_fault_11_out_of_descriptors_it_waits_and_recovers(monkeypatch, caplog):
    monkeypatch.setattr(acceptor, "EXHAUSTED_PAUSE_S", 0.05)
    accepts = []
    accept = acceptor.Acceptor._accept
    monkeypatch.setattr(acceptor.Acceptor, "_accept", lambda self: (accepts.append(1), accept(self)))
    gate = Gate()
    async with serving(gate, settings()) as (_, port):
        client = await RawPeer.connect(port)
        await client.upgrade()
        late = socket.socket()
        late.setblocking(False)
        before = len(accepts)
        with no_descriptors_left():
            started = time.monotonic()
            await asyncio.get_running_loop().sock_connect(late, ("127.0.0.1", port))
            await eventually(lambda: len(accepts) >= before + 5)
            lines = [record for record in caplog.records if "cannot accept" in record.getMessage()]
            assert len(lines) == 1
            # It did not spin: between five tries lie four pauses.
            assert time.monotonic() - started >= 4 * 0.05
            await client.say(text(b"the others go on"))
            await gate.listeners[0].until_texts(1)
        peer = RawPeer(*await asyncio.open_connection(sock=late))
        assert (await peer.upgrade("/ocpp/CP2")).startswith(b"HTTP/1.1 101 ")
        await client.close()
        await peer.close()


async def test_fault_11_connects_without_data_leave_nothing_behind():
    gate = Gate()
    async with serving(gate, settings(half_open_per_ip_max=1000)) as (server, port):
        for _ in range(200):
            peer = await RawPeer.connect(port)
            await peer.close()
        await gate.until(lambda g: len(g.failures) == 200)
        assert {reason for _, reason in gate.failures} == {"left without a request"}
        await eventually(lambda: not server.connections)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
        (b"POST /ocpp/CP1 HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"GET /ocpp/CP1 HTTP/1.0\r\n\r\n", b"505"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
        (b"GET /ocpp/CP1\r\n\r\n", b"400"),
        (b"\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nbroken header\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"400"),
    ],
)
async def test_fault_13_what_is_no_handshake_gets_a_status_and_one_line(request_, status):
    gate = Gate()
    async with serving(gate, settings()) as (_, port):
        answer = await exchange(port, request_)
        assert answer.startswith(b"HTTP/1.1 " + status + b" ")
        await gate.until_failure()
        assert len(gate.failures) == 1
        assert gate.requests == []


@pytest.mark.parametrize(
    "change",
    ["Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: short", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="],
)
async def test_broken_handshakes_are_400(change):
    gate = Gate()
    async with serving(gate, settings()) as (_, port):
        answer = await exchange(port, upgrade_request(more=change + "\r\n"))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert gate.requests == []


async def test_fault_13_tls_on_the_port_without_tls_is_closed():
    gate = Gate()
    async with serving(gate, settings()) as (_, port):
        context = ssl.create_default_context()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await RawPeer.connect(port, ssl=context, server_hostname="localhost")
        assert await gate.until_failure() == "TLS on the port without TLS"


@pytest.fixture(scope="session")
def server_tls(certificates):
    certificate, key = certificates.make("server", "localhost")
    return server_context([CertificateFiles(certificate, key)])


@pytest.fixture
def client_tls(certificates):
    return ssl.create_default_context(cafile=certificates.authority)


async def test_chargers_connect_over_tls(server_tls, client_tls):
    gate = Gate(echo=True)
    async with serving(gate, settings(), tls=server_tls) as (_, port):
        url = f"wss://localhost:{port}/ocpp/CP1"
        async with connect(url, subprotocols=V16, proxy=None, ssl=client_tls, host="127.0.0.1") as charger:
            for message in ("short", "x" * 300_000):
                await charger.send(message)
                assert await asyncio.wait_for(charger.recv(), DEADLINE_S) == message
            assert gate.requests[0].tls
        assert await gate.listeners[0].until_closed() == (1000, "")


async def test_fault_13_plain_websocket_on_the_tls_port(server_tls):
    gate = Gate()
    async with serving(gate, settings(), tls=server_tls) as (_, port):
        await exchange(port, upgrade_request())
        assert await gate.until_failure() == "TLS: plain HTTP on the TLS port"
        assert len(gate.failures) == 1


async def test_fault_12_old_tls_is_refused_in_words(server_tls):
    gate = Gate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(gate, settings(), tls=server_tls) as (_, port):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await RawPeer.connect(port, ssl=context)
        assert await gate.until_failure() == "TLS: the other side wants a TLS version older than 1.2"


async def test_fault_12_a_charger_that_distrusts_our_certificate_is_reported(server_tls):
    gate = Gate()
    async with serving(gate, settings(), tls=server_tls) as (_, port):
        with pytest.raises(ssl.SSLCertVerificationError):
            await RawPeer.connect(port, ssl=ssl.create_default_context(), server_hostname="localhost")
        assert await gate.until_failure()


async def test_fault_10_a_tls_handshake_that_never_comes_is_dropped(server_tls):
    gate = Gate()
    async with serving(gate, settings(handshake_timeout_s=0.3), tls=server_tls) as (_, port):
        peer = await RawPeer.connect(port)
        assert await peer.hear_all() == b""
        assert await gate.until_failure() == "TLS: no TLS handshake in time"
        await peer.close()


async def test_a_charger_that_leaves_cancels_its_admission():
    async def decide(request):
        await asyncio.Event().wait()

    gate = Gate(decide)
    async with serving(gate, settings()) as (server, port):
        peer = await RawPeer.connect(port)
        await peer.say(upgrade_request())
        await gate.until(lambda g: g.requests)
        await peer.close()
        await gate.until(lambda g: g.cancelled == 1)
        await eventually(lambda: not server.connections)


async def test_an_admission_without_end_is_503():
    async def decide(request):
        await asyncio.Event().wait()

    gate = Gate(decide)
    async with serving(gate, settings(admission_timeout_s=0.1)) as (_, port):
        assert (await exchange(port, upgrade_request())).startswith(b"HTTP/1.1 503 ")
        await gate.until(lambda g: g.cancelled == 1)


async def test_a_gatekeeper_that_fails_costs_that_connection_only(caplog):
    def decide(request):
        if request.target.endswith("bad"):
            raise KeyError("bug")
        return gate.admitted("ocpp1.6")

    gate = Gate(decide)
    async with serving(gate, settings()) as (_, port):
        assert await exchange(port, upgrade_request("/ocpp/bad")) == b""
        peer = await RawPeer.connect(port)
        assert (await peer.upgrade()).startswith(b"HTTP/1.1 101 ")
        await peer.close()
    assert "handshake 127.0.0.1" in caplog.text


async def test_frames_sent_before_the_answer_arrive_after_on_open():
    go_on = asyncio.Event()

    async def decide(request):
        await go_on.wait()
        return gate.admitted("ocpp1.6")

    gate = Gate(decide)
    async with serving(gate, settings()) as (_, port):
        peer = await RawPeer.connect(port)
        await peer.say(upgrade_request() + text(b"one") + text(b"two")[:3])
        await gate.until(lambda g: g.requests)
        await peer.say(text(b"two")[:0])
        go_on.set()
        await peer.hear_head()
        assert await gate.listeners[0].until_texts(1) == [b"one"]
        await peer.close()
        await gate.listeners[0].until_closed()


async def test_stop_closes_every_leg_and_drops_the_dead():
    gate = Gate()
    server = ChargerServer(gate, settings(leg=LegSettings(close_timeout_s=30.0)))
    [(_, port)] = await server.start("127.0.0.1", 0)
    dead = await RawPeer.connect(port)
    await dead.upgrade()
    unfinished = await RawPeer.connect(port)
    await unfinished.say(b"GET /")
    async with connect(f"ws://127.0.0.1:{port}/ocpp/CP2", subprotocols=V16, proxy=None) as charger:
        stopping = asyncio.gather(server.stop(1012, timeout_s=0.3))
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(charger.recv(), DEADLINE_S)
        assert charger.close_code == 1012
        async with asyncio.timeout(DEADLINE_S):
            await stopping
    for listener in gate.listeners:
        assert len(listener.closed) == 1
    assert server.connections == 0
    with pytest.raises(ConnectionError):
        await RawPeer.connect(port)
    await dead.close()
    await unfinished.close()


async def test_the_close_frame_of_a_stop_reaches_the_peer():
    gate = Gate()
    async with serving(gate, settings()) as (server, port):
        peer = await RawPeer.connect(port)
        await peer.upgrade()
        stopping = asyncio.gather(server.stop(timeout_s=0.2))
        assert (await peer.hear_frame()).data[:2] == struct.pack("!H", 1001)
        await stopping
        await peer.close()


async def test_two_ports_one_server(server_tls):
    gate = Gate()
    async with serving(gate, settings()) as (server, port):
        [(_, tls_port)] = await server.start("127.0.0.1", 0, tls=server_tls)
        assert tls_port != port
        with pytest.raises(OSError, match="in use"):
            await server.start("127.0.0.1", port)


async def test_every_address_of_the_machine_has_one_port():
    gate = Gate()
    server = ChargerServer(gate, settings())
    addresses = await server.start("", 0)
    assert len({port for _, port in addresses}) == 1
    peer = await RawPeer.connect(addresses[0][1])
    assert (await peer.upgrade()).startswith(b"HTTP/1.1 101 ")
    await peer.close()
    await server.stop()


async def test_connections_wait_in_the_kernel_while_many_are_young(monkeypatch):
    monkeypatch.setattr(unfinished, "YOUNG_MAX", 2)
    monkeypatch.setattr(unfinished, "GRACE_S", DEADLINE_S)
    gate = Gate()
    async with serving(gate, settings()) as (server, port):
        slow = [await RawPeer.connect(port) for _ in range(2)]
        await eventually(lambda: server.connections == 2)
        assert server._acceptors[0]._held
        peer = await RawPeer.connect(port)
        waiting = server._unfinished
        for entry in tuple(waiting._young):  # their grace is over
            entry.timer.cancel()
            waiting._grow_old(entry, gate.failures.append)
        assert (await peer.upgrade()).startswith(b"HTTP/1.1 101 ")
        assert not server._acceptors[0]._held
        for each in (*slow, peer):
            await each.close()


async def test_three_hundred_chargers_at_once(monkeypatch):
    monkeypatch.setattr(unfinished, "GRACE_S", DEADLINE_S)  # this machine may be busy
    gate = Gate(echo=True)
    async with serving(gate, settings(handshake_timeout_s=3 * DEADLINE_S)) as (server, port):

        async def charge(number: int) -> None:
            url = f"ws://127.0.0.1:{port}/ocpp/CP{number}"
            patient = {"compression": None, "open_timeout": 3 * DEADLINE_S}
            async with connect(url, subprotocols=V16, proxy=None, **patient) as charger:
                await charger.send(str(number))
                assert await asyncio.wait_for(charger.recv(), 3 * DEADLINE_S) == str(number)

        await asyncio.gather(*(charge(number) for number in range(300)))
        assert server.refused.total() == 0
