"""What stands on each topic, in the words of the technician who reads along."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.mqtt import words
from edgegw.mqtt.topics import CHANNELS

TS = "2026-11-20T23:55:00.000Z"
NONE3 = (None, None, None)

CONNECTOR = {
    "connector": 1, "status": "Charging", "error_code": "NoError", "info": "", "power_w": 7350.0,
    "current_l_a": (10.6, 10.2, 10.4), "energy_wh": 4411, "limit_a": 11.0,
    "limit_reason": "main L2: 63 A fuse, building 41 A", "phases": 3, "transaction": "192",
}  # fmt: skip
LIMIT = {
    "circuit": "main", "limit_a": 63.0, "limit_l_a": (63.0,) * 3, "asked_w": None, "chargers_only": False,
    "priority": 10, "until": "2026-11-21T00:05:00Z", "fallback_a": 32.0, "state": "holds",
}  # fmt: skip
CLOUD = {
    "mode": "away", "since": "2026-11-20T23:40:00Z", "connected_legs": 0, "url_host": "csms.example",
    "queue_depth": 12, "in_flight": 0, "parked": 0, "oldest_queued_at": None, "last_error": "",
}  # fmt: skip
CHARGER_CLOUD = {
    "connected": False, "since": None, "url_host": "csms.example", "queue_depth": 1, "parked": 2,
    "last_error": "HTTP 401",
}  # fmt: skip
ALARM = {
    "id": "fault-cp-7-1", "code": "fault", "severity": "error", "title": "A charger reports a fault",
    "text": "the card reader does not work", "todo": "Restart it.", "target": "CP-7/1", "state": "active",
    "acknowledged": False, "acknowledged_by": "", "since": TS, "last_at": TS, "count": 1, "latched": False,
}  # fmt: skip
SITE = {
    "import_w": 18430.0, "current_l_a": (27.1, 27.5, 27.2), "fuse_a": 100.0, "limit_a": 63.0,
    "limit_l_a": (63.0,) * 3, "limit_source": "bms", "headroom_a": 35.5, "chargers_w": 11000.0,
    "chargers_known": 8, "chargers_connected": 7, "connectors_charging": 1, "transactions_running": 1,
    "energy_wh": 1, "alarms": 2, "worst_severity": "error",
}  # fmt: skip
SESSION = {
    "connector": 1, "transaction": "192", "state": "running", "started_at": "2026-11-20T22:00:00Z",
    "ended_at": None, "energy_wh": 4411, "token": "9f2c", "stop_reason": "", "offline": False,
}  # fmt: skip
CIRCUIT = {
    "circuit": "garage", "parent": "main", "fuse_a": 63.0, "limit_l_a": (63.0,) * 3, "limit_source": "fuse",
    "measured_l_a": (30.2, 31.0, 12.0), "building_l_a": NONE3, "granted_l_a": (30.0, 30.0, 12.0),
    "free_l_a": NONE3, "meter_stale": False,
}  # fmt: skip
METER = {
    "meter": "grid", "ok": True, "power_w": 18430.0, "power_l_w": NONE3, "current_l_a": (27.1, 27.5, 27.2),
    "voltage_l_v": NONE3, "frequency_hz": None, "import_wh": None, "export_wh": None, "age_ms": 180,
    "trouble": "",
}  # fmt: skip
HEALTH = {
    "status": "ok", "reasons": (), "warnings": (), "uptime_s": 7300, "cpu_temp_c": None, "load_1m": None,
    "memory_rss_bytes": None, "disk_free_bytes": None, "database_bytes": None, "wal_bytes": None,
    "queue_depth": None, "parked": None, "oldest_queued_s": None, "clock_trusted": True,
    "clock_offset_ms": None, "loop_lag_ms": None, "events_dropped": 0, "alarms": 0,
}  # fmt: skip
INFO = {
    "gateway": "depot-1", "name": "Parking deck", "version": "1.0", "api": 1, "hostname": "box",
    "started_at": TS, "features": (), "commands": (), "chargers": ({"topic": "cp-7", "identity": "CP-7"},),
    "meters": ("grid",), "circuits": (),
}  # fmt: skip
EVENT = {
    "id": "a", "seq": 1, "at": TS, "kind": "boot", "target": "CP-7", "severity": "info",
    "text": "the charger booted", "data": {},
}  # fmt: skip
RESPONSE = {
    "transaction": "bms-42", "status": "ok", "data": {"effective_a": 63.0, "until": None}, "error": None,
    "took_ms": 13.7,
}  # fmt: skip
CHARGER = {
    "identity": "CP-7", "vendor": "Acme", "model": "Wall", "serial": "", "firmware": "2.4.1",
    "protocol": "ocpp1.6", "registration": "accepted", "quirks": (), "connectors": (1,),
    "verdict": "all is well",
}  # fmt: skip
FIRMWARE = {"version": "2.4.1", "state": "", "file": "", "progress": None, "error": ""}
BALANCER = {
    "mode": "steering", "last_decision_at": TS, "reason": "", "allocations": (
        {"charger": "CP-7", "connector": 1, "limit_a": 11.0, "accepted_a": None, "reason": "",
         "binding": "circuit", "control": "steered"},
    ),
}  # fmt: skip


def sent(state: dict[str, Any], /, **changes: object) -> bytes:
    return msgspec.json.encode({"ts": TS, **state, **changes})


def told(tail: str, payload: bytes) -> str:
    return words.line(tail, payload, names={"cp-7": "CP-7"})


CP = "charger/cp-7"
TABLE: list[tuple[str, bytes, str]] = [
    ("status", b"online", "the gateway is online"),
    ("status", b"offline", "the gateway is offline: everything else is what it said last"),
    ("info", sent(INFO), "Parking deck (depot-1): edgegw 1.0 on box, 1 charger, 1 meter; takes no commands"),
    ("info", sent(INFO, name="", commands=("limit/set",), chargers=()),
     "depot-1: edgegw 1.0 on box, 0 chargers, 1 meter; takes limit/set"),
    ("health", sent(HEALTH), "box: all is well; up 2 h"),
    ("health", sent(HEALTH, status="degraded", reasons=("the disk is full",), queue_depth=1, parked=1,
                    cpu_temp_c=61.4, events_dropped=2, alarms=1),
     "box: not well (the disk is full); up 2 h, 1 message waits, 1 parked, 1 alarm, 2 events lost, 61 °C"),
    ("cloud/state", sent(CLOUD), "cloud away since 23:40, 12 messages wait"),
    ("cloud/state", sent(CLOUD, since="2026-11-18T06:00:00Z", queue_depth=0, last_error="no route"),
     "cloud away since 2026-11-18 06:00 (no route)"),
    ("cloud/state", sent(CLOUD, mode="serving", connected_legs=1, queue_depth=0),
     "cloud csms.example serves 1 charger"),
    ("cloud/state", sent(CLOUD, mode="standalone"), "no cloud: the box is the CSMS of the site"),
    ("meter/grid/state", sent(METER), "meter grid: 18.4 kW, 27 28 27 A"),
    ("meter/grid/state", sent(METER, power_w=None, current_l_a=(27.1, None, None)), "meter grid: 27 - - A"),
    ("meter/grid/state", sent(METER, ok=False, trouble="it does not answer"),
     "meter grid is not read: it does not answer"),
    ("site/state", sent(SITE),
     "site: 18.4 kW from the grid, 27 28 27 A of 63 A (bms), 36 A free; 1 car charging with 11.0 kW; "
     "7 of 8 chargers connected; 2 alarms, worst error"),
    ("site/state", sent(SITE, import_w=None, current_l_a=NONE3, fuse_a=None, limit_a=None, headroom_a=None,
                        chargers_w=None, connectors_charging=0, alarms=0, worst_severity=None),
     "site: no meter; 0 cars charging; 7 of 8 chargers connected"),
    ("site/state", sent(SITE, import_w=None, current_l_a=NONE3, headroom_a=None, chargers_w=0.0, alarms=0),
     "site: at most 63 A (bms); 1 car charging; 7 of 8 chargers connected"),
    ("circuit/garage/state", sent(CIRCUIT),
     "circuit garage: 30 31 12 A of 63 A (fuse); chargers may draw 30 30 12 A"),
    ("circuit/garage/state", sent(CIRCUIT, measured_l_a=NONE3, granted_l_a=NONE3, meter_stale=True),
     "circuit garage: at most 63 A (fuse); its meter is silent: the reserve counts"),
    ("limit/bms/state", sent({"source": "bms", "limits": [LIMIT]}),
     "bms limits main to 63 A until 2026-11-21 00:05, then 32 A"),
    ("limit/bms/state", sent({"source": "bms", "limits": [{**LIMIT, "until": "2026-11-20T23:56:07.5Z"}]}),
     "bms limits main to 63 A until 23:56:07, then 32 A"),
    ("limit/dso/state", sent({"source": "dso", "limits": [
        {**LIMIT, "until": None, "asked_w": 4200.0, "chargers_only": True, "limit_a": 6.0}]}),
     "dso limits chargers of main to 6 A (4.2 kW) until it is released"),
    ("limit/bms/state", sent({"source": "bms", "limits": [{**LIMIT, "limit_a": 32.0, "state": "fallback"}]}),
     "bms has not renewed its limit: main falls back to 32 A"),
    ("limit/bms/state", sent({"source": "bms", "limits": []}), "bms sets no limit"),
    ("limit/bms/state", b"", "bms sets no limit any more"),
    ("balancer/state", sent(BALANCER), "balancer: CP-7/1 11 A"),
    ("balancer/state", sent(BALANCER, mode="off", allocations=()), "nothing is balanced"),
    (f"{CP}/availability", b"online", "CP-7 is connected"),
    ("charger/cp-9/availability", b"offline", "cp-9 is not connected"),
    (f"{CP}/info", sent(CHARGER), "CP-7: Acme Wall 2.4.1, ocpp1.6; all is well"),
    (f"{CP}/info", sent(CHARGER, vendor="", model="", firmware="", protocol="", verdict=""),
     "CP-7: nothing known of its make"),
    (f"{CP}/cloud", sent(CHARGER_CLOUD),
     "CP-7 has no connection to the cloud (HTTP 401), 1 message waits, 2 parked"),
    (f"{CP}/cloud", sent(CHARGER_CLOUD, connected=True, since=TS, queue_depth=0, parked=0),
     "CP-7 is connected to the cloud since 23:55"),
    (f"{CP}/connector/1/state", sent(CONNECTOR),
     "CP-7/1 charges with 7.3 kW (10.6 A) of 11 A: main L2: 63 A fuse, building 41 A"),
    (f"{CP}/connector/1/state", sent(CONNECTOR, limit_reason="site_fuse", current_l_a=NONE3, power_w=740.0),
     "CP-7/1 charges with 740 W of 11 A: site fuse"),
    (f"{CP}/connector/1/state", sent(CONNECTOR, power_w=None, current_l_a=NONE3, limit_a=None),
     "CP-7/1 charges"),
    (f"{CP}/connector/1/state", sent(CONNECTOR, power_w=None, limit_reason=""),
     "CP-7/1 charges, may draw 11 A"),
    (f"{CP}/connector/1/state", sent(CONNECTOR, status="Occupied", limit_reason=""),
     "CP-7/1 charges with 7.3 kW (10.6 A) of 11 A"),
    (f"{CP}/connector/1/state", sent(CONNECTOR, status="Occupied", power_w=0.0, limit_a=None),
     "CP-7/1 has a car"),
    (f"{CP}/connector/1/state", sent(CONNECTOR, status="Dreaming", limit_a=None), "CP-7/1 Dreaming"),
    (f"{CP}/connector/1/state", sent(CONNECTOR, status="SuspendedEVSE", limit_a=0.0, limit_reason=""),
     "CP-7/1 is paused, may draw 0 A"),
    (f"{CP}/connector/2/state", sent(CONNECTOR, status="Faulted", error_code="GroundFailure", info="30 mA",
                                     limit_a=None), "CP-7/2 is faulty (GroundFailure: 30 mA)"),
    (f"{CP}/connector/2/state", sent(CONNECTOR, status="", limit_a=None), "CP-7/2 has not said how it is"),
    (f"{CP}/session/1", sent(SESSION), "CP-7/1: transaction 192 runs, since 22:00, 4.4 kWh so far"),
    (f"{CP}/session/1", sent(SESSION, state="ended", ended_at="2026-11-20T23:50:00Z", stop_reason="Local",
                             energy_wh=890), "CP-7/1: transaction 192 ended at 23:50 (Local), 890 Wh"),
    (f"{CP}/session/1", sent(SESSION, started_at=None, energy_wh=None), "CP-7/1: transaction 192 runs"),
    (f"{CP}/firmware", sent(FIRMWARE), "CP-7 has firmware 2.4.1"),
    (f"{CP}/firmware", sent(FIRMWARE, state="Downloading", file="wall.bin", progress=0.5),
     "CP-7 has firmware 2.4.1, Downloading of wall.bin, 50% loaded"),
    ("alarm/fault-cp-7-1", sent(ALARM),
     "alarm raised: error, CP-7/1: the card reader does not work - Restart it."),
    ("alarm/fault-cp-7-1", sent(ALARM, acknowledged=True, acknowledged_by="anna"),
     "alarm, acknowledged by anna: error, CP-7/1: the card reader does not work"),
    ("alarm/fault-cp-7-1", sent(ALARM, state="cleared", target=""),
     "alarm over, to be acknowledged: error, site: the card reader does not work"),
    ("alarm/fault-cp-7-1", b"", "alarm fault-cp-7-1 is over"),
    ("event", sent(EVENT), "CP-7: the charger booted"),
    ("event", sent(EVENT, severity="warning", text="CP-7 booted"), "warning: CP-7 booted"),
    ("log", sent({"level": "warning", "logger": "edgegw.cloud", "text": "gone"}),
     "log warning: edgegw.cloud: gone"),
    ("response/limit/set", sent(RESPONSE), "limit/set (bms-42) done in 14 ms: effective_a 63.0"),
    ("response/limit/set", sent(RESPONSE, status="error", transaction=None, data=None,
                                error={"code": "not_allowed", "text": "bms may not"}),
     "limit/set refused: bms may not"),
    ("request/limit/set", sent({"source": "bms", "limit_a": 63}),
     "somebody asks limit/set: source bms, limit_a 63"),
    ("request/limit/set", b"nonsense", "somebody asks limit/set: nonsense"),
    ("v/charger/cp-7/1/power", b"7350", "7350"),
    ("v/charger/cp-7/1/power", b"", "no longer published"),
    ("something/new", b'{"of":"tomorrow"}', '{"of":"tomorrow"}'),
    ("site/state", b'{"ts":"2026"}', '{"ts":"2026"}'),
    ("status", b"dying", "dying"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("tail", "payload", "line"), TABLE, ids=[f"{tail}-{line[:40]}" for tail, _, line in TABLE]
)
def test_words(tail: str, payload: bytes, line: str):
    assert told(tail, payload) == line


def test_every_channel_has_words_in_the_table():
    seen = {found[0].name for tail, *_ in TABLE if (found := words.match(tail))}
    assert seen == {channel.name for channel in CHANNELS}


def test_times_are_told_as_the_clock_on_the_wall_shows_them():
    berlin = timezone(timedelta(hours=1))
    line = words.line("cloud/state", sent(CLOUD), zone=berlin)
    assert line == "cloud away since 00:40, 12 messages wait"  # of the next day, there


def test_the_info_topic_tells_the_names_of_chargers():
    assert words.identities(sent(INFO)) == {"cp-7": "CP-7"}
    assert words.identities(b"{}") == words.identities(b"\xff") == {}


def test_a_payload_of_megabytes_is_one_short_line():
    assert len(told("log", sent({"level": "info", "logger": "x", "text": "y" * 10**6}))) < 1100
    assert len(told("what/is/this", b"z" * 10**6)) < 500


HOSTILE = "\x1b]0;gotcha\x07\x9b2J\r\n\u202e[bold]"


@pytest.mark.parametrize("tail", sorted({tail for tail, *_ in TABLE}))
def test_what_anybody_publishes_cannot_move_the_cursor(tail: str):
    for _, payload, _ in (row for row in TABLE if row[0] == tail and row[1][:1] == b"{"):
        texts = {k: HOSTILE for k, v in msgspec.json.decode(payload).items() if isinstance(v, str)}
        for changes in ({k: v} for k, v in texts.items()):
            line = told(tail, msgspec.json.encode({**msgspec.json.decode(payload), **changes}))
            assert line.isprintable(), line
    assert told(tail, HOSTILE.encode()).isprintable()


@given(
    tail=st.sampled_from(sorted({tail for tail, *_ in TABLE})) | st.text(),
    payload=st.binary() | st.sampled_from([payload for _, payload, _ in TABLE]),
)
def test_any_payload_on_any_topic_is_one_printable_line(tail: str, payload: bytes):
    assert told(tail, payload).isprintable()
