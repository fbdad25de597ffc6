"""Faults 1 to 9 and 13 at the door of the real gateway: who may come in, and what a stranger learns."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.exceptions import InvalidStatus

from edgegw.sim.cloud import SimCloud
from tests.e2e.children import Children
from tests.e2e.faults import V16, V21, V201, ask, basic, charger, dial, knock, shout, until
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.links.chaos import ChaosProxy

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class House:
    """One gateway and its cloud for all tests that bring a charger of their own and leave the cloud alone."""

    gateway: GatewayProcess
    cloud: SimCloud

    def dialled(self, identity: str) -> int:
        return sum(connection.identity == identity for connection in self.cloud.history)

    async def noted(self, text: str, charger: str) -> None:
        """Until a failed handshake of that charger is there, with this in its text."""

        async def look() -> bool:
            failures = (await ask(self.gateway, "/v1/site"))["handshake_failures"]
            return any(one["charger"] == charger and text in one["text"] for one in failures)

        await until(look)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with _gateways(tmp_path_factory.mktemp("house")) as gateways, SimCloud() as cloud:
        yield House(await gateways(cloud.url), cloud)


@pytest_asyncio.fixture(loop_scope="module")
async def gateways(tmp_path: Path) -> AsyncIterator[Gateways]:
    async with _gateways(tmp_path) as made:
        yield made


@asynccontextmanager
async def _gateways(folder: Path) -> AsyncIterator[Gateways]:
    children = Children(folder)
    try:
        made = Gateways(children, folder)
        yield made
        await made.close()
    finally:
        await children.close()


async def test_fault_1_no_common_subprotocol(house: House) -> None:
    for offers in (None, "ocpp9.9"):
        status, heard = await knock(house.gateway.port, "/ocpp/F1", offers=offers)
        assert status == 101, "OCPP-J 3.3: complete the handshake without the header, then close"
        assert b"sec-websocket-protocol" not in heard.lower()
    one = await dial(house.gateway, "F1", offers=("ocpp9.9",))
    assert await one.end() == (1002, "no common subprotocol")
    await one.close()
    await house.noted("no common subprotocol (offered: ocpp9.9)", "F1")


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


async def test_fault_3_bad_paths_never_reach_the_cloud(house: House) -> None:
    before = len(house.cloud.history)
    for target, wanted in BAD_TARGETS.items():
        status, heard = await knock(house.gateway.port, target)
        assert status in (wanted, 400), (target, heard)
        assert b"\r\n\r\n" in heard
        assert len(heard) < 400, "a stranger learns nothing but the status"
    assert len(house.cloud.history) == before
    chargers = (await ask(house.gateway, "/v1/chargers"))["chargers"]
    assert "CP1" not in str(chargers)


async def test_faults_4_and_6_who_is_not_known(gateways: Gateways) -> None:
    """Identities are compared exactly; whom the box does not know is shown to the technician only."""
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url, {"chargers": {"unknown": "refuse", "known": ["Depot-1"]}})
        for target in ("/ocpp/DEPOT-1", "/ocpp/depot-1", "/ocpp/Depot-1%20", "/ocpp/D%D0%B5pot-1"):
            status, heard = await knock(gateway.port, target)
            assert status in (400, 404), target
            assert b"pot-1" not in heard.lower()
            assert b"known" not in heard
        assert not cloud.history

        async def noted() -> list[dict[str, str]]:
            found: list[dict[str, str]] = (await ask(gateway, "/v1/site"))["handshake_failures"]
            return found if len(found) == 4 else []

        failures = await until(noted)
        assert [failure["charger"] for failure in failures[2:]] == ["depot-1", "DEPOT-1"]
        assert "unknown charger" in failures[2]["text"]
        async with charger(gateway, "%44epot-1"):
            assert cloud.history[0].raw_segment == "%44epot-1", "dialled onward as the charger wrote it"
            assert cloud.history[0].identity == "Depot-1"


async def test_fault_5_a_path_of_7_kb(house: House) -> None:
    before = len(house.cloud.history)
    assert (await knock(house.gateway.port, "/ocpp/" + "x" * 7000))[0] == 414
    assert (await knock(house.gateway.port, "/ocpp/" + "x" * 20_000))[0] in (0, 414, 431)
    assert len(house.cloud.history) == before


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


async def test_fault_8_a_second_one_is_refused_while_the_first_lives(house: House) -> None:
    async with charger(house.gateway, "F8") as first:
        with pytest.raises(InvalidStatus) as refused:
            await dial(house.gateway, "F8")
        assert refused.value.response.status_code == 409
        assert (await first.call("Heartbeat", {}))[0] == 3
        await house.noted("another connection of this identity is alive", "F8")
        assert house.dialled("F8") == 1


async def test_fault_8_a_dead_one_is_replaced(house: House) -> None:
    async with ChaosProxy(house.gateway.port) as line:
        first = await dial(house.gateway, "DEAD", port=line.port)
        await first.boot()
        line.freeze()
        async with charger(house.gateway, "DEAD") as second:
            assert (await second.call("Heartbeat", {}))[0] == 3

            async def here() -> bool:
                view = await ask(house.gateway, "/v1/chargers/DEAD")
                return view["connected"] and view["cloud"]["up"]

            await until(here)
        line.thaw()
        line.reset()
        await first.close()


async def test_fault_9_flapping_duplicates_cost_the_real_one_nothing(house: House) -> None:
    async with charger(house.gateway, "F9") as real:
        knocks = [asyncio.create_task(knock(house.gateway.port, "/ocpp/F9")) for _ in range(60)]
        for _ in range(20):
            assert (await real.call("Heartbeat", {}))[0] == 3
        statuses = {status for status, _ in await asyncio.gather(*knocks)}
        assert statuses <= {409, 503}, statuses
        assert not real.closed
        assert house.dialled("F9") == 1, "the cloud is not dialled for them"


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


async def test_fault_13_what_is_no_websocket_gets_400_or_nothing(house: House) -> None:
    async def refused() -> int:
        return (await ask(house.gateway, "/v1/site"))["counters"].get("handshake_refused", 0)

    async def counted(number: int) -> bool:
        return await refused() >= number

    before = await refused()
    for number, (name, data) in enumerate(NO_WEBSOCKETS.items(), 1):
        status, heard = await shout(house.gateway.port, data)
        assert status in (0, 400, 404, 405, 414, 426, 431, 505), (name, heard)
        assert len(heard) < 600, name
        assert b"edgegw" not in heard.lower()
        await until(lambda number=number: counted(before + number))
        assert await refused() == before + number, (name, "one line each")
    context = ssl.create_default_context()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", house.gateway.port, ssl=context)
    async with charger(house.gateway, "F13"):
        pass
