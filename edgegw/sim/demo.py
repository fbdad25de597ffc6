"""`edgegw demo`: a parking site in a box, with the real gateway as its own process in the middle.

The story: eight chargers of three OCPP versions charge through the gateway. The building's load rises, the
cars give way, and get more when it falls; where mosquitto is installed it asks for less over MQTT, and falls
silent. Then the cloud dies; the gateway is killed (kill -9) in the outage, and a charger reboots;
charging goes on; the cloud returns and gets everything; a third program compares the ledgers of chargers and
cloud. All of it is real: real processes, real sockets, a real Modbus meter, a real database in a temporary
folder that is gone afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgegw import config as site_file
from edgegw.config import SiteConfig
from edgegw.sim import audit, broker
from edgegw.sim.broker import Broker
from edgegw.sim.demo_mqtt import SOURCE, BuildingSystem, topic_root
from edgegw.sim.demo_site import site_beside
from edgegw.sim.gateway_process import GatewayProcess
from edgegw.sim.lines import LineProcess, start_chargers, start_cloud
from edgegw.sim.verdict import Verdict

DRAIN_WITHIN_S = 60.0
ANSWERED_WITHIN_S = 10.0
QUIET, BUSY = "14 12 15", "62 66 60"  # amps of the building; [[circuit]] reserve of the site file covers both
ASKED_A, FALLBACK_A = 70.0, 100.0  # the building's limit by MQTT, and what holds when it is not renewed
ASKED_S = 10.0  # the shortest time that a limit can be asked for; not paced: the gateway's clock counts it


@dataclass(frozen=True, slots=True)
class Script:
    """Seconds of each act; `pace` shortens or stretches all of them."""

    chargers: int = 8
    charging_s: float = 22.0
    busy_s: float = 14.0
    quiet_s: float = 10.0
    fallback_s: float = 4.0
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
        self._building: BuildingSystem | None = None

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
        line = await self._start_broker(site_path, folder, stack)
        ready = {**self._chargers.ready, "broker": line.url if line else None}
        path, site = site_beside(site_path, folder, str(self._cloud.ready["listening"]), ready)
        self._gateway = GatewayProcess(path, site.control.socket, folder / "gateway.log")
        stack.push_async_callback(self._gateway.stop)
        await self._start_gateway("")
        self._tell(f"look at it from another terminal: {program()} console --socket {site.control.socket}")
        if line is not None:
            await self._subscribe(site, line, stack)
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

    async def _start_broker(
        self, site_path: Path, folder: Path, stack: contextlib.AsyncExitStack
    ) -> Broker | None:
        """The building's broker, when the site file wants one and mosquitto is there."""
        if site_file.load(site_path).mqtt is None:
            return None
        if broker.program() is None:
            self._tell("no MQTT: mosquitto is not installed (apt-get install mosquitto); on without it")
            return None
        return await stack.enter_async_context(await Broker.start(folder))

    async def _subscribe(self, site: SiteConfig, line: Broker, stack: contextlib.AsyncExitStack) -> None:
        """Say how to read along, and be the building's own system. Raises BuildingFault."""
        assert site.mqtt is not None
        base, root = site.mqtt.base, topic_root(site.mqtt.base, site.site.id)
        building = await stack.enter_async_context(BuildingSystem(line.port, root))
        await building.gateway_is_online()
        if {"limit/set", "limit/release"} <= set(site.mqtt.commands) and SOURCE in site.mqtt.limit_sources:
            self._building = building
        named = "" if base == "edgegw" else f" --base {base}"
        self._tell(
            f"read along: {program()} mqtt watch --broker {line.url}{named}   (or: "
            f"mosquitto_sub -p {line.port} -v -t '{root}/#')"
        )

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
        if self._building is not None:
            await self._mqtt_act(self._building)

    async def _mqtt_act(self, building: BuildingSystem) -> None:
        """The building asks for less and falls silent: its limit is a dead-man's handle."""
        self._begin(
            "the building asks for less",
            f"the building asks over MQTT for {ASKED_A:g} A, for {ASKED_S:g} s: the cars give way",
        )
        await building.asks("limit/set", limit_a=ASKED_A, expires_s=ASKED_S, fallback_a=FALLBACK_A)
        await building.limit_is("holds", ANSWERED_WITHIN_S)
        await building.limit_is("fallback", ASKED_S + ANSWERED_WITHIN_S)
        self._tell(f"{SOURCE} did not renew it: the limit falls back to {FALLBACK_A:g} A")
        await self._pass(self._script.fallback_s)
        await building.asks("limit/release")

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


def interrupted_exit_code() -> int:
    """128 + SIGINT, as shells count it."""
    return 128 + signal.SIGINT


def program() -> str:
    """How this very edgegw is called again: it is not on everybody's path."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "edgegw" else "python -m edgegw"


def is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
