"""Named, supervised tasks: the only place that starts one.

A task that ends with an exception is a bug: it is logged once with its name, and counted, never lost
with the garbage collector.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)

CANCEL_AGAIN_S = 0.5


class Tasks:
    """The running tasks of one owner; `cancel` ends them all."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("task %s failed", task.get_name(), exc_info=task.exception())

    async def cancel(self) -> None:
        """End them all. A cancellation that a library swallowed on its way is said again."""
        while self._running:
            for task in self._running:
                task.cancel()
            await asyncio.wait(tuple(self._running), timeout=CANCEL_AGAIN_S)
