"""What the broker is told, without a broker: the latest value wins, and at the end it holds what is true."""

from __future__ import annotations

import random

import pytest

from edgegw.mqtt.message import Incoming, Message
from edgegw.mqtt.outbox import REMOVED_KEPT_S, REMOVED_MAX, Outbox, removal
from edgegw.mqtt.sweep import LONGEST_S, QUIET_S, TOPIC_BYTES_MAX, Sweep
from edgegw.mqtt.topics import Tree


def outbox() -> Outbox:
    return Outbox(lambda topic: topic.startswith("alarm/"))


def state(*messages: Message) -> dict[str, Message]:
    return {one.topic: one for one in messages}


def value(topic: str, body: str = "1", **changed: object) -> Message:
    return Message(topic=topic, body=body.encode(), **changed)  # type: ignore[arg-type]


def told(box: Outbox, now: float = 0.0, most: int = 1000) -> list[tuple[str, bytes]]:
    """Hands over what is due, at most so many."""
    said = []
    while len(said) < most and (message := box.next()) is not None:
        box.told(message, now)
        said.append((message.topic, message.body))
    return said


def test_what_did_not_change_is_not_told_again():
    box = outbox()
    box.offer(state(value("a"), value("b")), 0.0)
    assert told(box) == [("a", b"1"), ("b", b"1")]
    box.offer(state(value("a"), value("b")), 1.0)
    assert box.due == 0
    box.offer(state(value("a"), value("b", "2")), 2.0)
    assert told(box) == [("b", b"2")]


def test_only_the_latest_value_waits():
    box = outbox()
    for number in range(1000):
        box.offer(state(value("a", str(number))), float(number))
    assert box.due == 1
    assert told(box) == [("a", b"999")]


def test_another_quality_of_service_is_news_as_well():
    box = outbox()
    box.offer(state(value("a")), 0.0)
    told(box)
    box.offer(state(value("a", qos=1)), 1.0)
    assert box.due == 1


def test_a_value_that_expires_is_told_again_when_half_of_its_time_is_over():
    box = outbox()
    present = state(value("short", expiry_s=60), value("for ever"))
    box.offer(present, 0.0)
    told(box, 10.0)
    box.offer(present, 39.9)
    assert told(box) == []
    box.offer(present, 40.0)
    assert told(box, 40.0) == [("short", b"1")]
    box.offer(present, 69.9)
    assert told(box) == []


def test_what_is_gone_is_removed_from_the_broker():
    box = outbox()
    box.offer(state(value("a"), value("alarm/x")), 0.0)
    told(box)
    box.offer(state(value("a")), 1.0)
    assert box.next() == removal("alarm/x")
    assert told(box) == [("alarm/x", b"")]
    box.offer(state(value("a")), 2.0)
    assert box.due == 0


def test_what_was_not_retained_need_not_be_removed():
    box = outbox()
    box.offer(state(value("a", retain=False)), 0.0)
    box.offer(state(), 1.0)
    assert box.due == 0


def test_what_comes_back_before_its_removal_went_out_is_not_removed():
    box = outbox()
    box.offer(state(value("a")), 0.0)
    told(box)
    box.offer(state(), 1.0)
    box.offer(state(value("a", "2")), 2.0)
    assert told(box) == [("a", b"2")]
    assert box.due == 0


def test_urgent_topics_go_first_and_then_whoever_waits_longest():
    box = outbox()
    box.offer(state(value("a"), value("b")), 0.0)
    box.offer(state(value("a", "2"), value("b"), value("c"), value("alarm/x")), 1.0)
    assert box.has_urgent
    assert [topic for topic, _ in told(box)] == ["alarm/x", "a", "b", "c"]


def test_a_busy_topic_starves_nobody():
    box = outbox()
    box.offer(state(value("a"), value("b")), 0.0)
    said = []
    for number in range(4):
        box.offer(state(value("a", str(number)), value("b")), 1.0)
        said += told(box, most=1)
    assert [topic for topic, _ in said[:2]] == ["a", "b"]


def test_after_a_reconnect_everything_is_told_again_and_a_removal_too():
    """The removal may have been lost with the connection."""
    box = outbox()
    box.offer(state(value("a"), value("b")), 0.0)
    told(box, 0.0)
    box.offer(state(value("a")), 1.0)
    told(box, 1.0)
    box.reborn()
    assert sorted(told(box, 2.0)) == [("a", b"1"), ("b", b"")]
    box.offer(state(value("a")), 2.0 + REMOVED_KEPT_S)
    box.reborn()
    assert told(box) == [("a", b"1")]


def test_a_removal_that_is_due_again_is_not_forgotten_before_it_went_out():
    box = outbox()
    box.offer(state(value("a"), value("b")), 0.0)
    told(box, 0.0)
    box.offer(state(value("a")), 1.0)
    told(box, 1.0)
    box.reborn()
    box.offer(state(value("a")), 2 * REMOVED_KEPT_S)
    assert sorted(told(box)) == [("a", b"1"), ("b", b"")]


def test_who_missed_something_is_told_again():
    box = outbox()
    box.offer(state(value("ha/device/a"), value("charger/a")), 0.0)
    told(box)
    box.again("ha/")
    assert told(box) == [("ha/device/a", b"1")]


def test_what_an_earlier_run_left_is_removed_and_what_is_true_stays():
    box = outbox()
    box.offer(state(value("a")), 0.0)
    told(box)
    assert box.found(["a", "charger/old/info"]) == 1
    assert told(box) == [("charger/old/info", b"")]


def test_removals_that_wait_for_a_broker_are_limited():
    box = outbox()
    box.found(f"old/{number}" for number in range(REMOVED_MAX + 10))
    assert box.due == REMOVED_MAX
    assert told(box, most=1) == [("old/10", b"")]


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_the_broker_holds_the_last_state_at_the_end(seed: int):
    """Changes, lost messages, cut connections, a broker that forgot all: then one quiet moment."""
    chance = random.Random(seed)
    box, broker, present = outbox(), Broker(), {}
    broker.held |= {f"old/{number}": b"1" for number in range(3)}
    now = 0.0
    for _ in range(200):
        now += chance.random() * 20
        present = changed(present, chance)
        box.offer(present, now)
        for message in iter(box.next, None):
            if chance.random() < 0.2:
                break
            box.told(message, now)
            broker.on_the_way.append(message)
        if chance.random() < 0.2:
            broker.cut(chance, forgets=chance.random() < 0.3)
            box.reborn()
            box.found(list(broker.held))
        broker.arrive(chance.randrange(20))
    box.offer(present, now)
    broker.on_the_way += list(iter(lambda: take(box, now), None))
    broker.arrive(10_000)
    assert broker.held == {topic: message.body for topic, message in present.items()}


class Broker:
    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.on_the_way: list[Message] = []

    def arrive(self, most: int) -> None:
        for message in self.on_the_way[:most]:
            if message.body:
                self.held[message.topic] = message.body
            else:
                self.held.pop(message.topic, None)
        del self.on_the_way[:most]

    def cut(self, chance: random.Random, *, forgets: bool) -> None:
        self.arrive(chance.randrange(5))
        self.on_the_way.clear()
        if forgets:
            self.held.clear()


def take(box: Outbox, now: float) -> Message | None:
    message = box.next()
    if message is not None:
        box.told(message, now)
    return message


def changed(present: dict[str, Message], chance: random.Random) -> dict[str, Message]:
    after = dict(present)
    for _ in range(chance.randrange(4)):
        topic = chance.choice(("alarm/", "charger/", "old/")) + str(chance.randrange(12))
        if chance.random() < 0.3:
            after.pop(topic, None)
        else:
            expiry_s = chance.choice((None, 30))
            after[topic] = value(topic, str(chance.randrange(100)), expiry_s=expiry_s)
    return after


# --- what an earlier run left ---------------------------------------------------------------------

TREE = Tree("edgegw", "site")


def incoming(topic: str, *, retain: bool = True, payload: bytes = b"x") -> Incoming:
    return Incoming(topic=topic, payload=payload, retain=retain)


def begun() -> Sweep:
    sweep = Sweep(TREE, ["homeassistant/device/+/config"], lambda topic: "/edgegw-site" in topic)
    sweep.begin(0.0)
    sweep.subscribed(1.0)
    return sweep


def test_a_sweep_finds_what_the_broker_kept_of_our_states_and_nothing_else():
    sweep = begun()
    theirs = [
        "edgegw/1/site/request/limit/set",
        "edgegw/1/site/response/limit/set",
        "edgegw/1/site2/status",
        "edgegw/1/site",
        "homeassistant/status",
        "other/1/site/status",
    ]
    assert [sweep.heard(incoming(topic), 1.0) for topic in theirs] == [False] * len(theirs)
    ours = ["edgegw/1/site/charger/cp1/info", "homeassistant/device/edgegw-site-cp1/config"]
    assert all(sweep.heard(incoming(topic), 1.0) for topic in ours)
    assert sweep.heard(incoming("edgegw/1/site/health", retain=False), 1.0)  # an echo, with 3.1.1
    assert sweep.heard(incoming("edgegw/1/site/info", payload=b""), 1.0)
    assert sweep.heard(incoming("homeassistant/device/zigbee/config"), 1.0)  # asked for, not ours
    assert sweep.topics == set(ours)


@pytest.mark.parametrize(
    "name", ["+", "#", "a#", "a\0", "x" * TOPIC_BYTES_MAX, "\u00e9" * (TOPIC_BYTES_MAX // 2)]
)
def test_what_nobody_can_publish_to_is_nothing_that_a_broker_keeps(name: str):
    """A broker that says so would have a removal stand first in the outbox for ever."""
    sweep = begun()
    assert sweep.heard(incoming(f"edgegw/1/site/charger/{name}"), 1.0)
    assert sweep.topics == set()


def test_a_sweep_never_subscribes_to_commands():
    assert "edgegw/1/site/charger/#" in begun().filters
    assert not [name for name in begun().filters if name.startswith(("edgegw/1/site/#", "edgegw/1/site/re"))]


def test_a_sweep_is_over_when_the_broker_is_silent_or_has_talked_for_too_long():
    sweep = begun()
    assert not sweep.over(1.0 + QUIET_S - 0.1)
    sweep.heard(incoming("edgegw/1/site/info"), 2.0)
    assert not sweep.over(2.0 + QUIET_S - 0.1)
    assert not sweep.over(2.0 + QUIET_S)
    assert sweep.over(2.0 + QUIET_S + 0.1)
    sweep.heard(incoming("edgegw/1/site/info"), LONGEST_S)
    assert sweep.over(LONGEST_S)


def test_a_box_that_stood_still_does_not_take_its_own_silence_for_the_brokers():
    """What came meanwhile waits to be read, behind the look that finds so much time gone."""
    sweep = begun()
    assert not sweep.over(1.0 + 2 * QUIET_S)
    sweep.heard(incoming("edgegw/1/site/info"), 1.0 + 2 * QUIET_S)
    assert not sweep.over(1.0 + 2 * QUIET_S + 0.1)
    assert sweep.topics == {"edgegw/1/site/info"}
    assert not sweep.over(1.0 + 3 * QUIET_S)
    assert sweep.over(1.0 + 3 * QUIET_S + 0.1)


def test_a_broker_that_never_agrees_to_the_subscription_ends_the_sweep_too():
    sweep = Sweep(TREE)
    sweep.begin(0.0)
    assert not sweep.over(LONGEST_S - 1)
    assert sweep.over(LONGEST_S)
