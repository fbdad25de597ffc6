"""Processes of a test: what they print as it comes, and none of them left when the test is over.

Rules of this file:
- Every process is a session of its own, so that a kill takes its own children with it.
- Waiting is for a line or for the end, with a deadline; nothing polls and nothing sleeps.
- `Children` is the only one who starts a process; its fixture ends them all, whatever the test did.
- What must be closed after the last process is gone (the claim on a port) is given to `Children` to keep.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TypeVar

DEADLINE_S = 30.0  # for what takes milliseconds: a busy machine must not fail a test

T = TypeVar("T")


class Ended(AssertionError):
    """The process ended before it said what was waited for."""


class Child:
    """One process. `lines`: its stdout so far; `log`: its stderr so far, kept in a file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log_file: Path) -> None:
        self.name = name
        self.lines: list[str] = []
        self.pid = process.pid
        self._process = process
        self._log_file = log_file
        self._news = asyncio.Event()
        self._stdout_ended = False
        self._reader = asyncio.create_task(self._read(), name=f"stdout of {name}")

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
            self._news.set()
        self._stdout_ended = True
        self._news.set()

    @property
    def log(self) -> str:
        return self._log_file.read_text("utf-8", "replace")

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def until(self, seen: Callable[[list[str]], T | None], timeout_s: float = DEADLINE_S) -> T:
        """What `seen` makes of the lines, as soon as that is not None. Raises Ended, TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while True:
                self._news.clear()
                found = seen(self.lines)
                if found is not None:
                    return found
                if self._stdout_ended:
                    raise Ended(f"{self.name} ended; its log:\n{self.log[-4000:]}")
                await self._news.wait()

    def write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    def signal(self, number: signal.Signals) -> None:
        """To the process and whatever it started."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and nobody told us yet
                os.killpg(self.pid, number)

    async def ended(self, timeout_s: float = DEADLINE_S) -> int:
        """The exit code, negative for a signal. Raises TimeoutError while it still runs."""
        async with asyncio.timeout(timeout_s):
            code = await self._process.wait()
            await self._reader
            if self._process.stdin is not None:
                self._process.stdin.close()
                with contextlib.suppress(ConnectionError):
                    await self._process.stdin.wait_closed()
        return code


@contextlib.asynccontextmanager
async def ending(process: asyncio.subprocess.Process) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is none of `Children`; after the block there is none, also when the test failed."""
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


class Children:
    """Starts processes and, at the end, leaves none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[Child] = []
        self._kept = contextlib.ExitStack()

    def keep(self, claim: contextlib.AbstractContextManager[object]) -> None:
        """Closed when all processes have ended."""
        self._kept.enter_context(claim)

    async def start(
        self, name: str, *command: str, stdin: bool = False, env: Mapping[str, str] | None = None
    ) -> Child:
        """Start a program; its stderr is appended to `<name>.log` in the test's folder."""
        log_file = self._folder / f"{name}.log"
        with log_file.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=16 * 1024 * 1024,  # one line may be a long message
                start_new_session=True,
                env={**os.environ, **(env or {})},
            )
        child = Child(name, process, log_file)
        self._all.append(child)
        return child

    async def close(self) -> None:
        with self._kept:
            for child in self._all:
                child.signal(signal.SIGKILL)
            ends = await asyncio.gather(*(child.ended() for child in self._all), return_exceptions=True)
            for failed in filter(lambda end: isinstance(end, BaseException), ends):
                raise failed
