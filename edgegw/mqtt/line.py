"""The bytes between us and the broker: dialled without blocking anybody, read through a buffer, limited.

Rules of this file:
- Nothing here blocks the loop: names are looked up in the resolver's own threads, TCP and TLS go step by
  step when the socket is ready. A look-up that hangs delays neither the next attempt nor the end.
- The kernel keeps little of what we have not read yet: a broker that floods us is to wait.
- Reading takes what the socket has: paho asks for single bytes, and bytes inside TLS wake no loop. Writing
  gathers: a system call (or a TLS record) per message costs more than all the rest of it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from edgegw.links.resolver import LookupFailed, Resolver
from edgegw.links.tls import describe_failure
from edgegw.mqtt.guarded import READ_BYTES

RECEIVE_BYTES = 128 * 1024  # in the kernel; it would take 6 MB, and an acknowledgement waits behind them
WRITE_BYTES = 64 * 1024
LOOKUP_TIMEOUT_S = 5.0
# Per address. A SYN is repeated after 1 s and 3 s: a longer attempt finds a broker that came back no sooner.
CONNECT_TIMEOUT_S = 4.0
HANDSHAKE_TIMEOUT_S = 10.0
ADDRESSES_MAX = 4
# What the broker's machine does not take in this time, it never will: without this the kernel would find a
# machine that was restarted only when its next repetition is due.
UNSENT_TIMEOUT_MS = 10_000

R = TypeVar("R")


class DialFailed(Exception):
    """No line to the broker; the text says why. `lasting`: until somebody changes something."""

    def __init__(self, text: str, *, lasting: bool = False) -> None:
        super().__init__(text)
        self.lasting = lasting


class Line:
    """What paho takes for its socket."""

    def __init__(self, sock: socket.socket) -> None:
        """`sock` is connected and does not block."""
        self._sock = sock
        self._buffer = memoryview(b"")
        self._unsent = bytearray()
        self.failure: OSError | None = None  # what ended it
        self.closed_by_broker = False
        self.is_dry = False  # at the last look nothing was there: the loop calls when something is
        self.bytes_in = self.bytes_out = 0

    def recv(self, buffer_size: int) -> bytes:
        """Raises BlockingIOError, SSLWantReadError (nothing there), OSError (lost)."""
        if not self._buffer:
            self.is_dry = True
            self._buffer = memoryview(self._try(self._sock.recv, READ_BYTES))
            self.is_dry = False
            self.bytes_in += len(self._buffer)
            self.closed_by_broker = not self._buffer
        taken, self._buffer = self._buffer[:buffer_size], self._buffer[buffer_size:]
        return bytes(taken)

    def send(self, buffer: bytes | bytearray) -> int:
        """All of it, to go out with the next `flush`. Raises BlockingIOError when too much waits already."""
        if self._unsent and len(self._unsent) + len(buffer) > WRITE_BYTES:
            raise BlockingIOError
        self._unsent += buffer
        return len(buffer)

    def flush(self) -> bool:
        """False when something is left that the socket does not take now. Raises OSError."""
        try:
            while self._unsent:
                with memoryview(self._unsent) as view:
                    sent = self._try(self._sock.send, view)
                del self._unsent[:sent]
                self.bytes_out += sent
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        return True

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def _try(self, transfer: Callable[[Any], R], what: object) -> R:
        try:
            return transfer(what)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            self.failure = error
            self.closed_by_broker = isinstance(error, ConnectionResetError | BrokenPipeError)
            raise

    def close(self) -> None:
        """After a last attempt to send what waits: a good-bye may be in it."""
        if self._sock.fileno() >= 0:
            with suppress(OSError):
                self.flush()
        self._unsent.clear()
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """paho asks for what it is already."""


async def dial(host: str, port: int, context: ssl.SSLContext | None, resolver: Resolver) -> Line:
    """A line to the broker, secured when there is a `context`. Raises DialFailed."""
    try:
        addresses = await resolver.resolve(host, LOOKUP_TIMEOUT_S)
    except LookupFailed as failed:
        raise DialFailed(f"the name cannot be looked up: {failed}") from None
    why = ""
    for address in addresses[:ADDRESSES_MAX]:
        try:
            sock = await _connected(address, port)
        except OSError as error:
            why = why or _words(error, f"{address} port {port}")
            continue
        return Line(sock if context is None else await _secured(sock, context, host))
    raise DialFailed(why)


async def _connected(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNSENT_TIMEOUT_MS)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


class _SecuredSocket(ssl.SSLSocket):
    """Has a peer also when that has reset the connection: then the handshake says so. Without it `ssl`
    fails earlier, and loses the open socket."""

    def getpeername(self) -> Any:
        with suppress(OSError):
            return super().getpeername()
        return None


async def _secured(sock: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    context.sslsocket_class = _SecuredSocket
    try:
        sock = secured = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            await _shake_hands(secured)
    except (OSError, ValueError) as error:
        sock.close()
        lasting = isinstance(error, ssl.SSLCertVerificationError)
        raise DialFailed(f"TLS: {describe_failure(error, host)}", lasting=lasting) from None
    except BaseException:
        sock.close()
        raise
    return secured


async def _shake_hands(secured: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            secured.do_handshake()
            return
        except ssl.SSLWantReadError:
            await _ready(secured.fileno(), loop.add_reader, loop.remove_reader)
        except ssl.SSLWantWriteError:
            await _ready(secured.fileno(), loop.add_writer, loop.remove_writer)


def _ready(fd: int, add: Callable[..., object], remove: Callable[[int], object]) -> Awaitable[None]:
    async def wait() -> None:
        ready = asyncio.get_running_loop().create_future()
        add(fd, _set, ready)
        try:
            await ready
        finally:
            remove(fd)

    return wait()


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _words(error: OSError, where: str) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"{where} does not answer"
    text = error.strerror or str(error)
    if error.errno and error.errno > 0:
        with suppress(ValueError):
            text = os.strerror(error.errno)
    return f"{where}: {text}"
