"""`edgegw demo`: a parking site in a box, with the real gateway as its own process in the middle.

The story: eight chargers of three OCPP versions charge through the gateway. The building's load rises, the
cars give way, and get more when it falls. Then the cloud dies; the gateway is killed (kill -9) in the middle
of the outage and a charger reboots; charging goes on; the cloud returns and gets everything; a third program
compares the ledgers of chargers and cloud. All of it is real: real processes, real sockets, a real Modbus
meter, a real database in a temporary folder that is gone afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgegw import config as site_file
from edgegw.config import SiteConfig
from edgegw.errors import EdgegwError
from edgegw.sim import audit
from edgegw.sim.gateway_process import GatewayProcess
from edgegw.sim.lines import LineProcess, start_chargers, start_cloud
from edgegw.sim.verdict import Verdict

DRAIN_WITHIN_S = 60.0
QUIET, BUSY = "14 12 15", "62 66 60"  # amps of the building; [[circuit]] reserve of the site file covers both


class DemoFault(EdgegwError):
    """The demo cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Script:
    """Seconds of each act; `pace` shortens or stretches all of them."""

    chargers: int = 8
    charging_s: float = 22.0
    busy_s: float = 14.0
    quiet_s: float = 15.0
    outage_s: float = 10.0
    after_kill_s: float = 8.0
    pace: float = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """What the screen shows: the gateway's view of the site, what flows, and where in the story we are."""

    act: str
    health: dict[str, Any]
    chargers: list[dict[str, Any]]
    power: dict[str, Any] = field(default_factory=dict)  # /v1/power
    grid: dict[str, Any] = field(default_factory=dict)  # amps that really flow: building and cars


Tell = Callable[[str], None]
Show = Callable[[Picture], None]


class Demo:
    """One performance. `tell` gets lines of the story, `show` a picture twice a second."""

    def __init__(self, script: Script, tell: Tell, show: Show) -> None:
        self._script = script
        self._tell = tell
        self._show = show
        self._act = ""
        self._gateway: GatewayProcess
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
        self._chargers = await stack.enter_async_context(await self._start_site(ledgers))
        path, site = site_beside(site_path, folder, str(self._cloud.ready["listening"]), self._chargers.ready)
        self._gateway = GatewayProcess(path, site.control.socket, folder / "gateway.log")
        stack.push_async_callback(self._gateway.stop)
        await self._start_gateway("")
        watching = asyncio.get_running_loop().create_task(self._watch())
        stack.callback(watching.cancel)
        await self._acts()
        return await asyncio.to_thread(audit.audit, [ledgers], cloud_ledger)

    async def _start_site(self, ledgers: Path) -> LineProcess:
        """Chargers, cars, building and meter; nobody dials yet."""
        site = await start_chargers(
            "--ledger", str(ledgers), "--count", str(self._script.chargers), "--seed", "7",
            "--pause", "2", "--meter-interval", "1", "--samples-min", "30", "--samples-max", "70",
            "--cars", "mixed", "--energy-speed", "60", "--meter-port", "0", "--power-every", "0.5",
        )  # fmt: skip
        await site.command(f"building {QUIET}")
        return site

    async def _start_gateway(self, words: str) -> None:
        self._tell(words + await self._gateway.start())
        await self._chargers.command(f"dial {self._gateway.url}")

    async def _acts(self) -> None:
        names = ", ".join(self._chargers.ready["chargers"])
        self._begin("the cloud is up", f"{names} dial the gateway; every one is carried on to the cloud")
        await self._pass(self._script.charging_s)
        await self._building_act()
        await self._outage_act()
        self._begin("the cloud is back", "the cloud returns; what was stored goes up in order")
        await self._cloud.command("restore")
        await self._chargers.command("cars off")
        self._tell("no more cars; the last ones finish")
        await self._chargers.command("finish 60", timeout_s=90)
        await self._drained()

    async def _building_act(self) -> None:
        self._begin("the building is busy", "the building's load rises: the cars give way")
        await self._chargers.command(f"building {BUSY}")
        await self._pass(self._script.busy_s)
        self._begin("the building is quiet", "the building's load falls: the cars get more, step by step")
        await self._chargers.command(f"building {QUIET}")
        await self._pass(self._script.quiet_s)

    async def _outage_act(self) -> None:
        script = self._script
        self._begin("the cloud is away", "the cloud dies: connections cut, port closed")
        await self._cloud.command("cut")
        await self._pass(script.outage_s * 0.6)
        await self._chargers.command(f"reboot {self._chargers.ready['chargers'][0]}")
        self._tell("a charger reboots in the middle of the outage, and is accepted")
        await self._pass(script.outage_s * 0.4)
        pid = await self._gateway.kill()
        self._tell(f"the gateway is killed: kill -9 {pid}")
        await self._start_gateway("the gateway starts again, still without a cloud: ")
        await self._pass(script.after_kill_s)

    def _begin(self, act: str, line: str) -> None:
        self._act = act
        self._tell(line)

    async def _pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._script.pace)

    async def _drained(self) -> None:
        """Until the gateway's queue is empty."""
        async with asyncio.timeout(DRAIN_WITHIN_S):
            while True:
                picture = await self._picture()
                store = picture.health["store"] if picture else {}
                if picture and store["stored"] == 0 and store["in_flight"] == 0:
                    self._show(picture)
                    return
                await asyncio.sleep(0.25)

    async def _picture(self) -> Picture | None:
        """None while the gateway does not answer."""
        health = await self._gateway.ask("/v1/health")
        chargers = await self._gateway.ask("/v1/chargers")
        if health is None or chargers is None:
            return None
        power = await self._gateway.ask("/v1/power") or {}
        return Picture(self._act, health, chargers["chargers"], power, self._newest_grid())

    def _newest_grid(self) -> dict[str, Any]:
        events = self._chargers.events
        return next((event for event in reversed(events) if event["event"] == "grid"), {})

    async def _watch(self) -> None:
        while True:
            picture = await self._picture()
            if picture is not None:
                self._show(picture)
            await asyncio.sleep(0.5)


def site_beside(
    site_path: Path, folder: Path, cloud_url: str, ready: dict[str, Any]
) -> tuple[Path, SiteConfig]:
    """The site file with its store in `folder`, our cloud and meter, and without connectors of chargers that
    are not there: what is never seen would count as drawing all it can. `ready`: first line of the chargers.

    Raises ConfigFault when the file is wrong, DemoFault when it has no cloud.
    """
    site = site_file.load(site_path)
    if site.cloud is None:
        raise DemoFault(
            f"{site_path}: the demo needs a [cloud] table; its url is replaced by the demo's own cloud"
        )
    text = site_path.read_text().replace(f'"{site.cloud.url}"', f'"{cloud_url}"')
    text = text.replace(f'"{site.chargers.listen}"', f'"{site.chargers.listen.host}:0"')
    for meter in site.meter:
        text = text.replace(f'"{meter.address}"', f'"{ready["meter"]}"')
    store = next(line for line in text.splitlines() if line.strip().startswith("directory"))
    text = text.replace(store, f'directory = "{folder / "store"}"')
    path = folder / "site.toml"
    path.write_text(_without_absent(text, set(ready["chargers"])))
    path.chmod(0o600)
    return path, site_file.load(path)


def _without_absent(text: str, present: set[str]) -> str:
    """[[connector]] tables stand last in the file."""
    head, *tables = re.split(r"(?m)^(?=\[\[connector\]\])", text)
    named = re.compile(r'(?m)^charger\s*=\s*"([^"]*)"')
    kept = [table for table in tables if (found := named.search(table)) and found[1] in present]
    return head + "".join(kept)


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
