"""`edgegw init`: every way through it ends in a site file that `edgegw check` takes."""

from __future__ import annotations

import asyncio
import json
import os
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgegw.cli import edgegw
from edgegw.cli import init as init_command
from edgegw.cli import meter as meter_command
from edgegw.cli.init_text import NONE, Answers, site_text
from edgegw.meters.probe import Found


def run(*words: str | Path, code: int = 0, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(edgegw, [str(word) for word in words], input=stdin)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def checked(file: Path) -> dict:
    assert json.loads(run("check", "--config", file, "--json").stdout)["ok"] is True
    return tomllib.loads(file.read_text())


# what is given, and what stands in the file for it
ONE_BY_ONE = {
    "nothing": ([], {"site": {"id": "d"}}),
    "standalone": (["--cloud", "none"], {"authorization": {"unknown_tags": "refuse", "tags": {}}}),
    "cloud": (["--cloud", "wss://csms.example/ocpp"], {"cloud": {"url": "wss://csms.example/ocpp"}}),
    "no balancing": (["--fuse", "0"], {}),
    "one phase": (["--phases", "L2", "--charger", "CP-1"], {}),
    "a meter": (["--meter", "tcp://10.0.0.7", "--meter-template", "eastron_sdm630"], {}),
    "serial": (["--meter", "rtu:///dev/ttyUSB0?baud=9600", "--meter-template", "eastron_sdm630"], {}),
    "chargers": (["--charger", "CP-1", "--charger", 'DE*1 "x', "--fuse", "80"][:4], {}),
    "broker": (["--mqtt", "mqtt://10.0.0.9"], {"mqtt": {"broker": "mqtt://10.0.0.9"}}),
    "places": (["--store", "s p a c e", "--socket", "run/gw.sock"], {"store": {"directory": "s p a c e"}}),
    "accept": (["--unknown", "accept", "--charger", "CP-1"], {}),
}


@pytest.mark.parametrize("name", [name for name in ONE_BY_ONE if name != "chargers"])
def test_what_options_say_passes_check(tmp_path: Path, name: str):
    options, wanted = ONE_BY_ONE[name]
    file = tmp_path / "new" / "site.toml"
    run("init", file, "--site-id", "d", "--yes", *options)
    found = checked(file)
    assert all(found[table] == value for table, value in wanted.items()), found
    assert not list(file.parent.glob(".*"))
    assert max(map(len, file.read_text().splitlines())) <= 110


def test_everything_at_once(tmp_path: Path):
    file = tmp_path / "site.toml"
    options = [word for name in ("a meter", "cloud", "broker", "places") for word in ONE_BY_ONE[name][0]]
    run(
        "init",
        file,
        "--site-id",
        "d",
        "--fuse",
        "80 A",
        "--reserve",
        "20",
        "--yes",
        *options,
        "--charger",
        "A",
    )
    found = checked(file)
    assert found["circuit"] == [{"name": "main", "fuse": 80, "meter": "main", "reserve": 20}]
    assert found["connector"] == [
        {"charger": "A", "connector": 1, "circuit": "main", "phases": "L1 L2 L3"},
    ]
    assert found["meter"][0]["template"] == "eastron_sdm630"
    assert found["chargers"]["unknown"] == "refuse"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cloud", "http://x"], '--cloud: [cloud] url = "http://x": must be "ws://host[:port]/path"'),
        (["--fuse", "many"], '--fuse: "many" is no number of amps'),
        (["--phases", "L4"], "must name grid phases"),
        (["--site-id", "a b"], "--site-id: [site] id"),
        (["--listen", "9000"], "--listen: [chargers] listen"),
        (["--charger", "a:b"], "--charger: [chargers] known"),
        (["--unknown", "maybe"], 'must be "accept" or "refuse"'),
        (["--mqtt", "10.0.0.9"], "--mqtt: [mqtt] broker"),
        (["--meter", "tcp://", "--meter-template", "eastron_sdm630"], "--meter: [[meter]] address"),
        (["--meter", "tcp://h", "--meter-template", "nonsense"], "nonsense"),
        (["--fuse", "10", *[w for n in range(4) for w in ("--charger", f"CP-{n}")]], "[[circuit]]"),
        (["--fuse", "0", "--meter", "tcp://h"], "--meter does not go with the other answers"),
    ],
)
def test_an_option_that_does_not_fit_is_refused_in_the_words_of_the_site_file(tmp_path: Path, options, words):
    refused = run("init", tmp_path / "site.toml", "--yes", *options, code=2)
    assert words in refused.stderr
    assert not os.listdir(tmp_path)


def test_questions_are_asked_again_until_they_fit(tmp_path: Path):
    answers = [
        "a b",
        "depot-1",
        "x",
        "40",
        "",
        "none",
        "",
        "http://x",
        "wss://x.example/o",
        "",
        "CP-1, CP-2",
        "",
        "st",
        "",
        "",
    ]
    asked = run("init", tmp_path / "site.toml", stdin="\n".join(answers) + "\n")
    assert "must be 1 to 48" in asked.stderr
    assert '"x" is no number of amps' in asked.stderr
    assert 'must be "ws://host' in asked.stderr
    found = checked(tmp_path / "site.toml")
    assert found["site"]["id"] == "depot-1"
    assert found["circuit"][0]["fuse"] == 40
    assert found["chargers"]["known"] == ["CP-1", "CP-2"]
    assert found["store"]["directory"] == "st"


def test_who_stops_in_the_middle_leaves_nothing(tmp_path: Path):
    run("init", tmp_path / "site.toml", stdin="depot-1\n40\n", code=130)
    assert not os.listdir(tmp_path)


def test_nothing_is_replaced_without_force(tmp_path: Path):
    file = tmp_path / "site.toml"
    file.write_text("mine")
    assert "--force" in run("init", file, "--yes", code=2).stderr
    assert file.read_text() == "mine"
    run("init", file, "--yes", "--force", "--site-id", "d")
    checked(file)
    (tmp_path / "file").write_text("")
    assert "nothing was written" in run("init", tmp_path / "file" / "site.toml", "--yes", code=1).stderr


def test_a_meter_is_looked_for(tmp_path: Path, monkeypatch):
    seen: list[str] = []

    async def best_at(address: str) -> Found | None:
        seen.append(address)
        await asyncio.sleep(0)
        return None if "dead" in address else FOUND

    class FOUND:
        template, unit, name = "eastron_sdm630", 7, "Eastron SDM630"

    monkeypatch.setattr(meter_command, "best_at", best_at)
    run("init", tmp_path / "a.toml", "--yes", "--site-id", "d", "--meter", "tcp://10.0.0.7")
    assert checked(tmp_path / "a.toml")["meter"][0]["unit"] == 7
    refused = run("init", tmp_path / "b.toml", "--yes", "--meter", "tcp://dead", code=2)
    assert "give --meter-template" in refused.stderr
    answers = ["d", "63", "", "tcp://dead", "y", "", "", "", "", "", "", "st", "", ""]
    asked = run("init", tmp_path / "c.toml", stdin="\n".join(answers) + "\n")
    assert "no meter that is known answers" in asked.stderr
    assert checked(tmp_path / "c.toml")["meter"][0]["template"] == "eastron_sdm630"
    assert seen == ["tcp://10.0.0.7", "tcp://dead", "tcp://dead"]


def test_what_stands_in_quotes_cannot_break_out():
    text = site_text(Answers(site_id='x"\n[evil]\n', store='a"b\\c', cloud=NONE))
    found = tomllib.loads(text)
    assert found["site"]["id"] == 'x"\n[evil]\n'
    assert found["store"]["directory"] == 'a"b\\c'


def test_no_link_that_waits_is_followed(tmp_path: Path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / ".site.toml.part").symlink_to(tmp_path / "mine")
    init_command._write(tmp_path / "site.toml", "text", force=False)
    assert (tmp_path / "site.toml").read_text() == "text"
    assert not (tmp_path / "site.toml").is_symlink()
    (tmp_path / ".site.toml.new").symlink_to(tmp_path / "mine")
    meter_command._replace(tmp_path / "site.toml", "more")
    assert (tmp_path / "site.toml").read_text() == "more"
    assert (tmp_path / "mine").read_text() == "mine"
