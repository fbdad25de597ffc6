"""Blocking work in threads, and those who wait for it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edgegw.files.disk import Disk
from tests.files.doorstep import DEADLINE_S


async def test_nobody_closes_a_file_under_a_thread_however_often_he_is_cancelled():
    disk, begun, may_end = Disk(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert may_end.wait(DEADLINE_S)

    waiter = asyncio.ensure_future(disk.run(work))
    try:
        await asyncio.to_thread(begun.wait, DEADLINE_S)
        for _ in range(3):
            waiter.cancel()
            await asyncio.wait((waiter,), timeout=0.01)
            assert not waiter.done()
    finally:
        may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    disk.close()
