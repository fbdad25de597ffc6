"""Parked is what the cloud has refused, as often as the policy says; a failing link parks nothing."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.checks.books import ERROR, Books

ATTEMPTS = 3  # message_attempts of the simulated site


def check(books: Books) -> Iterator[str]:
    for charger, raw in sorted(books.ledger.ever_parked):
        message = books.by_raw.get((charger, raw))
        if message is None:
            continue
        refusals = sum(
            reply.kind == ERROR and reply.got_at is not None
            for arrival in books.arrivals_of[message.n]
            for reply in arrival.replies
        )
        if refusals < ATTEMPTS:
            yield f"{charger}: {message.action} {message.id} was parked after {refusals} refusals"
