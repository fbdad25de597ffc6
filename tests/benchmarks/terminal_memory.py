"""`python -m tests.benchmarks.terminal_memory REFRESHES`: resident bytes after a tenth and after all of them,
and milliseconds of CPU of each. 500 made-up chargers, all new every time, on the chargers screen."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time

from edgegw.tui.app import Console
from tests.benchmarks import gauges
from tests.tui.made_up import many, snapshot
from tests.tui.stage import OnStage, Stage

PICTURES = 20


async def main(refreshes: int) -> None:
    pictures = [snapshot(many(500, step)) for step in range(PICTURES)]
    app = Console(OnStage.of(Stage(pictures[:1])))
    async with app.run_test(size=(160, 50)) as pilot:
        while app.snapshot is None:
            await pilot.pause(0.01)
        await pilot.press("2")
        sizes = []
        began = time.process_time()
        for number in range(refreshes):
            app._on_snapshot(pictures[number % PICTURES])
            await pilot.pause()
            if number in (refreshes // 10, refreshes - 1):
                gc.collect()
                sizes.append(gauges.rss_bytes(os.getpid()))
        cost_ms = (time.process_time() - began) / refreshes * 1e3
    print(*sizes, cost_ms)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
