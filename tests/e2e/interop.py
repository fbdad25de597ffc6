"""What the tests with ocpp-rpc on both sides share: versions, whole transactions, what the cloud heard."""

from __future__ import annotations

from typing import Any

from tests.interop.peers import Charger, Cloud

V16, V201, V21 = VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
LOCAL_ID_MIN = 0x4000_0000  # 1.6 transaction ids that the gateway gives start here
TAG = "TAG-1"


async def charge(charger: Charger, samples: int = 2) -> Any:
    """A whole transaction; returns its id."""
    started = await charger.do("start", tag=TAG)
    assert started["status"] == "Accepted"
    for _ in range(samples):
        await charger.do("meter")
    stopped = await charger.do("stop")
    assert stopped["transaction"] == started["transaction"]
    return started["transaction"]


def told(cloud: Cloud, charger: Charger, version: str) -> list[str]:
    """What the CSMS heard about this charger's transactions, in order."""
    if version == V16:
        calls = cloud.calls(charger.identity, "StartTransaction", "MeterValues", "StopTransaction")
        return [call["action"] for call in calls]
    return [call["params"]["eventType"] for call in cloud.calls(charger.identity, "TransactionEvent")]


def whole(version: str, samples: int = 2) -> list[str]:
    """The same for one whole transaction."""
    if version == V16:
        return ["StartTransaction", *["MeterValues"] * samples, "StopTransaction"]
    return ["Started", *["Updated"] * samples, "Ended"]


async def until_told(cloud: Cloud, charger: Charger, version: str, expected: list[str]) -> None:
    """The CSMS has answered all of it, and has heard nothing else."""
    action = expected[-1] if version == V16 else "TransactionEvent"
    count = expected.count(action) if version == V16 else len(expected)
    await cloud.wait("answered", identity=charger.identity, action=action, count=count)
    assert told(cloud, charger, version) == expected
