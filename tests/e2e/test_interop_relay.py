"""A strict CSMS and a strict charger, both on ocpp-rpc, with the gateway between them.

Both validate every message against the schemas of their version; a test fails at its end when either saw
anything it would not take (`Peers.assert_content`).
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.e2e.gateway import Gateways
from tests.interop.peers import Charger, Cloud, CommandFailed, Peers

V16, V201, V21 = VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
LOCAL_ID_MIN = 0x4000_0000  # 1.6 transaction ids of the gateway's own start here

every_version = pytest.mark.parametrize("version", VERSIONS)


async def charge(charger: Charger, tag: str = "TAG-1", samples: int = 2) -> Any:
    """A whole transaction; returns its id."""
    started = await charger.do("start", tag=tag)
    assert started["status"] == "Accepted"
    for _ in range(samples):
        await charger.do("meter")
    stopped = await charger.do("stop")
    assert stopped["transaction"] == started["transaction"]
    return started["transaction"]


def transaction_id(call: dict[str, Any], version: str) -> Any:
    params = call["params"]
    return params["transactionId"] if version == V16 else params["transactionInfo"]["transactionId"]


def told(cloud: Cloud, version: str) -> list[str]:
    """What the CSMS heard about transactions, in order."""
    if version == V16:
        names = ("StartTransaction", "MeterValues", "StopTransaction")
        return [call["action"] for call in cloud.calls() if call["action"] in names]
    return [call["params"]["eventType"] for call in cloud.calls("TransactionEvent")]


def whole(version: str, samples: int = 2) -> list[str]:
    """The same for one whole transaction."""
    if version == V16:
        return ["StartTransaction", *["MeterValues"] * samples, "StopTransaction"]
    return ["Started", *["Updated"] * samples, "Ended"]


# --- a session ------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize(
    ("identity", "segment"), [("RDAM|123", "RDAM%7C123"), ("RDAM 1", "RDAM%201")], ids=["pipe", "space"]
)
async def test_a_whole_session(
    version: str, identity: str, segment: str, gateways: Gateways, peers: Peers
) -> None:
    password = "0001:hübsch, aber kurz"  # a colon and what is not ASCII
    cloud = await peers.cloud(passwords={identity: password})
    gateway = await gateways(cloud.url)
    charger = await peers.charger(gateway.url, identity, version, password=password)

    assert await charger.connect() == version
    knock = await cloud.wait("knock")
    assert (knock["identity"], knock["path"]) == (identity, f"/csms/{segment}")
    assert (knock["password"], knock["offered"]) == (password, [version])

    boot = await charger.do("boot")
    assert (boot["status"], boot["interval"]) == ("Accepted", 300)
    await charger.do("status")
    assert await charger.do("authorize", tag="TAG-1") == "Accepted"
    transaction = await charge(charger)
    heartbeat = await charger.call("Heartbeat", {})
    assert "currentTime" in heartbeat

    assert told(cloud, version) == whole(version)
    if version == V16:
        started = cloud.seen("answered", action="StartTransaction")[0]
        assert transaction == started["result"]["transactionId"] < LOCAL_ID_MIN
    heard = [call["action"] for call in cloud.calls()]
    assert heard[:3] == ["BootNotification", "StatusNotification", "Authorize"]
    assert heard[-1] == "Heartbeat"
    assert len(heard) == 8


@every_version
async def test_a_tag_the_cloud_refuses(version: str, gateways: Gateways, peers: Peers) -> None:
    cloud = await peers.cloud()
    await cloud.do("tag", tag="STOLEN", status="Blocked")
    gateway = await gateways(cloud.url)
    charger = await peers.charger(gateway.url, "CP-1", version)
    await charger.connect()
    await charger.do("boot")
    assert await charger.do("authorize", tag="STOLEN") == "Blocked"
    await cloud.do("fail", action="DataTransfer", code="InternalError")
    cloud.expected.add("answered_error")
    with pytest.raises(CommandFailed) as refused:
        await charger.call("DataTransfer", {"vendorId": "edgegw"})
    assert refused.value.code == "InternalError"
    # the next one is not in the way of the one that failed
    assert (await charger.call("DataTransfer", {"vendorId": "edgegw"}))["status"] == "Accepted"


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


@every_version
async def test_the_cloud_asks_the_charger(version: str, gateways: Gateways, peers: Peers) -> None:
    cloud = await peers.cloud()
    gateway = await gateways(cloud.url)
    charger = await peers.charger(gateway.url, "CP-1", version)
    await charger.connect()
    await charger.do("boot")

    asked = ASKED_16 if version == V16 else ASKED_2X
    answers = {action: await cloud.call("CP-1", action, params) for action, params in asked.items()}
    assert [(call["action"], call["params"]) for call in charger.seen("call")] == list(asked.items())
    assert answers["UnlockConnector"] == {"status": "Unlocked"}
    assert answers["DataTransfer"] == {"status": "Accepted", "data": asked["DataTransfer"]["data"]}

    # both ways at once: each side has one CALL out, and they cross
    await asyncio.gather(
        *(cloud.call("CP-1", "ClearCache", {}) for _ in range(20)),
        *(charger.call("Heartbeat", {}) for _ in range(20)),
    )
    with pytest.raises(CommandFailed) as refused:
        await cloud.call("CP-1", "GetLog", GET_LOG_16 if version == V16 else GET_LOG_2X)
    assert refused.value.code == "NotImplemented"
    with pytest.raises(CommandFailed, match="not connected"):
        await cloud.call("CP-2", "ClearCache", {})


GET_LOG_16 = {"log": {"remoteLocation": "ftp://log.example/"}, "logType": "SecurityLog", "requestId": 1}
GET_LOG_2X = GET_LOG_16


@every_version
async def test_the_cloud_starts_and_stops(version: str, gateways: Gateways, peers: Peers) -> None:
    cloud = await peers.cloud()
    gateway = await gateways(cloud.url)
    charger = await peers.charger(gateway.url, "CP-1", version)
    await charger.connect()
    await charger.do("boot")
    if version == V16:
        start, first, last = "RemoteStartTransaction", "StartTransaction", "StopTransaction"
        params: dict[str, Any] = {"connectorId": 1, "idTag": "TAG-1"}
    else:
        start, first, last = "RequestStartTransaction", "TransactionEvent", "TransactionEvent"
        params = {"evseId": 1, "remoteStartId": 7, "idToken": {"idToken": "TAG-1", "type": "Central"}}
    assert (await cloud.call("CP-1", start, params))["status"] == "Accepted"
    began = await cloud.wait("answered", action=first)
    stop = "RemoteStopTransaction" if version == V16 else "RequestStopTransaction"
    if version == V16:
        ours = began["result"]["transactionId"]
    else:
        ours = transaction_id(cloud.calls("TransactionEvent")[0], version)
    # The charger knows its transaction once the answer has come through; a heartbeat behind it says so.
    await charger.call("Heartbeat", {})
    assert (await cloud.call("CP-1", stop, {"transactionId": ours}))["status"] == "Accepted"
    await cloud.wait("answered", action=last, count=1 if version == V16 else 2)
    assert told(cloud, version) == whole(version, samples=0)


# --- who may come in ------------------------------------------------------------------------------


async def test_the_clouds_refusals_reach_the_charger(gateways: Gateways, peers: Peers) -> None:
    cloud = await peers.cloud(passwords={"CP-1": "right"})
    gateway = await gateways(cloud.url)
    wrong = await peers.charger(gateway.url, "CP-1", V16, password="wrong")
    unknown = await peers.charger(gateway.url, "CP-2", V201, password="right")
    with pytest.raises(CommandFailed) as refused:
        await wrong.connect()
    assert refused.value.status == 401
    with pytest.raises(CommandFailed) as refused:
        await unknown.connect()
    assert refused.value.status == 404
    assert [(r["identity"], r["status"]) for r in cloud.seen("refused")] == [("CP-1", 401), ("CP-2", 404)]
    # a refusal is no outage: who is welcome still gets through
    right = await peers.charger(gateway.url, "CP-1", V16, password="right")
    assert await right.connect() == V16
    await cloud.do("refuse", status=403)
    with pytest.raises(CommandFailed) as refused:
        await unknown.connect()
    assert refused.value.status == 403


@every_version
async def test_a_charger_that_leaves_leaves_the_cloud(version: str, gateways: Gateways, peers: Peers) -> None:
    cloud = await peers.cloud()
    gateway = await gateways(cloud.url)
    charger = await peers.charger(gateway.url, "CP-1", version)
    await charger.connect()
    await charger.do("boot")
    await charger.do("close")
    await cloud.wait("closed", identity="CP-1")
    assert await charger.connect() == version
    await cloud.wait("connected", count=2)
    assert len(cloud.calls("BootNotification")) == 1  # nobody boots for the charger


# --- the cloud goes and comes back ----------------------------------------------------------------


async def _until_told(cloud: Cloud, version: str, expected: list[str]) -> None:
    last = expected[-1]
    if version == V16:
        await cloud.wait("answered", action=last, count=expected.count(last))
    else:
        await cloud.wait("answered", action="TransactionEvent", count=len(expected))
    assert told(cloud, version) == expected


@every_version
async def test_the_cloud_is_away_in_mid_transaction(version: str, gateways: Gateways, peers: Peers) -> None:
    """One transaction that began online ends away from the cloud, another runs wholly without it."""
    cloud = await peers.cloud()
    gateway = await gateways(cloud.url)
    charger = await peers.charger(gateway.url, "CP-1", version)
    await charger.connect()
    await charger.do("boot")
    assert await charger.do("authorize", tag="TAG-1") == "Accepted"  # and is in the cache from now on
    first = (await charger.do("start", tag="TAG-1"))["transaction"]
    await charger.do("meter")

    await cloud.do("cut")
    await charger.do("meter")
    await charger.do("status", status="Available")
    assert (await charger.do("stop"))["transaction"] == first
    assert await charger.do("authorize", tag="TAG-1") == "Accepted"
    assert await charger.do("authorize", tag="NEVER-SEEN") == "Invalid" if version == V16 else True
    second = await charge(charger)
    assert "currentTime" in await charger.call("Heartbeat", {})

    await cloud.do("restore")
    await _until_told(cloud, version, whole(version) * 2)
    if version == V16:
        _assert_ids_of_16(cloud, first, second)
    else:
        _assert_offline_flags(cloud, first, second)
    # and live again
    third = await charge(charger, samples=0)
    await _until_told(cloud, version, whole(version) * 2 + whole(version, samples=0))
    if version == V16:
        assert third < LOCAL_ID_MIN


def _assert_ids_of_16(cloud: Cloud, first: int, second: int) -> None:
    assert first < LOCAL_ID_MIN <= second
    begun = [one["result"]["transactionId"] for one in cloud.seen("answered", action="StartTransaction")]
    assert begun[0] == first
    heard = [
        transaction_id(call, V16) for call in cloud.calls() if call["action"] in ("MeterValues", "StopTransaction")
    ]
    assert heard == [begun[0]] * 3 + [begun[1]] * 3


def _assert_offline_flags(cloud: Cloud, first: str, second: str) -> None:
    events = [call["params"] for call in cloud.calls("TransactionEvent")]
    assert [e["transactionInfo"]["transactionId"] for e in events] == [first] * 4 + [second] * 4
    assert [e["seqNo"] for e in events] == [0, 1, 2, 3] * 2
    assert [e.get("offline", False) for e in events] == [False] * 2 + [True] * 6


@every_version
async def test_the_gateway_is_killed_in_an_outage(version: str, gateways: Gateways, peers: Peers) -> None:
    cloud = await peers.cloud()
    gateway = await gateways(cloud.url)
    charger = await peers.charger(gateway.url, "CP-1", version, reconnect=True)
    await charger.connect()
    await charger.do("boot")
    await charger.do("start", tag="TAG-1")
    await cloud.do("cut")
    await charger.do("meter")

    await gateway.restart()
    await charger.wait("open", count=2)
    assert (await charger.do("boot"))["status"] == "Accepted"
    await charger.do("meter")
    await charger.do("stop")
    await gateway.restart(hard=False)
    await charger.wait("open", count=3)

    await cloud.do("restore")
    await _until_told(cloud, version, whole(version))
