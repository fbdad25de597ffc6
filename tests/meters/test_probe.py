"""Finding a meter that nobody described: every packaged one, behind an independent server."""

from __future__ import annotations

import tomllib
from functools import partial

import pytest

from edgegw.meter_address import parse_address
from edgegw.meters.connection import MeterFault
from edgegw.meters.probe import Found, Progress, config_block, line_settings, probe
from edgegw.meters.template import load_templates
from tests.e2e.children import DEADLINE_S
from tests.meters import lying_proxy as lies
from tests.meters.counterparts import NodeMeter, rtu_meter, sdm630
from tests.meters.lying_proxy import lying_proxy

TEMPLATES = load_templates()
# Where two meters have the same registers and no mark, the one that is named first stands for both.
TWINS = {
    "eastron_sdm72dm_v2": {"eastron_sdm630"},
    "socomec_countis_e3x": {"socomec_countis_e2x"},
    "cg_em3x0": {"cg_em24_e1"},
}


# An absent unit answers at once here: what waits is only a busy machine.
search = partial(probe, timeout_s=DEADLINE_S)


def at(port: int, scheme: str = "tcp"):
    return parse_address(f"{scheme}://127.0.0.1:{port}")


def names(found: list[Found]) -> list[str]:
    return [one.template for one in found]


async def test_every_packaged_meter_is_found_by_what_it_answers(meter: NodeMeter):
    wrong: dict[str, list[str]] = {}
    for unit, template in enumerate(TEMPLATES, start=1):
        await meter.fill_meter(template, unit)
        found = await search(at(meter.port), [unit])
        allowed = {template} | TWINS.get(template, set())
        if not found or found[0].template not in allowed or template not in names(found):
            wrong[template] = names(found)
        assert all(one.unit == unit for one in found)
    assert wrong == {}


async def test_a_mark_makes_it_certain(meter: NodeMeter):
    await meter.fill_meter("abb_b2x", 1)
    [found] = await search(at(meter.port), [1])
    assert (found.confidence, found.identified, found.reason) == ("certain", True, "")
    assert found.reading is not None
    assert {check.plausible for check in found.checks} == {True}


async def test_a_meter_that_shows_its_mark_and_reads_nonsense_is_told_with_the_reason(meter: NodeMeter):
    await meter.fill_meter("abb_b2x", 1)
    voltage = TEMPLATES["abb_b2x"].points["voltage_l1"].address
    await meter.fill({voltage: [0, 0]}, function=3)
    [found] = await search(at(meter.port), [1])
    assert (found.template, found.confidence, found.reading) == ("abb_b2x", "possible", None)
    assert "L1" in found.reason
    assert [check.name for check in found.checks if check.plausible is False] == ["voltage_l1"]


async def test_the_other_word_order_is_found_and_said(meter: NodeMeter):
    table = {address: words[::-1] for address, words in sdm630().items()}
    await meter.fill(table)
    found = await search(at(meter.port), [1])
    first = next(one for one in found if one.template == "eastron_sdm630")
    assert (first.word_order, first.as_template) == ("little", False)
    assert "little word order" in config_block(first)


async def test_what_is_no_meter_is_not_found(meter: NodeMeter):
    await meter.fill({0: [0] * 100}, function=3)
    await meter.fill({0: [7] * 100}, function=4)
    assert [one for one in await search(at(meter.port), [1]) if one.reading] == []


async def test_all_usual_units_are_asked_and_the_absent_ones_cost_little(meter: NodeMeter):
    await meter.fill(sdm630(), unit=3)
    await meter.fill_meter("abb_b2x", 71)
    seen: list[Progress] = []
    async with lying_proxy(meter.port) as proxy:
        found = await search(at(proxy.port), progress=seen.append)
        assert {one.unit for one in found} == {3, 71}
        assert max(sum(asked.unit == unit for asked in proxy.asked) for unit in (1, 2, 11)) == 2
        assert {asked.function for asked in proxy.asked} <= {3, 4}  # nothing is ever written
    assert [step.done for step in seen] == sorted(step.done for step in seen)
    assert {step.of for step in seen} == {7}


async def test_a_silent_unit_is_given_up(meter: NodeMeter):
    await meter.do("missing", is_silent=True)
    assert await search(at(meter.port), [5], timeout_s=0.05) == []


async def test_an_address_that_does_not_answer_is_an_error(meter: NodeMeter):
    await meter.do("cut")
    with pytest.raises(MeterFault, match="cannot be opened"):
        await search(at(meter.port), [1])


async def test_fault_72_a_probe_over_rtu_survives_a_late_answer():
    words = [word for address in range(0, 380, 2) for word in sdm630()[address]]
    async with rtu_meter(words) as port, lying_proxy(port, rtu=True) as proxy:
        proxy.once.append(lies.late("next request"))
        found = await search(at(proxy.port, "rtu+tcp"), [1], timeout_s=1.0)
        assert found[0].template == "eastron_sdm630"
        assert found[0].reading is not None


async def test_the_block_is_what_a_site_file_wants(meter: NodeMeter):
    await meter.fill(sdm630())
    found = await search(at(meter.port), [1])
    block = tomllib.loads(config_block(found[0], "north"))
    assert block == {
        "meter": [
            {
                "name": "north",
                "template": "eastron_sdm630",
                "address": f"tcp://127.0.0.1:{meter.port}",
                "unit": 1,
            }
        ]
    }


async def test_the_name_of_a_device_cannot_write_into_the_site_file(meter: NodeMeter):
    await meter.fill_meter("sunspec_int", 1)
    text = b'x\n[[meter]]\nname = "evil"'
    words = [int.from_bytes(text.ljust(32)[at : at + 2], "big") for at in range(0, 32, 2)]
    await meter.fill({40004: words}, function=3)
    found = await search(at(meter.port), [1])
    assert "evil" in found[0].name
    assert len(tomllib.loads(config_block(found[0]))["meter"]) == 1


def test_the_usual_settings_of_a_serial_line_are_tried_most_usual_first():
    lines = list(line_settings(parse_address("rtu:///dev/ttyUSB0")))
    assert (lines[0].baud, lines[0].parity) == (9600, "N")
    assert len(lines) == len(set(lines)) == 14
    assert list(line_settings(at(502))) == [at(502)]
