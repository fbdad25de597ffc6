"""The real gateway as its own process: a site file, `edgegw run`, kill -9, SIGTERM, start again.

Rules of this file:
- Back-offs are short and rates unlimited, so that a test waits for events and never for a back-off. How long
  the cloud may take is long: a test's cloud is a busy process. A test of slow clouds says its own.
- The port is one that nobody else has until the last process of the test is gone: a gateway that was killed
  finds it free when it starts again.
- A gateway that a test leaves running is stopped with SIGTERM, must exit 0, and no log may hold a traceback.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.children import Child, Children
from tests.servers.shared import claim_ports

READY_WITHIN_S = 90.0  # five seconds of it on a machine with four other gateways
STOP_WITHIN_S = 30.0
_READY = re.compile(r"edgegw \S+ ready: chargers (?P<doors>.+) cloud (?P<cloud>.+) control (?P<control>\S+)$")
_PORT = re.compile(r"wss?://[^/ ]*:(\d+)")

Table = Mapping[str, Any]
Settings = Mapping[str, Table | list[Table]]  # a list is a [[table]] each

FAST: dict[str, dict[str, Any]] = {
    "site": {"id": "e2e"},
    "chargers": {"listen": "127.0.0.1:0", "unknown": "accept", "answer_timeout": "30 s"},
    "cloud": {
        "answer_timeout": "15 s",
        "replay_rate": 0,
        "connect_rate": 0,
        "connect_timeout": "10 s",
        "retry_wait_minimum": "100 ms",
        "retry_random_range": "0 s",
        "retry_repeat_times": 0,
        "message_retry_interval": "100 ms",
    },
    "store": {"directory": "store", "reserve": "1 MiB"},
}


def toml(tables: Settings) -> str:
    """TOML of plain tables: a JSON string, number, boolean or list is one in TOML too."""
    lines = []
    for name, given in tables.items():
        head = f"[[{name}]]" if isinstance(given, list) else f"[{name}]"
        for table in given if isinstance(given, list) else [given]:
            lines += [head, *(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _laid_over(table: str, given: Table | list[Table]) -> Any:
    return given if isinstance(given, list) else {**FAST.get(table, {}), **given}


class GatewayProcess:
    """`edgegw run` on a site file in `folder`. Settings of a test are laid over FAST, table by table."""

    def __init__(
        self,
        children: Children,
        folder: Path,
        *,
        cloud: str | None,
        settings: Settings | None = None,
        name: str = "edgegw",
    ) -> None:
        given = settings or {}
        names = [*FAST, *(table for table in given if table not in FAST)]
        self._tables: dict[str, Any] = {table: _laid_over(table, given.get(table, {})) for table in names}
        if cloud is None:
            del self._tables["cloud"]
        else:
            self._tables["cloud"]["url"] = cloud
        self.folder = folder
        self.name = name
        self.config = folder / f"{name}.toml"
        self.port = 0
        self._children = children
        self._child: Child | None = None

    # --- its life ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start it and come back when it is ready. Raises Ended with its log when it does not start."""
        assert self._child is None or not self._child.running
        if self._tables["chargers"]["listen"] == FAST["chargers"]["listen"]:
            port, claim = claim_ports()
            self._children.keep(claim)
            self._tables["chargers"]["listen"] = f"127.0.0.1:{port}"
        self.config.write_text(toml(self._tables))
        self._child = await self._children.start(
            self.name, sys.executable, "-m", "edgegw", "run", "--config", str(self.config)
        )
        ready = await self._child.until(_ready, READY_WITHIN_S)
        port = _PORT.search(ready["doors"])
        assert port is not None, ready[0]
        self.port = int(port[1])

    async def kill(self) -> None:
        """kill -9."""
        child = self._running()
        child.signal(signal.SIGKILL)
        assert await child.ended() == -signal.SIGKILL

    async def terminate(self) -> None:
        """SIGTERM. It must be gone, with exit code 0."""
        child = self._running()
        child.signal(signal.SIGTERM)
        code = await child.ended(STOP_WITHIN_S)
        assert code == 0, f"exit code {code}:\n{self.log[-4000:]}"

    async def restart(self, *, hard: bool = True) -> None:
        """Gone (kill -9, or SIGTERM when not `hard`) and back at the same port with the same store."""
        await (self.kill() if hard else self.terminate())
        await self.start()

    async def close(self) -> None:
        """The end of every test."""
        if self.running:
            await self.terminate()
        if self._child is not None:
            assert "Traceback" not in self.log, self.log

    # --- what it is --------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """What a charger is given; its identity follows."""
        return f"ws://127.0.0.1:{self.port}/ocpp"

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def store(self) -> Path:
        return self.folder / str(self._tables["store"]["directory"])

    @property
    def log(self) -> str:
        """stderr of all its lives."""
        return self._child.log if self._child is not None else ""

    def _running(self) -> Child:
        assert self._child is not None, "start it first"
        assert self._child.running, self.log[-4000:]
        return self._child

    # --- the other commands ------------------------------------------------------------------------

    async def command(self, *arguments: str) -> Any:
        """`edgegw ARGUMENTS --config FILE --json` beside the running gateway: its JSON document."""
        words = [sys.executable, "-m", "edgegw", *arguments, "--config", str(self.config), "--json"]
        child = await self._children.start(f"{self.name}-{arguments[0]}", *words)
        code = await child.ended()
        assert code == 0, f"edgegw {' '.join(arguments)}: exit code {code}: {child.lines} {child.log}"
        return json.loads("\n".join(child.lines))


def _ready(lines: list[str]) -> re.Match[str] | None:
    return next(filter(None, map(_READY.match, lines)), None)


class Gateways:
    """Makes gateways for one test and ends them."""

    def __init__(self, children: Children, folder: Path) -> None:
        self._children = children
        self._folder = folder
        self._all: list[GatewayProcess] = []

    async def __call__(
        self, cloud: str | None = None, settings: Settings | None = None, *, name: str = "edgegw"
    ) -> GatewayProcess:
        """A started gateway. cloud: its CSMS without the identity; None: standalone."""
        gateway = GatewayProcess(self._children, self._folder, cloud=cloud, settings=settings, name=name)
        self._all.append(gateway)
        await gateway.start()
        return gateway

    async def close(self) -> None:
        outcomes = await asyncio.gather(*(one.close() for one in self._all), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
