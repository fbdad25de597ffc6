"""A file system with no space left (fault 60)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.core.records import Append
from edgegw.errors import StoreFault, StoreFull
from tests.small_disk import fill, small_disk
from tests.store.rig import opened, row, until

pytestmark = pytest.mark.needs_root

KIB = 1024


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", 2) as at:
        yield at


async def test_fault_60_billing_rows_still_go_in_when_something_else_fills_the_disk(small):
    async with opened(small / "store", reserve_bytes=256 * KIB) as it:
        stored = 0
        await it.journal.commit([Append(row(seq=stored + 1))])
        junk = small / "diagnostics"
        fill(junk)
        try:
            for stored in range(2, 5000):
                await it.journal.commit([Append(row(seq=stored, raw=b"x" * 500))])
        except StoreFull:
            stored -= 1
        assert it.alarms.kinds[0] == "disk_full"
        assert stored > 10  # the reserve was used
        assert not (small / "store" / "edgegw.reserve").exists()
        assert len(await it.all_rows()) == stored
        with pytest.raises(StoreFull):
            await it.journal.commit([Append(row(seq=9000, raw=b"x" * 400_000))])

        junk.unlink()
        await it.journal.commit([Append(row(seq=9001, raw=b"x" * 100_000))])
        await until(lambda: "disk_recovered" in it.alarms.kinds)
        assert len(await it.all_rows()) == stored + 1
        assert await it.journal.verify()
        assert not it.broken
    async with opened(small / "store") as it:
        assert len(await it.all_rows()) == stored + 1
        assert not it.alarms


def make_read_only(at: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(at)], check=True)


async def test_fault_64_a_read_only_file_system_is_refused_with_what_to_do(small):
    async with opened(small / "store"):
        pass
    make_read_only(small)
    with pytest.raises(StoreFault, match="read-only: remount it read-write"):
        async with opened(small / "store"):
            pass


async def test_fault_64_somebody_elses_directory_is_refused_with_what_to_do(small):
    (small / "store").mkdir()
    os.chown(small / "store", 65534, 65534)
    with pytest.raises(StoreFault, match="belongs to user 65534 and edgegw runs as user 0; run: chown"):
        async with opened(small / "store"):
            pass
