"""A small site for the screens that list things: the real gateway, four chargers, a cloud that can refuse.

    async with running(tmp_path) as site:
        async with site.console() as pilot: ...

Rules of this file:
- One gateway process for a whole module: a test leaves the site as it found it, or uses a charger of its own.
- What the screens show is compared with what the simulated chargers and the cloud did.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from edgegw import config as site_file
from edgegw.control.client import ControlClient
from edgegw.sim.cloud import SimCloud
from edgegw.sim.desk import V16, V201
from edgegw.tui.app import Console
from edgegw.tui.link import Where
from edgegw.tui.listing import ListScreen
from tests.e2e.children import DEADLINE_S, Children
from tests.e2e.faults import NOW, until
from tests.e2e.file_site import EAGER, Fleet, files_table
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.e2e.signed_firmware import Firmware, make_firmware

HOPS = 4  # messages that may follow from one key: key, action, its message, what that closes or opens
NARROW, WIDE = (80, 24), (160, 50)
RAW = ("RAW1", "RAW2")  # known, for tests that speak for a charger themselves
WIRED = "CP002"  # the only one that is balanced
POWER: dict[str, Any] = {
    "circuit": [{"name": "main", "fuse": 63.0, "reserve": 20.0}],
    "connector": [{"charger": WIRED, "circuit": "main", "phases": "L1 L2 L3", "safe": 6.0}],
}
HABITS = replace(EAGER, file_protocols=("HTTP",), install_s=0.2)

T = TypeVar("T")


@dataclass
class ListsSite:
    gateway: GatewayProcess
    fleet: Fleet
    cloud: SimCloud
    folder: Path

    @property
    def socket(self) -> Path:
        return site_file.load(self.gateway.config).control.socket

    def client(self) -> ControlClient:
        return ControlClient(self.socket)

    async def fleet_idle(self, identity: str) -> None:
        """Until a charger has told all, and nothing charges there."""
        one = self.fleet.chargers[identity]
        await until(lambda: one.status(1) not in ("Charging", "Occupied", "Finishing") or None)
        await one.drained(DEADLINE_S)

    def firmware(self, version: str) -> tuple[Path, Firmware]:
        made = make_firmware(version)
        path = self.folder / f"fw-{version}.bin"
        path.write_bytes(made.content)
        return path, made

    @asynccontextmanager
    async def console(
        self, screen: str, *, size: tuple[int, int] = NARROW, operator: bool = True
    ) -> AsyncIterator[Looking]:
        """A console that shows this screen, with its first picture."""
        app = Console(Where(socket=self.socket, operator=operator))
        async with app.run_test(size=size) as pilot:
            looking = Looking(app, pilot)
            await looking.until(lambda: app.snapshot is not None, "the first picture")
            app.action_go(screen)
            await looking.until(lambda: app.screen is app.screen_named(screen), screen)
            yield looking


@dataclass
class Looking:
    """Somebody in front of a console."""

    app: Console
    pilot: Pilot[int]
    _heard: int = 0

    @property
    def list(self) -> ListScreen:
        screen = self.app.screen
        assert isinstance(screen, ListScreen), screen
        return screen

    @property
    def text(self) -> str:
        """All that is on the terminal."""
        return "\n".join(
            "".join(segment.text for segment in strip)
            for strip in self.app.screen._compositor.render_strips()
        )

    @property
    def rows(self) -> list[str]:
        return [
            " ".join(cell if isinstance(cell, str) else cell[0] for cell in row.cells)
            for row in self.list.table.rows
        ]

    @property
    def said(self) -> list[str]:
        """The messages since the console began, the newest last."""
        return self.app.said.texts

    async def press(self, *keys: str) -> None:
        """One after the other, each when what it does is done.

        Not `Pilot.press`: that waits until the process is idle, and chargers and cloud live in it too.
        """
        driver = self.app._driver
        assert driver is not None
        for key in keys:
            event = events.Key(key, key if len(key) == 1 else None)
            event.set_sender(self.app)
            driver.send_message(event)
            await self.pilot._wait_for_screen()
            while self.app.keys_are_waiting:  # noqa: ASYNC110  (the console has no event for tests)
                await asyncio.sleep(0.002)
            for _ in range(HOPS):
                await self.pilot._wait_for_screen()

    async def type(self, text: str) -> None:
        """In the place of what stands in the line that has the focus; as a paste: keys take their time."""
        (await self.line()).value = text
        await self.pilot._wait_for_screen()

    async def line(self) -> Input:
        """The one that has the focus: it gets it a little after it is shown."""

        def look() -> Input | None:
            focused = self.app.screen.focused
            return focused if isinstance(focused, Input) else None

        found = await self.until(look, "a line to type in")
        assert found is not None
        return found

    async def answer(self, question: str, text: str) -> None:
        """What is asked in a dialog of its own, when it is there."""
        await self.until(lambda: self.app.screen.is_modal and question in self.text, question)
        await self.type(text)
        await self.press("enter")

    async def filter(self, text: str) -> None:
        await self.press("slash")
        await self.type(text)
        await self.press("enter")

    async def until(self, look: Callable[[], T | None], what: str, within_s: float = DEADLINE_S) -> T:
        """The first truthy thing. Raises AssertionError with the screen as it is."""
        clock = asyncio.get_running_loop().time
        end = clock() + within_s
        while True:
            found = look()
            if found:
                return found
            assert clock() < end, f"{what}: never came:\n{self.text}\n{self.said}"
            await self.pilot.pause(0.05)

    async def shows(self, part: str) -> None:
        await self.until(lambda: part in self.text, f"{part!r} on the screen")

    async def lists(self, part: str) -> str:
        """The first line of the list with that text."""
        found = await self.until(
            lambda: next((row for row in self.rows if part in row), None), f"{part!r} in the list"
        )
        assert found is not None
        return found

    async def tells(self, part: str) -> None:
        """A message above the footer, since the last one that was looked for."""
        await self.until(lambda: self._hears(part), f"{part!r} said")

    def _hears(self, part: str) -> bool:
        for number in range(self._heard, len(self.said)):
            if part in self.said[number]:
                self._heard = number + 1
                return True
        return False


@asynccontextmanager
async def running(
    folder: Path, *, count: int = 4, more: dict[str, Any] | None = None
) -> AsyncIterator[ListsSite]:
    children = Children(folder)
    gateways = Gateways(children, folder)
    try:
        async with SimCloud() as cloud:
            with files_table() as files:
                known = [f"CP{number + 1:03}" for number in range(count)] + [*RAW]
                chargers = {"unknown": "refuse", "known": known}
                tables = {"files": files, "chargers": chargers, **POWER, **(more or {})}
                gateway = await gateways(cloud.url, tables)
                async with Fleet(gateway.url, count, versions=(V16, V201), habits=HABITS) as fleet:
                    await fleet.online(cloud)
                    yield ListsSite(gateway, fleet, cloud, folder)
                await gateways.close()
    finally:
        await children.close()


def status(connector: Any = 1, code: str = "NoError", word: str = "Available") -> dict[str, Any]:
    """A StatusNotification of 1.6."""
    return {"connectorId": connector, "errorCode": code, "status": word, "timestamp": NOW}
