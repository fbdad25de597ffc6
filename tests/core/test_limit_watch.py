"""A building that falls silent: its limit falls back, the chargers follow, people hear of it once."""

from __future__ import annotations

import json
from datetime import UTC

import pytest

from edgegw.balance import model
from edgegw.balance.limits import LimitBook
from edgegw.balance.tree import Tree
from edgegw.core.events import Instant
from edgegw.core.limit_watch import LimitWatch
from edgegw.core.load_control import LoadControl, PowerPlan
from tests.core.limit_story import LimitStory, charging
from tests.core.story import IDENTITY, NOON

CIRCUITS = (model.Circuit(name="main", limit_a=63.0),)
MARGIN_A = CIRCUITS[0].margin_a  # what the balancer leaves below every limit
CONNECTORS = (model.Connector(id=f"{IDENTITY}/1", circuit="main"),)


class Clocks:
    """Both clocks of the box."""

    def __init__(self, wall: float = NOON) -> None:
        self.mono, self.wall = 50.0, wall

    @property
    def now(self) -> Instant:
        return Instant(self.mono, self.wall)

    def after(self, seconds: float) -> Instant:
        self.mono += seconds
        self.wall += seconds
        return self.now


def book() -> LimitBook:
    return LimitBook(Tree(CIRCUITS, CONNECTORS), UTC)


def by_building(
    limits: LimitBook, now: Instant, *, for_s: float = 120.0, fallback_a: float | None = 32
) -> None:
    wall = now.wall
    limits.set("building", now_wall=wall, limit_a=63, expires_at=wall + for_s, fallback_a=fallback_a)


def news(limits: LimitBook, watch: LimitWatch, now: Instant) -> list[tuple[str, str]]:
    watch.look_at_clock(now)
    limits.resolve(now.wall)
    return [(notice.kind, notice.text) for notice in watch.news(now)]


# --- what people hear -------------------------------------------------------------------------------


def test_a_limit_that_is_not_renewed_is_told_once_and_its_renewal_too():
    limits, clocks = book(), Clocks()
    watch = LimitWatch(limits)
    by_building(limits, clocks.now)
    assert news(limits, watch, clocks.after(119)) == []
    text = "the limit of 63 A on main by building was not renewed: 32 A hold"
    assert news(limits, watch, clocks.after(1)) == [("limit_expired", text)]
    assert news(limits, watch, clocks.after(1000)) == []
    by_building(limits, clocks.now)
    over = "over: building has set its limit on main again: 63 A"
    assert news(limits, watch, clocks.now) == [("limit_expired_over", over)]
    assert news(limits, watch, clocks.after(120)) == [("limit_expired", text)]
    limits.clear("building")
    assert [kind for kind, _ in news(limits, watch, clocks.now)] == ["limit_expired_over"]


def test_a_limit_that_ends_without_a_fallback_is_told_once():
    limits, clocks = book(), Clocks()
    watch = LimitWatch(limits)
    by_building(limits, clocks.now, fallback_a=None)
    text = "the limit of 63 A on main by building has ended"
    assert news(limits, watch, clocks.after(120)) == [("limit_ended", text)]
    assert news(limits, watch, clocks.after(1)) == []


def test_a_limit_in_watts_and_one_per_phase_are_told_as_they_were_set():
    limits, clocks = book(), Clocks()
    watch = LimitWatch(limits)
    ends = {"now_wall": clocks.wall, "expires_at": clocks.wall + 5}
    limits.set("dso", limit_w=6900, **ends)  # type: ignore[arg-type]
    limits.set("owner", limit_a=(10.0, 20.0, 30.0), **ends)  # type: ignore[arg-type]
    texts = sorted(text for _, text in news(limits, watch, clocks.after(5)))
    assert texts[0].startswith("the limit of 10 20 30 A")
    assert texts[1].startswith("the limit of 6900 W")


def test_after_a_restart_what_was_told_is_not_told_again_and_what_fell_meanwhile_is():
    limits, clocks = book(), Clocks()
    watch = LimitWatch(limits)
    by_building(limits, clocks.now)
    limits.set("dso", now_wall=clocks.wall, limit_a=50, expires_at=clocks.wall + 300, fallback_a=40)
    assert len(news(limits, watch, clocks.after(120))) == 1
    again = book()
    clocks.after(600)
    again.restore(json.loads(json.dumps(limits.to_json())), clocks.wall)
    watch = LimitWatch(again)
    assert [text[:24] for _, text in news(again, watch, clocks.now)] == ["the limit of 50 A on mai"]
    by_building(again, clocks.now)
    assert [kind for kind, _ in news(again, watch, clocks.now)] == ["limit_expired_over"]


def test_a_fallback_for_want_of_a_clock_is_told():
    limits, clocks = book(), Clocks()
    by_building(limits, clocks.now)
    again = book()
    again.restore(json.loads(json.dumps(limits.to_json())), 100.0, trusted=False)
    assert [kind for kind, _ in news(again, LimitWatch(again), Instant(5.0, 100.0))] == ["limit_expired"]


# --- clocks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_s", [1_790_000_000.0, -2 * 86_400.0])
def test_a_step_of_the_clock_is_noticed_and_the_dead_man_keeps_its_time(step_s: float):
    limits, clocks = book(), Clocks(wall=NOON if step_s < 0 else 100.0)
    watch = LimitWatch(limits)
    watch.look_at_clock(clocks.now)
    by_building(limits, clocks.now)
    clocks.wall += step_s
    assert news(limits, watch, clocks.after(119)) == []
    assert [kind for kind, _ in news(limits, watch, clocks.after(1))] == ["limit_expired"]


def test_a_limit_that_is_set_between_the_step_and_the_next_decision_is_not_moved():
    limits, clocks = book(), Clocks()
    watch = LimitWatch(limits)
    watch.look_at_clock(clocks.now)
    clocks.wall += 86_400
    watch.look_at_clock(clocks.now)  # as the desk does
    by_building(limits, clocks.now)
    assert news(limits, watch, clocks.after(119)) == []
    assert len(news(limits, watch, clocks.after(1))) == 1


def test_a_clock_that_is_drawn_right_a_little_at_a_time_is_a_step_as_well():
    limits, clocks = book(), Clocks()
    watch = LimitWatch(limits)
    watch.look_at_clock(clocks.now)
    by_building(limits, clocks.now)
    for _ in range(118):
        clocks.wall += 1.0
        assert news(limits, watch, clocks.after(1)) == []
    assert len(news(limits, watch, clocks.after(2))) == 1


# --- the chargers follow ------------------------------------------------------------------------------


def test_the_current_of_the_charger_follows_the_limit_into_its_fallback_and_back():
    told = charging(grant_a=6.0)
    limits = book()
    control = LoadControl(PowerPlan(circuits=CIRCUITS, connectors=CONNECTORS), limits)
    limits.set("building", now_wall=told.wall, limit_a=20, expires_at=told.wall + 120, fallback_a=12)
    kinds = decides(told, control, 110)
    assert (told.may_draw(1), kinds) == (20.0 - MARGIN_A, [])
    told.wall -= 3600.0  # a time server that knows better
    assert "limit_expired" in decides(told, control, 25)
    assert told.may_draw(1) == 12.0 - MARGIN_A
    limits.set("building", now_wall=told.wall, limit_a=20, expires_at=told.wall + 120, fallback_a=12)
    assert "limit_expired_over" in decides(told, control, 60)
    assert told.may_draw(1) == 20.0 - MARGIN_A


def decides(told: LimitStory, control: LoadControl, seconds: int) -> list[str]:
    """The site's loop, once a second. Returns the notices about limits."""
    kinds = []
    for _ in range(seconds):
        told.after(1.0)
        told.draws(*[told.may_draw(1) or 0.0] * 3)
        orders, notices = control.decide({IDENTITY: told.core.state}, told.now)
        kinds += [notice.kind for notice in notices if notice.kind.startswith("limit_")]
        for _, event in orders:
            told.happens(event)
    return kinds
