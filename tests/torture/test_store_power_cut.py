"""Power cuts: ext4 on a loop file; what the file holds at an instant is what a cut would leave (fault 58)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture.store_rig import Writer, lost

CUTS = 8
MIB = 1024 * 1024

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(600)]


def run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no power cuts here: {' '.join(map(str, command))}: {done.stderr.strip()}")


@contextlib.contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir()
    run("mount", "-o", "loop", image, at)
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A fresh ext4, mounted; its backing file is `disk.img` beside it."""
    if os.geteuid() != 0:
        pytest.skip("no power cuts here: mounting a loop file needs root")
    for tool in ("mkfs.ext4", "mount", "umount"):
        if not shutil.which(tool):
            pytest.skip(f"no power cuts here: {tool} is not installed")
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(48 * MIB)
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0", image)
    with mounted(image, tmp_path / "disk") as at:
        yield at


async def cut(disk: Path, number: int, writer: Writer) -> tuple[set[tuple[str, int]], list[str]]:
    """What is lost if the power goes at this instant."""
    writer.stop()
    writer.read_what_is_there()
    copy = disk.parent / f"cut{number}.img"
    await asyncio.to_thread(
        subprocess.run, ["cp", "--sparse=always", disk.parent / "disk.img", copy], check=True
    )
    with mounted(copy, disk.parent / f"cut{number}") as after:
        lock = after / "store" / "edgegw.lock"  # the power comes back with a new boot
        lock.write_text("\n".join([*lock.read_text().split("\n")[:2], "another boot", ""]))
        result = await lost(after / "store", set(writer.acknowledged))
    copy.unlink()
    writer.go_on()  # now, or it would be done before the last cut on a machine that is slow to look
    return result


async def cuts(disk: Path, *, unsafe: bool) -> list[tuple[set[tuple[str, int]], list[str]]]:
    chance = random.Random(58)
    writer = Writer(disk / "store", chargers=20, rows=1500, unsafe=unsafe)
    found = []
    try:
        for number in range(CUTS):
            wanted = len(writer.acknowledged) + chance.randint(1, 300)
            await asyncio.to_thread(writer.read, until=wanted)
            found.append(await cut(disk, number, writer))
    finally:
        writer.kill()
    return found


async def test_fault_58_a_power_cut_loses_no_acknowledged_row(disk):
    assert await cuts(disk, unsafe=False) == [(set(), [])] * CUTS


async def test_fault_58_control_without_syncs_rows_are_lost(disk):
    """If this passes with nothing lost, the test above proves nothing."""
    found = await cuts(disk, unsafe=True)
    assert sum(bool(rows) for rows, _ in found) >= CUTS / 2
