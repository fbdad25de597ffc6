"""Fixtures of the simulator's tests: habits of a charger in a hurry, and a run whose ledgers agree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from edgegw.sim.charger import SimCharger
from edgegw.sim.cloud import SimCloud
from edgegw.sim.habits import Habits
from tests.sim.file_servers import FtpServer, Origin


def _quick(**changes: Any) -> Habits:
    hurry: dict[str, Any] = {
        "meter_interval_s": 0.005,
        "backoff_min_s": 0.01,
        "backoff_max_s": 0.05,
        "retry_interval_s": 0.01,
        "message_timeout_s": 30.0,
        "heartbeat_s": 0.0,
        "boot_retry_s": 0.01,
    }
    return Habits(**{**hurry, **changes})


@pytest.fixture
def quick() -> Callable[..., Habits]:
    """Habits with times of a few milliseconds; keywords change them."""
    return _quick


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[SimCloud]:
    async with SimCloud(ledger=tmp_path / "cloud.jsonl") as running:
        yield running


@pytest.fixture(scope="session")
def agreeing_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with cloud.jsonl and the ledgers of three chargers, two transactions each."""
    directory = tmp_path_factory.mktemp("run")

    async def run() -> None:
        async with SimCloud(ledger=directory / "cloud.jsonl") as cloud:
            for name, version in (("CP1", "1.6"), ("CP2", "1.6"), ("CP3", "2.1")):
                habits = _quick(engine="own", spaced=name == "CP2", signed=True)
                path = directory / f"{name}.jsonl"
                async with SimCharger(name, version, cloud.url, ledger=path, habits=habits) as charger:
                    await charger.wait_online()
                    await charger.charge(samples=2)
                    await charger.charge(samples=2)
                    await charger.drained()

    asyncio.run(run())
    return directory


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """The folder that origin and ftp serve."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
async def origin(shelf: Path) -> AsyncIterator[Origin]:
    async with Origin(shelf) as server:
        yield server


@pytest.fixture
async def ftp(shelf: Path) -> AsyncIterator[FtpServer]:
    async with FtpServer(shelf) as server:
        yield server
