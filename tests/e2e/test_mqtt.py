"""The real gateway and the building: mosquitto between them, mosquitto_pub and mosquitto_sub outside.

Rules of this file:
- Everything that is seen on the broker is held against the schema files, at the end of every test.
- What the cars draw is the simulated site's own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edgegw.config_mqtt import VERBS
from edgegw.mqtt.topics import Tree
from tests.e2e.faults import until
from tests.e2e.gateway import Gateways
from tests.e2e.power_site import Site, running_site
from tests.mqtt import homeassistant_schema
from tests.mqtt.wire import Checker, channel_of
from tests.servers.mosquitto import Listener, Mosquitto, Received

TREE = Tree("edgegw", "e2e")
LIMIT_A, FALLBACK_A, EXPIRES_S = 40, 52, 12
EVERYTHING = {
    "info", "health", "cloud", "meter", "site", "circuit", "limit", "balancer",
    "charger", "connector", "session", "event", "response", "scalar", "log",
}  # fmt: skip
pytestmark = pytest.mark.timeout(400)  # its waits end sooner, and say what did not come
CP02 = "/charger/cp02/connector/1/state"  # 2.0.1
INOPERATIVE = {"operationalStatus": "Inoperative", "evse": {"id": 1, "connectorId": 1}}


@dataclass
class Seen:
    """All that went over the broker."""

    broker: Mosquitto
    listener: Listener
    number: int = 0
    whole: list[Received] = field(default_factory=list)

    async def command(self, verb: str, *arguments: str, **fields: Any) -> dict[str, Any]:
        """A request, and the answer to it. `arguments`: of mosquitto_pub."""
        self.number += 1
        fields = {"transaction": f"t-{self.number}", "ts": now(), **fields}
        await self.broker.publish(TREE.topic("response", verb=verb).replace("response", "request", 1),
                                  json.dumps(fields), *arguments)  # fmt: skip
        return await self.answer(verb, fields["transaction"])

    async def answer(self, verb: str, transaction: str, times: int = 1) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        async for one in self.listener:
            if one.topic == TREE.topic("response", verb=verb):
                answer = json.loads(one.payload)
                if answer["transaction"] == transaction:
                    found.append(answer)
                if len(found) == times:
                    return found[-1]
        raise AssertionError("mosquitto_sub ended")

    async def until_topic(self, prefix: str) -> Received:
        async for one in self.listener:
            if one.topic.startswith(prefix):
                return one
        raise AssertionError("mosquitto_sub ended")

    async def until_state(self, topic: str, fits: Callable[[dict[str, Any]], bool]) -> None:
        """Until the newest message of this topic fits."""
        at = f"{TREE.root}/{topic}"
        await until(lambda: any(fits(json.loads(one.payload)) for one in self.listener.on(at)[-1:]))

    def channels(self) -> set[str]:
        """Names of all channels that something came on."""
        topics = {one.topic for one in self.listener.seen if one.topic.startswith(f"{TREE.root}/")}
        return {channel_of(topic.removeprefix(f"{TREE.root}/"))[0] for topic in topics}

    def events(self, kind: str) -> list[dict[str, Any]]:
        all_of_them = (json.loads(one.payload) for one in self.listener.on(TREE.topic("event")))
        return [event for event in all_of_them if event["kind"] == kind]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def check(seen: list[Received]) -> Checker:
    """Every payload fits its schema, and is kept as the document says."""
    checker = Checker(TREE)
    for one in seen:
        if one.topic.startswith("homeassistant/"):
            if one.payload and not one.topic.endswith("/status"):
                assert homeassistant_schema.complaints(one.topic, json.loads(one.payload)) == []
        elif "/request/" not in one.topic:
            checker.check(one.topic, one.payload)
    return checker


@asynccontextmanager
async def watched(broker: Mosquitto) -> AsyncIterator[Seen]:
    async with broker.subscribed("#") as listener:
        seen = Seen(broker, listener)
        yield seen
    check(listener.seen)


def mqtt_table(broker: Mosquitto) -> dict[str, Any]:
    return {
        "broker": f"mqtt://127.0.0.1:{broker.port}",
        "commands": list(VERBS),
        "interval": "500 ms",
        "flat": True,
        "homeassistant": True,
        "log": "info",
    }


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
async def site(gateways: Gateways, broker: Mosquitto) -> AsyncIterator[Site]:
    async with running_site(gateways, {"mqtt": mqtt_table(broker)}) as running:
        yield running


async def test_a_limit_that_is_not_renewed_falls_back_and_the_cars_follow(
    broker: Mosquitto, gateways: Gateways
) -> None:
    async with watched(broker) as seen, running_site(gateways, {"mqtt": mqtt_table(broker)}) as site:
        await site.all_charge()

        async def settled() -> bool:
            now = (await site.chargers.command("power"))["connectors"].values()
            return all(abs(one["offered_a"] - max(one["amps"])) < 0.1 for one in now)

        await site.until(settled, "every car draws what it is offered")
        await limited(seen)

        async def under() -> bool:
            return max(await site.flows()) <= LIMIT_A

        async with renewed(seen):  # however long the cars take: it holds
            await site.until(under, "the cars keep to the building's limit")
            await seen.until_state("limit/bms/state", lambda state: state["limits"][0]["state"] == "holds")
            await seen.until_state("site/state", lambda state: state["limit_source"] == "bms")

        async def between() -> bool:
            flows = await site.flows()
            return LIMIT_A + 5 < min(flows) <= max(flows) <= FALLBACK_A

        await site.until(between, "the building is silent: its limit falls back, the cars follow")
        await seen.until_state("limit/bms/state", lambda state: state["limits"][0]["state"] == "fallback")
        alarm = await seen.until_topic(TREE.topic("alarm", alarm="limit-fallback-"))
        assert json.loads(alarm.payload)["code"] == "limit_fallback"
        answer = await seen.command("limit/release", source="bms")
        assert answer["status"] == "ok", answer
        await until(lambda: seen.channels() >= EVERYTHING)
        await until(lambda: len(seen.events("session_started")) == 3)
        await until(lambda: seen.events("limit_fallback"))


async def limited(seen: Seen) -> None:
    """The building limits the site, for EXPIRES_S from now on."""
    wanted = {"source": "bms", "limit_a": LIMIT_A, "expires_s": EXPIRES_S, "fallback_a": FALLBACK_A}
    answer = await seen.command("limit/set", **wanted)
    assert answer["status"] == "ok", answer
    assert answer["data"]["effective_a"] == LIMIT_A


@asynccontextmanager
async def renewed(seen: Seen) -> AsyncIterator[None]:
    """It is said again and again, until the block is over."""
    over = asyncio.Event()

    async def renew() -> None:
        while not over.is_set():
            await limited(seen)
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), EXPIRES_S / 6)

    async with asyncio.TaskGroup() as group:
        group.create_task(renew())
        try:
            yield
        finally:
            over.set()


async def test_a_retained_or_replayed_command_does_nothing_but_answer(broker: Mosquitto, site: Site) -> None:
    async with watched(broker) as seen:
        await seen.listener.until(TREE.topic("availability", charger="cp01"), b"online")
        topic = f"{TREE.root}/request/charger/reset"
        order = {"transaction": "once", "ts": now(), "charger": "CP01", "type": "hard"}
        retained = {**order, "transaction": "kept"}
        await broker.publish(topic, json.dumps(retained), "-r")
        answer = await seen.answer("charger/reset", "kept")
        assert answer["error"]["code"] == "retained_command"
        await broker.publish(topic, json.dumps(order))
        assert (await seen.answer("charger/reset", "once"))["status"] == "ok"
        await broker.publish(topic, json.dumps(order))
        assert (await seen.answer("charger/reset", "once", times=2))["status"] == "ok"
        await broker.kill()
        await broker.start()
    async with watched(broker) as seen:
        await seen.listener.until(TREE.topic("status"), b"online")
        await broker.publish(topic, json.dumps(retained), "-r")
        await seen.answer("charger/reset", "kept")
        old = {**order, "transaction": "yesterday", "ts": "2020-01-01T00:00:00Z"}
        await broker.publish(topic, json.dumps(old))
        assert (await seen.answer("charger/reset", "yesterday"))["error"]["code"] == "stale"
        await site.gateway.restart(hard=False)  # it finds the retained one when it subscribes
        await seen.answer("charger/reset", "kept", times=2)
    audit = await site.gateway.command("audit")
    done = [one for one in audit["entries"] if one["order"] == "charger/reset" and one["outcome"] == "ok"]
    assert [one["transaction"] for one in done] == ["once"]
    refused = {one["outcome"] for one in audit["entries"] if one["order"] == "charger/reset"}
    assert {"retained_command", "stale"} <= refused


async def test_the_broker_comes_back_empty_and_everything_is_there_again(
    broker: Mosquitto, site: Site
) -> None:
    async with watched(broker) as seen:
        await seen.listener.until(TREE.topic("availability", charger="cp03"), b"online")
        async for one in seen.listener:
            if one.topic == TREE.root + CP02 and json.loads(one.payload)["status"] == "Available":
                break
    before = await broker.retained()
    lasting = {topic for topic in before if not topic.startswith(TREE.topic("alarm", alarm=""))}
    await broker.kill()
    assert (await site.asks("CP02", "ChangeAvailability", INOPERATIVE))["status"] == "Accepted"
    await broker.start()
    started = time.monotonic()
    async with watched(broker) as seen:
        try:
            await until(lambda: {one.topic for one in seen.listener.seen} >= lasting)
        except AssertionError:
            missing = lasting - {one.topic for one in seen.listener.seen}
            raise AssertionError(f"not there again: {sorted(missing)[:10]}") from None
        print(f"all {len(lasting)} retained topics again {time.monotonic() - started:.2f} s after the start")
    assert json.loads(before[TREE.root + CP02].payload)["status"] == "Available"

    async def told() -> bool:
        return json.loads((await broker.retained())[TREE.root + CP02].payload)["status"] == "Unavailable"

    await until(told)


async def test_a_gateway_that_dies_is_offline_by_its_last_will(broker: Mosquitto, site: Site) -> None:
    async with watched(broker) as seen:
        await seen.listener.until(TREE.topic("status"), b"online")
        await site.gateway.kill()
        await seen.listener.until(TREE.topic("status"), b"offline")
