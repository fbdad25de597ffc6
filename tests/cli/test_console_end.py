"""However the console is ended, the terminal is as it was."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import sys
import termios
from pathlib import Path

import pytest

from tests.e2e.children import DEADLINE_S, ending

OTHER_SCREEN, OWN_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"


async def console(there: int, folder: Path) -> asyncio.subprocess.Process:
    """With that end of a terminal, which is closed here."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edgegw", "console", "--socket", str(folder / "none")),
        stdin=there,
        stdout=there,
        stderr=there,
        env={**os.environ, "TERM": "xterm-256color", "XDG_STATE_HOME": str(folder)},
    )
    os.close(there)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_who_ends_it_gets_the_terminal_back(tmp_path: Path, number: signal.Signals) -> None:
    here, there = os.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    written, shown, over = bytearray(), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def reads() -> None:
        try:
            block = os.read(here, 65_536)
        except OSError:  # the last one who had it open is gone
            block = b""
        written.extend(block)
        if b"Help" in written:
            shown.set()
        if not block:
            loop.remove_reader(here)
            over.set()

    process = await console(there, tmp_path)
    loop.add_reader(here, reads)
    async with ending(process):
        await asyncio.wait_for(shown.wait(), 3 * DEADLINE_S)
        assert OTHER_SCREEN in written
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), DEADLINE_S) == 0, bytes(written[-500:])
    await over.wait()
    os.close(here)
    assert OWN_SCREEN in written
    assert b"Traceback" not in written


async def test_it_does_not_outlive_its_terminal(tmp_path: Path) -> None:
    here, there = os.openpty()
    process = await console(there, tmp_path)
    async with ending(process):
        written = b""
        while b"Help" not in written:
            written += await asyncio.to_thread(os.read, here, 65_536)
        os.close(here)
        await asyncio.wait_for(process.wait(), DEADLINE_S)
