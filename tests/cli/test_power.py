"""`edgegw power`, `edgegw limit` and what `edgegw status` says of charging power."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from edgegw.cli import doctor_running
from edgegw.control.power_models import PowerView
from tests.cli.conftest import Shell
from tests.control.house import GARAGE, House


@pytest.fixture
async def garage(tmp_path) -> AsyncIterator[House]:
    house = House(tmp_path, plan=GARAGE)
    await house.start()
    yield house
    await house.stop()


@pytest.fixture
def shell(garage: House) -> Shell:
    return Shell(garage)


async def test_nothing_balanced_is_said_with_exit_code_1(house: House):
    result = await Shell(house)("power", code=1)
    assert "no [[connector]]" in result.stdout


async def test_power_shows_circuits_connectors_and_why(garage: House, shell: Shell):
    garage.reads(10.0, 11.0, 12.0)
    text = (await shell("power")).stdout
    lines = text.splitlines()
    assert lines[0].split()[:2] == ["CIRCUIT", "FUSE"]
    assert "10 11 12" in text
    assert any(line.startswith("CP-1/1 ") for line in lines)
    assert "unknown: has never connected; 32 A are kept for it" in text
    assert "held: " in text
    assert ": has never connected" in text.partition("held: ")[2].splitlines()[0]
    document = await shell.json("power")
    assert document["balanced"] is True


async def test_a_limit_is_set_shown_and_cleared(garage: House, shell: Shell):
    told = await shell("limit", "set", "garage", "--amps", "16", "--for", "2 h")
    assert told.stdout == "garage: 16 A by building, for 2 h\n"
    assert "16 16 16 building" in (await shell("power")).stdout
    assert (await shell("limit", "clear", "garage")).stdout == "1 limit cleared\n"
    assert (await shell("limit", "clear")).stdout == "0 limits cleared\n"


async def test_a_limit_with_a_fallback_says_what_holds_when_it_expired(garage: House, shell: Shell):
    asked = ("garage", "--amps", "16", "--for", "2 min", "--fallback", "8", "--priority", "10")
    told = await shell("limit", "set", *asked)
    assert told.stdout == "garage: 16 A by building, for 2 min, then 8 A until it is set anew or cleared\n"
    assert "Z, then 8 A\n" in (await shell("power")).stdout
    garage.load.control.limits.clock_stepped(-120.0)  # its time is over
    (line,) = [one for one in (await shell("power")).stdout.splitlines() if "fallback holds" in one]
    assert line.split()[:5] == ["building", "garage", "8", "8", "8"]
    assert line.endswith("expired, fallback holds")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("set", "garage"), 2, "give --amps or --watts"),
        (("set", "garage", "--amps", "1", "--watts", "1"), 2, "give --amps or --watts"),
        (("set", "garage", "--amps", "-5"), 2, "not in the range"),
        (("set", "garage", "--amps", "nan"), 2, "'nan' is not a number"),
        (("set", "garage", "--watts", "-NaN"), 2, "'-NaN' is not a number"),
        (("clear", "attic"), 1, 'there is no circuit "attic"; there are: main, garage'),
        (("set", "garage", "--amps", "5", "--for", "2"), 2, "a unit is missing"),
        (("set", "garage", "--amps", "5", "--fallback", "5"), 2, "--fallback needs --for"),
        (("set", "garage", "--amps", "5", "--for", "2 h", "--fallback", "nan"), 2, "'nan' is not a number"),
        (("set", "garage", "--amps", "5", "--priority", "101"), 2, "not in the range"),
        (("set", "attic", "--amps", "5"), 1, 'there is no circuit "attic"'),
    ],
)
async def test_a_wrong_limit_is_refused(shell: Shell, arguments: tuple[str, ...], code: int, words: str):
    result = await shell("limit", *arguments, code=code)
    assert words in result.stderr


async def test_status_shows_what_is_kept_for_whom_nobody_steers_and_the_alarms(garage: House, shell: Shell):
    garage.reads(10.0, 11.0, 12.0)
    garage.load.stop()  # so that what it says stays
    garage.load.control.allocation = msgspec.structs.replace(
        garage.load.control.allocation, alarms={"meter_below": "main L1: the meter shows less than it must"}
    )
    lines = [line.split(maxsplit=1) for line in (await shell("status")).stdout.splitlines()]
    assert ["alarm", "main L1: the meter shows less than it must"] in lines
    (kept,) = [words for name, words in lines if name == "CP-2/1:"]  # and not "CP-2/1 at 6 A"
    assert "has never connected" in kept
    assert "32 A are kept for it" in kept
    assert any(line[0] == "held:" for line in lines)
    power = PowerView.model_validate(await shell.json("power"))
    finding = next(doctor_running._held(power))
    assert (finding.level, finding.about) == ("look", "power")
    assert "A free for" in finding.text
    assert "out of the wiring" in finding.todo


async def test_status_says_why_a_charger_has_what_it_has(garage: House, shell: Shell):
    await garage.boots("CP-1")
    garage.reads(10.0, 11.0, 12.0)
    text = (await shell("status")).stdout
    assert "power         main: " in text
    line = (await shell("status", "CP-1")).stdout
    assert line.startswith("CP-1: ")
    assert line.count("\n") == 1
    assert "no charger" in (await shell("status", "CP-77", code=1)).stderr
