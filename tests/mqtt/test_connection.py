"""The connection to the broker, against Debian's mosquitto: kept, lost, refused, slow, taken over."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import select
import socket
import ssl
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest
import uvloop

from edgegw.config_mqtt import Mqtt
from edgegw.errors import ConfigFault
from edgegw.links import resolver
from edgegw.links.tls import CertificateFiles
from edgegw.mqtt import line, redial, turns
from edgegw.mqtt.client import read_password
from edgegw.mqtt.connection import settings_from
from edgegw.mqtt.guarded import PACKET_MAX, READ_BYTES
from edgegw.mqtt.message import Incoming
from edgegw.mqtt.redial import (
    PEACE_S,
    REDIAL_MAX_S,
    REDIAL_MIN_S,
    TAKEN_OVER_MAX_S,
    TAKEN_OVER_MIN_S,
    Redial,
)
from edgegw.mqtt.session import HAND_BYTES, HAND_MESSAGES, UNACKED_MAX, Patience
from tests.e2e.children import DEADLINE_S
from tests.mqtt.broker_side import (
    PUBACK,
    PUBLISH,
    REQUEST,
    STATUS,
    SUBACK,
    Ear,
    Liar,
    connection,
    login,
    message,
    packet,
    published,
    settings,
    until,
)
from tests.servers.mosquitto import Mosquitto
from tests.servers.shared import PASSWORD

HASTY = Patience(farewell_s=0.05)
QUICK = Patience(connack_s=0.3, ack_s=0.5, farewell_s=0.3, look_every_s=0.1)


@pytest.fixture(params=[True, False], ids=["mqtt5", "mqtt311"])
def mqtt5(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# --- what goes out and what comes in --------------------------------------------------------------


async def test_what_is_published_arrives_as_it_was_meant(tmp_path: Path):
    async with Mosquitto(tmp_path) as broker, connection(settings(broker)) as (gateway, _):
        async with broker.subscribed("edgegw/#") as building:
            await until(lambda: gateway.up)
            sent = message("edgegw/1/site/x", qos=1, expiry_s=60, correlation=b"bms-42")
            outcomes: list[str] = []
            assert gateway.publish(sent, b'{"a":1}', outcomes.append)
            got = await building.until("edgegw/1/site/x")
            assert (got.payload, got.qos, got.expiry_s, got.correlation) == (b'{"a":1}', 1, 60, "bms-42")
            await until(lambda: outcomes)
            assert outcomes == [""]
            assert gateway.published == 1
        assert (await broker.retained())["edgegw/1/site/x"].payload == b'{"a":1}'


async def test_commands_come_in_with_what_mqtt_5_says_of_them(tmp_path: Path):
    """A retained one has its flag, whether it waited at the broker or came while we listened."""
    async with Mosquitto(tmp_path) as broker:
        await broker.publish("edgegw/1/site/request/waited", "{}", "-r")
        wanted = ["edgegw/1/site/request/#"]
        async with connection(settings(broker), subscriptions=wanted) as (_, ear):
            await until(lambda: ear.messages)
            more = ("-V", "5", "-D", "publish", "correlation-data", "xyz", "-D", "publish", "response-topic")
            await broker.publish("edgegw/1/site/request/live", '{"a":1}', *more, "bms/answers", "-r")
            await until(lambda: len(ear.messages) == 2)
    waited, live = ear.messages
    assert (waited.topic, waited.payload, waited.retain) == ("edgegw/1/site/request/waited", b"{}", True)
    assert (live.payload, live.retain) == (b'{"a":1}', True)
    assert (live.response_topic, live.correlation) == ("bms/answers", b"xyz")


async def test_an_old_broker_is_spoken_to_in_3_1_1(tmp_path: Path):
    async with Mosquitto(tmp_path) as broker:
        wanted = ["edgegw/1/site/request/#"]
        async with connection(settings(broker, mqtt5=False), subscriptions=wanted) as (gateway, ear):
            await until(lambda: ear.subscribed)
            assert gateway.publish(message("edgegw/1/site/x", qos=1, expiry_s=60), b"x")
            await broker.publish("edgegw/1/site/request/live", "{}")
            await until(lambda: ear.messages and gateway.published == 1)
            assert ear.messages[0].response_topic is None
            assert "(p2, c1, k5)" in broker.said  # protocol 4 is "p2" there, clean session, keep alive
        assert (await broker.retained())[STATUS].payload == b"offline"


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
async def test_a_flood_of_commands_is_read_to_its_end(tmp_path: Path, tls: bool):
    """Bytes that are in a buffer already wake no loop."""
    async with Mosquitto(tmp_path) as broker:
        async with connection(settings(broker, client_id="bms")) as (bms, _):
            await until(lambda: bms.up)
            for number in range(60):
                bms.publish(message(f"edgegw/1/site/request/{number}"), b"x" * 100)
            await until(lambda: bms.published == 60)
        ours = settings(broker, keep_alive_s=600)  # no ping wakes anybody meanwhile
        if tls:
            ours = msgspec.structs.replace(ours, port=broker.tls_port, tls=True, ca_file=broker.authority)
        async with connection(ours, subscriptions=["edgegw/1/site/request/#"]) as (_, ear):
            await until(lambda: len(ear.messages) == 60)


async def test_a_packet_that_is_too_long_is_not_read_into_memory(tmp_path: Path):
    """MQTT 5 brokers keep it to themselves; from a 3.1.1 broker it is read and thrown away."""
    too_long = b"x" * (PACKET_MAX + 100)
    async with Mosquitto(tmp_path) as broker:
        wanted = ["edgegw/1/site/request/#"]
        async with connection(settings(broker), subscriptions=wanted) as (gateway, ear):
            await until(lambda: ear.subscribed)
            await broker.publish("edgegw/1/site/request/big", too_long)
            await broker.publish("edgegw/1/site/request/small", "{}")
            await until(lambda: ear.messages)
            assert [one.topic for one in ear.messages] == ["edgegw/1/site/request/small"]
            assert gateway.up
        async with connection(settings(broker, mqtt5=False), subscriptions=wanted) as (gateway, ear):
            await until(lambda: ear.subscribed)
            await broker.publish("edgegw/1/site/request/big", too_long, "-q", "1")
            await broker.publish("edgegw/1/site/request/small", "{}")
            await until(lambda: ear.messages)
            assert [one.topic for one in ear.messages] == ["edgegw/1/site/request/small"]
            assert (gateway.unread, gateway.connects) == (1, 1)
            await until(lambda: "Received PUBACK from edgegw-site" in broker.said)


# --- a broker that lies ---------------------------------------------------------------------------


async def test_of_an_endless_packet_only_the_head_is_in_memory():
    long = 5_000_000
    async with Liar() as liar, connection(settings(liar), patience=HASTY) as (gateway, ear):
        await until(lambda: gateway.up)
        endless = published(REQUEST, bytes(long), qos=1, number=7)
        liar.say(endless[:1_000_000])
        under_way = gateway._session._client._in_packet
        await until(lambda: 0 < under_way["to_process"] < long - 900_000)
        assert len(under_way["packet"]) <= PACKET_MAX + READ_BYTES
        liar.say(endless[1_000_000:] + published(REQUEST))
        await until(lambda: ear.messages)
        await until(lambda: (PUBACK, b"\0\7") in liar.heard)
        assert (gateway.unread, ear.told) == (1, ["up"])


async def test_a_message_with_thousands_of_properties_is_acknowledged_and_not_read(
    caplog: pytest.LogCaptureFixture,
):
    """paho takes time in the square of their number, and a retained one comes at each start."""
    empty_user_property = b"\x26\0\0\0\0"
    async with Liar() as liar, connection(settings(liar), patience=HASTY) as (gateway, ear):
        await until(lambda: gateway.up)
        liar.say(published(REQUEST, qos=0, properties=empty_user_property * 14_000))
        liar.say(published(REQUEST, qos=1, number=8, properties=empty_user_property * 410))
        liar.say(published(REQUEST, b"few", qos=1, number=9, properties=empty_user_property * 400))
        await until(lambda: (PUBACK, b"\0\x09") in liar.heard)
        assert [one.payload for one in ear.messages] == [b"few"]
        assert (PUBACK, b"\0\x08") in liar.heard
        assert gateway.unread == 2
    assert sum("is not read" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (packet(SUBACK, b"\0\1" + b"\0" * 4100), "a packet of 4102 bytes that is no message"),
        (published(REQUEST, qos=2), "a message with QoS 2, for which nobody asked"),
        (packet(PUBLISH, b"\0\1xxx"), "what is not MQTT"),
    ],
)
async def test_a_broker_that_breaks_the_rules_is_left(sent: bytes, words: str):
    async with Liar() as liar, connection(settings(liar), patience=HASTY) as (gateway, ear):
        await until(lambda: gateway.up)
        liar.say(sent)
        await until(lambda: len(ear.told) > 1)
        assert ear.told[1].startswith(f"down: the broker sent {words}")
        assert not ear.messages
        await until(lambda: gateway.connects == 2)


def test_a_broker_that_breaks_the_rules_again_and_again_is_dialled_less_and_less_often():
    redial = Redial()
    waits = []
    for _ in range(8):
        redial.connected()
        waits.append(redial.ended("breach", lasted_s=1.0, rand=1.0))
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert not redial.refused
    assert redial.ended("breach", lasted_s=PEACE_S, rand=1.0) == 1.0


@pytest.mark.parametrize("sent", [published(REQUEST, qos=2), b"\xe0\0", packet(PUBLISH, b"\0\1xxx"), None])
async def test_what_a_connection_held_is_free_when_it_is_over(sent: bytes | None):
    """Without waiting for somebody who looks for cycles."""
    gc.disable()
    try:
        async with Liar() as liar, connection(settings(liar), patience=HASTY) as (gateway, _):
            await until(lambda: gateway.up)
            client = weakref.ref(gateway._session._client)
            liar.reset() if sent is None else liar.say(sent)
            await until(lambda: gateway.connects == 2)
            assert client() is None
    finally:
        gc.enable()


# --- a flood --------------------------------------------------------------------------------------


class Attentive(Ear):
    """Remembers in which round of the loop each message came."""

    def __init__(self) -> None:
        super().__init__()
        self.round = 0
        self.rounds: list[int] = []

    def beat(self) -> None:
        self.round += 1
        asyncio.get_running_loop().call_soon(self.beat)

    def on_message(self, incoming: Incoming) -> None:
        super().on_message(incoming)
        self.rounds.append(self.round)


@pytest.fixture
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """One packet each."""
    monkeypatch.setattr(turns, "TURN_S", 0.0)


@pytest.mark.usefixtures("short_turns")
async def test_between_the_turns_of_a_flood_others_have_the_loop():
    """Also while much is unacknowledged: then paho would like to read much at a time."""
    ear = Attentive()
    async with Liar() as liar, connection(settings(liar), patience=HASTY, ear=ear) as (gateway, _):
        await until(lambda: gateway.up)
        for number in range(UNACKED_MAX):
            assert gateway.publish(message(f"edgegw/1/site/{number}", qos=1), b"{}")
        ear.beat()
        liar.say(published(REQUEST) * 50)
        await until(lambda: len(ear.messages) == 50)
        assert all(later > sooner + 1 for sooner, later in itertools.pairwise(ear.rounds))


@pytest.mark.usefixtures("short_turns")
async def test_acknowledgements_that_wait_behind_a_flood_are_waited_for():
    patience = Patience(ack_s=DEADLINE_S, farewell_s=0.05, look_every_s=0.02)
    async with Liar() as liar, connection(settings(liar), patience=patience) as (gateway, ear):
        await until(lambda: gateway.up)
        assert gateway.publish(message("edgegw/1/site/x", qos=1), b"{}")
        await until(lambda: any(kind == PUBLISH for kind, _ in liar.heard))
        liar.say(published(REQUEST) * 70 + packet(PUBACK, b"\0\1"))
        await until(lambda: 0 < len(ear.messages) < 70)
        ((number, handed),) = gateway._session._hand.items()
        long_ago = handed.at - 2 * DEADLINE_S  # only the flood excuses that
        gateway._session._hand[number] = msgspec.structs.replace(handed, at=long_ago)
        await until(lambda: gateway.published == 1)
        assert (len(ear.messages), ear.told) == (70, ["up"])


async def test_a_mistake_of_who_listens_stops_no_reading():
    class Confused(Ear):
        def on_message(self, incoming: Incoming) -> None:
            super().on_message(incoming)
            raise LookupError

    mistakes: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: mistakes.append(context["exception"]))
    async with Liar() as liar, connection(settings(liar), patience=HASTY, ear=Confused()) as (gateway, ear):
        await until(lambda: gateway.up)
        liar.say(published(REQUEST) * 5)
        await until(lambda: len(ear.messages) == 5)
        assert ear.told == ["up"]
    assert len(mistakes) == 5


# --- the end of it --------------------------------------------------------------------------------


async def test_who_stops_says_offline_and_who_is_killed_has_it_said(tmp_path: Path, mqtt5: bool):
    online = message(STATUS, b"online", qos=1, stamped=False)
    async with Mosquitto(tmp_path) as broker:
        ours = settings(broker, mqtt5=mqtt5)
        async with connection(ours) as (gateway, _):
            await until(lambda: gateway.up)
            gateway.publish(online, b"online")
            await until(lambda: gateway.published)
        assert (await broker.retained())[STATUS].payload == b"offline"
        assert "Client edgegw-site disconnected." in broker.said  # and not for an error
        async with broker.subscribed(STATUS) as building, connection(ours) as (gateway, _):
            await until(lambda: gateway.up)
            gateway.publish(online, b"online")
            await building.until(STATUS, b"online")
            reset(gateway)
            will = await building.until(STATUS, b"offline")
            assert will.qos == 1
        assert (await broker.retained())[STATUS].payload == b"offline"


def reset(gateway: object) -> None:
    """What the broker sees when the power of the gateway is cut, as far as one process can show it."""
    sock: socket.socket = gateway._session._line._sock  # type: ignore[attr-defined]
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.shutdown(socket.SHUT_RDWR)


async def test_a_broker_that_is_killed_is_found_again(tmp_path: Path, mqtt5: bool):
    async with Mosquitto(tmp_path) as broker, connection(settings(broker, mqtt5=mqtt5)) as (gateway, ear):
        await until(lambda: gateway.up)
        await broker.kill()
        await until(lambda: not gateway.up and "refused" in gateway.trouble)
        assert not gateway.publish(message("edgegw/1/site/x"), b"{}")
        await broker.start()
        await until(lambda: gateway.connects == 2)
        assert ear.told == ["up", "down: the broker closed the connection", "up"]
        assert gateway.trouble == ""


async def test_the_log_has_a_line_per_change_and_no_password(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    async with (
        Mosquitto(tmp_path / "broker", password=True) as broker,
        connection(settings(broker, **login(tmp_path))) as (gateway, _),
    ):
        await until(lambda: gateway.up)
        await broker.kill()
        await until(lambda: gateway.attempts >= 4)
        await broker.start()
        await until(lambda: gateway.connects == 2)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("edgegw.mqtt")]
    assert [line.split(" mqtt")[0] for line in lines] == [
        "mqtt: connected to",
        "mqtt: lost",
        "mqtt: cannot connect to",
        "mqtt: connected to",
    ]
    assert PASSWORD not in caplog.text


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_wrong_password_is_said_in_words_and_tried_again_slowly(tmp_path: Path, version: str):
    async with Mosquitto(tmp_path / "broker", password=True) as broker:
        wrong = settings(broker, mqtt5=version == "5", **login(tmp_path, "guess"))
        async with connection(wrong) as (gateway, ear):
            await until(lambda: gateway.refused)
            assert "check [mqtt] username and password_file" in gateway.trouble
            assert (gateway.attempts, ear.told) == (1, [])


async def test_a_password_file_that_is_gone_is_named(tmp_path: Path):
    async with Mosquitto(tmp_path / "broker", password=True) as broker:
        ours = settings(broker, **login(tmp_path))
        (tmp_path / "mqtt-password").unlink()
        async with connection(ours) as (gateway, _):
            await until(lambda: gateway.refused)
            assert gateway.trouble.endswith("cannot read the password: No such file or directory")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\n", "cannot read the password: not UTF-8"),
        (b"x" * 65_536 + b"\r\n", "longer than MQTT allows"),
    ],
)
def test_a_password_that_cannot_be_one_is_refused_in_words(tmp_path: Path, content: bytes, why: str):
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(ConfigFault, match=why):
        read_password(path)
    path.write_bytes(b"x" * 65_535 + b"\r\n")
    assert read_password(path) == "x" * 65_535
    assert read_password(None) is None


async def test_what_the_access_list_forbids_is_named_and_counted(tmp_path: Path):
    acl = "topic readwrite edgegw/1/site/#\n"
    async with Mosquitto(tmp_path, acl=acl) as broker:
        wanted = ["homeassistant/status"]
        async with connection(settings(broker), subscriptions=wanted) as (gateway, _):
            await until(lambda: gateway.up)
            outcomes: list[str] = []
            gateway.publish(message("homeassistant/device/x/config", qos=1), b"{}", outcomes.append)
            gateway.publish(message("edgegw/1/site/x", qos=1), b"{}", outcomes.append)
            await until(lambda: len(outcomes) == 2)
            assert outcomes == [
                "the broker does not let us use homeassistant/device/x/config: allow it in its access list",
                "",
            ]
            assert (gateway.rejected, gateway.published) == (1, 1)
            assert "homeassistant/device/x/config" in gateway.complaint
            assert gateway.up


async def test_what_is_too_large_for_the_broker_is_not_sent(tmp_path: Path):
    async with (
        Mosquitto(tmp_path, settings="max_packet_size 2000") as broker,
        connection(settings(broker)) as (gateway, _),
    ):
        await until(lambda: gateway.up)
        outcomes: list[str] = []
        assert gateway.publish(message("edgegw/1/site/x"), b"x" * 2000, outcomes.append)
        assert gateway.publish(message("edgegw/1/site/y"), b"x", outcomes.append)
        await until(lambda: len(outcomes) == 2)
        assert "too large for the broker" in outcomes[0]
        assert outcomes[1] == ""


# --- TLS ------------------------------------------------------------------------------------------


async def test_tls_with_a_certificate_of_the_client(tmp_path: Path, mqtt5: bool):
    async with Mosquitto(tmp_path, client_certificates=True) as broker:
        secure = {"port": broker.tls_port, "tls": True, "ca_file": broker.authority, "mqtt5": mqtt5}
        ours = settings(broker, certificate=CertificateFiles(*broker.client_certificate), **secure)
        async with connection(ours) as (gateway, _):
            await until(lambda: gateway.up)
            gateway.publish(message("edgegw/1/site/x", qos=1), b"{}")
            await until(lambda: gateway.published == 1)
        async with connection(settings(broker, **secure)) as (gateway, _):
            await until(lambda: gateway.refused)
            assert "certificate" in gateway.trouble


async def test_a_broker_that_we_cannot_trust_is_not_spoken_to(tmp_path: Path):
    async with Mosquitto(tmp_path) as broker:
        secure = settings(broker, port=broker.tls_port, tls=True)  # the system knows no such authority
        async with connection(secure) as (gateway, _):
            await until(lambda: gateway.refused)
            assert gateway.trouble.startswith("TLS: ")
        plain = settings(broker, tls=True, ca_file=broker.authority)
        async with connection(plain, patience=QUICK) as (gateway, _):
            await until(lambda: gateway.trouble.startswith("TLS"))


# --- slow -----------------------------------------------------------------------------------------


@asynccontextmanager
async def narrow(port: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A way to `port` that stops to carry anything while the event is cleared. Gives its own port."""
    flowing = asyncio.Event()
    flowing.set()
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(4096):
                await flowing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        for one in (pump(reader, back), pump(there, writer)):
            pumps.add(asyncio.create_task(one))

    server = await asyncio.start_server(carry, "127.0.0.1", 0, limit=4096)
    try:
        yield server.sockets[0].getsockname()[1], flowing
    finally:
        server.close()
        flowing.set()
        for one in pumps:
            one.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        await server.wait_closed()


async def test_a_broker_that_stops_reading_fills_our_hand_and_no_more(tmp_path: Path):
    """And is left for a new connection; the loop goes on all the while."""
    async with (
        Mosquitto(tmp_path) as broker,
        narrow(broker.port) as (port, flowing),
        connection(settings(broker, port=port), patience=QUICK) as (gateway, ear),
    ):
        await until(lambda: gateway.up)
        flowing.clear()
        taken = 0
        while gateway.publish(message(f"edgegw/1/site/{taken}", qos=taken < 5), b"x" * 10_000):
            taken += 1
        assert taken == HAND_MESSAGES
        assert gateway.under_way[1] <= HAND_BYTES + 10_000
        await until(lambda: len(ear.told) > 1)
        assert ear.told[1] == "down: the broker took nothing for 0.5 s"
        assert gateway.under_way == (0, 0)
        flowing.set()
        await until(lambda: gateway.connects >= 2 and gateway.has_room)


async def test_a_large_message_fills_the_hand_by_its_bytes(tmp_path: Path):
    async with (
        Mosquitto(tmp_path) as broker,
        connection(settings(broker, keep_alive_s=600)) as (gateway, ear),
    ):
        await until(lambda: gateway.up)
        assert gateway.publish(
            message("edgegw/1/site/x"), b"x" * 8 * HAND_BYTES
        )  # no socket takes that at once
        assert not gateway.publish(message("edgegw/1/site/y"), b"y")
        await until(lambda: ear.rooms)
        broker.thaw()
        await until(lambda: "'edgegw/1/site/x'" in broker.said)  # and no ping woke anybody
        assert gateway.publish(message("edgegw/1/site/y"), b"y")


async def test_a_broker_that_stands_still_is_left_and_found_again(tmp_path: Path, mqtt5: bool):
    async with Mosquitto(tmp_path) as broker:
        async with connection(settings(broker, mqtt5=mqtt5), patience=QUICK) as (gateway, _):
            await until(lambda: gateway.up)
            broker.freeze()
            gateway.publish(message("edgegw/1/site/x", qos=1), b"{}")
            await until(lambda: not gateway.up)
            await until(lambda: "does not answer" in gateway.trouble)
            broker.thaw()
            await until(lambda: gateway.up)
        broker.freeze()
        async with connection(settings(broker), patience=QUICK):
            pass  # a stop does not wait for it
        broker.thaw()


def test_it_is_the_same_in_the_loop_of_the_gateway(tmp_path: Path):
    """uvloop has its own idea of sockets."""

    async def story() -> None:
        async with Mosquitto(tmp_path) as broker:
            secure = {"port": broker.tls_port, "tls": True, "ca_file": broker.authority}
            wanted = ["edgegw/1/site/request/#"]
            async with connection(settings(broker, **secure), subscriptions=wanted) as (gateway, ear):
                await until(lambda: ear.subscribed)
                for number in range(50):
                    gateway.publish(message(f"edgegw/1/site/{number}", qos=number % 5 == 0), b"x" * 500)
                await until(lambda: gateway.published == 50)
                await broker.publish("edgegw/1/site/request/x", "{}")
                await until(lambda: ear.messages)
                await broker.kill()
                await until(lambda: not gateway.up)
                await broker.start()
                await until(lambda: gateway.connects == 2)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


async def test_a_name_look_up_that_hangs_delays_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    begun = asyncio.Event()
    loop, ended = asyncio.get_running_loop(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        ended.wait(30)
        raise OSError("no answer")

    monkeypatch.setattr(resolver.socket, "getaddrinfo", hang)
    async with Mosquitto(tmp_path) as broker:
        async with connection(settings(broker, host="broker.invalid")) as (gateway, _):
            await begun.wait()
        assert not gateway.up
        assert not ended.is_set()
    ended.set()


# --- a broker that accepts and resets -------------------------------------------------------------


@contextmanager
def resetting() -> Iterator[int]:
    """The port of something that takes a connection and resets it, at once or a little into the dial."""

    def reset_all() -> None:
        for number in itertools.count():
            taken, _ = server.accept()
            ended.wait(number % 4 / 10_000)
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            taken.close()
            if ended.is_set():
                return

    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=reset_all)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            socket.create_connection(server.getsockname()).close()
            thread.join()


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
async def test_a_broker_that_resets_every_connection_is_dialled_until_it_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: bool
):
    monkeypatch.setattr(redial, "REDIAL_MIN_S", 0.001)
    async with Mosquitto(tmp_path) as broker:
        secure = {"tls": True, "ca_file": broker.authority} if tls else {}
        with resetting() as port:
            async with connection(settings(broker, port=port, **secure)) as (gateway, ear):
                await until(lambda: gateway.attempts > 200)
                assert ear.told == []
                well = broker.tls_port if tls else broker.port
                gateway.settings = settings(broker, port=well, **secure)
                await until(lambda: gateway.up)


async def test_a_connection_that_is_reset_before_tls_begins_is_a_dial_that_failed():
    server = socket.create_server(("127.0.0.1", 0))
    sock = socket.create_connection(server.getsockname())
    taken, _ = server.accept()
    with server, taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    reset = select.poll()
    reset.register(sock, 0)
    assert reset.poll(30_000)
    sock.setblocking(False)
    with pytest.raises(line.DialFailed, match="TLS: "):
        await line._secured(sock, ssl.create_default_context(), "broker.lan")
    assert sock.fileno() < 0


async def test_a_mistake_of_ours_is_logged_once_and_the_broker_is_dialled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(redial, "REDIAL_MIN_S", 0.001)
    async with Mosquitto(tmp_path) as broker:
        well = settings(broker)
        ill = settings(broker, port=70_000)
        async with connection(ill) as (gateway, ear):
            await until(lambda: gateway.attempts > 3)
            assert "edgegw's own mistake" in gateway.trouble
            gateway.settings = well
            await until(lambda: gateway.up)
            assert ear.told == ["up"]
    assert sum(record.exc_info is not None for record in caplog.records) == 1


# --- two with one name ----------------------------------------------------------------------------


async def test_who_is_thrown_out_by_a_second_gateway_gives_way(tmp_path: Path):
    async with Mosquitto(tmp_path) as broker, connection(settings(broker)) as (first, _):
        await until(lambda: first.up)
        assert not first.taken_over
        async with connection(settings(broker)) as (second, _):
            await until(lambda: first.taken_over or second.taken_over)
            await until(lambda: first.up != second.up)
            told = {one.trouble for one in (first, second)}
            assert any("give each gateway its own [mqtt] client_id" in text for text in told)


def test_two_gateways_with_one_name_meet_less_and_less_often():
    redial = Redial()
    waits = []
    for _ in range(5):
        redial.connected()
        waits.append(redial.ended("taken_over", lasted_s=1.0, rand=1.0))
    assert waits == [TAKEN_OVER_MIN_S, 2 * TAKEN_OVER_MIN_S, *[TAKEN_OVER_MAX_S] * 3]
    assert redial.taken_over
    redial.lasted(PEACE_S)
    assert not redial.taken_over


def test_a_3_1_1_broker_that_closes_again_and_again_has_another_client_with_our_name():
    redial = Redial()
    for _ in range(2):
        assert redial.ended("closed", lasted_s=1.0, rand=1.0) <= REDIAL_MAX_S
    assert not redial.taken_over
    assert redial.ended("closed", lasted_s=1.0, rand=1.0) == TAKEN_OVER_MIN_S
    assert redial.taken_over


def test_a_3_1_1_broker_that_is_restarted_again_and_again_is_no_other_client():
    redial = Redial()
    for _ in range(5):
        redial.ended("closed", lasted_s=1.0, rand=1.0)
        redial.ended("unreachable", lasted_s=0.0, rand=1.0)
    assert not redial.taken_over


@pytest.mark.parametrize("rand", [0.0, 0.5, 0.999])
def test_a_broker_that_is_away_is_dialled_at_least_every_three_seconds(rand: float):
    redial = Redial()
    waits = [redial.ended("unreachable", 0.0, rand) for _ in range(100)]
    assert all(REDIAL_MIN_S <= wait_s <= REDIAL_MAX_S for wait_s in waits)
    assert len(set(waits)) > 1 or rand == 0.0


# --- settings -------------------------------------------------------------------------------------


def test_the_site_file_says_where_the_broker_is(tmp_path: Path):
    (tmp_path / "pw").write_text("x")
    (tmp_path / "ca").write_text("x")
    table = {
        "broker": "mqtts://broker.lan",
        "username": "gw",
        "password_file": str(tmp_path / "pw"),
        "ca_file": str(tmp_path / "ca"),
        "version": "3.1.1",
        "base": "building/edgegw",
    }
    found = settings_from(Mqtt.model_validate(table), "Garage Nord")
    assert found.where == "mqtts://broker.lan:8883"
    assert found.status_topic == "building/edgegw/1/garage-nord/status"
    assert (found.client_id, found.mqtt5, found.username) == ("edgegw-garage-nord", False, "gw")
    assert (found.password_file, found.ca_file) == (tmp_path / "pw", tmp_path / "ca")
