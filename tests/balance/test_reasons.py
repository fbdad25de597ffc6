"""Every limit explains itself in one line that a technician understands."""

from __future__ import annotations

import pytest

from edgegw.balance.balancer import Balancer
from edgegw.balance.model import Binding, Limit, Plug, PlugState
from tests.balance.house import Car, House, circuit, connector, connectors


def reason(house: House, number: int = 1):
    return house.frames[-1].allocation.grants[f"CP-{number}/1"].reason


def test_the_fuse_of_a_sub_circuit():
    house = House(
        [circuit(limit_a=100), circuit("garage", 32, parent="main", reserve_a=9)], connectors(3, "garage")
    )
    house.plug_in_all()
    house.run(100)
    assert reason(house).text == "garage L1 (32 A fuse): 9 A kept for the building, 3 cars share 21 A"
    assert (reason(house).binding, reason(house).circuit, reason(house).phase) == (
        Binding.CIRCUIT,
        "garage",
        0,
    )


def test_the_building_on_one_phase_of_the_main_fuse():
    house = House([circuit(limit_a=63)], connectors(2), building=(5, 41, 8))
    house.plug_in_all()
    house.run(100)
    assert reason(house).text == "main L2 (63 A fuse): building 41 A, 2 cars share 20 A"


def test_one_car_shares_alone():
    house = House([circuit(limit_a=32), circuit("b", 20, parent="main", margin_a=0)], connectors(1, "b"))
    house.plug_in_all()
    house.run(100)
    assert reason(house).text == "b L1 (20 A fuse): 1 car shares 20 A"


@pytest.mark.parametrize(
    ("binding", "says"),
    [
        (Binding.MAXIMUM, "all it can take"),
        (Binding.CLOUD, "its cloud allows 12 A"),
        (Binding.DEMAND, "takes no more than 10 A"),
        (Binding.UNSTEERED, "20 A are kept for it"),
        (Binding.FREE, "no car"),
    ],
)
def test_what_is_not_a_fuse(binding: Binding, says: str):
    house = House([circuit(limit_a=52)], connectors(2))
    car = house.plug_in(1)
    house.plug_in(2)
    if binding is Binding.MAXIMUM:
        del house.cars["CP-2/1"]
    elif binding is Binding.CLOUD:
        car.cap_a = 12.0
    elif binding is Binding.DEMAND:
        car.max_a = 10.0
    elif binding is Binding.UNSTEERED:
        car.steered, car.reserved_a = False, 20.0
    else:
        del house.cars["CP-1/1"]
    house.run(150)
    assert reason(house).binding is binding
    assert says in reason(house).text


def test_who_waits_is_told_why():
    house = House([circuit(limit_a=63)], connectors(2, safe_a=0), building=(50, 50, 50))
    house.plug_in_all()
    house.run(200)
    waiting = [n for n in (1, 2) if house.frames[-1].grants[f"CP-{n}/1"] == 0]
    assert len(waiting) == 1
    assert reason(house, waiting[0]).binding is Binding.WAITING
    assert reason(house, waiting[0]).text.startswith("waits for its turn: main L1 (63 A fuse): building 50 A")


def test_a_ramp_says_that_more_is_to_come():
    house = House([circuit(limit_a=100)], connectors(1))
    house.plug_in_all()
    frames = [house.run(1) for _ in range(20)]
    said = {frame.allocation.grants["CP-1/1"].reason.binding for frame in frames}
    assert Binding.RAMP in said


def test_a_dynamic_limit_is_named_with_who_set_it():
    house = House([circuit(limit_a=100)], connectors(2), building=(10, 10, 10))
    house.limits = [Limit(circuit="main", limit_a=(40.0, 35.0, 40.0), source="building management")]
    house.plug_in_all()
    house.run(60)
    assert reason(house).text == "main L2 (35 A by building management): building 10 A, 2 cars share 23 A"
    assert reason(house).source == "building management"


def test_a_silent_meter_is_the_reason():
    house = House([circuit(limit_a=63, reserve_a=40)], connectors(1))
    house.plug_in_all()
    house.run(60)
    house.meter_works = False
    house.run(15)
    assert reason(house).binding is Binding.METER_STALE
    assert (
        reason(house).text
        == "main L1 (63 A fuse): meter not usable, 40 A kept for the building, 1 car shares 21 A"
    )


def test_too_little_from_the_cloud():
    house = House([circuit()], connectors(1))
    house.plug_in(1, Car(cap_a=4.0))
    house.run(5)
    assert reason(house).text == "its cloud allows 4.0 A, less than the 6 A a car needs"


def test_out_of_service():
    allocation = Balancer([circuit()], [connector()]).step(
        0.0, {}, [Plug(connector="CP-1/1", state=PlugState.UNAVAILABLE)]
    )
    assert allocation.grants["CP-1/1"].reason.text == "out of service"
