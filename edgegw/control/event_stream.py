"""Server-sent events (HTML standard 9.2) over plain ASGI: how long streams are held, ended and kept apart.

Rules of this file:
- A block is sent when the one before has left for the socket. So nothing queues up for a slow client: whoever
  makes the blocks is asked for the next one when there is room, and leaves out what is old by then.
- A client that takes nothing for STUCK_S is let go, and so is everybody when the box stops.
- At most SEATS at once: each costs memory and a share of every change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edgegw.control.problem import Problem
from edgegw.runtime.tasks import Tasks

SEATS = 16
STUCK_S = 60.0
COMMENT_EVERY_S = 5.0
PIECE_BYTES = 64 * 1024  # as much as the socket's buffer holds before it makes us wait

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
QUIET = b": nothing new\n\n"


def event(name: str, data: bytes) -> bytes:
    """`data` is one line."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


class Seats:
    """Who may listen at once, all streams together."""

    def __init__(self, count: int = SEATS) -> None:
        self.taken = 0
        self._count = count

    @contextmanager
    def one(self) -> Iterator[None]:
        """Raises Problem 503 too_many_streams."""
        if self.taken >= self._count:
            text = f"{self._count} streams are open already: close a console or a --follow, and try again"
            raise Problem(503, "too_many_streams", text)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class EventStream(Response):
    """What `blocks()` yields, until it ends, the client goes, or it takes nothing any more.

    The seat is taken at once: a refusal is an answer and no stream.
    """

    media_type = "text/event-stream"

    def __init__(self, blocks: Callable[[], AsyncGenerator[bytes, None]], seats: Seats) -> None:
        super().__init__(headers=HEADERS, media_type=self.media_type)
        del self.headers["content-length"]
        self._blocks = blocks
        self._seat = seats.one()
        self._seat.__enter__()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tasks = Tasks()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            sending = tasks.spawn(self._send(send), "event stream")
            leaving = tasks.spawn(_gone(receive), "event stream until its client goes")
            await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await tasks.cancel()
            self._seat.__exit__(None, None, None)

    async def _send(self, send: Send) -> None:
        try:
            async with aclosing(self._blocks()) as blocks:
                async for block in blocks:
                    for first in range(0, len(block), PIECE_BYTES):
                        async with asyncio.timeout(STUCK_S):
                            await _piece(send, block[first : first + PIECE_BYTES], more=True)
            async with asyncio.timeout(STUCK_S):
                await _piece(send, b"", more=False)
        except (TimeoutError, OSError):
            return  # it takes nothing any more, or is gone: the connection is closed behind us


async def _piece(send: Send, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
