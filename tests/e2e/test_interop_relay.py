"""A strict CSMS and strict chargers, all on ocpp-rpc, with the gateway between them.

They validate every message against the schemas of their version; a test fails at its end when one of them
saw anything it would not take (`Peers.assert_content`). Every test runs three chargers at once, one per
version; what goes wrong names the charger, and its name holds the version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.e2e.gateway import GatewayProcess, Gateways
from tests.interop.peers import Charger, Cloud, CommandFailed, Peers

V16, V201, V21 = VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
LOCAL_ID_MIN = 0x4000_0000  # 1.6 transaction ids that the gateway gives start here
TAG = "TAG-1"

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


# --- a session ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "segment"), [("RDAM|123", "RDAM%7C123"), ("RDAM 1", "RDAM%201")], ids=["pipe", "space"]
)
async def test_a_whole_session(name: str, segment: str, gateways: Gateways, peers: Peers) -> None:
    password = "0001:hübsch, aber kurz"  # a colon, a space and what is not ASCII
    cloud = await peers.cloud(passwords={f"{name} {version}": password for version in VERSIONS})
    gateway = await gateways(cloud.url)
    async with asyncio.TaskGroup() as group:
        for version in VERSIONS:
            charger = await peers.charger(gateway.url, f"{name} {version}", version, password=password)
            group.create_task(_session(charger, cloud, version, f"{segment}%20{version}", password))


async def _session(charger: Charger, cloud: Cloud, version: str, segment: str, password: str) -> None:
    assert await charger.connect() == version
    knock = await cloud.wait("knock", identity=charger.identity)
    assert knock["path"] == f"/csms/{segment}"
    assert (knock["password"], knock["offered"]) == (password, [version])

    boot = await charger.do("boot")
    assert (boot["status"], boot["interval"]) == ("Accepted", 300)
    await charger.do("status")
    assert await charger.do("authorize", tag=TAG) == "Accepted"
    transaction = await charge(charger)
    assert "currentTime" in await charger.call("Heartbeat", {})

    assert told(cloud, charger, version) == whole(version)
    if version == V16:
        started = cloud.seen("answered", identity=charger.identity, action="StartTransaction")[0]
        assert transaction == started["result"]["transactionId"] < LOCAL_ID_MIN
    heard = [call["action"] for call in cloud.calls(charger.identity)]
    assert heard[:3] == ["BootNotification", "StatusNotification", "Authorize"]
    assert heard[-1] == "Heartbeat"
    assert len(heard) == 8


async def test_a_charger_that_leaves_leaves_the_cloud(gateways: Gateways, peers: Peers) -> None:
    async def story(charger: Charger, cloud: Cloud, version: str) -> None:
        await charger.do("close")
        await cloud.wait("closed", identity=charger.identity)
        with pytest.raises(CommandFailed, match="not connected"):
            await cloud.call(charger.identity, "ClearCache", {})
        assert await charger.connect() == version
        await cloud.wait("connected", identity=charger.identity, count=2)
        assert len(cloud.calls(charger.identity)) == 1  # nobody boots for the charger

    cloud = await peers.cloud()
    await at_once(cloud, await gateways(cloud.url), peers, story)


async def test_the_clouds_refusals_reach_the_charger(gateways: Gateways, peers: Peers) -> None:
    cloud = await peers.cloud(passwords={"CP-1": "right"})
    gateway = await gateways(cloud.url)
    wrong = await peers.charger(gateway.url, "CP-1", V16, password="wrong")
    assert await _status_of_refusal(wrong) == 401
    unknown = await peers.charger(gateway.url, "CP-2", V201, password="right")
    assert await _status_of_refusal(unknown) == 404
    assert [(r["identity"], r["status"]) for r in cloud.seen("refused")] == [("CP-1", 401), ("CP-2", 404)]
    # a refusal is no outage: who is welcome still gets through
    right = await peers.charger(gateway.url, "CP-1", V16, password="right")
    assert await right.connect() == V16
    await cloud.do("refuse", status=403)
    assert await _status_of_refusal(unknown) == 403


async def _status_of_refusal(charger: Charger) -> int | None:
    with pytest.raises(CommandFailed) as refused:
        await charger.connect()
    return refused.value.status


# --- what the cloud asks --------------------------------------------------------------------------

PROFILE = {
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
}
PERIODS = [{"startPeriod": 0, "limit": 16.1}, {"startPeriod": 600, "limit": 6}]
VARIABLE = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}

ASKED_16 = {
    "ChangeAvailability": {"connectorId": 1, "type": "Operative"},
    "ChangeConfiguration": {"key": "HeartbeatInterval", "value": "300"},
    "ClearCache": {},
    "DataTransfer": {"vendorId": "edgegw", "messageId": "echo", "data": '{"n": 1.10}'},
    "GetConfiguration": {"key": ["HeartbeatInterval", "Unheard"]},
    "GetLocalListVersion": {},
    "Reset": {"type": "Soft"},
    "SendLocalList": {
        "listVersion": 8,
        "updateType": "Full",
        "localAuthorizationList": [{"idTag": "TAG-1", "idTagInfo": {"status": "Accepted"}}],
    },
    "SetChargingProfile": {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            **PROFILE,
            "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": PERIODS},
        },
    },
    "TriggerMessage": {"requestedMessage": "StatusNotification", "connectorId": 1},
    "UnlockConnector": {"connectorId": 1},
}
ASKED_2X = {
    "ChangeAvailability": {"operationalStatus": "Operative", "evse": {"id": 1}},
    "ClearCache": {},
    "DataTransfer": {"vendorId": "edgegw", "messageId": "echo", "data": {"n": [1.1, None, "ü"]}},
    "GetBaseReport": {"requestId": 1, "reportBase": "FullInventory"},
    "GetLocalListVersion": {},
    "GetTransactionStatus": {},
    "GetVariables": {"getVariableData": [VARIABLE]},
    "Reset": {"type": "OnIdle"},
    "SendLocalList": {
        "versionNumber": 8,
        "updateType": "Full",
        "localAuthorizationList": [
            {"idToken": {"idToken": "TAG-1", "type": "ISO14443"}, "idTokenInfo": {"status": "Accepted"}}
        ],
    },
    "SetChargingProfile": {
        "evseId": 1,
        "chargingProfile": {
            "id": 1,
            **PROFILE,
            "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": PERIODS}],
        },
    },
    "SetVariables": {"setVariableData": [{**VARIABLE, "attributeValue": "300"}]},
    "TriggerMessage": {"requestedMessage": "Heartbeat"},
    "UnlockConnector": {"evseId": 1, "connectorId": 1},
}


GET_LOG = {"log": {"remoteLocation": "ftp://log.example/"}, "logType": "SecurityLog", "requestId": 1}


async def test_the_cloud_asks_the_charger(gateways: Gateways, peers: Peers) -> None:
    async def story(charger: Charger, cloud: Cloud, version: str) -> None:
        asked = ASKED_16 if version == V16 else ASKED_2X
        answers = {
            action: await cloud.call(charger.identity, action, params) for action, params in asked.items()
        }
        assert [(call["action"], call["params"]) for call in charger.seen("call")] == list(asked.items())
        assert answers["UnlockConnector"] == {"status": "Unlocked"}
        assert answers["DataTransfer"] == {"status": "Accepted", "data": asked["DataTransfer"]["data"]}
        # each side has one CALL out, and they cross
        await asyncio.gather(
            *(cloud.call(charger.identity, "ClearCache", {}) for _ in range(20)),
            *(charger.call("Heartbeat", {}) for _ in range(20)),
        )

    cloud = await peers.cloud()
    await at_once(cloud, await gateways(cloud.url), peers, story)


async def test_refusals_of_single_messages(gateways: Gateways, peers: Peers) -> None:
    async def story(charger: Charger, cloud: Cloud, version: str) -> None:
        assert await charger.do("authorize", tag="STOLEN") == "Blocked"
        with pytest.raises(CommandFailed) as refused:
            await charger.call("DataTransfer", {"vendorId": "edgegw"})
        assert refused.value.code == "InternalError"
        # the one that failed is not in the way of the next one
        assert (await charger.call("DataTransfer", {"vendorId": "edgegw"}))["status"] == "Accepted"
        with pytest.raises(CommandFailed) as refused:
            await cloud.call(charger.identity, "GetLog", GET_LOG)
        assert refused.value.code == "NotImplemented"
        assert await cloud.call(charger.identity, "ClearCache", {}) == {"status": "Accepted"}

    cloud = await peers.cloud()
    cloud.expected.add("answered_error")
    await cloud.do("tag", tag="STOLEN", status="Blocked")
    await cloud.do("fail", action="DataTransfer", code="InternalError", times=1)
    await at_once(cloud, await gateways(cloud.url), peers, story)


async def test_the_cloud_starts_and_stops(gateways: Gateways, peers: Peers) -> None:
    async def story(charger: Charger, cloud: Cloud, version: str) -> None:
        start, params, stop = REMOTE_16 if version == V16 else REMOTE_2X
        assert (await cloud.call(charger.identity, start, params))["status"] == "Accepted"
        await until_told(cloud, charger, version, whole(version)[:1])
        # The charger knows its transaction once the answer has come through; a heartbeat is behind it.
        await charger.call("Heartbeat", {})
        stop_params = {"transactionId": _transaction_begun(cloud, charger, version)}
        assert (await cloud.call(charger.identity, stop, stop_params))["status"] == "Accepted"
        await until_told(cloud, charger, version, whole(version, samples=0))

    cloud = await peers.cloud()
    await at_once(cloud, await gateways(cloud.url), peers, story)


REMOTE_16: tuple[str, dict[str, Any], str] = (
    "RemoteStartTransaction",
    {"connectorId": 1, "idTag": TAG},
    "RemoteStopTransaction",
)
REMOTE_2X: tuple[str, dict[str, Any], str] = (
    "RequestStartTransaction",
    {"evseId": 1, "remoteStartId": 7, "idToken": {"idToken": TAG, "type": "Central"}},
    "RequestStopTransaction",
)


def _transaction_begun(cloud: Cloud, charger: Charger, version: str) -> Any:
    """What the CSMS calls it."""
    if version == V16:
        answered = cloud.seen("answered", identity=charger.identity, action="StartTransaction")
        return answered[-1]["result"]["transactionId"]
    return cloud.calls(charger.identity, "TransactionEvent")[-1]["params"]["transactionInfo"]["transactionId"]


# --- the cloud goes and comes back ----------------------------------------------------------------


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
