"""Charger against cloud without a gateway: what one says the other hears, whatever breaks between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgegw.sim.audit import audit, table
from edgegw.sim.charger import SimCharger
from edgegw.sim.cloud import SimCloud
from edgegw.sim.desk import CallRefused, Desk
from edgegw.sim.habits import Habits
from edgegw.sim.ledger import read
from edgegw.sim.ocpp_cloud import OcppCloud
from edgegw.sim.peer import LinkLost
from edgegw.sim.verdict import Verdict
from edgegw.sim.watch import PATIENCE_S

Quick = Callable[..., Habits]
VERSIONS = ["1.6", "2.0.1", "2.1"]


def verdict_of(tmp_path: Path, *, complete: bool = True) -> Verdict:
    verdict = audit(sorted(tmp_path.glob("CP*.jsonl")), tmp_path / "cloud.jsonl", complete=complete)
    assert verdict.holds, table(verdict)
    return verdict


def charger_on(cloud: SimCloud, tmp_path: Path, version: str, habits: Habits, **options: Any) -> SimCharger:
    return SimCharger("CP1", version, cloud.url, ledger=tmp_path / "CP1.jsonl", habits=habits, **options)


# --- sessions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_reaches_the_cloud(cloud: SimCloud, tmp_path: Path, quick: Quick, version: str):
    async with charger_on(cloud, tmp_path, version, quick(signed=True, connectors=2)) as charger:
        await charger.wait_online()
        session = await charger.charge(connector=2, id_tag="TAG7", samples=3)
        await charger.drained()
        assert session is not None
        place = ("CP1", 0, 2) if version == "1.6" else ("CP1", 2, 1)
        await cloud.wait_for(lambda: cloud.desk.statuses.get(place) == "Available")
    facts = verdict_of(tmp_path).facts
    assert (facts["transactions"], facts["transaction_messages"]) == (1, 5)
    assert facts["energy_cloud_wh"] > 0
    actions = [r.action for r in cloud.received]
    assert actions[0] == "BootNotification"
    assert actions.index("Authorize") < actions.index(charger.dialect.start_action)


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_session_with_the_ocpp_package_on_both_sides(tmp_path: Path, quick: Quick, version: str):
    async with (
        OcppCloud(ledger=tmp_path / "cloud.jsonl") as cloud,
        charger_on(cloud, tmp_path, version, quick(signed=True)) as charger,
    ):
        await charger.wait_online()
        await charger.charge()
        await cloud.cut()
        await charger.charge()
        await cloud.restore()
        await charger.drained()
        assert (await cloud.call("CP1", "ClearCache", {}))["status"] == "Accepted"
        with pytest.raises(CallRefused) as refused:
            await cloud.call("CP1", "CancelReservation", {"reservationId": 1})
        assert refused.value.code == "NotImplemented"
    assert verdict_of(tmp_path).facts["transactions"] == 2


async def test_signed_values_are_spelled_oddly_and_arrive_so(cloud: SimCloud, tmp_path: Path, quick: Quick):
    async with charger_on(cloud, tmp_path, "1.6", quick(signed=True)) as charger:
        await charger.wait_online()
        await charger.charge(samples=1)
        await charger.drained()
    raw = cloud.calls("MeterValues")[0].raw
    assert "edgegw\\/sim" in raw
    assert "Z\\u00E4hler" in raw
    assert "OCMF|" in json.loads(raw)[3]["meterValue"][0]["sampledValue"][2]["value"]
    verdict_of(tmp_path)


# --- outages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_happened_while_cut_comes_after_it(
    cloud: SimCloud, tmp_path: Path, quick: Quick, version: str
):
    async with charger_on(cloud, tmp_path, version, quick()) as charger:
        await charger.wait_online()
        session = await charger.begin(1, "TAG1")
        await charger.drained()
        await cloud.cut()
        await charger.wait_for(lambda: not charger.connected)
        charger.sample(1)
        charger.finish(1)
        await charger.charge(id_tag="TAG2")
        assert len(charger.memory.queue) == 7
        await cloud.restore()
        await charger.drained()
        assert session is not None
    assert verdict_of(tmp_path).facts["transactions"] == 2
    assert len(cloud.calls("BootNotification")) == 1
    if version != "1.6":
        offline = [r.payload.get("offline", False) for r in cloud.calls("TransactionEvent")]
        assert offline == [False] + [True] * 7


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_reboot_in_mid_outage_loses_nothing(
    cloud: SimCloud, tmp_path: Path, quick: Quick, version: str
):
    async with charger_on(cloud, tmp_path, version, quick()) as charger:
        await charger.wait_online()
        await charger.begin(1, "TAG1")
        await cloud.cut()
        charger.sample(1)
        await charger.reboot("PowerLoss")
        assert charger.session(1) is None
        await cloud.restore()
        await charger.drained()
    verdict_of(tmp_path)
    assert len(cloud.calls("BootNotification")) == 2
    stop = cloud.calls(charger.dialect.stop_action)[-1].payload
    assert "PowerLoss" in (stop.get("reason"), stop.get("transactionInfo", {}).get("stoppedReason"))


async def test_a_transaction_may_be_resumed_after_a_power_loss(cloud: SimCloud, tmp_path: Path, quick: Quick):
    async with charger_on(cloud, tmp_path, "1.6", quick()) as charger:
        await charger.wait_online()
        session = await charger.begin(1, "TAG1")
        await charger.drained()
        await charger.reboot(resume=True)
        await charger.wait_online()
        await cloud.wait_calls("MeterValues", count=2)
        assert session is not None
        await cloud.call("CP1", "RemoteStopTransaction", {"transactionId": int(session.tx)})
        await cloud.wait_calls("StopTransaction")
        await charger.drained()
    assert verdict_of(tmp_path).facts["transactions"] == 1


@pytest.mark.parametrize("version", ["1.6", "2.1"])
async def test_a_new_process_goes_on_from_the_memory(
    cloud: SimCloud, tmp_path: Path, quick: Quick, version: str
):
    options = {"memory": tmp_path / "CP1.memory"}
    charger = await charger_on(cloud, tmp_path, version, quick(id_style="counter"), **options).start()
    await charger.wait_online()
    await charger.begin(1, "TAG1")
    await charger.drained()
    await cloud.cut()
    charger.sample(1)
    await charger.power_off()
    await cloud.restore()
    async with charger_on(cloud, tmp_path, version, quick(id_style="counter"), **options) as again:
        await again.drained()
    assert verdict_of(tmp_path).facts["transactions"] == 1
    ids = [e.id for e in read(tmp_path / "CP1.jsonl") if e.kind == "sent_call"]
    assert ids.count("1") == 2  # counted anew from each boot


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("answer_bytes", [0, 1, 9])
async def test_an_answer_that_is_cut_off_is_asked_for_again(
    cloud: SimCloud, tmp_path: Path, quick: Quick, version: str, answer_bytes: int
):
    async with charger_on(cloud, tmp_path, version, quick()) as charger:
        await charger.wait_online()
        await charger.begin(1, "TAG1")
        await charger.drained()
        cloud.close_before_answer(2, answer_bytes=answer_bytes, action=charger.dialect.meter_action)
        charger.sample(1)
        charger.finish(1)
        await charger.drained()
    facts = verdict_of(tmp_path).facts
    assert facts["arrived_more_than_once"] == 2
    assert facts["sent_again_by_charger"] >= 2


async def test_a_flapping_link_and_a_naive_cloud_agree(tmp_path: Path, quick: Quick):
    desk = Desk(deduplicate=False, first_transaction_id=500)
    async with (
        SimCloud(ledger=tmp_path / "cloud.jsonl", desk=desk) as cloud,
        charger_on(cloud, tmp_path, "1.6", quick(engine="own")) as charger,
    ):
        await charger.wait_online()
        for number in range(6):
            cloud.close_before_answer(number % 2)
            await charger.charge(samples=2)
            charger.drop_link()
        await charger.drained()
    assert verdict_of(tmp_path).facts["transactions"] == 6


# --- refusals -------------------------------------------------------------------------------------


async def test_16_gives_a_refused_message_up_after_its_attempts(
    cloud: SimCloud, tmp_path: Path, quick: Quick
):
    async with charger_on(cloud, tmp_path, "1.6", quick(attempts_max=3)) as charger:
        await charger.wait_online()
        cloud.refuse("StartTransaction", "InternalError", 3)
        await charger.charge(samples=1)
        await charger.drained()
    assert [r.action for r in cloud.received if "Transaction" in r.action] == ["StartTransaction"] * 3 + [
        "StopTransaction"
    ]
    assert cloud.calls("StopTransaction")[0].payload["transactionId"] == -1
    verdict = verdict_of(tmp_path, complete=False)
    assert verdict.facts["given_up"] == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_refusal_that_passes_costs_nothing(
    cloud: SimCloud, tmp_path: Path, quick: Quick, version: str
):
    async with charger_on(cloud, tmp_path, version, quick()) as charger:
        await charger.wait_online()
        cloud.refuse(charger.dialect.start_action, "InternalError", 2)
        await charger.charge()
        await charger.drained()
    assert verdict_of(tmp_path).facts["given_up"] == 0


async def test_a_timeout_never_gives_a_message_up(cloud: SimCloud, tmp_path: Path, quick: Quick):
    async with charger_on(cloud, tmp_path, "1.6", quick(message_timeout_s=0.05, attempts_max=1)) as charger:
        await charger.wait_online()
        cloud.silence("StartTransaction")
        await charger.charge(samples=1)
        await cloud.wait_calls("StartTransaction", count=3)
        cloud.speak()
        await charger.drained()
    assert verdict_of(tmp_path).facts["sent_again_by_charger"] >= 2


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_blocked_tag_starts_nothing(cloud: SimCloud, tmp_path: Path, quick: Quick, version: str):
    cloud.desk.tags["BAD"] = "Blocked"
    async with charger_on(cloud, tmp_path, version, quick()) as charger:
        await charger.wait_online()
        assert await charger.charge(id_tag="BAD") is None
        assert not charger.memory.queue


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_start_that_is_refused_late_is_stopped(
    cloud: SimCloud, tmp_path: Path, quick: Quick, version: str
):
    cloud.desk.tags["BAD"] = "Blocked"
    async with charger_on(cloud, tmp_path, version, quick(authorize_first=False)) as charger:
        await charger.wait_online()
        async with asyncio.timeout(PATIENCE_S):
            session = await charger.charge(id_tag="BAD", samples=None)
        await charger.drained()
        assert session is not None
        assert session.refused
    stop = cloud.calls(charger.dialect.stop_action)[-1].payload
    assert "DeAuthorized" in (stop.get("reason"), stop.get("transactionInfo", {}).get("stoppedReason"))
    verdict_of(tmp_path)


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
async def test_nothing_but_boot_before_it_is_accepted(
    cloud: SimCloud, tmp_path: Path, quick: Quick, status: str
):
    cloud.registration("CP1", status, 1)
    async with charger_on(cloud, tmp_path, "1.6", quick()) as charger:
        await cloud.wait_calls("BootNotification", count=3)
        with pytest.raises(LinkLost):
            await charger.call("Heartbeat", {})
        cloud.registration("CP1", "Accepted", 1)
        await charger.wait_online()
    assert {r.action for r in cloud.received[:3]} == {"BootNotification"}


async def test_the_wait_for_the_next_boot_is_the_clouds(cloud: SimCloud, tmp_path: Path, quick: Quick):
    cloud.registration("CP1", "Pending", 3600)
    async with charger_on(cloud, tmp_path, "1.6", quick(boot_retry_s=None)) as charger:
        await charger.wait_for(lambda: charger.registration == "Pending")
        cloud.registration("CP1", "Accepted", 77)
        assert (await cloud.call("CP1", "TriggerMessage", {"requestedMessage": "BootNotification"})) == {
            "status": "Accepted"
        }
        await charger.wait_online()
    assert len(cloud.calls("BootNotification")) == 2


async def test_heartbeats_come_at_the_interval(cloud: SimCloud, tmp_path: Path, quick: Quick):
    async with charger_on(cloud, tmp_path, "2.1", quick(heartbeat_s=0.01)):
        await cloud.wait_calls("Heartbeat", count=3)


# --- CALLs of the cloud ---------------------------------------------------------------------------


PERIODS = [{"startPeriod": 0, "limit": 16.1}]
PROFILE_16 = {
    "chargingProfileId": 5,
    "stackLevel": 1,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": PERIODS},
}
PROFILE_2X = {
    "id": 5,
    "stackLevel": 1,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": PERIODS}],
}
HEARTBEAT = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
CALLS_16: list[tuple[str, dict[str, Any], str]] = [
    ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "900"}, "Accepted"),
    ("ChangeConfiguration", {"key": "NumberOfConnectors", "value": "9"}, "Rejected"),
    ("ChangeConfiguration", {"key": "Nonsense", "value": "9"}, "NotSupported"),
    ("SendLocalList", {"listVersion": 3, "updateType": "Full"}, "Accepted"),
    ("ClearCache", {}, "Accepted"),
    ("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}, "Accepted"),
    ("UnlockConnector", {"connectorId": 1}, "Unlocked"),
    ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": PROFILE_16}, "Accepted"),
    ("GetCompositeSchedule", {"connectorId": 1, "duration": 60}, "Accepted"),
    ("ClearChargingProfile", {"id": 5}, "Accepted"),
    ("ClearChargingProfile", {"id": 5}, "Unknown"),
    ("DataTransfer", {"vendorId": "org.edgegw.sim", "data": "x"}, "Accepted"),
    ("DataTransfer", {"vendorId": "else"}, "UnknownVendorId"),
    ("TriggerMessage", {"requestedMessage": "Heartbeat"}, "Accepted"),
    ("RemoteStopTransaction", {"transactionId": 99}, "Rejected"),
]
CALLS_2X: list[tuple[str, dict[str, Any], str]] = [
    ("SendLocalList", {"versionNumber": 3, "updateType": "Full"}, "Accepted"),
    ("ClearCache", {}, "Accepted"),
    ("ChangeAvailability", {"evse": {"id": 1}, "operationalStatus": "Inoperative"}, "Accepted"),
    ("UnlockConnector", {"evseId": 1, "connectorId": 1}, "Unlocked"),
    ("SetChargingProfile", {"evseId": 1, "chargingProfile": PROFILE_2X}, "Accepted"),
    ("GetCompositeSchedule", {"evseId": 1, "duration": 60}, "Accepted"),
    ("ClearChargingProfile", {"chargingProfileId": 5}, "Accepted"),
    ("DataTransfer", {"vendorId": "else"}, "UnknownVendorId"),
    ("TriggerMessage", {"requestedMessage": "Heartbeat"}, "Accepted"),
    ("RequestStopTransaction", {"transactionId": "x"}, "Rejected"),
]


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_charger_answers_the_cloud(cloud: SimCloud, tmp_path: Path, quick: Quick, version: str):
    async with charger_on(cloud, tmp_path, version, quick()) as charger:
        await charger.wait_online()
        for action, payload, status in CALLS_16 if version == "1.6" else CALLS_2X:
            answer = await cloud.call("CP1", action, payload)
            assert answer["status"] == status, action
        await cloud.wait_calls("Heartbeat")
        for action, payload, code in (
            ("CancelReservation", {"reservationId": 1}, "NotImplemented"),
            ("UpdateFirmware", _update_firmware(version), "NotSupported"),
        ):
            with pytest.raises(CallRefused) as refused:
                await cloud.call("CP1", action, payload)
            assert refused.value.code == code


def _update_firmware(version: str) -> dict[str, Any]:
    when = "2026-01-01T00:00:00Z"
    if version == "1.6":
        return {"location": "http://127.0.0.1/x", "retrieveDate": when}
    return {"requestId": 1, "firmware": {"location": "http://127.0.0.1/x", "retrieveDateTime": when}}


async def test_settings_are_read_and_written(cloud: SimCloud, tmp_path: Path, quick: Quick):
    async with charger_on(cloud, tmp_path, "1.6", quick(connectors=2)) as charger:
        await charger.wait_online()
        answer = await cloud.call("CP1", "GetConfiguration", {"key": ["NumberOfConnectors", "Nope"]})
    assert answer == {
        "configurationKey": [{"key": "NumberOfConnectors", "readonly": True, "value": "2"}],
        "unknownKey": ["Nope"],
    }


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
async def test_variables_are_read_and_written(cloud: SimCloud, tmp_path: Path, quick: Quick, version: str):
    async with charger_on(cloud, tmp_path, version, quick()) as charger:
        await charger.wait_online()
        wish = {"setVariableData": [{**HEARTBEAT, "attributeValue": "86400"}]}
        done = await cloud.call("CP1", "SetVariables", wish)
        assert done["setVariableResult"][0]["attributeStatus"] == "Accepted"
        read_back = await cloud.call("CP1", "GetVariables", {"getVariableData": [HEARTBEAT]})
        assert read_back["getVariableResult"][0]["attributeValue"] == "86400"
        status = await cloud.call("CP1", "GetTransactionStatus", {})
        assert status == {"messagesInQueue": False}


@pytest.mark.parametrize("version", VERSIONS)
async def test_remote_start_and_stop(cloud: SimCloud, tmp_path: Path, quick: Quick, version: str):
    async with charger_on(cloud, tmp_path, version, quick()) as charger:
        await charger.wait_online()
        if version == "1.6":
            start: tuple[str, dict[str, Any]] = ("RemoteStartTransaction", {"idTag": "TAG1"})
        else:
            token = {"idToken": "TAG1", "type": "Central"}
            start = ("RequestStartTransaction", {"idToken": token, "remoteStartId": 77, "evseId": 1})
        assert (await cloud.call("CP1", *start))["status"] == "Accepted"
        await cloud.wait_calls(charger.dialect.meter_action, count=3)
        assert (await cloud.call("CP1", *start))["status"] == "Rejected"
        session = charger.session(1)
        assert session is not None
        stop = "RemoteStopTransaction" if version == "1.6" else "RequestStopTransaction"
        tx = int(session.tx) if version == "1.6" else session.tx
        assert (await cloud.call("CP1", stop, {"transactionId": tx}))["status"] == "Accepted"
        await charger.wait_for(lambda: charger.session(1) is None)
        await charger.drained()
    verdict_of(tmp_path)
    if version != "1.6":
        started = cloud.calls("TransactionEvent")[0].payload
        assert started["transactionInfo"]["remoteStartId"] == 77


@pytest.mark.parametrize("version", VERSIONS)
async def test_reset_stops_reboots_and_comes_back(
    cloud: SimCloud, tmp_path: Path, quick: Quick, version: str
):
    async with charger_on(cloud, tmp_path, version, quick()) as charger:
        await charger.wait_online()
        await charger.begin(1, "TAG1")
        kind = "Hard" if version == "1.6" else "Immediate"
        assert (await cloud.call("CP1", "Reset", {"type": kind}))["status"] == "Accepted"
        await cloud.wait_calls("BootNotification", count=2)
        await charger.drained()
    verdict_of(tmp_path)


async def test_a_frame_that_ends_the_packages_loop_costs_only_the_connection(
    cloud: SimCloud, tmp_path: Path, quick: Quick
):
    async with charger_on(cloud, tmp_path, "1.6", quick()) as charger:
        await charger.wait_online()
        await cloud.send_text("CP1", '[2, "1", ["a"], {}]')
        await cloud.wait_for(lambda: len(cloud.history) == 2)
        await charger.charge()
        await charger.drained()
    verdict_of(tmp_path)


# --- ids and flags --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
async def test_what_waits_unsent_when_the_link_goes_is_offline(
    cloud: SimCloud, tmp_path: Path, quick: Quick, version: str
):
    async with charger_on(cloud, tmp_path, version, quick()) as charger:
        await charger.wait_online()
        await charger.begin(1, "TAG1")
        await charger.drained()
        cloud.silence("TransactionEvent")
        charger.sample(1)
        charger.sample(1)
        await cloud.wait_calls("TransactionEvent", count=2)
        cloud.drop("CP1")
        await charger.wait_for(lambda: not charger.connected)
        cloud.speak()
        charger.finish(1)
        await charger.drained()
    events = [(r.payload["seqNo"], r.payload.get("offline", False)) for r in cloud.calls("TransactionEvent")]
    # Event 1 was on the wire before: the same message, the same text.
    assert sorted(set(events)) == [(0, False), (1, False), (2, True), (3, True)]
    verdict_of(tmp_path)


async def test_a_counter_never_takes_the_id_of_a_message_that_still_waits(
    cloud: SimCloud, tmp_path: Path, quick: Quick
):
    habits = quick(id_style="counter", authorize_first=False)
    async with charger_on(cloud, tmp_path, "1.6", habits) as charger:
        await charger.wait_online()
        cloud.silence("StartTransaction")
        await charger.begin(1, "TAG1")
        waiting = (await cloud.wait_calls("StartTransaction"))[0].id
        await charger.reboot(resume=True)
        await charger.wait_online()
        await cloud.wait_calls("StartTransaction", count=2)
        assert waiting not in {charger.new_id() for _ in range(int(waiting) + 1)}
        cloud.speak()
        charger.drop_link()
        await cloud.wait_for(lambda: len(cloud.history) == 3)
        charger.finish(1)
        await charger.drained()
    verdict_of(tmp_path)
