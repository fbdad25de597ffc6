"""Every packaged meter: its template loads, its register dump decodes to the reading it must give.

The dumps were written with pymodbus' own encoder, so the decoder has a second opinion.
"""

from __future__ import annotations

import math
import tomllib
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from edgegw.balance.model import Reading
from edgegw.errors import ConfigFault
from edgegw.meters import template as templates
from edgegw.meters.decode import blocks, decode
from edgegw.meters.plausible import MeterOptions, Plausibility
from edgegw.meters.template import LIVE, SLOW, Template, load_probe_plan, load_templates, protects_phases

GOLDEN = Path(__file__).parent / "golden"
ALL = load_templates()
TOTALS_ONLY = {"eastron_sdm72dm_v1", "victron_gx_system"}

every_meter = pytest.mark.parametrize("template", ALL.values(), ids=ALL.keys())


def golden(template: Template) -> dict:
    return tomllib.loads((GOLDEN / f"{template.id}.toml").read_text())


def registers(template: Template) -> dict[tuple[int, int], int]:
    dump = golden(template)["registers"]
    words = {int(start): bytes.fromhex(row) for start, row in dump.items()}
    return {
        (template.function, start + offset // 2): int.from_bytes(row[offset : offset + 2], "big")
        for start, row in words.items()
        for offset in range(0, len(row), 2)
    }


def maybe(values: list[float]) -> list[float | None]:
    return [None if math.isnan(value) else pytest.approx(value, rel=1e-5) for value in values]


# --- the packaged meters ---------------------------------------------------------------------------


def test_thirty_five_meters_and_a_dump_for_each() -> None:
    assert len(ALL) == 35
    assert {file.stem for file in GOLDEN.glob("*.toml")} == set(ALL)


@every_meter
def test_a_meter_gives_its_values(template: Template) -> None:
    expected = golden(template)["values"]
    assert decode(template, registers(template)) == pytest.approx(expected, rel=1e-5)


@every_meter
def test_a_meter_gives_its_reading(template: Template) -> None:
    expected = golden(template)["reading"]
    reading = Plausibility(template, MeterOptions()).judge(decode(template, registers(template)), 1.0)
    assert isinstance(reading, Reading), reading
    assert list(reading.current_a) == maybe(expected["current_a"])
    assert list(reading.voltage_v) == maybe(expected["voltage_v"])
    for name in ("power_w", "frequency_hz", "import_wh", "export_wh"):
        assert getattr(reading, name) == (pytest.approx(expected[name]) if name in expected else None)


@every_meter
def test_a_poll_reads_all_that_a_reading_needs_and_no_more_than_the_meter_takes(template: Template) -> None:
    live, slow = blocks(template, LIVE), blocks(template, SLOW)
    known = registers(template)
    read = {
        key: known.get(key, 0)
        for block in (*live, *slow)
        for key in ((block.function, block.address + offset) for offset in range(block.count))
    }
    assert all(1 <= block.count <= template.max_registers_per_read for block in (*live, *slow))
    named = set(template.named((*LIVE, *SLOW)))
    whole, polled = decode(template, known), decode(template, read)
    assert {name: polled[name] for name in named} == {name: whole[name] for name in named}


@every_meter
def test_a_template_is_named_after_its_file(template: Template) -> None:
    folder = resources.files("edgegw.meters").joinpath("templates")
    assert folder.joinpath(f"{template.id}.toml").is_file()
    assert templates.load_template(template.id) == template
    assert template.sources


@every_meter
def test_totals_only_cannot_protect_a_phase(template: Template) -> None:
    assert protects_phases(template) is (template.id not in TOTALS_ONLY)


@every_meter
def test_fault_72_swapped_words_are_never_a_reading(template: Template) -> None:
    order = "little" if template.word_order == "big" else "big"
    swapped = msgspec.structs.replace(template, word_order=order)
    values, right = decode(swapped, registers(template)), decode(template, registers(template))
    if any(values[name] != right[name] for name in template.named(LIVE)):  # one word has no order
        judged = Plausibility(swapped, MeterOptions()).judge(values, 1.0)
        assert not isinstance(judged, Reading), judged


def test_the_probe_plan_leads_to_meters_that_exist() -> None:
    plan = load_probe_plan()
    assert {id for step in plan.steps for id in step.leads_to} <= set(ALL)
    assert plan.frequency_hz == templates.FREQUENCY_HZ
    assert plan.voltage_v == templates.VOLTAGE_V
    assert all(step.values or step.low is not None for step in plan.steps)


# --- the operator's own ----------------------------------------------------------------------------

OWN = """\
id = "my_meter"
name = "Mine"
confidence = "low"
transports = ["tcp"]
function = 3
word_order = "big"
sign = "import_positive"

[points]
power = { address = 10, type = "i32" }
current_l1 = { address = 20, type = "u16", scale = 0.01 }
"""


def loads(tmp_path: Path, text: str) -> dict[str, Template]:
    (tmp_path / "mine.toml").write_text(text)
    return load_templates(tmp_path)


def test_the_operators_template_joins_the_packaged_ones(tmp_path: Path) -> None:
    found = loads(tmp_path, OWN)
    assert len(found) == 36
    assert found["my_meter"].points["current_l1"].scale == 0.01
    assert templates.load_template("my_meter", tmp_path) == found["my_meter"]


def test_the_operators_template_overrides_a_packaged_one(tmp_path: Path) -> None:
    found = loads(tmp_path, OWN.replace("my_meter", "mpm3pm"))
    assert len(found) == 35
    assert found["mpm3pm"].name == "Mine"
    assert templates.load_template("mpm3pm", tmp_path).name == "Mine"


def test_the_example_for_operators_is_a_template() -> None:
    example = Path(__file__).parents[2] / "config" / "meters" / "example.toml.txt"
    template = templates.parse_template(example.read_text(), example)
    assert protects_phases(template)


def test_a_folder_that_is_not_there_has_no_templates(tmp_path: Path) -> None:
    assert load_templates(tmp_path / "none") == ALL


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"i32"', '"i33"', 'mine.toml:10: points.power.type = "i33": must be "f32", "f64", "i16", "i32"'),
        (
            "address = 10,",
            "",
            "mine.toml:10: points.power.address: is required: a whole number from 0 to 65535",
        ),
        ("address = 10", "adress = 10", 'points.power.adress: unknown key; did you mean "address"?'),
        ("address = 10", 'address = "10"', 'points.power.address = "10": must be a whole number'),
        ("address = 10", "address = 65535", "points.power.address = 65535: a i32 there goes beyond 65535"),
        ("address = 10", "address = 65536", "points.power.address = 65536: must be a whole number from 0 to"),
        ("scale = 0.01", "scale = 0", "points.current_l1.scale = 0.0: must be a number other than 0"),
        ("scale = 0.01", 'times = ["ct_ratio"]', "there is no point ct_ratio in [points]"),
        ("current_l1", "curent_l1", 'points.curent_l1: unknown point; did you mean "current_l1"?'),
        ("function = 3", "function = 5", "mine.toml:5: function = 5: must be 3 or 4"),
        ("function = 3\n", "", "function: is required: 3 or 4"),
        ("function = 3", "functoin = 3", 'mine.toml:5: functoin: unknown key; did you mean "function"?'),
        ('["tcp"]', '"tcp"', 'transports = "tcp": must be a list, each item "rtu", "tcp" or "udp"'),
        ('["tcp"]', "[]", 'transports = []: must have at least one of "tcp", "rtu", "udp"'),
        ('"my_meter"', '"My meter"', 'id = "My meter": must be letters a-z, digits and _'),
        ('sign = "import_positive"', "sign = 1", 'sign = 1: must be "export_positive", "import_positive"'),
        ("[points]", 'serial = { parity = "X" }\n[points]', 'serial.parity = "X": must be "E", "N" or "O"'),
        ("[points]", "[point]", "points: is required: a table of the meter's values"),
        ("[points]", "[points", "mine.toml:9:"),
    ],
)
def test_a_complaint_names_file_key_value_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    with pytest.raises(ConfigFault) as raised:
        loads(tmp_path, OWN.replace(old, new))
    assert complaint in str(raised.value)


def test_all_complaints_of_a_file_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault) as raised:
        loads(
            tmp_path, OWN.replace("i32", "i33").replace("0.01", "0").replace("function = 3", "function = 9")
        )
    assert len(str(raised.value).splitlines()) == 3


def test_two_files_with_one_id_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(OWN)
    with pytest.raises(ConfigFault, match=r"is in mine\.toml too"):
        loads(tmp_path, OWN)


def test_an_unknown_meter_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigFault, match='did you mean "eastron_sdm630"'):
        templates.find(ALL, "eastron_sdm360")
    with pytest.raises(ConfigFault, match="no such meter"):
        templates.load_template("../../etc/passwd")
