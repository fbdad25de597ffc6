"""Chargers are let in and connectors wired while the gateway runs, by the rules of the site file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edgegw.cli.wiring import toml_of
from edgegw.control.wiring_models import WiringList
from edgegw.runtime.ports import Admitted, Refused
from edgegw.runtime.strangers import PER_ADDRESS_MAX, STRANGERS_MAX
from tests.control.house import DEADLINE_S
from tests.control.wired_house import WIRED, WiredHouse
from tests.links.house import eventually


@pytest.fixture
async def site(tmp_path) -> AsyncIterator[WiredHouse]:
    house = WiredHouse(tmp_path)
    await house.start()
    yield house
    await house.stop()


# --- at the door --------------------------------------------------------------------------------------


async def test_a_stranger_is_listed_accepted_kept_and_taken_back(site: WiredHouse):
    assert isinstance(await site.knocks("CP-7", offers=("ocpp2.0.1", "ocpp1.6")), Refused)
    await site.knocks("CP-7", offers=("ocpp1.6", "\x1b[31mred" + "x" * 60))
    (stranger,) = (await site.http.get("/v1/strangers")).json()["strangers"]
    assert (stranger["identity"], stranger["times"], stranger["peer"]) == ("CP-7", 2, "192.0.2.7")
    assert stranger["offered"][0] == "ocpp1.6"
    assert "\x1b" not in stranger["offered"][1]
    assert len(stranger["offered"][1]) < 60

    accepted = await site.accept("CP-7")
    assert (accepted["identity"], accepted["source"]) == ("CP-7", "accepted")
    assert (await site.http.get("/v1/strangers")).json()["strangers"] == []
    assert "CP-7" in [one["identity"] for one in (await site.http.get("/v1/chargers")).json()["chargers"]]
    assert isinstance(await site.knocks("CP-7"), Admitted)

    await site.again()
    charger = await site.boots("CP-7")
    gone = await site.http.delete("/v1/chargers/CP-7/accept")
    assert gone.json()["source"] == "taken back"
    assert not charger.wire.open
    assert isinstance(await site.knocks("CP-7"), Refused)
    await site.again()  # although the store knows it well
    assert isinstance(await site.knocks("CP-7"), Refused)
    assert (await site.http.delete("/v1/chargers/CP-7/accept")).status_code == 404


async def test_what_the_site_file_names_needs_no_accepting_and_cannot_be_taken_back(site: WiredHouse):
    assert (await site.accept("CP-1", status=409))["error"]["code"] == "known"
    assert (await site.http.delete("/v1/chargers/CP-1/accept")).status_code == 404
    await site.accept("CP 7%00", status=422)
    await site.accept("..", status=404)  # of the path


async def test_who_charges_or_is_wired_is_not_turned_out(site: WiredHouse):
    await site.accept("CP-7")
    charger = await site.boots("CP-7")
    start = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-11-20T10:00:00Z"}
    started = await charger.asks("StartTransaction", start)
    assert (await site.http.delete("/v1/chargers/CP-7/accept")).json()["error"]["code"] == "charging"
    stop = {"transactionId": started["transactionId"], "meterStop": 9, "timestamp": "2026-11-20T11:00:00Z"}
    await charger.asks("StopTransaction", stop)
    await charger.status("Available")
    await site.wire("CP-7")
    assert (await site.http.delete("/v1/chargers/CP-7/accept")).json()["error"]["code"] == "wired"
    await site.unwire("CP-7")
    assert (await site.http.delete("/v1/chargers/CP-7/accept")).status_code == 200


async def test_a_flood_of_made_up_identities_hides_no_charger(site: WiredHouse):
    for _ in range(3):
        await site.knocks("CP-7", peer="192.0.2.9")
    for number in range(STRANGERS_MAX * 2):
        await site.knocks(f"X{number}", peer=f"192.0.2.{100 + number % 2}")
    listed = (await site.http.get("/v1/strangers")).json()["strangers"]
    assert len(listed) == 2 * PER_ADDRESS_MAX + 1
    assert "CP-7" in [one["identity"] for one in listed]


# --- wiring -------------------------------------------------------------------------------------------


async def test_a_connector_is_wired_and_steered_at_once_and_after_a_restart(site: WiredHouse):
    await site.accept("CP-7")
    charger = await site.boots("CP-7")
    await charger.status("Available")
    assert charger.profiles == []
    wired = await site.wire("CP-7", phases="L2 L3 L1", max_a=16, safe_a=7)
    assert (wired["source"], wired["phases"], wired["max_a"]) == ("commissioned", "L2 L3 L1", 16.0)
    await asyncio.wait_for(charger.takes(1), DEADLINE_S)
    assert await charger.limits_within() == 7
    await eventually(lambda: site.load.control.allocation.grants["CP-7/1"].limit_a == 7.0)
    await site.again()
    found = await site.wiring()
    assert found["CP-7/1"]["source"] == "commissioned"
    assert found["CP-1/1"]["source"] == "site file"
    assert (await site.connector("CP-7/1"))["safe_a"] == 7.0


async def test_a_site_without_any_connector_takes_its_first_one(tmp_path):
    house = WiredHouse(tmp_path, more="")
    await house.start()
    try:
        assert (await house.http.get("/v1/power")).json()["balanced"] is False
        charger = await house.boots("CP-1")
        await house.wire("CP-1")
        await asyncio.wait_for(charger.takes(1), DEADLINE_S)
        assert (await house.http.get("/v1/power")).json()["balanced"] is True
    finally:
        await house.stop()


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"circuit": "barn"}, 'there is no [[circuit]] named "barn"'),
        ({"phases": "L1 L4"}, "must name grid phases in the order of the terminals"),
        ({"phases": "L1 L1"}, "must name grid phases in the order of the terminals"),
        ({"min_a": 5}, "must be at least 6: a car cannot be told less (IEC 61851-1)"),
        ({"max_a": 5}, "must be at least min (6)"),
        ({"safe_a": 3}, "must be 0, or between min (6) and max (32)"),
        ({"safe_a": 16}, "circuit main, L1: the safe values of 2 connectors are 22 A together"),
        ({"dc": True}, "is required for a connector with dc = true"),
        ({"max_kw": 22}, "is for a connector with dc = true; give amps"),
    ],
)
async def test_what_the_site_file_would_be_refused_for_is_refused_in_its_words(
    site: WiredHouse, order: dict, words: str
):
    refused = await site.wire("CP-7", status=422, **order)
    assert words in refused["error"]["text"]
    assert "CP-7/1" not in await site.wiring()


async def test_hostile_orders_are_refused(site: WiredHouse):
    assert (
        await site.http.put("/v1/wiring/CP-7/1", json={"circuit": "main", "fuse_a": 9})
    ).status_code == 422
    assert (await site.http.put("/v1/wiring/CP%1b7/1", json={"circuit": "main"})).status_code == 422
    assert (await site.http.put("/v1/wiring/CP-7/0", json={"circuit": "main"})).status_code == 422
    assert (await site.http.put("/v1/wiring/CP-7/1", json={"circuit": "main", "dc": 1})).status_code == 422
    assert (await site.http.delete("/v1/wiring/CP%1b7/1")).status_code == 404


async def test_what_the_site_file_wires_is_the_site_files(site: WiredHouse):
    for refused in (await site.wire("CP-1", status=409), await site.unwire("CP-1", status=409)):
        assert refused["error"]["code"] == "site_file"
        assert "change its [[connector]] there" in refused["error"]["text"]


async def test_moved_into_the_site_file_it_is_superseded_without_a_fight(site: WiredHouse):
    await site.wire("CP-7", max_a=20)
    await site.again(WIRED + '[[connector]]\ncharger = "CP-7"\ncircuit = "main"\n')
    found = (await site.wiring())["CP-7/1"]
    assert (found["source"], found["circuit"], found["max_a"]) == ("site file", "main", 32.0)
    assert [n.kind for n in site.app.gateway.notices if n.kind.startswith("wiring")] == ["wiring_superseded"]
    await site.again(WIRED)  # its document is gone: nothing comes back
    assert "CP-7/1" not in await site.wiring()


async def test_a_site_file_that_leaves_no_room_sets_it_aside_and_says_so(site: WiredHouse):
    await site.wire("CP-7", safe_a=14)
    await site.again(WIRED.replace("circuit", "safe = 10\ncircuit"))
    found = (await site.wiring())["CP-7/1"]
    assert "more than its fuse of 40 A" in found["trouble"]
    assert "wiring_not_in_force" in [n.kind for n in site.app.gateway.notices]
    assert "CP-7" not in site.load.control.plan.wirings
    await site.again(WIRED)
    assert (await site.wiring())["CP-7/1"]["trouble"] == ""


async def test_a_car_keeps_what_it_has_while_others_are_wired(site: WiredHouse):
    charger = await site.boots("CP-1")
    await charger.takes(1)
    start = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-11-20T10:00:00Z"}
    await charger.status("Charging")
    await charger.asks("StartTransaction", start)
    connector = site.app.gateway.sessions["CP-1"].charger.state.power.connectors[1]
    car = site.load.control._balancer._by_id["CP-1/1"]
    standing = site.load.control.plugs({"CP-1": site.app.gateway.sessions["CP-1"].charger.state}, _now())[
        "CP-1/1"
    ].standing_a
    await site.wire("CP-0")  # sorts before it: every index moves
    assert site.load.control._balancer._by_id["CP-1/1"] is car
    assert site.load.control._balancer.cars[car.index] is car
    assert site.app.gateway.sessions["CP-1"].charger.state.power.connectors[1] is connector
    assert (
        standing
        == site.load.control.plugs({"CP-1": site.app.gateway.sessions["CP-1"].charger.state}, _now())[
            "CP-1/1"
        ].standing_a
    )


async def test_a_connector_leaves_without_a_car_only_and_stays_counted_for_a_while(site: WiredHouse):
    await site.accept("CP-7")
    charger = await site.boots("CP-7")
    await site.wire("CP-7", safe_a=7)
    await charger.takes(1)
    await charger.status("Charging")
    refused = await site.unwire("CP-7", status=409)
    assert "a car is connected" in refused["error"]["text"]
    await charger.status("Available")
    await site.unwire("CP-7")
    granted = {one.name: one.granted_a for one in site.load.control.allocation.circuits}
    never_here = 32.0  # CP-1 has not connected yet
    assert granted["garage"] == (never_here + 7.0,) * 3
    assert site.app.gateway.sessions["CP-7"].charger.state.power.connectors == {}
    site.load.control._leavers._known = {
        name: leaver.__class__(leaver.connector, leaver.amps, 0.0)
        for name, leaver in site.load.control._leavers._known.items()
    }
    site.load.step()
    granted = {one.name: one.granted_a for one in site.load.control.allocation.circuits}
    assert granted["garage"] == (never_here,) * 3


def _now():
    from edgegw.runtime import clock

    return clock.now()


async def test_what_is_printed_can_be_moved_into_the_site_file(site: WiredHouse):
    await site.wire("CP-7", connector=2, phases="L3", max_a=16, safe_a=0)
    await site.wire("CP-8", circuit="main", dc=True, max_kw=6, safe_kw=1.5)
    listed = WiringList.model_validate((await site.http.get("/v1/wiring")).json())
    tables = "\n".join(toml_of(one) for one in listed.wiring if one.source == "commissioned")
    await site.again(WIRED + tables)
    found = await site.wiring()
    assert {name: one["source"] for name, one in found.items()} == dict.fromkeys(found, "site file")
    assert (found["CP-7/2"]["phases"], found["CP-7/2"]["safe_a"]) == ("L3", 0.0)
    assert (found["CP-8/1"]["max_kw"], found["CP-8/1"]["safe_kw"]) == (6.0, 1.5)


# --- seeing it fall back --------------------------------------------------------------------------------


async def test_a_limit_is_let_run_out_only_where_that_shows_something(site: WiredHouse):
    assert (await site.http.post("/v1/wiring/CP-9/1/fallback")).status_code == 409
    charger = await site.boots("CP-1")
    await charger.takes(1)
    refused = await site.http.post("/v1/wiring/CP-1/1/fallback")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "nothing_to_end")
    power = site.app.gateway.sessions["CP-1"].charger.state.power.connectors[1]
    await eventually(lambda: power.safe_accepted_a == 6.0)
    power.accepted_a, power.expires_at = 16.0, _now().mono + 40.0  # as when a car had charged
    let = (await site.http.post("/v1/wiring/CP-1/1/fallback")).json()
    assert (let["limit_a"], let["safe_a"]) == (16.0, 6.0)
    assert 30.0 < let["falls_in_s"] <= 40.0 < let["renewed_in_s"]
    ended = (await site.http.delete("/v1/wiring/CP-1/1/fallback")).json()
    assert ended["renewed_in_s"] == 0.0
