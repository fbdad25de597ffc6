"""`edgegw demo`: a parking site in a box, with the real gateway as its own process in the middle.

The story: eight chargers of three OCPP versions charge through the gateway; the cloud dies; the gateway is
killed (kill -9) in the middle of the outage and a charger reboots; charging goes on; the cloud returns and
gets everything; a third program compares the ledgers of chargers and cloud. All of it is real: real
processes, real sockets, a real database in a temporary folder that is gone afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from edgegw import config as site_file
from edgegw.config import Address, SiteConfig
from edgegw.errors import EdgegwError
from edgegw.sim import audit
from edgegw.sim.lines import LineProcess, start_chargers, start_cloud
from edgegw.sim.verdict import Verdict

READY_WITHIN_S = 20.0
DRAIN_WITHIN_S = 60.0


class DemoFault(EdgegwError):
    """The demo cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Script:
    """Seconds of each act; `pace` shortens or stretches all of them."""

    chargers: int = 8
    charging_s: float = 20.0
    outage_s: float = 15.0
    after_kill_s: float = 15.0
    pace: float = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """What the screen shows: the gateway's own view of the site, and where in the story we are."""

    act: str
    health: dict[str, Any]
    chargers: list[dict[str, Any]]


Tell = Callable[[str], None]
Show = Callable[[Picture], None]


class Gateway:
    """The real gateway as a process, and its local API."""

    def __init__(self, config: Path, site: SiteConfig, log: Path) -> None:
        self._config = config
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._http = httpx.AsyncClient(
            base_url="http://edgegw",
            transport=httpx.AsyncHTTPTransport(uds=str(site.control.socket)),
            timeout=2.0,
        )

    async def start(self) -> str:
        """Returns its line about being ready."""
        arguments = ("-m", "edgegw", "run", "--config", str(self._config))
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True
            )
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), READY_WITHIN_S)
        if not line:
            raise DemoFault(f"the gateway did not start:\n{self._log.read_text()[-2000:]}")
        return line.decode().strip()

    async def kill(self) -> int:
        """SIGKILL, as a power cut or the OOM killer would. Returns the pid that was."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        return self._process.pid

    async def picture(self, act: str) -> Picture | None:
        """None while it does not answer."""
        with contextlib.suppress(httpx.HTTPError):
            health = (await self._http.get("/v1/health")).json()
            chargers = (await self._http.get("/v1/chargers")).json()
            return Picture(act, health, chargers["chargers"])
        return None

    async def stop(self) -> None:
        await self._http.aclose()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 6.0)
        except TimeoutError:
            process.kill()
            await process.wait()


class Demo:
    """One performance. `tell` gets lines of the story, `show` a picture twice a second."""

    def __init__(self, script: Script, tell: Tell, show: Show) -> None:
        self._script = script
        self._tell = tell
        self._show = show
        self._act = ""
        self._gateway: Gateway
        self._cloud: LineProcess
        self._chargers: LineProcess

    async def run(self, site_path: Path) -> Verdict:
        """The whole story. Raises DemoFault."""
        with tempfile.TemporaryDirectory(prefix="edgegw-demo-") as folder:
            async with contextlib.AsyncExitStack() as stack:
                return await self._perform(site_path, Path(folder), stack)

    async def _perform(self, site_path: Path, folder: Path, stack: contextlib.AsyncExitStack) -> Verdict:
        ledgers = folder / "ledgers"
        ledgers.mkdir()
        cloud_ledger = folder / "cloud.jsonl"
        self._cloud = await stack.enter_async_context(
            await start_cloud("--listen", "127.0.0.1:0", "--ledger", str(cloud_ledger))
        )
        path, site = site_beside(site_path, folder, str(self._cloud.ready["listening"]))
        self._gateway = Gateway(path, site, folder / "gateway.log")
        stack.push_async_callback(self._gateway.stop)
        self._tell(await self._gateway.start())
        self._chargers = await stack.enter_async_context(
            await start_chargers(
                "--url", f"ws://{site.chargers.listen}{site.chargers.path}", "--ledger", str(ledgers),
                "--count", str(self._script.chargers), "--seed", "7", "--pause", "4", "--meter-interval", "1",
            )
        )  # fmt: skip
        watching = asyncio.get_running_loop().create_task(self._watch())
        stack.callback(watching.cancel)
        await self._acts()
        return await asyncio.to_thread(audit.audit, [ledgers], cloud_ledger)

    async def _acts(self) -> None:
        script = self._script
        names = ", ".join(self._chargers.ready["chargers"])
        self._begin("the cloud is up", f"{names} dial the gateway; every one is carried on to the cloud")
        await self._pass(script.charging_s)
        self._begin("the cloud is away", "the cloud dies: connections cut, port closed")
        await self._cloud.command("cut")
        await self._pass(script.outage_s * 0.6)
        await self._chargers.command(f"reboot {self._chargers.ready['chargers'][0]}")
        self._tell("a charger reboots in the middle of the outage, and is accepted")
        await self._pass(script.outage_s * 0.4)
        pid = await self._gateway.kill()
        self._tell(f"the gateway is killed: kill -9 {pid}")
        self._tell(f"the gateway starts again, still without a cloud: {await self._gateway.start()}")
        await self._pass(script.after_kill_s)
        self._begin("the cloud is back", "the cloud returns; what was stored goes up in order")
        await self._cloud.command("restore")
        await self._chargers.command("cars off")
        self._tell("no more cars; the last ones finish")
        await self._chargers.command("finish 60", timeout_s=90)
        await self._drained()

    def _begin(self, act: str, line: str) -> None:
        self._act = act
        self._tell(line)

    async def _pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._script.pace)

    async def _drained(self) -> None:
        """Until the gateway's queue is empty."""
        async with asyncio.timeout(DRAIN_WITHIN_S):
            while True:
                picture = await self._gateway.picture(self._act)
                store = picture.health["store"] if picture else {}
                if picture and store["stored"] == 0 and store["in_flight"] == 0:
                    self._show(picture)
                    return
                await asyncio.sleep(0.25)

    async def _watch(self) -> None:
        while True:
            picture = await self._gateway.picture(self._act)
            if picture is not None:
                self._show(picture)
            await asyncio.sleep(0.5)


def site_beside(site_path: Path, folder: Path, cloud_url: str) -> tuple[Path, SiteConfig]:
    """The site file with its store in `folder`, our cloud, and another port when its own is taken.

    Raises ConfigFault when the file is wrong.
    """
    site = site_file.load(site_path)
    if site.cloud is None:
        raise DemoFault(
            f"{site_path}: the demo needs a [cloud] table; its url is replaced by the demo's own cloud"
        )
    text = site_path.read_text()
    text = text.replace(f'"{site.cloud.url}"', f'"{cloud_url}"')
    text = text.replace(f'"{site.chargers.listen}"', f'"{free_address(site.chargers.listen)}"')
    store = next(line for line in text.splitlines() if line.strip().startswith("directory"))
    text = text.replace(store, f'directory = "{folder / "store"}"')
    path = folder / "site.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path, site_file.load(path)


def free_address(wanted: Address) -> Address:
    """`wanted`, or the same host with a port of the system's choice when somebody listens there."""
    for port in (wanted.port, 0):
        with socket.socket(socket.AF_INET6 if ":" in wanted.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((wanted.host, port))
            except OSError:
                continue
            return Address(wanted.host, int(probe.getsockname()[1]))
    raise DemoFault(f"no free port on {wanted.host}")


def default_site() -> Path:
    """config/demo.toml of the checkout, or of the folder we stand in."""
    for root in (Path(__file__).parents[2], Path.cwd()):
        path = root / "config" / "demo.toml"
        if path.is_file():
            return path
    raise DemoFault("config/demo.toml is not here; name a site file with --config")


def interrupted_exit_code() -> int:
    """128 + SIGINT, as shells count it."""
    return 128 + signal.SIGINT


def is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
