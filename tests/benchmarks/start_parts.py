"""The steps of `edgegw run` with a clock between them: `python -m tests.benchmarks.start_parts SITE_FILE`.

Prints seconds per step as JSON and ends.
"""

from __future__ import annotations

import sys
import time

_BEGAN = time.perf_counter()  # before the first import of the gateway

import json  # noqa: E402
from pathlib import Path  # noqa: E402


class Watch:
    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._last = _BEGAN

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.parts[name] = self.parts.get(name, 0.0) + now - self._last
        self._last = now


async def _start(path: Path, watch: Watch) -> None:
    from edgegw import app as room
    from edgegw import config as site_file
    from edgegw.store.journal import Journal

    watch.lap("imports")
    config = site_file.load(path)
    watch.lap("site file")

    class Timed(Journal):
        async def recover(self, *arguments: object, **named: object):
            watch.lap("store")
            try:
                return await super().recover(*arguments, **named)
            finally:
                watch.lap("read")

    room.Journal = Timed
    app = room.App(config)
    recover = room.Gateway.recover

    def timed(self, recovery) -> None:
        recover(self, recovery)
        watch.lap("recover")

    room.Gateway.recover = timed
    try:
        await app.start()
        watch.lap("doors")
        await app.start_control()
        watch.lap("local API")
    finally:
        await app.stop()


def main() -> None:
    import uvloop

    watch = Watch()
    uvloop.run(_start(Path(sys.argv[1]), watch))
    watch.parts["recover"] += watch.parts.pop("read")
    print(json.dumps(watch.parts))


if __name__ == "__main__":
    main()
