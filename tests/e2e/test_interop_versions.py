"""Which OCPP version a charger gets: the one the cloud chose from exactly what the charger offered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.e2e.children import DEADLINE_S
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.e2e.interop import TAG, V16, V21, V201, charge
from tests.interop.peers import CommandFailed, Peers

Offer = Sequence[str]


@asynccontextmanager
async def dialled(gateway: GatewayProcess, identity: str, offer: Offer) -> AsyncIterator[ClientConnection]:
    """A connection that takes any answer to its offer."""
    wanted = [Subprotocol(name) for name in offer] or None
    async with connect(
        f"{gateway.url}/{identity}", subprotocols=wanted, open_timeout=DEADLINE_S, proxy=None
    ) as ws:
        yield ws


async def closing(ws: ClientConnection) -> tuple[int, str]:
    """Code and reason with which the other side closes it, before it says anything."""
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_the_charger_gets_what_the_cloud_chose(gateways: Gateways, peers: Peers) -> None:
    cloud = await peers.cloud(V201, V16)
    gateway = await gateways(cloud.url)
    offers = [([V21, V201, V16], V201), ([V21, V16], V16), ([V201], V201), (["ocpp9.9", V16], V16)]
    for number, (offer, chosen) in enumerate(offers):
        identity = f"CP-{number}"
        async with dialled(gateway, identity, offer) as ws:
            assert ws.subprotocol == chosen
        assert (await cloud.wait("knock", identity=identity))["offered"] == offer
    # ocpp-rpc takes it just as well, and lives on it
    charger = await peers.charger(gateway.url, "CP-RPC", V21, V201, V16)
    assert await charger.connect() == V201
    await charger.do("boot")
    await charger.do("authorize", tag=TAG)
    await charge(charger)


async def test_no_version_in_common(gateways: Gateways, peers: Peers) -> None:
    """101 without a subprotocol, then close (OCPP-J 3.3); the cloud's connection is closed with it."""
    cloud = await peers.cloud(V16)
    gateway = await gateways(cloud.url)
    for identity, offer in (("CP-1", [V21, V201]), ("CP-2", ["ocpp9.9"])):
        async with dialled(gateway, identity, offer) as ws:
            assert ws.subprotocol is None
            assert await closing(ws) == (1002, "no common subprotocol")
        await cloud.wait("closed", identity=identity)
    # ocpp-rpc says it in its own words
    charger = await peers.charger(gateway.url, "CP-3", V201)
    with pytest.raises(CommandFailed, match="Server sent no subprotocol"):
        await charger.connect()
    # and nobody is locked out by it
    async with dialled(gateway, "CP-1", [V201, V16]) as ws:
        assert ws.subprotocol == V16


@pytest.mark.parametrize(
    "chargers", [{}, {"missing_subprotocol": V16}], ids=["refused by default", "taken as 1.6"]
)
async def test_a_charger_that_offers_nothing(
    chargers: dict[str, Any], gateways: Gateways, peers: Peers
) -> None:
    cloud = await peers.cloud(V201, V16)
    gateway = await gateways(cloud.url, {"chargers": chargers})
    async with dialled(gateway, "CP-1", []) as ws:
        assert ws.subprotocol is None
        if not chargers:
            assert await closing(ws) == (1002, "no common subprotocol")
            return
        await ws.send('[2,"1","Heartbeat",{}]')
        async with asyncio.timeout(DEADLINE_S):
            assert str(await ws.recv()).startswith('[3,"1",{"currentTime"')
    assert (await cloud.wait("connected", identity="CP-1"))["protocol"] == V16
    await cloud.wait("closed", identity="CP-1")
    assert len(cloud.calls("CP-1", "Heartbeat")) == 1


async def test_the_cloud_comes_back_with_another_choice(gateways: Gateways, peers: Peers) -> None:
    """Away from the cloud the charger's first wish counts; when the cloud then chooses another version,
    the charger is told to connect again, and gets that."""
    cloud = await peers.cloud(V201)
    await cloud.do("cut")
    gateway = await gateways(cloud.url)
    offer = [V21, V201, V16]
    async with dialled(gateway, "CP-1", offer) as ws:
        assert ws.subprotocol == V21
        await cloud.do("restore")
        code, reason = await closing(ws)
        assert (code, "another OCPP version" in reason) == (1012, True)
    async with dialled(gateway, "CP-1", offer) as ws:
        assert ws.subprotocol == V201
    # from now on that is the version to speak while the cloud is away
    await cloud.do("cut")
    async with dialled(gateway, "CP-1", offer) as ws:
        assert ws.subprotocol == V201
