"""What must not steer chargers is refused with its reason; what may becomes a Reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.balance.model import Reading
from edgegw.meters.plausible import Implausible, MeterOptions, Plausibility
from edgegw.meters.template import Template, load_templates

ALL = load_templates()
SDM = ALL["eastron_sdm630"]

GOOD = {
    "voltage_l1": 230.4,
    "voltage_l2": 229.8,
    "voltage_l3": 231.2,
    "current_l1": 12.3,
    "current_l2": 5.1,
    "current_l3": 20.4,
    "power_l1": 2690.0,
    "power_l2": -1150.0,
    "power_l3": 4600.0,
    "power": 6140.0,
    "frequency": 50.02,
}


def judge(template: Template = SDM, options: MeterOptions | None = None, **changes: float | None) -> object:
    return Plausibility(template, options or MeterOptions()).judge(GOOD | changes, 7.0)


def reading(*args: object, **changes: object) -> Reading:
    judged = judge(*args, **changes)
    assert isinstance(judged, Reading), judged
    return judged


def refused(*args: object, **changes: object) -> tuple[str, str]:
    judged = judge(*args, **changes)
    assert isinstance(judged, Implausible), judged
    return judged.kind, judged.text


# --- what a reading says --------------------------------------------------------------------------


def test_currents_have_the_sign_of_their_phases_power() -> None:
    found = reading()
    assert found.at == 7.0
    assert found.current_a == pytest.approx((12.3, -1150 / 229.8, 20.4))
    assert found.voltage_v == (230.4, 229.8, 231.2)
    assert (found.power_w, found.frequency_hz) == (6140.0, 50.02)


def test_a_reactive_current_is_no_room_for_a_car() -> None:
    found = reading(current_l1=20.0, power_l1=-10.0, power=3440.0)
    assert found.current_a[0] == pytest.approx(-10 / 230.4)
    assert reading(current_l1=20.0, power_l1=10.0, power=3460.0).current_a[0] == 20.0


def test_an_export_is_never_more_than_its_current() -> None:
    assert reading(current_l2=4.9).current_a[1] == -4.9


def test_a_meter_that_signs_its_currents_is_no_different() -> None:
    assert reading(current_l2=-5.1).current_a == reading().current_a


def test_inverted_transformers_turn_power_current_and_counters() -> None:
    found = reading(SDM, MeterOptions(invert=True), **{"import": 10.0, "export": 3.0})
    assert found.current_a == pytest.approx((-2690 / 230.4, 5.1, -4600 / 231.2))
    assert found.power_w == -6140.0
    assert (found.import_wh, found.export_wh) == (3.0, 10.0)


def test_phases_are_put_where_the_electrician_wired_them() -> None:
    found = reading(SDM, MeterOptions(rotation=(1, 2, 0)))
    assert found.current_a == pytest.approx((20.4, 12.3, -1150 / 229.8))
    assert found.voltage_v == (231.2, 230.4, 229.8)


def test_without_a_current_it_is_power_over_voltage() -> None:
    points = {name: point for name, point in SDM.points.items() if not name.startswith("current")}
    template = Template(**{name: getattr(SDM, name) for name in SDM.__struct_fields__} | {"points": points})
    found = reading(template, current_l1=None, current_l2=None, current_l3=None)
    assert found.current_a == pytest.approx((2690 / 230.4, -1150 / 229.8, 4600 / 231.2))


def test_a_single_phase_meter_measures_the_phase_it_is_on() -> None:
    values = {"voltage_l1": 230.0, "current_l1": 10.0, "power_l1": 2300.0, "power": 2300.0, "frequency": 50.0}
    options = MeterOptions(rotation=(2, 0, 1))
    found = Plausibility(ALL["eastron_sdm120_230"], options).judge(values, 0.0)
    assert isinstance(found, Reading)
    assert found.current_a == (None, None, 10.0)


def test_phases_that_are_not_wired_are_not_asked_for() -> None:
    dead = {name: 0.0 for name in GOOD if name.endswith(("_l2", "_l3"))}
    found = reading(SDM, MeterOptions(phases=(0,)), **dead, power=2690.0)
    assert found.current_a[0] == 12.3
    assert refused(SDM, None, **dead, power=2690.0)[0] == "voltage"


def test_a_totals_only_meter_shows_power_and_no_current() -> None:
    found = Plausibility(ALL["eastron_sdm72dm_v1"], MeterOptions()).judge({"power": 500.0}, 0.0)
    assert isinstance(found, Reading)
    assert (found.current_a, found.power_w) == ((None, None, None), 500.0)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["current_l1", "voltage_l3", "power_l2"])
def test_fault_72_a_missing_value_is_refused(name: str) -> None:
    kind, words = refused(**{name: None})
    assert kind == "missing"
    assert name[-2:].upper() in words


@pytest.mark.parametrize("volts", [-2.4e-41, 0.0, 79.9, 300.1, 2305.0, -230.0, 1e30])
def test_fault_72_a_voltage_that_cannot_be_is_refused(volts: float) -> None:
    assert refused(voltage_l2=volts)[0] == "voltage"


@pytest.mark.parametrize("volts", [80.0, 120.0, 207.0, 253.0, 300.0])
def test_a_voltage_that_can_be_is_taken(volts: float) -> None:
    assert reading(voltage_l1=volts, power_l1=800.0, power=4250.0)


@pytest.mark.parametrize("hertz", [0.0, 44.9, 65.1, -50.0])
def test_fault_72_a_frequency_that_cannot_be_is_refused(hertz: float) -> None:
    assert refused(frequency=hertz)[0] == "frequency"


def test_a_meter_without_frequency_is_taken() -> None:
    assert reading(frequency=None)


@pytest.mark.parametrize(
    ("total", "taken"), [(6140.0, True), (6390.0, True), (6400.0, False), (-6140.0, False)]
)
def test_phases_have_to_add_up_to_the_total(total: float, taken: bool) -> None:
    assert isinstance(judge(power=total), Reading) is taken
    if not taken:
        assert refused(power=total)[0] == "sum"


def test_fifty_watts_are_always_rounding() -> None:
    small = {"power_l1": 10.0, "power_l2": 0.0, "power_l3": 0.0}
    assert reading(**small, power=55.0)
    assert refused(**small, power=65.0)[0] == "sum"


def test_kilowatts_read_as_watts_are_seen_on_the_current() -> None:
    tiny = {name: GOOD[name] / 1000 for name in ("power_l1", "power_l2", "power_l3", "power")}
    assert reading(**tiny)  # power is too small, the current right: nothing is drawn unseen
    huge = {name: GOOD[name] * 1000 for name in ("power_l1", "power_l2", "power_l3", "power")}
    assert refused(**huge)[0] == "consistency"


def test_a_forgotten_transformer_ratio_on_the_currents_is_seen() -> None:
    small = {name: GOOD[name] / 20 for name in ("current_l1", "current_l2", "current_l3")}
    kind, words = refused(**small)
    assert kind == "consistency"
    assert "ratio" in words


def test_a_current_beyond_any_fuse_is_refused() -> None:
    assert refused(current_l1=1e12)[0] == "consistency"


def test_a_total_against_currents_without_phase_powers() -> None:
    template = ALL["huawei_sun2000_grid"]
    values = {"current_l1": 1.0, "current_l2": 1.0, "current_l3": 1.0, "power": 690.0}
    judged = Plausibility(template, MeterOptions()).judge(values, 0.0)
    assert isinstance(judged, Reading)
    judged = Plausibility(template, MeterOptions()).judge(values | {"power": 13_800.0}, 0.0)
    assert isinstance(judged, Implausible)


def test_fault_72_all_zeros_are_refused_with_and_without_voltages() -> None:
    assert refused(**dict.fromkeys(GOOD, 0.0))[0] == "voltage"
    template = ALL["huawei_sun2000_grid"]
    judged = Plausibility(template, MeterOptions()).judge(dict.fromkeys(template.points, 0.0), 0.0)
    assert isinstance(judged, Implausible)
    judged = Plausibility(ALL["eastron_sdm72dm_v1"], MeterOptions()).judge({"power": None}, 0.0)
    assert isinstance(judged, Implausible)


def test_no_load_with_voltage_is_a_reading() -> None:
    idle = {name: 0.0 for name in GOOD if name.startswith(("current", "power"))}
    assert reading(**idle).current_a == (0.0, 0.0, 0.0)


# --- frozen ---------------------------------------------------------------------------------------


def run(seconds: range, step: float = 0.0, after_s: float = 30.0) -> list[bool]:
    """Whether each second's reading was taken, while the voltage moves by `step` per second."""
    plausibility = Plausibility(SDM, MeterOptions(frozen_after_s=after_s))
    judged = [plausibility.judge(GOOD | {"voltage_l1": 230.0 + step * at}, float(at)) for at in seconds]
    assert all(isinstance(one, Reading) or one.kind == "frozen" for one in judged)
    return [isinstance(one, Reading) for one in judged]


def test_fault_72_a_frozen_meter_is_noticed_after_its_time() -> None:
    taken = run(range(60))
    assert taken == [True] * 31 + [False] * 29


def test_a_tenth_of_a_volt_is_life() -> None:
    assert all(run(range(120), step=0.1))


def test_the_time_is_the_installers() -> None:
    assert run(range(12), after_s=5.0).index(False) == 6


def test_a_pause_in_polling_is_not_a_frozen_meter() -> None:
    assert run(range(0, 120, 100)) == [True, True]


def test_a_meter_that_thaws_is_taken_at_once() -> None:
    plausibility = Plausibility(SDM, MeterOptions())
    judged = [plausibility.judge(GOOD, float(at)) for at in range(40)]
    assert isinstance(judged[-1], Implausible)
    assert isinstance(plausibility.judge(GOOD | {"current_l1": 12.4}, 41.0), Reading)


def test_implausible_values_repeat_too() -> None:
    plausibility = Plausibility(SDM, MeterOptions())
    judged = [plausibility.judge(GOOD | {"frequency": 0.0}, float(at)) for at in range(40)]
    assert {one.kind for one in judged} == {"frequency"}  # the plainer reason first


# --- properties -----------------------------------------------------------------------------------

_ANY = st.none() | st.floats(-1e6, 1e6) | st.sampled_from([0.0, 230.0, 50.0, 2.4e-41])


@given(values=st.fixed_dictionaries(dict.fromkeys(GOOD, _ANY)), invert=st.booleans())
def test_whatever_comes_a_reading_has_its_currents_and_sane_voltages(
    values: dict[str, float | None], invert: bool
) -> None:
    judged = Plausibility(SDM, MeterOptions(invert=invert)).judge(values, 1.0)
    if isinstance(judged, Reading):
        assert all(amps is not None and abs(amps) <= 10_000 for amps in judged.current_a)
        assert all(volts is not None and 80 <= volts <= 300 for volts in judged.voltage_v)
    else:
        assert judged.text
