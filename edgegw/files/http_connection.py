"""One socket of the HTTP door: aiohttp under our limits.

Rules of this file:
- A head must be complete within the idle time and is small; sockets are counted.
- A socket is nobody's for ever: who takes an answer drop by drop is cut, also when it is closed on our side.
- What a peer sends wrong is answered without repeating it, and nothing of it stays in memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, cast

from aiohttp import web

from edgegw.files.dead_peers import give_up_after, socket_of
from edgegw.files.doors import DoorSettings
from edgegw.files.http_upload import answer_of

log = logging.getLogger(__name__)

LINE_BYTES_MAX: Final = 4096  # the longest of our own addresses has 512 characters
HEADERS_MAX: Final = 64
LINGER_S: Final = 3.0  # a refused upload is read on for so long, so that the charger sees the answer


class _Connection(web.RequestHandler):
    """One socket. Its errors are answered in two words and logged in one line."""

    _watch: asyncio.TimerHandle | None = None
    _turns = 0  # of the write buffer from room to none and back

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        server = self._manager
        if not isinstance(server, DoorServer):
            return
        give_up_after(socket_of(transport), server.stall_timeout_s)
        self._look_later(transport, server.stall_timeout_s, None)
        if len(server.connections) > server.connections_max:
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        self._turns += 1
        super().pause_writing()

    def resume_writing(self) -> None:
        self._turns += 1
        super().resume_writing()

    def _look_later(self, transport: asyncio.BaseTransport, wait_s: float, seen: object) -> None:
        self._watch = asyncio.get_running_loop().call_later(wait_s, self._look, transport, wait_s, seen)

    def _look(self, transport: asyncio.BaseTransport, wait_s: float, seen: object) -> None:
        """Nobody keeps a socket by taking an answer drop by drop, also when it is closed on our side."""
        waits = transport.is_closing() or self.writing_paused
        now = (transport.is_closing(), self._turns) if waits else None
        if waits and now == seen:
            cast(asyncio.Transport, transport).abort()
        else:
            self._look_later(transport, wait_s, now)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        for message, _ in self._messages:
            if isinstance(fault := getattr(message, "exc", None), BaseException):
                # A refused head lives in its traceback, which refers to itself: until a collection, which
                # this process makes seldom.
                fault.with_traceback(None).__context__ = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500 and exc is not None:
            log.error("a request from %s failed", request.remote, exc_info=exc)
        else:
            log.debug("bad request from %s", request.remote)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        response = answer_of(status, "bad request" if status < 500 else "error")
        response.force_close()
        return response


class DoorServer(web.Server):
    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        settings: DoorSettings,
    ) -> None:
        super().__init__(handler)
        self.connections_max = settings.connections_max
        self.stall_timeout_s = settings.stall_timeout_s
        self._idle_timeout_s = settings.idle_timeout_s

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._idle_timeout_s,
            access_log=None,  # type: ignore[arg-type]  # as documented
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            max_headers=HEADERS_MAX,
            lingering_time=LINGER_S,
            auto_decompress=False,
        )
