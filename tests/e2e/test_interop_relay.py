"""A strict CSMS and strict chargers, all on ocpp-rpc, with the gateway between them and the cloud up.

They validate every message against the schemas of their version; a test fails at its end when one of them
saw anything it would not take (`Peers.assert_content`). One gateway and one cloud serve all tests here, each
test with chargers of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.children import Children
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.e2e.interop import LOCAL_ID_MIN, TAG, V16, V201, VERSIONS, charge, told, until_told, whole
from tests.interop.peers import Charger, Cloud, CommandFailed, Peers

pytestmark = pytest.mark.asyncio(loop_scope="module")
every_version = pytest.mark.parametrize("version", VERSIONS)


@dataclass
class House:
    """The gateway between a strict cloud and strict chargers."""

    gateway: GatewayProcess
    cloud: Cloud
    peers: Peers

    async def booted(self, name: str, version: str) -> Charger:
        """A charger of this test alone, connected and booted."""
        charger = await self.peers.charger(self.gateway.url, f"{name}-{version}", version)
        assert await charger.connect() == version
        assert (await charger.do("boot"))["status"] == "Accepted"
        return charger


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("house")
    children = Children(folder)
    try:
        peers, gateways = Peers(children), Gateways(children, folder)
        cloud = await peers.cloud()
        yield House(await gateways(cloud.url), cloud, peers)
        await gateways.close()
    finally:
        await children.close()


@pytest.fixture
def house(running_house: House) -> Iterator[House]:
    yield running_house
    running_house.peers.assert_content()


# --- a session ------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize(
    ("name", "segment"), [("RDAM|123", "RDAM%7C123"), ("RDAM 1", "RDAM%201")], ids=["pipe", "space"]
)
async def test_a_whole_session(house: House, version: str, name: str, segment: str) -> None:
    cloud, identity = house.cloud, f"{name} {version}"
    password = "0001:hübsch, aber kurz"  # a colon, spaces and what is not ASCII
    await cloud.do("password", identity=identity, password=password)
    charger = await house.peers.charger(house.gateway.url, identity, version, password=password)

    assert await charger.connect() == version
    knock = await cloud.wait("knock", identity=identity)
    assert knock["path"] == f"/csms/{segment}%20{version}"
    assert (knock["password"], knock["offered"]) == (password, [version])

    boot = await charger.do("boot")
    assert (boot["status"], boot["interval"]) == ("Accepted", 300)
    await charger.do("status")
    assert await charger.do("authorize", tag=TAG) == "Accepted"
    transaction = await charge(charger)
    assert "currentTime" in await charger.call("Heartbeat", {})
    await cloud.wait("answered", identity=identity, action="Heartbeat")  # what it says has another way to us

    assert told(cloud, charger, version) == whole(version)
    if version == V16:
        started = cloud.seen("answered", identity=identity, action="StartTransaction")[0]
        assert transaction == started["result"]["transactionId"] < LOCAL_ID_MIN
    heard = [call["action"] for call in cloud.calls(identity)]
    assert heard[:3] == ["BootNotification", "StatusNotification", "Authorize"]
    assert heard[-1] == "Heartbeat"
    assert len(heard) == 8


@every_version
async def test_a_charger_that_leaves_leaves_the_cloud(house: House, version: str) -> None:
    charger = await house.booted("LEAVES", version)
    await charger.do("close")
    await house.cloud.wait("closed", identity=charger.identity)
    with pytest.raises(CommandFailed, match="not connected"):
        await house.cloud.call(charger.identity, "ClearCache", {})
    assert await charger.connect() == version
    await house.cloud.wait("connected", identity=charger.identity, count=2)
    assert len(house.cloud.calls(charger.identity)) == 1  # nobody boots for the charger


async def test_the_clouds_refusals_reach_the_charger(house: House) -> None:
    cloud, peers, url = house.cloud, house.peers, house.gateway.url
    await cloud.do("password", identity="GUARDED", password="right")
    wrong = await peers.charger(url, "GUARDED", V16, password="wrong")
    assert await _status_of_refusal(wrong) == 401
    silent = await peers.charger(url, "GUARDED", V16)
    assert await _status_of_refusal(silent) == 401
    for status in (401, 403, 404):
        await cloud.do("refuse", identity="UNKNOWN", status=status)
        unknown = await peers.charger(url, "UNKNOWN", V201, password="right")
        assert await _status_of_refusal(unknown) == status
    # a refusal is no outage: who is welcome still gets through
    right = await peers.charger(url, "GUARDED", V16, password="right")
    assert await right.connect() == V16


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


@every_version
async def test_the_cloud_asks_the_charger(house: House, version: str) -> None:
    charger = await house.booted("ASKED", version)
    asked = ASKED_16 if version == V16 else ASKED_2X
    answers = {action: await house.cloud.call(charger.identity, action, p) for action, p in asked.items()}
    await charger.wait("call", count=len(asked))
    assert [(call["action"], call["params"]) for call in charger.seen("call")] == list(asked.items())
    assert answers["UnlockConnector"] == {"status": "Unlocked"}
    assert answers["DataTransfer"] == {"status": "Accepted", "data": asked["DataTransfer"]["data"]}
    # each side has one CALL out, and they cross
    await asyncio.gather(
        *(house.cloud.call(charger.identity, "ClearCache", {}) for _ in range(20)),
        *(charger.call("Heartbeat", {}) for _ in range(20)),
    )


@every_version
async def test_refusals_of_single_messages(house: House, version: str) -> None:
    cloud = house.cloud
    cloud.expected.add("answered_error")
    charger = await house.booted("REFUSED", version)
    await cloud.do("tag", tag="STOLEN", status="Blocked")
    assert await charger.do("authorize", tag="STOLEN") == "Blocked"
    await cloud.do("fail", identity=charger.identity, action="DataTransfer", code="InternalError")
    with pytest.raises(CommandFailed) as refused:
        await charger.call("DataTransfer", {"vendorId": "edgegw"})
    assert refused.value.code == "InternalError"
    # the one that failed is not in the way of the next one
    assert (await charger.call("DataTransfer", {"vendorId": "edgegw"}))["status"] == "Accepted"
    with pytest.raises(CommandFailed) as refused:
        await cloud.call(charger.identity, "GetLog", GET_LOG)
    assert refused.value.code == "NotImplemented"
    assert await cloud.call(charger.identity, "ClearCache", {}) == {"status": "Accepted"}


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


@every_version
async def test_the_cloud_starts_and_stops(house: House, version: str) -> None:
    cloud, charger = house.cloud, await house.booted("REMOTE", version)
    start, params, stop = REMOTE_16 if version == V16 else REMOTE_2X
    assert (await cloud.call(charger.identity, start, params))["status"] == "Accepted"
    await until_told(cloud, charger, version, whole(version)[:1])
    # The charger knows its transaction once the answer has come through; a heartbeat is behind it.
    await charger.call("Heartbeat", {})
    stop_params = {"transactionId": _transaction_begun(cloud, charger, version)}
    assert (await cloud.call(charger.identity, stop, stop_params))["status"] == "Accepted"
    await until_told(cloud, charger, version, whole(version, samples=0))


def _transaction_begun(cloud: Cloud, charger: Charger, version: str) -> Any:
    """What the CSMS calls it."""
    if version == V16:
        answered = cloud.seen("answered", identity=charger.identity, action="StartTransaction")
        return answered[-1]["result"]["transactionId"]
    return cloud.calls(charger.identity, "TransactionEvent")[-1]["params"]["transactionInfo"]["transactionId"]
