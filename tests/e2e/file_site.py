"""A site whose chargers load firmware and send logs: its [files] table, its chargers, the cloud's orders.

    async with Nginx(tmp_path / "origin") as origin, SimCloud(ledger=...) as cloud:
        firmware = put(origin, "/fw.bin", make_firmware())
        with files_table() as files:
            gateway = await gateways(cloud.url, {"files": files})
            async with Fleet(gateway.url, 100) as fleet:
                await fleet.online(cloud)
                await order_updates(cloud, fleet, origin.url("/fw.bin"))
                assert await updates_ended(cloud, fleet) == ...

Rules of this file:
- Chargers and cloud are in the test's process and tell what they saw; the server's log tells what moved.
- Every wait is for something that happened, has a deadline, and says in its failure who is missing.
- The ports of a gateway's file doors stay the same over its restarts: the chargers were told them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from edgegw.config_values import toml_key
from edgegw.sim.charger import SimCharger
from edgegw.sim.cloud import SimCloud
from edgegw.sim.desk import V16, V201, Payload, subprotocol_of
from edgegw.sim.habits import Habits
from edgegw.sim.orders import FIRMWARE, LOGS, log_order, update_order
from edgegw.sim.uploads import log_content
from edgegw.sim.watch import Watch
from tests.e2e.children import DEADLINE_S
from tests.e2e.signed_firmware import Firmware
from tests.servers.shared import BLOCK_PORTS, Server, claim_ports

ORDERED_WITHIN_S = 6 * DEADLINE_S  # a hundred chargers on a busy machine
UPDATED = {"Installed"}
UPDATE_ENDS = UPDATED | {"DownloadFailed", "InstallationFailed", "InvalidSignature"}
UPLOAD_ENDS = {"Uploaded", "UploadFailed", "UploadFailure", "PermissionDenied", "NotSupportedOperation"}
FIRST_REQUEST_ID = 1001
# A charger that tries again at once and often, so that no test waits for it.
EAGER = Habits(
    heartbeat_s=0.0,
    backoff_min_s=0.05,
    backoff_max_s=0.5,
    message_timeout_s=DEADLINE_S,
    file_protocols=("HTTP", "HTTPS", "FTP"),
    file_attempts=60,
    file_retry_interval_s=0.2,
)


# --- the site file --------------------------------------------------------------------------------


@contextmanager
def files_table(*, ftp: bool = False, **keys: Any) -> Iterator[dict[str, Any]]:
    """A [files] table on ports that nobody else has. keys: more of it, as in config_files or the file."""
    port, claim = claim_ports()
    table: dict[str, Any] = {
        "listen": f"127.0.0.1:{port}",
        "directory": "firmware_cache",
        "inward": ["127.0.0.1"],
        "upload_hosts": ["127.0.0.1"],
        "cache": "256 MiB",
        "largest_file": "128 MiB",
        "patience": "1 s",
        "fetch_stall": "5 s",
    }
    if ftp:
        table["ftp_listen"] = f"127.0.0.1:{port + 1}"
        table["ftp_ports"] = f"{port + 2}-{port + BLOCK_PORTS - 1}"
    with claim:
        yield table | {toml_key(name): _plain(value) for name, value in keys.items()}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


# --- the chargers ---------------------------------------------------------------------------------


class Fleet(Watch):
    """So many chargers, of these versions in turn. `chargers`: by identity; `events`: all that they did.

    habits: of all, or by version. security: 1.6 chargers know the security extension.
    """

    def __init__(
        self,
        url: str,
        count: int,
        *,
        versions: Sequence[str] = (V16, V201),
        habits: Habits | Mapping[str, Habits] = EAGER,
        security: bool = False,
        folder: Path | None = None,
        prefix: str = "CP",
    ) -> None:
        super().__init__()
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.chargers: dict[str, SimCharger] = {}
        for number in range(count):
            identity, version = f"{prefix}{number + 1:03}", subprotocol_of(versions[number % len(versions)])
            own = habits if isinstance(habits, Habits) else habits[version]
            self.chargers[identity] = SimCharger(
                identity,
                version,
                url,
                habits=replace(own, security=own.security or security),
                ledger=folder / f"{identity}.jsonl" if folder else None,
                memory=folder / f"{identity}.json" if folder else None,
                on_event=self._on_event,
            )

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(charger.start() for charger in self.chargers.values()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(charger.stop() for charger in self.chargers.values()))
        for charger in self.chargers.values():
            if charger.failure is not None:
                raise charger.failure

    def _on_event(self, identity: str, event: str, facts: dict[str, Any]) -> None:
        self.events.append((identity, event, facts))
        self._happened()

    async def online(self, cloud: SimCloud) -> None:
        """Until all are accepted and the cloud has a connection of each."""
        await reached(self, lambda: [name for name, one in self.chargers.items() if not one.online], "online")
        await reached(
            cloud, lambda: [name for name in self.chargers if name not in cloud.connections], "at the cloud"
        )

    def of(self, event: str) -> dict[str, dict[str, Any]]:
        """The facts of the last such event of each charger that had one."""
        return {identity: facts for identity, name, facts in self.events if name == event}

    def count(self, event: str) -> Counter[str]:
        """How often, by charger."""
        return Counter(identity for identity, name, _ in self.events if name == event)

    async def told(self, event: str, count: int | None = None) -> dict[str, dict[str, Any]]:
        """Until so many chargers (all) had such an event: downloaded, installed, uploaded, failed, ..."""
        wanted = len(self.chargers) if count is None else count

        def missing() -> list[str]:
            had = self.of(event)
            return [] if len(had) >= wanted else [name for name in self.chargers if name not in had]

        await reached(self, missing, event)
        return self.of(event)


async def reached(watch: Watch, missing: Callable[[], list[str]], what: str) -> None:
    """Until nobody is missing."""
    try:
        await watch.wait_for(lambda: not missing(), ORDERED_WITHIN_S)
    except TimeoutError:
        names = missing()
        raise AssertionError(f"never {what}: {len(names)}, such as {', '.join(names[:5])}") from None


# --- what the cloud orders, and what it hears -----------------------------------------------------


def put(server: Server, path: str, firmware: Firmware) -> Firmware:
    """The file at this path of a server."""
    place = server.files / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(firmware.content)
    return firmware


def request_ids(fleet: Fleet) -> dict[str, int]:
    """The request id that the orders of this file give each charger."""
    return {identity: FIRST_REQUEST_ID + number for number, identity in enumerate(fleet.chargers)}


async def order_updates(
    cloud: SimCloud,
    fleet: Fleet,
    url: str,
    *,
    only: Sequence[str] | None = None,
    signed: Firmware | None = None,
    **more: Any,
) -> dict[str, Payload]:
    """UpdateFirmware (SignedUpdateFirmware in 1.6 when signed) to each at once; their answers.

    more: retrieve_at, install_at, retries, retry_interval_s, as in sim.orders.
    """
    if signed is not None:
        more |= {"certificate": signed.certificate, "signature": signed.signature}
    ids = request_ids(fleet)
    return await _order(
        cloud,
        {name: update_order(fleet.chargers[name].version, url, ids[name], **more) for name in only or ids},
    )


async def order_logs(
    cloud: SimCloud,
    fleet: Fleet,
    url: str,
    *,
    only: Sequence[str] | None = None,
    kind: str = "Diagnostics",
    **more: Any,
) -> dict[str, Payload]:
    """GetLog to each at once (GetDiagnostics to a 1.6 charger without security); their answers."""
    ids = request_ids(fleet)
    orders = {}
    for name in only or ids:
        charger = fleet.chargers[name]
        plain = charger.version == V16 and not charger.habits.security
        orders[name] = log_order(charger.version, url, None if plain else ids[name], kind=kind, **more)
    return await _order(cloud, orders)


async def _order(cloud: SimCloud, orders: Mapping[str, tuple[str, Payload]]) -> dict[str, Payload]:
    answers = await asyncio.gather(
        *(cloud.call(name, *order, timeout_s=ORDERED_WITHIN_S) for name, order in orders.items())
    )
    return dict(zip(orders, answers, strict=True))


async def updates_ended(
    cloud: SimCloud, fleet: Fleet, *, only: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """What the cloud heard of each update, when it has heard the end of all."""
    return await _ended(cloud, only or list(fleet.chargers), FIRMWARE, UPDATE_ENDS)


async def uploads_ended(
    cloud: SimCloud, fleet: Fleet, *, only: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """The same of logs."""
    return await _ended(cloud, only or list(fleet.chargers), LOGS, UPLOAD_ENDS)


async def _ended(
    cloud: SimCloud, names: Sequence[str], actions: tuple[str, ...], ends: set[str]
) -> dict[str, list[str]]:
    def missing() -> list[str]:
        return [name for name in names if not ends & set(cloud.heard.statuses(name, actions))]

    await reached(cloud, missing, "told the end")
    return {name: cloud.heard.statuses(name, actions) for name in names}


async def told_without_gateway(
    version: str, url: str, *, habits: Habits = EAGER, signed: Firmware | None = None
) -> list[str]:
    """The statuses of one update of a charger that dials the cloud itself: what the cloud is used to."""
    async with (
        SimCloud() as cloud,
        Fleet(cloud.url, 1, versions=(version,), habits=habits, security=signed is not None) as fleet,
    ):
        await fleet.online(cloud)
        await order_updates(cloud, fleet, url, signed=signed)
        (statuses,) = (await updates_ended(cloud, fleet)).values()
        return statuses


def expected_log(fleet: Fleet, identity: str, name: str) -> bytes:
    """What this charger uploads under the name that it answered."""
    return log_content(identity, name, fleet.chargers[identity].habits.upload_bytes)
