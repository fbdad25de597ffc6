"""Alarms over the local API: the list, the catalogue, and that somebody has seen them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edgegw.control.client import ControlClient, Refused
from tests.alarms.scene import RULES, Scene
from tests.control.house import Api, House


@pytest.fixture
async def scene(tmp_path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path, has_api=True)
    await scene.start(tcp=True)
    yield scene
    await scene.stop()


@pytest.fixture
async def alarms(scene: Scene) -> AsyncIterator[Api]:
    async with scene.http() as http:
        yield await Api.of(http)


async def three_alarms(scene: Scene) -> None:
    """One that is on and worst, one that is on, one that is over and waits to be seen."""
    scene.gateway.site_noticed("store_corrupt", "3 rows could not be read")
    await scene.passes(70)
    scene.store.broken = scene.broker.taken_over = True
    await scene.passes(2)


async def test_the_worst_comes_first_with_what_to_do(scene: Scene, alarms: Api):
    await three_alarms(scene)
    found = await alarms.get("/v1/alarms")
    assert [(a["id"], a["severity"], a["state"]) for a in found["alarms"]] == [
        ("store-broken", "critical", "active"),
        ("broker-taken-over", "error", "active"),
        ("store-damaged", "error", "cleared"),
    ]
    assert (found["active"], found["unacknowledged"], found["worst"]) == (2, 3, "critical")
    worst, _, over = found["alarms"]
    assert worst["todo"] == RULES["store_broken"].todo
    assert (worst["count"], worst["target"], worst["cleared_at"], worst["latched"]) == (1, "", None, True)
    assert over["cleared_at"] > over["since"]


async def test_only_what_is_asked_for(scene: Scene, alarms: Api):
    await three_alarms(scene)

    async def ids(**asked: str) -> list[str]:
        found = await alarms.get("/v1/alarms", params=asked)
        assert found["active"] == 2  # of the whole site
        return [alarm["id"] for alarm in found["alarms"]]

    assert await ids(state="cleared") == ["store-damaged"]
    assert await ids(severity="critical") == ["store-broken"]
    assert await ids(state="active", severity="error") == ["store-broken", "broker-taken-over"]
    await alarms.get("/v1/alarms", params={"state": "asleep"}, status=422)
    await alarms.get("/v1/alarms", params={"severity": "awful"}, status=422)


async def test_an_alarm_is_acknowledged_and_one_that_is_over_leaves(scene: Scene, alarms: Api):
    await three_alarms(scene)
    done = await alarms.post("/v1/alarms/acknowledge", {"id": "broker-taken-over", "by": "Jo"})
    assert [(a["id"], a["acknowledged_by"]) for a in done["alarms"]] == [("broker-taken-over", "Jo")]
    assert done["alarms"][0]["acknowledged_at"]
    done = await alarms.post("/v1/alarms/acknowledge", {"all": True})
    assert [a["id"] for a in done["alarms"]] == ["store-broken", "store-damaged"]
    assert done["alarms"][0]["acknowledged_by"] == "the control socket"
    found = await alarms.get("/v1/alarms")
    assert [a["id"] for a in found["alarms"]] == ["store-broken", "broker-taken-over"]
    assert found["unacknowledged"] == 0
    assert (await alarms.post("/v1/alarms/acknowledge", {"all": True})) == {"alarms": []}


async def test_what_cannot_be_acknowledged_is_told(scene: Scene, alarms: Api):
    await three_alarms(scene)
    refused = await alarms.post("/v1/alarms/acknowledge", {"id": "store-brokn"}, status=404)
    assert refused["error"]["code"] == "no_such_alarm"
    assert "there are store-broken" in refused["error"]["text"]
    for order in ({}, {"id": "store-broken", "all": True}):
        refused = await alarms.post("/v1/alarms/acknowledge", order, status=422)
        assert refused["error"]["code"] == "id_or_all"
    for order in ({"id": ""}, {"id": 7}, {"all": True, "by": "x" * 65}, {"id": "x", "more": 1}, [], "x"):
        await alarms.post("/v1/alarms/acknowledge", order, status=422)
    assert len(scene.watch.alarms) == 3


async def test_the_catalogue_says_when_an_alarm_comes_and_goes(alarms: Api):
    found = await alarms.get("/v1/alarms/catalogue")
    assert [rule["code"] for rule in found["alarms"]] == list(RULES)
    silent = next(rule for rule in found["alarms"] if rule["code"] == "charger_silent")
    assert (silent["raise_after_s"], silent["subject"], silent["latched"]) == (300.0, "charger", False)


async def test_a_box_that_looks_for_no_alarms_has_none(house: House, api: Api):
    found = await api.get("/v1/alarms")
    assert found == {"alarms": [], "active": 0, "unacknowledged": 0, "worst": None}
    assert (await api.get("/v1/alarms/catalogue")) == {"alarms": []}
    assert (await api.post("/v1/alarms/acknowledge", {"all": True})) == {"alarms": []}
    await api.post("/v1/alarms/acknowledge", {"id": "x"}, status=404)


async def test_the_port_wants_its_token(scene: Scene):
    async with scene.tcp(None) as http:
        for answer in (
            await http.get("/v1/alarms"),
            await http.get("/v1/alarms/catalogue"),
            await http.post("/v1/alarms/acknowledge", json={"all": True}),
        ):
            assert answer.status_code == 401


async def test_the_client_asks_and_acknowledges(scene: Scene):
    await three_alarms(scene)

    def ask() -> None:
        with ControlClient(scene.socket) as client:
            assert client.alarms().worst == "critical"
            (over,) = client.alarms(state="cleared", severity="error").alarms
            assert over.id == "store-damaged"
            assert len(client.alarm_catalogue().alarms) == len(RULES)
            (seen,) = client.acknowledge("store-broken", by="Jo").alarms
            assert (seen.acknowledged, seen.acknowledged_by) == (True, "Jo")
            assert len(client.acknowledge().alarms) == 2
            with pytest.raises(Refused, match="it may be over"):
                client.acknowledge("zzz")

    await asyncio.to_thread(ask)
