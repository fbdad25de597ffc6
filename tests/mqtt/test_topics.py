"""Names in topics: plain, short, never two the same, and a real charger keeps its own."""

from __future__ import annotations

import random
import re

import pytest

from edgegw.mqtt.topics import SLUG_MAX, Tree, slug, slugs

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("CP-7", "cp-7"),
        ("cp_07", "cp-07"),
        ("Säule 1", "s-ule-1"),
        ("a/b#+", "a-b"),
        ("+", "x"),
        ("", "x"),
        ("x" * 60, "x" * SLUG_MAX),
    ],
)
def test_a_name_becomes_a_name_in_topics(name: str, topic: str):
    assert slug(name) == topic


def test_nothing_a_charger_calls_itself_makes_a_wildcard_or_a_level():
    chance = random.Random(5)
    for _ in range(300):
        name = "".join(chance.choices("ab/#+$ -_\x00é", k=chance.randrange(70)))
        assert NAME.fullmatch(slug(name)), name
        assert NAME.fullmatch(slugs([name])[name])


def test_names_that_would_be_the_same_differ():
    found = slugs(["CP-1", "cp-1", "CP 1", "cp_1"])
    assert found["cp-1"] == "cp-1"
    assert len(set(found.values())) == 4
    assert all(topic.startswith("cp-1") for topic in found.values())


def test_who_looks_most_like_its_topic_keeps_it():
    """A stranger that calls itself nearly the same takes no topic from a real charger."""
    assert slugs(["CP-1"])["CP-1"] == slugs(["CP-1", "CP 1", "cp/1", "CP_1"])["CP-1"] == "cp-1"


def test_a_name_that_is_another_ones_hash_is_still_its_own():
    hashed = slugs(["a-b", "a b"])["a b"]
    found = slugs(["a-b", "a b", hashed])
    assert found[hashed] == hashed
    assert len(set(found.values())) == 3


def test_the_order_of_names_changes_nothing():
    names = ["B", "b", "a b", "A-B", "a_b"]
    assert slugs(names) == slugs(reversed(names)) == slugs(set(names))


def test_a_tree_knows_its_topics():
    tree = Tree("building/edgegw", "Depot_1")
    assert tree.root == "building/edgegw/1/depot-1"
    topic = tree.topic("connector", charger="cp-7", connector=2)
    assert topic == "building/edgegw/1/depot-1/charger/cp-7/connector/2/state"
    with pytest.raises(KeyError):
        tree.topic("nonsense")
    with pytest.raises(KeyError):
        tree.topic("connector", charger="cp-7")


def test_a_stranger_takes_no_topic_of_a_charger_that_the_site_file_names():
    assert slugs(["CP-1", "cp-1"])["cp-1"] == "cp-1"
    found = slugs(["CP-1", "cp-1"], first={"CP-1"})
    assert found["CP-1"] == "cp-1"
    assert found["cp-1"].startswith("cp-1-")
