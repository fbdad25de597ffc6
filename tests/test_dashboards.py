"""The Grafana dashboard and the alert rules of `config/`: they are valid, and what they name is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edgegw.cli import COMMANDS
from tests.control.watched import Measured, Watched
from tests.servers.promtool import promtool

ROOT = Path(__file__).parent.parent
DASHBOARD = json.loads((ROOT / "config" / "grafana-dashboard.json").read_text())
RULES = (ROOT / "config" / "prometheus-alerts.yaml").read_text()
ALERTS = re.split(r"^      - alert: ", RULES, flags=re.MULTILINE)[1:]
BY_PROMETHEUS = {"instance", "job", "site"}  # labels that a scrape adds

_METRIC = re.compile(r"\b(?:edgegw|process|python)_[a-z0-9_]+\b")
_SELECTOR = re.compile(r"\b((?:edgegw|process)_[a-z0-9_]+)\{([^}]*)\}")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


def panels() -> list[dict]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    variables = [v["definition"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query"]
    notes = [note["expr"] for note in DASHBOARD["annotations"]["list"] if "expr" in note]
    return [*asked, *variables, *notes]


def rules_text() -> str:
    """Without the comments."""
    return "\n".join(line for line in RULES.splitlines() if not line.lstrip().startswith("#"))


async def scraped(folder: Path) -> Measured:
    house = Watched(folder)
    await house.start()
    await house.works()
    measured = await house.measured()
    await house.stop()
    return measured


# --- both -----------------------------------------------------------------------------------------


async def test_every_metric_and_label_that_is_named_exists(tmp_path):
    measured = await scraped(tmp_path)
    texts = [*queries(), rules_text()]
    named = {name for text in texts for name in _METRIC.findall(text)}
    assert len(named) > 40
    assert named - measured.samples.keys() == set()
    for text in texts:
        for name, selector in _SELECTOR.findall(text):
            known = {label for labels in measured.all_of(name) for label in labels}
            assert set(_LABEL.findall(selector)) <= known | BY_PROMETHEUS, (name, selector)


def test_what_the_search_looks_for_it_finds():
    assert _METRIC.findall('rate(edgegw_a_total{job="edgegw"}[5m]) / process_b') == [
        "edgegw_a_total",
        "process_b",
    ]
    assert _SELECTOR.findall('sum by (x) (edgegw_a{b="c",d=~"e|f"})') == [("edgegw_a", 'b="c",d=~"e|f"')]
    assert _LABEL.findall('b="c",d=~"e|f"') == ["b", "d"]


# --- the dashboard --------------------------------------------------------------------------------


def test_the_dashboard_is_one_that_grafana_10_imports():
    assert DASHBOARD["schemaVersion"] >= 38
    assert DASHBOARD["id"] is None  # Grafana gives it
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels():
        assert panel["type"] in {"timeseries", "stat", "table"}, panel["title"]
        assert panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs) > 0


def test_panels_lie_beside_each_other_within_the_width():
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_every_query_goes_to_the_source_that_is_chosen_and_to_one_site():
    names = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "instance", "circuit"]
    for panel in panels():
        for one in (panel, *panel["targets"]):
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
    for query in queries():
        assert set(re.findall(r"\$(\w+)", query)) <= {"instance", "circuit", "__rate_interval", "__interval"}
        for _, selector in _SELECTOR.findall(query):
            assert 'instance="$instance"' in selector, query


def test_prometheus_can_read_every_query(tmp_path):
    lines = ["groups:", "  - name: dashboard", "    rules:"]
    for number, query in enumerate(q for q in queries() if not q.startswith("label_values")):
        text = re.sub(r"\$__(rate_)?interval", "1m", query)
        lines += [f"      - record: dashboard:query:{number}", f"        expr: {json.dumps(text)}"]
    path = tmp_path / "queries.yaml"
    path.write_text("\n".join(lines) + "\n")
    assert "SUCCESS" in promtool("check", "rules", str(path))


# --- the rules ------------------------------------------------------------------------------------


def test_prometheus_takes_the_rules():
    said = promtool("check", "rules", str(ROOT / "config" / "prometheus-alerts.yaml"))
    assert f"SUCCESS: {len(ALERTS)} rules found" in said


def test_the_rules_fire_when_they_should_and_not_before():
    assert "SUCCESS" in promtool("test", "rules", str(ROOT / "tests" / "prometheus_alerts.test.yaml"))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.split("\n")[0])
def test_every_alert_says_what_is_wrong_where_and_what_to_do(alert: str):
    assert re.search(r"^          severity: (warning|critical)$", alert, re.MULTILINE)
    assert re.search(r"^          summary: [A-Z].*\.$", alert, re.MULTILINE)
    description = alert.partition("description: >-")[2].partition("\n  - name:")[0]
    assert "{{ $labels.instance }}" in description
    for command in re.findall(r"[Rr]un edgegw (\w+)", " ".join(description.split())):
        assert command in COMMANDS


def test_the_scrape_config_of_the_comment_is_one(tmp_path):
    """Without looking for the token, which is on the operator's machine."""
    comment = [line[4:] for line in RULES.splitlines() if line.startswith("#   ")]
    begin = comment.index("scrape_configs:")
    path = tmp_path / "prometheus.yaml"
    path.write_text("\n".join(comment[begin : comment.index("rule_files:")]) + "\n")
    assert "SUCCESS" in promtool("check", "config", "--syntax-only", str(path))
