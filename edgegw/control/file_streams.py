"""Files that pass through the local API: to disk and from disk in blocks, in threads of their own.

The loop's own threads stay free for others, and no file is ever whole in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

from edgegw.control.problem import Problem

BLOCK_BYTES = 256 * 1024
THREADS = 2
STALL_S = 60.0  # a body that stands still for so long is given up

T = TypeVar("T")


class FileStreams:
    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[], T]) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="control-files")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def write(self, path: Path, body: AsyncIterator[bytes], bytes_max: int) -> int:
        """A new file from `body`; how many bytes it has. Raises Problem 413 and 408, OSError."""
        file = await self.run(lambda: path.open("xb"))
        try:
            size, waiting = 0, bytearray()
            async for chunk in _moving(body):
                size += len(chunk)
                if size > bytes_max:
                    raise Problem(413, "too_large", f"the file is longer than {bytes_max} bytes")
                waiting += chunk
                if len(waiting) >= BLOCK_BYTES:
                    await self.run(lambda block=bytes(waiting): file.write(block))  # type: ignore[misc]
                    waiting.clear()
            await self.run(lambda: file.write(waiting))
            return size
        finally:
            await self.run(file.close)

    async def open(self, path: Path) -> BinaryIO:
        """To be closed by the caller. Raises OSError."""
        return await self.run(lambda: path.open("rb"))

    async def read(self, file: BinaryIO) -> AsyncIterator[bytes]:
        """Whoever iterates closes the file: this may be given up at any block."""
        while block := await self.run(lambda: file.read(BLOCK_BYTES)):
            yield block


async def _moving(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(STALL_S):
                chunk = await anext(body)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise Problem(408, "stalled", f"nothing came for {STALL_S:.0f} s") from error
        yield chunk
