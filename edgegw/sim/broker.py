"""Debian's mosquitto for one performance: on a free loopback port, nothing kept, ended with who started it.

Rules of this file:
- A shell stands between: it ends the broker when its stdin closes, and the system closes that when the
  demo ends, however it ends. In a session of its own, so that Ctrl-C reaches the demo first.
- It is ours when its own log says that it runs: a port that somebody else took in the meantime is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from pathlib import Path
from typing import Self

from edgegw.errors import EdgegwError

PROGRAM = "mosquitto"
READY_WITHIN_S = 20.0  # one that cannot start ends sooner, and says so
STOP_WITHIN_S = 5.0
TRIES = 3  # another program may take the port between our look and the broker's
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
# Commands behind "&" read nothing from a plain stdin, so it is handed on as 3.
_UNTIL_STDIN_ENDS = """
exec 3<&0
"$@" &
broker=$!
{ read -r _ <&3; kill "$broker"; } 2>/dev/null &
waiter=$!
wait "$broker"
kill "$waiter" 2>/dev/null
"""
_SETTINGS = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
log_dest stderr
log_type error
log_type warning
log_type notice
log_type information
connection_messages false
"""


class BrokerFault(EdgegwError):
    """mosquitto is there but does not start; the text holds the end of its log."""


def program() -> str | None:
    """Where mosquitto is; Debian has it where only root's PATH looks."""
    return shutil.which(PROGRAM, path=_PATH)


class Broker:
    """A running mosquitto. `async with` ends it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @classmethod
    async def start(cls, folder: Path) -> Self:
        """`folder`: for its settings and its log. Raises BrokerFault."""
        told = ""
        for _ in range(TRIES):
            port = _free_port()
            settings, log = folder / "mosquitto.conf", folder / "mosquitto.log"
            settings.write_text(_SETTINGS.format(port=port))
            broker = cls(await _started(settings, log), port)
            if await broker._runs(log):
                return broker
            told = log.read_text("utf-8", "replace")[-500:]
            await broker.stop()
        raise BrokerFault(f"mosquitto does not start: {told or 'it says nothing'}")

    async def _runs(self, log: Path) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_WITHIN_S):
                while self._process.returncode is None:
                    if _says_it_runs(log):
                        return True
                    await asyncio.sleep(0.02)
        return False

    async def stop(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_WITHIN_S)
        except TimeoutError:
            os.killpg(self._process.pid, 9)
            await self._process.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def _started(settings: Path, log: Path) -> asyncio.subprocess.Process:
    path = program()
    if path is None:
        raise BrokerFault(f"{PROGRAM} is not installed")
    command = ("/bin/sh", "-c", _UNTIL_STDIN_ENDS, "sh", path, "-c", str(settings))
    with log.open("wb") as opened:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=opened,
            start_new_session=True,
        )


def _says_it_runs(log: Path) -> bool:
    return b" running" in log.read_bytes()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
