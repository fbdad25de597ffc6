"""`python -m tests.benchmarks`: every bar of the design that applies to the gateway, measured in one run.

Progress goes to stderr, the table (or `--json`) to stdout. Exit code 0 whether bars are kept or missed:
a shared machine decides too much of that; 1 when a benchmark could not be run.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from tests.benchmarks import (
    allocation,
    away,
    console,
    day_bars,
    files,
    memory,
    mqtt,
    neighbours,
    recorder,
    relay,
    replay,
    report,
    start,
    steering,
    terminal,
)
from tests.benchmarks.bench import Bench, MissingTool
from tests.benchmarks.report import Row
from tests.e2e.children import Children

ALL: dict[str, Callable[[Bench], Awaitable[list[Row]]]] = {
    "relay": relay.measure,
    "recorder": recorder.measure,
    "neighbours": neighbours.measure,
    "memory": memory.measure,
    "away": away.measure,
    "replay": replay.measure,
    "start": start.measure,
    "allocation": allocation.measure,
    "steering": steering.measure,
    "files": files.measure,
    "mqtt": mqtt.measure,
    "console": console.measure,
    "terminal": terminal.measure,
    "day": day_bars.measure,
}
BUILD = Path(__file__).parents[2] / "build"  # on the disk of the checkout: /tmp may be memory


def main() -> int:
    options = _options()
    _raise_file_limit()
    gc.freeze()
    gc.disable()  # of the load generator; the gateway runs as it is
    BUILD.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD) as folder:
            rows = uvloop.run(_run(options, Path(folder)))
    except MissingTool as missing:
        print(f"benchmarks: {missing}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"machine": report.machine(), "rows": report.as_json(rows)}, indent=1))
    else:
        print(f"{report.table(rows)}\n\n{report.machine()}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(ALL), help="may be given more than once")
    parser.add_argument("--quick", action="store_true", help="fewer rounds; the figures mean less")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _raise_file_limit() -> None:
    """1,000 chargers are 1,000 files here and 2,000 in the gateway, which inherits this."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _run(options: argparse.Namespace, folder: Path) -> list[Row]:
    rows: list[Row] = []
    began = asyncio.get_running_loop().time()
    for name in options.only or ALL:
        place = folder / name
        place.mkdir()
        children = Children(place)
        bench = Bench(place, children, options.quick, began=began)
        try:
            rows += await ALL[name](bench)
        finally:
            await children.close()
    return rows


if __name__ == "__main__":
    sys.exit(main())
