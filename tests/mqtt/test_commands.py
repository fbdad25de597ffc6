"""A stranger commands over the broker: what is carried out, what is only answered, what the books say."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.config_mqtt import VERBS, Mqtt
from edgegw.core.events import Instant
from edgegw.mqtt import answered, commands, gatekeeping
from edgegw.mqtt.commands import CommandDesk, CommandFailed
from edgegw.mqtt.message import Incoming, Message
from edgegw.mqtt.requests import EXAMPLES, schema
from edgegw.mqtt.topics import Tree
from edgegw.runtime.audit import AuditEntry
from edgegw.wire.timestamps import format_timestamp
from tests.mqtt.broker_side import Ear, connection, until
from tests.mqtt.broker_side import settings as broker_settings
from tests.servers.mosquitto import Mosquitto

ROOT = "edgegw/1/gw1"
WALL = 1_795_000_000.0
CARD = "04A1B2C3D4E5F6"


class Chargers:
    """An executor that notes what it is asked, and waits where a test wants that."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, object, tuple[str, ...]]] = []
        self.hold: asyncio.Event | None = None
        self.fails: Exception | None = None
        self.data: dict = {"status": "Accepted"}
        self.names = {"CP-1": "CP-1", "cp-1": "CP-1", "CP-2": "CP-2"}

    def find(self, name: str) -> str | None:
        return self.names.get(name)

    async def run(self, verb: str, request: object, chargers: tuple[str, ...]) -> dict:
        self.ran.append((verb, request, chargers))
        if self.hold is not None:
            await self.hold.wait()
        if self.fails is not None:
            raise self.fails
        return self.data


class Building:
    """A desk with a clock that the test moves, and the broker's end of it."""

    def __init__(self, **table: object) -> None:
        settings = {"broker": "mqtt://127.0.0.1", "commands": list(VERBS), **table}
        self.chargers = Chargers()
        self.mono, self.wall, self.trusted = 1000.0, WALL, True
        self.sent: list[Message] = []
        self.audit: list[AuditEntry] = []
        self.desk = CommandDesk(
            Mqtt.model_validate(settings),
            Tree("edgegw", "gw1"),
            self.chargers,
            self.sent.append,
            self,
            self.now,
        )
        self.passes(3600)

    def write(self, entry: AuditEntry) -> None:
        self.audit.append(entry)

    def now(self) -> Instant:
        return Instant(self.mono, self.wall, self.trusted)

    def passes(self, seconds: float) -> None:
        self.mono += seconds
        self.wall += seconds

    def hears(self, verb: str, payload: dict | bytes, *, stamped: bool = True, **more: object) -> None:
        if isinstance(payload, dict):
            ts = {"ts": format_timestamp(self.wall)} if stamped and "ts" not in payload else {}
            payload = json.dumps({**ts, **payload}).encode()
        incoming = {"topic": f"{ROOT}/request/{verb}", "payload": payload, "retain": False, **more}
        self.desk.on_message(Incoming(**incoming))

    async def answers(self) -> list[dict]:
        """What was sent since the last time; `stamp` apart."""
        await settled()
        bodies = [json.loads(message.body) for message in self.sent]
        self.sent.clear()
        return bodies

    async def asks(self, verb: str, payload: dict | bytes, **more: object) -> dict:
        self.hears(verb, payload, **more)
        (answer,) = await self.answers()
        return answer

    async def refuses(self, verb: str, payload: dict | bytes, **more: object) -> str:
        """The code; nothing was carried out."""
        before = len(self.chargers.ran)
        answer = await self.asks(verb, payload, **more)
        assert (answer["status"], answer["data"]) == ("error", None)
        assert len(self.chargers.ran) == before
        return answer["error"]["code"]


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def building():
    building = Building()
    yield building
    await building.desk.stop()


def reset(transaction: str | None = "t1", **more: object) -> dict:
    return {"charger": "CP-1", **({} if transaction is None else {"transaction": transaction}), **more}


# --- one that is good -----------------------------------------------------------------------------


async def test_a_command_is_carried_out_and_answered_on_its_topic(building: Building):
    building.hears("charger/reset", reset(type="hard"))
    await settled()
    (message,) = building.sent
    assert (message.topic, message.retain, message.qos, message.expiry_s) == (
        f"{ROOT}/response/charger/reset", False, 1, 60,
    )  # fmt: skip
    assert message.correlation is None
    assert message.payload("2026-11-20T23:40:01Z").startswith(
        b'{"ts":"2026-11-20T23:40:01Z","transaction":"t1"'
    )
    (answer,) = await building.answers()
    assert answer == {
        "transaction": "t1", "status": "ok", "data": {"status": "Accepted"}, "error": None, "took_ms": 0.0,
    }  # fmt: skip
    ((verb, request, chargers),) = building.chargers.ran
    assert (verb, request.type, chargers) == ("charger/reset", "hard", ("CP-1",))


async def test_a_charger_may_be_named_as_in_topics(building: Building):
    assert (await building.asks("charger/reset", reset(charger="cp-1")))["status"] == "ok"
    assert building.chargers.ran[0][2] == ("CP-1",)
    assert building.audit[0].target == "CP-1"


async def test_correlation_data_names_a_command_too_and_comes_back(building: Building):
    building.hears("charger/reset", reset(None), correlation=b"\x00\xff")
    await settled()
    assert building.sent[0].correlation == b"\x00\xff"
    assert json.loads(building.sent[0].body)["transaction"] is None
    building.hears("charger/reset", reset("t9"), correlation=b"other")
    await settled()
    assert (building.sent[1].correlation, json.loads(building.sent[1].body)["transaction"]) == (
        b"other",
        "t9",
    )


async def test_what_is_no_request_is_somebody_elses(building: Building):
    building.desk.on_message(Incoming(topic="homeassistant/status", payload=b"online", retain=False))
    building.desk.on_message(Incoming(topic=f"{ROOT}/request", payload=b"{}", retain=False))
    building.desk.on_message(Incoming(topic="edgegw/1/gw2/request/health_check", payload=b"{}", retain=False))
    assert await building.answers() == []
    assert building.audit == []


async def test_a_charger_that_says_no_is_an_error_with_its_word(building: Building):
    building.chargers.fails = CommandFailed(
        "charger_refused", "CP-1 answered Rejected", {"status": "Rejected"}
    )
    answer = await building.asks("charger/reset", reset())
    assert (answer["status"], answer["data"]) == ("error", {"status": "Rejected"})
    assert answer["error"] == {"code": "charger_refused", "text": "CP-1 answered Rejected"}
    assert building.audit[0].outcome == "charger_refused"


async def test_a_bug_is_answered_and_logged_and_the_desk_lives_on(building: Building, caplog):
    building.chargers.fails = RuntimeError("oh")
    assert (await building.asks("charger/reset", reset()))["error"]["code"] == "internal"
    assert "command charger/reset failed" in caplog.text
    building.chargers.fails = None
    assert (await building.asks("charger/reset", reset("t2")))["status"] == "ok"


async def test_a_command_that_hangs_does_not_keep_its_place(building: Building, monkeypatch):
    monkeypatch.setattr(commands, "RUN_S_MAX", 0.001)
    building.chargers.hold = asyncio.Event()
    building.hears("charger/reset", reset())
    await asyncio.wait(building.desk._tasks._running)
    (answer,) = await building.answers()
    assert answer["error"]["code"] == "timeout"
    building.chargers.hold = None
    assert (await building.asks("charger/reset", reset("t2")))["status"] == "ok"


async def test_an_answer_that_is_too_long_is_cut_down(building: Building):
    building.chargers.data = {"x": "y" * 20_000}
    assert (await building.asks("health_check", {"transaction": "t1"}))["data"] == {"shortened": True}


# --- who may what ---------------------------------------------------------------------------------


async def test_without_commands_in_the_site_file_nothing_is_carried_out():
    building = Building(commands=[])
    for verb in VERBS:
        building.passes(10)
        assert await building.refuses(verb, reset(verb)) == "not_allowed"


async def test_only_verbs_that_are_named_are_carried_out():
    building = Building(commands=["charger/unlock"])
    assert await building.refuses("charger/reset", reset()) == "not_allowed"
    assert (await building.asks("charger/unlock", reset(connector=1)))["status"] == "ok"


async def test_only_sources_that_are_named_set_and_release_limits(building: Building):
    limit = {"transaction": "t1", "source": "dso", "limit_a": 10}
    assert await building.refuses("limit/set", limit) == "not_allowed"
    assert await building.refuses("limit/release", {"transaction": "t1", "source": "dso"}) == "not_allowed"
    assert (await building.asks("limit/set", {**limit, "source": "bms"}))["status"] == "ok"
    assert building.audit[-1].asker == "bms"


# --- what is refused ------------------------------------------------------------------------------


async def test_a_retained_command_does_nothing_but_answer(building: Building):
    assert await building.refuses("charger/reset", reset(), retain=True) == "retained_command"
    assert (await building.asks("charger/reset", reset()))["status"] == "ok"  # and is not remembered


class DeskEar(Ear):
    """Hands on what the broker sends."""

    def __init__(self, desk: CommandDesk) -> None:
        super().__init__()
        self.desk = desk

    def on_message(self, incoming: Incoming) -> None:
        super().on_message(incoming)
        self.desk.on_message(incoming)


@pytest.mark.parametrize(
    ("mqtt5", "codes"),
    [(True, ["retained_command", "retained_command"]), (False, ["ok", "retained_command"])],
    ids=["mqtt5", "mqtt311"],
)
async def test_a_retained_command_that_comes_live_is_known_as_one_with_mqtt_5_only(
    building: Building, tmp_path: Path, mqtt5: bool, codes: list[str]
):
    """A 3.1.1 broker says of what it keeps that it is kept only to those who come later (3.3.1.3)."""
    ear = DeskEar(building.desk)
    topic = f"{ROOT}/request/charger/reset"
    payload = json.dumps(reset(ts=format_timestamp(building.wall)))
    async with Mosquitto(tmp_path) as broker:
        for _ in range(2):
            ours = broker_settings(broker, mqtt5=mqtt5)
            async with connection(ours, subscriptions=[f"{ROOT}/request/#"], ear=ear):
                await until(lambda: ear.subscribed)
                if not ear.messages:
                    await broker.publish(topic, payload, "-r")
                count = len(ear.told)
                await until(lambda count=count: len(ear.messages) == count)
            ear.subscribed.clear()
    told = [(answer["error"] or {"code": "ok"})["code"] for answer in await building.answers()]
    assert told == codes
    assert len(building.chargers.ran) == codes.count("ok")


@pytest.mark.parametrize(
    ("age_s", "code"),
    [(31, "stale"), (86_400, "stale"), (-31, "clock_differs"), (30, ""), (0, ""), (-30, "")],
)
async def test_a_command_is_good_for_thirty_seconds(building: Building, age_s: float, code: str):
    command = reset(ts=format_timestamp(WALL + 3600 - age_s))
    if code:
        assert await building.refuses("charger/reset", command) == code
    else:
        assert (await building.asks("charger/reset", command))["status"] == "ok"


@pytest.mark.parametrize(
    "ts", ["2026-11-18T11:06:40", "yesterday", "", "x" * 65, 1_795_003_600, "2026-13-01T00:00:00Z"]
)
async def test_a_time_that_is_none_or_names_no_zone_is_malformed(building: Building, ts: object):
    assert await building.refuses("charger/reset", reset(ts=ts)) == "malformed"


async def test_a_command_without_a_time_is_told_how_to_add_it(building: Building):
    building.hears("charger/reset", reset(), stamped=False)
    (answer,) = await building.answers()
    assert answer["error"]["code"] == "no_timestamp"
    assert '"ts"' in answer["error"]["text"]
    assert (await building.asks("charger/reset", reset(ts=None)))["error"]["code"] == "no_timestamp"


async def test_without_require_timestamp_it_may_be_missing_but_not_old():
    building = Building(require_timestamp=False)
    assert (await building.asks("charger/reset", reset(), stamped=False))["status"] == "ok"
    old = reset("t2", ts=format_timestamp(WALL))
    assert await building.refuses("charger/reset", old) == "stale"


LIMIT = {"source": "bms", "limit_a": 16}
FINE_AT_ANY_TIME = [
    ("limit/set", LIMIT),
    ("limit/release", {"source": "bms"}),
    ("alarm/ack", {"alarm": "cloud-away"}),
    ("health_check", {}),
]


@pytest.mark.parametrize(("verb", "payload"), FINE_AT_ANY_TIME)
async def test_while_the_box_does_not_know_the_time_limits_are_taken_and_none_is_called_old(
    building: Building, verb: str, payload: dict
):
    building.trusted = False
    old = {"transaction": "t1", "ts": "2019-01-01T00:00:00Z", **payload}
    assert (await building.asks(verb, old))["status"] == "ok"
    assert await building.refuses(verb, {**payload, "transaction": "t2"}, stamped=False) == "no_timestamp"


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in dict(FINE_AT_ANY_TIME)])
async def test_while_the_box_does_not_know_the_time_nothing_that_could_be_a_recording_is_carried_out(
    building: Building, verb: str
):
    building.trusted = False
    payload = {**EXAMPLES[verb][0], "transaction": "t1", "ts": format_timestamp(building.wall)}
    if "charger" in payload:
        payload["charger"] = "CP-1"
    if "chargers" in payload:
        payload["chargers"] = ["CP-1"]
    answer = await building.asks(verb, payload)
    assert answer["error"]["code"] == "clock_not_set"
    assert "clock" in answer["error"]["text"]
    assert building.chargers.ran == []
    building.trusted = True
    assert (await building.asks(verb, payload))["status"] == "ok"


async def test_who_does_without_a_time_does_without_a_clock():
    building = Building(require_timestamp=False)
    building.trusted = False
    assert (await building.asks("charger/reset", reset(), stamped=False))["status"] == "ok"
    assert await building.refuses("charger/reset", reset("t2")) == "clock_not_set"


async def test_a_command_from_before_the_start_may_have_been_carried_out_by_then():
    building = Building()
    building.passes(-3595)  # five seconds after the start
    assert await building.refuses("charger/reset", reset(ts=format_timestamp(WALL - 5))) == "stale"
    assert (await building.asks("charger/reset", reset(ts=format_timestamp(WALL - 1))))["status"] == "ok"


async def test_a_clock_that_is_set_while_the_box_runs_makes_no_command_old(building: Building):
    building.wall -= 86_400
    assert (await building.asks("charger/reset", reset()))["status"] == "ok"


async def test_a_command_needs_a_name(building: Building):
    assert await building.refuses("charger/reset", reset(None)) == "no_transaction"
    assert await building.refuses("charger/reset", reset(None), correlation=b"") == "no_transaction"
    for bad in ("", "x" * 65, "a\nb", 5, True):
        assert await building.refuses("charger/reset", reset(bad)) == "malformed"


@pytest.mark.parametrize(
    "verb", ["charger/explode", "", "/", "charger/reset/", "CHARGER/RESET", "$SYS", "é/\x01", "a" * 60_000]
)
async def test_an_unknown_verb_is_answered_on_a_topic_that_is_one(building: Building, verb: str):
    building.hears(verb, reset())
    await settled()
    (message,) = building.sent
    expected = "charger/explode" if verb == "charger/explode" else "unknown"
    assert message.topic == f"{ROOT}/response/{expected}"
    assert json.loads(message.body)["error"]["code"] == "unknown_verb"
    assert len(building.audit[0].order) <= 60


async def test_an_unknown_verb_is_told_what_is_near(building: Building):
    answer = await building.asks("charger/rest", reset())
    assert "charger/reset" in answer["error"]["text"]


@pytest.mark.parametrize(
    "name", ["#", "+", "CP-+", "CP-1/#", "../CP-1", "CP-1\x00", "CP-1 ", "cp-9", "\u202eCP-1"]
)
async def test_a_wildcard_or_any_other_odd_name_is_just_an_unknown_charger(building: Building, name: str):
    answer = await building.asks("charger/reset", reset(charger=name))
    assert answer["error"]["code"] == "no_such_charger"
    assert answer["error"]["text"].isprintable()
    assert building.chargers.ran == []


async def test_of_several_chargers_all_must_be_known(building: Building):
    update = {"transaction": "t1", "file": "a.bin", "chargers": ["CP-1", "CP-7"]}
    assert await building.refuses("firmware/update", update) == "no_such_charger"
    assert (await building.asks("firmware/update", {**update, "chargers": ["CP-2", "cp-1", "CP-1"]}))[
        "status"
    ] == "ok"
    assert building.chargers.ran[0][2] == ("CP-2", "CP-1")


async def test_a_long_payload_is_refused_unread(building: Building):
    assert await building.refuses("charger/reset", b" " * 65_537) == "malformed"
    assert await building.refuses("charger/reset", b"x" * 10_000_000) == "malformed"
    assert len(building.audit) == 2


# --- where the answer goes ------------------------------------------------------------------------


async def test_an_answer_goes_where_the_asker_wishes_below_response(building: Building):
    wished = f"{ROOT}/response/bms/inbox"
    building.hears("charger/reset", reset(), response_topic=wished, correlation=b"c")
    await settled()
    assert (building.sent[0].topic, building.sent[0].correlation) == (wished, b"c")


@pytest.mark.parametrize(
    "topic",
    [
        "homeassistant/lock/x/set",
        f"{ROOT}/response/",
        f"{ROOT}/response",
        f"{ROOT}/responses/x",
        f"{ROOT}/request/charger/reset",
        f"{ROOT}/status",
        f"{ROOT}/response/+",
        f"{ROOT}/response/#",
        f"{ROOT}/response/\x00",
        f"{ROOT}/response/" + "x" * 300,
        "edgegw/1/gw2/response/x",
        "",
    ],
)
async def test_nobody_makes_the_gateway_write_elsewhere(building: Building, topic: str):
    building.hears("charger/reset", reset(), response_topic=topic)
    await settled()
    assert building.sent[0].topic == f"{ROOT}/response/charger/reset"
    assert json.loads(building.sent[0].body)["error"]["code"] == "bad_response_topic"
    assert building.chargers.ran == []


async def test_correlation_data_that_is_too_long_is_not_said_back(building: Building):
    building.hears("charger/reset", reset(), correlation=b"x" * 257)
    await settled()
    assert building.sent[0].correlation is None
    assert json.loads(building.sent[0].body)["error"]["code"] == "malformed"


# --- the same again -------------------------------------------------------------------------------


async def test_the_same_command_again_gets_the_same_answer_and_is_not_carried_out_again(building: Building):
    command = reset(ts=format_timestamp(building.wall))
    first = await building.asks("charger/reset", command)
    building.passes(599)  # long stale by then
    building.hears("charger/reset", command, correlation=b"again")
    await settled()
    assert json.loads(building.sent[0].body) == first
    assert building.sent[0].correlation == b"again"
    assert len(building.chargers.ran) == 1
    assert [entry.outcome for entry in building.audit] == ["ok", "repeated"]


async def test_after_ten_minutes_an_old_command_is_old(building: Building):
    command = reset(ts=format_timestamp(building.wall))
    await building.asks("charger/reset", command)
    building.passes(601)
    assert await building.refuses("charger/reset", command) == "stale"
    assert (await building.asks("charger/reset", reset()))["status"] == "ok"


async def test_a_replay_with_a_new_time_is_found_out(building: Building):
    await building.asks("charger/reset", reset())
    building.passes(60)
    assert await building.refuses("charger/reset", reset()) == "transaction_reused"
    assert await building.refuses("charger/reset", reset(), correlation=b"new") == "transaction_reused"


async def test_another_command_with_the_same_transaction_is_not_carried_out(building: Building):
    await building.asks("charger/reset", reset())
    assert await building.refuses("charger/unlock", reset(connector=1)) == "transaction_reused"
    assert await building.refuses("charger/reset", reset(charger="CP-2")) == "transaction_reused"


async def test_the_same_payload_under_another_verb_is_another_command(building: Building):
    asked = {"transaction": "t1", "charger": "CP-1", "ts": format_timestamp(building.wall)}
    await building.asks("charger/reset", asked)
    assert await building.refuses("diagnostics/get", asked) == "transaction_reused"


async def test_correlation_data_that_is_used_twice_is_a_repeated_command(building: Building):
    command = reset(None, ts=format_timestamp(building.wall))
    await building.asks("charger/reset", command, correlation=b"c")
    assert (await building.asks("charger/reset", command, correlation=b"c"))["status"] == "ok"
    assert len(building.chargers.ran) == 1
    assert (
        await building.refuses("charger/reset", reset(None, type="hard"), correlation=b"c")
        == "transaction_reused"
    )


async def test_a_command_that_comes_again_while_it_runs_is_answered_once_it_is_done(building: Building):
    building.chargers.hold = asyncio.Event()
    command = reset(ts=format_timestamp(building.wall))
    for asker in (b"1", b"2", b"3"):
        building.hears("charger/reset", command, correlation=asker)
    assert await building.answers() == []
    building.passes(20)
    building.chargers.hold.set()
    await settled()
    assert [message.correlation for message in building.sent] == [b"1", b"2", b"3"]
    assert {message.body for message in building.sent} == {building.sent[0].body}
    assert json.loads(building.sent[0].body)["took_ms"] == 20_000.0
    assert (building.desk.seconds.count, building.desk.seconds.sum_s) == (1, 20.0)
    assert len(building.chargers.ran) == 1


async def test_not_everybody_who_asks_again_and_again_is_answered(building: Building, monkeypatch):
    monkeypatch.setattr(gatekeeping, "WAITERS_MAX", 2)
    building.chargers.hold = asyncio.Event()
    command = reset(ts=format_timestamp(building.wall))
    for _ in range(4):
        building.hears("charger/reset", command)
    (answer,) = await building.answers()
    assert answer["error"]["code"] == "busy"
    building.chargers.hold.set()
    assert len(await building.answers()) == 3


async def test_a_failure_is_remembered_like_a_success(building: Building):
    building.chargers.fails = CommandFailed("charger_refused", "no")
    command = reset(ts=format_timestamp(building.wall))
    first = await building.asks("charger/reset", command)
    building.chargers.fails = None
    assert await building.asks("charger/reset", command) == first


async def test_what_was_refused_may_be_sent_again(building: Building):
    building.chargers.names.clear()
    command = reset(ts=format_timestamp(building.wall))
    assert await building.refuses("charger/reset", command) == "no_such_charger"
    building.chargers.names["CP-1"] = "CP-1"
    assert (await building.asks("charger/reset", command))["status"] == "ok"


async def test_when_memory_is_full_nothing_is_forgotten_early(building: Building, monkeypatch):
    monkeypatch.setattr(answered, "ENTRIES_MAX", 3)
    for number in range(3):
        assert (await building.asks("health_check", {"transaction": f"t{number}"}))["status"] == "ok"
    assert await building.refuses("health_check", {"transaction": "t3"}) == "busy"
    building.passes(600)
    assert (await building.asks("health_check", {"transaction": "t3"}))["status"] == "ok"


async def test_answers_are_bounded_in_bytes_too(building: Building, monkeypatch):
    monkeypatch.setattr(answered, "BYTES_MAX", 54_000)
    building.chargers.data = {"x": "y" * 15_000}
    outcomes = [(await building.asks("health_check", {"transaction": f"t{n}"}))["status"] for n in range(4)]
    assert outcomes == ["ok", "ok", "error", "error"]
    building.passes(600)
    assert (await building.asks("health_check", {"transaction": "t4"}))["status"] == "ok"


# --- too many -------------------------------------------------------------------------------------


async def test_thirty_two_run_at_once(building: Building):
    building.chargers.hold = asyncio.Event()
    for number in range(33):
        building.hears("health_check", {"transaction": f"t{number}"})
    (answer,) = await building.answers()
    assert (answer["transaction"], answer["error"]["code"]) == ("t32", "busy")
    building.chargers.hold.set()
    assert len(await building.answers()) == 32
    building.passes(5)
    assert (await building.asks("health_check", {"transaction": "t32"}))["status"] == "ok"


async def test_a_slow_charger_holds_up_only_itself(building: Building):
    building.chargers.hold = asyncio.Event()
    for number in range(5):
        building.hears("charger/reset", reset(f"t{number}"))
    (answer,) = await building.answers()
    assert (answer["transaction"], answer["error"]["code"]) == ("t4", "busy")
    building.hears("charger/reset", reset("other", charger="CP-2"))
    assert await building.answers() == []
    building.chargers.hold.set()
    assert len(await building.answers()) == 5
    building.chargers.hold = None
    assert (await building.asks("charger/reset", reset("t4")))["status"] == "ok"


async def test_above_the_rate_commands_are_refused_and_in_a_flood_only_counted(building: Building):
    for number in range(1000):
        building.hears("health_check", {"transaction": f"t{number}"})
        await asyncio.sleep(0)
    codes = [(a["error"] or {}).get("code", "ok") for a in await building.answers()]
    assert sorted(set(codes)) == ["ok", "too_many"]
    assert (codes.count("ok"), codes.count("too_many")) == (50, 100)
    assert building.desk.counts["not_answered"] == 850
    assert len(building.chargers.ran) == 50
    building.passes(1)
    assert (await building.asks("health_check", {"transaction": "later"}))["status"] == "ok"


def limit(transaction: str) -> dict:
    return {**LIMIT, "transaction": transaction}


@pytest.mark.parametrize("verb", ["health_check", "charger/reset", "no/verb"])
async def test_a_flood_of_another_verb_keeps_no_limit_of_the_building_out(building: Building, verb: str):
    for second in range(20):
        for number in range(200):
            building.hears(verb, {"transaction": f"t{second}-{number}", "charger": "CP-1"})
        await building.answers()
        assert (await building.asks("limit/set", limit(f"l{second}")))["status"] == "ok"
        building.passes(1)
    other = "charger/unlock" if verb == "health_check" else "health_check"
    asked = {"transaction": "x", "charger": "CP-2", "connector": 1} if other == "charger/unlock" else {}
    assert (await building.asks(other, {"transaction": "x", **asked}))["status"] == "ok"
    assert building.desk.counts["too_many"] > 1000


async def test_long_payloads_of_one_verb_cost_no_other(building: Building):
    for _ in range(10):
        building.hears("queue/resend", b"x" * 65_536)
        await settled()
    assert building.desk.counts["too_many"] == 8
    await building.answers()
    assert (await building.asks("limit/set", limit("t1")))["status"] == "ok"


async def test_both_verbs_of_limits_share_and_so_do_all_that_do_not_exist(building: Building):
    for first, second in (("limit/set", "limit/release"), ("a", "b")):
        for number in range(50):
            building.hears(first, limit(f"{first}{number}"))
            await asyncio.sleep(0)
        await building.answers()
        answer = await building.asks(second, {"transaction": "x", "source": "bms"})
        assert answer["error"]["code"] == "too_many"


async def test_commands_that_take_their_time_keep_no_limit_out(building: Building):
    building.chargers.hold = asyncio.Event()
    for number in range(33):
        building.hears("health_check", {"transaction": f"t{number}"})
    building.hears("limit/set", limit("l1"))
    (answer,) = await building.answers()
    assert (answer["transaction"], answer["error"]["code"]) == ("t32", "busy")
    building.chargers.hold.set()
    assert "l1" in {answer["transaction"] for answer in await building.answers()}


async def test_ten_minutes_of_another_verb_fill_no_memory_that_a_limit_needs(building: Building):
    codes = Counter[str]()
    for second in range(590):
        for number in range(10):
            building.hears("health_check", {"transaction": f"t{second}-{number}"})
        for answer in await building.answers():
            codes[(answer["error"] or {"code": "ok"})["code"]] += 1
        building.passes(1)
    assert codes == {"ok": 3072, "busy": 5900 - 3072}
    assert (await building.asks("limit/set", limit("l1")))["status"] == "ok"


async def test_long_payloads_count_as_several_commands(building: Building):
    worst = b'{"x": "\\u0022", "a": [' + b",".join([b'{"q":1, "r":2}'] * 4000) + b"]}"
    codes = [(await building.asks("queue/resend", worst))["error"]["code"] for _ in range(6)]
    assert codes == ["malformed"] * 3 + ["too_many"] * 3
    building.passes(5)
    assert (await building.asks("health_check", {"transaction": "t1"}))["status"] == "ok"


async def test_one_too_many_is_told_its_transaction(building: Building):
    for number in range(51):
        building.hears("health_check", {"transaction": f"t{number}"})
        await asyncio.sleep(0)
    assert [a["transaction"] for a in await building.answers() if a["status"] == "error"] == ["t50"]


# --- the end --------------------------------------------------------------------------------------


async def test_what_runs_at_the_stop_is_answered_so(building: Building):
    building.chargers.hold = asyncio.Event()
    building.hears("charger/reset", reset("t1"))
    await settled()
    building.hears("charger/reset", reset("t2"))  # not begun yet
    await building.desk.stop()
    assert [a["error"]["code"] for a in await building.answers()] == ["stopping", "stopping"]
    building.chargers.hold.set()
    building.hears("charger/reset", reset("t3"))
    assert await building.answers() == []
    assert len(building.chargers.ran) == 2


# --- the books ------------------------------------------------------------------------------------


async def test_what_was_carried_out_before_a_restart_is_not_carried_out_again(building: Building):
    """The clock of the asker is ahead: its command looks new for a while, also to the next process."""
    ahead = reset("t1", ts=format_timestamp(building.wall + 25))
    assert (await building.asks("charger/reset", ahead))["status"] == "ok"
    again = Building()
    again.passes(3)
    again.desk.remember(building.audit)
    assert await again.refuses("charger/reset", ahead) == "transaction_reused"
    assert (await again.asks("charger/reset", reset("t2")))["status"] == "ok"
    again.passes(601)
    assert (await again.asks("charger/reset", reset("t1")))["status"] == "ok"


async def test_an_empty_payload_clears_a_retained_command_and_is_none(building: Building):
    building.hears("charger/reset", b"", retain=True)
    assert await building.answers() == []
    assert building.audit == []


async def test_every_command_is_in_the_audit_refused_or_not(building: Building):
    await building.asks("charger/reset", reset("t1"))
    await building.asks("charger/reset", reset("t2", charger="CP-9"))
    await building.asks("charger/reset", b"{")
    await building.asks("nothing", reset("t3"))
    await building.asks("alarm/ack", {"transaction": "t4", "alarm": "cloud-away", "by": "control room"})
    assert [(e.order, e.target, e.outcome, e.transaction, e.asker) for e in building.audit] == [
        ("charger/reset", "CP-1", "ok", "t1", "unknown"),
        ("charger/reset", "CP-9", "no_such_charger", "t2", "unknown"),
        ("charger/reset", "", "malformed", "", "unknown"),
        ("nothing", "", "unknown_verb", "t3", "unknown"),
        ("alarm/ack", "cloud-away", "ok", "t4", "control room"),
    ]
    assert building.audit[2].text.startswith("the payload is not JSON; asked: ")
    assert building.audit[0].text == '{"charger":"CP-1","type":"soft"}'
    assert {e.door for e in building.audit} == {"mqtt"}
    assert building.audit[0].at == building.wall


@pytest.mark.parametrize(
    ("verb", "payload"),
    [
        ("charger/start", reset(connector=1, id_token=CARD)),
        ("charger/start", reset(connector=1, idToken=CARD)),
        ("charger/start", reset(connector=1, idToken={"idToken": CARD, "type": "Central"})),
        ("charger/start", reset(connector="1", id_token=CARD)),
        ("charger/start", reset(None, connector=1, id_token=CARD)),
        ("charger/start", f"{{'id_token': '{CARD}'".encode()),
        ("charger/start", f'{{"card": "{CARD}"}}'.encode()),
        ("charger/start", f'{{"id_token": "{CARD}", "id_token": "x"}}'.encode()),
        ("charger/begin", reset(connector=1, id_token=CARD)),
        ("charger/begin", {"password": CARD}),
        ("health_check", {"url": f"ftp://user:{CARD}@host/x"}),
    ],
)
async def test_no_card_id_and_no_password_is_in_the_audit_the_log_or_the_answer(
    building: Building, verb: str, payload: dict | bytes, caplog
):
    caplog.set_level(logging.DEBUG)
    answer = await building.asks(verb, payload)
    assert building.audit
    for text in (repr(building.audit), caplog.text, json.dumps(answer)):
        assert CARD not in text
        assert CARD[:10] not in text


async def test_what_is_in_the_books_is_short_and_printable(building: Building):
    await building.asks("charger/reset", b'{"charger": "\x1b[2J' + b"x" * 60_000)
    await building.asks("charger/reset", reset(charger="\x1b[2J"))
    await building.asks("\x1b[2J" + "y" * 1000, b"{}")
    update = {
        "transaction": "t",
        "file": "f",
        "chargers": ["CP-1", "c" * 64, *(f"{n}" * 20 for n in range(100))],
    }
    await building.asks("firmware/update", update)
    for entry in building.audit:
        for text in (entry.text, entry.order, entry.target, entry.asker, entry.transaction):
            assert text.isprintable()
            assert len(text) <= 500


async def test_one_line_per_command_and_one_for_much_of_the_same_garbage(building: Building, caplog):
    caplog.set_level(logging.INFO, "edgegw.mqtt.commands")
    await building.asks("charger/reset", reset("t1"))
    assert [r.message for r in caplog.records] == [
        'mqtt charger/reset {"charger":"CP-1","type":"soft"}: ok after 0 ms'
    ]
    caplog.clear()
    for _ in range(40):
        await building.asks("charger/reset", b"{")
    assert [r.message for r in caplog.records] == [
        "mqtt charger/reset refused, malformed: the payload is not JSON"
    ]
    assert building.desk.counts["malformed"] == 40
    building.passes(61)
    await building.asks("charger/reset", b"{")
    assert caplog.records[-1].message.endswith("(39 more like it before)")


async def test_garbage_of_many_kinds_does_not_fill_memory(building: Building, caplog):
    for number in range(300):
        building.passes(1)
        await building.asks(f"verb{number}", b"{}")
    assert len(building.desk._refusals._kinds) <= 64


async def test_a_flood_does_not_push_everything_else_out_of_the_audit(building: Building):
    for _ in range(60):
        for _ in range(220):
            building.hears("charger/reset", b"{}")
        building.passes(1)
    assert len(await building.answers()) < 60 * 220
    assert building.desk.counts["not_answered"] > 5000
    kept = len(building.audit)
    assert kept < 300
    building.passes(60)
    await building.asks("charger/reset", reset("t1"))
    assert building.audit[-1].outcome == "ok"
    await building.desk.stop()
    left_out = sum(int(e.text.split()[0]) for e in building.audit if e.order == "request")
    single = sum(e.order != "request" for e in building.audit)
    assert left_out + single == 60 * 220 + 1


# --- anything at all ------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NOW = format_timestamp(WALL + 3600)
MEMBERS = (
    "charger",
    "connector",
    "transaction",
    "ts",
    "limit_a",
    "source",
    "operative",
    "session",
    "seqs",
    "x",
)
VALUES = JSON | st.sampled_from(["CP-1", "cp-1", "bms", "t1", "soft", 1, 10, True, NOW])


@st.composite
def commands_and_worse(draw) -> tuple[str, bytes]:
    """One that is good, perhaps with members that are not, or anything at all."""
    verb = draw(st.sampled_from(VERBS) | st.text(max_size=20))
    if verb not in VERBS or draw(st.integers(0, 3)) == 0:
        return verb, draw(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
    good = {**draw(st.sampled_from(EXAMPLES[verb])), "ts": NOW}
    if "charger" in good:
        good["charger"] = "CP-1"
    worse = draw(st.dictionaries(st.sampled_from(MEMBERS), VALUES, max_size=2))
    for name in draw(st.lists(st.sampled_from(MEMBERS), max_size=1)):
        good.pop(name, None)
    return verb, json.dumps({**good, **worse}).encode()


@settings(max_examples=300)
@given(
    command=commands_and_worse(),
    retain=st.sampled_from([False, False, False, True]),
    correlation=st.none() | st.binary(max_size=20),
    response=st.none() | st.none() | st.text(max_size=20).map(lambda text: f"{ROOT}/response/{text}"),
)
def test_whatever_comes_gets_one_answer_and_only_what_is_whole_is_carried_out(
    command, retain, correlation, response
):
    verb, payload = command

    async def story() -> None:
        building = Building()
        building.hears(verb, payload, retain=retain, correlation=correlation, response_topic=response)
        await settled()
        if not payload:
            assert (building.sent, building.audit, building.chargers.ran) == ([], [], [])
            return await building.desk.stop()
        (message,) = building.sent
        assert message.topic.startswith(f"{ROOT}/response/")
        assert not message.retain
        answer = json.loads(message.payload("2026-11-20T23:40:01Z"))
        assert (answer["status"] == "ok") == bool(building.chargers.ran)
        assert len(building.audit) == 1
        if building.chargers.ran:
            said = json.loads(payload)
            assert jsonschema_rs.validator_for(schema(verb)).is_valid(said)
            assert not retain
            assert said.get("transaction") or correlation
            assert said["ts"] == NOW
        await building.desk.stop()

    asyncio.run(story())


@given(at=st.integers(0, 200), byte=st.integers(32, 126))
def test_a_good_command_with_one_byte_wrong_is_never_another_command(at: int, byte: int):
    good = bytearray(json.dumps({**reset("t1"), "ts": NOW}).encode())
    good[at % len(good)] = byte

    async def story() -> None:
        building = Building()
        building.hears("charger/reset", bytes(good))
        await settled()
        assert len(building.sent) == 1
        for _, request, chargers in building.chargers.ran:
            assert chargers == ("CP-1",)
            assert request.type == "soft"

    asyncio.run(story())


def test_the_limits_of_the_desk_are_the_ones_that_are_written_down():
    assert (gatekeeping.COMMANDS_BURST, gatekeeping.COMMANDS_PER_S, gatekeeping.REFUSALS_PER_S) == (
        50,
        10,
        100,
    )
    assert (gatekeeping.RUNNING_MAX, gatekeeping.RUNNING_PER_CHARGER_MAX) == (32, 4)
    assert (answered.KEPT_S, answered.ENTRIES_MAX, answered.ANSWER_BYTES_MAX) == (600, 4096, 16_384)
