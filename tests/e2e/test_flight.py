"""A recording of the real gateway, decided again: the same answers, over a kill -9 and an absent cloud.

The site is balanced and speaks three versions of OCPP, so that limits, profiles, ids of the box and stored
messages are all in it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from edgegw.control.client import ControlClient
from edgegw.core.flight import SENT, Line, decode_line
from tests.e2e.children import Children
from tests.e2e.faults import until
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.e2e.power_site import CHARGERS, Site, running_site

TAG = "04C0FFEE99"
HEARTBEAT = {"requestedMessage": "Heartbeat"}  # an order of a person: with a message id of the box

T = TypeVar("T")


async def test_what_a_site_decided_is_decided_again(gateways: Gateways, children: Children, tmp_path: Path):
    accepts = {"authorization": {"unknown_tags": "accept"}}
    async with running_site(gateways, accepts) as site:
        await until(lambda: _here(site))
        for charger in CHARGERS:
            assert (await site.chargers.command(f"start {charger} 1 {TAG}"))["ok"]
        await _asked(site.gateway, lambda client: client.call("CP01", "TriggerMessage", HEARTBEAT))
        await site.cloud.command("cut")
        await until(lambda: _sent(site.gateway, "charger", 28), 60.0)
        before = await _exported(site.gateway, tmp_path / "before")
        last = _lines(before)[-1].n
        await until(lambda: _is_written(site.gateway, last, tmp_path))
        await site.gateway.restart()  # kill -9
        await site.cloud.command("restore")
        await until(lambda: _here(site))
        await until(lambda: _sent(site.gateway, "cloud", 14), 60.0)
        after = await _exported(site.gateway, tmp_path / "after")
    everything = (tmp_path / "before").read_bytes() + (tmp_path / "after").read_bytes()
    assert TAG.encode() not in everything
    assert {line.n for line in _lines(before)} <= {line.n for line in _lines(after)}
    for file in (before, after):
        sent = sum(line.what in SENT for line in _lines(file))
        summary, differences = await _replayed(children, file)
        assert differences == []
        assert (summary["same"], summary["undecided"], summary["missing"]) == (sent, 0, 0)


def _lines(file: Path) -> list[Line]:
    return [decode_line(line) for line in file.read_bytes().splitlines()[1:-1]]


async def _asked(gateway: GatewayProcess, question: Callable[[ControlClient], T]) -> T:
    def ask() -> T:
        with ControlClient(gateway.store / "edgegw.sock") as client:
            return question(client)

    return await asyncio.to_thread(ask)


async def _here(site: Site) -> bool:
    chargers = (await _asked(site.gateway, lambda client: client.chargers())).chargers
    return sum(one.connected for one in chargers) == len(CHARGERS)


async def _sent(gateway: GatewayProcess, leg: str, count: int) -> bool:
    frames = (await _asked(gateway, lambda client: client.frames(limit=1000))).frames
    return sum(one.leg == leg for one in frames) >= count


def _is_written(gateway: GatewayProcess, n: int, folder: Path) -> bool:
    """Looked up in a copy: a second connection to the file itself must not be."""
    copy = folder / "copy.db"
    try:
        for suffix in ("", "-wal"):
            shutil.copy(gateway.store / f"telemetry.db{suffix}", folder / f"copy.db{suffix}")
        with closing(sqlite3.connect(copy)) as database:
            ((last_n,),) = database.execute("SELECT max(last_n) FROM flight")
    except (OSError, sqlite3.DatabaseError):
        return False  # it was written to between the two copies
    return (last_n or 0) >= n


async def _exported(gateway: GatewayProcess, target: Path) -> Path:
    await _asked(gateway, lambda client: client.export_frames(target))
    return target


async def _replayed(children: Children, file: Path) -> tuple[dict[str, Any], list[Any]]:
    child = await children.start("replay", sys.executable, "-m", "edgegw", "replay", str(file), "--json")
    await child.ended()
    found = [json.loads(line) for line in child.lines]
    return found[-1]["summary"], [line["differs"] for line in found if "differs" in line]
