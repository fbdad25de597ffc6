"""Order: the transaction messages of a charger reach the cloud in the order in which it sent them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tests.simulation.checks.books import Books
from tests.simulation.ledger import Message

_RANK = {"start": 0, "sample": 1, "stop": 2}


def check(books: Books) -> Iterator[str]:
    for charger in books.ledger.versions:
        arrived = [m for m in _first_arrivals(books, charger) if m.sent]
        for earlier, later in pairwise(arrived):
            if earlier.sent[0].n > later.sent[0].n:
                yield (
                    f"{charger}: {earlier.action} {earlier.id} reached the cloud before "
                    f"{later.action} {later.id}, which was sent first"
                )
            yield from _within_session(charger, earlier, later)


def _within_session(charger: str, earlier: Message, later: Message) -> Iterator[str]:
    same = earlier.session is not None and earlier.session is later.session
    if same and _RANK[earlier.part] > _RANK[later.part]:
        yield f"{charger}: {later.part} {later.id} reached the cloud after {earlier.part} {earlier.id}"


def _first_arrivals(books: Books, charger: str) -> list[Message]:
    seen: set[int] = set()
    found: list[Message] = []
    for arrival in books.ledger.arrivals:
        message = books.origin.get(arrival.text.n)
        if message is not None and message.charger == charger and message.n not in seen:
            seen.add(message.n)
            found.append(message)
    return found
