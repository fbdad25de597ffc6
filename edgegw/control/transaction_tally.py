"""How many transactions began and ended since the gateway started: it is told of every record that is saved.

Rules of this file: a record is saved more than once (a reading, the cloud's id, its end); it counts once.
"""

from __future__ import annotations

from collections.abc import Iterable

from edgegw.core.records import TransactionRecord
from edgegw.runtime.session import Session

Key = tuple[str, str]  # charger, the id it uses


class TransactionTally:
    def __init__(self, sessions: Iterable[Session]) -> None:
        """What runs already began before."""
        self.started = 0
        self.ended = 0
        self._running: set[Key] = running(sessions)

    def saved(self, record: TransactionRecord) -> None:
        """For `Gateway.transaction_listeners`."""
        key = (record.charger, record.id)
        if record.running and key not in self._running:
            self._running.add(key)
            self.started += 1
        elif not record.running and key in self._running:
            self._running.discard(key)
            self.ended += 1

    def look(self, sessions: Iterable[Session]) -> int:
        """How many run now; what vanished without an end is forgotten."""
        now = running(sessions)
        self._running &= now
        return len(now)


def running(sessions: Iterable[Session]) -> set[Key]:
    return {(s.identity, name) for s in sessions for name in s.charger.state.transactions.running}
