"""A strict CSMS that goes away and comes back, and strict chargers behind the gateway; all on ocpp-rpc.

Every test runs three chargers at once, one per version; the name of a charger holds its version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.e2e.gateway import GatewayProcess, Gateways
from tests.e2e.interop import LOCAL_ID_MIN, TAG, V16, VERSIONS, charge, until_told, whole
from tests.interop.peers import Charger, Cloud, Peers

Story = Callable[[Charger, Cloud, str], Awaitable[None]]


async def at_once(cloud: Cloud, gateway: GatewayProcess, peers: Peers, story: Story, **options: Any) -> None:
    """The story with one connected and booted charger of each version, all at the same time."""
    async with asyncio.TaskGroup() as group:
        for version in VERSIONS:
            charger = await peers.charger(gateway.url, f"CP-{version}", version, **options)
            group.create_task(_begin(charger, cloud, version, story), name=version)


async def _begin(charger: Charger, cloud: Cloud, version: str, story: Story) -> None:
    assert await charger.connect() == version
    assert (await charger.do("boot"))["status"] == "Accepted"
    await story(charger, cloud, version)


async def test_the_cloud_is_away_in_mid_transaction(gateways: Gateways, peers: Peers) -> None:
    """One transaction that began online ends away from the cloud, another runs wholly without it."""
    away, back = asyncio.Barrier(len(VERSIONS) + 1), asyncio.Barrier(len(VERSIONS) + 1)

    async def story(charger: Charger, cloud: Cloud, version: str) -> None:
        assert await charger.do("authorize", tag=TAG) == "Accepted"  # the gateway knows it from now on
        first = (await charger.do("start", tag=TAG))["transaction"]
        await charger.do("meter")
        await away.wait()
        await away.wait()
        await charger.do("meter")
        await charger.do("status")
        assert (await charger.do("stop"))["transaction"] == first
        assert await charger.do("authorize", tag=TAG) == "Accepted"
        assert await charger.do("authorize", tag="NEVER-SEEN") not in ("Accepted", None)
        second = await charge(charger)
        assert "currentTime" in await charger.call("Heartbeat", {})
        await back.wait()
        await until_told(cloud, charger, version, whole(version) * 2)
        check = _assert_ids_of_16 if version == V16 else _assert_offline_flags
        check(cloud, charger, first, second)
        await charge(charger, samples=0)
        await until_told(cloud, charger, version, whole(version) * 2 + whole(version, samples=0))

    async def weather(cloud: Cloud) -> None:
        await away.wait()
        await cloud.do("cut")
        await away.wait()
        await back.wait()
        await cloud.do("restore")

    cloud = await peers.cloud()
    gateway = await gateways(cloud.url)
    async with asyncio.TaskGroup() as group:
        group.create_task(weather(cloud))
        group.create_task(at_once(cloud, gateway, peers, story))


def _assert_ids_of_16(cloud: Cloud, charger: Charger, first: int, second: int) -> None:
    assert first < LOCAL_ID_MIN <= second
    answered = cloud.seen("answered", identity=charger.identity, action="StartTransaction")
    begun = [one["result"]["transactionId"] for one in answered]
    assert begun[0] == first
    later = cloud.calls(charger.identity, "MeterValues", "StopTransaction")
    assert [call["params"]["transactionId"] for call in later] == [begun[0]] * 3 + [begun[1]] * 3


def _assert_offline_flags(cloud: Cloud, charger: Charger, first: str, second: str) -> None:
    events = [call["params"] for call in cloud.calls(charger.identity, "TransactionEvent")]
    assert [e["transactionInfo"]["transactionId"] for e in events] == [first] * 4 + [second] * 4
    assert [e["seqNo"] for e in events] == [0, 1, 2, 3] * 2
    assert [e.get("offline", False) for e in events] == [False] * 2 + [True] * 6


async def test_the_gateway_is_killed_in_an_outage(gateways: Gateways, peers: Peers) -> None:
    cloud = await peers.cloud()
    gateway = await gateways(cloud.url)
    rounds = asyncio.Barrier(len(VERSIONS) + 1)

    async def story(charger: Charger, cloud: Cloud, version: str) -> None:
        await charger.do("start", tag=TAG)
        await rounds.wait()
        await rounds.wait()  # the cloud is away
        await charger.do("meter")
        await rounds.wait()  # kill -9
        await charger.wait("open", count=2)
        assert (await charger.do("boot"))["status"] == "Accepted"
        await charger.do("meter")
        await charger.do("stop")
        await rounds.wait()  # SIGTERM
        await charger.wait("open", count=3)
        await rounds.wait()  # the cloud is back
        await until_told(cloud, charger, version, whole(version))

    async def weather() -> None:
        await rounds.wait()
        await cloud.do("cut")
        await rounds.wait()
        await rounds.wait()
        await gateway.restart()
        await rounds.wait()
        await gateway.restart(hard=False)
        await rounds.wait()
        await cloud.do("restore")

    async with asyncio.TaskGroup() as group:
        group.create_task(weather())
        group.create_task(at_once(cloud, gateway, peers, story, reconnect=True))
