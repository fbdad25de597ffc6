"""Left out of balancing a connector has its maximum, and no fuse pays for it; limits of connectors."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings

from edgegw.balance.balancer import Balancer
from edgegw.balance.bypass import AGAIN_S
from edgegw.balance.connector_orders import ConnectorOrder, ConnectorOrders, apply
from edgegw.balance.model import Binding, Limit, Plug, PlugState
from tests.balance.house import Car, House, circuit, connector, connectors
from tests.balance.test_balancer import over_for
from tests.balance.test_properties import SEEDS, sites

NAME = "CP-1/1"


def three_cars(fuse: float = 63.0, building: float = 0.0) -> House:
    """Three cars that share a fuse and have settled."""
    house = House([circuit(limit_a=fuse)], connectors(3), building=(building,) * 3)
    house.plug_in_all()
    house.run(200)
    return house


def reason(house: House, name: str = NAME):
    return house.frames[-1].allocation.grants[name].reason


def test_it_gets_its_maximum_after_the_others_have_given_way():
    house = three_cars()
    assert house.frames[-1].grants[NAME] < 32
    house.bypassed.add(NAME)
    house.run(1)
    first = house.frames[-1].grants
    assert first[NAME] < 32, "not before the others are lower"
    assert first["CP-2/1"] + first["CP-3/1"] <= 63 - 2 - 32 + 0.5
    assert "giving way first" in reason(house).text
    house.run(20)
    assert house.frames[-1].grants[NAME] == 32
    assert reason(house).binding is Binding.BYPASS
    assert max(max(frame.currents["main"]) for frame in house.frames[-60:]) <= 63


def test_it_keeps_it_while_others_want_more_and_new_cars_wait():
    house = House([circuit(limit_a=50)], connectors(4))
    house.bypassed.add(NAME)
    for number in (1, 2):
        house.plug_in(number)
    house.run(100)
    house.plug_in(3)
    house.plug_in(4)
    house.run(2000)
    assert {frame.grants[NAME] for frame in house.frames[-1900:]} == {32}
    assert over_for(house, 50) <= 5, "cars that come draw their safe value until they hear otherwise"


def test_room_is_kept_for_a_car_that_comes_and_it_finds_its_maximum_at_once():
    house = House([circuit(limit_a=63)], connectors(3))
    for number in (2, 3):
        house.plug_in(number)
    house.run(100)
    house.bypassed.add(NAME)
    house.run(30)
    grants = house.frames[-1].grants
    assert grants["CP-2/1"] + grants["CP-3/1"] <= 63 - 2 - 32
    assert grants[NAME] == 6, "nobody is there to draw more"
    assert reason(house).text == "left out of balancing: 32 A are kept for a car"
    house.plug_in(1)
    house.run(3)
    assert house.frames[-1].grants[NAME] == 32
    house.run(60)
    assert max(max(frame.currents["main"]) for frame in house.frames[-60:]) <= 63


def test_it_is_balanced_again_when_the_bypass_is_over():
    house = three_cars()
    house.bypassed.add(NAME)
    house.run(60)
    house.bypassed.clear()
    house.run(600)
    grants = house.frames[-1].grants
    assert grants[NAME] < 32
    assert min(grants.values()) > 10


def test_a_limit_from_outside_ends_it_at_once_and_it_comes_back():
    house = three_cars()
    house.bypassed.add(NAME)
    house.run(60)
    house.limits = [Limit(circuit="main", limit_a=(30.0, 30.0, 30.0), source="building")]
    house.run(1)
    grants = house.frames[-1].grants
    assert sum(grants.values()) <= 30 - 2 + 0.5
    assert grants[NAME] >= 6
    assert "do not fit now" in reason(house).text
    house.limits = ()
    house.run(int(AGAIN_S) - 2)
    assert house.frames[-1].grants[NAME] < 32, "no back and forth"
    house.run(30)
    assert house.frames[-1].grants[NAME] == 32


def test_a_bypass_never_pauses_another_car():
    house = House([circuit(limit_a=38)], connectors(3))  # 32 + 6 + 6 do not fit
    house.plug_in_all()
    house.run(200)
    house.bypassed.add(NAME)
    house.run(300)
    assert min(min(frame.grants.values()) for frame in house.frames[-299:]) >= 6
    assert house.frames[-1].grants[NAME] < 32


def test_the_sum_is_told_in_words_when_it_does_not_fit():
    house = three_cars(fuse=40, building=5.0)
    told = house.balancer.shortage([NAME])
    assert told == (
        "main L1: 32.0 A its maximum + 12.0 A the least of the others + 5.0 A the building"
        " + 2.0 A kept free = 51.0 A on the 40 A fuse"
    )
    assert three_cars(fuse=63).balancer.shortage([NAME]) == ""
    assert "64.0 A its maximum" in (three_cars(fuse=63).balancer.shortage([NAME, "CP-2/1"]) or "")
    assert Balancer([circuit()], connectors(1)).shortage([NAME]) is None


def test_unbalance_counts_as_well():
    house = House([circuit(limit_a=63, unbalance_a=20.0)], [connector(1, phases=(0,)), connector(2)])
    house.run(5)
    told = house.balancer.shortage([NAME])
    assert told == "main: the phases may differ by 20 A, this needs 32 A"


def test_a_charger_out_of_service_is_not_kept_room_for():
    balancer = Balancer([circuit(limit_a=63)], connectors(1))
    plug = Plug(connector=NAME, state=PlugState.UNAVAILABLE, bypassed=True)
    allocation = balancer.step(1.0, {}, [plug])
    assert allocation.circuits[0].granted_a == (0.0, 0.0, 0.0)


# --- a limit for one connector ----------------------------------------------------------------------


def test_a_limit_of_an_operator_holds_at_once_and_says_so():
    house = three_cars()
    house.cars[NAME].operator_a = 9.0
    house.run(1)
    assert house.frames[-1].grants[NAME] == 9
    assert (reason(house).binding, reason(house).source) == (Binding.LIMIT, "operator")
    assert reason(house).text == "an operator limits it to 9 A"
    house.cars[NAME].operator_a = 3.0
    house.run(1)
    assert house.frames[-1].grants[NAME] == 0
    assert reason(house).text == "an operator limits it to 3 A, less than the 6 A a car needs"


def test_a_free_connector_is_not_told_more_than_its_limit():
    balancer = Balancer([circuit(limit_a=63)], connectors(1, safe_a=10))
    for limit, told in ((40.0, 10.0), (8.0, 8.0), (5.0, 0.0)):
        allocation = balancer.step(1.0, {}, [Plug(connector=NAME, operator_a=limit)])
        assert allocation.grants[NAME].limit_a == told


@pytest.mark.parametrize(("cloud", "operator", "binding"), [(8.0, 12.0, "cloud"), (12.0, 8.0, "limit")])
def test_the_lower_of_cloud_and_operator_holds(cloud: float, operator: float, binding: str):
    house = three_cars()
    car = house.cars[NAME]
    car.cap_a, car.operator_a = cloud, operator
    house.run(1)
    assert house.frames[-1].grants[NAME] == 8
    assert reason(house).binding == binding


# --- the book of orders -----------------------------------------------------------------------------


def order(kind: str = "bypass", limit_a: float | None = None, until: float = 160.0) -> ConnectorOrder:
    return ConnectorOrder(kind=kind, connector=NAME, limit_a=limit_a, set_at=100.0, expires_at=until)


def test_the_newest_order_is_what_holds_and_it_ends_by_itself():
    book = ConnectorOrders()
    book.set(order("limit", 10.0))
    assert apply(book.of(NAME), Plug(connector=NAME)).operator_a == 10.0
    book.set(order())
    assert apply(book.of(NAME), Plug(connector=NAME)).bypassed
    assert not book.clear("limit", NAME), "that one is gone already"
    assert NAME in book.resolve(159.9)
    assert book.resolve(160.0) == {}
    assert [one.kind for one in book.lapsed] == ["bypass"]
    assert apply(None, Plug(connector=NAME)) == Plug(connector=NAME)


def test_a_clock_that_is_set_makes_it_neither_longer_nor_shorter():
    book = ConnectorOrders()
    book.set(order())
    book.clock_stepped(3600.0)
    assert NAME in book.resolve(3759.0)
    assert book.resolve(3761.0) == {}


def test_it_lives_over_a_restart_and_what_nobody_can_date_is_the_lower_current():
    book = ConnectorOrders()
    book.set(order())
    saved = book.to_json()
    again = ConnectorOrders()
    assert again.restore(saved, 120.0, wired=[NAME]) == []
    assert NAME in again.resolve(159.0)
    unsure = ConnectorOrders()
    assert "is over" in unsure.restore(saved, 120.0, wired=[NAME], trusted=False)[0]
    limited = ConnectorOrders()
    limited.set(order("limit", 8.0))
    unsure.restore(limited.to_json(), 900.0, wired=[NAME], trusted=False)
    assert NAME in unsure.resolve(959.0)
    assert unsure.resolve(961.0) == {}
    assert "not wired here" in ConnectorOrders().restore(saved, 120.0, wired=[])[0]
    assert "left out" in ConnectorOrders().restore([{"kind": "x"}], 1.0, wired=[NAME])[0]


@pytest.mark.parametrize(
    "bad", [order("limit"), order("bypass", 5.0), order(until=100.0), order("limit", float("nan"))]
)
def test_an_order_without_sense_is_refused(bad: ConnectorOrder):
    with pytest.raises(ValueError, match=r"an order|a limit"):
        ConnectorOrders().set(bad)


# --- whatever happens -------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(sites(), SEEDS)
def test_no_fuse_pays_for_random_bypasses(site, seed: int):
    """In closed loop, each second: nothing flows above a fuse unless the building alone does."""
    chance = random.Random(seed)
    circuits, wired = site
    level = chance.choice([0.0, 5.0, 15.0])
    house = House(circuits, wired, building=(level, level / 2, 0.0), accept_s=chance.choice([1.0, 3.0]))
    for n, one in enumerate(wired, 1):
        if chance.random() < 0.6:
            house.plug_in(n, Car(phases=len(one.phases), max_a=chance.choice([10.0, 16.0, 32.0])))
    house.run(120)
    quiet = len(house.frames)
    for _ in range(12):
        for one in wired:
            if chance.random() < 0.5:
                house.bypassed ^= {one.id}
        house.run(chance.randint(1, 25))
    for frame in house.frames[quiet:]:
        for one in circuits:
            building = level if not one.parent else 0.0
            assert max(frame.currents[one.name]) <= max(one.limit_a, building) + 1e-6


@settings(max_examples=10, deadline=None)
@given(sites(), SEEDS)
def test_who_is_left_out_and_has_room_has_its_maximum(site, seed: int):
    chance = random.Random(seed)
    circuits, wired = site
    house = House(circuits, wired)
    for n, one in enumerate(wired, 1):
        house.plug_in(n, Car(phases=len(one.phases)))
    house.run(150)
    chosen = chance.choice(wired)
    if house.balancer.shortage([chosen.id]):
        return
    house.bypassed.add(chosen.id)
    house.run(45)
    steps = int(chosen.max_a / chosen.step_a + 1e-9)
    assert house.frames[-1].grants[chosen.id] == pytest.approx(steps * chosen.step_a)
