"""Faults 14 to 31 at process level: one session misbehaves, its neighbour does not notice."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from edgegw.sim.cloud import SimCloud
from tests.e2e.children import DEADLINE_S
from tests.e2e.faults import (
    MANY_WITHIN_S,
    V16,
    V21,
    V201,
    ask,
    charger,
    dial,
    drained,
    meter,
    start_tx,
    until,
)
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.torture.corpus import NOT_FRAMES, frame, wires


@pytest.fixture
async def cloud() -> AsyncIterator[SimCloud]:
    async with SimCloud() as made:
        yield made


async def wire(gateway: GatewayProcess, data: bytes, identity: str) -> int:
    """Send bytes below the WebSocket of a live session. Its close code; 0: it lives on."""
    one = await dial(gateway, identity)
    await one.boot()
    one.ws.transport.write(data)
    try:
        answer = asyncio.create_task(one.call("Heartbeat", {}))
        ended = asyncio.create_task(one.end())
        done, _ = await asyncio.wait((answer, ended), timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        assert done, "neither answered nor closed"
        alive = answer in done and not answer.exception()
        for task in (answer, ended):
            task.cancel()
        await asyncio.gather(answer, ended, return_exceptions=True)
        return 0 if alive else one.ws.close_code or 0
    finally:
        await one.close()


async def test_faults_14_to_17_the_close_codes(gateways: Gateways, cloud: SimCloud) -> None:
    gateway = await gateways(cloud.url, {"chargers": {"max_message": "64 KiB"}})
    async with charger(gateway, "NEIGHBOUR") as neighbour:
        for case in wires(64 * 1024):
            code = await wire(gateway, case.data, "CP1")
            assert (code in case.codes) if case.codes else code == 0, (case.name, code)
            assert (await neighbour.call("Heartbeat", {}))[0] == 3
        assert not neighbour.closed


async def test_faults_18_to_28_no_frame_of_the_list_ends_a_session(
    gateways: Gateways, cloud: SimCloud
) -> None:
    gateway = await gateways(cloud.url)
    for version in (V16, V201, V21):
        async with charger(gateway, version, offers=(version,)) as one:
            for text in NOT_FRAMES:
                await one.send(text)
                assert (await one.call("Heartbeat", {}))[0] == 3, text[:100]
            unreadable = [frame for frame in one.frames if frame[0] == 4 and frame[1] == "-1"]
            assert bool(unreadable) == (version != V16), (
                "2.x answers what it cannot read, 1.6 has no such rule"
            )
            view = await ask(gateway, f"/v1/chargers/{version}/quarantine")
            assert 0 < len(view["frames"]) <= 100
    async with charger(gateway, "FAULT-25") as one:
        counters = (await ask(gateway, "/v1/site"))["counters"]
        for number in range(5000):
            await one.send(f'[3,"nobody-{number}",{{}}]')
        assert (await one.call("Heartbeat", {}))[0] == 3
        unknown = (await ask(gateway, "/v1/site"))["counters"]["charger_answer_unknown"]
        assert unknown - counters["charger_answer_unknown"] == 5000
    async with charger(gateway, "FAULT-18", boot=False) as one:
        for _ in range(100):
            await one.send("not json")
        assert (await one.end())[0] == 1008


async def test_fault_24_an_id_used_again(gateways: Gateways, cloud: SimCloud) -> None:
    """Also when other messages made the box forget the first use: billing is stored, both times."""
    gateway = await gateways(cloud.url)
    async with charger(gateway, "CP1") as one:
        await cloud.cut()
        local = (await one.call("StartTransaction", start_tx()))[2]["transactionId"]
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
        assert (await one.call("StatusNotification", status, "again"))[0] == 3
        for _ in range(30):
            await one.call("Heartbeat", {})
        one.frames.clear()
        assert (await one.call("MeterValues", meter(local, 1100), "again"))[0] == 3
        one.frames.clear()
        assert (await one.call("MeterValues", meter(local, 1200), "again"))[0] == 3
        one.frames.clear()
        assert (await one.call("MeterValues", meter(local, 1200), "again"))[0] == 3, "the same once more"
        await cloud.restore()
        await cloud.wait_calls("MeterValues", count=2, timeout_s=DEADLINE_S)
        await drained(gateway)
        values = [
            call.payload["meterValue"][0]["sampledValue"][0]["value"] for call in cloud.calls("MeterValues")
        ]
        assert values == ["1100", "1200"]


async def test_fault_29_a_thousand_calls_at_once_stay_in_order(gateways: Gateways, cloud: SimCloud) -> None:
    gateway = await gateways(cloud.url, {"cloud": {"answer_timeout": "20 s"}})
    async with charger(gateway, "CP1") as one, charger(gateway, "NEIGHBOUR") as neighbour:
        for number in range(1000):
            data = {"vendorId": "v", "data": str(number)}
            await one.send(json.dumps([2, f"n{number}", "DataTransfer", data]))
        assert (await neighbour.call("Heartbeat", {}))[0] == 3
        await one.count(1001)
        assert [frame[1] for frame in one.frames[1:]] == [f"n{number}" for number in range(1000)]
        sent = [int(call.payload["data"]) for call in cloud.calls("DataTransfer", "CP1")]
        assert sent == list(range(1000))


async def test_fault_29_a_thousand_meter_values_at_once_without_the_cloud(
    gateways: Gateways, cloud: SimCloud
) -> None:
    gateway = await gateways(cloud.url)
    async with charger(gateway, "CP1") as one:
        local = (await one.call("StartTransaction", start_tx()))[2]["transactionId"]
        await cloud.cut()
        one.frames.clear()
        for number in range(1000):
            await one.send(json.dumps([2, f"n{number}", "MeterValues", meter(local, number)]))
        await one.count(1000)
        assert [frame[1] for frame in one.frames] == [f"n{number}" for number in range(1000)]
        await cloud.restore()
        await cloud.wait_calls("MeterValues", count=1000, timeout_s=MANY_WITHIN_S)
        ids = [call.id for call in cloud.calls("MeterValues")]
        assert list(dict.fromkeys(ids)) == [f"n{number}" for number in range(1000)]


async def test_fault_30_a_message_of_20_000_samples(gateways: Gateways, cloud: SimCloud) -> None:
    gateway = await gateways(cloud.url)
    async with charger(gateway, "CP1") as one, charger(gateway, "NEIGHBOUR") as neighbour:
        text = json.dumps([2, "huge", "MeterValues", meter(1, 0, samples=20_000)])
        assert 500_000 < len(text) < 4 * 2**20
        huge = asyncio.create_task(one.send(text))
        worst_s = 0.0
        loop = asyncio.get_running_loop()
        while not any(frame[1] == "huge" for frame in one.frames):
            begun = loop.time()
            assert (await neighbour.call("Heartbeat", {}))[0] == 3
            worst_s = max(worst_s, loop.time() - begun)
        await huge
        print(f"fault 30: {len(text)} bytes; the neighbour waited {worst_s * 1000:.0f} ms at most")
        assert (await cloud.wait_calls("MeterValues", timeout_s=DEADLINE_S))[0].raw == text


async def test_fault_31_a_charger_that_never_reads(gateways: Gateways, cloud: SimCloud) -> None:
    gateway = await gateways(cloud.url, {"cloud": {"answer_timeout": "20 s"}})
    cloud.desk.clock = lambda: "x" * 100_000  # every Heartbeat is answered at length
    async with charger(gateway, "NEIGHBOUR") as neighbour:
        deaf = await deaf_charger(gateway.port)
        try:
            loop = asyncio.get_running_loop()
            for number in range(400):
                await loop.sock_sendall(deaf, frame(1, b'[2,"d%d","Heartbeat",{}]' % number))
                if number % 40 == 0:
                    assert (await neighbour.call("DataTransfer", {"vendorId": "v"}))[0] == 3
            await until(lambda: is_gone(gateway), MANY_WITHIN_S)
        except ConnectionError:
            await until(lambda: is_gone(gateway), MANY_WITHIN_S)  # it was let go of: what must be done
        finally:
            deaf.close()
        assert not neighbour.closed
        words = ("wait for a peer that does not read them", "has read nothing for")
        await until(lambda: any(why in gateway.log for why in words))


async def is_gone(gateway: GatewayProcess) -> bool:
    return not (await ask(gateway, "/v1/chargers/DEAF"))["connected"]


async def deaf_charger(port: int) -> socket.socket:
    """A socket with a WebSocket session on it that nobody reads."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(
        sock,
        b"GET /ocpp/DEAF HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n",
    )
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += await loop.sock_recv(sock, 1024)
    assert heard.startswith(b"HTTP/1.1 101")
    return sock


async def test_fault_55_the_cloud_s_junk_costs_the_charger_nothing(
    gateways: Gateways, cloud: SimCloud
) -> None:
    gateway = await gateways(cloud.url, {"cloud": {"max_message": "64 KiB", "answer_timeout": "1 s"}})
    async with charger(gateway, "CP1") as one:
        for text in NOT_FRAMES:
            await cloud.send_text("CP1", text.decode("utf-8", "replace"))
        assert (await one.call("Heartbeat", {}))[0] == 3
        for case in wires(64 * 1024, masked=False):
            connection = await cloud.wait_connected("CP1", DEADLINE_S)
            connection.ws.transport.write(case.data)
            assert (await one.call("Heartbeat", {}))[0] == 3, case.name
            if case.codes:
                await until(lambda old=connection: not old.open)
        assert not one.closed
        await cloud.wait_connected("CP1", DEADLINE_S)
        assert await cloud.call("CP1", "ClearCache", {}) == {"status": "Accepted"}
