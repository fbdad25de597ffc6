"""Answers: one per CALL, within the charger's patience while socket and store work; none nobody asked for."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.checks.books import CALL, ERROR, RESULT, Books
from tests.simulation.ledger import Asked

BOX_ANSWERS_WITHIN_S = 20.0  # [cloud] answer_timeout
SLACK_S = 8.0  # wires and commits
STUCK_S = 1.0  # a disk that takes longer for a commit does not count as working


def check(books: Books) -> Iterator[str]:
    yield from _one_each(books)
    yield from _in_time(books)
    yield from _calls_of_the_cloud(books)


def _one_each(books: Books) -> Iterator[str]:
    for text in books.ledger.strays:
        who = "cloud" if text.side == "cloud" else "charger"
        yield f"{text.charger}: the {who} got an answer to nothing it had asked: {text.raw[:120]!r}"


def _in_time(books: Books) -> Iterator[str]:
    for asked in books.ledger.asked:
        if asked.gave_up_at is None or asked.answers or not books.script.serve_locally:
            continue
        patience_s = asked.gave_up_at - asked.text.sent_at
        if patience_s < BOX_ANSWERS_WITHIN_S + SLACK_S or asked.text.got_at is None:
            continue
        if not _excused(books, asked):
            yield f"{asked.charger}: {asked.action} {asked.text.id} waited {patience_s:.0f} s for nothing"


def _excused(books: Books, asked: Asked) -> bool:
    start, end = asked.text.sent_at, asked.gave_up_at or 0.0
    leg = books.ledger.legs[asked.text.leg]
    if leg.open_until < end or books.lost_memory(asked.charger, start, end):
        return True
    if any(since < end and until > start and s >= STUCK_S for since, until, s in books.script.store_slow):
        return True
    return _registration_was_open(books, asked.charger, end)


def _registration_was_open(books: Books, charger: str, when: float) -> bool:
    """The cloud's last word on the charger was not Accepted, or a word was lost: nobody else may answer."""
    word = ""
    for arrival in books.ledger.arrivals:
        if arrival.charger == charger and arrival.action == "BootNotification":
            for reply in arrival.replies:
                if reply.kind == RESULT and reply.sent_at <= when:
                    word = reply.frame[2]["status"]
    return word in ("Pending", "Rejected")


def _calls_of_the_cloud(books: Books) -> Iterator[str]:
    """What the cloud asked in the calm is answered: nothing blocks the way down."""
    ledger = books.ledger
    settled = ledger.calm_from + 1200.0
    for call in ledger.cloud_calls:
        if settled < call.text.sent_at < ledger.ended_at - 120.0 and not call.answers:
            yield f"{call.charger}: {call.action} {call.text.id} of the cloud was never answered in the calm"
    for charger in ledger.versions:
        beats = [
            t
            for t in ledger.texts
            if t.charger == charger and t.side == "cloud" and t.up and t.kind == CALL and t.sent_at > settled
        ]
        said = [a for a in ledger.asked if a.charger == charger and a.text.sent_at > settled]
        if said and not beats:
            yield f"{charger}: the cloud heard nothing of it in the calm"


__all__ = ["ERROR", "check"]
