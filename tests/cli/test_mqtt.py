"""`edgegw mqtt` beside a real mosquitto, to which the test publishes as the gateway would."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Self

import pytest
from click.testing import CliRunner, Result
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from edgegw.cli import edgegw
from edgegw.cli.mqtt_options import EVERY, Where
from edgegw.cli.mqtt_show import Show, Wish, shortened
from edgegw.config_mqtt import VERBS, Mqtt
from edgegw.mqtt.message import Incoming
from edgegw.mqtt.topics import CHANNELS
from tests.e2e.children import DEADLINE_S, Child, Children, ending
from tests.links.house import eventually
from tests.mqtt.test_words import CONNECTOR, EVENT, HOSTILE, INFO, sent
from tests.servers.mosquitto import Mosquitto
from tests.servers.shared import PASSWORD, USER
from tests.test_config import MINIMAL

ROOT = "edgegw/1/depot-1"
CONNECTOR_TOPIC = "charger/cp-7/connector/1/state"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path / "broker") as broker:
        yield broker


async def run(*arguments: str, code: int = 0) -> Result:
    """`edgegw mqtt ARGUMENTS` in a thread."""
    result = await asyncio.to_thread(CliRunner().invoke, edgegw, ["mqtt", *arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def here(broker: Mosquitto) -> tuple[str, str]:
    return "--broker", f"mqtt://127.0.0.1:{broker.port}"


async def retain(broker: Mosquitto, **states: bytes) -> None:
    """A gateway that published what stands here: by topic, "/" written as two underscores."""
    published = {"status": b"online", "info": sent(INFO), CONNECTOR_TOPIC: sent(CONNECTOR)}
    published.update((name.replace("__", "/"), payload) for name, payload in states.items())
    for tail, payload in published.items():
        await broker.publish(f"{ROOT}/{tail}", payload, "-r")


def words_of(result: Result) -> list[tuple[str, str]]:
    """(topic, words) of each line, without the time."""
    return told_in(result.stdout.splitlines())


def told_in(lines: list[str]) -> list[tuple[str, str]]:
    rows = [line.split("  ", 2) for line in lines]
    return [(topic, words) for _, topic, words in rows]


@asynccontextmanager
async def watching(broker: Mosquitto, folder: Path) -> AsyncIterator[Child]:
    """`edgegw mqtt watch` until Ctrl-C, when it has shown what `retain` left."""
    children = Children(folder)
    try:
        child = await children.start("watch", sys.executable, "-m", "edgegw", "mqtt", "watch", *here(broker))
        await child.until(lambda lines: len(lines) == 3 or None)
        yield child
        child.signal(signal.SIGINT)
        assert await child.ended() == 0, child.log
    finally:
        await children.close()


# --- watch ----------------------------------------------------------------------------------------


async def test_what_is_retained_comes_first_and_in_order(broker: Mosquitto):
    await retain(broker, alarm__a=b'{"odd":1}')
    result = await run("watch", *here(broker), "--gateway", "depot-1", "--for", "600 ms")
    assert words_of(result) == [
        ("status", "the gateway is online"),
        ("info", "Parking deck (depot-1): edgegw 1.0 on box, 1 charger, 1 meter; takes no commands"),
        ("alarm/a", '{"odd":1}'),
        (CONNECTOR_TOPIC, "CP-7/1 charges with 7.3 kW (10.6 A) of 11 A: main L2: 63 A fuse, building 41 A"),
    ]
    assert result.stderr == ""


async def test_after_that_only_what_changes_and_what_happens(broker: Mosquitto, tmp_path: Path):
    await retain(broker)
    async with watching(broker, tmp_path) as child:
        for topic, payload in (
            (CONNECTOR_TOPIC, sent(CONNECTOR).replace(b":00.000Z", b":01.000Z")),
            (CONNECTOR_TOPIC, sent(CONNECTOR, limit_a=6.0)),
            ("event", sent(EVENT)),
            ("event", sent(EVENT)),
        ):
            await broker.publish(f"{ROOT}/{topic}", payload)
        await child.until(lambda lines: len(lines) >= 6 or None)
    told = told_in(child.lines)[3:]
    assert [topic.removeprefix("depot-1 ") for topic, _ in told] == [CONNECTOR_TOPIC, "event", "event"]
    assert "of 6 A" in told[0][1]


async def test_one_charger_alone(broker: Mosquitto):
    await retain(broker, charger__cp_8__availability=b"online", site__state=b"{}")
    ours = await run("watch", *here(broker), "--gateway", "depot-1", "--charger", "CP-7", "--for", "600 ms")
    assert [topic for topic, _ in words_of(ours)] == ["status", CONNECTOR_TOPIC]
    strange = await run("watch", *here(broker), "--charger", "CP-9", "--for", "600 ms")
    assert strange.stderr == "edgegw: no charger CP-9 there; there are: CP-7\n"


async def test_for_programs(broker: Mosquitto):
    await retain(broker)
    arguments = ("watch", *here(broker), "--filter", "charger/#", "--for", "600 ms")
    raw = await run(*arguments, "--raw")
    assert raw.stdout == f"{ROOT}/{CONNECTOR_TOPIC} {sent(CONNECTOR).decode()}\n"
    found = json.loads((await run(*arguments, "--json")).stdout)
    assert (found["topic"], found["retain"]) == (f"{ROOT}/{CONNECTOR_TOPIC}", True)
    assert found["payload"]["limit_a"] == 11.0
    assert found["words"].startswith("CP-7/1 charges")
    assert "give --raw or --json" in (await run(*arguments, "--raw", "--json", code=2)).stderr


async def test_nothing_there_is_said_with_what_to_look_at(broker: Mosquitto):
    await retain(broker)
    arguments = ("--base", "other", "--for", "200 ms")
    stderr = (await run("watch", *here(broker), *arguments, code=1)).stderr
    assert "nothing is published below other/1/+ at mqtt://127.0.0.1" in stderr
    assert "does the gateway run, with [mqtt] in its site file" in stderr
    assert f"there is: {ROOT}" in stderr


async def test_a_gateway_that_is_offline_is_exit_code_1(broker: Mosquitto):
    await retain(broker, status=b"offline")
    result = await run("watch", *here(broker), "--for", "600 ms", code=1)
    assert words_of(result)[0][1] == "the gateway is offline: everything else is what it said last"
    result = await run("watch", *here(broker), "--filter", "charger/#", "--for", "600 ms", code=1)
    assert result.stderr == "edgegw: depot-1 is offline: everything else is what it said last\n"


async def test_a_broker_that_is_not_there(broker: Mosquitto):
    await broker.stop()
    told = await run("watch", *here(broker), code=3)
    assert told.stderr.endswith("cannot be reached: Connection refused\n")


async def test_login_and_tls_of_the_site_file(tmp_path: Path):
    async with Mosquitto(tmp_path / "broker", password=True) as broker:
        port, tls_port = broker.port, broker.tls_port
        (tmp_path / "password").write_text(f"{PASSWORD}\n")
        (tmp_path / "wrong").write_text("guessed\n")
        login = f'username = "{USER}"\npassword_file = "password"\n'
        secure = f'broker = "mqtts://127.0.0.1:{tls_port}"\nca_file = "{broker.authority}"\n'
        for name, lines in {
            "right": secure + login,
            "old": f'broker = "mqtt://127.0.0.1:{port}"\nversion = "3.1.1"\n{login}',
            "wrong": secure + login.replace('"password"', '"wrong"'),
            "nobody": f'broker = "mqtt://127.0.0.1:{port}"\n',
            "strange": f'broker = "mqtts://127.0.0.1:{tls_port}"\n',
        }.items():
            (tmp_path / f"{name}.toml").write_text(f"{MINIMAL}[mqtt]\n{lines}")
        await broker.publish(f"{ROOT}/status", b"online", "-r")

        async def told(name: str, code: int) -> str:
            site = str(tmp_path / f"{name}.toml")
            return (await run("watch", "--config", site, "--for", "600 ms", code=code)).output

        assert "the gateway is online" in await told("right", 0)
        assert "the gateway is online" in await told("old", 0)
        assert f"refuses user {USER}: not authorized" in await told("wrong", 1)
        assert "refuses a client without a user name: not authorized" in await told("nobody", 1)
        assert (
            "TLS: a self-signed certificate stands at the root of the chain and is not trusted"
            in await told("strange", 3)
        )


async def test_a_broker_that_goes_and_comes_back(broker: Mosquitto, tmp_path: Path):
    await retain(broker)
    async with watching(broker, tmp_path) as child:
        await broker.kill()
        await broker.start()
        await retain(broker, site__state=b'{"new":1}')
        await child.until(lambda lines: "site/state" in lines[-1] or None)
        await eventually(lambda: child.log.endswith("connected again\n"))
    assert "is lost" in child.log
    assert told_in(child.lines)[-1] == ("depot-1 site/state", '{"new":1}')


async def test_ctrl_c_is_the_usual_end(broker: Mosquitto):
    await retain(broker)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-m", "edgegw", "mqtt", "watch", *here(broker)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with ending(process):
        assert b"online" in await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--broker", "http://10.0.0.9"), '--broker must be "mqtt://host[:port]"'),
        (("--broker", "mqtt://x", "--base", "a/#"), "--base must hold only"),
        (("--broker", "mqtt://x", "--password-file", "tests/conftest.py"), "--username is required"),
        (("--config", "config/demo.toml", "--username", "x"), "--username: only with --broker"),
        (("--broker", "mqtt://x", "--for", "10"), "a unit is missing"),
        (("--config", "no-such-file.toml"), "no-such-file.toml"),
    ],
)
async def test_wrong_arguments(arguments: tuple[str, ...], words: str):
    assert words in (await run("watch", *arguments, code=2)).stderr


async def test_a_site_that_publishes_nothing(tmp_path: Path):
    (tmp_path / "site.toml").write_text(MINIMAL)
    for command in ("watch", "topics"):
        told = await run(command, "--config", str(tmp_path / "site.toml"), code=2)
        assert "no [mqtt] table: the gateway publishes nothing" in told.stderr


# --- on a terminal --------------------------------------------------------------------------------


def test_lines_fit_a_terminal(capsys: pytest.CaptureFixture[str]):
    where = Where(Mqtt(broker="mqtt://x"), EVERY)
    show = Show(where, Wish(), UTC, width=60)
    topic = f"edgegw/1/depot-1/charger/{'a' * 48}/connector/1/state"
    show.take(Incoming(topic=topic, payload=sent(CONNECTOR, limit_reason="過電流 " * 20), retain=True))
    show.take(Incoming(topic=f"edgegw/1/{HOSTILE}/x{HOSTILE}", payload=HOSTILE.encode(), retain=True))
    show.take(Incoming(topic="elsewhere/1/depot-1/status", payload=b"online", retain=True))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 4
    for line in lines:
        assert line.isprintable()
        assert len(line) + sum(ord(c) > 0x2E80 for c in line) <= 60, line
    assert "elsewhere" not in "".join(lines)
    assert lines[0].split()[2].startswith("depot")


def test_a_topic_is_shortened_in_its_middle():
    assert shortened("status", 20) == "status"
    assert shortened(CONNECTOR_TOPIC, 20) == "charge…tor/1/state"[:6] + "…" + CONNECTOR_TOPIC[-13:]


# --- topics, schema -------------------------------------------------------------------------------


async def test_the_tree_as_a_table(tmp_path: Path):
    lines = (await run("topics")).stdout.splitlines()
    assert lines[0] == "below <base>/1/<gateway>/"
    for channel in CHANNELS:
        assert any(line.split()[0] == channel.address for line in lines[3:]), channel.address
    for verb in VERBS:
        assert verb in lines[-1]
    (tmp_path / "site.toml").write_text(f'{MINIMAL}[mqtt]\nbroker = "mqtt://x"\nbase = "a/b"\n')
    with_site = await run("topics", "--config", str(tmp_path / "site.toml"), "--json")
    assert json.loads(with_site.stdout)["root"] == "a/b/1/depot-1"


async def test_schemas():
    assert json.loads((await run("schema")).stdout)["asyncapi"] == "3.0.0"
    for name, member in (
        ("connector", "limit_a"),
        ("limit/set", "fallback_a"),
        ("request-limit-set", "source"),
    ):
        assert member in json.loads((await run("schema", name)).stdout)["properties"]
    assert 'there is no "lamp"' in (await run("schema", "lamp", code=2)).stderr


# --- send -----------------------------------------------------------------------------------------


class Gateway:
    """Hears one command and answers it."""

    def __init__(self, broker: Mosquitto, answer: dict[str, object] | None) -> None:
        self.asked: list[tuple[str, dict[str, object]]] = []
        self._answer = answer
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._client.on_message = self._hear
        self._client.on_connect = lambda client, *_: client.subscribe(f"{ROOT}/request/#", 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", broker.port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._subscribed.wait(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, client: Client, _: object, message: MQTTMessage) -> None:
        request, verb = json.loads(message.payload), message.topic.removeprefix(f"{ROOT}/request/")
        self.asked.append((verb, request))
        if self._answer is None:
            return
        for transaction in ("somebody-else", request["transaction"]):
            body = {"transaction": transaction, "data": None, "error": None, "took_ms": 4.0, **self._answer}
            client.publish(f"{ROOT}/response/{verb}", json.dumps(body), qos=1)


async def send(broker: Mosquitto, answer: dict[str, object] | None, *arguments: str, code: int) -> tuple:
    """Verb and request that the gateway got, and what `edgegw mqtt send` told, when it answers `answer`."""
    with Gateway(broker, answer) as gateway:
        told = await run("send", *arguments, *here(broker), "--gateway", "depot-1", code=code)
        await eventually(lambda: gateway.asked)
    ((verb, request),) = gateway.asked
    return verb, request, told


async def test_a_command_and_its_answer(broker: Mosquitto):
    fields = ("source=bms", "limit_a=63", "chargers_only=true")
    done = {"status": "ok", "data": {"effective_a": 63.0}}
    verb, request, told = await send(broker, done, "limit/set", *fields, code=0)
    assert verb == "limit/set"
    assert (request["source"], request["limit_a"], request["chargers_only"]) == ("bms", 63, True)
    assert request["ts"].endswith("Z")
    assert told.stdout == f"limit/set ({request['transaction']}) done in 4 ms: effective_a 63.0\n"


async def test_a_command_that_is_refused(broker: Mosquitto):
    refused = {"status": "error", "error": {"code": "not_allowed", "text": "bms may not"}}
    _, request, told = await send(broker, refused, "limit/release", "transaction=t-1", "--json", code=1)
    assert request["transaction"] == "t-1"
    assert json.loads(told.stdout)["error"]["code"] == "not_allowed"


async def test_a_command_without_an_answer(broker: Mosquitto):
    _, _, told = await send(broker, None, "health_check", "--within", "0.3", code=4)
    assert "no answer within 0.3 s: it is not known whether it was done" in told.stderr


async def test_a_command_that_nobody_hears(broker: Mosquitto):
    told = await run("send", "health_check", *here(broker), "--gateway", "depot-1", code=1)
    assert f"nobody listens at {ROOT}/request/health_check" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("limit/#", "--broker", "mqtt://x"), "is not a verb"),
        (("limit/set", "63", "--broker", "mqtt://x"), "is not KEY=VALUE"),
        (("limit/set", "--broker", "mqtt://x"), "--broker needs --gateway too"),
    ],
)
async def test_commands_that_are_none(arguments: tuple[str, ...], words: str):
    assert words in (await run("send", *arguments, code=2)).stderr
