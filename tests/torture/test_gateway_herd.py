"""Forty chargers and their backlog come back to the cloud at once (fault 56, R5)."""

from __future__ import annotations

from pathlib import Path

from tests.torture.herd_campaign import CONNECT_RATE, REPLAY_RATE, herd_campaign

LATE = 0.25  # of a second's messages may be pushed into the next by a busy machine: the cloud's clock counts


async def test_fault_56_the_herd_comes_back_at_the_configured_pace(tmp_path: Path) -> None:
    _, herd = await herd_campaign(tmp_path, chargers=40, backlog=120, seed=5)
    print(herd)
    assert herd.replayed >= 120
    assert herd.replay_most_per_s <= REPLAY_RATE * (1 + LATE)
    assert herd.replayed <= REPLAY_RATE * (herd.replay_s + 1), "and on the whole never faster"
    assert herd.dialled >= 40
    assert herd.dials_most_per_s <= CONNECT_RATE + 2
    assert herd.live > 20
    assert herd.live_p95_s <= 1.0
