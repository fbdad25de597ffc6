"""Quirk files: the shipped ones are sound, a wrong one says where and what is allowed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from edgegw.config_text import SiteFileFault
from edgegw.errors import ConfigFault
from edgegw.quirks import load
from edgegw.quirks.load import Flags, load_quirks, read_file
from edgegw.quirks.match import match
from edgegw.quirks.model import Quirks

FILES = sorted(load.SHIPPED.glob("*.toml"))
EXAMPLE = Path(__file__).parents[2] / "config" / "quirks" / "example.toml.txt"


def write(folder: Path, text: str, name: str = "own.toml") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(SiteFileFault) as fault:
        load_quirks(write(tmp_path / "quirks", text))
    assert isinstance(fault.value, ConfigFault)
    return str(fault.value)


ONE = '[[quirk]]\nname = "x"\nwhy = "it does"\n'


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_shipped_file_is_sound(file: Path) -> None:
    entries = read_file(file)
    assert entries
    for entry in entries:
        assert entry.flags, f"{entry.name} changes nothing"
        assert entry.why
        assert "\n" not in entry.why
        assert entry.source, f"{entry.name} does not say where it was seen"
        assert (entry.vendor, entry.model) != ("*", "*"), f"{entry.name} would match every charger"
        changed = Quirks(**entry.flags)
        for flag, value in entry.flags.items():
            default = getattr(Quirks(), flag)
            assert value != default, f"{entry.name}: {flag} is the default"
        assert all(getattr(changed, flag) == value for flag, value in entry.flags.items())


def test_every_flag_can_be_written_and_has_its_name() -> None:
    fields = set(Quirks.__struct_fields__) - {"names"}
    assert set(Flags.model_fields) == fields


def test_every_flag_is_used_by_the_core() -> None:
    core = Path(load.__file__).parents[1] / "core"
    code = "".join(file.read_text() for file in core.glob("*.py"))
    for flag in Flags.model_fields:
        assert f"quirks.{flag}" in code, f"nothing uses {flag}"


def test_every_flag_is_explained_to_the_operator() -> None:
    text = (EXAMPLE.parent / "README.md").read_text()
    for flag in Flags.model_fields:
        assert f"`{flag}`" in text


def test_the_example_is_a_sound_file_once_it_is_uncommented(tmp_path: Path) -> None:
    lines = EXAMPLE.read_text().splitlines()
    text = "\n".join(
        line.removeprefix("# ") for line in lines if (line.startswith("# ") and "=" in line) or "[[" in line
    )
    assert tomllib.loads(text)
    entries = load_quirks(write(tmp_path / "quirks", text))
    assert match(entries, "Acme Ltd", "One 22", "2.3.9").rate_unit == "W"
    assert match(entries, "Acme Ltd", "One 22", "2.4").rate_unit == "auto"


# --- matching --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vendor", "model", "firmware", "names"),
    [
        ("ABB", "CDT_TACW22::NET_WIFI", "TAC3Z9119006710273::V1.8.21", ("abb terra ac", "abb terra ac old")),
        ("ABB", "CDT_TACW22::NET_WIFI", "TAC3Z9119006710273::V1.8.32", ("abb terra ac",)),
        ("ABB", "CDT_TACW22::NET_WIFI", "", ("abb terra ac",)),
        ("Wall Box Chargers", "PLP1-0-2-4", "6.7.38", ("wallbox",)),
        ("Wall Box Chargers", "PLP1-0-2-4", "4.12.0", ("wallbox", "wallbox old")),
        ("wallbox", "Copper SB", "5", ("wallbox",)),
        ("", "ACChargePoint", "", ("huawei without vendor",)),
        ("HUAWEI", "SCharger-22KT-S0", "T160", ("huawei",)),
        ("EV-BOX", "G3-M5320E", "", ("evbox",)),
        ("Schneider Electric", "EVlink", "", ("schneider evlink",)),
        ("United Chargers", "GRS-*", "05.653:GCW-10.17-05.3:7452:B29A", ("grizzl-e",)),
        (" Zaptec ", "Go 2", "", ("zaptec go 2",)),
        ("Nobody", "Nothing", "1", ()),
        ("", "", "", ()),
    ],
)
def test_boot_notifications_of_real_chargers(
    vendor: str, model: str, firmware: str, names: tuple[str, ...]
) -> None:
    assert match(load_quirks(None), vendor, model, firmware).names == names


@pytest.mark.parametrize(
    ("rule", "firmware", "fits"),
    [
        ("<=1.8.21", "1.8.21", True),
        ("<=1.8.21", "1.8.21.0", True),
        ("<=1.8.21", "1.8.3", True),
        ("<=1.8.21", "1.10", False),
        ("<5", "V4.99-beta", True),
        ("<5", "beta", False),
        (">=4, <5", "4.2", True),
        (">=4, <5", "5.0", False),
        ("!=2.0", "2", False),
        ("==2", "2.0.0", True),
        ("5.*", "5.17", True),
        ("5.*", "15.17", False),
        ("", "anything", True),
    ],
)
def test_firmware_rules(tmp_path: Path, rule: str, firmware: str, fits: bool) -> None:
    own = write(tmp_path / "q", f'{ONE}vendor = "Ohm"\nfirmware = "{rule}"\nsettle_s = 99\n')
    assert (match(load_quirks(own), "Ohm", "One", firmware).settle_s == 99) is fits


def test_later_entries_win_flag_by_flag_and_the_operators_are_last(tmp_path: Path) -> None:
    own = write(tmp_path / "q", f'{ONE}vendor = "ABB*"\nsettle_s = 30\n')
    found = match(load_quirks(own), "ABB", "xTACx", "9.0")
    assert (found.stack_level, found.settle_s, found.names) == ("zero", 30, ("abb terra ac", "x"))
    own = write(tmp_path / "q", f'{ONE}vendor = "ABB*"\nstack_level = 2\n')
    assert match(load_quirks(own), "ABB", "xTACx", "9.0").stack_level == 2


def test_an_entry_of_the_same_name_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    text = '[[quirk]]\nname = "wallbox"\nwhy = "mine is new"\nvendor = "Wall*"\nsettle_s = 1\n'
    found = match(load_quirks(write(tmp_path / "q", text)), "Wall Box Chargers", "x", "6")
    assert (found.settle_s, found.stack_level) == (1, "max")


# --- complaints ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stack_level = -1\n", ["own.toml:4", "stack_level", "-1"]),
        ('rate_unit = "kW"\n', ["own.toml:4", "rate_unit", '"kW"', '"A"']),
        ('methods = ["tx", "fast"]\n', ["own.toml:4", "methods", '"fast"']),
        ("methods = []\n", ["own.toml:4", "methods", "at least one"]),
        ('firmware = "=<3"\n', ["own.toml:4", "firmware", '"=<3"', "<=1.8.21"]),
        ("limit_steps_a = [8, 6]\n", ["own.toml:4", "limit_steps_a", "rising"]),
        ("zero_pauses = 1\n", ["own.toml:4", "zero_pauses", "true or false"]),
        ("settle_s = nan\n", ["own.toml:4", "settle_s", "finite"]),
        ("setle_s = 3\n", ["own.toml:4", "setle_s", 'did you mean "settle_s"']),
        ("settle_s = \n", ["own.toml:4", "not TOML"]),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_what_is_allowed(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    told = complaint(tmp_path, ONE + text)
    for word in words:
        assert word in told


def test_an_entry_needs_a_name_and_a_reason(tmp_path: Path) -> None:
    told = complaint(tmp_path, "[[quirk]]\nsettle_s = 3\n")
    assert "name" in told
    assert "why" in told
    assert "is required" in told


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "more than once" in complaint(tmp_path, ONE + ONE)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SiteFileFault, match="is not a folder"):
        load_quirks(tmp_path / "nowhere")


def test_an_empty_folder_changes_nothing(tmp_path: Path) -> None:
    assert load_quirks(write(tmp_path / "q", "", "notes.txt")) == load_quirks(None)


def test_a_shipped_file_can_be_copied_as_a_start(tmp_path: Path) -> None:
    write(tmp_path / "q", FILES[0].read_text())
    names = [entry.name for entry in load_quirks(tmp_path / "q")]
    assert len(names) == len(set(names))


def test_quirks_are_plain_data() -> None:
    for entry in load_quirks(None):
        assert msgspec.json.decode(msgspec.json.encode(entry.flags))
