"""The balancer, case by case: what it sees, what it grants."""

from __future__ import annotations

import pytest

from edgegw.balance.balancer import Balancer
from edgegw.balance.model import (
    Allocation,
    Binding,
    Limit,
    Plug,
    PlugState,
    Reading,
    Settings,
    watts,
)
from edgegw.balance.tree import Tree, check_safe
from tests.balance.house import Car, Frame, House, circuit, connector, connectors

NONE = (0.0, 0.0, 0.0)


def total(frame: Frame) -> float:
    return sum(frame.grants.values())


def over_for(house: House, limit_a: float, name: str = "main") -> int:
    """The longest run of seconds in which something flowed above the limit."""
    longest = run = 0
    for frame in house.frames:
        run = run + 1 if max(frame.currents[name]) > limit_a else 0
        longest = max(longest, run)
    return longest


def step_to(before: float, after: float, at: float = 1300.0):
    return lambda now: (before, before, before) if now < at else (after, after, after)


# --- the tree -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("circuits", "wired", "says"),
    [
        ([], [], "exactly one circuit"),
        ([circuit("a"), circuit("b")], [], "a, b"),
        ([circuit("a"), circuit("a")], [], "more than once"),
        ([circuit("a"), circuit("b", parent="nowhere")], [], 'no circuit "nowhere"'),
        ([circuit("r"), circuit("a", parent="b"), circuit("b", parent="a")], [], "lead back"),
        ([circuit()], [connector(circuit="cellar")], 'no circuit "cellar"'),
        ([circuit()], [connector(), connector()], "more than once"),
        ([circuit()], [connector(phases=(0, 3))], "phases"),
        ([circuit()], [connector(phases=())], "phases"),
        ([circuit()], [connector(min_a=20, max_a=16)], "do not go together"),
        ([circuit()], [connector(step_a=0)], "step"),
        ([circuit(limit_a=0)], [], "limit"),
    ],
)
def test_a_tree_that_makes_no_sense_is_refused_in_words(circuits, wired, says: str):
    with pytest.raises(ValueError, match=says):
        Balancer(circuits, wired)


def test_ancestors_and_rows():
    tree = Tree([circuit(), circuit("a", parent="main"), circuit("b", parent="a")], [connector(circuit="b")])
    assert tree.ancestors("b") == ("a", "main")
    names = [(tree.circuits[row // 3].name, row % 3) for row in tree.rows(tree.index["b"], (2,))]
    assert names == [("b", 2), ("a", 2), ("main", 2)]


def test_safe_values_that_do_not_fit_are_named_with_sum_and_limit():
    circuits = [circuit(limit_a=63, reserve_a=40), circuit("garage", 20, parent="main")]
    wired = [connector(n, "garage", safe_a=6, phases=(0,)) for n in (1, 2, 3, 4)]
    complaints = check_safe(Tree(circuits, wired))
    assert len(complaints) == 2
    assert "garage, L1" in complaints[0]
    assert "24 A" in complaints[0]
    assert "20 A" in complaints[0]
    assert "64 A" in complaints[1]
    assert check_safe(Tree(circuits, wired[:3])) == []


# --- main fuse overloaded -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fuse", "before", "after", "cars", "granted_before", "granted_after"),
    [
        (63, 20, 30, 3, 41, 31),
        (63, 0, 40, 2, 61, 21),
        (63, 20, 30, 5, 41, 31),
        (100, 30, 79, 3, 68, 19),
        (32, 0, 18, 2, 30, 12),
    ],
)
def test_main_fuse_overloaded(fuse, before, after, cars, granted_before, granted_after):
    house = House([circuit(limit_a=fuse)], connectors(cars), building=step_to(before, after))
    house.plug_in_all()
    assert granted_before - 2 <= total(house.run(290)) <= granted_before
    frame = house.run(30)
    assert granted_after - 2 <= total(frame) <= granted_after
    assert max(frame.currents["main"]) <= fuse
    assert over_for(house, fuse) <= 8


def test_a_step_is_shed_from_few_cars():
    house = House([circuit(limit_a=80)], connectors(4), building=step_to(10, 16))
    house.plug_in_all()
    before = house.run(295).grants
    after = house.run(8).grants
    assert sum(1 for name in before if after[name] != before[name]) == 1


def test_a_single_phase_step_falls_on_the_single_phase_car():
    wired = [*connectors(2), connector(3, phases=(1,))]
    house = House([circuit(limit_a=60)], wired, building=lambda now: (10, 10 if now < 1300 else 18, 10))
    house.plug_in_all()
    house.cars["CP-3/1"].phases = 1
    before = house.run(295).grants
    after = house.run(8).grants
    assert after["CP-3/1"] < before["CP-3/1"]
    assert after["CP-1/1"] == before["CP-1/1"]


def test_a_car_that_draws_one_phase_is_not_stopped_for_another():
    wired = [connector(1, phases=(0, 1, 2)), connector(2, phases=(2, 0, 1))]
    house = House([circuit(limit_a=40)], wired, building=lambda now: (5, 5, 5 if now < 1300 else 30))
    house.plug_in_all(phases=1)
    house.run(290)
    grants = house.run(30).grants
    assert grants["CP-1/1"] == 32
    assert grants["CP-2/1"] == 8


def test_minima_alone_above_the_limit_wait_out_a_lift_and_then_one_is_paused():
    house = House([circuit(limit_a=50)], connectors(4, safe_a=0), building=step_to(20, 30))
    house.plug_in_all()
    house.run(299)
    assert min(house.run(8).grants.values()) == 6
    grants = house.run(8).grants
    assert sorted(grants.values())[0] == 0
    assert sorted(grants.values())[1] >= 6
    reason = next(g.reason for g in house.frames[-1].allocation.grants.values() if g.limit_a == 0)
    assert reason.binding is Binding.PAUSED
    assert (reason.circuit, reason.phase) == ("main", 0)


def test_far_above_the_limit_nobody_waits():
    house = House([circuit(limit_a=50)], connectors(4, safe_a=0), building=step_to(20, 45))
    house.plug_in_all()
    house.run(301)
    assert total(house.run(2)) == 12
    assert total(house.run(20)) == 0


def test_between_margin_and_limit_minima_stay():
    house = House([circuit(limit_a=50)], connectors(4, safe_a=0), building=step_to(20, 25))
    house.plug_in_all()
    house.run(299)
    assert list(house.run(60).grants.values()) == [6, 6, 6, 6]


# --- decreases before increases -------------------------------------------------------------------


def plug(number: int, state: PlugState = PlugState.CHARGING, **other: object) -> Plug:
    return Plug(connector=f"CP-{number}/1", state=state, session=f"s{number}", **other)  # type: ignore[arg-type]


def test_what_a_charger_still_stands_at_is_given_to_nobody_else():
    balancer = Balancer([circuit("main", 40, metered=False, reserve_a=0)], connectors(2, safe_a=0))
    now, grants = 0.0, {}
    standing = {1: 0.0, 2: 0.0}
    for second in range(200):
        now += 1
        present = [1] if second < 60 else [1, 2]
        plugs = []
        for number in present:
            granted = grants.get(f"CP-{number}/1", 0.0)
            stuck = number == 1 and 60 <= second < 120  # its charger does not confirm the lower limit
            if not (stuck and granted < standing[number]):
                standing[number] = granted
            drawn = (standing[number],) * 3
            state = PlugState.CHARGING if standing[number] else PlugState.WAITING
            plugs.append(plug(number, state, standing_a=standing[number], drawn_a=drawn, drawn_at=now))
        allocation = balancer.step(now, {}, plugs)
        grants = {name: grant.limit_a for name, grant in allocation.grants.items()}
        committed = sum(max(grants[p.connector], p.standing_a) for p in plugs)
        assert committed <= 38
        if 65 < second < 120:
            assert (standing[1], grants["CP-2/1"]) == (32, 6)
    assert grants["CP-1/1"] == pytest.approx(19, abs=3)
    assert sum(grants.values()) == 38


def test_a_free_connector_has_its_safe_value_and_takes_nothing_from_others():
    house = House([circuit(limit_a=40)], connectors(6, safe_a=6))
    house.plug_in(1)
    frame = house.run(60)
    assert frame.grants == {"CP-1/1": 32} | {f"CP-{n}/1": 6 for n in range(2, 7)}
    assert frame.allocation.grants["CP-2/1"].reason.binding is Binding.FREE


def test_a_car_that_plugs_in_counts_with_its_safe_value_at_once():
    house = House([circuit(limit_a=34)], connectors(2, safe_a=6))
    house.plug_in(1)
    assert house.run(60).grants["CP-1/1"] == 32
    house.plug_in(2)
    frame = house.run(1)
    assert frame.grants["CP-1/1"] + frame.grants["CP-2/1"] <= 32
    assert frame.grants["CP-2/1"] == 6
    assert over_for(house, 34) <= 5


def test_a_car_that_does_not_fit_is_taken_to_zero_before_it_starts():
    house = House([circuit(limit_a=63)], connectors(2, safe_a=6), building=(50, 50, 50))
    house.plug_in(1)
    house.run(60)
    house.plug_in(2)
    frame = house.run(1)
    assert frame.grants["CP-2/1"] == 0
    reason = frame.allocation.grants["CP-2/1"].reason
    assert reason.binding is Binding.WAITING
    assert "waits for its turn" in reason.text


def test_a_new_balancer_goes_on_where_the_old_one_was():
    balancer = Balancer([circuit()], connectors(2))
    plugs = [plug(n, standing_a=16.0, drawn_a=(16.0,) * 3, drawn_at=9.5) for n in (1, 2)]
    allocation = balancer.step(10.0, {"main": Reading(at=10.0, current_a=(52.0, 52.0, 52.0))}, plugs)
    assert [grant.limit_a for grant in allocation.grants.values()] == [16, 16]


def test_a_plug_that_the_site_does_not_have_is_a_mistake():
    with pytest.raises(KeyError):
        Balancer([circuit()], connectors(1)).step(0.0, {}, [plug(7)])


# --- who cannot be steered ------------------------------------------------------------------------


def test_a_charger_that_cannot_be_steered_is_reserved():
    house = House([circuit(limit_a=50)], connectors(2))
    house.plug_in_all()
    before = house.run(60).grants["CP-1/1"]
    assert before == pytest.approx(24, abs=1)
    lost = house.cars["CP-1/1"]
    lost.steered, lost.reserved_a = False, 32.0
    frame = house.run(2)
    assert frame.grants == {"CP-1/1": before, "CP-2/1": 16}
    assert frame.allocation.grants["CP-1/1"].reason.binding is Binding.UNSTEERED
    assert "32 A" in frame.allocation.grants["CP-1/1"].reason.text
    lost.steered = True
    assert total(house.run(60)) == 48


def test_a_car_that_draws_more_than_it_may_is_counted_with_what_it_draws():
    house = House([circuit(limit_a=50)], connectors(2), building=step_to(0, 16))
    house.plug_in_all()
    house.run(290)
    house.cars["CP-1/1"].obeys = False
    house.run(60)
    assert max(house.frames[-1].currents["main"]) <= 50


# --- the meter ------------------------------------------------------------------------------------


def test_fault_72_a_silent_meter_leaves_the_reserve_after_twelve_seconds():
    house = House([circuit(limit_a=63, reserve_a=40)], connectors(2))
    house.plug_in_all()
    assert total(house.run(120)) >= 60
    house.meter_works = False
    house.run(12)
    frame = house.run(1)
    assert total(frame) <= 63 - 2 - 40
    assert frame.allocation.circuits[0].stale
    assert frame.allocation.circuits[0].base_a == (40, 40, 40)
    assert "meter_stale" in frame.allocation.alarms
    assert {g.reason.binding for g in frame.allocation.grants.values()} == {Binding.METER_STALE}
    house.meter_works = True
    frame = house.run(60)
    assert "meter_stale" not in frame.allocation.alarms
    assert total(frame) >= 60


def test_without_a_meter_minima_that_do_not_fit_the_reserve_are_paused_at_once():
    house = House([circuit(limit_a=50, reserve_a=40)], connectors(4, safe_a=0), building=(20, 20, 20))
    house.plug_in_all()
    assert total(house.run(60)) >= 24
    house.meter_works = False
    assert total(house.run(13)) == 6


def test_nobody_starts_in_the_first_minute_without_a_meter():
    house = House([circuit(limit_a=63, reserve_a=40)], connectors(2, safe_a=0))
    house.plug_in(1)
    house.run(60)
    house.meter_works = False
    house.run(13)
    house.plug_in(2)
    assert house.run(40).grants["CP-2/1"] == 0
    assert house.run(60).grants["CP-2/1"] >= 6


def test_a_meter_that_was_never_read_is_a_silent_one():
    house = House([circuit(limit_a=63, reserve_a=40)], connectors(2, safe_a=6))
    house.meter_works = False
    house.plug_in_all()
    frames = [house.run(1) for _ in range(200)]
    assert all(total(frame) <= 21 for frame in frames)
    assert total(frames[-1]) >= 12


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None])
def test_fault_72_one_phase_without_a_number_is_a_silent_phase(bad: float | None):
    house = House([circuit(limit_a=63, reserve_a=40)], connectors(2))
    house.plug_in_all()
    house.run(60)
    house.meter_shows = lambda true: (true[0], bad, true[2])
    frame = house.run(14)
    assert frame.allocation.circuits[0].base_a == (0, 40, 0)
    assert total(frame) <= 21


@pytest.mark.parametrize("shown", [0.0, 1e-40, 5.0, -30.0])
def test_fault_73_a_meter_that_shows_less_than_the_chargers_draw(shown: float):
    house = House([circuit(limit_a=63, reserve_a=40)], connectors(2), building=(10, 10, 10))
    house.plug_in_all()
    house.run(100)
    house.meter_shows = lambda true: (shown, true[1], true[2])
    frame = house.run(15)
    assert "meter_below_chargers" in frame.allocation.alarms
    assert "main L1" in frame.allocation.alarms["meter_below_chargers"]
    assert frame.allocation.circuits[0].base_a[0] == 40
    assert total(frame) <= 21
    house.meter_shows = lambda true: true
    assert "meter_below_chargers" not in house.run(60).allocation.alarms


def test_solar_behind_the_meter_is_no_fault_when_it_is_known():
    house = House([circuit(limit_a=63, reserve_a=40, feed_in_a=20)], connectors(3), building=(-15, -15, -15))
    house.plug_in_all()
    frame = house.run(120)
    assert frame.allocation.alarms == {}
    assert 72 <= total(frame) <= 76


def test_fault_72_a_meter_that_falls_when_cars_draw_more_is_reversed():
    """Only the transformer of L2 is the wrong way round, behind a big steady load that hides the sign."""
    wired = circuit(limit_a=120, reserve_a=70, feed_in_a=60)
    house = House([wired], connectors(2), building=(10, 60, 10))
    house.meter_shows = lambda true: (true[0], 100 - (true[1] - 60), true[2])
    house.plug_in_all()
    for _ in range(6):
        house.run(100)
        house.cars["CP-1/1"].draws = False  # it stops by itself
        house.run(30)
        house.cars["CP-1/1"].draws = True
    assert "meter_reversed" in house.frames[-1].allocation.alarms
    assert "main L2" in house.frames[-1].allocation.alarms["meter_reversed"]
    assert house.frames[-1].allocation.circuits[0].base_a[1] == 70
    house.meter_shows = lambda true: true  # somebody turned it
    house.run(100)
    house.cars["CP-1/1"].draws = False
    assert "meter_reversed" not in house.run(30).allocation.alarms


def test_a_healthy_meter_raises_no_alarm_when_cars_come_and_go():
    house = House([circuit(limit_a=100, reserve_a=70)], connectors(4), building=(20, 30, 40))
    for n in range(1, 5):
        house.plug_in(n)
        house.run(90)
    for n in range(1, 5):
        del house.cars[f"CP-{n}/1"]
        house.run(60)
    assert all(not frame.allocation.alarms for frame in house.frames)


def test_above_the_limit_for_long_is_an_alarm():
    house = House([circuit(limit_a=63)], connectors(1), building=step_to(20, 70))
    house.plug_in_all()
    house.run(330)
    assert house.frames[-1].allocation.alarms["over_limit"].startswith("main L1: 70 A")


def test_a_sub_circuit_with_its_own_meter_has_its_own_building():
    circuits = [circuit(limit_a=100), circuit("hall", 40, parent="main", metered=True, reserve_a=20)]
    house = House(circuits, connectors(2, "hall"))
    house.meter_shows = lambda true: true
    frame = None
    house.plug_in_all()
    house.run(100)
    # A machine of 15 A starts in the hall; both meters see it.
    flow = house._flow

    def with_machine():
        currents, cars = flow()
        return {name: tuple(a + 15 for a in amps) for name, amps in currents.items()}, cars

    house._flow = with_machine
    frame = house.run(20)
    states = {state.name: state for state in frame.allocation.circuits}
    assert states["hall"].base_a == (15, 15, 15)
    assert 21 <= total(frame) <= 23


def test_a_circuit_without_a_meter_keeps_its_reserve():
    circuits = [circuit(limit_a=100), circuit("hall", 40, parent="main", reserve_a=10)]
    house = House(circuits, connectors(2, "hall"))
    house.plug_in_all()
    assert 26 <= total(house.run(100)) <= 28


# --- who takes what -------------------------------------------------------------------------------


def test_what_a_car_does_not_take_the_others_get():
    house = House([circuit(limit_a=62)], connectors(2))
    house.plug_in_all()
    house.cars["CP-1/1"].max_a = 10
    frame = house.run(120)
    assert frame.grants["CP-2/1"] == 32
    house.cars["CP-2/1"].max_a = 32
    house.cars["CP-1/1"].max_a = 32
    grants = house.run(240).grants
    assert grants["CP-1/1"] >= 26, "a car that takes more again is let"


def test_a_car_that_refuses_six_amps_gets_eight():
    house = House([circuit(limit_a=30)], connectors(2, safe_a=0), building=(14, 14, 14))
    house.plug_in(1, Car(refuses_below_a=8))
    frame = house.run(120)
    assert house.cars["CP-1/1"].drawn_a >= 8
    assert frame.grants["CP-1/1"] >= 8


def test_a_full_car_keeps_its_minimum_until_somebody_needs_it():
    house = House([circuit(limit_a=30)], connectors(2, safe_a=0), building=(20, 20, 20))
    full = house.plug_in(1)
    house.run(60)
    full.draws = False
    frame = house.run(100)
    assert frame.grants["CP-1/1"] >= 6
    house.plug_in(2)
    frame = house.run(400)
    assert frame.grants["CP-1/1"] == 0
    assert house.cars["CP-2/1"].drawn_a >= 6


def test_a_full_car_gives_its_minimum_to_those_that_charge():
    house = House([circuit(limit_a=30)], connectors(2, safe_a=0))
    full = house.plug_in(1)
    house.plug_in(2)
    house.run(60)
    full.draws = False
    frame = house.run(60)
    assert (frame.grants["CP-1/1"], frame.grants["CP-2/1"]) == (6, 22)
    frame = house.run(240)
    assert (frame.grants["CP-1/1"], frame.grants["CP-2/1"]) == (0, 28)
    assert "made no use of its turn" in frame.allocation.grants["CP-1/1"].reason.text
    full.draws = True  # a timer: it is asked again after a while
    house.run(1000)
    assert full.drawn_a >= 6


def test_three_cars_take_turns_where_two_fit():
    house = House([circuit(limit_a=35)], connectors(3, safe_a=0), building=(19, 19, 19))
    house.plug_in_all()
    house.run(4 * 3600)
    served = sorted(car.energy_wh for car in house.cars.values())
    assert served[0] > 0.6 * served[-1]


def test_who_had_most_yields_to_those_who_had_less():
    house = House([circuit(limit_a=35)], connectors(4, safe_a=0), building=(5, 5, 5))
    house.plug_in(1)
    house.run(1800)
    for n in (2, 3, 4):
        house.plug_in(n)
    assert min(house.run(30).grants.values()) == 6
    grants = house.run(200).grants
    assert grants["CP-1/1"] == 0
    assert total(house.frames[-1]) >= 26
    house.run(2 * 3600)
    assert house.cars["CP-1/1"].drawn_a > 0


def test_the_higher_priority_is_served_first():
    wired = [connector(1), connector(2, priority=1), connector(3)]
    house = House([circuit(limit_a=50)], wired)
    house.plug_in_all()
    grants = house.run(200).grants
    assert grants["CP-2/1"] >= 29
    assert 46 <= sum(grants.values()) <= 48


def test_twice_the_weight_twice_the_share():
    house = House([circuit(limit_a=32)], [connector(1, weight=2.0), connector(2)])
    house.plug_in_all()
    grants = house.run(200).grants
    assert grants["CP-1/1"] == pytest.approx(20, abs=2)
    assert sum(grants.values()) == 30


def test_the_cloud_may_lower_and_below_the_minimum_means_nothing():
    house = House([circuit(limit_a=100)], connectors(2))
    house.plug_in_all()
    house.run(60)
    house.cars["CP-1/1"].cap_a = 10.7
    house.cars["CP-2/1"].cap_a = 5.0
    frame = house.run(1)
    assert frame.grants == {"CP-1/1": 10, "CP-2/1": 0}
    assert {g.reason.binding for g in frame.allocation.grants.values()} == {Binding.CLOUD}
    house.cars["CP-1/1"].cap_a = house.cars["CP-2/1"].cap_a = 32.0
    assert house.run(60).grants == {"CP-1/1": 32, "CP-2/1": 32}


def test_a_dc_charger_is_a_three_phase_load_that_counts_by_its_size():
    dc = connector(1, dc=True, min_a=0.0, max_a=217.4, safe_a=0.0)
    house = House([circuit(limit_a=125)], [dc, connector(2)], building=(20, 20, 20))
    house.plug_in(1, Car(max_a=217.4, refuses_below_a=0.5))
    house.plug_in(2)
    grants = house.run(200).grants
    assert 100 <= sum(grants.values()) <= 103
    assert grants["CP-1/1"] == pytest.approx(3 * grants["CP-2/1"], rel=0.25)
    assert watts(grants["CP-1/1"], 3, 230) > 47000


def test_a_dc_charger_may_be_offered_less_than_six_amps():
    dc = connector(1, dc=True, min_a=0.0, max_a=80, safe_a=0.0)
    house = House([circuit(limit_a=32)], [dc], building=(26, 26, 26))
    house.plug_in(1, Car(max_a=80, refuses_below_a=0.5))
    assert house.run(60).grants["CP-1/1"] == 4


def test_offers_are_in_steps_even_when_the_limits_are_not():
    wired = [connector(1, min_a=14.49, max_a=43.48, safe_a=0, dc=True), connector(2, step_a=0.1, min_a=6.0)]
    house = House([circuit(limit_a=60)], wired, building=step_to(3.3, 12.7, 1100))
    house.plug_in_all(max_a=60, refuses_below_a=1)
    house.run(200)
    for frame in house.frames:
        first, second = frame.grants["CP-1/1"], frame.grants["CP-2/1"]
        assert first == 0 or (15 <= first <= 43 and first == int(first))
        assert second == 0 or (6 <= second <= 32 and abs(second * 10 - round(second * 10)) < 1e-6)


def test_an_out_of_service_connector_reserves_nothing():
    house = House([circuit(limit_a=40)], connectors(2))
    house.plug_in_all()
    house.cars["CP-2/1"].says = PlugState.UNAVAILABLE
    house.cars["CP-2/1"].draws = False
    assert house.run(60).grants["CP-1/1"] == 32


# --- limits from outside, unbalance ---------------------------------------------------------------


def limit(amps: float, **other: object) -> Limit:
    usual: dict[str, object] = {"circuit": "main", "source": "building"}
    return Limit(limit_a=(amps, amps, amps), **{**usual, **other})  # type: ignore[arg-type]


def test_the_lowest_limit_holds_and_is_named():
    house = House([circuit(limit_a=63)], connectors(2), building=(10, 10, 10))
    house.plug_in_all()
    house.run(60)
    house.limits = [limit(40), limit(32, source="grid operator"), limit(500, source="installer")]
    frame = house.run(1)
    assert total(frame) == 20
    reason = frame.allocation.grants["CP-1/1"].reason
    assert (reason.binding, reason.source) == (Binding.LIMIT, "grid operator")
    assert "32 A by grid operator" in reason.text
    assert frame.allocation.circuits[0].limit_source == "grid operator"
    house.limits = []
    assert total(house.run(60)) >= 49


def test_a_limit_for_the_chargers_alone_does_not_count_the_building():
    house = House([circuit(limit_a=100)], connectors(3), building=(50, 50, 50))
    house.plug_in_all()
    house.run(60)
    house.limits = [limit(24, chargers_only=True, source="grid operator")]
    frame = house.run(1)
    assert total(frame) == 24
    assert frame.allocation.grants["CP-1/1"].reason.source == "grid operator"
    assert "over_limit" not in house.run(30).allocation.alarms


def test_a_limit_of_zero_stops_everybody_at_once():
    house = House([circuit(limit_a=100)], connectors(3))
    house.plug_in_all()
    house.run(60)
    house.limits = [limit(0, chargers_only=True)]
    assert total(house.run(1)) == 0


@pytest.mark.parametrize(("sample_s", "follow_s"), [(3, 2.0), (5, 3.0), (7, 4.0), (10, 1.0), (30, 3.0)])
@pytest.mark.parametrize("after_s", range(8, 24, 2))
def test_a_limit_that_comes_while_cars_still_rise_pauses_nobody(after_s: int, sample_s: int, follow_s: float):
    """Their samples are old: what they draw more than a moment ago is theirs, not the building's."""
    wired = connectors(3)
    house = House([circuit(limit_a=63)], wired, building=(10, 10, 10), sample_s=sample_s, follow_s=follow_s)
    house.plug_in_all()
    house.run(after_s)
    house.limits = [limit(40)]
    for _ in range(40):
        frame = house.run(1)
        assert min(frame.grants.values()) >= 6, frame
    assert max(frame.currents["main"]) <= 40
    assert total(frame) >= 24


def test_phases_differ_by_no_more_than_the_unbalance_limit():
    circuits = [circuit(limit_a=100, unbalance_a=20)]
    wired = [connector(1, phases=(0,)), connector(2, phases=(0,)), connector(3, phases=(1,)), connector(4)]
    house = House(circuits, wired)
    house.plug_in(1, Car(phases=1))
    house.plug_in(4)
    grants = house.run(60).grants
    assert (grants["CP-1/1"], grants["CP-4/1"]) == (20, 32)
    reason = house.frames[-1].allocation.grants["CP-1/1"].reason
    assert (reason.binding, reason.phase) == (Binding.UNBALANCE, 0)
    house.plug_in(2, Car(phases=1))
    frame = house.run(60)
    assert frame.grants["CP-1/1"] + frame.grants["CP-2/1"] == 20
    house.plug_in(3, Car(phases=1))
    frame = house.run(60)
    assert max(frame.cars_a["main"][0:2]) - frame.cars_a["main"][2] <= 20


# --- calm -----------------------------------------------------------------------------------------


def test_when_nothing_happens_nothing_is_sent():
    house = House([circuit(limit_a=80)], connectors(6, safe_a=0), building=(20.0, 24.0, 22.0))
    house.plug_in_all()
    house.run(120)
    before = house.frames[-1].grants
    assert all(frame.grants == before for frame in [house.run(1) for _ in range(400)])


def test_the_same_inputs_give_the_same_answers():
    def grants(settings: Settings) -> list[dict[str, float]]:
        house = House([circuit(limit_a=63)], connectors(5), building=step_to(10, 30, 1060), settings=settings)
        house.plug_in_all()
        house.run(120)
        return [frame.grants for frame in house.frames]

    assert grants(Settings()) == grants(Settings())


def test_an_allocation_names_every_connector_and_circuit():
    circuits = [circuit(), circuit("garage", 40, parent="main")]
    allocation: Allocation = Balancer(circuits, connectors(3, "garage")).step(0.0, {}, [])
    assert set(allocation.grants) == {"CP-1/1", "CP-2/1", "CP-3/1"}
    assert [state.name for state in allocation.circuits] == ["garage", "main"]
    assert all(grant.reason.text for grant in allocation.grants.values())
