"""The catalogue of alarms: the shipped one is sound, the operator's words come over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegw.catalogue.alarms import load_alarms
from edgegw.catalogue.load import load_catalogue
from edgegw.catalogue.model import AlarmRule
from edgegw.config_text import SiteFileFault

RULES = load_alarms()


def write(folder: Path, text: str) -> Path:
    (folder / "mine.toml").write_text(text)
    return folder


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.code)
def test_an_alarm_has_words_that_help(rule: AlarmRule):
    assert rule.title[-1] not in ".!"
    assert rule.todo[-1] == "."
    assert len(rule.todo) > 20
    assert 0 <= rule.raise_after_s <= 600
    assert 0 <= rule.clear_after_s <= 600
    assert rule.severity != "info"


def test_no_two_alarms_have_one_title():
    assert len({rule.title for rule in RULES.values()}) == len(RULES)


def test_the_catalogue_of_faults_does_not_mind_the_one_of_alarms(tmp_path: Path):
    own = write(tmp_path, 'kind = "alarm"\n[[alarm]]\ncode = "disk_low"\ntitle = "Disk"\n')
    assert load_catalogue(own) == load_catalogue(None)


def test_the_operators_words_come_over_the_shipped_ones_key_by_key(tmp_path: Path):
    text = 'kind = "alarm"\n[[alarm]]\ncode = "charger_silent"\ntodo = "Call Jo."\nraise_after = "30 min"\n'
    rules = load_alarms(write(tmp_path, text))
    changed, shipped = rules["charger_silent"], RULES["charger_silent"]
    assert (changed.todo, changed.raise_after_s) == ("Call Jo.", 1800)
    assert (changed.title, changed.severity, changed.latched) == (
        shipped.title, shipped.severity, shipped.latched,
    )  # fmt: skip
    assert {code: rule for code, rule in rules.items() if code != "charger_silent"} == {
        code: rule for code, rule in RULES.items() if code != "charger_silent"
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('kind = "alarm"\n[[alarm]]\ncode = "no_such"\n', "there is no alarm of that code"),
        ('kind = "alarm"\n[[alarm]]\ncode = "disk_low"\nraise_after = 20\n', r"mine\.toml:4.*raise_after"),
        ('kind = "alarm"\n[[alarm]]\ncode = "disk_low"\nraise_after = "3 days"\n', r"mine\.toml:4.*between"),
        ('kind = "alarm"\n[[alarm]]\ncode = "disk_low"\nseverity = "awful"\n', r"mine\.toml:4.*severity"),
        ('kind = "alarm"\n[[alarm]]\ncode = "disk_low"\ntitle = "a\\u0007b"\n', r"mine\.toml:4.*printable"),
        ('kind = "alarm"\n[[alarm]]\ntitle = "x"\n', r"mine\.toml.*code"),
        ('kind = "alarm"\n[[alarm]]\ncode = "disk_low"\ntodoo = "x"\n', r"mine\.toml:4.*todo"),
        ("kind = \n", r"mine\.toml:1"),
    ],
)  # fmt: skip
def test_a_wrong_file_says_where(tmp_path: Path, text: str, said: str):
    with pytest.raises(SiteFileFault, match=said):
        load_alarms(write(tmp_path, text))


def test_a_folder_that_is_none_is_told(tmp_path: Path):
    with pytest.raises(SiteFileFault, match="not a folder"):
        load_alarms(tmp_path / "nowhere")
