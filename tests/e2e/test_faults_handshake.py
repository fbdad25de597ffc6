"""Faults 1 to 9 and 13 at the door of the real gateway: who may come in, and what a stranger learns."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from websockets.exceptions import InvalidStatus

from edgegw.sim.cloud import SimCloud
from tests.e2e.faults import V16, V21, V201, ask, basic, charger, dial, knock, shout, until
from tests.e2e.gateway import Gateways
from tests.links.chaos import ChaosProxy


async def test_fault_1_no_common_subprotocol(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        for offers in (None, "ocpp9.9"):
            status, heard = await knock(gateway.port, "/ocpp/CP1", offers=offers)
            assert status == 101, "OCPP-J 3.3: complete the handshake without the header, then close"
            assert b"sec-websocket-protocol" not in heard.lower()
        one = await dial(gateway, "CP1", offers=("ocpp9.9",))
        assert await one.end() == (1002, "no common subprotocol")
        await one.close()
        failures = (await ask(gateway, "/v1/site"))["handshake_failures"]
        assert "no common subprotocol (offered: ocpp9.9)" in failures[0]["text"]


async def test_fault_2_both_legs_speak_what_the_cloud_chose(gateways: Gateways) -> None:
    offers = (V21, V201, V16)
    async with SimCloud(versions=(V16, V201)) as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "CP1", offers=offers) as one:
            assert one.ws.subprotocol == V201
            assert cloud.connections["CP1"].offered == offers
        await cloud.cut()
        async with charger(gateway, "CP1", offers=offers) as one:
            assert one.ws.subprotocol == V201, "what it spoke last, for the cloud will be back"
            await cloud.restore()
            await cloud.wait_connected("CP1")
            assert (await one.call("Heartbeat", {}))[0] == 3
        cloud.versions = (V16,)
        async with charger(gateway, "CP1", offers=offers) as one:
            assert one.ws.subprotocol == V16, "the cloud changed its mind"


BAD_TARGETS = {
    "/ocpp/CP%2F..%2Fadmin": 400,
    "/../../etc": 404,
    "/ocpp/%00": 400,
    "/ocpp//CP1": 400,
    "//CP1": 404,
    "/ocpp/CP1/": 400,
    "/ocpp/CP1?x=1": 400,
    "/ocpp/CP%0a1": 400,
    "/ocpp/CP\x011": 400,
    "/ocpp/CPé": 400,
    "/ocpp/CP%C3%A9": 400,
    "/ocpp/%ED%A0%80": 400,
    "/ocpp/..": 400,
    "/ocpp/%2e%2e": 400,
    "/ocpp/": 404,
    "/ocpp": 404,
    "/": 404,
    "/ocpp/" + "x" * 49: 400,
    "/ocpp/CP1%20": 400,
    "/ocpp/%20CP1": 400,
    "/ocpp/" + "%43" * 48 + "%4": 400,
}


async def test_fault_3_bad_paths_never_reach_the_cloud(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        for target, wanted in BAD_TARGETS.items():
            status, heard = await knock(gateway.port, target)
            assert status in (wanted, 400), (target, heard)
            assert b"\r\n\r\n" in heard
            assert len(heard) < 400, "a stranger learns nothing but the status"
        assert not cloud.history
        assert (await ask(gateway, "/v1/chargers"))["chargers"] == []


async def test_fault_4_identities_are_compared_exactly(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url, {"chargers": {"unknown": "refuse", "known": ["Depot-1"]}})
        for target in ("/ocpp/DEPOT-1", "/ocpp/depot-1", "/ocpp/Depot-1%20", "/ocpp/D%D0%B5pot-1"):
            status, _ = await knock(gateway.port, target)
            assert status in (400, 404), target
        async with charger(gateway, "%44epot-1"):
            assert cloud.history[0].raw_segment == "%44epot-1", "dialled onward as the charger wrote it"
            assert cloud.history[0].identity == "Depot-1"
        assert len(cloud.history) == 1


async def test_fault_5_a_path_of_7_kb(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        assert (await knock(gateway.port, "/ocpp/" + "x" * 7000))[0] == 414
        assert (await knock(gateway.port, "/ocpp/" + "x" * 20_000))[0] in (0, 414, 431)
        assert not cloud.history


async def test_fault_6_an_unknown_identity_is_shown_to_the_technician_only(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url, {"chargers": {"unknown": "refuse", "known": ["CP1"]}})
        status, heard = await knock(gateway.port, "/ocpp/CP2")
        assert status == 404
        assert b"CP2" not in heard
        assert b"known" not in heard
        assert not cloud.history
        failure = (await ask(gateway, "/v1/site"))["handshake_failures"][0]
        assert failure["charger"] == "CP2"
        assert "unknown charger" in failure["text"]


async def test_fault_7_the_password_is_checked_without_the_cloud(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "CP1", password="the right one"):
            assert cloud.history[0].authorization == basic("CP1", "the right one")
        await until(lambda: stored_verifier(gateway))
        await cloud.cut()
        with pytest.raises(InvalidStatus) as refused:
            await dial(gateway, "CP1", password="a wrong one")
        assert refused.value.response.status_code == 401
        assert (await knock(gateway.port, "/ocpp/CP1"))[0] == 401, "no password at all"
        async with charger(gateway, "CP1", password="the right one"):
            pass
        await gateway.restart()
        assert (await knock(gateway.port, "/ocpp/CP1", headers={"Authorization": "Basic !!!"}))[0] == 401
        async with charger(gateway, "CP1", password="the right one"):
            pass


async def stored_verifier(gateway) -> bool:
    """The verifier is in the store a moment after the cloud let the charger in."""
    files = [path.read_bytes() for path in gateway.store.glob("edgegw.db*")]
    return any(b"verifier" in data and b"scrypt" in data for data in files)


async def test_fault_7_guessing_gets_slower_and_locks_nobody_out(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "CP1", password="right"):
            pass
        await until(lambda: stored_verifier(gateway))
        await cloud.cut()
        loop = asyncio.get_running_loop()
        took = []
        for guess in range(7):
            begun = loop.time()
            headers = {"Authorization": basic("CP1", str(guess))}
            assert (await knock(gateway.port, "/ocpp/CP1", headers=headers))[0] == 401
            took.append(loop.time() - begun)
        assert took[6] > 0.9, f"five a minute are free, then each waits longer: {took}"
        async with charger(gateway, "CP1", password="right") as late:
            assert (await late.call("Heartbeat", {}))[0] == 3


async def test_fault_7_the_cloud_s_own_refusal_is_passed_on(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        for status in (401, 403, 404):
            cloud.refuse_handshake(status)
            assert (await knock(gateway.port, "/ocpp/CP1"))[0] == status
        cloud.refuse_handshake(None)
        async with charger(gateway, "CP1"):
            pass


async def test_fault_8_a_second_charger_of_that_name_is_refused_while_the_first_lives(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "CP1") as first:
            with pytest.raises(InvalidStatus) as refused:
                await dial(gateway, "CP1")
            assert refused.value.response.status_code == 409
            assert (await first.call("Heartbeat", {}))[0] == 3
            failure = (await ask(gateway, "/v1/site"))["handshake_failures"][0]
            assert failure["charger"] == "CP1"
            assert len(cloud.history) == 1


async def test_fault_8_a_dead_one_is_replaced(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with ChaosProxy(gateway.port) as line:
            first = await dial(gateway, "CP1", port=line.port)
            await first.boot()
            line.freeze()
            async with charger(gateway, "CP1") as second:
                assert (await second.call("Heartbeat", {}))[0] == 3
                view = await ask(gateway, "/v1/chargers/CP1")
                assert view["connected"]
                assert view["cloud"]["up"]
            line.thaw()
            line.reset()
            await first.close()


async def test_fault_9_flapping_duplicates_cost_the_real_one_nothing(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "CP1") as real:
            knocks = [asyncio.create_task(knock(gateway.port, "/ocpp/CP1")) for _ in range(60)]
            for _ in range(20):
                assert (await real.call("Heartbeat", {}))[0] == 3
            statuses = {status for status, _ in await asyncio.gather(*knocks)}
            assert statuses <= {409, 503}, statuses
            assert not real.closed
            assert len(cloud.history) == 1, "the cloud is not dialled for them"
            assert len((await ask(gateway, "/v1/chargers"))["chargers"]) == 1


HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(200)


NO_WEBSOCKETS = {
    "a web browser": b"GET / HTTP/1.1\r\nHost: box\r\n\r\n",
    "a browser at a charger's path": b"GET /ocpp/CP1 HTTP/1.1\r\nHost: box\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": HELLO,
    "an upload": b"POST /ocpp/CP1 HTTP/1.1\r\nHost: box\r\nContent-Length: 3\r\n\r\nabc",
    "junk": bytes(range(256)) * 40,
    "http/1.0": b"GET /ocpp/CP1 HTTP/1.0\r\n\r\n",
    "an endless header": b"GET /ocpp/CP1 HTTP/1.1\r\nX: " + b"x" * 100_000,
}


async def test_fault_13_what_is_no_websocket_gets_400_or_nothing(gateways: Gateways) -> None:
    gateway = await gateways(None)
    for number, (name, data) in enumerate(NO_WEBSOCKETS.items(), 1):
        status, heard = await shout(gateway.port, data)
        assert status in (0, 400, 404, 405, 414, 426, 431, 505), (name, heard)
        assert len(heard) < 600, name
        assert b"edgegw" not in heard.lower()
        failures = (await ask(gateway, "/v1/site"))["handshake_failures"]
        assert len(failures) == number, (name, "one line each")
    async with charger(gateway, "CP1"):
        pass


async def test_fault_13_a_websocket_on_the_tls_port_and_the_other_way_round(gateways: Gateways) -> None:
    gateway = await gateways(None)
    context = ssl.create_default_context()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", gateway.port, ssl=context)
    async with charger(gateway, "CP1"):
        pass
