"""A house per test, closed behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.control.house import Api, House, patient


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch)


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[House]:
    house = House(tmp_path, known=frozenset({"CP-1", "CP-9"}))
    await house.start(tcp=True)
    yield house
    await house.stop()


@pytest.fixture
async def api(house: House) -> AsyncIterator[Api]:
    async with house.http() as http:
        yield await Api.of(http)
