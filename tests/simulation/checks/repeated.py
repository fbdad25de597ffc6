"""Nothing twice: a message comes again only where an answer to it can have been lost.

A second arrival is excused when nothing but CALLERROR, or nothing at all, came back to the box for the
one before; when the box lost its memory before it can have written the answer down; or when a charger
whose own answer was lost asked again after the box had lost its memory, and the box had not answered
from its own store (what it has on disk it must recognise).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tests.simulation.checks.books import SETTLED_WITHIN_S, Books
from tests.simulation.ledger import Arrival, Message


def check(books: Books) -> Iterator[str]:
    for message in books.ledger.messages:
        arrivals = books.arrivals_of[message.n]
        for before, again in pairwise(arrivals):
            if not _excused(books, message, before, again):
                yield (
                    f"{message.charger}: {message.action} {message.id} reached the cloud again at "
                    f"{again.text.got_at:.3f}, answered at {before.replies[0].got_at:.3f}"
                )


def _excused(books: Books, message: Message, before: Arrival, again: Arrival) -> bool:
    reply = books.told(before)
    if reply is None:
        return True
    answered_at = reply.got_at or 0.0
    sent_again = again.text.sent_at
    if answered_at > sent_again:
        return True  # it was under way when the message went out again
    if books.lost_memory(message.charger, answered_at, min(sent_again, answered_at + SETTLED_WITHIN_S)):
        return True
    again_at = next((t.sent_at for t in message.sent if answered_at <= t.sent_at <= sent_again), None)
    if again_at is None or books.on_disk_before(message, again_at):
        return False
    return books.lost_memory(message.charger, answered_at, sent_again)
