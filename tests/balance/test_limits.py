"""Limits that come and go: who may set what, which holds, and when that changes."""

from __future__ import annotations

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from edgegw.balance.balancer import Balancer
from edgegw.balance.limits import ORDERS_MAX, LimitBook, Schedule, p_min_w
from edgegw.balance.tree import Tree
from tests.balance.house import circuit, connectors

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=BERLIN).timestamp()  # a Friday
TREE = Tree([circuit(limit_a=63), circuit("garage", 40, parent="main")], connectors(10, "garage"))


def book(*schedules: Schedule) -> LimitBook:
    return LimitBook(TREE, BERLIN, schedules)


def at(*when: int) -> float:
    return datetime(*when, tzinfo=BERLIN).timestamp()  # type: ignore[arg-type]


def held(limits: LimitBook, now: float) -> dict[str, float]:
    return {limit.source: limit.limit_a[0] for limit in limits.resolve(now)}


# --- orders ---------------------------------------------------------------------------------------


def test_an_order_holds_until_it_is_cleared():
    limits = book()
    limits.set("building", now_wall=NOW, limit_a=32)
    (limit,) = limits.resolve(NOW + 1e6)
    assert (limit.circuit, limit.limit_a, limit.source) == ("main", (32, 32, 32), "building")
    assert not limit.chargers_only
    assert limits.clear("building") == 1
    assert limits.resolve(NOW) == ()
    assert limits.clear("building") == 0


def test_watts_are_divided_over_three_phases():
    order = book().set("building", now_wall=NOW, limit_w=22080, circuit="garage")
    assert order.limit_a == pytest.approx((32, 32, 32))
    assert order.asked_w == 22080


def test_an_order_expires_or_falls_back():
    limits = book()
    limits.set("building", now_wall=NOW, limit_a=20, expires_at=NOW + 60)
    limits.set("grid operator", now_wall=NOW, limit_a=30, expires_at=NOW + 90, fallback_a=16)
    assert held(limits, NOW) == {"building": 20, "grid operator": 30}
    assert limits.next_change(NOW) == NOW + 60
    assert held(limits, NOW + 60) == {"grid operator": 30}
    assert limits.next_change(NOW + 60) == NOW + 90
    assert held(limits, NOW + 90) == {"grid operator": 16}
    assert limits.next_change(NOW + 90) is None
    limits.set("grid operator", now_wall=NOW + 100, limit_a=40)
    assert held(limits, NOW + 100) == {"grid operator": 40}


def test_a_source_has_one_order_per_circuit_and_kind():
    limits = book()
    limits.set("building", now_wall=NOW, limit_a=20)
    limits.set("building", now_wall=NOW, limit_a=25)
    limits.set("building", now_wall=NOW, limit_a=16, circuit="garage")
    assert sorted(limit.limit_a[0] for limit in limits.resolve(NOW)) == [16, 25]
    assert limits.clear("building", "garage") == 1
    assert held(limits, NOW) == {"building": 25}


def test_nobody_lifts_what_another_has_lowered():
    limits = book()
    limits.set("grid operator", now_wall=NOW, limit_a=20, priority=0)
    limits.set("building", now_wall=NOW, limit_a=1000, priority=9)
    balancer = Balancer(TREE.circuits, TREE.connectors)
    allocation = balancer.step(0.0, {}, (), limits.resolve(NOW))
    main = next(state for state in allocation.circuits if state.name == "main")
    assert (main.limit_a, main.limit_source) == ((20, 20, 20), "grid operator")
    limits.clear("grid operator")
    allocation = balancer.step(1.0, {}, (), limits.resolve(NOW))
    main = next(state for state in allocation.circuits if state.name == "main")
    assert (main.limit_a, main.limit_source) == ((63, 63, 63), "fuse")
    assert [order.source for order in limits.orders(NOW)] == ["building"]


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"limit_a": -1}, "zero or more"),
        ({"limit_a": float("nan")}, "zero or more"),
        ({"limit_a": float("inf")}, "zero or more"),
        ({"limit_w": -5}, "zero or more"),
        ({}, "either"),
        ({"limit_a": 5, "limit_w": 5}, "either"),
        ({"limit_a": (1.0, 2.0)}, "three phases"),
        ({"limit_a": 5, "circuit": "cellar"}, 'no circuit "cellar"'),
        ({"limit_a": 5, "expires_at": NOW}, "expired"),
        ({"limit_a": 5, "expires_at": float("nan")}, "expired"),
        ({"limit_a": 5, "fallback_a": -1}, "zero or more"),
        ({"limit_a": 5, "floor_14a": True}, "chargers"),
        ({"limit_a": 5, "source": ""}, "source"),
        ({"limit_a": 5, "source": "a\nb"}, "source"),
    ],
)
def test_an_order_that_makes_no_sense_changes_nothing(order: dict, says: str):
    limits = book()
    limits.set("building", now_wall=NOW, limit_a=32)
    with pytest.raises(ValueError, match=says):
        limits.set(order.pop("source", "building"), now_wall=NOW, **order)
    assert held(limits, NOW) == {"building": 32}


def test_there_is_a_most_number_of_orders():
    limits = book()
    for n in range(ORDERS_MAX):
        limits.set(f"source {n}", now_wall=NOW, limit_a=32)
    with pytest.raises(ValueError, match="already"):
        limits.set("one more", now_wall=NOW, limit_a=32)
    limits.set("source 0", now_wall=NOW, limit_a=16)


# --- §14a EnWG ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("devices", "watts"),
    [(0, 0), (1, 4200), (2, 7560), (3, 10500), (4, 13020), (8, 18900), (9, 19320), (10, 21210), (40, 77910)],
)
def test_what_the_law_leaves(devices: int, watts: float):
    assert p_min_w(devices) == pytest.approx(watts)


def test_a_limit_of_the_grid_operator_never_goes_below_what_the_law_leaves():
    limits = book()
    order = limits.set("grid operator", now_wall=NOW, limit_w=4200, chargers_only=True, floor_14a=True)
    assert order.limit_a[0] == pytest.approx(21210 / 690)
    (limit,) = limits.resolve(NOW)
    assert limit.chargers_only
    order = limits.set("grid operator", now_wall=NOW, limit_w=30000, chargers_only=True, floor_14a=True)
    assert order.limit_a[0] == pytest.approx(30000 / 690)


# --- schedules ------------------------------------------------------------------------------------

EVENING = Schedule(
    name="peak", circuit="main", from_min=17 * 60, to_min=20 * 60, limit_a=25, days=(0, 1, 2, 3, 4)
)
NIGHT = Schedule(name="night", circuit="garage", from_min=22 * 60, to_min=6 * 60, limit_a=10, days=(4,))


@pytest.mark.parametrize(
    ("when", "sources"),
    [
        ((2026, 11, 20, 16, 59), set()),
        ((2026, 11, 20, 17, 0), {"schedule peak"}),
        ((2026, 11, 20, 19, 59), {"schedule peak"}),
        ((2026, 11, 20, 20, 0), set()),
        ((2026, 11, 20, 22, 0), {"schedule night"}),
        ((2026, 11, 21, 5, 59), {"schedule night"}),
        ((2026, 11, 21, 6, 0), set()),
        ((2026, 11, 21, 18, 0), set()),
        ((2026, 11, 21, 23, 0), set()),
    ],
)
def test_schedules_follow_the_local_clock_and_the_weekday(when: tuple[int, ...], sources: set[str]):
    assert set(held(book(EVENING, NIGHT), at(*when))) == sources


def test_the_next_change_is_the_edge_of_a_schedule():
    limits = book(EVENING)
    assert limits.next_change(at(2026, 11, 20, 12, 0)) == at(2026, 11, 20, 17, 0)
    assert limits.next_change(at(2026, 11, 20, 17, 0)) == at(2026, 11, 20, 20, 0)
    assert limits.next_change(at(2026, 11, 20, 20, 0)) == at(2026, 11, 23, 17, 0)


def test_every_change_is_announced_across_a_year_of_clock_changes():
    """From one announced change to the next none is missed: the long way asks every quarter of an hour."""
    limits = book(
        Schedule(
            name="gap", circuit="main", from_min=150, to_min=165, limit_a=10
        ),  # 02:30, in the hour that is not
        Schedule(name="day", circuit="main", from_min=0, to_min=1440, limit_a=10, days=(6,)),
    )
    for start in (at(2026, 3, 27, 0, 0), at(2026, 10, 23, 0, 0)):
        announced = [start]
        while announced[-1] < start + 4 * 86400:
            announced.append(limits.next_change(announced[-1]))
        seen = held(limits, start)
        for quarter in range(4 * 96):
            now = start + 900 * quarter
            if held(limits, now) != seen:
                seen = held(limits, now)
                assert now in announced


def test_a_schedule_on_the_night_of_a_clock_change_is_never_shorter_than_it_says():
    limits = book(Schedule(name="x", circuit="main", from_min=150, to_min=165, limit_a=10))
    held_for = []
    for day in ((2026, 3, 29), (2026, 10, 24), (2026, 10, 25)):
        held_for.append(sum(bool(held(limits, at(*day, 0, 0) + 60 * minute)) for minute in range(360)))
    assert held_for == [75, 15, 75]  # from the earlier 02:30 to the later 02:45


@pytest.mark.parametrize(
    "wrong",
    [{"from_min": -1}, {"to_min": 1441}, {"days": ()}, {"days": (7,)}, {"circuit": "x"}, {"limit_a": -1.0}],
)
def test_a_schedule_that_makes_no_sense_is_refused(wrong: dict):
    usual = {"name": "x", "circuit": "main", "from_min": 0, "to_min": 60, "limit_a": 10.0}
    with pytest.raises(ValueError, match=r"schedule|circuit|limit"):
        book(Schedule(**{**usual, **wrong}))


# --- over a restart -------------------------------------------------------------------------------


def test_orders_survive_a_restart_as_json():
    limits = book(EVENING)
    limits.set("building", now_wall=NOW, limit_a=(20.0, 21.0, 22.0), expires_at=NOW + 100, fallback_a=16)
    limits.set("grid operator", now_wall=NOW, limit_w=5000, chargers_only=True, floor_14a=True, priority=3)
    again = book(EVENING)
    assert again.restore(json.loads(json.dumps(limits.to_json()))) == []
    assert again.orders(NOW) == limits.orders(NOW)
    assert again.resolve(NOW + 200) == limits.resolve(NOW + 200)


def test_what_no_longer_fits_the_site_is_left_out_and_told():
    limits = book()
    limits.set("building", now_wall=NOW, limit_a=20, circuit="garage")
    limits.set("building", now_wall=NOW, limit_a=20)
    smaller = LimitBook(Tree([circuit()], []), BERLIN)
    complaints = smaller.restore([*limits.to_json(), {"source": 5}])
    assert len(complaints) == 2
    assert "garage" in " ".join(complaints)
    assert held(smaller, NOW) == {"building": 20}


# --- clocks that are set ----------------------------------------------------------------------------


@pytest.mark.parametrize("step_s", [56 * 365 * 86_400.0, -2 * 86_400.0, 3600.0])
def test_a_clock_that_is_set_makes_a_limit_neither_longer_nor_shorter(step_s: float):
    limits = book()
    limits.set("bms", now_wall=NOW, limit_a=63, expires_at=NOW + 120, fallback_a=32)
    limits.set("dso", now_wall=NOW, limit_a=50, expires_at=NOW + 60)
    limits.set("owner", now_wall=NOW, limit_a=60)
    limits.clock_stepped(step_s)
    now = NOW + step_s
    assert limits.next_change(now) == now + 60
    assert held(limits, now + 59) == {"bms": 63, "dso": 50, "owner": 60}
    assert held(limits, now + 119) == {"bms": 63, "owner": 60}
    assert held(limits, now + 120) == {"bms": 32, "owner": 60}
    assert limits.next_change(now + 120) is None


def test_what_ended_by_itself_is_known_until_its_source_speaks_again():
    limits = book()
    for source, fallback in (("bms", None), ("dso", None), ("owner", 16.0)):
        limits.set(source, now_wall=NOW, limit_a=63, expires_at=NOW + 60, fallback_a=fallback)
    assert limits.ended == ()
    limits.resolve(NOW + 60)
    assert [order.source for order in limits.ended] == ["bms", "dso"]  # the owner's fallback holds
    limits.set("bms", now_wall=NOW + 70, limit_a=63)
    assert limits.clear("dso") == 0
    assert limits.ended == ()


def test_no_endless_list_of_ended_limits_is_kept():
    limits = book()
    for number in range(2 * ORDERS_MAX):
        now = NOW + 10 * number
        limits.set(f"source {number}", now_wall=now, limit_a=63, expires_at=now + 5)
        limits.resolve(now + 5)
    assert len(limits.ended) == ORDERS_MAX


def test_what_has_fallen_back_stays_so_whatever_the_clock_says_later():
    limits = book()
    limits.set("bms", now_wall=NOW, limit_a=63, expires_at=NOW + 120, fallback_a=32)
    assert [order.state(NOW) for order in limits.orders(NOW)] == ["holds"]
    limits.resolve(NOW + 120)
    (order,) = limits.orders(NOW)
    assert (order.state(NOW), held(limits, NOW - 1e6)) == ("fallback", {"bms": 32})
    limits.set("bms", now_wall=NOW, limit_a=63, expires_at=NOW + 120, fallback_a=32)
    assert held(limits, NOW) == {"bms": 63}


def test_what_must_be_kept_raises_the_revision_and_nothing_else_does():
    limits, seen = book(), []
    limits.clock_stepped(5.0)
    for change in (
        lambda: limits.set("bms", now_wall=NOW, limit_a=63, expires_at=NOW + 120, fallback_a=32),
        lambda: limits.clock_stepped(0.0),
        lambda: limits.resolve(NOW + 119),
        lambda: limits.resolve(NOW + 120),
        lambda: limits.resolve(NOW + 121),
        lambda: limits.clear("nobody"),
        lambda: limits.clear("bms"),
    ):
        before = limits.revision
        change()
        seen.append(limits.revision - before)
    assert seen == [1, 1, 0, 1, 0, 0, 1]


def restored(limits: LimitBook, now: float, *, trusted: bool = True) -> LimitBook:
    again = book()
    assert again.restore(json.loads(json.dumps(limits.to_json())), now, trusted=trusted, not_before=1e9) == []
    return again


def dead_man(set_at: float = NOW, limit: object = 63, fallback: float | None = 32) -> LimitBook:
    limits = book()
    limits.set("bms", now_wall=set_at, limit_a=limit, expires_at=set_at + 120, fallback_a=fallback)  # type: ignore[arg-type]
    return limits


def test_over_a_restart_with_a_good_clock_the_time_away_counts():
    assert held(restored(dead_man(), NOW + 100), NOW + 119) == {"bms": 63}
    assert held(restored(dead_man(), NOW + 100), NOW + 120) == {"bms": 32}
    assert held(restored(dead_man(fallback=None), NOW + 1000), NOW + 1000) == {}


@pytest.mark.parametrize(
    ("set_at", "now", "trusted"),
    [
        (NOW, 100.0, False),  # a board without a battery
        (NOW + 86_400, NOW, True),  # set in the future: one of the two clocks is wrong
        (100.0, NOW, True),  # set before the board knew the time
    ],
)
def test_where_nobody_knows_how_much_of_its_life_is_left_the_lower_of_both_holds(
    set_at: float, now: float, trusted: bool
):
    again = restored(dead_man(set_at), now, trusted=trusted)
    assert held(again, now) == {"bms": 32}
    assert [order.state(now) for order in again.orders(now)] == ["fallback"]
    again = restored(dead_man(set_at, fallback=80), now, trusted=trusted)
    assert held(again, now + 119) == {"bms": 63}
    assert held(again, now + 120) == {"bms": 80}
    again = restored(dead_man(set_at, (20.0, 40.0, 60.0)), now, trusted=trusted)
    assert again.resolve(now)[0].limit_a == (20.0, 32.0, 32.0)
    assert held(again, now + 120) == {"bms": 32}
    again = restored(dead_man(set_at, fallback=None), now, trusted=trusted)
    assert held(again, now + 119) == {"bms": 63}  # never longer than its own life from the restart
    assert held(again, now + 120) == {}


def test_a_limit_without_an_end_holds_over_any_clock():
    limits = book()
    limits.set("owner", now_wall=NOW, limit_a=40)
    assert held(restored(limits, 100.0, trusted=False), 1e9) == {"owner": 40}


def test_a_fallback_needs_a_limit_that_expires():
    with pytest.raises(ValueError, match="a fallback needs a limit that expires"):
        book().set("bms", now_wall=NOW, limit_a=63, fallback_a=32)


def test_the_fallback_is_never_below_what_the_law_leaves_the_chargers():
    limits = book()
    law = {"chargers_only": True, "floor_14a": True, "expires_at": NOW + 60}
    limits.set("dso", now_wall=NOW, limit_a=100, fallback_a=1, **law)  # type: ignore[arg-type]
    assert held(limits, NOW + 60) == {"dso": pytest.approx(limits.floor_a("main"))}
