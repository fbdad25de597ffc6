"""Tasks end when their owner does, whatever stands between."""

from __future__ import annotations

import asyncio
import contextlib

from edgegw.runtime import tasks
from edgegw.runtime.tasks import Tasks


async def test_a_cancellation_that_is_swallowed_is_said_again(monkeypatch):
    """asyncssh lost one in a connect that failed at the same instant: the forwarder never ended."""
    monkeypatch.setattr(tasks, "CANCEL_AGAIN_S", 0.001)
    began = asyncio.Event()
    swallowed = 0

    async def deaf() -> None:
        nonlocal swallowed
        began.set()
        while swallowed < 3:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            swallowed += 1
        await asyncio.Event().wait()

    owned = Tasks()
    task = owned.spawn(deaf(), "deaf")
    await began.wait()
    async with asyncio.timeout(30):
        await owned.cancel()
    assert task.cancelled()
    assert swallowed == 3


async def test_one_that_ends_by_itself_meanwhile_is_no_trouble():
    owned = Tasks()
    owned.spawn(asyncio.sleep(0), "short")
    owned.spawn(asyncio.Event().wait(), "long")
    async with asyncio.timeout(30):
        await owned.cancel()
        await owned.cancel()
