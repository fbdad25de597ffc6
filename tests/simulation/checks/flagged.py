"""A TransactionEvent that the box answered and sent up later says `offline: true` (2.x E04, E11)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.checks.books import Books


def check(books: Books) -> Iterator[str]:
    for message in books.ledger.messages:
        answer = message.answer
        if message.action != "TransactionEvent" or answer is None or not answer.row_on_disk:
            continue
        for arrival in books.arrivals_of[message.n]:
            if arrival.text.sent_at > answer.sent_at and not arrival.payload.get("offline"):
                yield f"{message.charger}: stored {message.id} reached the cloud as if it were live"
