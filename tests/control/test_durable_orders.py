"""An order that was answered is on the disk; one that the store cannot take says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import httpx
import pytest

from edgegw.core.records import StoreOp
from edgegw.errors import StoreFault, StoreFull, StoreUnknownOutcome
from edgegw.runtime import limits_kept
from edgegw.runtime.ports import Admitted
from tests.control import wired_house
from tests.control.wired_house import WiredHouse
from tests.links.house import eventually


class Disk:
    """Between the gateway and its store: commits can be held back, or fail."""

    def __init__(self, house: WiredHouse) -> None:
        self._through = house.app.journal.commit
        self.holds = False
        self.fault: StoreFault | None = None
        self.held: list[tuple[Sequence[StoreOp], asyncio.Future[None]]] = []
        house.app.journal.commit = self._commit  # type: ignore[method-assign]

    def _commit(self, ops: Sequence[StoreOp]) -> asyncio.Future[None]:
        if self.fault is None and not self.holds:
            return self._through(ops)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.fault is not None:
            done.set_exception(type(self.fault)(str(self.fault)))
        else:
            self.held.append((ops, done))
        return done

    async def writes(self) -> None:
        """What was held back, and from now on everything."""
        self.holds = False
        for ops, done in self.held:
            await self._through(ops)
            done.set_result(None)
        self.held.clear()


class Order(NamedTuple):
    method: str
    path: str
    body: dict | None = None
    at_once: bool = True  # in force before it is on the disk

    async def sent(self, http: httpx.AsyncClient) -> httpx.Response:
        return await http.request(self.method, self.path, json=self.body)


LIMIT = {"circuit": "garage", "limit_a": 10, "source": "dso"}
ORDERS = {
    "accept": Order("POST", "/v1/chargers/CP-8/accept", at_once=False),
    "take back": Order("DELETE", "/v1/chargers/CP-7/accept", at_once=False),
    "wire": Order("PUT", "/v1/wiring/CP-9/1", {"circuit": "garage", "safe_a": 0}, at_once=False),
    "bypass": Order("POST", "/v1/chargers/CP-1/bypass", {"for_s": 600}),
    "limit": Order("POST", "/v1/limits", LIMIT),
    "clear": Order("DELETE", "/v1/limits?source=ems"),
    "connector limit": Order("POST", "/v1/chargers/CP-1/limit", {"limit_a": 9, "for_s": 600}),
    "end connector limit": Order("DELETE", "/v1/chargers/CP-3/limit"),
    "unwire": Order("DELETE", "/v1/wiring/CP-3/1", at_once=False),
}


@pytest.fixture
async def site(tmp_path, monkeypatch) -> AsyncIterator[WiredHouse]:
    """CP-7 was accepted, CP-3 is wired and limited, a limit of "ems" holds, CP-1 is here and steered."""
    monkeypatch.setattr(wired_house, "SITE", wired_house.SITE.replace("fuse = 40", "fuse = 200"))
    house = WiredHouse(tmp_path)
    await house.start()
    try:
        await house.accept("CP-7")
        await house.wire("CP-3", safe_a=0)
        limited = await house.http.post("/v1/chargers/CP-3/limit", json={"limit_a": 9, "for_s": 600})
        assert limited.status_code == 200, limited.text
        ems = {"circuit": "garage", "limit_a": 190, "source": "ems"}
        assert (await house.http.post("/v1/limits", json=ems)).status_code == 200
        charger = await house.boots("CP-1")
        await charger.status("Available")
        await charger.takes(1)
        yield house
    finally:
        await house.stop()


async def picture(site: WiredHouse) -> dict:
    """What orders change, as the API shows it."""
    http = site.http
    power = (await http.get("/v1/power")).json()
    return {
        "strangers": (await http.get("/v1/strangers")).json(),
        "wiring": (await http.get("/v1/wiring")).json(),
        "limits": [(one["source"], one["limit_a"]) for one in power["limits"]],
        "orders": [(one["kind"], one["connector"]) for one in site.load.control.connector_orders.to_json()],
    }


async def test_an_order_is_answered_when_it_is_on_the_disk(site: WiredHouse):
    disk = Disk(site)
    for name, order in ORDERS.items():
        before = await picture(site)
        disk.holds = True
        asked = asyncio.ensure_future(order.sent(site.http))
        await eventually(lambda asked=asked: disk.held or asked.done())
        held = await picture(site)  # an answer that does not wait has time to come
        assert not asked.done(), name
        await disk.writes()
        answer = await asked
        assert answer.status_code == 200, f"{name}: {answer.text}"
        after = await picture(site)
        assert held == (after if order.at_once else before), name
        assert after != before, name


async def test_an_order_that_the_store_cannot_take_says_so(site: WiredHouse):
    disk = Disk(site)
    for name, order in ORDERS.items():
        before = await picture(site)
        disk.fault = StoreFull("nothing was written: database or disk is full")
        answer = await order.sent(site.http)
        disk.fault = None
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (503, "not_stored"), f"{name}: {answer.text}"
        assert "disk is full" in error["text"]
        assert ("nothing has changed" in error["text"]) is not order.at_once, name
        assert (await picture(site) != before) is order.at_once, name
        if not order.at_once:
            assert (await order.sent(site.http)).status_code == 200, name
            assert await picture(site) != before, name


async def test_an_order_of_unknown_fate_says_that(site: WiredHouse):
    disk = Disk(site)
    disk.fault = StoreUnknownOutcome("COMMIT failed: disk I/O error")
    answer = await ORDERS["accept"].sent(site.http)
    assert "not known" in answer.json()["error"]["text"]
    disk.fault = None
    assert (await ORDERS["accept"].sent(site.http)).status_code == 200


async def test_a_limit_that_could_not_be_stored_is_stored_later(site: WiredHouse, monkeypatch):
    disk = Disk(site)
    disk.fault = StoreFull("nothing was written: database or disk is full")
    monkeypatch.setattr(limits_kept, "AGAIN_S", 0.0)
    assert (await ORDERS["limit"].sent(site.http)).status_code == 503
    assert (await ORDERS["connector limit"].sent(site.http)).status_code == 503
    disk.fault = None
    site.load.step()
    await site.load.kept.on_disk()
    await site.again()
    limits = (await site.http.get("/v1/power")).json()["limits"]
    assert ("dso", [10.0] * 3) in [(one["source"], one["limit_a"]) for one in limits]
    assert len(site.load.control.connector_orders.to_json()) == 2


async def test_an_order_does_not_fail_for_another_that_could_not_be_stored(site: WiredHouse):
    disk = Disk(site)
    disk.fault = StoreFull("nothing was written: database or disk is full")
    assert (await ORDERS["connector limit"].sent(site.http)).status_code == 503
    disk.fault = None
    assert (await ORDERS["limit"].sent(site.http)).status_code == 200
    await site.again()
    assert len(site.load.control.connector_orders.to_json()) == 2, "stored with it"


async def test_a_wiring_that_no_longer_fits_when_it_was_written_is_taken_out_again(site: WiredHouse):
    """A car came while it was written: refused, and not gone after a restart either."""
    await site.wire("CP-7", safe_a=0)
    charger = await site.boots("CP-7")
    await charger.status("Available")
    disk = Disk(site)
    disk.holds = True
    asked = asyncio.ensure_future(site.http.delete("/v1/wiring/CP-7/1"))
    await eventually(lambda: disk.held)
    preparing = {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"}
    charger.wire.calls("StatusNotification", preparing)
    await disk.writes()
    answer = await asked
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_now"), answer.text
    await site.again()
    assert "CP-7/1" in await site.wiring()


async def test_who_began_to_charge_while_it_was_taken_back_stays(site: WiredHouse):
    charger = await site.boots("CP-7")
    disk = Disk(site)
    disk.holds = True
    asked = asyncio.ensure_future(ORDERS["take back"].sent(site.http))
    await eventually(lambda: disk.held)
    start = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-11-20T10:00:00Z"}
    charger.wire.calls("StartTransaction", start)
    await disk.writes()
    answer = await asked
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "charging"), answer.text
    await site.again()
    assert isinstance(await site.knocks("CP-7"), Admitted)


@pytest.mark.parametrize("path", ["/v1/wiring/CP-7/1", "/v1/chargers/CP-7/accept"])
async def test_a_refusal_that_could_not_be_taken_out_of_the_store_says_so(site: WiredHouse, path: str):
    """A car came while the order was written: it is in the store, and a restart would bring it."""
    if "wiring" in path:
        await site.wire("CP-7", safe_a=0)
    charger = await site.boots("CP-7")
    await charger.status("Available")
    disk = Disk(site)
    disk.holds = True
    asked = asyncio.ensure_future(site.http.delete(path))
    await eventually(lambda: disk.held)
    start = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-11-20T10:00:00Z"}
    charger.wire.calls("StartTransaction", start)
    disk.fault = StoreFull("nothing was written: database or disk is full")
    await disk.writes()
    answer = await asked
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_stored"), answer.text
    assert "a restart may bring it" in answer.json()["error"]["text"]
