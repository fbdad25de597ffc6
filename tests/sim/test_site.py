"""A whole site: seeded, killed with -9, and still its ledgers agree with the cloud's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgegw.sim.audit import audit, table
from edgegw.sim.cloud import SimCloud
from edgegw.sim.habits import Habits
from edgegw.sim.lines import start_chargers
from edgegw.sim.site import SimSite, Traffic

Quick = Callable[..., Habits]
BUSY = Traffic(pause_s=0.02, samples=(1, 3))
LINES = ("--pause", "0.05", "--meter-interval", "0.01", "--backoff", "0.02", "--retry-interval", "0.02")


async def test_a_busy_site_over_an_outage(cloud: SimCloud, tmp_path: Path, quick: Quick):
    directory = tmp_path / "site"
    async with SimSite(cloud.url, 6, directory=directory, seed=3, habits=quick(), traffic=BUSY) as site:
        await site.wait_for(lambda: site.transactions >= 6)
        await cloud.cut()
        await site.wait_for(lambda: site.transactions >= 12)
        await site.chargers["CP01"].reboot()
        await cloud.restore()
        await site.wait_for(lambda: site.online() == 6)
        await site.finish()
    verdict = audit([directory], tmp_path / "cloud.jsonl", complete=True)
    assert verdict.holds, table(verdict)
    assert verdict.facts["transactions"] >= 12


def test_the_same_seed_gives_the_same_site():
    one, other = (SimSite("ws://127.0.0.1:1", 12, seed=5) for _ in range(2))
    assert [c.habits for c in one.chargers.values()] == [c.habits for c in other.chargers.values()]
    assert {c.version for c in one.chargers.values()} == {"ocpp1.6", "ocpp2.0.1", "ocpp2.1"}
    assert {c.habits.id_style for c in one.chargers.values()} == {"uuid", "counter"}
    numbers = [[c.rng.random() for c in site.chargers.values()] for site in (one, other)]
    assert numbers[0] == numbers[1]


async def test_a_site_process_that_is_killed_goes_on_from_its_memory(cloud: SimCloud, tmp_path: Path):
    directory = tmp_path / "site"
    arguments = ("--url", cloud.url, "--count", "3", "--ledger", str(directory), *LINES)
    async with await start_chargers(*arguments) as first:
        await first.wait_event("sample", count=10)
        await first.kill()
    async with await start_chargers(*arguments, "--seed", "2") as second:
        await second.wait_event("stopped", count=3)
        answer = await second.command("finish 60", timeout_s=90)
        assert answer["ok"], answer
        status = await second.command("status")
        assert (status["waiting"], status["charging"]) == (0, 0)
        assert await second.stop() == 0
    verdict = audit([directory], tmp_path / "cloud.jsonl", complete=True)
    assert verdict.holds, table(verdict)
    assert verdict.facts["transactions"] >= 3


async def test_a_site_process_obeys_its_lines(cloud: SimCloud, tmp_path: Path):
    async with await start_chargers("--url", cloud.url, "--count", "1", "--no-cars", *LINES) as process:
        await process.wait_event("online")
        assert (await process.command("start CP01 1 TAG1"))["ok"]
        await process.wait_event("sample", count=2)
        assert (await process.command("stop CP01 1"))["ok"]
        await process.wait_event("stopped")
        assert (await process.command("reboot CP01"))["ok"]
        await process.wait_event("booted", count=2)
        assert not (await process.command("reboot CP99"))["ok"]
        assert not (await process.command("nonsense"))["ok"]
    assert len(cloud.calls("BootNotification")) == 2
