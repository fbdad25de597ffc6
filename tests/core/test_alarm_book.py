"""The life of an alarm, told as stories, and what holds in every one of them."""

from __future__ import annotations

import random

import pytest

from edgegw.catalogue.model import AlarmRule
from edgegw.core import alarm_book
from edgegw.core.alarm_book import AlarmBook, AlarmChange, Condition, alarm_id
from edgegw.core.events import Instant

RULES = {
    rule.code: rule
    for rule in (
        AlarmRule(code="fault", title="It is broken", severity="error", todo="Mend it.", subject="charger"),
        AlarmRule(
            code="slow", title="It is slow", severity="warning", todo="Wait.", subject="cloud",
            raise_after_s=10, clear_after_s=5,
        ),
        AlarmRule(
            code="fuse", title="Too much", severity="critical", todo="Switch off.", subject="power",
            clear_after_s=5, latched=True,
        ),
        AlarmRule(
            code="alarms_not_shown", title="More", severity="warning", todo="Begin above.", subject="box"
        ),
    )
}  # fmt: skip
BEGIN = 1_800_000_000.0


class Story:
    """A book and its clock. `sees` is one look; what is wrong then is named by code and target."""

    def __init__(self) -> None:
        self.book = AlarmBook(RULES)
        self.mono = 1000.0
        self.wall_ahead = BEGIN - 1000.0

    @property
    def now(self) -> Instant:
        return Instant(self.mono, self.mono + self.wall_ahead)

    def sees(self, *wrong: str | Condition, after: float = 1.0) -> list[str]:
        self.mono += after
        return [kind_of(change) for change in self.book.update(map(condition, wrong), self.now)]

    def acknowledges(self, alarm: str, by: str = "Jo") -> AlarmChange:
        return self.book.acknowledge(alarm, by, self.now)

    def restarts(self) -> None:
        written = self.book.document()
        self.book = AlarmBook(RULES)
        self.book.recover(written)
        self.mono = 7.0  # the monotonic clock began anew

    @property
    def alarm(self) -> alarm_book.Alarm:
        (alarm,) = self.book.alarms
        return alarm


def condition(wrong: str | Condition) -> Condition:
    if isinstance(wrong, Condition):
        return wrong
    code, _, target = wrong.partition(" ")
    return Condition(code=code, target=target, text=f"{code} of {target or 'the site'}")


def kind_of(change: AlarmChange) -> str:
    return f"{change.kind} {change.alarm.id}"


# --- the life of one --------------------------------------------------------------------------------


def test_an_alarm_is_raised_once_and_cleared_once():
    story = Story()
    assert story.sees("fault CP-1") == ["raised fault-cp-1"]
    assert story.sees("fault CP-1") == []
    raised = story.alarm
    assert (raised.severity, raised.title, raised.todo) == ("error", "It is broken", "Mend it.")
    assert (raised.since, raised.last_at, raised.count) == (BEGIN + 1, BEGIN + 1, 1)
    assert (raised.target, raised.state, raised.acknowledged) == ("CP-1", "active", False)
    assert story.sees() == ["cleared fault-cp-1"]
    assert story.book.alarms == ()


def test_what_is_wrong_must_last():
    story = Story()
    assert story.sees("slow") == []
    assert story.sees("slow", after=9.9) == []
    assert story.sees("slow", after=0.1) == ["raised slow"]


def test_what_comes_and_goes_before_that_is_never_raised():
    story = Story()
    for _ in range(20):
        assert story.sees("slow", after=5) == []
        assert story.sees("slow", after=4) == []
        assert story.sees() == []


def test_what_comes_back_soon_is_the_same_alarm_repeated():
    story = Story()
    story.sees("slow")
    assert story.sees("slow", after=10) == ["raised slow"]
    for again in range(2, 6):
        assert story.sees(after=2) == []
        assert story.sees("slow", after=2.9) == ["repeated slow"]
        assert (story.alarm.count, story.alarm.state) == (again, "active")
    assert story.alarm.since == BEGIN + 11
    assert story.alarm.last_at == story.now.wall
    assert story.sees() == []
    assert story.sees(after=5) == ["cleared slow"]


def test_setting_the_clock_raises_and_clears_nothing():
    story = Story()
    story.sees("slow")
    story.wall_ahead += 26 * 365 * 86_400
    assert story.sees("slow") == []
    assert story.sees("slow", after=10) == ["raised slow"]
    story.sees()
    story.wall_ahead -= 2 * 86_400
    assert story.sees() == []
    assert story.sees(after=5) == ["cleared slow"]


def test_a_latched_one_stays_until_somebody_has_seen_it():
    story = Story()
    assert story.sees("fuse") == ["raised fuse"]
    story.sees()
    assert story.sees(after=5) == ["cleared fuse"]
    assert (story.alarm.state, story.alarm.cleared_at) == ("cleared", story.now.wall)
    assert story.sees(after=1e6) == []
    change = story.acknowledges("fuse")
    assert (change.kind, change.alarm.acknowledged_by) == ("acknowledged", "Jo")
    assert story.book.alarms == ()


def test_a_latched_one_that_was_seen_while_it_was_on_goes_when_it_is_over():
    story = Story()
    story.sees("fuse")
    story.acknowledges("fuse")
    story.sees()
    assert story.sees(after=5) == ["cleared fuse"]
    assert story.book.alarms == ()


def test_a_latched_one_that_comes_again_is_raised_again_and_counts():
    story = Story()
    story.sees("fuse")
    story.sees()
    story.sees(after=5)
    assert story.sees("fuse") == ["raised fuse"]
    assert (story.alarm.count, story.alarm.state, story.alarm.since) == (2, "active", story.now.wall)


def test_the_first_who_acknowledges_counts():
    story = Story()
    story.sees("fault CP-1")
    story.acknowledges("fault-cp-1", "Jo")
    at = story.now.wall
    story.mono += 5
    story.acknowledges("fault-cp-1", "Kim")
    assert (story.alarm.acknowledged_by, story.alarm.acknowledged_at) == ("Jo", at)
    with pytest.raises(KeyError):
        story.acknowledges("fault-cp-2")


def test_getting_worse_must_be_seen_anew_and_getting_better_does_not_show():
    story = Story()
    mild = Condition(code="slow", text="a little", severity="warning")
    story.sees(mild)
    story.sees(mild, after=10)
    story.acknowledges("slow")
    bad = Condition(code="slow", text="a lot", severity="critical")
    assert story.sees(bad) == ["repeated slow"]
    alarm = story.alarm
    assert (alarm.severity, alarm.text, alarm.acknowledged, alarm.acknowledged_by) == (
        "critical", "a lot", False, "",
    )  # fmt: skip
    assert story.sees(mild) == []
    assert story.alarm.severity == "critical"


def test_a_text_with_a_number_in_it_is_no_news_every_second():
    story = Story()
    texts = set()
    for number in range(60):
        assert story.sees(Condition(code="fault", text=f"{number} messages")) in (["raised fault"], [])
        texts.add(story.alarm.text)
    assert len(texts) == 6


# --- names and texts --------------------------------------------------------------------------------


def test_an_id_can_be_read_and_two_never_share_one():
    assert alarm_id("cloud_away", "") == "cloud-away"
    assert alarm_id("charger_silent", "CP-7") == "charger-silent-cp-7"
    assert alarm_id("meter_missing", "meter grid") == "meter-missing-meter-grid"
    assert alarm_id("charger_fault", "CP-7/1", "groundfailure") == "charger-fault-cp-7--1--groundfailure"
    alike = ["CP-7", "cp-7", "CP_7", "CP 7", "CP-7/1", "CP-7-1", "CP--7", "CP-7-", "Ü", "充", "\x1b"]
    alike += ["x" * 300, "x" * 301, "CP-7\n", "/", "//", "CP-7/x"]
    ids = [alarm_id("fault", target) for target in alike]
    assert len(set(ids)) == len(alike)
    assert all(set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for one in ids)
    assert max(map(len, ids)) <= alarm_book.TEXT_MAX


def test_what_a_charger_wrote_cannot_move_a_cursor():
    story = Story()
    evil = "\x1b[2J" * 100
    story.sees(Condition(code="fault", target=evil, text=evil, title=evil, todo=evil, key=evil))
    story.acknowledges(story.alarm.id, evil)
    alarm = story.alarm
    shown = (alarm.target, alarm.text, alarm.title, alarm.todo, alarm.acknowledged_by, alarm.id)
    assert all(text.isprintable() for text in shown)
    assert len(alarm.text) <= alarm_book.TEXT_MAX


# --- the limit --------------------------------------------------------------------------------------


def test_at_the_limit_the_worst_are_kept_and_one_says_how_many_are_not_shown():
    story = Story()
    mild = [f"fault CP-{number}" for number in range(alarm_book.ALARMS_MAX + 20)]
    story.sees(*mild)
    assert len(story.book.alarms) == alarm_book.ALARMS_MAX
    (note,) = (alarm for alarm in story.book.alarms if alarm.code == alarm_book.NOT_SHOWN)
    assert note.text.startswith("21 more")
    changes = story.sees(*mild, "fuse main")
    assert "raised fuse-" in changes[1]
    assert changes[0].startswith("gone fault-")
    assert story.book.alarms[0].code == "fuse"
    assert len(story.book.alarms) == alarm_book.ALARMS_MAX
    assert story.sees(*mild, "fuse main") == []
    changes = story.sees(*mild[:100])
    assert changes.count("cleared alarms-not-shown") == 1
    assert {alarm.code for alarm in story.book.alarms} == {"fault", "fuse"}


def test_more_than_can_be_looked_at_are_left_out():
    story = Story()
    story.sees(*(f"fault CP-{number}" for number in range(alarm_book.CONDITIONS_MAX + 100)))
    hidden = alarm_book.CONDITIONS_MAX - alarm_book.ALARMS_MAX + 1
    assert any(alarm.text.startswith(f"{hidden} more") for alarm in story.book.alarms)


# --- over a restart ---------------------------------------------------------------------------------


def test_after_a_restart_everything_goes_on():
    story = Story()
    story.sees("fault CP-1", "fuse", "slow")
    story.sees("fault CP-1", "fuse", "slow", after=10)
    story.acknowledges("fault-cp-1")
    story.sees("fault CP-1", "slow")
    story.sees("fault CP-1", "slow", after=5)
    before = story.book.alarms
    assert [(a.id, a.state) for a in before] == [
        ("fuse", "cleared"), ("fault-cp-1", "active"), ("slow", "active"),
    ]  # fmt: skip
    story.restarts()
    assert story.book.alarms == before
    assert story.sees("fault CP-1", "slow") == []
    assert story.book.alarms == before
    story.acknowledges("fuse")
    assert story.sees("slow") == ["cleared fault-cp-1"]


def test_after_a_restart_things_have_time_to_show_again():
    story = Story()
    story.sees("fault CP-1")
    story.restarts()
    assert story.sees() == []
    assert story.sees(after=alarm_book.RECOVERED_HOLD_S - 1) == []
    assert story.sees("fault CP-1") == []  # it was never gone
    assert story.alarm.count == 1
    assert story.sees() == ["cleared fault-cp-1"]
    story.sees("fault CP-1")
    story.restarts()
    story.sees()
    assert story.sees(after=alarm_book.RECOVERED_HOLD_S) == ["cleared fault-cp-1"]


@pytest.mark.parametrize(
    "junk", [b"", b"{}", b"[1]", b'[[{"id":"x"},["a","b","c"]]]', b"\xff", b"[" * 100_000]
)
def test_a_document_that_cannot_be_read_is_no_reason_not_to_start(junk: bytes):
    book = AlarmBook(RULES)
    book.recover(junk)
    assert book.alarms == ()


def test_an_alarm_of_a_code_that_is_gone_is_forgotten():
    story = Story()
    story.sees("fault CP-1", "fuse")
    book = AlarmBook({"fuse": RULES["fuse"]})
    book.recover(story.book.document())
    assert [alarm.code for alarm in book.alarms] == ["fuse"]


# --- always -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_nothing_is_raised_twice_without_an_end_between(seed: int):
    chance = random.Random(seed)
    story, on, raised_at = Story(), set(), {}
    wrong_since: dict[str, float] = {}
    right_since: dict[str, float] = {}
    names = ["slow", "slow CP-1", "fuse", "fault CP-1", "fault CP-2"]
    for _ in range(400):
        wrong = [name for name in names if chance.random() < 0.6]
        if chance.random() < 0.02:
            story.restarts()
            wrong_since, right_since = {}, {}
        story.mono += chance.choice((0.1, 1.0, 3.0, 7.0))
        for name in names:
            (wrong_since if name in wrong else right_since).setdefault(name, story.mono)
            (right_since if name in wrong else wrong_since).pop(name, None)
        for change in story.book.update(map(condition, wrong), story.now):
            name, rule = f"{change.alarm.code} {change.alarm.target}".strip(), RULES[change.alarm.code]
            if change.kind == "raised":
                assert name not in on
                assert story.mono - wrong_since[name] >= rule.raise_after_s
                on.add(name)
                raised_at[name] = story.mono
            elif change.kind == "cleared":
                assert name in on
                assert story.mono - right_since[name] >= rule.clear_after_s
                on.remove(name)
        shown = {f"{a.code} {a.target}".strip() for a in story.book.alarms if a.state == "active"}
        assert shown == on
        if chance.random() < 0.1 and story.book.alarms:
            story.acknowledges(chance.choice(story.book.alarms).id)
    assert raised_at
