"""Registers to values, and which registers to read. pymodbus' encoder is the second opinion."""

from __future__ import annotations

import math
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import ModbusTcpClient

from edgegw.meters.decode import Block, blocks, decode, identity, matches, number_of, text
from edgegw.meters.template import WORDS, Identify, Point, ProbeStep, Template

DATA_TYPES = ModbusTcpClient.DATATYPE
ENCODINGS = {
    "u16": DATA_TYPES.UINT16,
    "i16": DATA_TYPES.INT16,
    "u32": DATA_TYPES.UINT32,
    "i32": DATA_TYPES.INT32,
    "u64": DATA_TYPES.UINT64,
    "i64": DATA_TYPES.INT64,
    "f32": DATA_TYPES.FLOAT32,
    "f64": DATA_TYPES.FLOAT64,
}


def meter(points: dict[str, Point], **changes: object) -> Template:
    plain = Template(
        id="test",
        name="Test",
        confidence="low",
        transports=("tcp",),
        function=3,
        word_order="big",
        sign="import_positive",
        points=points,
    )
    return msgspec.structs.replace(plain, **changes)


def words(address: int, *values: int, function: int = 3) -> dict[tuple[int, int], int]:
    return {(function, address + offset): value for offset, value in enumerate(values)}


def encoded(value: float, type: str, order: str) -> list[int]:
    return ModbusTcpClient.convert_to_registers(value, ENCODINGS[type], word_order=order)


# --- numbers --------------------------------------------------------------------------------------


def _in_range(type: str) -> st.SearchStrategy:
    bits = 16 * WORDS[type]
    if type == "f32":
        return st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)
    if type == "f64":
        return st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
    if type[0] == "u":
        return st.integers(0, 2**bits - 2)
    return st.integers(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 2)


@given(data=st.data(), type=st.sampled_from(sorted(WORDS)), order=st.sampled_from(["big", "little"]))
def test_what_pymodbus_writes_is_read_back(data: st.DataObject, type: str, order: str) -> None:
    value = data.draw(_in_range(type))
    assert number_of(encoded(value, type, order), type, order) == value


@given(data=st.data(), type=st.sampled_from(sorted(WORDS)), order=st.sampled_from(["big", "little"]))
def test_no_pattern_of_bits_gives_nan_or_an_error(data: st.DataObject, type: str, order: str) -> None:
    raw = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=WORDS[type], max_size=WORDS[type]))
    value = number_of(raw, type, order)
    assert value is None or math.isfinite(value)


@pytest.mark.parametrize(
    ("type", "raw"),
    [
        ("f32", [0x7FC0, 0x0000]),  # NaN
        ("f32", [0xFFFF, 0xFFFF]),
        ("f32", [0x7F80, 0x0000]),  # infinity
        ("f32", [0xFF80, 0x0000]),
        ("f64", [0x7FF8, 0, 0, 0]),
        ("u16", [0xFFFF]),
        ("i16", [0x7FFF]),
        ("i16", [0x8000]),
        ("u32", [0xFFFF, 0xFFFF]),
        ("i32", [0x7FFF, 0xFFFF]),
        ("i32", [0x8000, 0x0000]),
        ("u64", [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF]),
        ("i64", [0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF]),
        ("i64", [0x8000, 0, 0, 0]),
    ],
)
def test_fault_72_not_available_is_none_never_zero(type: str, raw: list[int]) -> None:
    template = meter({"power": Point(address=7, type=type)})
    assert decode(template, words(7, *raw)) == {"power": None}


def test_fault_72_word_swapped_float_is_none() -> None:
    swapped = struct.unpack(">HH", struct.pack(">f", 230.5))[::-1]
    read_as = struct.unpack(">f", struct.pack(">HH", *swapped))[0]
    assert read_as == pytest.approx(-2.4e-41, rel=0.05)
    assert number_of(swapped, "f32", "big") is None
    assert number_of(swapped, "f32", "little") == 230.5


@pytest.mark.parametrize(("type", "raw"), [("i16", [0xFFFF]), ("i32", [0xFFFF, 0xFFFF])])
def test_minus_one_is_a_number(type: str, raw: list[int]) -> None:
    assert number_of(raw, type, "big") == -1


def test_zero_is_a_number() -> None:
    assert number_of([0, 0], "f32", "big") == 0.0
    assert number_of([0x8000, 0], "f32", "big") == 0.0  # minus zero


def test_a_high_word_can_mean_overflow() -> None:
    template = meter({"power": Point(address=0, type="i32")}, missing_high_word=0x7FFF, word_order="little")
    assert decode(template, words(0, 0x1234, 0x7FFF)) == {"power": None}
    assert decode(template, words(0, 0x7FFF, 0x0001)) == {"power": 0x17FFF}


def test_a_point_can_have_its_own_missing_values() -> None:
    template = meter({"import": Point(address=0, type="u32", missing=(0,))})
    assert decode(template, words(0, 0, 0)) == {"import": None}
    assert decode(template, words(0, 0, 1)) == {"import": 1}


# --- scale, ratios, sums --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exponent", "value"),
    [(0, 1234.0), (1, 12340.0), (0xFFFE, 12.34), (0x8000, None), (11, None), (0xFFF5, None)],
)
def test_a_scale_factor_register_is_a_power_of_ten(exponent: int, value: float | None) -> None:
    template = meter({"power": Point(address=0, type="i16", scale_from=4)})
    assert decode(template, words(0, 1234) | words(4, exponent))["power"] == pytest.approx(value)


@pytest.mark.parametrize(("ratio", "power"), [(40, 4000.0), (1, 100.0), (0, None), (0xFFFF, None)])
def test_a_current_transformers_ratio_multiplies(ratio: int, power: float | None) -> None:
    points = {
        "power": Point(address=0, type="u16", times=("ct_ratio",)),
        "ct_ratio": Point(address=6, type="u16"),
    }
    assert decode(meter(points), words(0, 100) | words(6, ratio))["power"] == power


@pytest.mark.parametrize(
    ("raw", "hertz"), [(5002, 50.02), (50020, 50.02), (500, 50.0), (6000, 60.0), (50, 50.0), (230, 23.0)]
)
def test_a_frequency_with_one_decimal_more_is_divided(raw: int, hertz: float) -> None:
    template = meter({"frequency": Point(address=0, type="u16")})
    assert decode(template, words(0, raw))["frequency"] == pytest.approx(hertz)


@pytest.mark.parametrize("raw", [49_980, 4_998])
def test_the_other_scale_is_taken_when_only_it_is_plausible(raw: int) -> None:
    template = meter({"frequency": Point(address=0, type="u32", scale=0.001, scale_alt=0.01)})
    assert decode(template, words(0, 0, raw))["frequency"] == pytest.approx(49.98)


def test_net_power_is_import_less_export() -> None:
    points = {
        "power_import": Point(address=0, type="u16"),
        "power_export": Point(address=1, type="u16"),
        "power_import_l1": Point(address=2, type="u16"),
        "power_export_l1": Point(address=3, type="u16"),
    }
    values = decode(meter(points), words(0, 0, 700, 20, 5))
    assert (values["power"], values["power_l1"]) == (-700, 15)
    assert decode(meter(points), words(0, 0, 0xFFFF, 20, 5))["power"] is None


def test_the_total_is_the_sum_of_phases_where_the_meter_has_none() -> None:
    points = {f"power_l{phase}": Point(address=phase, type="i16") for phase in (1, 2, 3)}
    assert decode(meter(points), words(1, 100, 0xFFFF, 50))["power"] == 149
    assert decode(meter(points), words(1, 100, 0x8000, 50))["power"] is None


def test_tariff_counters_are_summed_and_never_half() -> None:
    points = {"import": Point(address=0, type="u16"), "import_t2": Point(address=1, type="u16")}
    assert decode(meter(points), words(0, 100, 11))["import"] == 111
    assert decode(meter(points), words(0, 100))["import"] is None


def test_export_positive_meters_are_turned_round() -> None:
    points = {
        "power": Point(address=0, type="i16"),
        "current_l1": Point(address=1, type="i16"),
        "voltage_l1": Point(address=2, type="u16"),
    }
    values = decode(meter(points, sign="export_positive"), words(0, 500, 2, 230))
    assert values == {"power": -500, "current_l1": -2, "voltage_l1": 230}


def test_what_was_not_read_is_not_there() -> None:
    points = {"power": Point(address=0, type="i32"), "frequency": Point(address=9, type="u16")}
    assert decode(meter(points), words(9, 50)) == {"frequency": 50}
    assert decode(meter(points), words(1, 50)) == {}
    assert decode(meter(points), words(9, 50, function=4)) == {}


# --- blocks ---------------------------------------------------------------------------------------


def test_neighbours_are_read_together() -> None:
    points = {
        "voltage_l1": Point(address=0, type="f32"),
        "voltage_l2": Point(address=2, type="f32"),
        "power": Point(address=10, type="f32"),
    }
    assert blocks(meter(points), tuple(points)) == (Block(3, 0, 4), Block(3, 10, 2))
    assert blocks(meter(points, gap_max=6), tuple(points)) == (Block(3, 0, 12),)
    assert blocks(meter(points, gap_max=5), tuple(points)) == (Block(3, 0, 4), Block(3, 10, 2))
    assert blocks(meter(points), ("power", "frequency")) == (Block(3, 10, 2),)


def test_a_value_is_never_split() -> None:
    points = {f"power_l{phase}": Point(address=4 * phase, type="f64") for phase in (1, 2, 3)}
    found = blocks(meter(points, max_registers_per_read=11), tuple(points))
    assert found == (Block(3, 4, 8), Block(3, 12, 4))


def test_what_old_firmware_lacks_is_read_apart() -> None:
    points = {
        "power": Point(address=0, type="u16"),
        "frequency": Point(address=1, type="u16", optional=True),
        "current_l1": Point(address=2, type="u16"),
    }
    required = {Block(3, 0, 1), Block(3, 2, 1)}
    assert set(blocks(meter(points), tuple(points))) == required | {Block(3, 1, 1)}


def test_scale_factors_and_ratios_are_read_too() -> None:
    points = {
        "power": Point(address=20, type="i16", scale_from=24, times=("ct_ratio",)),
        "ct_ratio": Point(address=6, type="u16"),
    }
    assert blocks(meter(points), ("power",)) == (Block(3, 6, 1), Block(3, 20, 1), Block(3, 24, 1))


_TYPES = st.sampled_from(["u16", "u32", "u64"])
_SPOTS = st.lists(st.tuples(st.integers(0, 300), _TYPES, st.booleans()), min_size=1, max_size=12)


@given(spots=_SPOTS, limit=st.integers(4, 125), gap=st.integers(0, 20))
def test_blocks_cover_every_value_whole_within_the_limits(
    spots: list[tuple[int, str, bool]], limit: int, gap: int
) -> None:
    names = [f"{kind}_l{phase}" for kind in ("voltage", "current", "power", "import") for phase in (1, 2, 3)]
    rows = zip(names, spots, strict=False)
    points = {name: Point(address=at, type=kind, optional=odd) for name, (at, kind, odd) in rows}
    template = meter(points, max_registers_per_read=limit, gap_max=gap)
    found = blocks(template, tuple(points))
    spans = [(point.address, point.address + point.words) for point in points.values()]
    for start, end in spans:
        assert any(block.address <= start and end <= block.address + block.count for block in found)
    needed = {address for start, end in spans for address in range(start, end)}
    for block in found:
        assert block.count <= limit
        run = 0
        for address in range(block.address, block.address + block.count):
            run = 0 if address in needed else run + 1
            assert run <= gap


# --- who is it ------------------------------------------------------------------------------------


def test_texts_lose_their_blanks_and_never_fail() -> None:
    assert text([0x4232, 0x3320], "ascii") == "B23"
    assert text([0x0053, 0x004F, 0x0043, 0x004F], "utf16") == "SOCO"
    assert text([0xFFFF, 0x0000], "ascii")  # characters that are none are replaced
    assert text([0xD800], "utf16")


def test_a_meter_is_known_by_number_text_or_prefix() -> None:
    code = Identify(function=3, address=0, count=1, type="u16", meaning="", values=(42, 43))
    model = Identify(function=3, address=0, count=3, type="ascii", meaning="", prefix="iEM")
    silent = Identify(function=3, address=0, count=1, type="u16", meaning="")
    assert matches(code, [43])
    assert not matches(code, [44])
    assert not matches(code, [])
    assert not matches(code, [0xFFFF])
    assert matches(model, [0x6945, 0x4D33, 0x3135])
    assert not matches(model, [0x504D, 0x3332, 0x3535])
    assert not matches(silent, [1])
    assert identity(silent, [7]) == 7


def test_a_probe_step_brings_its_own_word_order() -> None:
    step = ProbeStep(
        function=4, address=0, count=2, type="f32", word_order="little", low=80.0, high=300.0, leads_to=("x",)
    )
    assert matches(step, encoded(230.5, "f32", "little"))
    assert not matches(step, encoded(230.5, "f32", "big"))
