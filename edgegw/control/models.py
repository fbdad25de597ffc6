"""What the local API says, as frozen models: OpenAPI is generated from them, the clients read them.

Rules of this file:
- Data without behaviour and without any other room: the console and the command line import it too.
- Times are RFC 3339 in UTC with "Z", or null while there is none. Sizes are bytes, energy is Wh.
- A reader ignores members it does not know, so a newer gateway may say more.
- Never a password, never a whole card id in a list (`control.masking`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
QueueState = Literal["stored", "in_flight", "parked", "delivered", "recorded"]
LaneName = Literal["boot", "status", "notice", "transaction"]


class View(BaseModel):
    """What every model of this file shares."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        json_schema_serialization_defaults_required=True,
        defer_build=True,  # there are a hundred of them: whoever starts pays for those it uses
    )


# --- errors ---------------------------------------------------------------------------------------


class ErrorText(View):
    code: str = Field(description='a short stable name, such as "no_such_charger"')
    text: str = Field(description="what happened and what to do about it, in words")


class ErrorBody(View):
    """Every answer that is not a success has this body."""

    error: ErrorText


# --- the box --------------------------------------------------------------------------------------


class StoreHealth(View):
    """The journal. Numbers are null while the store does not answer."""

    stored: int | None = Field(description="messages that wait for the cloud, those in flight included")
    in_flight: int = Field(description="sent to the cloud and not answered yet")
    parked: int | None = Field(description="refused by the cloud for good; a person may send them again")
    quarantined: int | None = Field(description="damaged rows that were moved out of the way")
    oldest_unsent_at: Time | None
    oldest_unsent_s: float | None = Field(description="age in seconds")
    database_bytes: int | None
    wal_bytes: int | None
    free_disk_bytes: int | None
    reserve: bool | None = Field(description="whether the disk space kept back for messages is untouched")
    broken: bool = Field(description="nothing can be stored until edgegw is started again")


class CloudHealth(View):
    """`mode`: "standalone" no cloud is configured; "serving" it is reached; "away" it is not."""

    mode: Literal["standalone", "serving", "away"]
    since: Time | None = Field(description="since when it is in this mode, as far as known")
    connected_legs: int = Field(description="chargers with an open connection to the cloud")
    error: str = Field(description='why the last connection failed or ended; "" while all is well')


class ClockHealth(View):
    now: Time
    trusted: bool = Field(description="false while the wall clock of the box cannot be right")


class Health(View):
    """`status`: "ok"; "away" the cloud is not reached and the box does its work; "degraded" it cannot."""

    status: Literal["ok", "away", "degraded"]
    reasons: tuple[str, ...] = Field(description="why it is not ok, in words")
    warnings: tuple[str, ...] = Field(description="what somebody should look at")
    version: str
    started_at: Time
    uptime_s: float
    store: StoreHealth
    cloud: CloudHealth
    clock: ClockHealth


class Notice(View):
    """`charger` is an identity, or the address of a connection that had none yet."""

    at: Time
    charger: str
    kind: str
    text: str


class ChargerCounts(View):
    known: int
    connected: int
    to_cloud: int = Field(description="of the connected: with a connection to the cloud")


class QueueCounts(View):
    """Messages for the cloud. `stored` waits, `in_flight` was sent and is not answered: no row is in both."""

    stored: int
    in_flight: int
    parked: int
    oldest_unsent_at: Time | None


class SiteView(View):
    id: str
    name: str
    version: str
    now: Time
    chargers: ChargerCounts
    running_transactions: int
    queue: QueueCounts
    cloud: CloudHealth
    counters: dict[str, int] = Field(description="events since the start, by kind")
    notices: tuple[Notice, ...] = Field(description="newest first")
    handshake_failures: tuple[Notice, ...] = Field(description="newest first")


# --- chargers -------------------------------------------------------------------------------------


class CloudLeg(View):
    up: bool
    since: Time | None = Field(description="when it came up or went down")
    error: str


class ConnectorView(View):
    id: str = Field(description='1.6: "2"; 2.x: EVSE and connector')
    status: str
    error_code: str
    info: str
    at: Time | None


class ListsView(View):
    """Authorisation data the box holds of this charger: counts, never the card ids."""

    list_version: int
    listed: int
    cached: int


class Complaint(View):
    rule: str = Field(description="where a message breaks its schema, or is no OCPP-J frame")
    count: int


class TransactionView(View):
    row: int | None = Field(description="row of the store, to page on with `before`; null for a single one")
    charger: str
    id: str = Field(description="the id the charger uses")
    cloud_id: str = Field(description='the id the cloud uses; "" while it has not said')
    evse: int = Field(description="2.x; 0 unknown")
    connector: int
    id_tag: str = Field(description="masked in lists")
    running: bool
    started_at: str = Field(description="as the charger wrote it")
    stopped_at: str
    received_at: Time | None
    meter_start_wh: int | None
    meter_last_wh: int | None
    meter_stop_wh: int | None
    energy_wh: int | None = Field(description="last known minus first known reading")
    stop_reason: str
    offline: bool = Field(description="began or ended while the cloud was away")
    flags: tuple[str, ...]


class ChargerView(View):
    identity: str
    verdict: str = Field(description="one line for the technician")
    vendor: str
    model: str
    serial: str
    firmware: str
    version: str = Field(description="OCPP subprotocol spoken now, or last")
    connected: bool
    peer_ip: str
    since: Time | None = Field(description="when its connection was opened; null when it is not connected")
    last_seen: Time | None
    registration: Literal["never", "accepted", "pending", "rejected"] = Field(
        description="the cloud's last word on it"
    )
    cloud: CloudLeg
    connectors: tuple[ConnectorView, ...]
    transactions: tuple[TransactionView, ...] = Field(description="the running ones")
    queue: QueueCounts
    lists: ListsView
    complaints: tuple[Complaint, ...] = Field(description="most frequent first")
    quarantined: int = Field(description="refused messages kept for reading")


class ChargerList(View):
    chargers: tuple[ChargerView, ...] = Field(description="by identity")


class QuarantinedFrame(View):
    at: Time
    why: str
    text: str = Field(description="the beginning of the message; withheld where it may hold a secret")


class Quarantine(View):
    charger: str
    frames: tuple[QuarantinedFrame, ...] = Field(description="newest first")


class TransactionList(View):
    transactions: tuple[TransactionView, ...] = Field(description="newest first")
    next_before: int | None = Field(description="give it as `before` for the next page; null: no more")


# --- the queue ------------------------------------------------------------------------------------


class ChargerQueue(QueueCounts):
    charger: str


class QueueView(QueueCounts):
    chargers: tuple[ChargerQueue, ...] = Field(description="chargers with messages, the longest queue first")


class QueueRow(View):
    """One message that was answered here."""

    row: int | None = Field(description="row of the store, to page on with `before`")
    charger: str
    seq: int = Field(description="counts the messages kept of this charger")
    state: QueueState
    lane: LaneName
    action: str
    message_id: str
    received_at: Time
    clock_trusted: bool
    transaction: str
    attempts: int = Field(description="times the cloud answered it with CALLERROR")
    error: str = Field(description="the last refusal")
    flags: tuple[str, ...]
    raw: str | None = Field(description="the frame; only when asked for, card ids and passwords masked")


class QueueRows(View):
    rows: tuple[QueueRow, ...] = Field(description="newest first")
    next_before: int | None = Field(description="give it as `before` for the next page; null: no more")


class Resend(BaseModel):
    """Send parked messages of a charger to the cloud again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    charger: str
    seqs: Annotated[list[int], Field(min_length=1, max_length=10_000)] | None = Field(
        default=None, description="which ones; null: all of them"
    )


class Resent(View):
    charger: str
    resent: int = Field(description="how many were parked and wait again")


# --- calls ----------------------------------------------------------------------------------------


class CallRequest(BaseModel):
    """A CALL for a charger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: str = Field(min_length=1, max_length=50)
    payload: dict[str, JsonValue] = Field(default_factory=dict)
    unchecked: bool = Field(default=False, description="send an action that the OCPP version does not have")


class CallAnswer(View):
    """What the charger answered: "result" a CALLRESULT with `payload`, "error" a CALLERROR with the rest."""

    outcome: Literal["result", "error"]
    payload: dict[str, Any] | None = None
    code: str | None = None
    description: str | None = None
    details: dict[str, Any] | None = None


class CallUnanswered(ErrorBody):
    """No answer: "timeout" it was silent, "gone" it is not connected or left before it answered."""

    outcome: Literal["timeout", "gone"]
