"""`edgegw demo` as a newcomer runs it: the whole story, two at once, and Ctrl-C in the middle of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from edgegw.mqtt.topics import Tree
from edgegw.sim import broker
from edgegw.sim.demo import Demo, Script
from edgegw.sim.demo_site import default_site, site_beside
from tests.mqtt.wire import Checker
from tests.servers.mosquitto import FORMAT, Listener, Received
from tests.servers.shared import program_path

DEMO = (sys.executable, "-m", "edgegw", "demo", "--plain", "--chargers", "3", "--pace", "0.3")
WITHIN_S = 240  # half a minute on a machine at rest
OVER_MQTT = [
    "edgegw mqtt watch --broker mqtt://127.0.0.1:",
    "asks over MQTT for 70 A",
    "bms did not renew it: the limit falls back to 100 A",
]
BROKER = re.compile(r"--broker mqtt://127\.0\.0\.1:(\d+)")
READY = {"chargers": ["CP01", "CP04"], "meter": "tcp://127.0.0.1:4711"}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: the path of a Unix socket has 107 bytes, and pytest's own folders are long."""
    with tempfile.TemporaryDirectory(prefix="dm") as name:
        yield Path(name)


Start = Callable[[], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start(folder: Path) -> AsyncIterator[Start]:
    """Starts demos; whatever of them is still there at the end is killed."""
    demos = []

    async def start() -> asyncio.subprocess.Process:
        demo = await asyncio.create_subprocess_exec(
            *DEMO,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(folder)},
            start_new_session=True,
        )
        demos.append(demo)
        return demo

    yield start
    for demo in demos:
        if demo.returncode is None:
            os.killpg(demo.pid, signal.SIGINT)  # the gateway has a session of its own: it must be stopped
            await asyncio.wait_for(demo.communicate(), 30)


def _processes_that_name(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if entry.name.isdecimal() and os.fsencode(folder) in line:
            found.append(line.replace(b"\0", b" ").decode())
    return found


async def _followed(demo: asyncio.subprocess.Process) -> tuple[str, str, list[Received]]:
    """What it told, what it complained of, and all that went over its broker from the start on."""
    assert demo.stdout is not None
    assert demo.stderr is not None
    told, listener = "", None
    try:
        async for line in demo.stdout:
            told += line.decode()
            if listener is None and (found := BROKER.search(line.decode())):
                listener = Listener()
                sub = [program_path("mosquitto_sub"), "-V", "5", "-h", "127.0.0.1", "-p", found[1]]
                await listener.start([*sub, "-q", "1", "-t", "#", "-F", FORMAT])
        err = (await demo.stderr.read()).decode()
    finally:
        if listener is not None:
            await listener.stop()
    await demo.wait()
    return told, err, listener.seen if listener is not None else []


def _fits_its_schemas(published: list[Received]) -> None:
    """Every payload of the whole run; commands and answers, states and events."""
    if broker.program() is None:
        return
    checker = Checker(Tree("edgegw", "demo"))
    for one in published:
        if not one.topic.startswith("homeassistant/"):
            checker.check(one.topic, one.payload)
    seen = checker.seen
    assert {
        "info",
        "health",
        "cloud",
        "meter",
        "site",
        "circuit",
        "limit",
        "balancer",
        "charger",
    } <= seen.keys()
    assert {"connector", "session", "event", "response", "availability", "status"} <= seen.keys()


async def test_two_demos_at_once_end_with_ledgers_that_agree(start: Start, folder: Path):
    """They share no port: everything listens where the system chooses."""
    demos = [await start() for _ in range(2)]
    followed = await asyncio.wait_for(asyncio.gather(*map(_followed, demos)), WITHIN_S)
    for demo, (told, err, published) in zip(demos, followed, strict=True):
        assert demo.returncode == 0, err + told
        _fits_its_schemas(published)
        lines = ["the cars give way", "the cars get more", "kill -9", "the ledgers agree"]
        for line in lines + (OVER_MQTT if broker.program() is not None else []):
            assert line in told
        flows = re.findall(r"amps of building\+cars: L1 (\d+)\+(\d+) .*? fuse 125", told)
        assert {building for building, _ in flows} >= {"14", "62"}
        assert any(int(cars) > 0 for _, cars in flows)
    assert os.listdir(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["Ctrl-C", "terminal closed"])
async def test_an_end_in_the_middle_leaves_nothing_running(
    start: Start, folder: Path, number: signal.Signals
):
    demo = await start()
    assert demo.stdout is not None
    while b"dial the gateway" not in (line := await asyncio.wait_for(demo.stdout.readline(), WITHIN_S)):
        assert line, "it ended before the story began"
    assert _processes_that_name(folder)
    os.kill(demo.pid, number)
    _, err = await asyncio.wait_for(demo.communicate(), 60)
    assert demo.returncode == 130, err.decode()
    assert _processes_that_name(folder) == []
    assert os.listdir(folder) == []


async def test_without_mosquitto_the_demo_says_so_and_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(broker, "program", lambda: None)
    told: list[str] = []
    async with contextlib.AsyncExitStack() as stack:
        demo = Demo(Script(), told.append, lambda _: None)
        assert await demo._start_broker(default_site(), folder, stack) is None
    assert told == ["no MQTT: mosquitto is not installed (apt-get install mosquitto); on without it"]
    assert site_beside(default_site(), folder, "ws://127.0.0.1:4712/csms", READY)[1].mqtt is None


def test_the_site_file_of_the_demo_names_its_broker(folder: Path):
    _, site = site_beside(default_site(), folder, "ws://x/csms", {**READY, "broker": "mqtt://127.0.0.1:4713"})
    assert site.mqtt is not None
    assert (site.mqtt.broker, site.mqtt.commands) == (
        "mqtt://127.0.0.1:4713", ("limit/set", "limit/release"),
    )  # fmt: skip


def test_the_site_file_of_the_demo_names_what_is_there(folder: Path):
    path, site = site_beside(default_site(), folder, "ws://127.0.0.1:4712/csms", READY)
    assert site.cloud is not None
    assert site.cloud.url == "ws://127.0.0.1:4712/csms"
    assert [meter.address for meter in site.meter] == ["tcp://127.0.0.1:4711"]
    assert [connector.id for connector in site.connector] == ["CP01/1", "CP04/1", "CP04/2"]
    assert site.chargers.listen.port == 0
    assert site.control.socket.is_relative_to(folder)
    assert path.stat().st_mode & 0o777 == 0o600
