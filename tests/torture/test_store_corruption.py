"""Bits that flip and logs that end early: what changed is noticed, always (fault 61)."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from edgegw.core.records import Append, JournalRow, Lane, RowState, Settle
from tests.store.rig import opened, row

FLIPS, CUTS = 200, 60
SHARES = 10
ROWS = 60

Rows = dict[tuple[str, int], JournalRow]


async def filled(directory: Path) -> Rows:
    async with opened(directory) as it:
        for n in range(1, ROWS + 1):
            lane = Lane.STATUS if n % 7 == 0 else Lane.TRANSACTION
            await it.journal.commit([Append(row(f"CP{n % 3}", n, lane=lane))])
        done = [Settle(charger=f"CP{n % 3}", seq=n, state=RowState.DELIVERED) for n in range(1, 20)]
        await it.journal.commit([*done, Settle(charger="CP2", seq=20, state=RowState.PARKED)])
        return await it.all_rows()


async def compare(directory: Path, before: Rows) -> tuple[bool, bool]:
    """(whether rows are missing, whether anybody was told). A row that changed fails the test here."""
    async with opened(directory) as it:
        recovery = await it.journal.recover()
        waiting = {}
        for about in recovery.chargers:
            found = await it.journal.rows(about.charger, after_seq=0, limit=1000)
            waiting |= {(r.charger, r.seq): r for r in (*found, *about.stored_rows_head)}
        healthy = await it.journal.verify()
        rows = await it.all_rows()
        assert healthy or it.alarms
        for key, found in [*rows.items(), *waiting.items()]:
            assert found == before[key], f"{key} changed and was handed out"
        expected = {key for key, r in before.items() if r.state is RowState.STORED}
        missing = rows.keys() != before.keys() or not expected <= waiting.keys()
        return missing, bool(it.alarms)


@pytest.mark.parametrize("share", range(SHARES))
async def test_fault_61_a_flipped_bit_is_noticed_or_harmless(tmp_path, share):
    before = await filled(tmp_path / "store")
    content = (tmp_path / "store" / "edgegw.db").read_bytes()
    chance = random.Random(f"flips {share}")
    noticed = 0
    for number in range(FLIPS // SHARES):
        directory = tmp_path / str(number)
        shutil.copytree(tmp_path / "store", directory)
        at, bit = chance.randrange(len(content)), chance.randrange(8)
        flipped = bytearray(content)
        flipped[at] ^= 1 << bit
        (directory / "edgegw.db").write_bytes(flipped)
        missing, told = await compare(directory, before)
        assert told or not missing, f"bit {bit} of byte {at}: rows are missing and nobody was told"
        noticed += told
        shutil.rmtree(directory)
    assert noticed  # most flips of a full file are no matter of unused space


@pytest.mark.parametrize("share", range(4))
async def test_fault_61_a_log_that_ends_early_is_noticed(tmp_path, share):
    async with opened(tmp_path / "source") as it:
        for n in range(1, ROWS + 1):
            await it.journal.commit([Append(row(f"CP{n % 3}", n))])
        before = await it.all_rows()
        shutil.copytree(tmp_path / "source", tmp_path / "store")
    size = (tmp_path / "store" / "edgegw.db-wal").stat().st_size
    lost = 0
    for number in range(share, CUTS, 4):
        directory = tmp_path / str(number)
        shutil.copytree(tmp_path / "store", directory)
        os.truncate(directory / "edgegw.db-wal", size * number // CUTS)
        missing, told = await compare(directory, before)
        assert told or not missing, f"cut at {size * number // CUTS}: rows are missing and nobody was told"
        async with opened(directory) as it:
            seqs = sorted(seq for _, seq in await it.all_rows())
            assert seqs == list(range(1, len(seqs) + 1)), "not a prefix"
        lost += missing
        shutil.rmtree(directory)
    assert lost
