"""Everything that decides which transaction id is on the wire lives here, with what is known of each.

- OCPP 1.6: the cloud gives the id in StartTransaction.conf. While it is away the box gives one, from a
  reserved range; the pair local <-> cloud is learned when the stored StartTransaction is answered and
  applied to every later message, for as long as one may come (`forget_pairs`). A transaction that began
  online keeps the cloud's id.
- OCPP 2.x: the charger makes the id; nothing is ever rewritten.
- Every look-up is by (charger, id): one charger can never touch another's transaction.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
from msgspec.structs import replace

from edgegw.core.events import Instant
from edgegw.core.meter_values import energy_register_wh
from edgegw.core.records import Document, SaveDocument, SaveTransaction, TransactionRecord
from edgegw.wire.frames import Call

LOCAL_ID_FIRST = 0x40000000  # half of the positive 31-bit range; clouds count from 1
LOCAL_ID_LAST = 0x7FFFFFFF
_DIGITS_MAX = len(str(LOCAL_ID_LAST))
REFUSED_ID = -1  # what a charger uses that never got an id (1.6 errata 3.54): the cloud must answer it
RUNNING_MAX = 64  # per charger; beyond it the oldest is closed as "no stop seen"
ENDED_MAX = 64  # per charger; whose end is remembered, so that a second end changes nothing (fault 36)
PAIRS_KEPT_S = 60 * 86400.0  # a charger may come back with a Stop long after
# Per charger, of transactions that do not run and that no stored message is of: what may still be said of
# them is a Stop that is repeated, or what they cost. More while a person may have parked messages sent again.
PAIRS_MAX = 64
PAIRS_MAX_PARKED = 1000


class IdPair(msgspec.Struct, frozen=True, gc=False):
    """A 1.6 transaction that began away from the cloud. `cloud` None: not answered yet."""

    local: int
    fingerprint: str  # connector, tag, meter and time of the Start while it runs: repeated, it gets this id
    at: float  # wall clock, seconds; 0 while the clock could not be trusted: of no known age
    cloud: int | None = None


class Transactions:
    __slots__ = ("_by_cloud", "_by_fingerprint", "_charger", "_pairs", "_past", "running")

    def __init__(self, charger: str) -> None:
        self._charger = charger
        self.running: dict[str, TransactionRecord] = {}
        self._past: OrderedDict[str, TransactionRecord] = OrderedDict()
        self._pairs: dict[int, IdPair] = {}
        self._by_cloud: dict[int, int] = {}
        self._by_fingerprint: dict[str, int] = {}

    # --- ids (1.6) -------------------------------------------------------------------------------

    def repeated_start(self, call: Call) -> int | None:
        """The local id already given to this very StartTransaction.

        Only while it runs: a charger without a clock says the same words for its next transaction.
        """
        local = self._by_fingerprint.get(_fingerprint(call.payload))
        return local if str(local) in self.running else None

    def is_local(self, transaction_id: object) -> bool:
        return isinstance(transaction_id, int) and transaction_id in self._pairs

    def in_use(self, local: int) -> bool:
        """Would this id mean another transaction to this charger?"""
        return local in self._pairs or str(local) in self.running

    def id_for_cloud(self, transaction_id: object) -> int | None:
        """What the cloud must read instead, or None to leave the bytes alone."""
        if not isinstance(transaction_id, int):
            return None
        pair = self._pairs.get(transaction_id)
        if pair is None:
            return None
        # Its Start precedes every other message of it; no id by now means the cloud refused it for good.
        return REFUSED_ID if pair.cloud is None else pair.cloud

    def id_for_charger(self, cloud_id: object) -> int | None:
        """The local id the charger knows for the cloud's, or None to leave the bytes alone."""
        return self._by_cloud.get(cloud_id) if isinstance(cloud_id, int) else None

    def open_pair(self, call: Call, local: int, now: Instant) -> SaveDocument:
        return self._keep(IdPair(local, _fingerprint(call.payload), _dated(now)))

    def adopt_pair(self, local: int, cloud_id: int, now: Instant) -> SaveDocument:
        """The cloud's id equals one of ours that is in use: this charger gets another for it."""
        return self._keep(IdPair(local, f"cloud {cloud_id}", _dated(now), cloud_id))

    def bind(self, local: int, cloud_id: int) -> list[SaveDocument]:
        """The cloud answered the stored Start. First answer wins (a second one changes nothing)."""
        pair = self._pairs.get(local)
        if pair is None or (pair.cloud is not None and pair.cloud != REFUSED_ID):
            return []
        return [self._keep(IdPair(local, pair.fingerprint, pair.at, cloud_id))]

    def forget_old_pairs(self, now: Instant) -> list[SaveDocument]:
        """Never one that a running transaction or, as the caller must know, a stored message still needs."""
        if not now.trusted:
            return []
        undated = [p for p in self._pairs.values() if not p.at]
        dated = [self._keep(replace(p, at=now.wall)) for p in undated]
        return [*dated, *self._forget([p for p in self._idle_pairs() if now.wall - p.at > PAIRS_KEPT_S])]

    def forget_pairs(self, most: int = PAIRS_MAX) -> list[SaveDocument]:
        """All but the newest `most`. As `forget_old_pairs`, whatever time it is."""
        idle = self._idle_pairs()
        return self._forget(idle[: max(0, len(idle) - most)])

    def _idle_pairs(self) -> list[IdPair]:
        return [p for p in self._pairs.values() if str(p.local) not in self.running]

    def _forget(self, pairs: list[IdPair]) -> list[SaveDocument]:
        for pair in pairs:  # a newer one may have taken over its words, or the cloud's id
            del self._pairs[pair.local]
            if self._by_fingerprint.get(pair.fingerprint) == pair.local:
                del self._by_fingerprint[pair.fingerprint]
            if pair.cloud is not None and self._by_cloud.get(pair.cloud) == pair.local:
                del self._by_cloud[pair.cloud]
        return [self._document(pair.local, None) for pair in pairs]

    def _no_repeat(self, transaction_id: str) -> None:
        """It does not run any more: the words of its Start need no room, however long a backlog becomes."""
        is_number = transaction_id.isdecimal() and len(transaction_id) <= _DIGITS_MAX
        pair = self._pairs.get(int(transaction_id)) if is_number else None
        if pair is None or not pair.fingerprint:
            return
        if self._by_fingerprint.get(pair.fingerprint) == pair.local:
            del self._by_fingerprint[pair.fingerprint]
        self._pairs[pair.local] = replace(pair, fingerprint="")

    def _keep(self, pair: IdPair) -> SaveDocument:
        self._pairs[pair.local] = pair
        if pair.fingerprint:
            self._by_fingerprint[pair.fingerprint] = pair.local
        if pair.cloud is not None and pair.cloud != REFUSED_ID:
            self._by_cloud[pair.cloud] = pair.local
        return self._document(pair.local, msgspec.json.encode(pair))

    def _document(self, local: int, value: bytes | None) -> SaveDocument:
        return SaveDocument(kind="transaction_id", charger=self._charger, key=str(local), value=value)

    # --- records ---------------------------------------------------------------------------------

    def started(
        self, call: Call, transaction_id: str, now: Instant, *, offline: bool, cloud_id: str = ""
    ) -> list[SaveTransaction]:
        """StartTransaction was answered with this id."""
        payload = call.payload
        connector = _int(payload.get("connectorId"))
        saved = self._close_orphans(connector)
        record = TransactionRecord(
            charger=self._charger,
            id=transaction_id,
            cloud_id=cloud_id,
            connector=connector,
            id_tag=str(payload.get("idTag", "")),
            started_at=str(payload.get("timestamp", "")),
            received_at=now.wall,
            meter_start_wh=_wh(payload.get("meterStart")),
            meter_last_wh=_wh(payload.get("meterStart")),
            offline=offline,
        )
        self.running[transaction_id] = record
        self._past.pop(transaction_id, None)
        self._now_means(record)
        return [*saved, _saved_running(record)]

    def _now_means(self, record: TransactionRecord) -> None:
        """A cloud that counts anew gives an id that once was another transaction's: the newest counts."""
        if record.id == record.cloud_id and record.id.isdecimal():
            self._by_cloud.pop(int(record.id), None)

    def _close_orphans(self, connector: int) -> list[SaveTransaction]:
        """A Start on a busy connector: the old transaction has no Stop; never merge them."""
        old = [r for r in self.running.values() if r.connector == connector and connector > 0]
        if len(self.running) >= RUNNING_MAX:
            old.append(next(iter(self.running.values())))
        for record in old:
            self.running.pop(record.id, None)
            self._no_repeat(record.id)
        return [SaveTransaction(replace(r, running=False, flags=(*r.flags, "no_stop_seen"))) for r in old]

    def uses_tag(self, id_token: object, *, besides: str) -> bool:
        """2.x: is a running transaction other than this one charged to the token?"""
        text = str(id_token.get("idToken", "")) if isinstance(id_token, dict) else ""
        tag = text.casefold()
        return bool(tag) and any(
            r.id_tag.casefold() == tag and r.id != besides for r in self.running.values()
        )

    def named_by_cloud(self, transaction_id: str, cloud_id: str) -> list[SaveTransaction]:
        """Also of one that has ended since: its record is not complete without the name."""
        records = self.running if transaction_id in self.running else self._past
        record = records.get(transaction_id)
        if record is None:
            return []
        named = records[transaction_id] = replace(record, cloud_id=cloud_id)
        return [_saved_running(named) if named.running else SaveTransaction(named)]

    def metered(self, call: Call) -> None:
        """MeterValues.req of 1.6; kept in memory, saved with the Stop."""
        record = self.running.get(str(call.payload.get("transactionId", "")))
        if record is None:
            return
        energy = energy_register_wh(call.payload.get("meterValue"))
        if energy is not None:
            self.running[record.id] = replace(record, meter_last_wh=energy)

    def stopped(self, call: Call, now: Instant, *, offline: bool) -> list[SaveTransaction]:
        """StopTransaction.req of 1.6. One for a transaction nobody knows is recorded all the same."""
        payload = call.payload
        key = str(payload.get("transactionId", ""))
        if key in self._past:
            return []
        record = self.running.pop(key, None)
        self._no_repeat(key)
        if record is None:
            record = TransactionRecord(
                charger=self._charger, id=key, received_at=now.wall, flags=("no_start_seen",)
            )
        ended = replace(
            record,
            stopped_at=str(payload.get("timestamp", "")),
            meter_stop_wh=_wh(payload.get("meterStop")),
            stop_reason=str(payload.get("reason", "Local")),  # absent means Local (1.6 7.37)
            offline=record.offline or offline,
            running=False,
        )
        return [self._remember_end(ended)]

    def _remember_end(self, record: TransactionRecord) -> SaveTransaction:
        self._past[record.id] = record
        if len(self._past) > ENDED_MAX:
            self._past.popitem(last=False)
        return SaveTransaction(record)

    def event(self, call: Call, now: Instant, *, offline: bool) -> list[SaveTransaction]:
        """TransactionEvent.req of 2.x. Saved at its start and end and when it says more than a reading."""
        payload = call.payload
        info = payload.get("transactionInfo")
        key = str(info.get("transactionId", "")) if isinstance(info, dict) else ""
        if key in self._past:
            return []
        known = self.running.get(key)
        record = known or _from_event(self._charger, key, payload, now)
        energy = energy_register_wh(payload.get("meterValue"))
        if energy is not None:
            record = replace(
                record,
                meter_last_wh=energy,
                meter_start_wh=energy if record.meter_start_wh is None else record.meter_start_wh,
            )
        if not record.evse and isinstance(payload.get("evse"), dict):
            evse = payload["evse"]  # some say it only once the cable is in
            record = replace(record, evse=_int(evse.get("id")), connector=_int(evse.get("connectorId")))
        token = payload.get("idToken")
        if not record.id_tag and isinstance(token, dict):
            record = replace(record, id_tag=str(token.get("idToken", "")))
        if offline and not record.offline:
            record = replace(record, offline=True)
        if payload.get("eventType") == "Ended":
            return [self._ended(record, payload, info, energy)]
        saved: list[SaveTransaction] = []
        if known is None:
            saved = self._close_orphans(0)
        if known is None or replace(record, meter_last_wh=known.meter_last_wh) != known:
            saved.append(_saved_running(record))
        self.running[key] = record
        return saved

    def _ended(
        self, record: TransactionRecord, payload: dict[str, Any], info: Any, energy: int | None
    ) -> SaveTransaction:
        self.running.pop(record.id, None)
        reason = info.get("stoppedReason", "Local") if isinstance(info, dict) else "Local"
        ended = replace(
            record,
            stopped_at=str(payload.get("timestamp", "")),
            meter_stop_wh=energy if energy is not None else record.meter_last_wh,
            stop_reason=str(reason),
            running=False,
        )
        return self._remember_end(ended)

    @property
    def ended(self) -> Iterator[TransactionRecord]:
        """Those whose end is remembered, the newest first."""
        return reversed(self._past.values())

    # --- keep ------------------------------------------------------------------------------------

    def recover_pair(self, document: Document) -> int:
        """Returns the local id, so that the site never gives it again."""
        pair = msgspec.json.decode(document.value, type=IdPair)
        self._keep(pair)
        return pair.local

    def pair_documents(self) -> list[SaveDocument]:
        """What is kept of the ids, as `recover_pair` reads it."""
        return [self._document(pair.local, msgspec.json.encode(pair)) for pair in self._pairs.values()]

    def newest_ended(self, count: int) -> tuple[TransactionRecord, ...]:
        """Oldest first, as `recover` wants them."""
        return tuple(islice(reversed(self._past.values()), count))[::-1]

    def metered_before(self, transaction_id: str, register_wh: int) -> None:
        """After a restart: the last reading of a running transaction that was kept, wherever that was."""
        record = self.running.get(transaction_id)
        if record is None or record.meter_last_wh is not None:
            return
        if record.meter_start_wh is None or register_wh >= record.meter_start_wh:
            self.running[transaction_id] = replace(record, meter_last_wh=register_wh)

    def recover(self, running: tuple[TransactionRecord, ...], ended: tuple[TransactionRecord, ...]) -> None:
        """`ended` as well: a Stop that is repeated after a restart must not write over its record."""
        self.running = {record.id: record for record in running}
        self._past = OrderedDict((record.id, record) for record in ended[-ENDED_MAX:])
        for record in running:
            self._now_means(record)
        for local in [str(local) for local in self._pairs if str(local) not in self.running]:
            self._no_repeat(local)


def _saved_running(record: TransactionRecord) -> SaveTransaction:
    """Without its last reading: after a restart it would be old, and look like the newest."""
    return SaveTransaction(replace(record, meter_last_wh=None))


def _from_event(charger: str, key: str, payload: dict[str, Any], now: Instant) -> TransactionRecord:
    evse = payload.get("evse")
    evse = evse if isinstance(evse, dict) else {}
    started = payload.get("eventType") == "Started"
    return TransactionRecord(
        charger=charger,
        id=key,
        cloud_id=key,
        evse=_int(evse.get("id")),
        connector=_int(evse.get("connectorId")),
        started_at=str(payload.get("timestamp", "")),
        received_at=now.wall,
        flags=() if started else ("no_start_seen",),
    )


def _dated(now: Instant) -> float:
    return now.wall if now.trusted else 0.0


def _fingerprint(start: dict[str, Any]) -> str:
    return "|".join(str(start.get(k)) for k in ("connectorId", "idTag", "meterStart", "timestamp"))


def _int(value: object) -> int:
    """Schema-valid does not mean sane: SQLite integers are 64 bit."""
    return value if isinstance(value, int) and abs(value) < 2**31 else 0


def _wh(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**62 else None
