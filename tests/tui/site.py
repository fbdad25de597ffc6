"""A site with power for the console's screens: the real gateway, three cars that draw, their meter, a cloud.

    async with running(tmp_path) as site:
        async with site.console("Chargers") as looking: ...

CP01 (1.6), CP02 (2.0.1) and CP03 (2.1) are wired; CP09 is known and has never connected; whoever else knocks
is refused. One gateway process for a whole module: a test leaves the site as it found it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegw import config as site_file
from edgegw.control.client import ControlClient
from edgegw.tui.app import Console
from edgegw.tui.link import Where
from tests.e2e.children import DEADLINE_S, Children
from tests.e2e.gateway import Gateways
from tests.e2e.power_site import CHARGERS, Site, running_site
from tests.tui.lists_site import NARROW, Looking

ABSENT, STRANGER = "CP09", "CP77"


@dataclass
class PowerHouse:
    site: Site
    folder: Path

    @property
    def socket(self) -> Path:
        return site_file.load(self.site.gateway.config).control.socket

    def client(self) -> ControlClient:
        return ControlClient(self.socket)

    async def knock(self, identity: str, offers: str = "ocpp1.6") -> bytes:
        """One attempt to connect, as a charger does it; what the gateway said."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.site.gateway.port)
        head = (
            f"GET /ocpp/{identity} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Protocol: {offers}\r\n\r\n"
        )
        writer.write(head.encode())
        try:
            return await asyncio.wait_for(reader.read(1000), DEADLINE_S)
        finally:
            writer.close()
            await writer.wait_closed()

    @asynccontextmanager
    async def console(
        self, screen: str = "Site", *, size: tuple[int, int] = NARROW, operator: bool = True
    ) -> AsyncIterator[Looking]:
        """A console that shows this screen, with its first picture."""
        app = Console(Where(socket=self.socket, operator=operator))
        async with app.run_test(size=size) as pilot:
            looking = Looking(app, pilot)
            await looking.until(lambda: app.snapshot is not None, "the first picture")
            app.action_go(screen)
            await looking.until(lambda: app.screen is app.screen_named(screen), screen)
            yield looking


@asynccontextmanager
async def running(folder: Path, more: dict[str, Any] | None = None) -> AsyncIterator[PowerHouse]:
    """`more`: further tables of the site file."""
    children = Children(folder)
    gateways = Gateways(children, folder)
    known = {"known": [*CHARGERS, ABSENT], "unknown": "refuse"}
    try:
        async with running_site(gateways, {"chargers": known, **(more or {})}) as site:
            yield PowerHouse(site, folder)
            await gateways.close()
    finally:
        await children.close()
