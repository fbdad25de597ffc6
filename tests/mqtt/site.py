"""A real gateway with its store, and chargers in memory, as the view of MQTT sees it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from edgegw.config_mqtt import Mqtt
from edgegw.control import models
from edgegw.control.health import StoreWatch, health
from edgegw.core.alarms import Alarm
from edgegw.core.load_control import PowerPlan
from edgegw.mqtt.message import Message
from edgegw.mqtt.snapshot import Snapshots
from edgegw.mqtt.snapshot_sources import SiteFacts, Sources
from edgegw.mqtt.state import StateMaker
from edgegw.mqtt.topics import Tree
from edgegw.mqtt.view import View
from edgegw.runtime import clock
from tests.control.house import House, Wire
from tests.mqtt.wire import Checker

TREE = Tree("edgegw", "depot-1")
SALT = b"0123456789abcdef0123456789abcdef"


class Site(House):
    """`sees` a view; `publishes` the messages of it, each held against its schema."""

    def __init__(
        self, folder: Path, *, plan: PowerPlan | None = None, standalone: bool = False, **settings: object
    ) -> None:
        super().__init__(folder, plan=plan, standalone=standalone, known=frozenset({"CP-1", "CP-9"}))
        self.settings = Mqtt.model_validate({"broker": "mqtt://127.0.0.1", **settings})
        self.alarms: Sequence[Alarm] = ()
        self.health: models.Health | None = None

    async def start(self, *, tcp: bool = False) -> None:
        await super().start(tcp=tcp)
        self.started_at = time.time()
        self.site = SiteFacts("depot-1", "Deck", "0.5.0", self.started_at, ("mqtt",), SALT)
        sources = Sources(health=lambda: self.health, alarms=lambda: self.alarms, loop_lag_ms=lambda: 2.345)
        self.snapshots = Snapshots(self.gateway, self.site, sources, self.settings)
        self._maker = StateMaker(TREE, flat=True)

    async def counts(self) -> None:
        """Health as the control API has it."""
        watch = StoreWatch(self.journal)
        counts = await watch.counts()
        self.health = health(self.gateway, self.journal, counts, version="0.5.0", started_at=self.started_at)
        await watch.close()

    def sees(self, *, later_s: float = 0.0) -> View:
        now = clock.now()
        return self.snapshots.view(type(now)(now.mono + later_s, now.wall + later_s, now.trusted))

    def publishes(self) -> dict[str, Message]:
        made = self._maker.messages(self.sees())
        Checker(TREE).check_all(
            {topic: message.payload("2026-11-20T23:40:01Z") for topic, message in made.items()}
        )
        return made

    async def reports(
        self, charger: Wire, status: str, connector: int = 1, error: str = "NoError", **more: object
    ) -> None:
        """A 1.6 StatusNotification, answered by the cloud or the box."""
        payload = {"connectorId": connector, "status": status, "errorCode": error, **more}
        await self._relayed(charger, "StatusNotification", payload, {})

    async def measures(self, charger: Wire, *sampled: dict, connector: int = 1, **more: object) -> None:
        value = {"timestamp": "2026-11-20T10:05:00Z", "sampledValue": list(sampled)}
        payload = {"connectorId": connector, "meterValue": [value], **more}
        await self._relayed(charger, "MeterValues", payload, {})

    async def _relayed(self, charger: Wire, action: str, payload: dict, answer: dict) -> None:
        asked = charger.calls(action, payload)
        cloud = next((wire for wire in self.cloud.wires.values() if wire.open), None)
        if self.cloud.up and cloud is not None:
            while (await cloud.hears())[1] != asked:
                pass
            cloud.says([3, asked, answer])
        while (await charger.hears())[1] != asked:
            pass
