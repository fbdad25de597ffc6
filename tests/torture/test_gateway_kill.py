"""kill -9 at random instants: a third program compares what chargers and cloud saw (fault 57, R1, R4)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edgegw.sim.audit import table
from tests.torture.gateway_rig import Site, site
from tests.torture.kills import kill_campaign, outage_campaign

pytestmark = pytest.mark.timeout(600)  # its waits end sooner, and say what did not come


async def test_fault_57_ten_kills_lose_nothing(tmp_path: Path) -> None:
    it, verdict = await kill_campaign(tmp_path, kills=10, seed=1)
    print(table(verdict))
    assert it.kills == 10
    assert verdict.facts["transactions"] > 50
    assert verdict.facts["answered_before_the_cloud_had_it"] > 0
    assert verdict.facts["given_up"] == 0
    assert verdict.facts["energy_chargers_wh"] == verdict.facts["energy_cloud_wh"] > 0


async def test_everything_reboots_in_one_outage(tmp_path: Path) -> None:
    it, verdict = await outage_campaign(tmp_path, seed=2)
    print(table(verdict))
    assert it.kills == 3
    assert verdict.facts["transactions_answered_offline"] > 20
    assert verdict.facts["given_up"] == 0


async def test_control_run_a_row_that_vanishes_is_seen(tmp_path: Path) -> None:
    """The verdict has teeth: one stored row is taken out of the stopped gateway's file."""
    async with site(tmp_path, chargers=4, seed=3) as it:
        await it.cut()
        await it.until(lambda status: status["transactions"] >= 6)
        await it.kill()
        vanished = _take_one_row(it)
        await it.start_again()
        await it.calm()
        verdict = await it.verdict()
        assert verdict.broken() == {"I1"}, table(verdict)
        lost = next(check for check in verdict.checks if check.name == "I1")
        assert [vanished in offender for offender in lost.offenders] == [True]


def _take_one_row(it: Site) -> str:
    """Delete a meter value in the middle of the queue. Its message id."""
    database = sqlite3.connect(it.gateway.store / "edgegw.db")
    try:
        rows = database.execute(
            "SELECT id, charger, message_id FROM journal WHERE state = 'stored' AND lane = 3"
            " AND (action = 'MeterValues' OR raw LIKE '%\"Updated\"%') ORDER BY id"
        ).fetchall()
        row, _, message_id = rows[len(rows) // 2]
        database.execute("DELETE FROM journal WHERE id = ?", (row,))
        database.commit()
    finally:
        database.close()
    return str(message_id)
