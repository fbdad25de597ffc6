"""What the core asks the store to keep, and what it gets back after a restart.

Everything here is data without behaviour: msgspec structs, because they cost a fifth of a frozen
dataclass to make and the relay makes several per message.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

import msgspec


class Lane(IntEnum):
    """Which part of the replay a stored message belongs to; lower lanes go first (OCPP 1.6 4.2, 4.9)."""

    BOOT = 0  # newest BootNotification of a charger that rebooted while the cloud was away
    STATUS = 1  # newest StatusNotification per connector, and every error event
    NOTICE = 2  # security events, firmware, diagnostics and log states, NotifyEvent
    TRANSACTION = 3  # Start, Stop, MeterValues, TransactionEvent: strictly in order


class RowState(StrEnum):
    STORED = "stored"  # answered here, waits for the cloud
    DELIVERED = "delivered"  # the cloud answered it
    PARKED = "parked"  # the cloud refused it for good; a person may send it again
    RECORDED = "recorded"  # standalone: there is no cloud to deliver to


class JournalRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One message of a charger that was answered here. Unique by (charger, epoch, message_id)."""

    charger: str
    seq: int  # per charger, +1 for each row; a hole shows a lost row
    epoch: int  # raised when the charger reboots or re-uses a message id for something else
    message_id: str
    lane: Lane
    version: str
    action: str
    raw: bytes  # the frame as it came
    answer: bytes  # what the charger was told
    received_at: float  # wall clock of the gateway, seconds since 1970
    clock_trusted: bool
    state: RowState = RowState.STORED
    transaction: str = ""  # id the charger knows; "" when none
    subject: str = ""  # what newest-only lanes are newest of: "connector 2", ...
    flags: tuple[str, ...] = ()  # "clock_suspect", "unknown_connector", ...
    attempts: int = 0  # times the cloud answered it with CALLERROR
    error: str = ""  # the last refusal in words


class TransactionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One charging transaction as people and the API see it. Key: (charger, id)."""

    charger: str
    id: str  # the id the charger uses: local (1.6, started away from the cloud), cloud's, or 2.x
    cloud_id: str = ""  # what the cloud calls it; "" while it has not said
    connector: int = 0  # 1.6 connectorId, 2.x connectorId (0 unknown)
    evse: int = 0  # 2.x
    id_tag: str = ""
    started_at: str = ""  # as the charger wrote it
    stopped_at: str = ""
    received_at: float = 0.0  # wall clock of the gateway at its start
    meter_start_wh: int | None = None
    meter_last_wh: int | None = None
    meter_stop_wh: int | None = None
    stop_reason: str = ""
    offline: bool = False  # began or ended while the cloud was away
    running: bool = True
    flags: tuple[str, ...] = ()


# --- what the core wants of the store, in one commit per list of effects -------------------------


class Append(msgspec.Struct, frozen=True, gc=False):
    """Insert a row. Durable before any later effect of the same list is carried out."""

    row: JournalRow


class Settle(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Change the state of a row. Durable before any later effect of the same list."""

    charger: str
    seq: int
    state: RowState
    attempts: int = 0
    error: str = ""


class Discard(msgspec.Struct, frozen=True, gc=False):
    """Delete rows that a newer one replaced (newest-only lanes). Never used on lane TRANSACTION."""

    charger: str
    seqs: tuple[int, ...]


class SaveDocument(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Insert, replace or (value None) delete one small document. Key: (kind, charger, key).

    `durable` documents are on disk before any later effect; the others ride along with the next
    commit, at most about 0.1 s later (`runtime.ride_along`).
    """

    kind: str  # "charger", "transaction_id", "list", "cache", "status", ...
    charger: str  # "" for the site's own
    key: str
    value: bytes | None  # JSON; its shape is the core's business
    durable: bool = True


class SaveTransaction(msgspec.Struct, frozen=True, gc=False):
    """Insert or replace a TransactionRecord. Rides along with the next commit."""

    record: TransactionRecord


StoreOp = Append | Settle | Discard | SaveDocument | SaveTransaction


# --- what comes back ------------------------------------------------------------------------------


class Document(msgspec.Struct, frozen=True, gc=False):
    kind: str
    charger: str
    key: str
    value: bytes


class ChargerRecovery(msgspec.Struct, frozen=True, kw_only=True):
    """All the store knows of one charger at start, without the rows themselves."""

    charger: str
    seq_last: int = 0
    epoch_last: int = 0
    stored: dict[Lane, int] = {}  # rows waiting, per lane
    stored_rows_head: tuple[JournalRow, ...] = ()  # every waiting row of lanes 0..2, bounded; none of lane 3
    parked: int = 0
    oldest_stored_at: float | None = None
    recent: tuple[JournalRow, ...] = ()  # the last 32 rows of lane 3 in any state: a charger may re-send them
    documents: tuple[Document, ...] = ()
    open_transactions: tuple[TransactionRecord, ...] = ()
    ended_transactions: tuple[TransactionRecord, ...] = ()  # the newest, oldest first; bounded


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    chargers: tuple[ChargerRecovery, ...] = ()
    documents: tuple[Document, ...] = ()  # the site's own (charger == "")
