"""What the broker is told while it is there, is away, comes back empty, or is told by somebody else."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgegw.core.events import Instant
from edgegw.mqtt import payloads, sweep
from edgegw.mqtt import publisher as publisher_module
from edgegw.mqtt.connection import Connection
from edgegw.mqtt.event_queue import EventQueue, MemoryEvents
from edgegw.mqtt.message import Incoming, Message
from edgegw.mqtt.publisher import SOON_MAX, Publisher
from edgegw.mqtt.sweep import Sweep
from edgegw.mqtt.topics import Tree
from edgegw.runtime import clock
from edgegw.runtime.tasks import Tasks
from edgegw.store.telemetry import Telemetry
from tests.mqtt.broker_side import settings, until
from tests.servers.mosquitto import Mosquitto

TREE = Tree("edgegw", "site")


@pytest.fixture(autouse=True)
def _a_broker_on_this_machine_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "QUIET_S", 0.3)


ROOT = TREE.root
DISCOVERY = "homeassistant/device/{}/config"


class Site:
    """A state that a test changes. Counts how often it was asked for."""

    def __init__(self, chargers: int = 2) -> None:
        self.present: dict[str, Message] = {}
        self.asked = 0
        for number in range(chargers):
            self.say(f"charger/cp{number}/availability", "online", stamped=False, qos=1)
            self.say(f"charger/cp{number}/info", '{"identity":"CP"}', qos=1)
            self.say(f"charger/cp{number}/connector/1/state", '{"power_w":0}', expiry_s=60)

    def say(self, tail: str, body: str, **changed: Any) -> None:
        topic = f"{ROOT}/{tail}"
        self.present[topic] = Message(topic=topic, body=body.encode(), **changed)

    def gone(self, tail: str) -> None:
        del self.present[f"{ROOT}/{tail}"]

    def state(self) -> dict[str, Message]:
        self.asked += 1
        return dict(self.present)


@asynccontextmanager
async def publishing(
    broker: Mosquitto,
    site: Site,
    *,
    events: EventQueue | None = None,
    subscriptions: tuple[str, ...] = (),
    swept: Sweep | None = None,
    mqtt5: bool = True,
) -> AsyncIterator[Publisher]:
    tasks = Tasks()
    link = Connection(settings(broker, mqtt5=mqtt5), tasks, subscriptions=subscriptions, rand=lambda: 0.0)
    publisher = Publisher(
        link, TREE, events, site.state, interval_s=0.05, now=clock.now, tasks=tasks, sweep=swept
    )
    link.start()
    publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()
        await link.stop()
        await tasks.cancel()


async def settled(publisher: Publisher) -> None:
    """Everything that is true now has been told."""
    asked = publisher._state.__self__.asked  # type: ignore[attr-defined]
    await until(lambda: publisher.health().up)
    await until(lambda: publisher._state.__self__.asked > asked + 1)  # type: ignore[attr-defined]
    await until(lambda: publisher.health().states_due == 0 and publisher._connection.under_way == (0, 0))


async def holds(broker: Mosquitto, site: Site) -> None:
    """The broker holds the present state, `status` beside it, and nothing else of ours."""
    found = await broker.retained(f"{ROOT}/#")
    assert {topic: plain(one.payload) for topic, one in found.items()} == {
        f"{ROOT}/status": b"online",
        **{topic: message.body for topic, message in site.present.items()},
    }


def plain(payload: bytes) -> bytes:
    """Without the time it was sent."""
    if not payload.startswith(b"{"):
        return payload
    fields = json.loads(payload)
    assert fields.pop("ts").endswith("Z")
    return json.dumps(fields, separators=(",", ":")).encode()


def event(text: str = "booted") -> payloads.Event:
    return payloads.Event(
        id="",
        seq=0,
        at="2026-11-20T23:40:01Z",
        kind="boot",
        target="CP1",
        severity="info",
        text=text,
        data={},
    )


# --- states ---------------------------------------------------------------------------------------


async def test_the_broker_holds_the_state_and_status_comes_first(tmp_path: Path):
    site = Site()
    async with Mosquitto(tmp_path) as broker, broker.subscribed(f"{ROOT}/#") as building:
        async with publishing(broker, site) as publisher:
            await settled(publisher)
            await holds(broker, site)
            site.say("charger/cp0/connector/1/state", '{"power_w":7000}', expiry_s=60)
            site.say("alarm/meter", '{"id":"meter"}', qos=1)
            site.gone("charger/cp1/info")
            await settled(publisher)
            await holds(broker, site)
        assert (building.seen[0].topic, building.seen[0].payload) == (f"{ROOT}/status", b"online")
        topic = f"{ROOT}/charger/cp0/connector/1/state"
        await until(lambda: len(building.on(topic)) > 1)
        state = building.on(topic)
        assert [plain(one.payload) for one in state] == [b'{"power_w":0}', b'{"power_w":7000}']
        assert (state[0].expiry_s, state[0].qos) == (60, 0)
        assert "Sending PUBLISH to edgegw-site (d0, q0, r0" not in broker.said  # no echo, not of the sweep
        found = await broker.retained(f"{ROOT}/status")
        assert found[f"{ROOT}/status"].payload == b"offline"


async def test_a_broker_that_was_killed_and_kept_nothing_is_told_everything_again(tmp_path: Path):
    site = Site()
    async with Mosquitto(tmp_path) as broker, publishing(broker, site) as publisher:
        await settled(publisher)
        await broker.kill(forget=True)
        await until(lambda: not publisher.health().up)
        site.say("charger/cp0/availability", "offline", stamped=False, qos=1)
        await broker.start()
        await settled(publisher)
        await holds(broker, site)
        assert publisher.health().connects == 2


async def test_a_broker_that_was_killed_and_kept_everything_forgets_what_is_gone(tmp_path: Path):
    """Gone while it was away: it would hold that for ever."""
    site = Site()
    async with Mosquitto(tmp_path, kept=True) as broker, publishing(broker, site) as publisher:
        site.say("alarm/old", '{"id":"old"}', qos=1)
        await settled(publisher)
        await broker.kept_on_disk(f"{ROOT}/alarm/old")
        await broker.kill()
        await until(lambda: not publisher.health().up)
        site.gone("alarm/old")
        await broker.start()
        await settled(publisher)
        await holds(broker, site)


async def test_what_an_earlier_run_left_is_removed_and_nobody_elses_is_touched(tmp_path: Path):
    ours, theirs = DISCOVERY.format("edgegw-site-old"), DISCOVERY.format("zigbee")
    request = f"{ROOT}/request/limit/set"
    untouched = [theirs, request, "edgegw/1/other/status", "edgegw/1/site2/info", "x/y"]
    for mqtt5 in (True, False):
        site = Site()
        site.present[DISCOVERY.format("edgegw-site")] = Message(
            topic=DISCOVERY.format("edgegw-site"), body=b"{}", stamped=False
        )
        async with Mosquitto(tmp_path / str(mqtt5)) as broker:
            for topic in (f"{ROOT}/charger/gone/info", f"{ROOT}/v/gone", ours, *untouched):
                await broker.publish(topic, "left", "-r")
            swept = Sweep(TREE, [DISCOVERY.format("+")], lambda topic: "/edgegw-site" in topic)
            came: list[Incoming] = []
            wanted = (f"{ROOT}/request/#",)
            async with publishing(broker, site, swept=swept, subscriptions=wanted, mqtt5=mqtt5) as publisher:
                publisher.receivers.append(came.append)
                await until(lambda: publisher.health().removed == 3)
                await settled(publisher)
                found = await broker.retained()
                assert set(found) == {*site.present, f"{ROOT}/status", *untouched}
                assert [(one.topic, one.retain) for one in came] == [(request, True)]  # once, not twice


async def test_a_status_that_somebody_forged_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(publisher_module, "ONLINE_AGAIN_S", 0.3)
    async with Mosquitto(tmp_path) as broker, publishing(broker, Site()) as publisher:
        await settled(publisher)
        async with broker.subscribed(f"{ROOT}/status") as building:
            await broker.publish(f"{ROOT}/status", "offline", "-r")
            await building.until(f"{ROOT}/status", b"offline")
            said = len(building.seen)
            await until(lambda: [one.payload for one in building.seen[said:]] == [b"online"])


async def test_a_state_that_cannot_be_made_ends_nothing_and_removes_nothing(tmp_path: Path):
    site = Site()
    async with Mosquitto(tmp_path) as broker:
        async with publishing(broker, site) as publisher:
            await settled(publisher)
            await broker.publish(f"{ROOT}/charger/cp9/info", "{}", "-r")
        state, site.state = site.state, broken  # type: ignore[method-assign]
        async with publishing(broker, site) as publisher:
            await until(lambda: publisher._sweep.topics)
            await until(lambda: not publisher._sweep.running)
            assert len(await broker.retained(f"{ROOT}/charger/#")) == 7
            publisher._state = state
            await settled(publisher)


class ForgetfulQueue(MemoryEvents):
    """Cannot be read the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = 0

    async def read(self, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        if not self.failed:
            self.failed += 1
            raise LookupError
        return await super().read(after_seq, limit)


async def test_a_bug_while_publishing_ends_neither_states_nor_events(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    site, queue = Site(), ForgetfulQueue()
    async with (
        Mosquitto(tmp_path) as broker,
        broker.subscribed(f"{ROOT}/event") as building,
        publishing(broker, site, events=queue) as publisher,
    ):
        publisher.event(event())
        await until(lambda: len(building.seen) == 1)  # nothing else happened that could have helped
        assert queue.failed
        site.present["x"] = None  # type: ignore[assignment]
        await until(lambda: publisher._guard.bugs > 2)
        del site.present["x"]
        site.say("alarm/new", '{"id":"new"}', qos=1)
        await settled(publisher)
        await holds(broker, site)
    assert sum("bug while publishing over mqtt" in record.message for record in caplog.records) == 1


async def test_who_gives_an_answer_does_not_hear_of_a_bug(tmp_path: Path):
    answer = Message(topic=f"{ROOT}/response/health_check", body=b"{}", retain=False, qos=1)
    async with Mosquitto(tmp_path) as broker, publishing(broker, Site()) as publisher:
        await settled(publisher)
        publisher._now = lambda: next(iter(()))
        publisher.send(answer)
        publisher.on_room()
        publisher._now = clock.now
        async with broker.subscribed(f"{ROOT}/response/#") as building:
            publisher.send(answer)
            await building.until(answer.topic)


@pytest.mark.parametrize("name", ["+", "a\0b", "\ud800", "x" * 65_536])
async def test_a_message_that_cannot_be_sent_does_not_stand_in_the_way(tmp_path: Path, name: str):
    site = Site()
    site.say(f"alarm/{name}", "{}", qos=1)
    async with Mosquitto(tmp_path) as broker, publishing(broker, site) as publisher:
        await settled(publisher)
        assert publisher.health().rejected == 1
        assert " cannot be published: " in publisher.health().complaint
        assert publisher.health().connects == 1
        site.gone(f"alarm/{name}")
        await holds(broker, site)


async def test_one_who_receives_badly_keeps_nothing_from_the_others(tmp_path: Path):
    came: list[Incoming] = []
    wanted = (f"{ROOT}/request/#",)
    async with (
        Mosquitto(tmp_path) as broker,
        publishing(broker, Site(), subscriptions=wanted) as publisher,
    ):
        publisher.receivers += [lambda incoming: {}[incoming.topic], came.append]
        await settled(publisher)
        await broker.publish(f"{ROOT}/request/x", "{}")
        await broker.publish(f"{ROOT}/request/y", "{}")
        await until(lambda: len(came) == 2)


def broken() -> dict[str, Message]:
    raise ZeroDivisionError


async def test_a_broker_that_stands_still_and_goes_on_is_told_what_is_true_then(tmp_path: Path):
    site = Site()
    async with Mosquitto(tmp_path) as broker, publishing(broker, site) as publisher:
        await settled(publisher)
        broker.freeze()
        for power_w in range(5):
            site.say("charger/cp0/connector/1/state", f'{{"power_w":{power_w}}}', expiry_s=60)
            asked = site.asked
            await until(lambda asked=asked: site.asked > asked)
        broker.thaw()
        await settled(publisher)
        await holds(broker, site)


# --- events, answers, lines of the log ------------------------------------------------------------


async def test_events_arrive_once_in_order_with_their_number(tmp_path: Path):
    telemetry = await Telemetry.open(tmp_path, events_kept=100, wall=lambda: 1.8e9)
    async with (
        Mosquitto(tmp_path / "broker") as broker,
        broker.subscribed(f"{ROOT}/event") as building,
        publishing(broker, Site(), events=telemetry) as publisher,
    ):
        for number in range(50):
            publisher.event(event(f"event {number}"))
        await until(lambda: len(building.seen) == 50 and telemetry.waiting == 0)
    found = [msgspec.json.decode(one.payload) for one in building.seen]
    assert [one["seq"] for one in found] == list(range(1, 51))
    assert [one["text"] for one in found] == [f"event {number}" for number in range(50)]
    assert {one["id"] for one in found} == {f"{telemetry.stream}-{seq}" for seq in range(1, 51)}
    assert (building.seen[0].expiry_s, building.seen[0].qos) == (3600, 1)
    await telemetry.close()


async def test_events_of_an_outage_and_of_a_restart_arrive_in_order(tmp_path: Path):
    async with Mosquitto(tmp_path / "broker") as broker:
        await broker.kill()
        for text in ("before the restart", "after it"):
            telemetry = await Telemetry.open(tmp_path, events_kept=100, wall=lambda: 1.8e9)
            async with publishing(broker, Site(), events=telemetry) as publisher:
                publisher.event(event(text))
                await telemetry.flush()
            await telemetry.close()
        await broker.start()
        telemetry = await Telemetry.open(tmp_path, events_kept=100, wall=lambda: 1.8e9)
        async with (
            broker.subscribed(f"{ROOT}/event") as building,
            publishing(broker, Site(), events=telemetry) as publisher,
        ):
            publisher.event(event("now"))
            await until(lambda: len(building.seen) == 3)
        await telemetry.close()
    texts = [msgspec.json.decode(one.payload)["text"] for one in building.seen]
    assert texts == ["before the restart", "after it", "now"]


async def test_an_event_that_was_not_acknowledged_comes_again_with_its_id(tmp_path: Path):
    """The broker stands still with events under way, and is killed: whoever listens sees each id."""
    queue = MemoryEvents()
    async with Mosquitto(tmp_path) as broker, publishing(broker, Site(), events=queue) as publisher:
        await settled(publisher)
        broker.freeze()
        for _ in range(5):
            publisher.event(event())
        await until(lambda: publisher._sent)
        await broker.kill()
        await until(lambda: not publisher.health().up)
        assert queue.waiting == 5
        await broker.start()
        await until(lambda: queue.waiting == 0)
        assert publisher.health().events_dropped == 0


async def test_an_event_is_not_done_before_those_that_came_before_it(tmp_path: Path):
    queue = MemoryEvents()
    async with Mosquitto(tmp_path) as broker, publishing(broker, Site(), events=queue) as publisher:
        await settled(publisher)
        broker.freeze()
        for _ in range(3):
            publisher.event(event())
        await until(lambda: len(publisher._sent) == 3)
        publisher._arrived(2, "")
        assert queue.waiting == 3
        publisher._arrived(1, "")
        assert queue.waiting == 1
        broker.thaw()
        await until(lambda: queue.waiting == 0)


async def test_answers_and_lines_of_the_log_do_not_wait_for_a_broker(tmp_path: Path):
    answer = Message(
        topic=f"{ROOT}/response/health_check", body=b"{}", retain=False, qos=1, expiry_s=60, correlation=b"42"
    )
    line = Message(topic=f"{ROOT}/log", body=b'{"level":"info"}', retain=False, expiry_s=60)
    async with Mosquitto(tmp_path) as broker, publishing(broker, Site()) as publisher:
        await settled(publisher)
        async with broker.subscribed(f"{ROOT}/response/#", f"{ROOT}/log") as building:
            publisher.send(line)
            publisher.send(answer)
            got = await building.until(answer.topic)
            assert (got.retain, got.expiry_s, got.correlation) == (False, 60, "42")
            await building.until(line.topic)
        broker.freeze()
        for _ in range(SOON_MAX + 200):  # 64 go on their way
            publisher.send(line)
        assert 50 < publisher.health().log_lines_dropped <= 200
        await broker.kill()
        await until(lambda: not publisher.health().up)
        publisher.send(answer)
        assert publisher.health().responses_dropped == 1


# --- a day without a broker -----------------------------------------------------------------------


async def test_a_day_without_the_broker_costs_nothing_and_is_over_at_once(tmp_path: Path):
    """86,400 rounds of a site with 20 chargers and an event every ten seconds, in simulated time."""
    moment = [Instant(1000.0, 1.8e9)]
    site = Site(chargers=20)
    telemetry = await Telemetry.open(tmp_path, events_kept=500, wall=lambda: moment[0].wall)
    async with Mosquitto(tmp_path / "broker") as broker:
        await broker.kill()
        tasks = Tasks()
        link = Connection(settings(broker), tasks, rand=lambda: 0.0)
        publisher = Publisher(
            link, TREE, telemetry, site.state, interval_s=1.0, now=lambda: moment[0], tasks=tasks
        )
        tracemalloc.start()
        before_bytes = 0
        for second in range(86_400):
            moment[0] = Instant(1000.0 + second, 1.8e9 + second)
            publisher.round(moment[0])
            if second % 10 == 0:
                publisher.event(event(f"second {second}"))
            if second % 2000 == 0:
                await telemetry.flush()
            if second == 20_000:
                before_bytes = tracemalloc.get_traced_memory()[0]
        grown_bytes = tracemalloc.get_traced_memory()[0] - before_bytes
        tracemalloc.stop()
        await telemetry.flush()
        assert grown_bytes < 300_000  # a batch of events that is not written yet
        assert site.asked == 0
        assert (telemetry.waiting, telemetry.dropped) == (500, 8_140)
        publisher._now = clock.now
        async with broker_back(broker) as building:
            link.start()
            publisher.start()
            await until(lambda: len(building.seen) == 500)
            await settled(publisher)
            await holds(broker, site)
            assert [msgspec.json.decode(one.payload)["seq"] for one in building.seen] == list(
                range(8_141, 8_641)
            )
            assert publisher.health().events_dropped == 8_140
        await publisher.stop()
        await link.stop()
        await tasks.cancel()
    await telemetry.close()


@asynccontextmanager
async def broker_back(broker: Mosquitto) -> AsyncIterator[Any]:
    await broker.start()
    async with broker.subscribed(f"{ROOT}/event") as building:
        yield building


async def test_a_stop_waits_for_no_broker(tmp_path: Path):
    async with Mosquitto(tmp_path) as broker:
        await broker.kill()
        async with publishing(broker, Site()) as publisher:
            await asyncio.sleep(0)
            assert publisher.health().trouble
