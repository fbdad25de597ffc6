"""kill -9 at random instants, and two processes on one store (faults 57 and 62)."""

from __future__ import annotations

import asyncio
import random

import pytest

from edgegw.errors import StoreLocked
from tests.store.rig import opened
from tests.torture.store_rig import Ledger, Writer, lost

KILLS = 25


async def test_fault_57_kill_at_random_instants_loses_no_acknowledged_row(tmp_path):
    chance, ledger = random.Random(57), Ledger()
    for _ in range(KILLS):
        writer = Writer(tmp_path / "store")
        await asyncio.to_thread(writer.read, until=chance.randint(0, 150))
        writer.kill()
        ledger |= writer.acknowledged
    assert len(ledger) > 20 * KILLS
    assert await lost(tmp_path / "store", ledger) == (set(), [])


async def test_the_kill_test_can_fail(tmp_path):
    """The same comparison with one row that nobody stored."""
    writer = Writer(tmp_path / "store", rows=1)
    writer.end()
    assert await lost(tmp_path / "store", {("CP0", 1), ("CP0", 2)}) == ({("CP0", 2)}, [])


async def test_fault_62_a_second_process_is_refused_until_the_first_is_dead(tmp_path):
    writer = Writer(tmp_path / "store")
    await asyncio.to_thread(writer.read, until=10)
    with pytest.raises(StoreLocked, match=f"pid {writer.pid}"):
        async with opened(tmp_path / "store"):
            pass
    second = Writer(tmp_path / "store")
    code, text = second.end()
    assert (code, second.acknowledged) == (3, set())
    assert "in use by another edgegw" in text
    writer.kill()
    assert await lost(tmp_path / "store", writer.acknowledged) == (set(), [])
