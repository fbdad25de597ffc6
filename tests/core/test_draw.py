"""What a connector draws, read from meter values as real chargers write them."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.core.draw import amps_in_frame, drawn_amps, said_amps


def read(*sampled: dict[str, Any], phases: int = 3, limit_a: float = 16.0, **known: Any) -> Any:
    return drawn_amps(
        [{"sampledValue": list(sampled)}],
        phases=phases,
        nominal_v=230.0,
        max_a=32.0,
        limit_a=limit_a,
        **known,
    )


def amps(value: object, phase: str | None = None, **more: Any) -> dict[str, Any]:
    known = {} if phase is None else {"phase": phase}
    return {"measurand": "Current.Import", "value": value, **known, **more}


def power(value: object, phase: str | None = None, **more: Any) -> dict[str, Any]:
    known = {} if phase is None else {"phase": phase}
    return {"measurand": "Power.Active.Import", "value": value, **known, **more}


def test_three_phases() -> None:
    assert read(amps("10.1", "L1"), amps("9.9", "L2"), amps("0", "L3")) == (10.1, 9.9, 0.0)


def test_phase_to_neutral_is_the_phase() -> None:
    assert read(amps("10", "L1-N"), amps("9", "L2-N"), amps("8", "L3-N")) == (10.0, 9.0, 8.0)


def test_phases_that_are_not_said_are_not_known() -> None:
    assert read(amps("10", "L1"), amps("3", "N"), amps("4", "L1-L2")) == (10.0, None, None)


def test_a_single_phase_connector_has_one_whatever_it_calls_it() -> None:
    assert read(amps("0", "L1"), amps("15", "L2"), phases=1) == (15.0,)
    assert read(amps("15"), phases=1) == (15.0,)


def test_one_current_is_that_of_each_phase() -> None:
    assert read(amps("15")) == (15.0, 15.0, 15.0)


def test_one_current_that_no_phase_can_carry_is_the_sum() -> None:
    assert read(amps("48")) == (16.0, 16.0, 16.0)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (amps(15.5), 15.5),
        (amps("15500", unit="mA"), 15.5),
        (amps(155, unitOfMeasure={"unit": "A", "multiplier": -1}), 15.5),
        (amps(15.5, unitOfMeasure={}), 15.5),
        ({"measurand": "Current.Import\n", "value": "15.5"}, 15.5),
        (amps("-0.04"), 0.0),
        (amps("1.55E1"), 15.5),
    ],
)
def test_shapes_and_units_of_current(sample: dict[str, Any], expected: float) -> None:
    assert read(sample, phases=1) == (pytest.approx(expected),)


@pytest.mark.parametrize(
    "sample",
    [
        amps(""),
        amps("NaN"),
        amps("inf"),
        amps(None),
        amps(True),
        amps("1e999"),
        amps("-20"),
        amps("65535"),
        amps("10", unit="Wh"),
        amps("10", unit=7),
        amps("10", "L9"),
        amps("10", ["L1"]),
        amps("10", location="EV"),
        amps("OCMF|{}", format="SignedData"),
        amps(10, unitOfMeasure={"unit": "A", "multiplier": 400}),
        amps(10, unitOfMeasure={"unit": "A", "multiplier": "x"}),
        {"measurand": "Current.Offered", "value": "16"},
        {"measurand": "Current.Export", "value": "16"},
        {"value": "12345"},
        {},
    ],
)
def test_junk_is_not_known(sample: dict[str, Any]) -> None:
    assert read(sample) is None


@pytest.mark.parametrize(
    "values", [None, {}, "x", [None], [{}], [{"sampledValue": {}}], [{"sampledValue": [1]}]]
)
def test_no_meter_values(values: Any) -> None:
    assert drawn_amps(values, phases=3, nominal_v=230.0, max_a=32.0, limit_a=16.0) is None


def test_the_newest_that_says_anything_counts() -> None:
    values = [
        {"sampledValue": [amps("5")]},
        {"sampledValue": [amps("7")]},
        {"sampledValue": [{"value": "1000"}]},
    ]
    assert drawn_amps(values, phases=1, nominal_v=230.0, max_a=32.0, limit_a=16.0) == (7.0,)


def test_power_per_phase_over_its_voltage() -> None:
    volts = {"measurand": "Voltage", "value": "240", "phase": "L1-N"}
    drawn = read(power("2400", "L1"), power("2.3", "L2", unit="kW"), volts)
    assert drawn == (pytest.approx(10.0), pytest.approx(10.0), None)


def test_a_voltage_between_phases_or_of_a_battery_is_not_used() -> None:
    volts = {"measurand": "Voltage", "value": "400"}
    assert read(power("2300", "L1"), volts) == (pytest.approx(10.0), None, None)


@pytest.mark.parametrize(
    ("total_w", "expected"),
    [(3680, 16.0), (7360, 16.0), (11040, 16.0), (16560, 24.0)],
    ids=["one phase", "two", "three", "three above the limit"],
)
def test_total_power_is_on_as_few_phases_as_the_limit_allows(total_w: int, expected: float) -> None:
    assert read(power(total_w)) == pytest.approx((expected,) * 3)


def test_current_is_better_than_power() -> None:
    assert read(power("11040"), amps("15"), phases=1) == (15.0,)


def test_dc_is_reckoned_by_power_not_by_the_cars_amps() -> None:
    sampled = (amps("29"), {"measurand": "Voltage", "value": "667"}, power("20700", unit="W"))
    assert read(*sampled, dc=True, efficiency=0.9) == pytest.approx((33.333,) * 3, abs=0.01)
    assert read(*sampled[:2], dc=True) == pytest.approx((29 * 667 / 690,) * 3)
    assert read(sampled[0], dc=True) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["measurand", "value", "phase", "unit", "unitOfMeasure", "multiplier"]), inner
        )
    ),
    max_leaves=8,
)


@given(value=JSON | st.just("10"), phase=JSON, unit=JSON | st.just("A"), phases=st.sampled_from([1, 3]))
def test_whatever_comes_nothing_breaks_and_what_is_known_is_a_current(
    value: Any, phase: Any, unit: Any, phases: int
) -> None:
    for measurand in ("Current.Import", "Power.Active.Import"):
        sample = {"measurand": measurand, "value": value, "phase": phase, "unit": unit, "unitOfMeasure": unit}
        drawn = read(sample, {"measurand": measurand, "value": value}, phases=phases)
        assert drawn is None or len(drawn) == phases
        assert all(a is None or (math.isfinite(a) and a >= 0) for a in drawn or ())


# --- one message as it came -----------------------------------------------------------------------

_WORDS = st.sampled_from(
    (
        *("Current.Import", "Current.Import\n", "Current.Import.Offered", "Voltage", "L1", "L2-N", "N", "EV"),
        *(
            "Outlet",
            "SignedData",
            "Raw",
            "A",
            "mA",
            "W",
            "",
            "10.1",
            "-0.4",
            "-2",
            "1e9",
            "nan",
            "1e999",
            " 7 ",
        ),
    )
)
_ODD = st.one_of(
    _WORDS, st.integers(-3, 40), st.floats(allow_nan=False), st.booleans(), st.none(), st.just([])
)
_UNIT = st.one_of(
    st.fixed_dictionaries({}, optional={"unit": _ODD, "multiplier": st.integers(-12, 12)}), _ODD
)
_USUAL = st.fixed_dictionaries(
    {"value": st.one_of(_WORDS, st.floats(-5, 99)), "measurand": _WORDS, "phase": _WORDS},
    optional={"unit": _WORDS, "location": _WORDS, "format": _WORDS},
)
_STRANGE = st.dictionaries(
    st.sampled_from(["value", "measurand", "phase", "unit", "location", "format"]), _ODD
).flatmap(lambda item: st.one_of(st.just(item), _UNIT.map(lambda unit: {**item, "unitOfMeasure": unit})))


def as_it_came(meter_values: object) -> bytes:
    return orjson.dumps([2, "m1", "MeterValues", {"connectorId": 1, "meterValue": meter_values}])


@given(st.lists(st.lists(_USUAL, max_size=5), max_size=3))
def test_a_usual_message_says_the_same_whole_and_in_parts(samples: list[Any]) -> None:
    values = [{"timestamp": "2026-11-20T10:00:00Z", "sampledValue": sampled} for sampled in samples]
    assert amps_in_frame(as_it_came(values)) == pytest.approx(said_amps(values))


@given(st.one_of(st.lists(st.fixed_dictionaries({"sampledValue": st.lists(_STRANGE, max_size=4)})), _ODD))
def test_a_strange_message_says_the_same_or_is_left_to_who_reads_it_in_parts(values: Any) -> None:
    raw = as_it_came(values)
    try:
        found = amps_in_frame(raw)
    except msgspec.MsgspecError:
        return
    assert found == pytest.approx(said_amps(orjson.loads(raw)[3]["meterValue"]))


@pytest.mark.parametrize("raw", [b"", b"[2]", b'[3,"m1",{}]', b'[2,"m1","MeterValues",[]]', b"\xff"])
def test_what_is_no_meter_values_is_left_to_who_reads_it_in_parts(raw: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        amps_in_frame(raw)
