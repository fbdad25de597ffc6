"""Pictures of the console: the text on the terminal, compared with files in `tests/tui/pictures`.

`EDGEGW_PICTURES=write pytest tests/tui/test_pictures.py` makes them anew; look at the difference before you
keep them. Pictures are of made-up sites (`tests.tui.made_up`), so that they never change by themselves.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from edgegw.control.live_models import Snapshot
from edgegw.tui.app import Console
from tests.tui.lists_site import NARROW, Looking
from tests.tui.stage import OnStage, Stage

PICTURES = Path(__file__).with_name("pictures")
WRITES = "EDGEGW_PICTURES"


@asynccontextmanager
async def on_stage(
    *pictures: Snapshot, size: tuple[int, int] = NARROW, operator: bool = True, stage: Stage | None = None
) -> AsyncIterator[tuple[Looking, Stage]]:
    """A console in front of a made-up gateway, with its first picture."""
    stage = stage if stage is not None else Stage(list(pictures))
    app = Console(OnStage.of(stage, operator=operator))
    async with app.run_test(size=size) as pilot:
        looking = Looking(app, pilot)
        await looking.until(lambda: app.snapshot is not None, "the first picture")
        await looking.pilot.pause()
        yield looking, stage


async def shot(name: str, picture: Snapshot, keys: Sequence[str], size: tuple[int, int] = NARROW) -> str:
    """The terminal after these keys; written to its file, or what is in the file for comparison."""
    async with on_stage(picture, size=size) as (looking, _):
        for key in keys:
            await looking.press(key)
            await looking.until(lambda: not _questions(looking), "the answers")
            await looking.pilot.pause()
        await looking.pilot.pause()
        return await compared(name, looking)


def _questions(looking: Looking) -> list[str]:
    """What is still asked of the gateway."""
    running = [worker for worker in looking.app.workers if not worker.is_finished]
    asked = (worker for worker in running if worker.name not in ("link", "keys"))
    return [worker.group for worker in asked if worker.group != "tail"]


async def compared(name: str, looking: Looking) -> str:
    """The picture, once it is on the terminal: it is laid out step by step. Raises AssertionError."""
    path = PICTURES / f"{name}.txt"
    if os.environ.get(WRITES) == "write":
        PICTURES.mkdir(exist_ok=True)
        path.write_text(_lines(looking), "utf-8")
    assert path.is_file(), f"no picture {path}: make it with {WRITES}=write"
    picture = path.read_text("utf-8")
    await looking.until(
        lambda: _lines(looking) == picture, f"as in {path.name}; if not, {WRITES}=write makes it anew"
    )
    return picture


def _lines(looking: Looking) -> str:
    """Without blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in looking.text.splitlines()) + "\n"
