"""Who may draw what, over the local API: what is shown, what may be ordered, what lives on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.control.house import GARAGE, House


@pytest.fixture
async def garage(tmp_path) -> AsyncIterator[House]:
    house = House(tmp_path, plan=GARAGE)
    await house.start()
    yield house
    await house.stop()


@pytest.fixture
async def http(garage: House) -> AsyncIterator[httpx.AsyncClient]:
    async with garage.http() as http:
        yield http


async def test_a_box_that_balances_nothing_says_so(house: House):
    async with house.http() as http:
        found = (await http.get("/v1/power")).json()
        assert found["balanced"] is False
        assert found["connectors"] == found["circuits"] == []
        refused = await http.post("/v1/limits", json={"circuit": "main", "limit_a": 10})
        assert refused.status_code == 409
        assert "no [[circuit]]" in refused.json()["error"]["text"]


async def test_circuits_meters_and_connectors_are_shown(garage: House, http: httpx.AsyncClient):
    charger = await garage.boots("CP-1")
    garage.reads(10.0, 11.0, 12.0)
    found = (await http.get("/v1/power")).json()
    main, below = found["circuits"]
    assert (main["name"], main["fuse_a"], main["measured_a"]) == ("main", 63.0, [10.0, 11.0, 12.0])
    assert (below["parent"], below["measured_a"], below["reading_age_s"]) == ("main", [None] * 3, None)
    assert found["meters"][0]["current_a"] == [10.0, 11.0, 12.0]
    assert found["meters"][0]["trouble"] == ""
    first, second = found["connectors"]
    assert (first["charger"], first["connector"], first["circuit"]) == ("CP-1", 1, "garage")
    assert second["fault"] == "has never connected"
    assert first["why"]
    assert charger.open


async def test_a_meter_that_never_answered_is_trouble(garage: House, http: httpx.AsyncClient):
    found = (await http.get("/v1/power")).json()
    assert found["meters"] == [
        {
            "name": "grid",
            "current_a": [None] * 3,
            "voltage_v": [None] * 3,
            "power_w": None,
            "age_s": None,
            "trouble": "has not answered yet",
        }
    ]


async def test_a_limit_is_set_acted_on_shown_and_cleared(garage: House, http: httpx.AsyncClient):
    garage.reads(0.0, 0.0, 0.0)
    order = {"circuit": "garage", "limit_a": 16, "source": "building", "for_s": 60}
    found = (await http.post("/v1/limits", json=order)).json()
    (limit,) = found["limits"]
    assert (limit["source"], limit["circuit"], limit["limit_a"]) == ("building", "garage", [16.0] * 3)
    assert limit["until"] is not None
    below = found["circuits"][1]
    assert (below["limit_a"], below["limit_source"]) == ([16.0] * 3, "building")
    cleared = await http.delete("/v1/limits", params={"source": "building"})
    assert cleared.json() == {"cleared": 1}
    assert (await http.get("/v1/power")).json()["limits"] == []


async def test_a_limit_that_is_not_renewed_falls_back_and_is_shown_so(garage: House, http: httpx.AsyncClient):
    order = {
        "circuit": "garage",
        "limit_a": 16,
        "source": "bms",
        "priority": 10,
        "for_s": 60,
        "fallback_a": 8,
    }
    (limit,) = (await http.post("/v1/limits", json=order)).json()["limits"]
    assert (limit["priority"], limit["fallback_a"], limit["state"]) == (10, 8.0, "holds")
    garage.load.control.limits.clock_stepped(-60.0)  # its time is over
    garage.load.step()
    (limit,) = (await http.get("/v1/power")).json()["limits"]
    assert (limit["limit_a"], limit["state"]) == ([8.0] * 3, "fallback")
    assert [notice.kind for notice in garage.gateway.notices][-1] == "limit_expired"
    (limit,) = (await http.post("/v1/limits", json=order)).json()["limits"]
    assert (limit["limit_a"], limit["state"]) == ([16.0] * 3, "holds")
    assert [notice.kind for notice in garage.gateway.notices][-1] == "limit_expired_over"


async def test_a_limit_in_watts_is_one_for_all_phases(garage: House, http: httpx.AsyncClient):
    found = (await http.post("/v1/limits", json={"limit_w": 6900, "chargers_only": True})).json()
    (limit,) = found["limits"]
    assert (limit["circuit"], limit["limit_a"], limit["asked_w"]) == ("main", [10.0] * 3, 6900.0)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"circuit": "attic", "limit_a": 10}, 'there is no circuit "attic"; there are: garage, main'),
        ({"circuit": "main"}, "give limit_a or limit_w"),
        ({"circuit": "main", "limit_a": 10, "limit_w": 10}, "give limit_a or limit_w"),
        ({"circuit": "main", "limit_a": -1}, "greater than or equal to 0"),
        ({"circuit": "main", "limit_a": "lots"}, "valid number"),
        ({"circuit": "main", "limit_a": 10, "for_s": 0}, "greater than 0"),
        ({"circuit": "main", "limit_a": 10, "fallback_a": 5}, "fallback_a needs for_s"),
        ({"circuit": "main", "limit_a": 10, "for_s": 9, "fallback_a": -1}, "greater than or equal to 0"),
        ({"circuit": "main", "limit_a": 10, "priority": 101}, "less than or equal to 100"),
        ({"circuit": "main", "limit_a": 10, "priority": 1.5}, "valid integer"),
        ({"circuit": "main", "limit_a": 10, "source": ""}, "at least 1 character"),
        ({"circuit": "main", "limit_a": 10, "floor_14a": True}, "set chargers_only"),
        ({"circuit": "main", "limit_a": 10, "amps": 10}, "Extra inputs are not permitted"),
        ({"circuit": "main", "limit_a": True}, "valid number"),
        ({"circuit": "main", "limit_a": 10, "for_s": True}, "valid number"),
    ],
)
async def test_a_wrong_order_changes_nothing_and_says_why(
    http: httpx.AsyncClient, order: dict[str, object], words: str
):
    refused = await http.post("/v1/limits", json=order)
    assert refused.status_code == 422
    assert words in refused.json()["error"]["text"]
    assert (await http.get("/v1/power")).json()["limits"] == []


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ({"circuit": "attic"}, 'there is no circuit "attic"; there are: main, garage'),
        ({"circiut": "main"}, "Extra inputs are not permitted"),
    ],
)
async def test_a_wrong_name_clears_nothing(http: httpx.AsyncClient, which: dict[str, str], words: str):
    await http.post("/v1/limits", json={"circuit": "main", "limit_a": 10})
    refused = await http.delete("/v1/limits", params=which)
    assert refused.status_code == 422, refused.text
    assert words in refused.json()["error"]["text"]
    assert len((await http.get("/v1/power")).json()["limits"]) == 1


@pytest.mark.parametrize("body", [b'{"circuit": "main", "limit_a": NaN}', b'{"limit_a": 1e999}', b"[", b"5"])
async def test_what_is_no_number_is_no_limit(http: httpx.AsyncClient, body: bytes):
    headers = {"content-type": "application/json"}
    refused = await http.post("/v1/limits", content=body, headers=headers)
    assert refused.status_code == 422, refused.text
    assert (await http.get("/v1/power")).json()["limits"] == []


async def test_a_limit_lives_over_a_restart(tmp_path):
    house = House(tmp_path, plan=GARAGE)
    await house.start()
    async with house.http() as http:
        await http.post("/v1/limits", json={"circuit": "garage", "limit_a": 16})
    await house.all_is_stored()
    await house.stop()
    again = House(tmp_path, plan=GARAGE)
    await again.start()
    async with again.http() as http:
        (limit,) = (await http.get("/v1/power")).json()["limits"]
    await again.stop()
    assert limit["limit_a"] == [16.0] * 3
