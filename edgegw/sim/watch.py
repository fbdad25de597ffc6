"""Wait for a condition instead of sleeping: looked at again after each thing that happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

PATIENCE_S: Final = 30.0  # for what takes milliseconds: a busy machine is no failure


class Watch:
    """Base of the simulated devices. They call `_happened` whenever something about them changed."""

    def __init__(self) -> None:
        self._watchers: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self.failure: BaseException | None = None  # a bug of the simulator ended one of its tasks

    async def wait_for(self, condition: Callable[[], bool], timeout_s: float | None = PATIENCE_S) -> None:
        """Until `condition()` holds. Raises TimeoutError, or the device's own failure."""
        if self.failure is not None:
            raise self.failure
        if condition():
            return
        watcher = (condition, asyncio.get_running_loop().create_future())
        self._watchers.append(watcher)
        try:
            # Not asyncio.wait_for: before Python 3.12 it may swallow the cancellation of a device's task.
            async with asyncio.timeout(timeout_s):
                await watcher[1]
        finally:
            self._watchers.remove(watcher)

    def fail(self, error: BaseException | None) -> None:
        """Hand a failure to everybody who waits."""
        self.failure = error
        for _, done in self._watchers:
            if not done.done() and error is not None:
                done.set_exception(error)

    def _happened(self) -> None:
        for condition, done in self._watchers:
            if not done.done() and condition():
                done.set_result(None)


def settle(future: asyncio.Future[Any]) -> None:
    """Nobody waits for this any more: cancel it, or take its exception so that nobody complains."""
    if not future.cancel() and not future.cancelled():
        future.exception()
