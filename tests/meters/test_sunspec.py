"""Meters found in a SunSpec device. The device is built, and read a second time, by pysunspec2 itself."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sunspec2 import device
from sunspec2.modbus.client import SunSpecModbusClientDevice

from edgegw.balance.model import Reading
from edgegw.meters import sunspec
from edgegw.meters.decode import Block, blocks, decode
from edgegw.meters.plausible import MeterOptions, Plausibility
from edgegw.meters.template import LIVE, SLOW, Template, load_templates, protects_phases

INTEGER = {
    "A": 3600,
    "AphA": 1230,
    "AphB": 510,
    "AphC": 2040,
    "A_SF": -2,
    "PhV": 2304,
    "PhVphA": 2304,
    "PhVphB": 2298,
    "PhVphC": 2312,
    "V_SF": -1,
    "Hz": 4998,
    "Hz_SF": -2,
    "W": 614,
    "WphA": 269,
    "WphB": -115,
    "WphC": 460,
    "W_SF": 1,
    "PF": 96,
    "PF_SF": -2,
    "TotWhExp": 678,
    "TotWhImp": 12345,
    "TotWh_SF": 2,
}
FACTORS = {name: 10.0 ** INTEGER[f"{name}_SF"] for name in ("A", "V", "Hz", "W", "PF", "TotWh")}
THEIRS = {
    "current_l1": "AphA",
    "current_l2": "AphB",
    "current_l3": "AphC",
    "voltage_l1": "PhVphA",
    "voltage_l2": "PhVphB",
    "voltage_l3": "PhVphC",
    "power_l1": "WphA",
    "power_l2": "WphB",
    "power_l3": "WphC",
    "power": "W",
    "frequency": "Hz",
    "power_factor": "PF",
    "import": "TotWhImp",
    "export": "TotWhExp",
}


def _factor(name: str) -> float:
    kind = next(kind for kind in ("TotWh", "PhV", "PF", "Hz", "A", "W") if name.startswith(kind))
    return FACTORS["V" if kind == "PhV" else kind]


FLOATS = {name: INTEGER[name] * _factor(name) for name in THEIRS.values()}


class Image(SunSpecModbusClientDevice):
    """Registers of a device: read by our discovery and by pysunspec2's own client."""

    def __init__(self, base: int, chain: Sequence[tuple[int, dict[str, float]]]) -> None:
        super().__init__()
        data = b"SunS"
        for model, values in chain:
            made = device.Model(model_id=model)
            for name, value in values.items():
                getattr(made, name).value = value
            data += made.get_mb()
        data += b"\xff\xff\x00\x00"
        words = (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
        self.registers = {base + offset: word for offset, word in enumerate(words)}
        self.longest = 0

    def words(self, address: int, count: int) -> list[int] | None:
        self.longest = max(self.longest, count)
        wanted = range(address, address + count)
        return [self.registers[at] for at in wanted] if all(at in self.registers for at in wanted) else None

    def read(self, addr: int, count: int) -> bytes:
        words = self.words(int(addr), int(count))
        return b"".join(word.to_bytes(2, "big") for word in words or ())

    async def answer(self, block: Block) -> list[int] | None:
        assert block.function == 3
        return self.words(block.address, block.count)

    def polled(self, template: Template) -> dict[str, float | None]:
        registers = {
            (block.function, block.address + offset): word
            for block in (*blocks(template, LIVE), *blocks(template, SLOW))
            for offset, word in enumerate(self.words(block.address, block.count) or ())
        }
        return decode(template, registers)


COMMON = (1, {"Mn": "Fronius", "Md": "Smart Meter TS 65A-3"})


@pytest.mark.parametrize("base", [40000, 50000, 0])
@pytest.mark.parametrize(("model", "values"), [(203, INTEGER), (213, FLOATS), (204, INTEGER), (214, FLOATS)])
async def test_a_meter_is_found_and_read_as_pysunspec2_reads_it(
    base: int, model: int, values: dict[str, float]
) -> None:
    image = Image(base, [COMMON, (103, {}), (model, values)])
    (template,) = await sunspec.discover(image.answer)
    assert (template.id, template.name) == (f"sunspec_{model}", "Fronius Smart Meter TS 65A-3")
    assert protects_phases(template)
    assert image.longest <= 125

    ours = image.polled(template)
    image.scan()
    theirs = image.models[model][0]
    for name in template.named((*LIVE, *SLOW)):
        expected = getattr(theirs, THEIRS[name]).cvalue
        assert expected is not None
        assert ours[name] == pytest.approx(expected, rel=1e-6)
    assert set(template.points) == set(THEIRS)

    reading = Plausibility(template, MeterOptions()).judge(ours, 1.0)
    assert isinstance(reading, Reading)
    assert reading.current_a == pytest.approx((12.3, -1150 / 229.8, 20.4))
    assert (reading.import_wh, reading.export_wh) == pytest.approx((1_234_500, 67_800))


async def test_what_the_device_does_not_implement_is_left_out() -> None:
    single = {name: value for name, value in INTEGER.items() if not name.endswith(("phB", "phC"))}
    image = Image(40000, [COMMON, (201, single)])
    (template,) = await sunspec.discover(image.answer)
    assert template.named(LIVE) == ("voltage_l1", "current_l1", "power_l1", "power", "frequency")
    assert protects_phases(template)


async def test_a_meter_without_current_per_phase_protects_none() -> None:
    totals = {name: value for name, value in INTEGER.items() if not name.endswith(("phA", "phB", "phC"))}
    (template,) = await sunspec.discover(Image(40000, [COMMON, (203, totals)]).answer)
    assert not protects_phases(template)


async def test_a_counter_that_begins_at_zero_stays_and_is_not_known_yet() -> None:
    image = Image(40000, [COMMON, (203, INTEGER | {"TotWhExp": 0})])
    (template,) = await sunspec.discover(image.answer)
    assert "export" in template.points
    assert image.polled(template)["export"] is None


async def test_several_meters_come_in_the_order_of_the_chain() -> None:
    image = Image(40000, [COMMON, (213, FLOATS), (203, INTEGER | {"W": 1})])
    assert [one.id for one in await sunspec.discover(image.answer)] == ["sunspec_213", "sunspec_203"]
    (only,) = await sunspec.discover(image.answer, (201, 202, 203, 204))
    assert image.polled(only)["power"] == 10


async def test_a_device_without_the_marker_or_without_meter_has_none() -> None:
    assert await sunspec.discover(Image(40000, [COMMON]).answer) == ()
    assert await sunspec.discover(Image(1234, [COMMON, (203, INTEGER)]).answer) == ()


async def test_a_chain_without_end_ends() -> None:
    reads = 0

    async def zeros(block: Block) -> list[int]:
        nonlocal reads
        reads += 1
        return list(sunspec.MARKER) if block.address == 40000 else [7] * block.count

    assert await sunspec.discover(zeros) == ()
    assert reads <= sunspec.MODELS_MAX + 1


async def test_a_chain_cut_off_gives_what_was_found() -> None:
    image = Image(40000, [COMMON, (203, INTEGER)])
    for address in sorted(image.registers)[-2:]:  # some devices have no length behind the end
        del image.registers[address]
    assert len(await sunspec.discover(image.answer)) == 1


@pytest.mark.parametrize(("id", "model"), [("sunspec_int", 203), ("sunspec_float", 213)])
def test_the_packaged_offsets_are_those_of_the_definitions(id: str, model: int) -> None:
    template, defined = load_templates()[id], sunspec.definition(model)
    for name, point in template.points.items():
        offset, definition = defined[THEIRS[name]]
        assert point.address == offset
        assert point.scale_from == (defined[definition["sf"]][0] if "sf" in definition else None)
