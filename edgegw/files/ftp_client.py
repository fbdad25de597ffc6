"""What fetching and sending by FTP share: a client that dials one checked address, and errors in words."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import aioftp

from edgegw.files.addresses import Location
from edgegw.files.dead_peers import give_up_after, socket_of
from edgegw.files.source import socket_words

LINES_MAX: Final = 200  # some greet with the rules of the house
ANONYMOUS: Final = ("anonymous", "edgegw@")
# The library's answers to nonsense from a server, and uvloop's to a connection that is closed already.
GARBLED: Final = (EOFError, ValueError, IndexError, AttributeError, asyncio.LimitOverrunError, RuntimeError)
FAILURES: Final = (OSError, aioftp.AIOFTPException, *GARBLED)

# It writes user names and paths at DEBUG.
logging.getLogger("aioftp.client").setLevel(logging.WARNING)


class Rambling(aioftp.AIOFTPException):
    """An answer without end."""


class PinnedClient(aioftp.Client):
    """Opens every connection to one address, and closes what the library leaves open after an error.

    The library bounds the wait for one line of an answer, and a line; here all of an answer is bounded.
    """

    def __init__(self, address: str, *, connect_timeout_s: float, stall_timeout_s: float) -> None:
        super().__init__(socket_timeout=stall_timeout_s, connection_timeout=connect_timeout_s)
        self._address = address
        self._answer_s = connect_timeout_s + stall_timeout_s
        self._stall_s = stall_timeout_s
        self._lines_left = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def _open_connection(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(self.connection_timeout):
            reader, writer = await asyncio.open_connection(self._address, port)
        give_up_after(socket_of(writer.transport), self._stall_s)
        self._writers.append(writer)
        return reader, writer

    async def parse_response(self) -> tuple[aioftp.Code, list[str]]:
        self._lines_left = LINES_MAX
        async with asyncio.timeout(self._answer_s):
            return await super().parse_response()

    async def parse_line(self) -> tuple[aioftp.Code, str]:
        self._lines_left -= 1
        if self._lines_left < 0:
            raise Rambling(f"more than {LINES_MAX} lines in one answer")
        return await super().parse_line()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


async def dialled(
    location: Location, addresses: list[str], *, connect_timeout_s: float, stall_timeout_s: float
) -> PinnedClient:
    """A client connected to the first of the checked `addresses` that answers, not logged in.

    Raises one of FAILURES: that of the last address.
    """
    for address in addresses[:-1]:
        try:
            return await _dialled_at(address, location, connect_timeout_s, stall_timeout_s)
        except FAILURES:
            continue  # the last one's failure is the one that is told
    return await _dialled_at(addresses[-1], location, connect_timeout_s, stall_timeout_s)


async def _dialled_at(
    address: str, location: Location, connect_timeout_s: float, stall_timeout_s: float
) -> PinnedClient:
    client = PinnedClient(address, connect_timeout_s=connect_timeout_s, stall_timeout_s=stall_timeout_s)
    try:
        await client.connect(location.host, location.port)
    except BaseException:
        client.close()
        raise
    return client


def words(error: BaseException) -> str:
    if isinstance(error, aioftp.StatusCodeError):
        return f"answers {str(error.received_codes[-1])[:3]}"
    return socket_words(error) if isinstance(error, OSError) else "an answer that cannot be read"
