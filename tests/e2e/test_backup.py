"""A backup of the real gateway under traffic, a restore, a start: what was answered before is there."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import httpx

from edgegw.sim.cloud import SimCloud
from tests.e2e.children import DEADLINE_S, Children
from tests.e2e.faults import (
    MANY_WITHIN_S,
    RawCharger,
    ask,
    charger,
    drained,
    meter,
    start_tx,
    stop_tx,
    until,
)
from tests.e2e.gateway import GatewayProcess, Gateways

PACE_S = 0.01  # so that what waits is delivered again in no time
WIDE = 20_000  # samples of one message: about a megabyte


class Traffic:
    """A charger that sends transaction messages one after the other, and the ledger of those answered."""

    def __init__(self, box: RawCharger) -> None:
        self._box = box
        self.answered: list[str] = []
        self._stop = asyncio.Event()

    async def send(self, action: str, payload: dict, message_id: str) -> list:
        answer = await self._box.call(action, payload, message_id)
        self.answered.append(message_id)
        return answer

    async def goes_on(self, samples: int = 1, times: int = 1_000_000) -> None:
        transaction = (await self.send("StartTransaction", start_tx(), "start"))[2]["transactionId"]
        for number in range(times):
            if self._stop.is_set():
                break
            await self.send("MeterValues", meter(transaction, number, samples), f"meter-{number}")
            await asyncio.sleep(PACE_S)
        await self.send("StopTransaction", stop_tx(transaction), "stop")

    async def has_answered(self, count: int) -> None:
        await until(lambda: len(self.answered) >= count, MANY_WITHIN_S)

    def stop(self) -> None:
        self._stop.set()


async def kept(gateway: GatewayProcess) -> list[str]:
    """Ids of the transaction messages that wait, oldest first."""
    found: list[str] = []
    before = ""
    while True:
        page = await ask(gateway, f"/v1/queue/rows?limit=500{before}")
        found += [row["message_id"] for row in page["rows"] if row["lane"] == "transaction"]
        if page["next_before"] is None:
            return list(reversed(found))
        before = f"&before={page['next_before']}"


async def edgegw(children: Children, *words: str, code: int = 0) -> list[str]:
    child = await children.start(words[0], sys.executable, "-m", "edgegw", *words)
    assert await child.ended() == code, (child.lines, child.log)
    return child.lines


async def test_a_backup_under_traffic_restored_has_all_that_was_answered_before(
    gateways: Gateways, children: Children, tmp_path: Path
):
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        await _backup_and_restore(gateway, cloud, children, tmp_path)


async def _backup_and_restore(
    gateway: GatewayProcess, cloud: SimCloud, children: Children, tmp_path: Path
) -> None:
    file = tmp_path / "backup.tar.gz"
    async with charger(gateway, "CP-1") as box:
        await cloud.cut()
        traffic = Traffic(box)
        going = asyncio.create_task(traffic.goes_on())
        await traffic.has_answered(50)
        before = list(traffic.answered)
        await edgegw(children, "backup", str(file), "--config", str(gateway.config))
        during = len(traffic.answered)
        await traffic.has_answered(during + 20)
        traffic.stop()
        await going
    assert await kept(gateway) == traffic.answered
    assert during > len(before), "the charger was answered while the backup was made"
    await gateway.kill()  # the store is left as a power cut leaves it
    told = await edgegw(children, "restore", str(file), "--config", str(gateway.config), "--yes", "--json")
    manifest = json.loads(told[-1])["restore"]["manifest"]
    await gateway.start()
    restored = await kept(gateway)
    assert restored == traffic.answered[: len(restored)], "one moment: nothing is missing in between"
    assert len(before) <= len(restored) <= during + 1  # one may have been stored and its answer on its way
    assert manifest["counts"]["tables"]["journal"] >= len(restored)
    aside = next(path for path in gateway.store.iterdir() if "before-restore" in path.name)
    assert aside.exists()
    await cloud.restore()
    async with charger(gateway, "CP-1"):
        await drained(gateway)


async def test_kill_9_in_the_middle_of_a_backup_is_harmless(
    gateways: Gateways, children: Children, tmp_path: Path
):
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "CP-1") as box:
            await cloud.cut()
            traffic = Traffic(box)
            await traffic.goes_on(samples=WIDE, times=16)
    transport = httpx.AsyncHTTPTransport(uds=str(gateway.store / "edgegw.sock"))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://edgegw", trust_env=False) as http,
        http.stream("POST", "/v1/backup", json={}, timeout=DEADLINE_S) as answer,
    ):
        lines = answer.aiter_lines()  # kept: whoever lets go of it has gone away
        assert "progress" in await anext(lines)
        copy = await until(lambda: next(gateway.store.glob("edgegw.backup/*/edgegw.db"), None))
        await gateway.kill()
    assert copy.exists()
    await gateway.start()
    assert not (gateway.store / "edgegw.backup").exists()
    assert await kept(gateway) == traffic.answered
    told = await edgegw(
        children, "backup", str(tmp_path / "b.tar"), "--config", str(gateway.config), "--json"
    )
    assert json.loads(told[-1])["backup"]["manifest"]["counts"]["states"]["stored"] >= len(traffic.answered)
