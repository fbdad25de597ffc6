"""Every write and every sync fails once, at each of the first positions (fault 59)."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from functools import cache

import pytest

from tests.store.rig import opened
from tests.torture.store_rig import Writer, lost

POSITIONS = 20
CHARGERS, ROWS = 3, 16


@cache
def why_not() -> str:
    if not shutil.which("strace"):
        return "strace is not installed"
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO:when=1", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


@pytest.mark.parametrize("first", range(1, POSITIONS + 1, 4))
@pytest.mark.parametrize(
    ("call", "error"), [("fdatasync", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "ENOSPC")]
)
async def test_fault_59_no_row_is_acknowledged_that_is_not_there(tmp_path, call, error, first):
    if reason := why_not():
        pytest.skip(f"no injected errors here: {reason}")
    for position in range(first, first + 4):
        await one(tmp_path / str(position), call, error, position)


async def one(directory, call: str, error: str, position: int) -> None:
    inject = f"inject={call}:error={error}:when={position}"
    async with opened(directory):
        pass  # the store is there: the errors hit its use and not its making
    under = ["strace", "-f", "-qq", "-o", str(directory) + ".trace", "-e", f"trace={call}", "-e", inject]
    writer = Writer(directory, chargers=CHARGERS, rows=ROWS, under=under)
    code, text = await asyncio.to_thread(writer.end)
    trace = directory.with_name(directory.name + ".trace").read_text()
    assert "INJECTED" in trace, "the position was never reached"
    assert "Traceback" not in text, text
    assert code in (0, 3), text
    assert code == 3 or len(writer.acknowledged) == CHARGERS * ROWS
    rows_lost, _ = await lost(directory, writer.acknowledged)  # whatever happened, the next start works
    assert not rows_lost


async def test_fault_63_a_slow_disk_makes_answers_slow_and_nothing_else(tmp_path):
    if reason := why_not():
        pytest.skip(f"no slow disk here: {reason}")
    under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]
    slow = [*under, "-e", "inject=fdatasync:delay_enter=200000"]
    writer = Writer(tmp_path / "store", chargers=20, rows=3, under=slow)
    code, text = await asyncio.to_thread(writer.end)
    assert (code, text) == (0, "")
    assert len(writer.acknowledged) == 60
    assert await lost(tmp_path / "store", writer.acknowledged) == (set(), [])
