"""Durability: what the box itself answers to a transaction message is on disk before the answer leaves."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.checks.books import RESULT, Books
from tests.simulation.ledger import Text


def check(books: Books) -> Iterator[str]:
    replies: dict[tuple[str, bytes], list[Text]] = {}
    for arrival in books.ledger.arrivals:
        message = books.origin.get(arrival.text.n)
        for reply in arrival.replies if message is not None else ():
            if reply.got_at is not None:
                replies.setdefault((reply.charger, message.raw), []).append(reply)
    for text in books.ledger.texts:
        if text.side != "charger" or text.up or text.kind != RESULT or text.row_on_disk is not False:
            continue
        asked = [a for a in books.sent_ids[text.charger, text.id] if a.text.n < text.n]
        if not asked or asked[-1].message is None:
            continue
        of_cloud = replies.get((text.charger, asked[-1].text.raw), ())
        if not any(reply.got_n < text.n for reply in of_cloud) and not _repeated_start(
            books, asked[-1].payload, text
        ):
            yield f"{text.charger}: {text.id} was answered by the box before it was on disk"


def _repeated_start(books: Books, payload: dict[str, object], text: Text) -> bool:
    """The same Start under another message id was stored before."""
    return any(
        a.charger == text.charger and a.payload == payload and a.text.id != text.id and a.text.n < text.n
        for a in books.ledger.asked
        if a.action == "StartTransaction"
    )
