"""The demo's own mosquitto: there when it is said to be, gone with whoever started it."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from edgegw.sim import broker
from edgegw.sim.broker import Broker, BrokerFault
from edgegw.sim.demo_mqtt import BuildingFault, BuildingSystem, topic_root
from tests.e2e.children import ending

STARTS_ONE_AND_WAITS = """
import asyncio, sys
from pathlib import Path
from edgegw.sim.broker import Broker
async def main():
    async with await Broker.start(Path(sys.argv[1])) as broker:
        print(broker.port, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def is_there(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_it_accepts_connections_until_it_is_stopped(tmp_path: Path):
    async with await Broker.start(tmp_path) as one, await Broker.start(tmp_path) as other:
        assert one.port != other.port
        assert await is_there(one.port)
        assert await is_there(other.port)
    assert not await is_there(one.port)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
async def test_it_ends_with_who_started_it(tmp_path: Path, number: signal.Signals):
    starter = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTS_ONE_AND_WAITS, str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert starter.stdout is not None
    async with ending(starter):
        port = int(await asyncio.wait_for(starter.stdout.readline(), 30))
        assert await is_there(port)
        starter.send_signal(number)
        await starter.communicate()
    async with asyncio.timeout(30):
        while await is_there(port):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_one_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(broker, "_SETTINGS", "listener {port} 127.0.0.1\nno_such_setting true\n")
    with pytest.raises(BrokerFault, match=r"does not start: .*no_such_setting"):
        await Broker.start(tmp_path)


async def test_a_gateway_that_publishes_nothing_is_a_clear_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("edgegw.sim.demo_mqtt.ONLINE_WITHIN_S", 0.2)
    root = topic_root("edgegw", "Site_1")
    async with await Broker.start(tmp_path) as line, BuildingSystem(line.port, root) as building:
        with pytest.raises(BuildingFault, match=r"edgegw/1/site-1/status says nothing after 0.2 s"):
            await building.gateway_is_online()
