"""uvicorn inside somebody else's loop: it takes no signal, reads no environment and does not tick.

`uvicorn.Server` is made for a process of its own. Of its public methods three are replaced here: the
signal handlers (the composition root has them), the start (to say when the door is open) and the main
loop (ten ticks a second for a Date header nobody needs).
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from edgegw import __version__
from edgegw.runtime.tasks import Tasks

VERSION_HEADER = "edgegw-version"
CONNECTIONS_MAX = 100
HEAD_WITHIN_S = 10.0  # a connection that asks nothing by then gives its place to others
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


class _Impatient(H11Protocol):
    """Closes a connection that has asked nothing for HEAD_WITHIN_S.

    uvicorn waits for ever for the end of a head, also without a token: a hundred of them shut the door.
    """

    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_later(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What was no HTTP lives in a traceback that refers to itself, until a collection: seldom."""
        refused = sys.exception()
        if refused is not None:
            refused.with_traceback(None).__context__ = None
        super().send_400_response(msg)

    def _look_later(self, seen: object) -> None:
        self._watch = self.loop.call_later(HEAD_WITHIN_S, self._look, seen)

    def _look(self, seen: object) -> None:
        """`seen`: the request that was the newest at the last look."""
        request: RequestResponseCycle | None = self.cycle
        if request is seen and (request is None or request.response_complete):
            self.transport.close()
        else:
            self._look_later(request)


class Listener:
    """One door: a bound socket and the application behind it."""

    def __init__(self, app: Any, door: socket.socket, tasks: Tasks) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            loop="none",
            http=_Impatient,
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
