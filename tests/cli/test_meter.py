"""`edgegw meter`: against an independent Modbus server."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgegw.cli import edgegw
from tests.e2e.children import Children
from tests.meters.counterparts import NodeMeter, node_meter, sdm630

SITE = """\
[site]
id = "depot"

[chargers]
listen = "127.0.0.1:0"

[cloud]
url = "ws://127.0.0.1:9/csms"

[store]
directory = "store"

[[meter]]
name = "main"
template = "eastron_sdm630"
address = "tcp://127.0.0.1:{port}"
unit = 1
phases = "L2 L3 L1"

[[meter]]
name = "hall"
template = "abb_b2x"
address = "tcp://127.0.0.1:{port}"
unit = 2
"""


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Children]:
    started = Children(tmp_path)
    yield started
    await started.close()


@pytest.fixture
async def meter(children: Children) -> NodeMeter:
    meter = await node_meter(children)
    await meter.fill(sdm630())
    await meter.fill_meter("abb_b2x", 2)
    return meter


@pytest.fixture
def site(meter: NodeMeter, tmp_path: Path) -> Path:
    file = tmp_path / "site.toml"
    file.write_text(SITE.format(port=meter.port))
    return file


async def shell(*arguments: str, code: int = 0) -> Result:
    result = await asyncio.to_thread(CliRunner().invoke, edgegw, ["meter", *arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def content(file: Path) -> str:
    return file.read_text("utf-8")


# --- probe ----------------------------------------------------------------------------------------


async def test_probe_shows_values_beside_what_is_plausible_and_the_block(meter: NodeMeter):
    result = await shell("probe", f"tcp://127.0.0.1:{meter.port}", "--unit", "2")
    assert "certain (it says so itself)" in result.stdout
    assert "PLAUSIBLE" in result.stdout
    voltage = next(line for line in result.stdout.splitlines() if line.startswith("voltage_l1"))
    assert voltage.split() == ["voltage_l1", "230.40", "V", "yes", "80", "to", "300", "V"]
    block = tomllib.loads(result.stdout[result.stdout.index("[[meter]]") :])["meter"]
    assert [(one["template"], one["unit"]) for one in block] == [("abb_b2x", 2)]
    assert "only one may ask on a line" in result.stderr
    assert "1 of 1: unit 2" in result.stderr


async def test_probe_json(meter: NodeMeter):
    result = await shell("probe", f"tcp://127.0.0.1:{meter.port}", "--unit", "1", "--json")
    found = json.loads(result.stdout)["found"]
    assert found[0]["template"] == "eastron_sdm630"
    assert found[0]["reading"]["current_a"] == pytest.approx([10.0, 11.0, 12.0])


async def test_probe_writes_what_the_site_file_lacks(meter: NodeMeter, site: Path):
    before = SITE.format(port=meter.port)
    await meter.fill_meter("cg_em24_e1", 3)
    address = f"tcp://127.0.0.1:{meter.port}"
    for _ in range(2):
        await shell("probe", address, "--unit", "1", "--unit", "3", "--write", str(site))
    text = content(site)
    assert text.startswith(before)
    meters = tomllib.loads(text)["meter"]
    assert [one["unit"] for one in meters] == [1, 2, 3]
    assert len({one["name"] for one in meters}) == 3
    assert meters[2]["template"] == "cg_em24_e1"
    assert list(site.parent.glob(".*.new")) == []


async def test_probe_makes_a_file(meter: NodeMeter, tmp_path: Path):
    file = tmp_path / "new.toml"
    await shell("probe", f"tcp://127.0.0.1:{meter.port}", "--unit", "1", "--write", str(file))
    assert tomllib.loads(file.read_text())["meter"][0]["name"] == "main"


async def test_probe_leaves_a_broken_file_alone(meter: NodeMeter, tmp_path: Path):
    file = tmp_path / "site.toml"
    file.write_text("[site\n")
    result = await shell(
        "probe", f"tcp://127.0.0.1:{meter.port}", "--unit", "1", "--write", str(file), code=2
    )
    assert "nothing was written" in result.stderr
    assert file.read_text() == "[site\n"


async def test_probe_finds_nothing(meter: NodeMeter):
    result = await shell("probe", f"tcp://127.0.0.1:{meter.port}", "--unit", "9", code=1)
    assert "no meter found" in result.stdout


async def test_probe_cannot_reach(meter: NodeMeter):
    await meter.do("cut")
    result = await shell("probe", f"tcp://127.0.0.1:{meter.port}", "--json", code=1)
    assert "Connection refused" in json.loads(result.stdout)["error"]["text"]


async def test_a_wrong_address_is_refused_in_words():
    result = await shell("probe", "10.0.0.7:502", code=2)
    assert '"tcp://host:502"' in result.stderr


# --- read -----------------------------------------------------------------------------------------


async def test_read_the_meters_of_a_site_file(site: Path):
    result = await shell("read", "--config", str(site), "--once")
    assert "main: L1 12.00 A L2 10.00 A L3 11.00 A 7601 W" in result.stdout  # phases as the site file says
    assert "hall: L1 12.30 A L2 -5.00 A L3 20.40 A" in result.stdout


async def test_read_one_of_them_as_json(site: Path):
    result = await shell("read", "--config", str(site), "hall", "--json")
    [hall] = json.loads(result.stdout)["meters"]
    assert (hall["name"], hall["trouble"], hall["good"]) == ("hall", "", 1)
    assert hall["values"]["frequency"] == pytest.approx(50.0)


async def test_read_what_is_in_no_site_file(meter: NodeMeter):
    result = await shell(
        "read", "--address", f"tcp://127.0.0.1:{meter.port}", "--template", "eastron_sdm630", "--once"
    )
    assert "L1 10.00 A" in result.stdout


async def test_read_says_why_a_meter_cannot_be_used(meter: NodeMeter, site: Path):
    await meter.fill({6: [0x7FC0, 0]})
    result = await shell("read", "--config", str(site), "main", "--once", code=1)
    assert "NOT USABLE: no current on L1" in result.stdout
    assert "voltage_l1" in result.stdout  # what it reads is shown all the same


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody"], 'no [[meter]] named "nobody"; it has: main, hall'),
        (["--address", "tcp://127.0.0.1"], "--address and --template go together"),
        (["--address", "tcp://127.0.0.1", "--template", "eastron_sdm63"], 'did you mean "eastron_sdm630"'),
    ],
)
async def test_read_refuses_in_words(site: Path, arguments: list[str], words: str):
    where = [] if "--address" in arguments else ["--config", str(site)]
    result = await shell("read", *where, *arguments, code=2)
    assert words in result.stderr


async def test_read_goes_on_until_ctrl_c_and_leaves_nothing_open(
    site: Path, meter: NodeMeter, children: Children
):
    child = await children.start(
        "read", sys.executable, "-m", "edgegw", "meter", "read", "--config", str(site), "main"
    )
    await child.until(lambda lines: lines if len(lines) > 1 else None)
    child.signal(signal.SIGINT)
    assert await child.ended() == 0
    assert child.lines[0] == "main: L1 12.00 A L2 10.00 A L3 11.00 A 7601 W"
    assert "Traceback" not in child.log
