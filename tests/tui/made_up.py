"""A site that nobody runs: snapshots, details and answers for tests that need no gateway.

Everything here is fixed: the same call makes the same picture.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from edgegw.control.alarm_models import AlarmList, AlarmView
from edgegw.control.firmware_models import FirmwareView, RolloutList
from edgegw.control.live_models import (
    ChargerRow,
    HistoryPoint,
    LivePower,
    PowerHistory,
    Snapshot,
)
from edgegw.control.models import (
    ChargerCounts,
    ClockHealth,
    CloudHealth,
    Health,
    Notice,
    QueueCounts,
    QueueView,
    SiteView,
    StoreHealth,
)
from edgegw.control.power_models import CircuitView, LimitView, MeterView

NOW = datetime(2026, 11, 20, 23, 40, 1, tzinfo=UTC)


def at(age_s: float = 0.0) -> str:
    return (NOW - timedelta(seconds=age_s)).isoformat().replace("+00:00", "Z")


def row(number: int = 1, **changed: Any) -> ChargerRow:
    """A charger that charges; every value can be changed."""
    values: dict[str, Any] = {
        "identity": f"CP{number:03}",
        "vendor": "Acme",
        "model": "Wall 22",
        "firmware": "1.4.2",
        "version": "ocpp1.6",
        "connected": True,
        "status": "Charging",
        "error": "",
        "current_a": 15.8,
        "limit_a": 16.0,
        "why": "main fuse: 63 A shared with 3 others",
        "control": "steered",
        "energy_wh": 12_340,
        "transactions": 1,
        "last_seen": at(3),
        "cloud": "up",
        "queue": 0,
        "parked": 0,
        "alarms": 0,
        "severity": None,
        "verdict": "charging: 1 transaction; connector 1 at 16 A: main fuse: 63 A shared with 3 others",
        "handshake": "",
    }
    return ChargerRow(**{**values, **changed})


STORY = (
    row(1),
    row(2, current_a=None, status="Available", transactions=0, energy_wh=None, why="", version="ocpp2.0.1"),
    row(
        3,
        status="Faulted",
        error="GroundFailure: the residual current device has tripped",
        alarms=1,
        severity="error",
        current_a=0.0,
        transactions=0,
        energy_wh=None,
        verdict="connector 1 reports GroundFailure (RCD 30 mA); connected, nothing charging",
    ),
    row(
        7,
        current_a=5.9,
        limit_a=6.0,
        why="the meter grid is silent: the reserve of 40 A counts as the building",
        verdict="charging: 1 transaction; connector 1 at 6 A: the meter grid is silent: the reserve of 40 A"
        " counts as the building",
    ),
    row(
        9,
        connected=False,
        status="",
        current_a=None,
        limit_a=None,
        why="",
        transactions=0,
        energy_wh=None,
        last_seen=at(7200),
        cloud="away",
        alarms=1,
        severity="warning",
        verdict="not connected",
        handshake="wrong password: the cloud answered 401; set AuthorizationKey in the charger anew",
    ),
)  # fmt: skip


def circuit(name: str = "main", parent: str = "", **changed: Any) -> CircuitView:
    values: dict[str, Any] = {
        "name": name,
        "parent": parent,
        "fuse_a": 63.0,
        "limit_a": (63.0, 63.0, 63.0),
        "limit_source": "fuse",
        "measured_a": (41.2, 38.7, 44.0),
        "building_a": (10.0, 8.0, 12.5),
        "granted_a": (32.0, 32.0, 32.0),
        "free_a": (21.0, 23.0, 18.5),
        "reading_age_s": 0.4,
        "stale": False,
    }
    return CircuitView(**{**values, **changed})


def power(**changed: Any) -> LivePower:
    values: dict[str, Any] = {
        "balanced": True,
        "circuits": (
            circuit(),
            circuit(
                "garage", "main", fuse_a=35.0, limit_a=(32.0,) * 3, limit_source="building",
                measured_a=(30.8, 28.1, 31.4), building_a=(0.0,) * 3, free_a=(1.2, 3.9, 0.6),
            ),
            circuit(
                "roof", "main", measured_a=(None,) * 3, free_a=(None,) * 3, granted_a=(6.0,) * 3,
                reading_age_s=None, stale=True,
            ),
        ),
        "meters": (
            MeterView(
                name="grid", current_a=(41.2, 38.7, 44.0), voltage_v=(230.4, 229.8, 231.1), power_w=28_400.0,
                age_s=0.4, trouble="",
            ),
            MeterView(
                name="roof", current_a=(None,) * 3, voltage_v=(None,) * 3, power_w=None, age_s=None,
                trouble="no answer from 192.0.2.7:502 for 40 s",
            ),
        ),
        "limits": (
            LimitView(
                source="building", circuit="garage", limit_a=(32.0,) * 3, asked_w=None, chargers_only=False,
                priority=10, until=at(-300), fallback_a=16.0, state="holds",
            ),
        ),
        "alarms": (),
    }  # fmt: skip
    return LivePower(**{**values, **changed})


def alarm(number: int = 1, **changed: Any) -> AlarmView:
    values: dict[str, Any] = {
        "id": f"charger-fault-{number}",
        "code": "charger_fault",
        "severity": "error",
        "target": f"CP{number:03}/1",
        "title": "Charger fault",
        "text": "GroundFailure: the residual current device has tripped",
        "todo": "find out why before you switch it on again",
        "state": "active",
        "acknowledged": False,
        "acknowledged_by": "",
        "acknowledged_at": None,
        "since": at(3700),
        "last_at": at(60),
        "cleared_at": None,
        "count": 2,
        "latched": True,
    }
    return AlarmView(**{**values, **changed})


def alarms(*given: AlarmView) -> AlarmList:
    active = sum(one.state == "active" for one in given)
    worst = given[0].severity if active else None
    return AlarmList(alarms=given, active=active, unacknowledged=active, worst=worst)


def cloud(mode: str = "serving", **changed: Any) -> CloudHealth:
    values = {"mode": mode, "since": at(7300), "connected_legs": 4, "error": ""}
    return CloudHealth.model_validate({**values, **changed})


def health(**changed: Any) -> Health:
    values: dict[str, Any] = {
        "status": "ok",
        "reasons": (),
        "warnings": (),
        "version": "0.6.0",
        "started_at": at(90_000),
        "uptime_s": 90_000.0,
        "store": StoreHealth(
            stored=0, in_flight=0, parked=0, quarantined=0, oldest_unsent_at=None, oldest_unsent_s=None,
            database_bytes=2**20, wal_bytes=0, free_disk_bytes=2**33, reserve=True, broken=False,
        ),
        "cloud": cloud(),
        "clock": ClockHealth(now=at(), trusted=True),
    }  # fmt: skip
    return Health(**{**values, **changed})


def notice(charger: str, text: str, age_s: float, kind: str = "handshake") -> Notice:
    return Notice(at=at(age_s), charger=charger, kind=kind, text=text)


STRANGER = notice("CP100", "not known here: accept it in Commissioning, or name it in the site file", 20)


def snapshot(chargers: tuple[ChargerRow, ...] = STORY, **changed: Any) -> Snapshot:
    queue = QueueCounts(stored=0, in_flight=0, parked=0, oldest_unsent_at=None)
    connected = sum(one.connected for one in chargers)
    site: dict[str, Any] = {
        "id": "park-1",
        "name": "Car park North",
        "version": "0.6.0",
        "now": at(),
        "chargers": ChargerCounts(known=len(chargers), connected=connected, to_cloud=connected),
        "running_transactions": sum(one.transactions for one in chargers),
        "queue": queue,
        "cloud": cloud(),
        "counters": {},
        "notices": (
            STRANGER,
            notice("CP009", STORY[-1].handshake, 95),
            notice("CP003", "connected", 3800, "connected"),
        ),
        "handshake_failures": (STRANGER, notice("CP009", STORY[-1].handshake, 95)),
    }
    site.update(changed.pop("site", {}))
    values: dict[str, Any] = {
        "seq": 1,
        "at": at(),
        "role": "operator",
        "site": SiteView(**site),
        "health": health(),
        "power": power(),
        "alarms": alarms(alarm(3), alarm(9, severity="warning", text="it has been silent for 2 h")),
        "firmware": FirmwareView(files=(), fetching=(), transfers=(), size_bytes=0),
        "rollouts": RolloutList(rollouts=()),
        "queue": QueueView(**queue.model_dump(), chargers=()),
        "chargers": chargers,
    }
    return Snapshot(**{**values, **changed})


def away() -> Snapshot:
    """The cloud has been gone for two hours."""
    queue = QueueView(stored=117, in_flight=3, parked=2, oldest_unsent_at=at(7000), chargers=())
    gone = cloud("away", connected_legs=0, error="connection refused by csms.example")
    return snapshot(site={"cloud": gone}, queue=queue, health=health(status="away", cloud=gone))


def many(count: int, step: int = 0) -> tuple[ChargerRow, ...]:
    """`count` chargers, all values new with each `step`."""
    return tuple(
        row(
            number,
            identity=f"CP-{number:04}",
            current_a=round(6 + (number * 7 + step) % 260 / 10, 1),
            limit_a=float(6 + (number + step) % 26),
            energy_wh=1000 * number + step * 7,
            last_seen=at(step % 30),
            why=f"main fuse: {(number + step) % 63} A left",
            verdict=f"charging: 1 transaction; connector 1 at {(number + step) % 32} A",
        )
        for number in range(count)
    )


def history(name: str = "main", span_s: float = 300.0) -> PowerHistory:
    step_s = 1.0 if span_s <= 900 else 60.0
    count = int(span_s / step_s)
    points = []
    for number in range(count):
        swing = 12 * math.sin(number / count * 9)
        measured = (round(38 + swing, 1), round(35 + swing / 2, 1), round(41 + swing, 1))
        limit = (63.0,) * 3 if number < count * 0.6 else (50.0,) * 3
        points.append(
            HistoryPoint(
                at=at((count - number) * step_s), measured_a=measured, limit_a=limit, granted_a=(32.0,) * 3
            )
        )
    return PowerHistory(circuit=name, step_s=step_s, points=tuple(points))
