"""Faults 57 to 66 and 84: the process, its disk, its configuration, its name server, its secrets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import WebSocketException

from edgegw.sim.cloud import SimCloud
from tests.e2e.children import DEADLINE_S, Child, Children
from tests.e2e.faults import (
    MANY_WITHIN_S,
    NOW,
    V201,
    RawCharger,
    ask,
    basic,
    charger,
    dial,
    drained,
    knock,
    meter,
    start_tx,
    stop_tx,
    until,
    waiting,
)
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.small_disk import fill, small_disk

BACKLOG = 60


async def backlog(one: RawCharger, count: int) -> int:
    """One transaction of `count` meter values that the box answers. Its local id."""
    local = int((await one.call("StartTransaction", start_tx(), "start"))[2]["transactionId"])
    for number in range(count):
        await one.call("MeterValues", meter(local, 1000 + number), f"meter-{number}")
    return local


async def test_fault_57_sigterm_in_the_middle_of_a_replay(gateways: Gateways) -> None:
    """Gone with exit code 0; what was on its way goes up once more at most."""
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url, {"cloud": {"replay_rate": 25}})
        async with charger(gateway, "CP1") as one:
            await cloud.cut()
            await backlog(one, BACKLOG)
            await cloud.restore()
            await cloud.wait_calls("MeterValues", count=10, timeout_s=DEADLINE_S)
            await gateway.terminate()
        assert len(cloud.calls("MeterValues")) < BACKLOG, "it was in the middle"
        await gateway.start()
        async with charger(gateway, "CP1", boot=False):
            await drained(gateway)
        ids = [call.id for call in cloud.calls("MeterValues")]
        assert list(dict.fromkeys(ids)) == [f"meter-{number}" for number in range(BACKLOG)]
        assert len(ids) <= BACKLOG + 1


async def test_fault_57_sigstop_and_go_on(gateways: Gateways) -> None:
    """A process that stood still does not find everybody else dead."""
    settings = {"chargers": {"ping_interval": "1 s"}, "cloud": {"ping_interval": "1 s"}}
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url, settings)
        async with charger(gateway, "CP1") as one:
            os.kill(gateway.pid, signal.SIGSTOP)
            await asyncio.sleep(3)  # the fault itself
            os.kill(gateway.pid, signal.SIGCONT)
            assert (await one.call("Heartbeat", {}))[0] == 3
            assert len(cloud.history) == 1
            assert not one.closed


async def test_a_message_sent_again_after_the_box_was_killed_is_stored_once(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "CP1") as one:
            await cloud.cut()
            local = (await one.call("StartTransaction", start_tx(), "start"))[2]["transactionId"]
            await one.call("StopTransaction", stop_tx(local), "stop")
            await gateway.restart()
        async with charger(gateway, "CP1") as again:
            assert (await again.call("StopTransaction", stop_tx(local), "stop"))[0] == 3
            await cloud.restore()
            await drained(gateway)
        assert [call.id for call in cloud.calls("StopTransaction")] == ["stop"]


async def test_notices_of_a_long_outage_survive_a_kill(gateways: Gateways) -> None:
    """More of them than the box takes back into memory at once when it starts."""
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "CP1") as one:
            await cloud.cut()
            for number in range(700):
                event = {"type": "SettingSystemTime", "timestamp": NOW, "techInfo": str(number)}
                await one.call("SecurityEventNotification", event)
            await gateway.restart()
        async with charger(gateway, "CP1", boot=False):
            await cloud.restore()
            await drained(gateway)
        told = [int(call.payload["techInfo"]) for call in cloud.calls("SecurityEventNotification")]
        assert list(dict.fromkeys(told)) == list(range(700))


# --- disk -------------------------------------------------------------------------------------------


@pytest.fixture
def store_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "store", 6, lazy=True) as at:  # the gateway is stopped after it
        yield at


async def test_fault_60_no_answer_without_a_row_when_the_disk_is_full(
    store_disk: Path, gateways: Gateways
) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "CP1") as one:
            await cloud.cut()
            await backlog(one, 3)
            fill(store_disk / "diagnostics")
            answered = await answered_until_full(one)
        assert 3 < answered < 20_000, "the reserve was used, then it was over"
        await until(lambda: is_degraded(gateway))
        (store_disk / "diagnostics").unlink()
        again = await until(lambda: answers_again(gateway, answered), MANY_WITHIN_S)
        try:
            await cloud.restore()
            await drained(gateway)
        finally:
            await again.close()
        ids = list(dict.fromkeys(call.id for call in cloud.calls("MeterValues")))
        wanted = [f"meter-{number}" for number in range(answered)]
        assert [i for i in ids if i in wanted] == wanted, "every answered one, in order"
        assert f"meter-{answered}" in ids, "and the one that was sent again"


async def answered_until_full(one: RawCharger) -> int:
    """Send meter values until the gateway hangs up in place of an answer; how many it answered."""
    answered = 3
    while answered < 20_000 and not one.closed:
        wanted = f"meter-{answered}"
        with contextlib.suppress(WebSocketException):
            await one.send(json.dumps([2, wanted, "MeterValues", meter(1, answered, samples=200)]))
        await until(lambda wanted=wanted: is_answered(one, wanted) or one.closed)
        if not is_answered(one, wanted):
            break
        answered += 1
    return answered


def is_answered(one: RawCharger, message_id: str) -> bool:
    return any(frame[0] == 3 and frame[1] == message_id for frame in one.frames)


async def is_degraded(gateway: GatewayProcess) -> bool:
    health = await ask(gateway, "/v1/health")
    return health["status"] == "degraded" and any("disk" in reason for reason in health["reasons"])


async def answers_again(gateway: GatewayProcess, number: int) -> RawCharger | None:
    """The charger comes again with what it was not answered."""
    try:
        one = await dial(gateway, "CP1")
    except (WebSocketException, OSError):
        return None
    try:
        await one.call("MeterValues", meter(1, number, samples=200), f"meter-{number}", timeout_s=5)
    except (WebSocketException, AssertionError, TimeoutError):
        await one.close()
        return None
    return one


async def test_fault_62_two_gateways_on_one_store(gateways: Gateways, children: Children) -> None:
    gateway = await gateways(None)
    second = gateway.folder / "second.toml"
    text = gateway.config.read_text().replace(str(gateway.port), "0")
    second.write_text(text + '[control]\nsocket = "second.sock"\n')
    child = await children.start("second", sys.executable, "-m", "edgegw", "run", "--config", str(second))
    assert await child.ended() == 1
    assert not child.lines
    assert "store" in child.log
    assert "another" in child.log
    assert "Traceback" not in child.log
    async with charger(gateway, "CP1"):
        pass


MISTAKES: dict[str, tuple[str, str]] = {
    "unknown key": ('[chargers]\nlistn = "127.0.0.1:0"\n', "listn"),
    "wrong type": ("[chargers]\nlisten = 9000\n", "listen"),
    "no unit": ('[chargers]\nlisten = "127.0.0.1:0"\nping_interval = 20\n', "ping_interval"),
    "duplicate charger": ('[chargers]\nlisten = "127.0.0.1:0"\nknown = ["A", "A"]\n', "known"),
    "not TOML": ("[chargers\n", "site.toml"),
    "cloud of another kind": ('[chargers]\nlisten = "127.0.0.1:0"\n[cloud]\nurl = "https://x/y"\n', "url"),
}


async def test_fault_64_mistakes_of_the_installer_exit_2(children: Children, tmp_path: Path) -> None:
    async def run(name: str, text: str) -> Child:
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        file = folder / "site.toml"
        file.write_text(f'[site]\nid = "s"\n[store]\ndirectory = "store"\n{text}')
        return await children.start(folder.name, sys.executable, "-m", "edgegw", "run", "--config", str(file))

    started = {name: await run(name, text) for name, (text, _) in MISTAKES.items()}
    for name, child in started.items():
        assert await child.ended() == 2, (name, child.log)
        assert MISTAKES[name][1] in child.log, name
        assert "site.toml" in child.log, name
        assert "Traceback" not in child.log, name
    missing = await children.start(
        "missing", sys.executable, "-m", "edgegw", "run", "--config", "nowhere.toml"
    )
    assert await missing.ended() == 2
    assert "nowhere.toml" in missing.log


async def test_fault_64_a_port_or_a_directory_that_cannot_be_had(children: Children, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "file").write_text("in the way")
        for name, listen, directory in (
            ("port", f"127.0.0.1:{port}", "store"),
            ("directory", "127.0.0.1:0", "file/store"),
        ):
            file = tmp_path / f"{name}.toml"
            text = f'[site]\nid = "s"\n[store]\ndirectory = "{directory}"\n[chargers]\nlisten = "{listen}"\n'
            file.write_text(text)
            child = await children.start(name, sys.executable, "-m", "edgegw", "run", "--config", str(file))
            assert await child.ended() in (1, 2)
            assert "Traceback" not in child.log, child.log
            assert (str(port) if name == "port" else "file") in child.log


# --- names ------------------------------------------------------------------------------------------


class Inside(Children):
    """Starts programs in a mount namespace of their own, where /etc/resolv.conf is another file."""

    def __init__(self, children: Children, resolv_conf: Path) -> None:
        super().__init__(resolv_conf.parent)
        self._children = children
        script = f'mount --bind "{resolv_conf}" /etc/resolv.conf && exec "$@"'
        self._prefix = ("unshare", "--mount", "sh", "-c", script, "sh")

    def keep(self, claim: contextlib.AbstractContextManager[object]) -> None:
        self._children.keep(claim)

    async def start(self, name: str, *command: str, **more: Any) -> Child:
        return await self._children.start(name, *self._prefix, *command, **more)


async def test_fault_66_a_name_server_that_says_nothing_stalls_no_charger(
    children: Children, tmp_path: Path
) -> None:
    hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        hole.bind(("127.66.66.66", 53))
    except OSError as error:
        hole.close()
        pytest.skip(f"no name server of our own here: {error}")
    probe = await children.start("probe", "unshare", "--mount", "true")
    if await probe.ended():
        hole.close()
        pytest.skip(f"no name server of our own here: {probe.log.strip()}")
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.66.66.66\noptions timeout:30 attempts:5\n")
    with contextlib.closing(hole):
        gateway = GatewayProcess(
            Inside(children, conf),
            tmp_path,
            cloud="ws://csms.blackhole.example/ocpp",
            settings={"cloud": {"connect_timeout": "2 s"}},
        )
        await gateway.start()
        ones = []
        try:
            ones = await asyncio.gather(*(dial(gateway, f"CP{number}") for number in range(12)))
            slowest_s = 0.0
            loop = asyncio.get_running_loop()
            for _ in range(5):
                for one in ones:
                    begun = loop.time()
                    # Never accepted by any cloud: refused here, but answered, and at once.
                    assert (await one.call("Heartbeat", {}))[0] == 4
                    slowest_s = max(slowest_s, loop.time() - begun)
            print(f"fault 66: {len(ones)} names not resolved; slowest answer {slowest_s * 1000:.1f} ms")
        finally:
            for one in ones:
                await one.close()
        await gateway.close()


# --- secrets ----------------------------------------------------------------------------------------

PASSWORD = "charger-pass-7Q"
WRONG = "guessed-pass-8R"
NEW_16 = "new-key-for-16-9S"
NEW_2X = "new-key-for-2x-0T"
TAG = "04A1B2C3D4E5F6"


async def test_fault_84_no_secret_leaves_the_box(gateways: Gateways, children: Children) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url, {"log": {"level": "debug"}})
        old = {name: basic(name, PASSWORD) for name in ("A", "B")}
        async with (
            charger(gateway, "A", password=PASSWORD) as a,
            charger(gateway, "B", password=PASSWORD, offers=(V201,)),
        ):
            key = {"key": "AuthorizationKey", "value": NEW_16}
            assert (await cloud.call("A", "ChangeConfiguration", key))["status"] == "Accepted"
            item = {
                "attributeValue": NEW_2X,
                "component": {"name": "SecurityCtrlr"},
                "variable": {"name": "BasicAuthPassword"},
            }
            await cloud.call("B", "SetVariables", {"setVariableData": [item]})
            await a.call("Authorize", {"idTag": TAG})
            local = (await a.call("StartTransaction", start_tx(TAG)))[2]["transactionId"]
            for broken in (f'[2,"x","Authorize",{{"idTag":"{TAG}"', f'[2,"y",{{"password":"{PASSWORD}"}}]'):
                await a.send(broken)
            await cloud.send_text(
                "A", f'[2,"z","ChangeConfiguration",{{"key":"AuthorizationKey","value":"{NEW_16}"'
            )
            await a.call("Heartbeat", {})
            await cloud.cut()
            await a.call("StopTransaction", {**stop_tx(local), "idTag": TAG})
            assert (await knock(gateway.port, "/ocpp/C?password=" + WRONG))[0] == 400
        for header in (basic("A", WRONG), f"Bearer {WRONG}"):
            await knock(gateway.port, "/ocpp/A", headers={"Authorization": header})
        assert await waiting(gateway) > 0
        said = await everything_said(gateway, children)
        secrets = [PASSWORD, WRONG, NEW_16, NEW_2X, *old.values(), basic("A", WRONG)]
        secrets += [secret.removeprefix("Basic ") for secret in old.values()]
        hits = [(where, secret) for where, text in said.items() for secret in secrets if secret in text]
        assert hits == []
        assert [where for where, text in said.items() if TAG in text] == [], "card ids are masked in lists"
        for path in gateway.store.iterdir():
            if path.is_file():
                data = content(path)
                assert not [secret for secret in secrets if secret.encode() in data], path.name


def content(path: Path) -> bytes:
    """Of a file that may be gone meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


PATHS = [
    "health",
    "site",
    "chargers",
    "chargers/A",
    "chargers/B",
    "chargers/A/quarantine",
    "chargers/B/quarantine",
    "transactions",
    "queue",
    "queue/rows",
    "queue/rows?raw=true",
]
COMMANDS = ("status", "chargers", "transactions", "queue")


async def everything_said(gateway: GatewayProcess, children: Children) -> dict[str, str]:
    said = {path: json.dumps(await ask(gateway, f"/v1/{path}")) for path in PATHS}
    for command in COMMANDS:
        words = (sys.executable, "-m", "edgegw", command, "--config", str(gateway.config))
        for form in ((), ("--json",)):
            child = await children.start(f"cli-{command}", *words, *form)
            assert await child.ended() == 0, child.log
            said[" ".join(("edgegw", command, *form))] = "\n".join(child.lines) + child.log
    said["the log"] = gateway.log
    return said
