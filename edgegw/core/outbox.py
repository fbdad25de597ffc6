"""The stored messages of one charger that still have to reach the cloud, and their order.

Order (OCPP 1.6 3.7 and 4.2, 4.9): boot, states, notices, then the transaction messages strictly in
the order in which the charger sent them. Lanes 0 to 2 are few and held here whole; of lane 3 only a
window is in memory, so that a backlog of any length costs the same. The rows themselves live in the
store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from edgegw.core.effects import LoadRows
from edgegw.core.records import ChargerRecovery, JournalRow, Lane

WINDOW_ROWS = 32  # of lane 3 in memory
REFILL_BELOW = 8
NOTICE_ROWS_MAX = 1000  # beyond it security events wait among the transactions, others are not kept
ERROR_STATES_MAX = 100  # beyond it the oldest error state gives way: a fault that flaps all night


class Outbox:
    __slots__ = (
        "_early",
        "_loaded_to",
        "_loading",
        "_reload",
        "_since_load",
        "_tail",
        "_window",
        "oldest_at",
        "parked",
        "seq_last",
        "waiting",
    )

    def __init__(self) -> None:
        self._early: list[JournalRow] = []
        self._window: deque[JournalRow] = deque()
        self._loaded_to = 0  # highest seq of lane 3 that is, or was, in the window
        self._tail = 0  # highest seq of lane 3 ever appended
        self._loading = False
        self._since_load = 0  # rows appended while a load is under way: it may not have seen them
        self._reload = False
        self.waiting = 0  # rows of lane 3 that are stored
        self.parked = 0
        self.seq_last = 0
        self.oldest_at: float | None = None

    def __len__(self) -> int:
        return len(self._early) + self.waiting

    @property
    def has_transactions(self) -> bool:
        return self.waiting > 0

    @property
    def has_states(self) -> bool:
        return bool(self._early) and any(row.lane <= Lane.STATUS for row in self._early[:2])

    def has_early(self, action: str) -> bool:
        """Does an earlier message of this kind still wait? The later one would be taken for the older."""
        return any(row.action == action for row in self._early)

    @property
    def boot(self) -> JournalRow | None:
        return self._early[0] if self._early and self._early[0].lane is Lane.BOOT else None

    def holds(self, row: JournalRow) -> bool:
        """Of the early lanes: does this row still wait, or has a newer one taken its place?"""
        return any(r.seq == row.seq for r in self._early)

    def early(self) -> tuple[JournalRow, ...]:
        return tuple(self._early)

    def recover(self, kept: ChargerRecovery) -> None:
        self.seq_last = kept.seq_last
        self._early = sorted(kept.stored_rows_head, key=_order)
        self.waiting = kept.stored.get(Lane.TRANSACTION, 0)
        self.parked = kept.parked
        self._tail = kept.seq_last if self.waiting else 0
        self.oldest_at = kept.oldest_stored_at

    def next_seq(self) -> int:
        self.seq_last += 1
        return self.seq_last

    def room_for_notice(self) -> bool:
        return len(self._early) < NOTICE_ROWS_MAX

    def append(self, row: JournalRow) -> tuple[int, ...]:
        """Take in a row that is being stored. Returns the seqs it makes superfluous."""
        if self.oldest_at is None:
            self.oldest_at = row.received_at
        if row.lane is not Lane.TRANSACTION:
            return self._append_early(row)
        whole = self._loaded_to >= self._tail
        self.waiting += 1
        self._since_load += 1
        self._tail = row.seq
        if whole and not self._loading and len(self._window) < WINDOW_ROWS:
            self._window.append(row)
            self._loaded_to = row.seq
        return ()

    def _append_early(self, row: JournalRow) -> tuple[int, ...]:
        old = [r for r in self._early if r.lane is row.lane and r.subject == row.subject]
        if not row.subject:
            old = old[: 1 - ERROR_STATES_MAX] if row.lane is Lane.STATUS else []
        self._early = [r for r in self._early if r not in old] if old else self._early
        self._early.append(row)
        self._early.sort(key=_order)
        return tuple(r.seq for r in old)

    def next(self) -> JournalRow | None:
        """The row to send now, if it is in memory; it stays here until `gone`."""
        if self._early:
            return self._early[0]
        return self._window[0] if self._window and not self._reload else None

    def gone(self, row: JournalRow, *, parked: bool = False) -> None:
        """`row` was delivered, parked or dropped."""
        if row.lane is not Lane.TRANSACTION:
            self._early = [r for r in self._early if r.seq != row.seq]
        else:
            self.waiting = max(0, self.waiting - 1)
            if self._window and self._window[0].seq == row.seq:
                self._window.popleft()
            else:
                self._window = deque(r for r in self._window if r.seq != row.seq)
        self.parked += 1 if parked else 0
        self.oldest_at = self._oldest()

    def _oldest(self) -> float | None:
        if not len(self):
            return None
        held = [r.received_at for r in self._early[:1]] + [r.received_at for r in list(self._window)[:1]]
        return min(held) if held else self.oldest_at

    def replace(self, row: JournalRow) -> None:
        """Same seq, new attempts."""
        self._early = [row if r.seq == row.seq else r for r in self._early]
        if self._window and self._window[0].seq == row.seq:
            self._window[0] = row

    # --- the window ------------------------------------------------------------------------------

    def load(self, *, idle: bool) -> LoadRows | None:
        """Ask for more rows when the window runs low and the store has some.

        `idle`: no stored message is on its way to the cloud, so the window may be read anew.
        """
        if self._loading or self.waiting == 0:
            return None
        if self._reload:
            if not idle:
                return None
            self._window.clear()
            self._loaded_to = 0
            self._reload = False
        if len(self._window) >= min(REFILL_BELOW, self.waiting) or len(self._window) >= self.waiting:
            return None
        self._loading = True
        self._since_load = 0
        return LoadRows(self._loaded_to, WINDOW_ROWS)

    def loaded(self, rows: Iterable[JournalRow]) -> None:
        self._loading = False
        for row in rows:
            if row.seq > self._loaded_to:
                self._window.append(row)
                self._loaded_to = row.seq
        if not self._window:
            self.waiting = self._since_load  # the store has none but those: its word counts
            self._tail = self._tail if self.waiting else self._loaded_to
        self.oldest_at = self._oldest()

    def released(self, count: int, early: tuple[JournalRow, ...]) -> None:
        """Parked rows are stored again, among older seqs: read the window anew."""
        known = {row.seq for row in self._early}
        new = [row for row in early if row.seq not in known]
        self._early = sorted([*self._early, *new], key=_order)
        self.waiting += max(0, count - len(new))
        self.parked = max(0, self.parked - count)
        self._reload = True

    def link_lost(self) -> None:
        """A load under way may have been lost with the session that asked."""
        self._loading = False


def _order(row: JournalRow) -> tuple[int, int]:
    return row.lane, row.seq
