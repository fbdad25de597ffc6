"""A TCP proxy that misbehaves on command, for any test that needs a bad line.

    async with ChaosProxy(upstream_port) as line:
        connect to 127.0.0.1:line.port
        line.freeze()                 # half-open: nothing passes, both ends stay connected
        line.thaw()
        line.delay_s = 0.2            # each chunk waits
        line.dribble(1, 0.01)         # one byte per 10 ms
        line.cut_after(100, UP)       # close both ends once 100 bytes have gone up, at that byte
        line.reset()                  # RST to both ends of every connection
        line.drop()                   # FIN to both ends of every connection
        line.refuse = True            # new connections are closed at once

`buffer_bytes` makes the receive buffer towards the upstream small, so that it soon feels a slow line.
UP is from the client to the upstream server, DOWN the other way. Settings apply to every connection,
those already open included. `bytes_passed[direction]` counts what went through.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

UP = "up"
DOWN = "down"
BOTH = (UP, DOWN)


class ChaosProxy:
    def __init__(
        self,
        upstream_port: int,
        upstream_host: str = "127.0.0.1",
        host: str = "127.0.0.1",
        *,
        buffer_bytes: int = 0,
    ) -> None:
        self.port = 0
        self.host = host
        self.upstream_host = upstream_host
        self.upstream_port = upstream_port
        self.buffer_bytes = buffer_bytes
        self.delay_s = 0.0
        self.refuse = False
        self.accepted = 0
        self.bytes_passed = {UP: 0, DOWN: 0}
        self._piece_bytes = 0
        self._piece_pause_s = 0.0
        self._cut = {UP: None, DOWN: None}
        self._flowing = {UP: asyncio.Event(), DOWN: asyncio.Event()}
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task] = set()
        self.thaw()

    async def __aenter__(self) -> ChaosProxy:
        await self.start()
        return self

    async def __aexit__(self, *exc) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every connection. `start` again listens on the same port."""
        self._server.close()
        self.drop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def connections(self) -> int:
        return len(self._open) // 2

    def freeze(self, *directions: str) -> None:
        """Forward nothing more (in `directions`, default both); the connections stay open."""
        for direction in directions or BOTH:
            self._flowing[direction].clear()

    def thaw(self, *directions: str) -> None:
        for direction in directions or BOTH:
            self._flowing[direction].set()

    def dribble(self, piece_bytes: int, pause_s: float) -> None:
        """Forward in pieces with a pause after each; 0 bytes: whole chunks again."""
        self._piece_bytes = piece_bytes
        self._piece_pause_s = pause_s

    def cut_after(self, count: int | None, direction: str = UP) -> None:
        """Close a connection once exactly `count` bytes of it have gone in `direction`; None: never."""
        self._cut[direction] = count

    def reset(self) -> None:
        """RST to both ends of every open connection."""
        for writer in tuple(self._open):
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def drop(self) -> None:
        """Close both ends of every open connection."""
        for writer in tuple(self._open):
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._open.add(writer)
        if self.refuse:
            self._hang_up(writer)
            return
        self._spawn(self._bridge(reader, writer))

    def _spawn(self, coroutine) -> asyncio.Task:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _bridge(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        both = [writer]
        try:
            up_reader, up_writer = await asyncio.open_connection(sock=await self._dial())
            both.append(up_writer)
            self._open.add(up_writer)
            pumps = [
                self._spawn(self._pump(UP, reader, up_writer)),
                self._spawn(self._pump(DOWN, up_reader, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
        except OSError:
            pass
        finally:
            self._hang_up(*both)

    def _hang_up(self, *writers: asyncio.StreamWriter) -> None:
        for writer in writers:
            writer.close()
            self._open.discard(writer)

    async def _dial(self) -> socket.socket:
        sock = socket.socket()
        try:
            if self.buffer_bytes:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffer_bytes)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (self.upstream_host, self.upstream_port))
        except BaseException:
            sock.close()
            raise
        return sock

    async def _pump(self, direction, source, sink) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                while data:
                    piece, data = self._next_piece(direction, data, passed)
                    await self._wait()
                    await self._flowing[direction].wait()
                    sink.write(piece)
                    await sink.drain()
                    passed += len(piece)
                    self.bytes_passed[direction] += len(piece)
                    if passed == self._cut[direction]:
                        return
            await self._flowing[direction].wait()

    def _next_piece(self, direction: str, data: bytes, passed: int) -> tuple[bytes, bytes]:
        size = self._piece_bytes or len(data)
        if (cut := self._cut[direction]) is not None and passed < cut:
            size = min(size, cut - passed)
        return data[:size], data[size:]

    async def _wait(self) -> None:
        pause_s = self.delay_s + (self._piece_pause_s if self._piece_bytes else 0.0)
        if pause_s:
            await asyncio.sleep(pause_s)
