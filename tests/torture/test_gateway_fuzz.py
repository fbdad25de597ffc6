"""Frames that nobody should send, from both sides of live sessions (faults 14 to 30, 33 to 39, 55; R8)."""

from __future__ import annotations

from pathlib import Path

from tests.torture.fuzz_campaign import campaign

RSS_GROWTH_MAX_KIB = 25 * 1024


async def test_faults_14_to_30_fuzzed_sessions_harm_nobody(tmp_path: Path) -> None:
    outcome = await campaign(tmp_path, frames=3000, seed=1)
    print(outcome)
    assert outcome.score.frames >= 2990
    assert outcome.answered > 50
    assert outcome.unanswered <= 1, "the last one may be under way when the good charger is switched off"
    assert outcome.rss_growth_kib[-1] < RSS_GROWTH_MAX_KIB
