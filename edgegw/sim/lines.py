"""Line protocol between the simulator's processes: stdin as a stream, a child as an object."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, Self

from edgegw.errors import EdgegwError
from edgegw.sim.watch import PATIENCE_S, Watch

LINE_BYTES_MAX = 2**22


class ProcessEnded(EdgegwError):
    """The child ended before it said what was waited for."""


async def open_stdin() -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def say(line: dict[str, Any]) -> None:
    """One JSON line on stdout, at once."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class LineProcess(Watch):
    """A `python -m MODULE` child that takes commands on stdin and says JSON lines on stdout.

    `ready` is its first line; lines that answer no command are kept in `events`. Its stdout is read all
    the time, so it never blocks on it. Ended by `stop` (end of stdin) or `kill` (SIGKILL).
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__()
        self._process = process
        self._lock = asyncio.Lock()
        self._answers: list[dict[str, Any]] = []
        self._unwanted = 0  # answers still to come to commands that nobody waits for any more
        self.ready: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.ended = False
        self._reading = asyncio.get_running_loop().create_task(self._read())

    @classmethod
    async def start(
        cls, module: str, *arguments: str, python: Sequence[str] = (sys.executable,), timeout_s: float = 30.0
    ) -> Self:
        """Raises ProcessEnded, TimeoutError."""
        child = cls(
            await asyncio.create_subprocess_exec(
                *python,
                "-m",
                module,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_BYTES_MAX,
            )
        )
        try:
            await child._until(lambda: bool(child.ready), timeout_s)
        except BaseException:
            await child.kill()
            raise
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self._said(json.loads(line))
        self.ended = True
        self._happened()

    def _said(self, line: dict[str, Any]) -> None:
        if not self.ready:
            self.ready = line
        elif "ok" in line:
            if self._unwanted:
                self._unwanted -= 1
            else:
                self._answers.append(line)
        else:
            self.events.append(line)
        self._happened()

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        await self.wait_for(lambda: self.ended or condition(), timeout_s)
        if not condition():
            raise ProcessEnded(f"exit code {await self._process.wait()}")

    async def command(self, line: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Send one command and return its answer. Raises ProcessEnded, TimeoutError."""
        async with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write(line.encode() + b"\n")
            try:
                with contextlib.suppress(ConnectionError):  # it ended: said below
                    await self._process.stdin.drain()
                await self._until(lambda: bool(self._answers), timeout_s)
            except BaseException:  # who asks next must not be given this answer
                self._forget_answer()
                raise
            return self._answers.pop(0)

    def _forget_answer(self) -> None:
        if self._answers:
            self._answers.clear()
        else:
            self._unwanted += 1

    async def wait_event(self, event: str, *, count: int = 1, timeout_s: float = PATIENCE_S) -> None:
        """Until `count` events of this name were said. Raises ProcessEnded, TimeoutError."""
        await self._until(lambda: sum(e.get("event") == event for e in self.events) >= count, timeout_s)

    async def stop(self, timeout_s: float = PATIENCE_S) -> int:
        """Ask it to end and wait; kill it when it does not. Its exit code."""
        stdin = self._process.stdin
        if stdin is not None:
            stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), timeout_s)
        except TimeoutError:
            await self.kill()
        await self._reading
        if stdin is not None:
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await stdin.wait_closed()
        return self._process.returncode or 0

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reading

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def start_cloud(*arguments: str) -> LineProcess:
    """A `SimCloud` process; `ready["listening"]` is its URL."""
    return await LineProcess.start("edgegw.sim.cloud", *arguments)


async def start_chargers(*arguments: str) -> LineProcess:
    """A `SimSite` process; events of its chargers are lines with "event"."""
    return await LineProcess.start("edgegw.sim.chargers", *arguments)
