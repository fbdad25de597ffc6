"""A peer that takes nothing any more: the kernel ends its connection.

asyncio keeps a connection open until what was written is gone, also one that was closed. A peer that never
reads, and whose system answers all the same, would hold a socket for ever.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress


def give_up_after(sock: socket.socket | None, stall_s: float) -> None:
    """RFC 5482; Linux counts a window that stays shut too.

    After twice `stall_s`: whoever watches over a transfer cuts it first, and knows whose doing that is.
    """
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):  # the peer is gone already
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2 * stall_s * 1000))


def socket_of(transport: asyncio.BaseTransport) -> socket.socket | None:
    found: socket.socket | None = transport.get_extra_info("socket")
    return found
