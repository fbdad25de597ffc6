"""One charger of a site that nobody runs: detail, settings, messages. Fixed, as `tests.tui.made_up`."""

from __future__ import annotations

from typing import Any

from edgegw.control import detail_models as detail
from edgegw.control.event_models import EventView
from edgegw.control.frame_models import FrameView
from edgegw.control.live_models import ChargerRow
from edgegw.control.models import (
    ChargerView,
    CloudLeg,
    ConnectorView,
    ListsView,
    QueueCounts,
    TransactionView,
)
from edgegw.control.power_models import ConnectorPowerView
from tests.tui.made_up import at, notice


def transaction(number: int = 17, **changed: Any) -> TransactionView:
    values: dict[str, Any] = {
        "row": number,
        "charger": "CP007",
        "id": str(number),
        "cloud_id": str(number + 1000),
        "evse": 0,
        "connector": 1,
        "id_tag": "04A2****",
        "running": True,
        "started_at": at(4000),
        "stopped_at": "",
        "received_at": at(4000),
        "meter_start_wh": 1000,
        "meter_last_wh": 13_340,
        "meter_stop_wh": None,
        "energy_wh": 12_340,
        "stop_reason": "",
        "offline": False,
        "flags": (),
    }
    return TransactionView(**{**values, **changed})


def charger(row: ChargerRow) -> ChargerView:
    return ChargerView(
        identity=row.identity,
        verdict=row.verdict,
        vendor=row.vendor,
        model=row.model,
        serial="A-0815",
        firmware=row.firmware,
        version=row.version,
        connected=row.connected,
        peer_ip="192.0.2.17" if row.connected else "",
        since=at(9000) if row.connected else None,
        last_seen=row.last_seen,
        registration="accepted",
        cloud=CloudLeg(up=row.cloud == "up", since=at(8000), error="" if row.cloud == "up" else "HTTP 401"),
        connectors=(
            ConnectorView(
                id="1", status=row.status or "Unavailable", error_code="NoError", info="", at=at(60)
            ),
            ConnectorView(id="2", status="Faulted", error_code="GroundFailure", info="RCD 30 mA", at=at(500)),
        ),
        transactions=(transaction(),) if row.transactions else (),
        queue=QueueCounts(stored=row.queue, in_flight=0, parked=row.parked, oldest_unsent_at=None),
        lists=ListsView(list_version=0, listed=0, cached=3),
        complaints=(),
        quarantined=0,
    )


def event(**changed: Any) -> EventView:
    values: dict[str, Any] = {
        "charger": "CP007",
        "at": at(500),
        "first_at": at(3000),
        "said_at": at(500),
        "count": 3,
        "kind": "status",
        "code": "GroundFailure",
        "vendor_code": "E17",
        "connector": "2",
        "info": "RCD 30 mA",
        "cleared": False,
        "severity": "error",
        "known": True,
        "text": "The residual current device has tripped.",
        "todo": "Look for water in plug and cable; reset the device only when the cause is gone.",
    }
    return EventView(**{**values, **changed})


def connector_power(**changed: Any) -> ConnectorPowerView:
    values: dict[str, Any] = {
        "charger": "CP007",
        "connector": 1,
        "circuit": "garage",
        "limit_a": 6.0,
        "accepted_a": 6.0,
        "drawn_a": (5.9, 5.8, 5.9),
        "cloud_a": None,
        "safe_a": 6.0,
        "control": "steered",
        "why": "the meter grid is silent: the reserve of 40 A counts as the building",
        "fault": "",
        "method": "tx",
        "expires_in_s": 95.0,
        "writes_today": 41,
        "quirks": (),
    }
    return ConnectorPowerView(**{**values, **changed})


def full(row: ChargerRow) -> detail.ChargerDetail:
    return detail.ChargerDetail(
        charger=charger(row),
        power=(connector_power(charger=row.identity),),
        events=(event(), event(code="NoError", severity="info", cleared=True, text="No fault.", todo="")),
        clock_offset_s=-7210.0,
        boot=detail.BootView(
            at=at(9000), reason="PowerUp", vendor=row.vendor, model=row.model, serial="A-0815",
            firmware=row.firmware,
        ),
        handshake_failures=(notice(row.identity, row.handshake, 95),) if row.handshake else (),
        profile_answers=(
            detail.ProfileAnswer(at=at(12), connector=1, method="tx", limit_a=6.0, answer="Accepted"),
            detail.ProfileAnswer(at=at(70), connector=1, method="tx", limit_a=16.0, answer="Rejected"),
        ),
        alarms=(),
        orders=(),
        bypassed_until=None,
    )  # fmt: skip


PROFILE = detail.ProfileView(
    connector=1,
    span_s=14_400,
    steps=(
        detail.ProfileStep(from_s=0, limit_a=6.0, binds="the meter grid is silent"),
        detail.ProfileStep(from_s=3600, limit_a=16.0, binds="profile 3 of the cloud"),
        detail.ProfileStep(from_s=10_000, limit_a=32.0, binds="the connector's maximum"),
    ),
)

SETTINGS = detail.Settings(
    protocol="ocpp1.6",
    settings=(
        detail.Setting(name="AuthorizationKey", value=None, read_only=False, type="", note="a secret"),
        detail.Setting(name="HeartbeatInterval", value="300", read_only=False, type="", note="seconds"),
        detail.Setting(name="NumberOfConnectors", value="2", read_only=True, type="", note=""),
    ),
    asked_at=at(1),
    complete=True,
    text="",
)


def frame(number: int, **changed: Any) -> FrameView:
    values: dict[str, Any] = {
        "n": number,
        "at": at(60 - number),
        "charger": "CP007",
        "leg": "charger",
        "direction": "in",
        "kind": "CALL",
        "action": "Heartbeat",
        "message_id": str(number),
        "size_bytes": 24,
        "text": f'[2,"{number}","Heartbeat",{{}}]',
        "complaints": (),
    }
    return FrameView(**{**values, **changed})
