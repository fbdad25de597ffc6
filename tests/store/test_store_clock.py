"""Which clock may delete: one that has run evenly, never one that was thrown into the future (fault 65)."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegw.core.records import Append, JournalRow, Lane, RowState
from edgegw.store import caretaker
from edgegw.store.journal import Journal

NOW = 1_800_000_000.0
DAY_S = 86_400.0


def _recorded(seq: int) -> JournalRow:
    return JournalRow(
        charger="CP1", seq=seq, epoch=1, message_id=f"m{seq}", lane=Lane.TRANSACTION, version="ocpp1.6",
        action="StopTransaction", raw=b"{}", answer=b"{}", received_at=NOW, clock_trusted=True,
        state=RowState.RECORDED,
    )  # fmt: skip


@pytest.fixture
def clock():
    return [NOW]


@pytest.fixture
async def journal(tmp_path: Path, clock):
    journal = await Journal.open(
        tmp_path / "store", retention_s=100 * DAY_S, reserve_bytes=0, wall=lambda: clock[0]
    )
    await journal.commit([Append(_recorded(seq)) for seq in range(1, 6)])
    yield journal
    await journal.close()


async def _settled(journal: Journal) -> int:
    return (await journal.counts()).settled


async def _an_hour_passes(journal: Journal, clock, steps: int = 1) -> None:
    for _ in range(steps):
        clock[0] += caretaker.PRUNE_EVERY_S
        await journal._caretaker.tend(caretaker.PRUNE_EVERY_S)


async def test_fault_65_a_clock_thrown_into_the_future_deletes_nothing(journal, clock):
    await _an_hour_passes(journal, clock)
    clock[0] += 26 * 365 * DAY_S
    await _an_hour_passes(journal, clock, steps=3)
    assert await _settled(journal) == 5


async def test_a_clock_that_was_wrong_from_the_start_deletes_nothing_at_once(journal, clock):
    clock[0] += 26 * 365 * DAY_S
    await _an_hour_passes(journal, clock)
    assert await _settled(journal) == 5


async def test_an_even_clock_deletes_what_is_too_old(journal, clock):
    await _an_hour_passes(journal, clock, steps=24 * 102)
    assert await _settled(journal) == 1  # never the newest row of a charger
