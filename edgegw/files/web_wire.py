"""What a web server may send besides the file: aiohttp's connection, with its bytes counted.

Rules of this file:
- aiohttp limits one header and the headers of one answer, not how many "100 Continue" come before it, and
  neither chunk extensions nor chunks of one byte nor trailers. Those are counted here.
- What comes before the answer is parsed in pieces, so that a flood of it is noticed within milliseconds.
- The time of all this is bounded elsewhere: for the head by whoever asks, for the body by its `Pace`.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader

HEAD_BYTES_MAX: Final = 64 * 1024  # of one answer with all interim ones; usual are less than 2,000
PIECE_BYTES: Final = 8 * 1024
# Around a body: a server that sends 16 bytes per chunk needs less than half as much again.
WRAPPING_BYTES_MAX: Final = 1024 * 1024  # more than the connection may hold back unparsed
WRAPPING_PART_MAX: Final = 0.5


class Rambling(aiohttp.ClientError):
    """The server sends what is no answer, or no file, without end. The text is for people."""


class CountedConnector(aiohttp.TCPConnector):
    """A connector whose connections are `_Counted`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._factory = functools.partial(
            cast(type[ResponseHandler], _Counted), loop=asyncio.get_running_loop()
        )


class _Counted(ResponseHandler):
    _file: StreamReader | None = None  # None: its head is still coming
    _came_bytes = 0  # of the head, then of the body

    def set_response_params(self, **params: Any) -> None:
        """A request was sent."""
        self._file, self._came_bytes = None, 0
        super().set_response_params(**params)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """The parser has a head, interim or not."""
        message, file = data
        if message.code >= 200:
            self._file, self._came_bytes = file, 0
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        at = 0
        while self._file is None and at < len(data) and self.transport is not None:
            piece = data[at : at + PIECE_BYTES]
            at += len(piece)
            self._came_bytes += len(piece)
            if self._came_bytes > HEAD_BYTES_MAX:
                self._ramble("the headers of its answer have no end")
                return
            super().data_received(piece)
        if at < len(data) and self.transport is not None:
            self._came_bytes += len(data) - at
            super().data_received(data[at:])
            self._check_wrapping()
        elif not data:
            super().data_received(data)  # aiohttp goes on with what it has put off

    def _check_wrapping(self) -> None:
        if self._file is None:
            return
        file_bytes = self._file.total_bytes
        if self._came_bytes - file_bytes > WRAPPING_BYTES_MAX + file_bytes * WRAPPING_PART_MAX:
            self._ramble("it sends more around the file than of the file")

    def _ramble(self, why: str) -> None:
        error = Rambling(why)
        self.set_exception(error)
        if self._file is not None:
            self._file.set_exception(error)
        self._payload = None  # else the end of the connection would overwrite the reason
        if self.transport is not None:
            self.transport.abort()
