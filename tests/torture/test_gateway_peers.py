"""Half-open peers are found, and a thousand connections leave nothing behind (fault 32, R11)."""

from __future__ import annotations

from pathlib import Path

from edgegw.sim.cloud import SimCloud
from tests.e2e.children import Children
from tests.e2e.faults import ask, charger, dial, until
from tests.e2e.gateway import GatewayProcess
from tests.links.chaos import UP, ChaosProxy
from tests.torture.cycles import cycle
from tests.torture.fuzz import open_files, rss_kib

PINGS = {"chargers": {"ping_interval": "1 s"}, "cloud": {"ping_interval": "1 s", "connect_timeout": "2 s"}}
SPARE_FILES = 20  # those that are opened now and then; a leak would be a thousand
FOUND_WITHIN_S = 90.0  # by design 2 pings and 5 s: 7 s here, 45 s as delivered


async def test_fault_32_half_open_connections_are_found(tmp_path: Path) -> None:
    """A charger's first, then the cloud's; both go on as soon as the line is good again."""
    children = Children(tmp_path)
    try:
        async with SimCloud() as cloud, ChaosProxy(cloud.port) as cloud_line:
            url = cloud.url.replace(str(cloud.port), str(cloud_line.port))
            gateway = GatewayProcess(children, tmp_path, cloud=url, settings=PINGS)
            await gateway.start()
            async with ChaosProxy(gateway.port) as line, charger(gateway, "GOOD") as good:
                first = await dial(gateway, "CP1", port=line.port)
                await first.boot()
                await answered_a_ping(line)
                line.freeze()
                await until(lambda: _is(gateway, "CP1", connected=False), FOUND_WITHIN_S)
                # A charger that is gone has no cloud connection; the close frame needs a moment on its way.
                await until(lambda: "CP1" not in cloud.connections)
                assert not good.closed
                line.thaw()
                line.reset()
                await first.close()
                cloud_line.freeze()
                await until(lambda: _is(gateway, "GOOD", up=False), FOUND_WITHIN_S)
                assert (await good.call("Heartbeat", {}))[0] == 3, "served here"
                cloud_line.thaw()
                await until(lambda: _is(gateway, "GOOD", up=True), FOUND_WITHIN_S)
                assert not good.closed
            await gateway.close()
    finally:
        await children.close()


async def answered_a_ping(line: ChaosProxy) -> None:
    """Until the charger, which says nothing by itself now, has sent a pong."""
    before = line.bytes_passed[UP]
    await until(lambda: line.bytes_passed[UP] > before)


async def _is(
    gateway: GatewayProcess, identity: str, *, connected: bool | None = None, up: bool | None = None
) -> bool:
    view = await ask(gateway, f"/v1/chargers/{identity}")
    return connected in (None, view["connected"]) and up in (None, view["cloud"]["up"])


async def test_a_thousand_connections_leave_nothing_behind(tmp_path: Path) -> None:
    children = Children(tmp_path)
    try:
        async with SimCloud(keep=False) as cloud:
            gateway = GatewayProcess(children, tmp_path, cloud=cloud.url)
            await gateway.start()
            await cycle(gateway, rounds=5)
            await until(lambda: not cloud.connections)
            files, memory = open_files(gateway.pid), rss_kib(gateway.pid)
            await cycle(gateway, rounds=50)
            await until(lambda: not cloud.connections)
            await until(lambda: open_files(gateway.pid) <= files + SPARE_FILES)
            assert len((await ask(gateway, "/v1/chargers"))["chargers"]) == 20
            assert rss_kib(gateway.pid) - memory < 10 * 1024
            await gateway.close()
    finally:
        await children.close()
