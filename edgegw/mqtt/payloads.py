"""What the payloads of the topic tree are, as frozen structs: the schemas are generated from them.

Rules of this file:
- Data without behaviour and without any other room. `docs/mqtt` holds the schemas made from it.
- A key is always there; what is not known is null. Numbers are finite numbers, and their names carry the
  unit. Times are RFC 3339 in UTC with "Z".
- `ts` is when the payload was made. It is put in front when a payload is sent, so that a state that did not
  change is not a new one; so it stands in no struct here but is required by every schema.
- Never a card id: a hash of it at most.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

API = 1  # the major number of the tree; it stands in every topic

Time = Annotated[
    str,
    Meta(
        description="RFC 3339, UTC",
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$",
        extra_json_schema={"format": "date-time"},
    ),
]
PhaseAmps = Annotated[
    tuple[float | None, float | None, float | None], Meta(description="amps on L1, L2, L3 of the grid")
]
PhaseValues = tuple[float | None, float | None, float | None]
SeverityName = Literal["info", "warning", "error", "critical"]


class Payload(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every state, event and response shares."""


# --- the box --------------------------------------------------------------------------------------


class ChargerRef(Payload, frozen=True, kw_only=True, gc=False):
    topic: Annotated[str, Meta(description="its name in topics")]
    identity: Annotated[str, Meta(description="its OCPP identity, as it is")]


class Info(Payload, frozen=True, kw_only=True, gc=False):
    """`info`"""

    gateway: Annotated[str, Meta(description="id of the site")]
    name: str
    version: str
    api: int
    hostname: str
    started_at: Time
    features: Annotated[tuple[str, ...], Meta(description="what is switched on")]
    commands: Annotated[tuple[str, ...], Meta(description="verbs that are accepted; empty: none")]
    chargers: tuple[ChargerRef, ...]
    meters: tuple[str, ...]
    circuits: tuple[str, ...]


class Health(Payload, frozen=True, kw_only=True, gc=False):
    """`health`"""

    status: Literal["ok", "away", "degraded"]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    uptime_s: int
    cpu_temp_c: float | None
    load_1m: float | None
    memory_rss_bytes: int | None
    disk_free_bytes: int | None
    database_bytes: int | None
    wal_bytes: int | None
    queue_depth: Annotated[int | None, Meta(description="messages that wait for the cloud")]
    parked: int | None
    oldest_queued_s: float | None
    clock_trusted: bool
    clock_offset_ms: Annotated[float | None, Meta(description="as the system's time service estimates it")]
    loop_lag_ms: Annotated[float | None, Meta(description="the worst of the last minute")]
    events_dropped: Annotated[int, Meta(description="events that never reached the broker, since the start")]
    alarms: Annotated[int, Meta(description="alarms that are on")]


class CloudState(Payload, frozen=True, kw_only=True, gc=False):
    """`cloud/state`: the way of the whole site to the operator's cloud."""

    mode: Literal["standalone", "serving", "away"]
    since: Time | None
    connected_legs: int
    url_host: str
    queue_depth: int
    in_flight: int
    parked: int
    oldest_queued_at: Time | None
    last_error: str


# --- power ----------------------------------------------------------------------------------------


class MeterState(Payload, frozen=True, kw_only=True, gc=False):
    """`meter/<m>/state`"""

    meter: str
    ok: bool
    power_w: float | None
    power_l_w: PhaseValues
    current_l_a: PhaseAmps
    voltage_l_v: PhaseValues
    frequency_hz: float | None
    import_wh: int | None
    export_wh: int | None
    age_ms: int | None
    trouble: str


class SiteState(Payload, frozen=True, kw_only=True, gc=False):
    """`site/state`: the main fuse and what the chargers do, at a glance."""

    import_w: float | None
    current_l_a: PhaseAmps
    fuse_a: float | None
    limit_a: Annotated[float | None, Meta(description="the lowest of the three phases")]
    limit_l_a: PhaseAmps
    limit_source: str
    headroom_a: Annotated[float | None, Meta(description="what is free on the tightest phase")]
    chargers_w: float | None
    chargers_known: int
    chargers_connected: int
    connectors_charging: int
    transactions_running: int
    energy_wh: Annotated[int, Meta(description="all connectors together; never falls")]
    alarms: int
    worst_severity: SeverityName | None


class CircuitState(Payload, frozen=True, kw_only=True, gc=False):
    """`circuit/<c>/state`"""

    circuit: str
    parent: str
    fuse_a: float
    limit_l_a: PhaseAmps
    limit_source: str
    measured_l_a: PhaseAmps
    building_l_a: PhaseAmps
    granted_l_a: PhaseAmps
    free_l_a: PhaseAmps
    meter_stale: bool


class LimitOnCircuit(Payload, frozen=True, kw_only=True, gc=False):
    circuit: str
    limit_a: Annotated[float, Meta(description="lowest of the three phases")]
    limit_l_a: PhaseAmps
    asked_w: float | None
    chargers_only: bool
    priority: int
    until: Time | None
    fallback_a: float | None
    state: Annotated[
        Literal["holds", "fallback"], Meta(description='"fallback": it expired, its fallback holds')
    ]


class LimitState(Payload, frozen=True, kw_only=True, gc=False):
    """`limit/<source>/state`"""

    source: str
    limits: tuple[LimitOnCircuit, ...]


class ConnectorAllocation(Payload, frozen=True, kw_only=True, gc=False):
    charger: str
    connector: int
    limit_a: float
    accepted_a: float | None
    reason: str
    binding: Annotated[str, Meta(description="kind of the constraint that holds it there")]
    control: Literal["unknown", "steered", "refuses", "disobeys", "silent"]


class BalancerState(Payload, frozen=True, kw_only=True, gc=False):
    """`balancer/state`"""

    mode: Literal["off", "steering", "failing"]
    last_decision_at: Annotated[Time | None, Meta(description="when one of the allocations changed last")]
    reason: str
    allocations: tuple[ConnectorAllocation, ...]


# --- chargers -------------------------------------------------------------------------------------


class ChargerInfo(Payload, frozen=True, kw_only=True, gc=False):
    """`charger/<cp>/info`"""

    identity: str
    vendor: str
    model: str
    serial: str
    firmware: str
    protocol: str
    registration: Literal["never", "accepted", "pending", "rejected"]
    quirks: tuple[str, ...]
    connectors: tuple[int, ...]
    verdict: Annotated[str, Meta(description="one line for the technician")]


class ChargerCloud(Payload, frozen=True, kw_only=True, gc=False):
    """`charger/<cp>/cloud`: its own connection onward."""

    connected: bool
    since: Time | None
    url_host: str
    queue_depth: int
    parked: int
    last_error: str


class ConnectorState(Payload, frozen=True, kw_only=True, gc=False):
    """`charger/<cp>/connector/<n>/state`"""

    connector: int
    status: str
    error_code: str
    info: str
    power_w: float | None
    current_l_a: Annotated[PhaseValues, Meta(description="of the charger's own L1, L2, L3")]
    energy_wh: Annotated[int, Meta(description="the gateway's own count; never falls")]
    limit_a: float | None
    limit_reason: Annotated[str, Meta(description="in words")]
    phases: int | None
    transaction: Annotated[str | None, Meta(description="id that the charger uses, while one runs")]
    limit_binding: Annotated[str, Meta(description="kind of the constraint that holds the limit there")] = ""


class SessionState(Payload, frozen=True, kw_only=True, gc=False):
    """`charger/<cp>/session/<n>`: the running or the last one at connector n."""

    connector: int
    transaction: str
    state: Literal["running", "ended"]
    started_at: Time | None
    ended_at: Time | None
    energy_wh: int | None
    token: Annotated[str, Meta(description="salted hash of the card id, or the card id when so configured")]
    stop_reason: str
    offline: bool


class FirmwareState(Payload, frozen=True, kw_only=True, gc=False):
    """`charger/<cp>/firmware`"""

    version: str
    state: Annotated[str, Meta(description='as the charger said last; "" never')]
    file: str
    progress: Annotated[float | None, Meta(description="0 to 1 of the download here")]
    error: str


# --- alarms, events, logs -------------------------------------------------------------------------


class AlarmState(Payload, frozen=True, kw_only=True, gc=False):
    """`alarm/<id>`; an empty payload when it is over."""

    id: str
    code: str
    severity: SeverityName
    title: str
    text: str
    todo: str
    target: str
    state: Literal["active", "cleared"]
    acknowledged: bool
    acknowledged_by: str
    since: Time
    last_at: Time
    count: int
    latched: bool


class Event(Payload, frozen=True, kw_only=True, gc=False):
    """`event`: something happened. `id` is the same when one is sent twice."""

    id: str
    seq: int
    at: Time
    kind: str
    target: str
    severity: SeverityName
    text: str
    data: dict[str, Any]


class LogLine(Payload, frozen=True, kw_only=True, gc=False):
    """`log`"""

    level: str
    logger: str
    text: str


# --- commands -------------------------------------------------------------------------------------


class ErrorText(Payload, frozen=True, kw_only=True, gc=False):
    code: str
    text: str


class Response(Payload, frozen=True, kw_only=True, gc=False):
    """`response/<verb>`"""

    transaction: str | None
    status: Literal["ok", "error"]
    data: dict[str, Any] | None
    error: ErrorText | None
    took_ms: float
