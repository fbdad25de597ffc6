"""Connections to a broker, and what they were told, for the tests of the adapter. And a broker that lies."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import msgspec

from edgegw.mqtt.connection import BrokerSettings, Connection
from edgegw.mqtt.message import Incoming, Message
from edgegw.mqtt.session import Patience
from edgegw.runtime.tasks import Tasks
from tests.e2e.children import DEADLINE_S
from tests.servers.mosquitto import Mosquitto
from tests.servers.shared import PASSWORD, USER

STATUS = "edgegw/1/site/status"
REQUEST = "edgegw/1/site/request/x"
PUBLISH, PUBACK, SUBACK = 0x30, 0x40, 0x90


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


class Liar:
    """A broker that lets everybody in, acknowledges nothing of its own accord and says what a test wishes."""

    def __init__(self, *, mqtt5: bool = True) -> None:
        self.mqtt5 = mqtt5
        self.port = 0
        self.heard: list[tuple[int, bytes]] = []  # (kind, body) of packets
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    def say(self, sent: bytes) -> None:
        self._writers[-1].write(sent)

    def reset(self) -> None:
        """The connection, as the kernel of a machine that was restarted does."""
        transport = self._writers[-1].transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        writer.write(packet(0x20, bytes(3 if self.mqtt5 else 2)))
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.heard.append(await _read_packet(reader))
        writer.close()


async def _read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    (first,) = await reader.readexactly(1)
    length, shift, byte = 0, 0, 0x80
    while byte & 0x80:
        (byte,) = await reader.readexactly(1)
        length |= (byte & 0x7F) << shift
        shift += 7
    return first & 0xF0, await reader.readexactly(length)


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _variable(len(body)) + body


def published(
    topic: str, payload: bytes = b"{}", *, qos: int = 0, number: int = 1, properties: bytes | None = b""
) -> bytes:
    """`properties` None: of MQTT 3.1.1."""
    body = len(topic.encode()).to_bytes(2, "big") + topic.encode()
    body += number.to_bytes(2, "big") if qos else b""
    body += b"" if properties is None else _variable(len(properties)) + properties
    return packet(PUBLISH | qos << 1, body + payload)


def _variable(number: int) -> bytes:
    made = b""
    while number >= 0x80:
        made += bytes([number & 0x7F | 0x80])
        number >>= 7
    return made + bytes([number])


def settings(broker: Mosquitto | Liar, **changed: Any) -> BrokerSettings:
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
