"""`/healthz` and `/readyz`: what an orchestrator may believe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edgegw.errors import StoreFault
from edgegw.store.journal import Journal
from tests.control.house import Api, House

OK = {"status": "ok", "reasons": []}


class Door:
    def __init__(self) -> None:
        self.is_open = True

    def __call__(self) -> bool:
        return self.is_open


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
async def house(tmp_path, door: Door) -> AsyncIterator[House]:
    house = House(tmp_path, door_is_open=door)
    await house.start(tcp=True)
    yield house
    await house.stop()


async def test_a_box_at_rest_lives_and_is_ready(api: Api):
    assert await api.get("/healthz") == OK
    assert await api.get("/readyz") == OK


async def test_probes_want_no_token_and_metrics_do(house: House):
    async with house.tcp(None) as stranger:
        codes = [(await stranger.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics")]
    assert codes == [200, 200, 401]
    async with house.tcp(house.token) as friend:
        assert (await friend.get("/metrics")).status_code == 200


async def test_a_cloud_that_is_away_makes_nobody_unready(house: House, api: Api):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    await house.starts(charger)
    assert (await api.get("/v1/health"))["status"] == "away"
    assert await api.get("/readyz") == OK


async def test_a_broken_store_wants_a_restart(house: House, api: Api, monkeypatch):
    monkeypatch.setattr(Journal, "broken", property(lambda _: True))
    for path in ("/healthz", "/readyz"):
        answer = await api.get(path, status=503)
        assert answer["status"] == "unavailable"
        assert "store is broken" in answer["reasons"][0]


async def test_a_store_that_fails_or_hangs_is_not_ready_and_lives(house: House, api: Api, monkeypatch):
    async def fails():
        raise StoreFault("gone")

    async def hangs():
        await asyncio.Event().wait()

    monkeypatch.setattr("edgegw.control.health.COUNTS_WITHIN_S", 0.01)
    monkeypatch.setattr("edgegw.control.health.COUNTS_KEPT_S", 0.0)
    for counts in (fails, hangs):
        monkeypatch.setattr(house.journal, "counts", counts)
        answer = await api.get("/readyz", status=503)
        assert answer["reasons"] == ["the store does not answer: check the disk"]
        assert await api.get("/healthz") == OK


async def test_a_door_that_is_shut_is_not_ready(api: Api, door: Door):
    door.is_open = False
    assert (await api.get("/readyz", status=503))["reasons"] == ["the chargers' door is not open"]
    assert await api.get("/healthz") == OK


async def test_a_box_that_stops_is_not_ready(house: House, api: Api):
    house.gateway.stopping = True
    assert "edgegw stops" in (await api.get("/readyz", status=503))["reasons"]
