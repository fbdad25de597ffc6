"""The tables of load balancing: what is read, and what would trip a fuse and is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from edgegw import config
from edgegw.app_power import plan_from
from edgegw.cli import edgegw
from edgegw.config_text import SiteFileFault

SITE = """\
[site]
id = "depot-1"
[chargers]
listen = "127.0.0.1:9000"
[store]
directory = "store"
"""
METER = """
[[meter]]
name = "grid"
template = "eastron_sdm630"
address = "tcp://127.0.0.1:502"
"""
TREE = """
[[circuit]]
name = "main"
fuse = 63
meter = "grid"
reserve = 20

[[circuit]]
name = "garage"
parent = "main"
fuse = 32
"""


def connector(number: int, *lines: str, circuit: str = "garage") -> str:
    told = "\n".join(lines)
    return f'\n[[connector]]\ncharger = "CP-{number}"\ncircuit = "{circuit}"\n{told}\n'


def complaints(text: str) -> list[str]:
    with pytest.raises(SiteFileFault) as caught:
        config.loads(text, Path("site.toml"))
    return [str(complaint) for complaint in caught.value.complaints]


def test_what_feeds_in_behind_a_meter_reaches_the_balancing():
    tree = TREE.replace("reserve = 20", "reserve = 20\nfeed_in = 30")
    circuits = plan_from(config.loads(SITE + METER + tree + connector(1))).circuits
    assert [circuit.feed_in_a for circuit in circuits] == [30.0, 0.0]


def test_safe_values_that_fill_the_fuse_to_the_last_watt_fit():
    # 3 x 6.9 kW are 30.000000000000007 A
    dc = "".join(connector(n, "dc = true", "max_kw = 50", "safe_kw = 6.9") for n in (1, 2, 3))
    assert config.loads(SITE + METER + TREE.replace("fuse = 32", "fuse = 30") + dc)


def test_a_circuit_tree_is_read():
    site = config.loads(SITE + METER + TREE + connector(1) + connector(2, 'phases = "L2"', "max = 16"))
    assert [c.name for c in site.circuit] == ["main", "garage"]
    assert site.connector[0].id == "CP-1/1"
    assert site.connector[0].phases == (0, 1, 2)
    assert site.connector[1].phases == (1,)
    assert site.connector[1].limits_a(230.0) == (6.0, 16.0, 6.0)
    assert site.circuit[1].margin_a is None


def test_phases_are_the_grid_phases_in_the_order_of_the_terminals():
    site = config.loads(SITE + METER + TREE + connector(1, 'phases = "L2 L3 L1"'))
    assert site.connector[0].phases == (1, 2, 0)


def test_a_dc_connector_is_given_in_kilowatts_of_its_mains_side():
    dc = connector(1, "dc = true", "max_kw = 20.7", "min_kw = 6.9", "safe_kw = 0")
    low, high, safe = config.loads(SITE + METER + TREE + dc).connector[0].limits_a(230.0)
    assert (low, high, safe) == (pytest.approx(10.0), pytest.approx(30.0), 0.0)


# --- a fuse that could trip -------------------------------------------------------------------------


def test_safe_values_that_do_not_fit_name_the_sum_and_the_circuit():
    cars = "".join(connector(number) for number in range(6))  # 36 A on a fuse of 32 A
    (found,) = complaints(SITE + METER + TREE + cars)
    assert "site.toml:" in found
    assert "[[circuit]] fuse = 32" in found
    assert "circuit garage, L1: the safe values of 6 connectors are 36 A together" in found
    assert "more than its fuse of 32 A" in found


def test_what_else_draws_counts_beside_the_safe_values():
    tree = TREE.replace("reserve = 20", "reserve = 46")
    (found,) = complaints(SITE + METER + tree + "".join(connector(n) for n in range(3)))
    assert "circuit main, L1: the safe values of 3 connectors are 18 A together, with reserve 46 A" in found
    assert "64 A, more than its fuse of 63 A" in found


def test_only_the_phases_that_are_wired_count():
    cars = "".join(connector(n, f'phases = "L{n % 3 + 1}"') for n in range(15))  # 30 A on each phase
    assert len(config.loads(SITE + METER + TREE + cars).connector) == 15


def test_a_safe_value_of_zero_always_fits():
    assert config.loads(SITE + METER + TREE + "".join(connector(n, "safe = 0") for n in range(50)))


# --- what leads nowhere -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (connector(1, circuit="attic"), 'there is no [[circuit]] named "attic"'),
        (connector(1) + connector(1), '"CP-1/1" is there more than once'),
        ('[[circuit]]\nname = "other"\nfuse = 10\n', "exactly one must have no parent"),
        ('[[circuit]]\nname = "x"\nparent = "y"\nfuse = 10\n', 'there is no [[circuit]] named "y"'),
        ('[[circuit]]\nname = "x"\nparent = "x"\nfuse = 10\n', "leads back to the circuit itself"),
        ('[[circuit]]\nname = "x"\nparent = "main"\nfuse = 9\nmeter = "m"\n', 'no [[meter]] named "m"'),
        (connector(1, "min = 5"), "must be at least 6: a car cannot be told less"),
        (connector(1, "safe = 3"), "must be 0, or between min (6) and max (32)"),
        (connector(1, "max = 5"), "must be at least min (6)"),
        (connector(1, 'phases = "L1 L1"'), "must name grid phases"),
        (connector(1, 'phases = "L4"'), "must name grid phases"),
        (connector(1, "dc = true"), "max_kw"),
        (connector(1, "max_kw = 50"), "is for a connector with dc = true"),
        (connector(1, "amperes = 5"), "unknown key; allowed are charger, connector, circuit"),
        (connector(1, "maxx = 5"), 'did you mean "max"?'),
    ],
)
def test_a_complaint_says_what_is_allowed(more: str, words: str):
    found = complaints(SITE + METER + TREE + more)
    assert any(words in complaint for complaint in found), found
    assert all(complaint.startswith("site.toml:") for complaint in found)


def test_a_complaint_has_the_line_of_its_own_table_of_many():
    text = SITE + METER + TREE + connector(1) + connector(2, "safe = 3")
    (found,) = complaints(text)
    line = text[: text.index("safe = 3")].count("\n") + 1
    assert found.startswith(f"site.toml:{line}: [[connector]] safe = 3")


def test_connectors_need_a_circuit():
    (found,) = complaints(SITE + connector(1))
    assert "[[connector]]" in found


def test_a_meter_must_answer_within_its_interval():
    (found,) = complaints(SITE + METER + 'timeout = "2 s"\n')
    assert "must be shorter than poll_interval" in found


def test_an_address_of_a_meter_is_checked():
    (found,) = complaints(SITE + METER.replace("tcp://127.0.0.1:502", "http://x"))
    assert "[[meter]] address" in found


def test_a_schedule_is_read():
    plan = '[[schedule]]\nname = "peak"\ncircuit = "main"\nfrom = "17:00"\nto = "24:00"\nlimit = 40\n'
    (peak,) = config.loads(SITE + METER + TREE + plan).schedule
    assert (peak.from_, peak.to, peak.limit_a, len(peak.days)) == (1020, 1440, 40.0, 7)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("from", '"24:00"', 'the start of the day is "00:00"'),
        ("days", "[]", "must name each day once"),
        ("days", '["mon", "mon"]', "must name each day once"),
    ],
)
def test_a_schedule_that_never_begins_is_refused(key: str, value: str, words: str):
    keys = {"name": '"peak"', "circuit": '"main"', "from": '"17:00"', "to": '"20:00"', "limit": "40"}
    lines = "".join(f"{name} = {given}\n" for name, given in {**keys, key: value}.items())
    (found,) = complaints(SITE + METER + TREE + f"[[schedule]]\n{lines}")
    assert f"[[schedule]] {key} = " in found
    assert words in found


@pytest.mark.parametrize(("zone", "good"), [("Europe/Berlin", True), ("Mars/Olympus", False)])
def test_a_time_zone_is_one_that_exists(zone: str, good: bool):
    text = SITE.replace('id = "depot-1"', f'id = "depot-1"\ntimezone = "{zone}"')
    if good:
        assert config.loads(text).site.timezone == zone
    else:
        assert 'such as "Europe/Berlin"' in complaints(text)[0]


# --- what works but should not stay so --------------------------------------------------------------


def test_a_metered_circuit_without_a_reserve_is_warned_of():
    site = config.loads(SITE + METER + TREE.replace("reserve = 20\n", "") + connector(1))
    told = "\n".join(config.warnings(site))
    assert "[[circuit]] main has reserve 0" in told
    assert "names chargers that are not in [chargers] known: CP-1" in told


def test_a_main_fuse_without_a_meter_is_warned_of():
    site = config.loads(SITE + TREE.replace('meter = "grid"\n', "") + connector(1))
    assert any("main has no meter" in warning for warning in config.warnings(site))


@pytest.mark.parametrize(
    ("template", "words"),
    [("eastron_sdm63", "eastron_sdm630"), ("eastron_sdm72dm_v1", "shows totals only")],
)
def test_check_refuses_a_meter_that_run_would_refuse(tmp_path: Path, template: str, words: str):
    file = tmp_path / "site.toml"
    file.write_text(SITE + METER.replace("eastron_sdm630", template) + TREE + connector(1))
    result = CliRunner().invoke(edgegw, ["check", "--config", str(file)])
    assert result.exit_code == 2
    assert "[[meter]] grid" in result.output
    assert words in result.output


def test_check_tells_what_is_balanced(tmp_path: Path):
    file = tmp_path / "site.toml"
    file.write_text(SITE + METER + TREE + connector(1) + connector(2))
    result = CliRunner().invoke(edgegw, ["check", "--config", str(file)])
    assert result.exit_code == 0, result.output
    assert "balanced: 2 connectors on 2 circuits by grid" in result.output
