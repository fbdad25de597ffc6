"""A small site as it looks on the broker: the examples of the AsyncAPI document and of docs/mqtt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from edgegw.mqtt import payloads
from edgegw.mqtt.topics import CHANNELS
from edgegw.mqtt.view import ChargerFacts, View

TS = "2026-11-20T23:40:01.250Z"
SINCE = "2026-11-20T22:10:07.031Z"
REASON = "main L2 (32 A by bms): building 17 A, 1 car shares 13 A"

CONNECTOR = payloads.ConnectorState(
    connector=1,
    status="Charging",
    error_code="NoError",
    info="",
    power_w=7350,
    current_l_a=(10.6, 10.7, 10.6),
    energy_wh=81_204_411,
    limit_a=13.0,
    limit_reason=REASON,
    limit_binding="circuit",
    phases=3,
    transaction="1073741907",
)
SESSION = payloads.SessionState(
    connector=1,
    transaction="1073741907",
    state="running",
    started_at="2026-11-20T22:58:12.000Z",
    ended_at=None,
    energy_wh=4411,
    token="9f86d081884c7d65",  # noqa: S106 - a hash of a card that never was
    stop_reason="",
    offline=False,
)
CHARGER = ChargerFacts(
    online=True,
    info=payloads.ChargerInfo(
        identity="CP-01",
        vendor="Acme",
        model="Wall 22",
        serial="AW22-00731",
        firmware="1.4.2",
        protocol="ocpp1.6",
        registration="accepted",
        quirks=(),
        connectors=(1,),
        verdict=f"charging: 1 transaction; connector 1 at 11 A: {REASON}",
    ),
    cloud=payloads.ChargerCloud(
        connected=True, since=SINCE, url_host="csms.example", queue_depth=0, parked=0, last_error=""
    ),
    connectors={1: CONNECTOR},
    sessions={1: SESSION},
    firmware=payloads.FirmwareState(version="1.4.2", state="Installed", file="", progress=None, error=""),
)
METER = payloads.MeterState(
    meter="grid",
    ok=True,
    power_w=18_430,
    power_l_w=(6100, 6200, 6130),
    current_l_a=(27.1, 27.5, 27.2),
    voltage_l_v=(229.8, 230.4, 230.1),
    frequency_hz=50.01,
    import_wh=81_234_567,
    export_wh=120,
    age_ms=180,
    trouble="",
)
ALARM = payloads.AlarmState(
    id="certificate-ends-certificate-chargers",
    code="certificate_ends",
    severity="warning",
    title="A certificate ends soon, or has ended",
    text="tls/edgegw.crt ends on 2026-12-14",
    todo="Have a new certificate made, put it in the place of the old file and restart edgegw.",
    target="certificate chargers",
    state="active",
    acknowledged=False,
    acknowledged_by="",
    since=SINCE,
    last_at=SINCE,
    count=1,
    latched=False,
)
VIEW = View(
    info=payloads.Info(
        gateway="depot-1",
        name="Depot, level 1",
        version="0.5.0",
        api=payloads.API,
        hostname="edgegw",
        started_at=SINCE,
        features=("balancing", "mqtt"),
        commands=("limit/set", "limit/release"),
        chargers=(payloads.ChargerRef(topic="cp-01", identity="CP-01"),),
        meters=("grid",),
        circuits=("main",),
    ),
    health=payloads.Health(
        status="ok",
        reasons=(),
        warnings=(),
        uptime_s=5394,
        cpu_temp_c=48.3,
        load_1m=0.21,
        memory_rss_bytes=98_304_000,
        disk_free_bytes=21_474_836_480,
        database_bytes=5_242_880,
        wal_bytes=1_048_576,
        queue_depth=0,
        parked=0,
        oldest_queued_s=None,
        clock_trusted=True,
        clock_offset_ms=0.412,
        loop_lag_ms=3.1,
        events_dropped=0,
        alarms=1,
    ),
    cloud=payloads.CloudState(
        mode="serving",
        since=SINCE,
        connected_legs=1,
        url_host="csms.example",
        queue_depth=0,
        in_flight=0,
        parked=0,
        oldest_queued_at=None,
        last_error="",
    ),
    site=payloads.SiteState(
        import_w=18_430,
        current_l_a=(27.1, 27.5, 27.2),
        fuse_a=63.0,
        limit_a=32.0,
        limit_l_a=(32.0, 32.0, 32.0),
        limit_source="bms",
        headroom_a=0.2,
        chargers_w=7350,
        chargers_known=1,
        chargers_connected=1,
        connectors_charging=1,
        transactions_running=1,
        energy_wh=81_204_411,
        alarms=1,
        worst_severity="warning",
    ),
    balancer=payloads.BalancerState(
        mode="steering",
        last_decision_at=TS,
        reason=REASON,
        allocations=(
            payloads.ConnectorAllocation(
                charger="CP-01",
                connector=1,
                limit_a=13.0,
                accepted_a=13.0,
                reason=REASON,
                binding="circuit",
                control="steered",
            ),
        ),
    ),
    meters={"grid": METER},
    circuits={
        "main": payloads.CircuitState(
            circuit="main",
            parent="",
            fuse_a=63.0,
            limit_l_a=(32.0, 32.0, 32.0),
            limit_source="bms",
            measured_l_a=(27.1, 27.5, 27.2),
            building_l_a=(16.5, 16.8, 16.6),
            granted_l_a=(13.0, 13.0, 13.0),
            free_l_a=(0.5, 0.2, 0.4),
            meter_stale=False,
        )
    },
    limits={
        "bms": payloads.LimitState(
            source="bms",
            limits=(
                payloads.LimitOnCircuit(
                    circuit="main",
                    limit_a=32.0,
                    limit_l_a=(32.0, 32.0, 32.0),
                    asked_w=None,
                    chargers_only=False,
                    priority=10,
                    until="2026-11-20T23:42:01.000Z",
                    fallback_a=16.0,
                    state="holds",
                ),
            ),
        )
    },
    chargers={"CP-01": CHARGER},
    alarms={ALARM.id: ALARM},
)

_OF_CHANNEL: Mapping[str, payloads.Payload] = {
    "info": VIEW.info,
    "health": VIEW.health,
    "cloud": VIEW.cloud,
    "meter": METER,
    "site": VIEW.site,
    "circuit": VIEW.circuits["main"],
    "limit": VIEW.limits["bms"],
    "balancer": VIEW.balancer,
    "charger": CHARGER.info,
    "chargerCloud": CHARGER.cloud,
    "connector": CONNECTOR,
    "session": SESSION,
    "firmware": CHARGER.firmware,
    "alarm": ALARM,
    "event": payloads.Event(
        id="1b4e28ba-2fa1-4d2c-883f-0016d3cca427",
        seq=1042,
        at="2026-11-20T22:58:12.120Z",
        kind="session_started",
        target="CP-01/1",
        severity="info",
        text="CP-01/1: transaction 1073741907 started",
        data={"transaction": "1073741907", "token": SESSION.token, "started_at": SESSION.started_at},
    ),
    "log": payloads.LogLine(level="warning", logger="edgegw.charger", text="CP-01: charger disconnected"),
    "response": payloads.Response(
        transaction="bms-42",
        status="ok",
        data={
            "circuit": "main",
            "limit_a": 32.0,
            "effective_a": 32.0,
            "bound_by": "bms",
            "until": "2026-11-20T23:42:01.000Z",
            "fallback_a": 16.0,
        },
        error=None,
        took_ms=14.0,
    ),
}
_BARE: Mapping[str, str] = {"status": "online", "availability": "online", "scalar": "7350"}

# By channel, what is on the wire: JSON values, or the text of a bare scalar.
PAYLOADS: Mapping[str, Any] = {
    **{name: {"ts": TS, **msgspec.to_builtins(payload)} for name, payload in _OF_CHANNEL.items()},
    **_BARE,
}

assert PAYLOADS.keys() == {channel.name for channel in CHANNELS}, "a channel has no example"
