"""Accepts TCP connections: the listening sockets and nothing of what is said on them.

Rules of this file:
- It never spins. Out of file descriptors means: no accepting for a second, one log line per spell;
  the connections wait in the kernel's queue meanwhile (fault 11). uvloop's own server closes its
  listening socket on such an error and asyncio's logs a traceback, hence this one.
- At most ACCEPTS_PER_TURN connections per turn of the loop, so that the requests of those already
  accepted are read in between.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from edgegw.links.sockets import join_host_port

log = logging.getLogger(__name__)

ACCEPTS_PER_TURN = 16
EXHAUSTED_PAUSE_S = 1.0
BACKLOG = 1024
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """One listening socket. `on_connection(socket, peer_ip)` gets each new connection, non-blocking."""

    __slots__ = ("_exhausted", "_held", "_loop", "_on_connection", "_resume", "_sock", "address")

    def __init__(self, sock: socket.socket, on_connection: Callable[[socket.socket, str], None]) -> None:
        self._sock = sock
        self._on_connection = on_connection
        self._loop = asyncio.get_running_loop()
        self._resume: asyncio.TimerHandle | None = None
        self._exhausted = False
        self._held = False
        self.address: tuple[str, int] = sock.getsockname()[:2]
        self._loop.add_reader(sock.fileno(), self._accept)

    def hold(self, hold: bool) -> None:
        """Leave new connections in the kernel's queue, or take them up again."""
        self._held = hold
        if hold:
            self._loop.remove_reader(self._sock.fileno())
        elif self._resume is None:
            self._loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            if self._held:
                return
            try:
                connection, address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                if exc.errno in EXHAUSTED:
                    self._pause(exc)
                    return
                continue  # that connection died in the queue
            self._exhausted = False
            connection.setblocking(False)
            self._on_connection(connection, address[0])

    def _pause(self, exc: OSError) -> None:
        if not self._exhausted:
            self._exhausted = True
            log.error("cannot accept connections on %s:%d: %s", *self.address, exc.strerror)
        self._loop.remove_reader(self._sock.fileno())
        self._resume = self._loop.call_later(EXHAUSTED_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        self._resume = None
        if not self._held:
            self._loop.add_reader(self._sock.fileno(), self._accept)


async def open_listeners(host: str, port: int) -> list[socket.socket]:
    """Bound, listening, non-blocking sockets, one per address of `host` ("" or "*": every address).

    With port 0 all of them get the port that the first one was given. Raises OSError.
    """
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(
        None if host in ("", "*") else host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(infos):
            sockets.append(_listen(family, kind, protocol, (address[0], port, *address[2:])))
            port = port or sockets[0].getsockname()[1]
    except OSError as error:
        for sock in sockets:
            sock.close()
        where = join_host_port(host, port)
        raise OSError(error.errno, f"cannot listen on {where}: {error.strerror}") from error
    return sockets


def _listen(family: int, kind: int, protocol: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
