"""The real gateway, a simulated meter, and a charger nobody knows whose phases are rotated: commissioned.

The site file has a meter and a fuse and not one connector. What the charger is wired like is the simulated
site's own, never told to the gateway. Everything is sampled often, so that the walk waits for little but
the gateway's own: 11 s before a car is given more, and the 10 s a limit lives at least.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgegw.commissioning import report as reports
from edgegw.commissioning.driver import CommissioningRun
from edgegw.commissioning.plan import Plan
from edgegw.control.client import ControlClient
from edgegw.sim.lines import start_chargers
from tests.e2e.faults import until
from tests.e2e.gateway import Gateways

pytestmark = pytest.mark.timeout(400)
CHARGER = "CP02"  # 2.0.1; its L1 lies on the grid's L2
# From the minimum up and down again: one raise only; from there it falls to 0.
PLAN = Plan(
    CHARGER,
    circuit="main",
    phases="L1 L2 L3",
    max_a=10.0,
    safe_a=0.0,
    charges_for_s=0.5,
    steady_s=0.8,
    averages_s=0.3,
    yes=True,
)
QUIRK = """
[[quirk]]
name = "of the tests"
vendor = "*"
why = "answers at once"
source = ["this test"]
settle_s = 0
interval_min_s = 0
"""


async def test_a_stranger_with_rotated_phases_is_commissioned(gateways: Gateways, tmp_path: Path) -> None:
    chargers = await start_chargers(
        "--count", "2", "--no-cars", "--cars", "one", "--meter-port", "0", "--building", "10",
        "--meter-interval", "0.25", "--backoff", "0.3", "--quiet", "--seed", "5",
    )  # fmt: skip
    quirks = tmp_path / "quirks"
    quirks.mkdir()
    (quirks / "tests.toml").write_text(QUIRK)
    async with chargers:
        assert chargers.ready["wiring"][f"{CHARGER}/1"] == "L2 L3 L1"
        tables = {
            "chargers": {"unknown": "refuse"},
            "authorization": {"unknown_tags": "accept"},
            "balancing": {"profile_lifetime": "10 s", "quirks_directory": str(quirks)},
            "meter": [
                {
                    "name": "grid",
                    "template": "eastron_sdm630",
                    "address": chargers.ready["meter"],
                    "poll_interval": "320 ms",
                    "timeout": "250 ms",
                }
            ],
            "circuit": [{"name": "main", "fuse": 63, "meter": "grid", "reserve": 20}],
        }
        gateway = await gateways(None, tables)
        await chargers.command(f"dial {gateway.url}")
        run = CommissioningRun(
            lambda: ControlClient(gateway.store / "edgegw.sock"), PLAN, by="the tests", look_s=0.1
        )
        run.start()
        try:
            await until(lambda: run.state.current == "charge" and bool(run.state.text), 90.0)
            assert (await chargers.command(f"start {CHARGER} 1 TAG one"))["ok"]
            await until(lambda: run.state.finished, 240.0)
        finally:
            if not run.state.finished:
                run.abort()
            assert run.join(30.0), run.state
        found = run.report()
        verdicts = {step.key: (step.verdict, step.text) for step in found.steps}
        assert {key: verdict for key, (verdict, _) in verdicts.items()} == {
            "accept": "passed",
            "wire": "passed",
            "connect": "passed",
            "charge": "passed",
            "step": "passed",
            "phases": "remark",
            "fallback": "passed",
        }, found.to_text()
        assert (found.phases_before, found.phases) == ("L1 L2 L3", "L2 L3 L1")
        assert (found.result, found.by, found.fuse_a) == ("passed with remarks", "the tests", 63.0)
        assert all(len(line) <= 80 for line in found.to_text().splitlines())
        as_json, as_text = reports.write(found, tmp_path / "report.json")
        assert json.loads(as_json.read_text()) == json.loads(found.to_json())
        assert "L2 L3 L1 (before: L1 L2 L3)" in as_text.read_text()

        told = await gateway.command("wiring")
        assert [(one["charger"], one["phases"], one["source"]) for one in told["wiring"]] == [
            (CHARGER, "L2 L3 L1", "commissioned")
        ]
        strangers = await gateway.command("strangers")
        assert [one["identity"] for one in strangers["strangers"]] == ["CP01"]
        assert [one["identity"] for one in strangers["accepted"]] == [CHARGER]
