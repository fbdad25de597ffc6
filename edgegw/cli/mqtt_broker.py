"""One connection of a command to the building's broker: no thread, one client id of its own, faults in words.

Rules of this file:
- The gateway's own connection is never disturbed: the client id is another one at every start.
- Whatever keeps a command from its work is a BrokerFault with an exit code of `asking`; a connection that was
  there and ended is `Lost`, and the caller may open a new one.
- Nothing is received unless `turn` is called.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgegw.cli.asking import NO_ANSWER, NOT_REACHABLE, REFUSED, USAGE
from edgegw.config_mqtt import Mqtt
from edgegw.errors import ConfigFault, EdgegwError
from edgegw.links import tls
from edgegw.mqtt.client import read_password
from edgegw.mqtt.guarded import GuardedClient
from edgegw.mqtt.message import Incoming

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 10.0  # of the broker: CONNACK, SUBACK, PUBACK
PACKET_BYTES_MAX = 2**20  # the gateway publishes nothing near this; anybody else may
_NO_SUBSCRIBERS = 0x10


class BrokerFault(EdgegwError):
    """The command cannot go on; the text says why."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Lost(EdgegwError):
    """The connection ended; the text says why."""


class _Client(GuardedClient):
    """paho leaves the socket open whose TLS handshake failed; made here, it is closed."""

    packet_max = PACKET_BYTES_MAX
    secured: ssl.SSLContext | None = None

    def _create_socket(self) -> Any:
        line = socket.create_connection((self.host, self.port), timeout=CONNECT_TIMEOUT_S)
        if self.secured is None:
            return line
        try:
            return self.secured.wrap_socket(line, server_hostname=self.host)
        except BaseException:
            line.close()
            raise


class Broker:
    """`open` once, then `subscribe`, `publish` and `turn`; after `Lost` `open` again; `close` at the end."""

    def __init__(self, settings: Mqtt, role: str) -> None:
        """`role`: stands in the client id. Raises BrokerFault when a file of the settings cannot be used."""
        self.url = settings.broker
        self._settings = settings
        self._five = settings.version == "5"
        self._arrived: list[Incoming] = []
        self._acknowledged: dict[int, list[ReasonCode]] = {}
        self._answers: list[ReasonCode] = []
        self._ended = ""
        self._client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"edgegw-{role}-{secrets.token_hex(4)}",
            protocol=MQTTv5 if self._five else MQTTv311,
            reconnect_on_failure=False,  # or it would fall back to MQTT 3.1 on its own
        )
        self._secure()
        self._listen()

    def _secure(self) -> None:
        settings = self._settings
        try:
            if settings.username is not None:
                self._client.username_pw_set(settings.username, read_password(settings.password_file))
            if settings.tls:
                context = tls.client_context(settings.ca_file)
                if settings.tls_certificate is not None and settings.tls_key is not None:
                    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
                self._client.secured = context
        except (ConfigFault, OSError) as fault:
            raise BrokerFault(f"the login for {self.url}: {fault}", USAGE) from fault

    def _listen(self) -> None:
        client = self._client

        def connected(client: Client, data: Any, flags: Any, reason: ReasonCode, _: Any) -> None:
            self._answers.append(reason)

        def disconnected(client: Client, data: Any, flags: Any, reason: ReasonCode, _: Any) -> None:
            self._ended = str(reason) if reason.is_failure else "the broker closed it"

        def arrived(client: Client, data: Any, message: MQTTMessage) -> None:
            self._arrived.append(_incoming(message))

        def subscribed(client: Client, data: Any, mid: int, reasons: list[ReasonCode], _: Any) -> None:
            self._acknowledged[mid] = reasons

        def published(client: Client, data: Any, mid: int, reason: ReasonCode, _: Any) -> None:
            self._acknowledged[mid] = [reason]

        client.on_connect, client.on_disconnect, client.on_message = connected, disconnected, arrived
        client.on_subscribe, client.on_publish = subscribed, published

    # --- its life ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Raises BrokerFault: not reachable, or the login is refused."""
        try:
            answer = self._connect()
        except ssl.SSLError as fault:
            raise self._not_reachable(f"TLS: {tls.describe_failure(fault, self._settings.host)}") from fault
        except (OSError, Lost) as fault:
            raise self._not_reachable(
                getattr(fault, "strerror", None) or str(fault) or "no answer"
            ) from fault
        if answer.is_failure:
            raise self._refused(answer)

    def _connect(self) -> ReasonCode:
        """Raises OSError, Lost, BrokerFault."""
        self._answers.clear()
        self._ended = ""
        settings, given = self._settings, dict[str, Any]()
        if self._five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = PACKET_BYTES_MAX
            given = {"clean_start": True, "properties": properties}
        self._client.connect(settings.host, settings.port, int(settings.keep_alive_s), **given)
        self._until(lambda: bool(self._answers))
        return self._answers[0]

    def _not_reachable(self, why: str) -> BrokerFault:
        return BrokerFault(f"the broker {self.url} cannot be reached: {why}", NOT_REACHABLE)

    def _refused(self, reason: ReasonCode) -> BrokerFault:
        who = f"user {self._settings.username}" if self._settings.username else "a client without a user name"
        words = str(reason)
        return BrokerFault(f"the broker {self.url} refuses {who}: {words[:1].lower()}{words[1:]}", REFUSED)

    def close(self) -> None:
        """Say good-bye when there is still a connection."""
        self._client.disconnect()
        with suppress(OSError):
            self._client.loop(0.0)

    # --- what is said and heard --------------------------------------------------------------------

    def subscribe(self, filters: Iterable[str]) -> None:
        """QoS 1. Raises BrokerFault when the broker grants none of them, Lost."""
        wanted = [(name, 1) for name in filters]
        outcome, mid = self._client.subscribe(wanted)
        self._sent(outcome)
        assert mid is not None
        reasons = self._acknowledgement(mid)
        if all(reason.is_failure for reason in reasons):
            raise BrokerFault(f"the broker {self.url} does not let us read {wanted[0][0]}", REFUSED)

    def publish(self, topic: str, payload: bytes) -> bool:
        """QoS 1, not retained. False: the broker says that nobody has subscribed to it (MQTT 5). Raises Lost,
        BrokerFault when the broker does not take it."""
        info = self._client.publish(topic, payload, qos=1)
        self._sent(info.rc)
        (reason,) = self._acknowledgement(info.mid)
        if reason.is_failure:
            raise BrokerFault(f"the broker {self.url} does not take {topic}: {reason}", REFUSED)
        return bool(reason.value != _NO_SUBSCRIBERS)

    def turn(self, wait_s: float) -> list[Incoming]:
        """What has arrived, waiting at most that long for the first. Raises Lost."""
        deadline = time.monotonic() + wait_s
        while not self._arrived:
            left_s = deadline - time.monotonic()
            self._step(max(left_s, 0.0))
            if left_s <= 0:
                break
        found, self._arrived = self._arrived, []
        return found

    def _step(self, wait_s: float) -> None:
        self._sent(self._client.loop(wait_s))

    def _sent(self, outcome: int) -> None:
        if outcome != MQTT_ERR_SUCCESS:
            raise Lost(self._ended or "the connection is gone")

    def _acknowledgement(self, mid: int) -> list[ReasonCode]:
        self._until(lambda: mid in self._acknowledged)
        return self._acknowledged.pop(mid)

    def _until(self, condition: Any) -> None:
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline:
                raise BrokerFault(f"the broker {self.url} does not answer", NO_ANSWER)
            try:
                self._step(0.1)
            except Lost:
                if not condition():  # a broker that refuses says so and closes
                    raise


def _incoming(message: MQTTMessage) -> Incoming:
    properties = message.properties
    return Incoming(
        topic=message.topic,
        payload=bytes(message.payload),
        retain=message.retain,
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
    )
