"""Forty chargers and their backlog come back to the cloud at once (fault 56, R5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.herd_campaign import CONNECT_RATE, REPLAY_RATE, herd_campaign


@pytest.mark.timeout(600)
async def test_fault_56_the_herd_comes_back_at_the_configured_pace(tmp_path: Path) -> None:
    """By the cloud's clock, from the moment it was back: a busy machine can only make it slower."""
    _, herd = await herd_campaign(tmp_path, chargers=40, backlog=120, seed=5)
    print(herd)
    assert herd.replayed >= 120
    assert herd.replayed <= REPLAY_RATE * (herd.replayed_by_s + 1)
    assert herd.dialled >= 40
    assert herd.dialled <= CONNECT_RATE * (herd.dialled_by_s + 1)
    assert herd.live > 20
    assert herd.live_p95_s < herd.replay_s / 2, "live calls do not wait for all that was kept"
