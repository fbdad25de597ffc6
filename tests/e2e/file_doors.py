"""A gateway with open file doors, an nginx, a cloud, and chargers that keep books of what they hear."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegw.sim.cloud import SimCloud
from edgegw.sim.habits import Habits
from edgegw.sim.ledger import read
from edgegw.sim.orders import FIRMWARE, LOGS
from tests.e2e.children import DEADLINE_S
from tests.e2e.faults import ask, until
from tests.e2e.file_site import EAGER, Fleet, expected_log, files_table, order_logs
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.servers.nginx import Nginx

UPDATE_CALLS = frozenset({"UpdateFirmware", "SignedUpdateFirmware"})
LOG_CALLS = frozenset({"GetDiagnostics", "GetLog"})


@dataclass
class Site:
    folder: Path
    origin: Nginx
    cloud: SimCloud
    gateway: GatewayProcess
    files: dict[str, Any]

    @property
    def web(self) -> str:
        scheme = "https" if "tls_key" in self.files else "http"
        return f"{scheme}://{self.files['listen']}"

    @property
    def ftp(self) -> str:
        return f"ftp://{self.files['ftp_listen']}"

    @asynccontextmanager
    async def fleet(
        self, habits: Habits | Mapping[str, Habits] = EAGER, *, count: int = 2, **more: Any
    ) -> AsyncIterator[Fleet]:
        """Chargers that are at the cloud."""
        async with Fleet(
            self.gateway.url, count, habits=habits, folder=self.folder / "chargers", **more
        ) as fleet:
            await fleet.online(self.cloud)
            yield fleet

    def told(self, fleet: Fleet, actions: Iterable[str]) -> list[tuple[str, str]]:
        """(identity, action): what chargers were told to do, by their own books."""
        wanted = frozenset(actions)
        books = [self.folder / "chargers" / f"{identity}.jsonl" for identity in fleet.chargers]
        lines = [line for book in books for line in read(book)]
        return [
            (one.who, one.action) for one in lines if one.kind == "received_call" and one.action in wanted
        ]

    async def quiet(self, fleet: Fleet) -> None:
        """Until every charger has answered all that was ahead of a harmless question."""
        for identity in fleet.chargers:
            await self.cloud.call(identity, "ClearCache", {}, timeout_s=DEADLINE_S)

    def heard(self, fleet: Fleet) -> list[list[str]]:
        """All statuses of updates, by charger."""
        return [self.cloud.heard.statuses(name, FIRMWARE) for name in fleet.chargers]

    async def installed(self, fleet: Fleet, times: int = 1) -> dict[str, list[str]]:
        """The same when the cloud has heard Installed so often from each, and all are back."""
        await until(lambda: all(words.count("Installed") == times for words in self.heard(fleet)))
        await fleet.online(self.cloud)
        return dict(zip(fleet.chargers, self.heard(fleet), strict=True))

    async def sent(self, fleet: Fleet, url: str) -> dict[str, bytes]:
        """Have a log of each charger sent there: name and content, when the cloud heard that it is there."""

        def uploaded() -> list[int]:
            return [self.cloud.heard.statuses(name, LOGS).count("Uploaded") for name in fleet.chargers]

        expected = [count + 1 for count in uploaded()]
        answers = await order_logs(self.cloud, fleet, url)
        await until(lambda: uploaded() == expected)
        names = {identity: name_of(answer) for identity, answer in answers.items()}
        return {name: expected_log(fleet, identity, name) for identity, name in names.items()}

    async def transfers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await ask(self.gateway, "/v1/firmware"))["transfers"]
        return found


@asynccontextmanager
async def site(
    folder: Path, gateways: Gateways, *, log: str = "info", settings: str = "", **keys: Any
) -> AsyncIterator[Site]:
    """settings: of nginx. keys: of [files]."""
    async with Nginx(folder / "origin", settings=settings) as origin, SimCloud() as cloud:
        with files_table(**keys) as files:
            gateway = await gateways(cloud.url, {"files": files, "log": {"level": log}})
            yield Site(folder, origin, cloud, gateway, files)
            await gateway.terminate()


def urls(facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [one["url"] for one in facts.values()]


def name_of(answer: Mapping[str, Any]) -> str:
    """How a charger called its log."""
    return str(answer.get("fileName") or answer["filename"])
