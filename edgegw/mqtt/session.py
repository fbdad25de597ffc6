"""One connection, from CONNECT to its end: the loop drives paho, nothing is kept for the next one.

Rules of this file:
- A client of paho lives for one connection. What it queued dies with it, so nothing old is ever sent again
  behind our back; `outbox` and the queue of events know what is still to be said.
- At most HAND_MESSAGES and HAND_BYTES are with paho at once: a broker that reads nothing costs that much.
- paho's callbacks hold its locks and run in the middle of its parsing. They only note what happened;
  `_settle` acts on it when paho has returned. A listener's mistake cannot tear a packet apart.
- What the broker does not acknowledge, or does not even read, for `Patience.ack_s` ends the connection.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from paho.mqtt import MQTTException
from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgegw.mqtt import refusal
from edgegw.mqtt.client import Settings, make_client, publish_properties
from edgegw.mqtt.endings import End, of_line, said, turned_away
from edgegw.mqtt.line import Line
from edgegw.mqtt.message import Incoming, Message
from edgegw.mqtt.turns import Turns
from edgegw.redaction import plain

HAND_MESSAGES = 64
HAND_BYTES = 1024 * 1024
UNACKED_MAX = 20  # QoS 1 under way: mosquitto's own figure; a broker may ask for less (Receive Maximum)
PACKET_OVERHEAD = 64  # of a PUBLISH: lengths, id and properties, generously
# Acknowledgements wait behind a flood that we are still reading: then it is not the broker that is slow.
BEHIND_FACTOR = 4.0

Done = Callable[[str], None]  # "" when the broker took it, else why not


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    connack_s: float = 5.0
    ack_s: float = 15.0  # 64 messages of 400 bytes take 3 s at 64 kbit/s
    farewell_s: float = 2.0  # to say that we go
    look_every_s: float = 1.0  # how often all of this is looked at, and keep alive


class Heard(Protocol):
    """Who is told. Called from the loop, never from inside paho."""

    def on_accepted(self) -> None: ...

    def on_message(self, incoming: Incoming) -> None: ...

    def on_subscribed(self, filters: Sequence[str], refused: Sequence[str]) -> None: ...

    def on_refused(self, text: str) -> None: ...

    def on_unread(self, text: str) -> None: ...

    def on_room(self) -> None: ...


class _Handed(msgspec.Struct, frozen=True):
    topic: str
    size: int
    qos: int
    at: float
    info: MQTTMessageInfo
    done: Done | None


class Session:
    """`run` it once; `publish`, `subscribe`, `farewell` and `close` while it runs."""

    def __init__(self, settings: Settings, line: Line, heard: Heard, patience: Patience) -> None:
        self._settings = settings
        self._line = line
        self._fd = line.fileno()
        self._heard = heard
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._ended: asyncio.Future[End] = self._loop.create_future()
        self._facts: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._hand: dict[int, _Handed] = {}
        self._hand_bytes = self._unacked = 0
        self._is_freed = False  # something left the hand, and nobody was told yet
        self._unacked_max = UNACKED_MAX
        self._asked: dict[int, Sequence[str]] = {}  # SUBSCRIBE under way
        self._timer: asyncio.TimerHandle | None = None
        self._quiet = asyncio.Event()  # nothing is under way, or it is over
        self._packet_max, self._retain, self._qos_max = 2**28 - 1, True, 1  # what the broker takes
        self.accepted_at: float | None = None
        self.published = self.refused = self.unread = 0
        self._turns = Turns(line, self._read_one, self._tell_room)
        self._client = make_client(settings, line, HAND_MESSAGES + 1)
        self._hook()

    # --- its life ---------------------------------------------------------------------------------

    async def run(self) -> End:
        """Until the connection is over, however that comes."""
        try:
            self._turns.begin()
            self._client.reconnect()
            self._timer = self._loop.call_later(self._patience.look_every_s, self._tick)
            return await self._ended
        finally:
            self._let_go()

    async def farewell(self, last: Message) -> None:
        """Say `last`, then good-bye, so that the broker does not speak our will. Not for long."""
        try:
            async with asyncio.timeout(self._patience.farewell_s):
                self.publish(last, last.body, None, always=True)
                while self._hand and not self._ended.done():
                    self._quiet.clear()
                    await self._quiet.wait()
                if not self._ended.done():
                    self._client.disconnect()
                    await asyncio.wait((self._ended,))
        except TimeoutError:
            self.close(End("lost", "the broker did not take our good-bye"))

    def close(self, end: End) -> None:
        if not self._ended.done():
            self._ended.set_result(end)
        self._quiet.set()

    def _let_go(self) -> None:
        """Nothing of this connection reaches anybody any more, or stays in memory until somebody looks for
        cycles: a broker that lets us in again and again would fill it."""
        self._ended.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._unhook()
        self._line.close()
        self._line.failure = None  # its traceback leads back here
        self._facts.clear()
        self._hand.clear()
        self._quiet.set()
        client = self._client
        client.on_socket_close = client.on_unread = client.on_message = None
        client.on_connect = client.on_disconnect = client.on_publish = client.on_subscribe = None

    # --- what we say ------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        return self.accepted_at is not None and not self._ended.done()

    @property
    def has_room(self) -> bool:
        return self.up and len(self._hand) < HAND_MESSAGES and self._hand_bytes < HAND_BYTES

    @property
    def under_way(self) -> tuple[int, int]:
        """Messages and bytes that paho has."""
        return len(self._hand), self._hand_bytes

    def publish(self, message: Message, payload: bytes, done: Done | None, *, always: bool = False) -> bool:
        """False: not now. `done` is called once the broker has it or refused it; not when the connection
        ends before. `always`: also when the hand is full."""
        if not (self.has_room or (always and self.up)):
            return False
        qos = min(message.qos, self._qos_max)
        if qos and self._unacked >= self._unacked_max and not always:
            return False
        size = len(payload) + len(message.topic) + PACKET_OVERHEAD
        if size > self._packet_max:
            self._note(self._refuse, done, f"{message.topic}: {size} bytes are too large for the broker")
            return True
        try:
            info = self._hand_over(message, payload, qos)
        except (ValueError, struct.error, MQTTException) as error:  # not in the way of what comes behind it
            self._note(self._refuse, done, f"{plain(message.topic)[-200:]} cannot be published: {error}")
            return True
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self._hand[info.mid] = _Handed(message.topic, size, qos, self._loop.time(), info, done)
        self._hand_bytes += size
        self._unacked += qos
        return True

    def _hand_over(self, message: Message, payload: bytes, qos: int) -> MQTTMessageInfo:
        """Raises ValueError, struct.error, MQTTException: paho does not take it."""
        if "\0" in message.topic:
            raise ValueError("a topic has no NUL in it")  # paho would send it, and the broker throw us out
        properties = publish_properties(message) if self._settings.mqtt5 else None
        return self._client.publish(message.topic, payload, qos, message.retain and self._retain, properties)

    def subscribe(self, filters: Sequence[str], *, qos: int = 1, echo: bool = True) -> None:
        """`echo` False: what we publish ourselves does not come back, and only what was kept has the retain
        flag (MQTT 5). All in one packet."""
        if not filters or not self.up:
            return
        if self._settings.mqtt5:
            options = SubscribeOptions(qos=qos, noLocal=not echo, retainAsPublished=echo)
            _, mid = self._client.subscribe([(name, options) for name in filters])
        else:
            _, mid = self._client.subscribe([(name, qos) for name in filters])
        if mid is not None:
            self._asked[mid] = tuple(filters)

    def unsubscribe(self, filters: Sequence[str]) -> None:
        if filters and self.up:
            self._client.unsubscribe(list(filters))

    # --- what the loop tells ----------------------------------------------------------------------

    def _read_one(self) -> None:
        try:
            self._client.loop_read()
        except (ValueError, LookupError, struct.error, MQTTException) as error:
            self._turns.end()  # paho stopped in the middle of something
            self.close(End("breach", f"the broker sent what is not MQTT: {error}"))
        self._act()

    def _writable(self) -> None:
        try:
            if self._line.flush():
                self._write_more()
                self._line.flush()
        except OSError:
            self._note(self._gone, False, None)
        if self._line.has_unsent and self._fd >= 0:
            self._loop.add_writer(self._fd, self._writable)
        self._settle()

    def _write_more(self) -> None:
        """What is QoS 0 is done once it is written. paho would tell at 20 us each; this looks."""
        self._client.on_publish = None
        self._client.loop_write()
        self._client.on_publish = self._on_publish
        for mid, handed in list(self._hand.items()):
            if not handed.qos:
                if not handed.info.is_published():
                    break
                self._note(self._acknowledged, mid, None)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._patience.look_every_s, self._tick)
        self._client.loop_misc()
        self._settle()
        now = self._loop.time()
        oldest = next(iter(self._hand.values()), None)
        ack_s = self._patience.ack_s * (BEHIND_FACTOR if self._turns.is_behind else 1.0)
        if self.accepted_at is None and now - self._begun > self._patience.connack_s:
            self.close(End("unreachable", "the broker takes the connection but does not answer"))
        elif oldest is not None and now - oldest.at > ack_s:
            self.close(End("lost", f"the broker took nothing for {ack_s:g} s"))

    # --- what paho tells --------------------------------------------------------------------------

    def _note(self, act: Callable[..., None], *facts: Any) -> None:
        self._facts.append((act, facts))
        if len(self._facts) == 1:  # paho may not be on the stack, or somebody's mistake may end `_settle`
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        self._act()
        self._tell_room()

    def _act(self) -> None:
        while self._facts:
            act, facts = self._facts[0]
            try:
                act(*facts)
            finally:
                if self._facts:
                    self._facts.popleft()
        if not self._hand:
            self._quiet.set()

    def _tell_room(self) -> None:
        if self._is_freed and self.has_room:
            self._is_freed = False
            self._heard.on_room()

    def _connack(self, reason: ReasonCode, properties: Properties) -> None:
        if reason.is_failure:
            self.close(turned_away(reason))
            return
        self._packet_max = getattr(properties, "MaximumPacketSize", self._packet_max)
        self._retain = bool(getattr(properties, "RetainAvailable", 1))
        self._qos_max = getattr(properties, "MaximumQoS", 1)
        self._unacked_max = min(UNACKED_MAX, getattr(properties, "ReceiveMaximum", UNACKED_MAX))
        self.accepted_at = self._loop.time()
        self._heard.on_accepted()

    def _gone(self, by_broker: bool, reason: ReasonCode | None) -> None:
        early = self.accepted_at is None
        if by_broker and reason is not None:
            self.close(said(reason))
        elif self._client.breach:
            self.close(End("breach", f"the broker sent {self._client.breach}"))
        else:
            self.close(of_line(self._line, early, self._settings.host, reason))

    def _acknowledged(self, mid: int, reason: ReasonCode | None) -> None:
        handed = self._hand.pop(mid, None)
        if handed is None:
            return
        self._is_freed = True
        self._hand_bytes -= handed.size
        self._unacked -= handed.qos
        if reason is not None and reason.is_failure:
            self._refuse(handed.done, refusal.topic_words(reason, handed.topic))
            return
        self.published += 1
        if handed.done is not None:
            handed.done("")

    def _refuse(self, done: Done | None, text: str) -> None:
        self.refused += 1
        self._heard.on_refused(text)
        if done is not None:
            done(text)

    def _not_read(self, text: str) -> None:
        self.unread += 1
        self._heard.on_unread(text)

    def _suback(self, mid: int, reasons: Sequence[ReasonCode]) -> None:
        filters = self._asked.pop(mid, ())
        refused = []
        for name, reason in zip(filters, reasons, strict=False):
            if reason.is_failure:
                refused.append(name)
                self._heard.on_refused(refusal.topic_words(reason, name))
        self._heard.on_subscribed(filters, refused)

    def _came(self, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        self._heard.on_message(
            Incoming(
                topic=topic,
                payload=bytes(message.payload),
                retain=bool(message.retain),
                response_topic=getattr(message.properties, "ResponseTopic", None),
                correlation=getattr(message.properties, "CorrelationData", None),
            )
        )

    # --- hooks ------------------------------------------------------------------------------------

    def _hook(self) -> None:
        client = self._client
        client.on_socket_close = self._unhook
        client.on_socket_register_write = self._want_write
        client.on_socket_unregister_write = self._no_write
        client.on_connect = lambda _c, _u, _flags, reason, found: self._note(self._connack, reason, found)
        client.on_disconnect = lambda _c, _u, flags, reason, _p: self._note(
            self._gone, flags.is_disconnect_packet_from_server, reason
        )
        client.on_publish = self._on_publish
        client.on_subscribe = lambda _c, _u, mid, reasons, _p: self._note(self._suback, mid, reasons)
        client.on_unread = lambda why: self._note(self._not_read, why)
        client.on_message = lambda _c, _u, message: self._note(self._came, message)

    def _on_publish(self, _c: Client, _u: object, mid: int, reason: ReasonCode, _p: Properties) -> None:
        self._note(self._acknowledged, mid, reason)

    def _want_write(self, *_: object) -> None:
        self._loop.add_writer(self._fd, self._writable)

    def _no_write(self, *_: object) -> None:
        self._loop.remove_writer(self._fd)

    def _unhook(self, *_: object) -> None:
        """Once: soon the number may be somebody else's."""
        client, fd = self._client, self._fd
        if fd < 0:
            return
        self._fd = -1
        self._turns.end()
        self._loop.remove_writer(fd)
        client.on_socket_register_write = client.on_socket_unregister_write = None
