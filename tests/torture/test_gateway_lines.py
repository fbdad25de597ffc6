"""Bad lines on both sides of the gateway: cut at any byte, slow, reset, half-open (fault 67, R7)."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegw.sim.audit import table
from tests.torture.lines_campaign import lines_campaign


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
async def test_fault_67_bad_lines_lose_nothing(tmp_path: Path, seed: int) -> None:
    _, verdict = await lines_campaign(tmp_path, seed=seed, trouble_s=4.0)
    print(table(verdict))
    assert verdict.facts["transactions"] > 8
    assert verdict.facts["given_up"] == 0
