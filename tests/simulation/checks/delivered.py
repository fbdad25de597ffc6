"""Nothing is lost: what a charger was thanked for has reached the cloud or is parked where people see it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.checks.books import Books


def check(books: Books) -> Iterator[str]:
    ledger = books.ledger
    parked = {(charger, raw) for (charger, _), raw in ledger.parked.items()}
    for message in ledger.messages:
        if message.answer is None:
            continue
        processed = any(a.processed for a in books.arrivals_of[message.n])
        if not processed and (message.charger, message.raw) not in parked:
            where = (
                "still waits in the store" if (message.charger, message.id) in ledger.stored else "is nowhere"
            )
            yield f"{message.charger}: {message.action} {message.id} was answered and {where}"
    for (charger, message_id), raw in ledger.stored.items():
        if (charger, raw) in books.by_raw:
            yield f"{charger}: row {message_id} still waits after the calm"
    for charger, count in ledger.queued_at_end.items():
        if count:
            yield f"{charger}: {count} transaction messages never answered, in spite of the calm"
