"""Connections to a real broker, and what they were told, for the tests of the adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from edgegw.mqtt.connection import BrokerSettings, Connection
from edgegw.mqtt.message import Incoming, Message
from edgegw.mqtt.session import Patience
from edgegw.runtime.tasks import Tasks
from tests.e2e.children import DEADLINE_S
from tests.servers.mosquitto import Mosquitto
from tests.servers.shared import PASSWORD, USER

STATUS = "edgegw/1/site/status"


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.messages: list[Incoming] = []
        self.refused: list[str] = []
        self.subscribed: list[str] = []
        self.rooms = 0

    def on_up(self) -> None:
        self.told.append("up")

    def on_down(self, text: str) -> None:
        self.told.append(f"down: {text}")

    def on_message(self, incoming: Incoming) -> None:
        self.messages.append(incoming)

    def on_subscribed(self, filters: Sequence[str], refused: Sequence[str]) -> None:
        self.subscribed += filters
        self.refused += refused

    def on_room(self) -> None:
        self.rooms += 1


def settings(broker: Mosquitto, **changed: Any) -> BrokerSettings:
    plain = BrokerSettings(
        host="127.0.0.1", port=broker.port, status_topic=STATUS, client_id="edgegw-site", keep_alive_s=5
    )
    return msgspec.structs.replace(plain, **changed)


def login(folder: Path, password: str = PASSWORD) -> dict[str, Any]:
    path = folder / "mqtt-password"
    path.write_text(f"{password}\n")
    return {"username": USER, "password_file": path}


@asynccontextmanager
async def connection(
    found: BrokerSettings,
    *,
    subscriptions: Sequence[str] = (),
    patience: Patience | None = None,
    ear: Ear | None = None,
) -> AsyncIterator[tuple[Connection, Ear]]:
    """Started, and stopped at the end; whether it is up is for the test to wait for."""
    tasks, ear = Tasks(), ear or Ear()
    made = Connection(found, tasks, subscriptions=subscriptions, patience=patience, rand=lambda: 0.0)
    made.listener = ear
    made.start()
    try:
        yield made, ear
    finally:
        await made.stop()
        await tasks.cancel()


async def until(condition: Callable[[], object], within_s: float = DEADLINE_S) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def message(topic: str, body: bytes = b'{"a":1}', **changed: Any) -> Message:
    return Message(topic=topic, body=body, **changed)
