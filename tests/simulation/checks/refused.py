"""The box refuses nothing that the cloud would take: its CALLERRORs have a reason a charger can see.

Allowed: the charger used one message id for two messages on one connection; the cloud never accepted
it; the cloud is away and the site was told not to serve; only the cloud could answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.checks.books import ERROR, Books
from tests.simulation.ledger import Asked, Text


def check(books: Books) -> Iterator[str]:
    if not books.script.serve_locally:
        return
    refusals = {
        (r.charger, r.id, r.frame[2]) for a in books.ledger.arrivals for r in a.replies if r.kind == ERROR
    }
    for asked in books.ledger.asked:
        for answer in asked.answers:
            own = answer.kind == ERROR and (answer.charger, answer.id, answer.frame[2]) not in refusals
            if own and not _reason(books, asked, answer):
                yield f"{asked.charger}: the box refused {asked.action} {asked.text.id}: {answer.frame[2]}"


def _reason(books: Books, asked: Asked, answer: Text) -> bool:
    if answer.frame[2] == "SecurityError":
        return True  # `answers` and `delivered` know whether it was accepted
    earlier = books.sent_ids[asked.charger, asked.text.id]
    return any(a.text.leg == asked.text.leg and a.text.raw != asked.text.raw for a in earlier)
