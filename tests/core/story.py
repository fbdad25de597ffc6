"""A charger, a cloud, a store and a clock around one `Charger`, so that a test reads like a story.

Everything the core asks for is done at once and in order by the real `Sequencer`: store operations go
into a dict that keeps the promises of the journal (unique keys, all or nothing), messages land in the
mailbox of whoever they are for, a `LoadRows` and an `AskReplaySlot` are answered. Ids and times are counted,
never drawn. `restart()` is a power cut: what is left is what the store holds.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import Any

import orjson
from msgspec.structs import replace

from edgegw.core.charger import Charger
from edgegw.core.effects import (
    AskReplaySlot,
    CallFinished,
    CloseCharger,
    CloseCloud,
    CredentialsChanged,
    Effect,
    LoadRows,
    Noticed,
    SendCharger,
    SendCloud,
)
from edgegw.core.events import (
    CallRequested,
    ChargerConnected,
    ChargerLost,
    ChargerSpoke,
    CloudConnected,
    CloudLost,
    CloudSpoke,
    Event,
    Instant,
    ReplayGranted,
    RowsLoaded,
    RowsReleased,
    Woke,
)
from edgegw.core.records import (
    Append,
    ChargerRecovery,
    Discard,
    Document,
    JournalRow,
    Lane,
    RowState,
    SaveDocument,
    SaveTransaction,
    Settle,
    StoreOp,
    TransactionRecord,
)
from edgegw.core.site import Policy, Site
from edgegw.runtime.sequencer import Sequencer
from edgegw.wire import frames
from edgegw.wire.frames import parse
from edgegw.wire.timestamps import format_timestamp
from edgegw.wire.versions import Version

V16, V201, V21 = Version.V16, Version.V201, Version.V21
NOON = 1_790_000_000.0  # a wall clock in 2026
IDENTITY = "CP-1"


def time_at(seconds: float = 0.0) -> str:
    return format_timestamp(NOON + seconds)


class Store:
    """The journal's promises, without a disk. Shared by all chargers of one site."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], JournalRow] = {}
        self.marks: dict[str, tuple[int, int]] = {}
        self.documents: dict[tuple[str, str, str], Document] = {}
        self.transactions: dict[tuple[str, str], TransactionRecord] = {}

    def write(self, ops: list[StoreOp]) -> None:
        for op in ops:
            match op:
                case Append(row):
                    self._insert(row)
                case Settle():
                    row = self.rows[op.charger, op.seq]  # settling what was never stored is a bug
                    self.rows[op.charger, op.seq] = replace(
                        row, state=op.state, attempts=op.attempts, error=op.error
                    )
                case Discard():
                    for seq in op.seqs:
                        self._discard(op.charger, seq)
                case SaveDocument(value=None):
                    self.documents.pop((op.charger, op.kind, op.key), None)
                case SaveDocument():
                    document = Document(op.kind, op.charger, op.key, op.value or b"")
                    self.documents[op.charger, op.kind, op.key] = document
                case SaveTransaction(record):
                    self.transactions[record.charger, record.id] = record

    def _insert(self, row: JournalRow) -> None:
        assert (row.charger, row.seq) not in self.rows, f"seq {row.seq} was given twice"
        for other in self.rows.values():
            same_key = (other.charger, other.epoch, other.message_id)
            assert same_key != (row.charger, row.epoch, row.message_id), f"{row.message_id} stored twice"
        self.rows[row.charger, row.seq] = row

    def _discard(self, charger: str, seq: int) -> None:
        row = self.rows.pop((charger, seq))
        assert row.lane is not Lane.TRANSACTION, "billing is never discarded"
        mark = self.marks.get(charger, (0, 0))
        self.marks[charger] = (max(mark[0], seq), max(mark[1], row.epoch))

    def of(self, charger: str, *, state: RowState | None = None) -> list[JournalRow]:
        rows = [row for (name, _), row in sorted(self.rows.items()) if name == charger]
        return [row for row in rows if state is None or row.state is state]

    def waiting(self, charger: str, after_seq: int, limit: int) -> tuple[JournalRow, ...]:
        stored = self.of(charger, state=RowState.STORED)
        return tuple([r for r in stored if r.lane is Lane.TRANSACTION and r.seq > after_seq][:limit])

    def release(self, charger: str) -> int:
        parked = self.of(charger, state=RowState.PARKED)
        for row in parked:
            self.rows[charger, row.seq] = replace(row, state=RowState.STORED, attempts=0)
        return len(parked)

    def recovery(self, charger: str) -> ChargerRecovery:
        rows, stored = self.of(charger), self.of(charger, state=RowState.STORED)
        mark = self.marks.get(charger, (0, 0))
        early = [row for row in stored if row.lane is not Lane.TRANSACTION]
        return ChargerRecovery(
            charger=charger,
            seq_last=max([mark[0], *(row.seq for row in rows)]),
            epoch_last=max([mark[1], *(row.epoch for row in rows)]),
            stored={lane: n for lane in Lane if (n := sum(row.lane is lane for row in stored))},
            stored_rows_head=tuple(sorted(early, key=lambda row: (row.lane, row.seq))),
            parked=len(self.of(charger, state=RowState.PARKED)),
            oldest_stored_at=min((row.received_at for row in stored), default=None),
            recent=tuple([row for row in rows if row.lane is Lane.TRANSACTION][-32:]),
            documents=tuple(d for (name, _, _), d in self.documents.items() if name == charger),
            open_transactions=tuple(
                r for (name, _), r in self.transactions.items() if name == charger and r.running
            ),
            ended_transactions=tuple(
                r for (name, _), r in self.transactions.items() if name == charger and not r.running
            ),
        )

    def site_documents(self) -> tuple[Document, ...]:
        return tuple(d for (name, _, _), d in self.documents.items() if not name)


class Mailbox:
    """What one peer was sent, as bytes; `take` empties it."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.newest_call = ""  # message id of the newest CALL it was sent

    def deliver(self, data: bytes) -> list[Any]:
        self.raw.append(data)
        frame: list[Any] = orjson.loads(data)
        if frame[0] == 2:
            self.newest_call = frame[1]
        return frame

    def take(self) -> list[bytes]:
        raw, self.raw = self.raw, []
        return raw

    @property
    def frames(self) -> list[list[Any]]:
        return [orjson.loads(raw) for raw in self.raw]

    @property
    def last(self) -> list[Any]:
        assert self.raw, "nothing was sent"
        frame: list[Any] = orjson.loads(self.raw[-1])
        return frame

    @property
    def actions(self) -> list[str]:
        """The actions of the CALLs and SENDs in here."""
        return [frame[2] for frame in self.frames if frame[0] in (2, 6)]


class ChargerPeer(Mailbox):
    """The charger of the story."""

    def __init__(self, story: Story) -> None:
        super().__init__()
        self._story = story
        self._ids = count(1)

    def connects(self) -> None:
        self._story.happens(ChargerConnected(self._story.version))

    def leaves(self) -> None:
        """The runtime lets go of the cloud leg when the charger's leg is gone (2.x Part 4 6.3)."""
        self._story.happens(ChargerLost(1006, "gone"))
        self._story.cloud.goes_away()

    def says(self, raw: bytes) -> None:
        self._story.happens(ChargerSpoke(parse(raw, self._story.version)))

    def sends(self, action: str, payload: dict[str, Any] | None = None, *, id: str | None = None) -> str:
        message_id = id or f"cp-{next(self._ids)}"
        self.says(frames.call(message_id, action, payload or {}))
        return message_id

    def asks(self, action: str, payload: dict[str, Any] | None = None, *, id: str | None = None) -> Any:
        """Sends a CALL and returns the payload (or error code) of the answer it got at once."""
        message_id = self.sends(action, payload, id=id)
        return self.told(message_id)

    def told(self, message_id: str) -> Any:
        """What this CALL was answered: a payload, or the code of a CALLERROR."""
        answers = [frame for frame in self.frames if frame[0] in (3, 4) and frame[1] == message_id]
        assert len(answers) == 1, f"{message_id} was answered {len(answers)} times"
        return answers[0][2]

    def was_answered(self, message_id: str) -> bool:
        return any(frame[0] in (3, 4) and frame[1] == message_id for frame in self.frames)

    def answers(self, payload: dict[str, Any]) -> None:
        """Answers the newest CALL it was sent."""
        self.says(frames.result(self.newest_call, payload))

    def refuses(self, code: str) -> None:
        self.says(frames.error(self.newest_call, code))


class CloudPeer(Mailbox):
    """The cloud of the story: answers when told to, or everything once it is `polite`."""

    def __init__(self, story: Story) -> None:
        super().__init__()
        self._story = story
        self._ids = count(1)
        self._transaction_ids = count(101)
        self.up = False
        self.is_polite = False
        self.transaction_id: int | None = None  # what StartTransaction is answered next, if not counted

    def comes_back(self) -> None:
        assert not self.up
        self.up = True
        self._story.happens(CloudConnected())

    def goes_away(self, reason: str = "cut") -> None:
        if self.up:
            self.up = False
            self._story.happens(CloudLost(reason))

    def says(self, raw: bytes) -> None:
        self._story.happens(CloudSpoke(parse(raw, self._story.version)))

    def sends(self, action: str, payload: dict[str, Any] | None = None, *, id: str | None = None) -> str:
        message_id = id or f"cloud-{next(self._ids)}"
        self.says(frames.call(message_id, action, payload or {}))
        return message_id

    def answers(self, payload: dict[str, Any], *, id: str | None = None) -> bytes:
        raw = frames.result(id or self.newest_call, payload)
        self.says(raw)
        return raw

    def refuses(self, code: str = "InternalError", *, id: str | None = None) -> None:
        self.says(frames.error(id or self.newest_call, code, "no"))

    def polite(self, frame: list[Any]) -> bytes:
        _, message_id, action, payload = frame
        answer: dict[str, Any] = {}
        if action == "BootNotification":
            answer = {"status": "Accepted", "currentTime": time_at(), "interval": 300}
        elif action == "Heartbeat":
            answer = {"currentTime": time_at()}
        elif action == "StartTransaction":
            given, self.transaction_id = self.transaction_id, None
            if given is None:
                given = next(self._transaction_ids)
            answer = {"transactionId": given, "idTagInfo": {"status": "Accepted"}}
        elif action == "Authorize" and "idTag" in payload:
            answer = {"idTagInfo": {"status": "Accepted"}}
        elif action in ("Authorize", "TransactionEvent") and "idToken" in payload:
            answer = {"idTokenInfo": {"status": "Accepted"}}
        elif action == "DataTransfer":
            answer = {"status": "Accepted"}
        return frames.result(message_id, answer)


class Story:
    """One charger of one site. `effects` are all since the last `expect`."""

    def __init__(
        self, version: Version, policy: Policy, *, identity: str = IDENTITY, beside: Story | None = None
    ) -> None:
        self.version = version
        self.policy = policy
        self.identity = identity
        self.mono, self.wall, self.clock_trusted = 1000.0, NOON, True
        self.store = Store() if beside is None else beside.store
        self._ids = count(1)
        self.site = Site(policy, self._new_id) if beside is None else beside.site
        self.core = Charger(identity, self.site)
        self.charger = ChargerPeer(self)
        self.cloud = CloudPeer(self)
        self.effects: list[Effect | StoreOp] = []
        self.notices: list[Noticed] = []
        self.finished: list[CallFinished] = []
        self.passwords: list[str] = []
        self.closed: list[CloseCharger | CloseCloud] = []
        self.replay_is_free = True
        self._asked_slot = False
        self._todo: deque[Event] = deque()
        self._busy = False
        self._sequencer = self._new_sequencer()

    def _new_id(self) -> str:
        return f"box-{next(self._ids)}"

    def _new_sequencer(self) -> Sequencer:
        def commit(ops: list[StoreOp], done: Any) -> None:
            self.store.write(ops)
            done(None)

        def failed(error: BaseException) -> None:
            raise error

        return Sequencer(self._perform, commit, failed)

    # --- time --------------------------------------------------------------------------------------

    @property
    def now(self) -> Instant:
        return Instant(self.mono, self.wall, self.clock_trusted)

    def after(self, seconds: float) -> None:
        """Time passes; the core is woken whenever it wanted to be."""
        end = self.mono + seconds
        for _ in range(10_000):
            wake = max(self.core.wake_at, self.mono)
            if wake > end:
                break
            self._move_to(wake)
            self.happens(Woke())
        else:
            raise AssertionError("the core wants to be woken without end")
        self._move_to(end)

    def _move_to(self, mono: float) -> None:
        self.wall += mono - self.mono
        self.mono = mono

    # --- events and effects --------------------------------------------------------------------------

    def happens(self, event: Event) -> None:
        self._todo.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._todo:
                effects = self.core.handle(self._todo.popleft(), self.now)
                self.effects += effects
                self._sequencer.push(effects)
        finally:
            self._busy = False

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SendCharger(data):
                self.charger.deliver(data)
            case SendCloud(data):
                self._send_cloud(data)
            case LoadRows():
                rows = self.store.waiting(self.identity, effect.after_seq, effect.limit)
                self._todo.append(RowsLoaded(rows))
            case AskReplaySlot():
                self._asked_slot = True
                if self.replay_is_free:
                    self.grant_replay()
            case CloseCloud(reason):
                self.closed.append(effect)
                self.cloud.up = False
                self._todo.append(CloudLost(reason))
            case CloseCharger():
                self.closed.append(effect)
            case CallFinished():
                self.finished.append(effect)
            case CredentialsChanged(password):
                self.passwords.append(password)
            case Noticed():
                self.notices.append(effect)

    def _send_cloud(self, data: bytes) -> None:
        if not self.cloud.up:
            return
        frame = self.cloud.deliver(data)
        if self.cloud.is_polite and frame[0] == 2:
            self._todo.append(CloudSpoke(parse(self.cloud.polite(frame), self.version)))

    def grant_replay(self) -> None:
        """One stored message may go."""
        if self._asked_slot:
            self._asked_slot = False
            self.happens(ReplayGranted())

    # --- what can happen besides -----------------------------------------------------------------------

    def restart(self) -> None:
        """The gateway loses power and starts again; nobody is connected."""
        self.site = Site(self.policy, self._new_id)
        self.site.recover(self.store.site_documents())
        self.core = Charger.recover(self.store.recovery(self.identity), self.site)
        self._sequencer = self._new_sequencer()
        self._todo.clear()
        self.cloud.up = False
        self._asked_slot = False
        self.mono = 10.0

    def somebody_calls(self, action: str, payload: dict[str, Any] | None = None, *, ticket: int = 1) -> None:
        self.happens(CallRequested(ticket, action, payload or {}))

    def parked_rows_are_sent_again(self) -> int:
        released = self.store.release(self.identity)
        self.happens(RowsReleased(released))
        return released

    # --- judging -----------------------------------------------------------------------------------------

    @property
    def rows(self) -> list[JournalRow]:
        return self.store.of(self.identity)

    @property
    def stored(self) -> list[JournalRow]:
        return self.store.of(self.identity, state=RowState.STORED)

    def transaction(self, transaction_id: object) -> TransactionRecord:
        return self.store.transactions[self.identity, str(transaction_id)]

    @property
    def noticed(self) -> list[str]:
        return [notice.kind for notice in self.notices]

    def expect(self, *wanted: object) -> None:
        """These effects (or kinds of effect) in this order, whatever else there was; then forgets all."""
        rest = iter(self.effects)
        for want in wanted:
            met = any(want == effect or (isinstance(want, type) and type(effect) is want) for effect in rest)
            assert met, f"{want} is missing or too early in {self.effects}"
        self.effects = []

    def expect_only(self, *wanted: object) -> None:
        """Exactly these effects (or kinds) in this order; then forgets all."""
        assert len(wanted) == len(self.effects), self.effects
        self.expect(*wanted)

    def forget(self) -> None:
        """From here on only what comes counts."""
        self.effects = []
        self.charger.take()
        self.cloud.take()


# --- openings -------------------------------------------------------------------------------------

BOOT = {
    V16: {"chargePointVendor": "Ohm", "chargePointModel": "One", "chargePointSerialNumber": "S1"},
    V201: {"reason": "PowerUp", "chargingStation": {"vendorName": "Ohm", "model": "One"}},
    V21: {"reason": "PowerUp", "chargingStation": {"vendorName": "Ohm", "model": "One"}},
}


def story(version: Version = V16, **policy: Any) -> Story:
    """Nobody is connected yet."""
    return Story(version, Policy(**policy))


def online(version: Version = V16, **policy: Any) -> Story:
    """The charger is connected, the cloud is up and has accepted it."""
    told = story(version, **policy)
    told.cloud.comes_back()
    told.charger.connects()
    told.charger.sends("BootNotification", BOOT[version])
    told.cloud.answers({"status": "Accepted", "currentTime": time_at(), "interval": 300})
    told.forget()
    return told


def away(version: Version = V16, **policy: Any) -> Story:
    """The cloud accepted the charger once and is away now."""
    told = online(version, **policy)
    told.cloud.goes_away()
    told.forget()
    return told


# --- messages -------------------------------------------------------------------------------------


def start(connector: object = 1, tag: object = "TAG", *, wh: object = 0, at: float = 0.0) -> dict[str, Any]:
    return {"connectorId": connector, "idTag": tag, "meterStart": wh, "timestamp": time_at(at)}


def stop(transaction: object, *, wh: object = 1000, at: float = 60.0, **more: Any) -> dict[str, Any]:
    return {"transactionId": transaction, "meterStop": wh, "timestamp": time_at(at), **more}


def meter(transaction: object = None, *, wh: object = 500, connector: object = 1) -> dict[str, Any]:
    values = [{"timestamp": time_at(30), "sampledValue": [{"value": str(wh)}]}]
    known = {} if transaction is None else {"transactionId": transaction}
    return {"connectorId": connector, **known, "meterValue": values}


def status(connector: int = 1, state: str = "Available", error: str = "NoError") -> dict[str, Any]:
    return {"connectorId": connector, "status": state, "errorCode": error, "timestamp": time_at()}


def event(
    kind: str, transaction: str = "tx-1", seq: int = 0, *, token: str | None = None, **more: Any
) -> dict[str, Any]:
    """TransactionEvent of 2.x."""
    payload: dict[str, Any] = {
        "eventType": kind,
        "timestamp": time_at(seq),
        "triggerReason": "Authorized" if token else "MeterValuePeriodic",
        "seqNo": seq,
        "transactionInfo": {"transactionId": transaction},
        **more,
    }
    if token is not None:
        payload["idToken"] = {"idToken": token, "type": "ISO14443"}
    return payload
