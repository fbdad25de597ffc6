"""A disk that keeps what was synced: the store of the gateway, without SQLite, with the same promises.

Like the real one: calls that come while a commit is under way share the next one; a batch is on disk
whole or not at all, and in order; a failed COMMIT is an unknown outcome for everything that was queued;
unique keys are (charger, seq) and (charger, epoch, message id), and the same message twice is stored
once. A power cut leaves what was synced, and of the batch under way all or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from edgegw.core.records import (
    Append,
    ChargerRecovery,
    Discard,
    Document,
    JournalRow,
    Lane,
    Recovery,
    RowState,
    SaveDocument,
    SaveTransaction,
    Settle,
    StoreOp,
    TransactionRecord,
)
from edgegw.errors import StoreFault, StoreFull, StoreUnknownOutcome

if TYPE_CHECKING:
    from tests.simulation.world import World

Done = Callable[[BaseException | None], None]
Batch = tuple[list[StoreOp], Done]
COMMIT_S = (0.001, 0.02)


class Disk:
    """What a power cut leaves."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, JournalRow]] = {}
        self.keys: dict[tuple[str, int, str], int] = {}
        self.marks: dict[str, tuple[int, int]] = {}  # highest discarded (seq, epoch)
        self.documents: dict[tuple[str, str, str], Document] = {}
        self.transactions: dict[tuple[str, str], TransactionRecord] = {}

    def write(self, ops: Sequence[StoreOp]) -> StoreFault | None:
        """One call's operations: all, or none and why."""
        fault = next((f for f in (self._refuses(op) for op in ops) if f is not None), None)
        if fault is None:
            for op in ops:
                _WRITE[type(op)](self, op)
        return fault

    def _refuses(self, op: StoreOp) -> StoreFault | None:
        if not isinstance(op, Append):
            return None
        row = op.row
        taken = self.keys.get((row.charger, row.epoch, row.message_id))
        if taken is not None:
            same = self.rows[row.charger][taken].raw == row.raw
            return None if same else StoreFault(f"{row.message_id} of epoch {row.epoch} is another message")
        if row.seq in self.rows.get(row.charger, {}):
            return StoreFault(f"row {row.seq} is taken")
        return None

    def _append(self, op: Append) -> None:
        row = op.row
        key = (row.charger, row.epoch, row.message_id)
        if key not in self.keys:
            self.keys[key] = row.seq
            self.rows.setdefault(row.charger, {})[row.seq] = row

    def _settle(self, op: Settle) -> None:
        rows = self.rows.get(op.charger, {})
        if op.seq in rows:
            rows[op.seq] = replace(rows[op.seq], state=op.state, attempts=op.attempts, error=op.error)

    def _discard(self, op: Discard) -> None:
        for seq in op.seqs:
            row = self.rows.get(op.charger, {}).pop(seq, None)
            if row is not None:
                del self.keys[row.charger, row.epoch, row.message_id]
                mark = self.marks.get(op.charger, (0, 0))
                self.marks[op.charger] = (max(mark[0], row.seq), max(mark[1], row.epoch))

    def _document(self, op: SaveDocument) -> None:
        key = (op.charger, op.kind, op.key)
        if op.value is None:
            self.documents.pop(key, None)
        else:
            self.documents[key] = Document(op.kind, op.charger, op.key, op.value)

    def _transaction(self, op: SaveTransaction) -> None:
        self.transactions[op.record.charger, op.record.id] = op.record

    # --- what comes back ---------------------------------------------------------------------------

    def recovery(self, charger: str | None = None) -> Recovery:
        names = {c for c, _, _ in self.documents if c} | set(self.rows) | set(self.marks)
        site = tuple(d for (c, _, _), d in self.documents.items() if not c)
        found = tuple(self._charger(c) for c in sorted(names) if charger in (None, c))
        return Recovery(chargers=found, documents=site)

    def _charger(self, name: str) -> ChargerRecovery:
        rows = [row for _, row in sorted(self.rows.get(name, {}).items())]
        stored = [row for row in rows if row.state is RowState.STORED]
        lanes = {row.lane for row in stored}
        mark = self.marks.get(name, (0, 0))
        return ChargerRecovery(
            charger=name,
            seq_last=max((mark[0], *(row.seq for row in rows))),
            epoch_last=max((mark[1], *(row.epoch for row in rows))),
            stored={lane: sum(row.lane is lane for row in stored) for lane in lanes},
            stored_rows_head=tuple(
                sorted((r for r in stored if r.lane is not Lane.TRANSACTION), key=lambda r: (r.lane, r.seq))
            ),
            parked=sum(row.state is RowState.PARKED for row in rows),
            oldest_stored_at=min((row.received_at for row in stored), default=None),
            recent=tuple([row for row in rows if row.lane is Lane.TRANSACTION][-32:]),
            documents=tuple(d for (c, _, _), d in self.documents.items() if c == name),
            open_transactions=tuple(r for (c, _), r in self.transactions.items() if c == name and r.running),
        )

    def waiting(self, charger: str, after_seq: int, limit: int) -> tuple[JournalRow, ...]:
        rows = self.rows.get(charger, {})
        found = [
            row
            for seq, row in sorted(rows.items())
            if seq > after_seq and row.lane is Lane.TRANSACTION and row.state is RowState.STORED
        ]
        return tuple(found[:limit])

    def has(self, charger: str, message_id: str, raw: bytes) -> bool:
        rows = self.rows.get(charger, {})
        return any(r.message_id == message_id and r.raw == raw for r in reversed(rows.values()))

    def release(self, charger: str) -> int:
        """A person sends the parked rows of a charger again."""
        rows = self.rows.get(charger, {})
        parked = [row for row in rows.values() if row.state is RowState.PARKED]
        for row in parked:
            rows[row.seq] = replace(row, state=RowState.STORED, attempts=0)
        return len(parked)


_WRITE: dict[type, Callable[[Disk, Any], None]] = {
    Append: Disk._append,
    Settle: Disk._settle,
    Discard: Disk._discard,
    SaveDocument: Disk._document,
    SaveTransaction: Disk._transaction,
}


class SimStore:
    """The open file of one life of the gateway."""

    def __init__(self, world: World, disk: Disk, rng: Random) -> None:
        self._world = world
        self.disk = disk
        self._rng = rng
        self._queue: list[Batch] = []
        self._under_way: list[Batch] = []
        self._riders: list[StoreOp] = []
        self.dead = False

    def commit(self, ops: list[StoreOp], done: Done) -> None:
        if all(_rides(op) for op in ops):
            self._riders += ops  # nobody waits: they go with the next commit (`runtime.ride_along`)
            return
        self._queue.append(([*self._riders, *ops], done))
        self._riders = []
        if not self._under_way:
            self._begin()

    def _begin(self) -> None:
        self._under_way, self._queue = self._queue, []
        self._world.agenda.after(self._latency_s(), self._end)

    def _latency_s(self) -> float:
        now = self._world.agenda.now
        slow = [s for start, end, s in self._world.script.store_slow if start <= now < end]
        return slow[0] if slow and not self._world.calm else self._rng.uniform(*COMMIT_S)

    def _end(self) -> None:
        if self.dead:
            return
        batches, self._under_way = self._under_way, []
        if self._world.store_must_fail():
            self._fail(batches)
            return
        faults = [self.disk.write(ops) for ops, _ in batches]
        for (_, done), fault in zip(batches, faults, strict=True):
            if not self.dead:
                done(fault)
        if self._queue and not self._under_way and not self.dead:
            self._begin()

    def _fail(self, batches: list[Batch]) -> None:
        """Half of the time nobody knows whether it was written, half of the time it surely was not."""
        world = self._world
        world.ledger.store_failures.append(world.agenda.now)
        unknown = self._rng.random() < 0.5
        fault: StoreFault = StoreUnknownOutcome("COMMIT failed") if unknown else StoreFull("no space")
        world.say("store", f"FAILS: {fault!r}")
        if unknown and self._rng.random() < 0.5:
            for ops, _ in batches:
                self.disk.write(ops)
        queued = self._queue if unknown else []
        if unknown:
            self._queue = []
        for _, done in [*batches, *queued]:
            done(fault)
        if self._queue and not self._under_way:
            self._begin()

    def cut(self) -> None:
        """Power: the batch under way is on disk or it is not."""
        self.dead = True
        if self._under_way and self._rng.random() < 0.5:
            for ops, _ in self._under_way:
                self.disk.write(ops)

    def read(self, then: Callable[[], None]) -> None:
        """Reads take turns with the writer."""

        def turn() -> None:
            if not self.dead:
                then()

        self._world.agenda.after(self._latency_s() / 4, turn)


def _rides(op: StoreOp) -> bool:
    """Only the newest kind: the known seeds were found while the others took commits of their own."""
    return type(op) is SaveDocument and op.kind == "energy"
