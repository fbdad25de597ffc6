"""`edgegw demo` as a newcomer runs it: the whole story, and Ctrl-C in the middle of it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

DEMO = (sys.executable, "-m", "edgegw", "demo", "--plain", "--chargers", "3", "--pace", "0.1")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: the path of a Unix socket has 107 bytes, and pytest's own folders are long."""
    with tempfile.TemporaryDirectory(prefix="dm") as name:
        yield Path(name)


async def _start(folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *DEMO,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
        start_new_session=True,
    )


def _processes_that_name(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if entry.name.isdecimal() and os.fsencode(folder) in line:
            found.append(line.replace(b"\0", b" ").decode())
    return found


async def test_the_demo_ends_with_ledgers_that_agree(folder: Path):
    demo = await _start(folder)
    out, err = await asyncio.wait_for(demo.communicate(), 100)
    assert demo.returncode == 0, err.decode()
    assert "kill -9" in out.decode()
    assert "the ledgers agree" in out.decode()
    assert os.listdir(folder) == []


async def test_ctrl_c_leaves_nothing_running(folder: Path):
    demo = await _start(folder)
    assert demo.stdout is not None
    while b"dial the gateway" not in (line := await asyncio.wait_for(demo.stdout.readline(), 60)):
        assert line, "it ended before the story began"
    assert _processes_that_name(folder)
    os.killpg(demo.pid, signal.SIGINT)
    _, err = await asyncio.wait_for(demo.communicate(), 30)
    assert demo.returncode == 130, err.decode()
    assert _processes_that_name(folder) == []
    assert os.listdir(folder) == []
