"""What a person ordered and was answered is there after kill -9 right behind the answer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.faults import until
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.small_disk import fill, small_disk

DEADLINE_S = 30.0
TABLES: dict[str, Any] = {
    "chargers": {"unknown": "refuse", "known": ["CP-1"]},
    "circuit": [{"name": "main", "fuse": 63, "reserve": 10}],
    "connector": [{"charger": "CP-1", "circuit": "main"}],
}
LIMIT = {"circuit": "main", "limit_a": 20, "source": "dso"}
CONNECTOR = {"limit_a": 9, "for_s": 600}


def box(socket: Path) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=str(socket))
    return httpx.Client(transport=transport, base_url="http://box", trust_env=False, timeout=DEADLINE_S)


async def ordered_and_killed(gateway: GatewayProcess, *orders: tuple[str, str, object]) -> None:
    """At once, and blocking on purpose: nothing comes between the last answer and the kill."""
    with box(gateway.store / "edgegw.sock") as http, ThreadPoolExecutor(len(orders)) as threads:
        asked = [threads.submit(http.request, method, path, json=body) for method, path, body in orders]
        answers = [one.result() for one in asked]
        await gateway.kill()
    assert [one.status_code for one in answers] == [200] * len(orders), [one.text for one in answers]
    await gateway.start()


async def test_what_was_answered_outlives_kill_9(gateways: Gateways) -> None:
    gateway = await gateways(None, TABLES)
    await ordered_and_killed(
        gateway,
        ("POST", "/v1/chargers/CP-7/accept", None),
        ("PUT", "/v1/wiring/CP-7/1", {"circuit": "main", "safe_a": 6}),
        ("POST", "/v1/chargers/CP-1/limit", CONNECTOR),
        ("POST", "/v1/limits", {**LIMIT, "source": "ems"}),
    )
    with box(gateway.store / "edgegw.sock") as http:
        assert names(http, "/v1/strangers", "accepted", "identity") == ["CP-7"]
        assert names(http, "/v1/wiring", "wiring", "charger") == ["CP-1", "CP-7"]
        assert names(http, "/v1/power", "limits", "source") == ["ems"]
    await ordered_and_killed(
        gateway,
        ("DELETE", "/v1/chargers/CP-1/limit", None),  # 404 if it were lost
        ("DELETE", "/v1/limits?source=ems", None),
    )
    with box(gateway.store / "edgegw.sock") as http:
        assert names(http, "/v1/power", "limits", "source") == []
        assert http.delete("/v1/chargers/CP-1/limit").status_code == 404


def names(http: httpx.Client, path: str, of: str, key: str) -> list[str]:
    return [one[key] for one in http.get(path).json()[of]]


@pytest.fixture
def store_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 12, lazy=True) as place:  # the gateway is stopped before it goes
        yield place


async def test_on_a_full_disk_orders_say_so_and_a_limit_holds_all_the_same(
    store_disk: Path, gateways: Gateways, tmp_path: Path
) -> None:
    """Kept first: nothing has changed. In force first: it holds, and is stored when there is space again."""
    tables = {
        **TABLES,
        "store": {"directory": str(store_disk / "store"), "reserve": "1 MiB"},
        "control": {"socket": str(tmp_path / "box.sock")},
    }
    await gateways(None, tables)
    with box(tmp_path / "box.sock") as http:
        name, source = refused_on_a_full_disk(http, store_disk)
        assert name not in names(http, "/v1/strangers", "accepted", "identity")
        assert source in names(http, "/v1/power", "limits", "source")
        unfill(store_disk)
        accepts = partial(http.post, f"/v1/chargers/{name}/accept")
        await until(lambda: accepts().status_code == 200)
        await until(lambda: http.post("/v1/limits", json=LIMIT).status_code == 200)
        assert name in names(http, "/v1/strangers", "accepted", "identity")


def unfill(disk: Path) -> None:
    for junk in disk.glob("junk-*"):
        junk.unlink()


def refused_on_a_full_disk(http: httpx.Client, disk: Path) -> tuple[str, str]:
    """The charger and the source of the first orders that were not stored: the store had some room left."""
    for number in range(500):
        fill(disk / f"junk-{number}")  # the reserve is given back, once
        name, source = f"CP-{100 + number}", f"dso{number % 8}"
        accept = http.post(f"/v1/chargers/{name}/accept")
        limit = http.post("/v1/limits", json={**LIMIT, "source": source})
        if accept.status_code == limit.status_code == 503:
            assert "nothing has changed" in accept.json()["error"]["text"]
            assert "the limit holds now" in limit.json()["error"]["text"]
            return name, source
    raise AssertionError("the disk never was full")
