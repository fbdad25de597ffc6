"""From a view to topics: which there are, how each is kept, and that nothing is made anew without need."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from edgegw.mqtt import example
from edgegw.mqtt.state import StateMaker, messages
from edgegw.mqtt.topics import Tree
from edgegw.mqtt.view import View
from edgegw.wire.timestamps import parse_timestamp

TREE = Tree("edgegw", "depot-1")
ROOT = TREE.root + "/"
VIEW = example.VIEW
UNTIL = parse_timestamp("2026-11-20T23:42:01.000Z")[0]


def of(view: View, address: str) -> dict:
    return json.loads(messages(view, TREE)[ROOT + address].payload(example.TS))


def test_the_topics_of_a_small_site():
    assert [topic.removeprefix(ROOT) for topic in messages(VIEW, TREE)] == [
        "info",
        "health",
        "cloud/state",
        "site/state",
        "balancer/state",
        "meter/grid/state",
        "circuit/main/state",
        "charger/cp-01/availability",
        "charger/cp-01/info",
        "charger/cp-01/cloud",
        "charger/cp-01/connector/1/state",
        "charger/cp-01/session/1",
        "charger/cp-01/firmware",
        "alarm/certificate-ends-certificate-chargers",
        "limit/bms/state",
    ]


def test_a_payload_has_its_time_first_and_numbers_as_numbers():
    made = messages(VIEW, TREE)[ROOT + "meter/grid/state"]
    assert made.payload(example.TS).startswith(b'{"ts":"2026-11-20T23:40:01.250Z","meter":"grid","ok":true,')
    assert of(VIEW, "meter/grid/state") == example.PAYLOADS["meter"] | {
        "power_l_w": [6100, 6200, 6130],
        "current_l_a": [27.1, 27.5, 27.2],
        "voltage_l_v": [229.8, 230.4, 230.1],
    }


@pytest.mark.parametrize(("online", "word"), [(True, b"online"), (False, b"offline")])
def test_availability_is_a_bare_word(online: bool, word: bytes):
    view = replace(VIEW, chargers={"CP-01": replace(example.CHARGER, online=online)})
    made = messages(view, TREE)[ROOT + "charger/cp-01/availability"]
    assert (made.payload(example.TS), made.retain, made.qos) == (word, True, 1)


def test_a_charger_that_left_leaves_no_topic():
    assert not any("/charger/" in topic for topic in messages(replace(VIEW, chargers={}), TREE))


def test_two_chargers_with_nearly_one_name_have_topics_of_their_own():
    view = replace(VIEW, chargers={"CP-01": example.CHARGER, "CP 01": example.CHARGER})
    made = messages(view, TREE)
    names = {topic.split("/")[4] for topic in made if "/charger/" in topic}
    assert len(names) == 2
    assert "cp-01" in names


# --- limits ---------------------------------------------------------------------------------------


def with_limit(at: float = UNTIL - 30, **changes: object) -> View:
    limit = example.VIEW.limits["bms"]
    changed = replace(limit, limits=(replace(limit.limits[0], **changes),))
    return replace(VIEW, at=at, limits={"bms": changed})


def expiry_s(view: View) -> int | None:
    return messages(view, TREE)[ROOT + "limit/bms/state"].expiry_s


def test_what_a_limit_says_expires_with_it():
    assert expiry_s(with_limit(fallback_a=None)) == 30
    assert expiry_s(with_limit(at=UNTIL - 0.2, fallback_a=None)) == 1
    assert expiry_s(with_limit(at=UNTIL + 5, fallback_a=None)) == 1


def test_a_limit_that_falls_back_or_has_no_end_does_not_expire():
    assert expiry_s(with_limit(fallback_a=16.0)) is None
    assert expiry_s(with_limit(until=None, fallback_a=None)) is None
    assert expiry_s(with_limit(at=0.0, fallback_a=None)) is None


def test_the_last_limit_of_a_source_counts():
    view = with_limit(fallback_a=None)
    first = view.limits["bms"].limits[0]
    later = replace(first, circuit="garage", until="2026-11-20T23:52:01.000Z")
    both = replace(view.limits["bms"], limits=(first, later))
    assert expiry_s(replace(view, limits={"bms": both})) == 630


def test_a_limit_that_only_gets_older_is_not_told_every_second():
    maker, at = StateMaker(TREE), UNTIL - 100

    def told(later_s: float, **changes: object) -> int | None:
        view = with_limit(at=at + later_s, fallback_a=None, **changes)
        return maker.messages(view)[ROOT + "limit/bms/state"].expiry_s

    assert [told(later_s) for later_s in (0, 1, 49, 50, 51, 74, 76)] == [100, 100, 100, 50, 50, 50, 24]
    assert told(77, limit_a=20.0) == 23  # another one, at once
    assert told(70) == 30  # the clock was set back


# --- again and again ------------------------------------------------------------------------------


def test_what_is_the_same_object_is_the_same_message():
    maker = StateMaker(TREE)
    first = maker.messages(VIEW)
    second = maker.messages(replace(VIEW, site=replace(VIEW.site, import_w=1)))
    changed = [t.removeprefix(ROOT) for t in first if second[t] is not first[t]]
    assert changed == ["site/state", "limit/bms/state"]
    assert second[ROOT + "limit/bms/state"] == first[ROOT + "limit/bms/state"]
    assert second.keys() == first.keys()


def test_a_maker_says_what_the_pure_function_says():
    maker = StateMaker(TREE, flat=True)
    gone = replace(VIEW, chargers={}, alarms={}, meters={})
    for view in (VIEW, gone, VIEW, replace(VIEW, chargers={"CP-9": example.CHARGER})):
        assert maker.messages(view) == messages(view, TREE, flat=True)


def test_a_charger_whose_topic_changes_is_made_anew():
    """CP 01 had the plain name until CP-01 came."""
    maker = StateMaker(TREE)
    view = replace(VIEW, chargers={"CP 01": example.CHARGER})
    assert ROOT + "charger/cp-01/info" in maker.messages(view)
    both = replace(VIEW, chargers={"CP 01": example.CHARGER, "CP-01": example.CHARGER})
    assert maker.messages(both) == messages(both, TREE)
