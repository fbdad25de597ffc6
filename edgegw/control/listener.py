"""uvicorn inside somebody else's loop: it takes no signal, reads no environment and does not tick.

`uvicorn.Server` is made for a process of its own. Of its public methods three are replaced here: the
signal handlers (the composition root has them), the start (to say when the door is open) and the main
loop (ten ticks a second for a Date header nobody needs).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from edgegw import __version__
from edgegw.runtime.tasks import Tasks

VERSION_HEADER = "edgegw-version"
CONNECTIONS_MAX = 100
FINISH_WITHIN_S = 1  # requests under way when the box stops


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.open = asyncio.Event()
        self.stop_wanted = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.open.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)  # prepares the headers of every answer
        await self.stop_wanted.wait()


class Listener:
    """One door: a bound socket and the application behind it."""

    def __init__(self, app: Any, door: socket.socket, tasks: Tasks) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            loop="none",
            http="h11",
            ws="none",
            interface="asgi3",
            proxy_headers=False,
            server_header=False,
            date_header=False,
            headers=[(VERSION_HEADER, __version__)],
            limit_concurrency=CONNECTIONS_MAX,
            timeout_graceful_shutdown=FINISH_WITHIN_S,
        )
        self._server = _Server(config)
        self._door = door
        self._tasks = tasks
        self._serving: asyncio.Task[None] | None = None

    async def start(self, name: str) -> None:
        """Returns when the door is open. Raises what kept it shut."""
        self._serving = self._tasks.spawn(self._server.serve([self._door]), name)
        opened = self._tasks.spawn(self._server.open.wait(), f"{name} opens")
        await asyncio.wait([self._serving, opened], return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if self._serving.done():
            await self._serving

    async def stop(self) -> None:
        """Requests under way get FINISH_WITHIN_S to end."""
        self._server.should_exit = True
        self._server.stop_wanted.set()
        if self._serving is not None:
            await asyncio.wait([self._serving])
