"""What every benchmark is given: a folder on the disk, processes that do not outlive it, a place to talk to.

The gateway is always the real one, `edgegw run`, with its journal, routing and validation.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.children import Child, Children
from tests.e2e.gateway import GatewayProcess

_LISTENING = re.compile(r"listening on (\d+)$")

# Nothing may be throttled that is measured; answer_timeout is the default of the product.
SITE: dict[str, dict[str, Any]] = {
    "cloud": {"answer_timeout": "20 s", "connect_timeout": "10 s"},
    "log": {"level": "warning"},
}


class MissingTool(Exception):
    """A program of the system that a benchmark compares with is not installed."""


@dataclass(slots=True)
class Bench:
    folder: Path
    children: Children
    quick: bool
    quiet: bool = False
    began: float = 0.0

    def say(self, text: str) -> None:
        """One line of progress, on stderr."""
        if not self.quiet:
            print(f"[{time.monotonic() - self.began:5.0f} s] {text}", file=sys.stderr, flush=True)

    def some(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    async def gateway(
        self, name: str, cloud: str | None, settings: Mapping[str, Any] | None = None
    ) -> GatewayProcess:
        """A started gateway in a folder of its own."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        given = settings or {}
        merged = {**SITE, **{name: _over(SITE.get(name, {}), table) for name, table in given.items()}}
        gateway = GatewayProcess(self.children, folder, cloud=cloud, settings=merged, name=name)
        await gateway.start()
        return gateway

    async def echo_cloud(self) -> tuple[Child, str]:
        """The echo cloud in its own process, and its address."""
        child = await self._program("echo-cloud", "tests.benchmarks.echo_cloud")
        return child, f"ws://127.0.0.1:{await _port(child)}/csms"

    async def pump(self, cloud: str) -> tuple[Child, str]:
        child = await self._program("pump", "tests.benchmarks.pump", cloud)
        return child, f"ws://127.0.0.1:{await _port(child)}/ocpp"

    async def haproxy(self, cloud: str, port: int) -> tuple[Child, str]:
        """One thread, TCP mode: the least a proxy can do."""
        program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/sbin")
        if program is None:
            raise MissingTool("haproxy is not installed: apt-get install haproxy")
        target = cloud.partition("//")[2].partition("/")[0]
        config = self.folder / "haproxy.cfg"
        config.write_text(HAPROXY.format(port=port, target=target))
        child = await self.children.start("haproxy", program, "-db", "-f", str(config))
        await _listens(child, port)
        return child, f"ws://127.0.0.1:{port}/csms"

    async def _program(self, name: str, module: str, *arguments: str) -> Child:
        return await self.children.start(name, sys.executable, "-m", module, *arguments, stdin=True)


def _over(common: dict[str, Any], own: Any) -> Any:
    """A table over the common one; a list of tables stands for itself."""
    return own if isinstance(own, list) else {**common, **own}


HAPROXY = """
global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend chargers
    bind 127.0.0.1:{port}
    default_backend cloud
backend cloud
    server cloud {target}
"""


async def _listens(child: Child, port: int) -> None:
    """haproxy says nothing when it is ready."""
    async with asyncio.timeout(10.0):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                assert child.running, child.log
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


async def _port(child: Child) -> int:
    found = await child.until(lambda lines: next(filter(None, map(_LISTENING.match, lines)), None))
    return int(found[1])
