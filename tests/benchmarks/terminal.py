"""What the console costs in its own process: a refresh, its start, its memory.

Rules of this file:
- The console is the real one, `edgegw console` in a pseudo terminal of 160 x 50, in front of a real gateway
  whose chargers say something new every second; only memory is measured on made-up pictures, because
  thousands of them must come faster than people would see them.
- A refresh is one picture on the screen: everything between two of them counts, the stream included.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from edgegw.tui.link import SHOWN_PER_S
from tests.benchmarks import console, gauges
from tests.benchmarks.bench import Bench
from tests.benchmarks.report import Row
from tests.e2e.gateway import GatewayProcess

ROWS, COLUMNS = 50, 160
REFRESH_BAR_MS, START_BAR_S, GROWTH_BAR_KIB = 20.0, 1.0, 256.0
DEADLINE_S = 30.0
FIRST_PICTURE = b" chargers"  # of the line above, which stands only when a picture is there


async def measure(bench: Bench) -> list[Row]:
    gateway = await bench.gateway("terminal", None, console.STANDALONE)
    chargers = await console._charging(gateway.url, bench.some(console.CHARGERS, console.CHARGERS // 5))
    try:
        rows = [await _start(bench, gateway), await _refresh(bench, gateway, chargers)]
    finally:
        console.hang_up(chargers)
        await gateway.terminate()
    return [*rows, await _memory(bench)]


# --- start ------------------------------------------------------------------------------------------


async def _start(bench: Bench, gateway: GatewayProcess) -> Row:
    taken, busy = [], []
    for round_ in range(bench.some(7, 3)):
        bench.say(f"terminal: start {round_ + 1}")
        began = time.perf_counter()
        async with in_terminal(gateway) as screen:
            await screen.until(FIRST_PICTURE)
            taken.append(time.perf_counter() - began)
            busy.append(gauges.turns(screen.pid))
    waited = gauges.Turns(sum(one.ran_s for one in busy), sum(one.waited_s for one in busy))
    detail = (
        f"{min(taken):.2f} to {max(taken):.2f} s, process start included;"
        f" {waited.ran_s / len(busy):.2f} s of CPU, {waited.text}"
    )
    return Row("console: start to first picture", gauges.middle(taken), "s", "at most", START_BAR_S, detail)


# --- one refresh ------------------------------------------------------------------------------------


async def _refresh(bench: Bench, gateway: GatewayProcess, chargers: list[Any]) -> Row:
    costs = []
    lasts_s = float(bench.some(10, 4))
    async with in_terminal(gateway) as screen:
        await screen.until(FIRST_PICTURE)
        screen.press("2")
        await console._share(gateway, chargers, 3.0)  # settled
        for round_ in range(bench.some(5, 2)):
            bench.say(f"terminal: round {round_ + 1}: {len(chargers)} chargers change each second")
            before, began = gauges.cpu_s(screen.pid), time.perf_counter()
            await console._share(gateway, chargers, lasts_s)
            refreshes = (time.perf_counter() - began) * SHOWN_PER_S
            costs.append((gauges.cpu_s(screen.pid) - before) / refreshes * 1e3)
    share = gauges.middle(costs) * SHOWN_PER_S / 10
    detail = (
        f"{min(costs):.1f} to {max(costs):.1f} ms; {share:.1f} % of a core at {SHOWN_PER_S:g} refreshes/s"
    )
    what = f"console: CPU of a refresh, {len(chargers)} chargers, all new every second, {COLUMNS}x{ROWS}"
    return Row(what, gauges.middle(costs), "ms", "at most", REFRESH_BAR_MS, detail)


class Screen:
    """A program in a pseudo terminal; what it draws is read and thrown away."""

    def __init__(self, process: asyncio.subprocess.Process, handle: int) -> None:
        self.pid = process.pid
        self._handle = handle
        self._seen = b""
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(handle, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._handle, 2**16)
        except OSError:  # Linux: the other end is closed
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._handle)
        self._seen = (self._seen + data)[-(2**16) :]
        self._news.set()

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while text not in self._seen:
                self._news.clear()
                await self._news.wait()

    def press(self, keys: str) -> None:
        os.write(self._handle, keys.encode())


@asynccontextmanager
async def in_terminal(gateway: GatewayProcess) -> AsyncIterator[Screen]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    words = ["-m", "edgegw", "console", "--socket", str(gateway.folder / "store" / "edgegw.sock")]
    environment = {**os.environ, "TERM": "xterm-256color", "XDG_STATE_HOME": str(gateway.folder)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    screen = Screen(process, ours)
    try:
        yield screen
    finally:
        screen.press("q")
        try:
            await asyncio.wait_for(process.wait(), DEADLINE_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            asyncio.get_running_loop().remove_reader(ours)
            os.close(ours)


# --- memory -----------------------------------------------------------------------------------------


async def _memory(bench: Bench) -> Row:
    """In a process of its own: `python -m tests.benchmarks.terminal_memory`."""
    refreshes = bench.some(5000, 600)
    bench.say(f"terminal: {refreshes} refreshes")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.benchmarks.terminal_memory",
        str(refreshes),
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    after_tenth, after_all, cost_ms = (float(word) for word in told.split())
    growth_kib = (after_all - after_tenth) / 1024
    detail = f"{after_tenth / 2**20:.1f} to {after_all / 2**20:.1f} MiB resident; {cost_ms:.1f} ms each"
    what = f"console: memory after {refreshes} refreshes of 500 chargers, less that after a tenth of them"
    return Row(what, growth_kib, "KiB", "at most", GROWTH_BAR_KIB, detail)
