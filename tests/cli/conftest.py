"""A running gateway and the command line beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from click.testing import CliRunner, Result

from edgegw.cli import edgegw
from edgegw.cli.asking import Asking
from tests.control.house import DEADLINE_S, House, patient


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch)
    monkeypatch.setattr(Asking.client, "__defaults__", (DEADLINE_S,))


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[House]:
    house = House(tmp_path)
    await house.start(tcp=True)
    yield house
    await house.stop()


class Shell:
    """Runs `edgegw ARGUMENTS` in a thread, so that the gateway can answer meanwhile."""

    def __init__(self, house: House) -> None:
        self._socket = str(house.socket)

    async def __call__(self, *arguments: str, code: int = 0, stdin: str | None = None) -> Result:
        told = [*arguments, "--socket", self._socket]
        result = await asyncio.to_thread(CliRunner().invoke, edgegw, told, input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    async def json(self, *arguments: str, code: int = 0) -> dict:
        result = await self(*arguments, "--json", code=code)
        assert result.stderr == ""
        return json.loads(result.stdout)


@pytest.fixture
def shell(house: House) -> Callable[..., Awaitable[Result]]:
    return Shell(house)
