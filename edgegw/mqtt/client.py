"""paho, as we use it: how a client is made, on a line that is there already, and what packets say of us.

A client is for one connection. What is told in CONNECT: clean start, no session to keep (nothing of yesterday
is delivered), how large a packet we take, our last will.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import msgspec
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgegw.errors import ConfigFault
from edgegw.mqtt.guarded import PACKET_MAX, GuardedClient
from edgegw.mqtt.line import Line
from edgegw.mqtt.message import Message

PASSWORD_BYTES_MAX = 65_535  # MQTT 5, 3.1.3.6
RECEIVE_MAX = 20  # commands that the broker may have under way to us


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What CONNECT says."""

    host: str
    port: int
    client_id: str
    mqtt5: bool
    keep_alive_s: int
    username: str | None
    password: str | None
    will: Message

    def __repr__(self) -> str:
        """Without the password, wherever it is printed."""
        return f"Settings({self.client_id} at {self.host}:{self.port})"


def read_password(path: Path | None) -> str | None:
    """What a password file holds. Raises ConfigFault."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            content = file.read(PASSWORD_BYTES_MAX + 3).rstrip(b"\r\n")
        password = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigFault(f"{path}: cannot read the password: {reason}") from None
    if len(content) > PASSWORD_BYTES_MAX:
        raise ConfigFault(f"{path}: the password is longer than MQTT allows ({PASSWORD_BYTES_MAX} bytes)")
    return password


class LineClient(GuardedClient):
    """paho has no public way to be given a socket; its own would block while it dials."""

    line: Line

    def _create_socket(self) -> Any:
        return self.line


def make_client(settings: Settings, line: Line, queued_max: int) -> LineClient:
    client = LineClient(
        CallbackAPIVersion.VERSION2,
        client_id=settings.client_id,
        clean_session=None if settings.mqtt5 else True,
        protocol=MQTTProtocolVersion.MQTTv5 if settings.mqtt5 else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,  # or it would fall back to MQTT 3.1 on its own
    )
    client.line = line
    client.max_inflight_messages = client.max_queued_messages = queued_max
    client.username_pw_set(settings.username, settings.password)
    will = settings.will
    client.will_set(will.topic, will.body, will.qos, will.retain)
    client.connect_async(
        settings.host,
        settings.port,
        keepalive=settings.keep_alive_s,
        clean_start=True,
        properties=_connect_properties() if settings.mqtt5 else None,
    )
    return client


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = PACKET_MAX
    properties.ReceiveMaximum = RECEIVE_MAX
    return properties


# --- PUBLISH --------------------------------------------------------------------------------------


class _Packed:
    """Properties that were packed once: paho takes 30 us to make and pack one."""

    def __init__(self, properties: Properties) -> None:
        self._bytes: bytes = properties.pack()  # type: ignore[no-untyped-call]

    def pack(self) -> bytes:
        return self._bytes


def publish_properties(message: Message) -> Properties | None:
    if message.correlation is not None:
        return _make_properties(message.expiry_s, message.correlation)
    return _with_expiry(message.expiry_s) if message.expiry_s else None


def _make_properties(expiry_s: int | None, correlation: bytes | None) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if expiry_s:
        properties.MessageExpiryInterval = expiry_s
    if correlation is not None:
        properties.CorrelationData = correlation
    return properties


@lru_cache(maxsize=64)
def _with_expiry(expiry_s: int) -> Properties:
    return cast(Properties, _Packed(_make_properties(expiry_s, None)))
