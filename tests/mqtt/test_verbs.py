"""Commands of the building on a real gateway: what a charger of each version hears, what comes back."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgegw.config_mqtt import VERBS, Mqtt
from edgegw.control import ocpp_calls as calls
from edgegw.control import power_models
from edgegw.mqtt import reading, requests, verbs
from edgegw.mqtt.commands import CommandDesk
from edgegw.mqtt.message import Incoming, Message
from edgegw.mqtt.topics import Tree
from edgegw.runtime.audit import AuditEntry
from edgegw.wire.schemas import Schemas
from edgegw.wire.timestamps import format_timestamp
from edgegw.wire.versions import SUPPORTED, Version
from tests.control.file_house import FilesHouse
from tests.control.house import DEADLINE_S, GARAGE, TAG, House, Wire

V16, V201, V21 = Version.V16, Version.V201, Version.V21
ROOT = "edgegw/1/gw1"
SCHEMAS = Schemas()

# --- what each command is as a CALL -----------------------------------------------------------------

FACTS = calls.Facts(session="4711", remote_start_id=7)
CALLS = [
    # verb, request, OCPP 1.6, OCPP 2.0.1 and 2.1
    ("charger/availability", {"operative": False},
     ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}),
     ("ChangeAvailability", {"operationalStatus": "Inoperative"})),
    ("charger/availability", {"operative": True, "connector": 2},
     ("ChangeAvailability", {"connectorId": 2, "type": "Operative"}),
     ("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 2}})),
    ("charger/reset", {}, ("Reset", {"type": "Soft"}), ("Reset", {"type": "OnIdle"})),
    ("charger/reset", {"type": "hard"}, ("Reset", {"type": "Hard"}), ("Reset", {"type": "Immediate"})),
    ("charger/unlock", {"connector": 2},
     ("UnlockConnector", {"connectorId": 2}),
     ("UnlockConnector", {"evseId": 2, "connectorId": 1})),
    ("charger/start", {"connector": 1, "id_token": TAG},
     ("RemoteStartTransaction", {"connectorId": 1, "idTag": TAG}),
     ("RequestStartTransaction",
      {"evseId": 1, "remoteStartId": 7, "idToken": {"idToken": TAG, "type": "Central"}})),
    ("charger/start", {"connector": 1, "id_token": TAG, "id_token_type": "ISO14443"},
     ("RemoteStartTransaction", {"connectorId": 1, "idTag": TAG}),
     ("RequestStartTransaction",
      {"evseId": 1, "remoteStartId": 7, "idToken": {"idToken": TAG, "type": "ISO14443"}})),
    ("charger/stop", {"connector": 1},
     ("RemoteStopTransaction", {"transactionId": 4711}),
     ("RequestStopTransaction", {"transactionId": "4711"})),
    ("charger/trigger", {"message": "Heartbeat"},
     ("TriggerMessage", {"requestedMessage": "Heartbeat"}),
     ("TriggerMessage", {"requestedMessage": "Heartbeat"})),
    ("charger/trigger", {"message": "BootNotification"},
     ("TriggerMessage", {"requestedMessage": "BootNotification"}),
     ("TriggerMessage", {"requestedMessage": "BootNotification"})),
    ("charger/trigger", {"message": "MeterValues", "connector": 2},
     ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 2}),
     ("TriggerMessage", {"requestedMessage": "MeterValues", "evse": {"id": 2}})),
    ("charger/trigger", {"message": "StatusNotification", "connector": 2},
     ("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 2}),
     ("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 2, "connectorId": 1}})),
    ("charger/trigger", {"message": "StatusNotification"},
     ("TriggerMessage", {"requestedMessage": "StatusNotification"}), None),
    ("charger/trigger", {"message": "FirmwareStatusNotification"},
     ("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"}),
     ("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})),
    ("charger/trigger", {"message": "DiagnosticsStatusNotification"},
     ("TriggerMessage", {"requestedMessage": "DiagnosticsStatusNotification"}),
     ("TriggerMessage", {"requestedMessage": "LogStatusNotification"})),
    ("charger/trigger", {"message": "LogStatusNotification"},
     ("ExtendedTriggerMessage", {"requestedMessage": "LogStatusNotification"}),
     ("TriggerMessage", {"requestedMessage": "LogStatusNotification"})),
    ("charger/trigger", {"message": "TransactionEvent", "connector": 1},
     None, ("TriggerMessage", {"requestedMessage": "TransactionEvent", "evse": {"id": 1}})),
]  # fmt: skip


@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize(("verb", "asked", "v16", "v2x"), CALLS)
def test_a_command_becomes_a_call_that_fits_the_version(
    version: Version, verb: str, asked: dict, v16: tuple | None, v2x: tuple | None
):
    request = reading.read(verb, {"charger": "CP-1", **asked})
    expected = v2x if version.is_2x else v16
    if expected is None:
        with pytest.raises(calls.NotPossible):
            calls.call_of(verbs.order_of(request), version, FACTS)
        return
    made = calls.call_of(verbs.order_of(request), version, FACTS)
    assert made == expected
    assert SCHEMAS.complaints(version, "request", made.action, made.payload) == ()


def test_every_word_that_may_be_triggered_is_in_the_table():
    words = requests.schema("charger/trigger")["properties"]["message"]["enum"]
    assert set(words) == {asked["message"] for _, asked, *_ in CALLS if "message" in asked}


@pytest.mark.parametrize(("version", "longest"), [(V16, 20), (V201, 36), (V21, 255)])
def test_a_card_id_is_as_long_as_the_version_allows(version: Version, longest: int):
    def start(length: int) -> calls.Ocpp:
        asked = {"charger": "CP-1", "connector": 1, "id_token": "x" * length}
        return calls.call_of(verbs.order_of(reading.read("charger/start", asked)), version, FACTS)

    made = start(longest)
    assert SCHEMAS.complaints(version, "request", made.action, made.payload) == ()
    if longest < 255:
        with pytest.raises(calls.NotPossible, match=f"allows {longest} characters"):
            start(longest + 1)


def test_a_transaction_of_a_16_charger_is_a_number():
    stop = verbs.order_of(reading.read("charger/stop", {"charger": "CP-1", "session": "abc"}))
    with pytest.raises(calls.NotPossible, match="numbers"):
        calls.call_of(stop, V16, calls.Facts(session="abc"))
    assert calls.call_of(stop, V201, calls.Facts(session="abc")).payload == {"transactionId": "abc"}


def test_what_an_answer_says_is_short_and_printable():
    said = {"status": "Rejected", "statusInfo": {"reasonCode": "Busy\x1b[2J", "additionalInfo": "x" * 500}}
    found = calls.status_of(said)
    assert found["status"] == "Rejected"
    assert all(word.isprintable() and len(word) <= 60 for word in found.values())
    assert calls.status_of({"status": 5}) == calls.status_of({}) == calls.status_of(None) == {"status": ""}


# --- on a real gateway ------------------------------------------------------------------------------


class Alarms:
    def __init__(self) -> None:
        self.acknowledged: list[tuple[str, str]] = []

    def acknowledge(self, alarm_id: str, by: str) -> None:
        if alarm_id != "cloud-away":
            raise KeyError(alarm_id)
        self.acknowledged.append((alarm_id, by))


class Building:
    """The building's end of the broker, and the desk of a house."""

    def __init__(self, house: House, **table: object) -> None:
        settings = Mqtt.model_validate({"broker": "mqtt://127.0.0.1", "commands": list(VERBS), **table})
        self.alarms = Alarms()
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self.audit: list[AuditEntry] = []
        self.numbers = itertools.count(1)
        executor = verbs.Verbs(house.server.service, house.gateway, settings, self.alarms)
        self.desk = CommandDesk(settings, Tree("edgegw", "gw1"), executor, self.sent.put_nowait, self)

    def write(self, entry: AuditEntry) -> None:
        self.audit.append(entry)

    def says(self, verb: str, asked: dict) -> None:
        command = {"transaction": f"t{next(self.numbers)}", "ts": format_timestamp(time.time()), **asked}
        topic = f"{ROOT}/request/{verb}"
        self.desk.on_message(Incoming(topic=topic, payload=json.dumps(command).encode(), retain=False))

    async def hears(self) -> dict:
        message = await asyncio.wait_for(self.sent.get(), DEADLINE_S)
        return json.loads(message.body)

    async def asks(self, verb: str, **asked: object) -> dict:
        self.says(verb, asked)
        return await self.hears()

    async def gets(self, verb: str, **asked: object) -> dict:
        answer = await self.asks(verb, **asked)
        assert (answer["status"], answer["error"]) == ("ok", None)
        return answer["data"]

    async def is_refused(self, verb: str, **asked: object) -> str:
        answer = await self.asks(verb, **asked)
        assert answer["status"] == "error"
        return answer["error"]["code"]

    async def asks_of(self, wire: Wire, says: dict, verb: str, /, **asked: object) -> tuple[list, dict]:
        """The CALL that the charger hears and answers with `says`, and the answer of the desk."""
        self.says(verb, asked)
        frame = await wire.hears()
        wire.says([3, frame[1], says])
        return frame, await self.hears()


async def opened(house: House, **table: object) -> AsyncIterator[Building]:
    await house.start()
    building = Building(house, **table)
    yield building
    await building.desk.stop()
    await house.stop()


@pytest.fixture
def house(tmp_path: Path) -> FilesHouse:
    return FilesHouse(tmp_path, known=frozenset({"CP-1", "DEPOT-CP.2", "CP-9"}))


@pytest.fixture
async def building(house: FilesHouse) -> AsyncIterator[Building]:
    async for one in opened(house):
        yield one


@pytest.fixture
def garage(tmp_path: Path) -> House:
    return House(tmp_path, plan=GARAGE)


@pytest.fixture
async def power(garage: House) -> AsyncIterator[Building]:
    async for one in opened(garage, limit_fallback=20):
        yield one


YES = {"charger/unlock": "Unlocked", "charger/availability": "Scheduled"}


@pytest.mark.parametrize("version", SUPPORTED)
async def test_a_charger_of_every_version_hears_it_and_its_yes_comes_back(
    house: FilesHouse, building: Building, version: Version
):
    charger = await house.connects("CP-1", version.value)
    for verb, asked, v16, v2x in CALLS:
        expected = v2x if version.is_2x else v16
        if verb == "charger/stop" or expected is None:
            continue
        said = {"status": YES.get(verb, "Accepted")}
        frame, answer = await building.asks_of(charger, said, verb, charger="cp-1", **asked)
        if "remoteStartId" in frame[3]:
            assert 0x7800_0000 <= frame[3]["remoteStartId"] < 0x7C00_0000
            frame[3]["remoteStartId"] = FACTS.remote_start_id
        assert frame[2:] == list(expected)
        assert (answer["status"], answer["data"]) == ("ok", said)
        assert building.audit[-1].target == "CP-1"
    assert TAG not in repr(building.audit)


async def test_any_other_word_of_the_charger_is_an_error(house: FilesHouse, building: Building):
    charger = await house.connects("CP-1")
    for word in ("Rejected", "UnlockFailed", "NotSupported", "NotImplemented", "accepted", ""):
        _, answer = await building.asks_of(
            charger, {"status": word}, "charger/unlock", charger="CP-1", connector=1
        )
        assert (answer["status"], answer["error"]["code"]) == ("error", "charger_refused")
        assert answer["data"] == {"status": word}
        assert (word or "no status") in answer["error"]["text"]


async def test_why_a_2x_charger_says_no_comes_along(house: FilesHouse, building: Building):
    charger = await house.connects("CP-1", "ocpp2.1")
    said = {"status": "Rejected", "statusInfo": {"reasonCode": "CSNotAccepted"}}
    _, answer = await building.asks_of(charger, said, "charger/reset", charger="CP-1")
    assert answer["data"] == {"status": "Rejected", "reason": "CSNotAccepted", "info": ""}


async def test_a_card_id_that_a_charger_says_back_is_masked(house: FilesHouse, building: Building):
    charger = await house.connects("CP-1", "ocpp2.0.1")
    start = {"charger": "CP-1", "connector": 1, "id_token": TAG}
    said = {"status": "Rejected", "statusInfo": {"reasonCode": "X", "additionalInfo": f"no {TAG.lower()}"}}
    _, answer = await building.asks_of(charger, said, "charger/start", **start)
    assert answer["data"]["info"] == "no ****E5F6"
    building.says("charger/start", start)
    frame = await charger.hears()
    charger.says([4, frame[1], "GenericError", f"{TAG} is unknown", {}])
    assert (await building.hears())["error"]["text"].endswith("GenericError: ****E5F6 is unknown")


async def test_silence_is_an_error(house: FilesHouse, building: Building):
    house.is_impatient()
    charger = await house.connects("CP-1")
    assert await building.is_refused("charger/reset", charger="CP-1") == "timeout"
    assert (await charger.hears())[2] == "Reset"


async def test_a_callerror_and_a_cut_are_errors(house: FilesHouse, building: Building):
    charger = await house.connects("CP-1")
    building.says("charger/reset", {"charger": "CP-1"})
    frame = await charger.hears()
    charger.says([4, frame[1], "NotSupported", "no\x1b[2J", {}])
    answer = await building.hears()
    assert answer["error"]["code"] == "charger_error"
    assert answer["error"]["text"].startswith("CP-1 answered Reset with NotSupported: no")
    assert answer["error"]["text"].isprintable()
    building.says("charger/reset", {"charger": "CP-1"})
    await charger.hears()
    charger.cut()
    assert (await building.hears())["error"]["code"] == "gone"
    assert await building.is_refused("charger/reset", charger="CP-1") == "not_connected"
    assert await building.is_refused("charger/reset", charger="DEPOT-CP.2") == "not_connected"


async def test_a_long_command_holds_up_no_other(house: FilesHouse, building: Building):
    slow, quick = await house.connects("CP-1"), await house.connects("CP-9")
    building.says("charger/reset", {"charger": "CP-1"})
    frame = await slow.hears()
    _, answer = await building.asks_of(quick, {"status": "Accepted"}, "charger/reset", charger="CP-9")
    assert answer["transaction"] == "t2"
    slow.says([3, frame[1], {"status": "Accepted"}])
    assert (await building.hears())["transaction"] == "t1"


async def test_a_box_that_stops_tells_the_building(house: FilesHouse, building: Building):
    charger = await house.connects("CP-1")
    building.says("charger/reset", {"charger": "CP-1"})
    await charger.hears()
    await building.desk.stop()
    assert (await building.hears())["error"]["code"] == "stopping"


async def test_chargers_are_found_by_identity_and_by_topic_and_not_otherwise(
    house: FilesHouse, building: Building
):
    verb = verbs.Verbs(house.server.service, house.gateway, Mqtt(broker="mqtt://x"))
    assert verb.find("CP-1") == verb.find("cp-1") == "CP-1"
    assert verb.find("depot-cp-2") == "DEPOT-CP.2"
    assert [verb.find(name) for name in ("Cp-1", "cp-2", "", "#", "DEPOT-CP-2")] == [None] * 5
    await house.connects("Unknown_7")
    assert verb.find("unknown-7") == "Unknown_7"


async def test_a_stranger_with_the_topic_of_another_charger_gets_none_of_its_commands(
    house: FilesHouse, building: Building
):
    await house.connects("depot-cp-2")
    await house.connects("cp-1")
    verb = verbs.Verbs(house.server.service, house.gateway, Mqtt(broker="mqtt://x"))
    assert (verb.find("depot-cp-2"), verb.find("cp-1")) == ("DEPOT-CP.2", "CP-1")


# --- transactions -----------------------------------------------------------------------------------


async def test_a_16_transaction_is_stopped_by_its_id_and_by_its_connector(
    house: FilesHouse, building: Building
):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    number = await house.starts(charger)
    for asked in ({"connector": 1}, {"session": str(number)}, {"session": number}):
        frame, answer = await building.asks_of(
            charger, {"status": "Accepted"}, "charger/stop", charger="CP-1", **asked
        )
        assert frame[2:] == ["RemoteStopTransaction", {"transactionId": number}]
        assert answer["status"] == "ok"
    assert await building.is_refused("charger/stop", charger="CP-1", connector=2) == "no_such_session"
    assert await building.is_refused("charger/stop", charger="CP-1", session="abc") == "not_possible"


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
async def test_a_2x_transaction_is_stopped_by_its_evse(house: FilesHouse, building: Building, version: str):
    charger = await house.connects("CP-1", version)
    event = {
        "eventType": "Started",
        "timestamp": "2026-11-20T10:00:00Z",
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "tx-77", "chargingState": "Charging"},
        "evse": {"id": 2, "connectorId": 1},
        "idToken": {"idToken": TAG, "type": "ISO14443"},
    }
    asked = charger.calls("TransactionEvent", event)
    await house.cloud.wires["CP-1"].hears()
    house.cloud.wires["CP-1"].says([3, asked, {}])
    assert (await charger.hears())[:2] == [3, asked]
    frame, answer = await building.asks_of(
        charger, {"status": "Accepted"}, "charger/stop", charger="CP-1", connector=2
    )
    assert frame[2:] == ["RequestStopTransaction", {"transactionId": "tx-77"}]
    assert answer["status"] == "ok"
    assert await building.is_refused("charger/stop", charger="CP-1", connector=1) == "no_such_session"


async def test_no_two_starts_have_one_number(house: FilesHouse, building: Building):
    charger = await house.connects("CP-1", "ocpp2.0.1")
    numbers = []
    for _ in range(2):
        frame, _ = await building.asks_of(
            charger, {"status": "Accepted"}, "charger/start", charger="CP-1", connector=1, id_token=TAG
        )
        numbers.append(frame[3]["remoteStartId"])
    assert numbers[0] != numbers[1]


# --- limits -----------------------------------------------------------------------------------------


def limits(house: House) -> dict[tuple[str, str], power_models.LimitView]:
    return {(one.source, one.circuit): one for one in house.server.service.power.view().limits}


async def test_a_limit_is_set_acted_on_and_told(garage: House, power: Building):
    garage.reads(0.0, 0.0, 0.0)
    data = await power.gets("limit/set", source="bms", limit_a=16, circuit="garage", expires_s=120)
    held = limits(garage)["bms", "garage"]
    assert data == {
        "circuit": "garage", "limit_a": 16.0, "effective_a": 16.0, "bound_by": "bms",
        "until": held.until, "fallback_a": 20.0,
    }  # fmt: skip
    assert power.audit[0].asker == "bms"


async def test_without_a_circuit_the_whole_site_is_limited_by_amps_or_watts(garage: House, power: Building):
    data = await power.gets("limit/set", source="bms", limit_w=13_800)
    assert (data["circuit"], data["limit_a"], data["effective_a"]) == ("main", 20.0, 20.0)
    assert limits(garage)["bms", "main"].asked_w == 13_800


async def test_a_limit_above_the_fuse_is_told_what_holds(garage: House, power: Building):
    data = await power.gets("limit/set", source="bms", limit_a=50, circuit="garage")
    assert (data["limit_a"], data["effective_a"], data["bound_by"]) == (50.0, 32.0, "fuse")
    await power.gets("limit/set", source="bms", limit_a=10)
    data = await power.gets("limit/set", source="bms", limit_a=50, circuit="garage")
    assert (data["effective_a"], data["bound_by"]) == (10.0, "bms")


async def test_a_limit_that_names_no_expiry_and_no_fallback_has_those_of_the_site(
    garage: House, power: Building
):
    await power.gets("limit/set", source="bms", limit_a=10)
    (order,) = garage.load.control.limits.orders(time.time())
    assert (order.expires_at - order.set_at, order.fallback_a, order.priority) == (300.0, 20.0, 0)
    await power.gets("limit/set", source="bms", limit_a=10, expires_s=60, fallback_a=0, priority=7)
    (order,) = garage.load.control.limits.orders(time.time())
    assert (order.expires_at - order.set_at, order.fallback_a, order.priority) == (60.0, 0.0, 7)


async def test_a_limit_is_released_on_one_circuit_or_on_all(garage: House, power: Building):
    for circuit in ("", "garage"):
        await power.gets("limit/set", source="bms", limit_a=10, circuit=circuit)
    assert await power.gets("limit/release", source="bms", circuit="") == {"released": 1}
    assert list(limits(garage)) == [("bms", "garage")]
    assert await power.gets("limit/release", source="bms") == {"released": 1}
    assert await power.gets("limit/release", source="bms") == {"released": 0}


async def test_nobody_releases_what_somebody_else_set(garage: House, power: Building):
    await garage.server.service.power.set_limit(power_models.LimitOrder(source="dso", limit_a=6), "a person")
    await power.gets("limit/release", source="bms")
    assert await power.is_refused("limit/release", source="dso") == "not_allowed"
    assert list(limits(garage)) == [("dso", "main")]


async def test_a_limit_that_makes_no_sense_changes_nothing(garage: House, power: Building):
    assert await power.is_refused("limit/set", source="bms", limit_a=5, circuit="attic") == "invalid"
    assert await power.is_refused("limit/set", source="bms", limit_a=5, floor_14a=True) == "invalid"
    assert await power.is_refused("limit/set", source="bms", limit_a=None) == "malformed"
    assert limits(garage) == {}


def test_a_limit_has_the_ranges_that_it_has_over_the_api():
    here = requests.schema("limit/set")["properties"]
    there = power_models.LimitOrder.model_json_schema()["properties"]
    for name in ("limit_a", "limit_w", "fallback_a", "priority", "source"):
        allowed = next(iter(there[name].get("anyOf", [there[name]])))
        for rule in ("minimum", "maximum", "minLength", "maxLength"):
            assert here[name].get(rule) == allowed.get(rule), (name, rule)


async def test_where_nothing_is_balanced_no_limit_is_set(building: Building):
    assert await building.is_refused("limit/set", source="bms", limit_a=5) == "not_balanced"
    assert await building.is_refused("limit/release", source="bms", circuit="") == "not_balanced"


# --- the rest ---------------------------------------------------------------------------------------


async def test_an_alarm_is_acknowledged_by_name(building: Building):
    data = await building.gets("alarm/ack", alarm="cloud-away", by="control room")
    assert data == {"alarm": "cloud-away", "by": "control room"}
    await building.gets("alarm/ack", alarm="cloud-away")
    assert building.alarms.acknowledged == [("cloud-away", "control room"), ("cloud-away", "mqtt")]
    assert await building.is_refused("alarm/ack", alarm="x/#") == "no_such_alarm"


async def test_a_health_check_says_how_the_box_is(building: Building):
    data = await building.gets("health_check")
    assert (data["status"], data["queue_depth"], data["clock_trusted"]) == ("ok", 0, True)
    assert data["version"]


async def test_parked_messages_are_sent_again(house: FilesHouse, building: Building):
    await house.boots("CP-1")
    assert await building.gets("queue/resend", charger="cp-1") == {"charger": "CP-1", "resent": 0}
    assert (await building.gets("queue/resend", charger="CP-1", seqs=[1, 2]))["resent"] == 0


async def added(house: FilesHouse, name: str, data: bytes) -> str:
    async def body() -> AsyncIterator[bytes]:
        yield data

    about = {"vendor": "Acme", "model": "Wall", "version": "2.0", "asker": "a person"}
    return (await house.server.service.firmware.add(body(), len(data), name=name, **about)).sha256


async def test_firmware_goes_to_the_chargers_that_are_named(house: FilesHouse, building: Building):
    charger = await house.idles("CP-1")
    sha256 = await added(house, "fw.bin", b"firmware")
    data = await building.gets("firmware/update", charger="cp-1", file="fw.bin")
    assert (data["file"], data["sha256"], data["state"]) == ("fw.bin", sha256, "running")
    assert (await house.gets_update(charger)).endswith("/fw.bin")
    (member,) = house.server.service.firmware.rollout(data["rollout"]).chargers
    assert member.charger == "CP-1"


async def test_firmware_that_is_not_here_or_not_clear_is_refused(house: FilesHouse, building: Building):
    await house.idles("CP-1")
    update = {"charger": "CP-1", "file": "fw.bin"}
    assert await building.is_refused("firmware/update", **update) == "no_such_file"
    first = await added(house, "fw.bin", b"one")
    await added(house, "fw.bin", b"two")
    assert await building.is_refused("firmware/update", **update) == "several_files"
    by_hash = {**update, "file": first}
    assert await building.is_refused("firmware/update", **by_hash, window="now") == "malformed"
    assert await building.is_refused("firmware/update", chargers=["CP-9"], file=first) == "no_such_charger"
    assert (await building.gets("firmware/update", **by_hash))["sha256"] == first


async def test_a_log_is_fetched_into_the_box(house: FilesHouse, building: Building):
    charger = await house.boots("CP-1")
    building.says("diagnostics/get", {"charger": "CP-1"})
    await house.takes_log_order(charger)
    answer = await building.hears()
    assert answer["data"]["state"] == "open"
    assert house.server.service.diagnostics.upload(answer["data"]["upload"]).charger == "CP-1"
    assert await building.is_refused("diagnostics/get", charger="CP-9") == "not_connected"


async def test_without_files_and_alarms_the_box_says_so(garage: House, power: Building):
    await garage.boots("CP-1")
    assert await power.is_refused("firmware/update", charger="CP-1", file="x") == "no_files"
    assert await power.is_refused("diagnostics/get", charger="CP-1") == "no_files"
    power.desk._executor._alarms = None
    assert await power.is_refused("alarm/ack", alarm="cloud-away") == "no_alarms"
