"""From what the core asked for to the statements of one transaction.

Rules of this file:
- Pure. A call is encoded when it is made, so that what cannot be stored fails that call alone.
- Within one transaction the tables do not depend on each other. Documents and transactions keep only
  the last word per key. In the journal rows are inserted, then settled, then discarded, which is the
  order in which those things can happen to one row. The one exception, a new row under the unique key
  of one that is discarded in the same batch, hits that key and is then written one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import assert_never

from edgegw.core.records import Append, Discard, RowState, SaveDocument, SaveTransaction, Settle, StoreOp
from edgegw.errors import StoreFault
from edgegw.store import rows, statements
from edgegw.store.rows import Values

Statement = tuple[str, list[Values]]
"""SQL and the parameter rows it is to be executed with, for `executemany`."""


class Step(Enum):
    INSERT = auto()
    SETTLE = auto()
    DISCARD = auto()


@dataclass(slots=True)
class Call:
    """The operations of one `commit()`, encoded; they share a transaction and a fate."""

    done: asyncio.Future[None]
    durable: bool = False
    size: int = 0  # operations
    journal: list[tuple[Step, Values]] = field(default_factory=list)
    documents: dict[tuple[str, str, str], Values | None] = field(default_factory=dict)  # None: delete
    transactions: dict[tuple[str, str], Values] = field(default_factory=dict)

    def add(self, op: StoreOp, now: float) -> None:
        """Encode one operation. `now` is the wall clock. Raises StoreFault."""
        self.size += 1
        match op:
            case Append(row=row):
                settled_at = 0.0 if row.state is RowState.STORED else now
                self._step(Step.INSERT, rows.journal_values(row, settled_at))
            case Settle():
                self._step(Step.SETTLE, rows.settle_values(op, now))
            case Discard(charger=charger, seqs=seqs):
                for seq in seqs:
                    self._step(Step.DISCARD, rows.discard_values(charger, seq))
            case SaveDocument():
                self.durable |= op.durable
                self.documents[op.kind, op.charger, op.key] = rows.document_values(op)
            case SaveTransaction(record=record):
                self.transactions[record.charger, record.id] = rows.transaction_values(record, now)
            case _:
                assert_never(op)

    def _step(self, step: Step, values: Values) -> None:
        self.durable = True
        self.journal.append((step, values))


def encode(ops: Sequence[StoreOp], done: asyncio.Future[None], now: float) -> Call:
    """Raises StoreFault for what can never be stored, before anything is queued."""
    call = Call(done)
    try:
        for op in ops:
            call.add(op, now)
    except (TypeError, AttributeError, AssertionError) as error:
        raise StoreFault(f"not a store operation as edgegw.core.records has them: {error}") from error
    return call


def statements_of(calls: Iterable[Call]) -> list[Statement]:
    """What to execute, in order, for all `calls` in one transaction."""
    steps: dict[Step, list[Values]] = {step: [] for step in Step}
    documents: dict[tuple[str, str, str], Values | None] = {}
    transactions: dict[tuple[str, str], Values] = {}
    for call in calls:
        for step, values in call.journal:
            steps[step].append(values)
        documents |= call.documents
        transactions |= call.transactions
    return _journal(steps) + _rest(documents, transactions)


def statements_one_by_one(call: Call) -> Iterator[tuple[Step | None, Values, list[Statement]]]:
    """(step, its values, what to execute for it), in the order in which the caller asked."""
    for step, values in call.journal:
        yield step, values, _journal({step: [values]})
    yield None, (), _rest(call.documents, call.transactions)


def _journal(steps: dict[Step, list[Values]]) -> list[Statement]:
    discards = steps.get(Step.DISCARD, [])
    found = [
        (statements.INSERT, steps.get(Step.INSERT, [])),
        (statements.SETTLE, steps.get(Step.SETTLE, [])),
        (statements.MARK_DISCARDED, discards),
        (statements.DISCARD, discards),
    ]
    return [(sql, values) for sql, values in found if values]


def _rest(
    documents: dict[tuple[str, str, str], Values | None], transactions: dict[tuple[str, str], Values]
) -> list[Statement]:
    found: list[Statement] = [
        (statements.SAVE_DOCUMENT, [values for values in documents.values() if values is not None]),
        (statements.DELETE_DOCUMENT, [key for key, values in documents.items() if values is None]),
        (statements.SAVE_TRANSACTION, list(transactions.values())),
    ]
    return [(sql, values) for sql, values in found if values]
