"""Transaction ids: the cloud reads its own, the charger reads the one it was told, and nobody another's.

A 1.6 message reaches the cloud with an id that the cloud gave for this very session's Start, or -1 when
that Start is parked or the charger never got an id. A CALL of the cloud with a transaction id reaches
the charger with the id the charger knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.simulation.checks.books import CALL, SETTLED_WITHIN_S, Books
from tests.simulation.ledger import Charging, CloudCall, Text

NEVER_GIVEN = -1
HELD_S = 130.0  # how long the box may hold a CALL behind others that a charger leaves unanswered


def check(books: Books) -> Iterator[str]:
    given = {session.n: _given(books, session) for session in books.ledger.sessions}
    yield from _upwards(books, given)
    yield from _downwards(books, given)


def _given(books: Books, session: Charging) -> list[int]:
    """The ids in the cloud's first reply to each arrival of this session's Start."""
    if session.start is None:
        return []
    found: list[int] = []
    for arrival in books.arrivals_of[session.start.n]:
        reply = next((r for r in arrival.replies if "transactionId" in str(r.frame[2])), None)
        if reply is not None:
            found.append(reply.frame[2]["transactionId"])
    return found


def _upwards(books: Books, given: dict[int, list[int]]) -> Iterator[str]:
    for arrival in books.ledger.arrivals:
        message = books.origin.get(arrival.text.n)
        if message is None or "transactionId" not in arrival.payload or not books.is_16(arrival.charger):
            continue
        told = arrival.payload["transactionId"]
        session = message.session
        if session is None or session.start is None:
            yield f"{arrival.charger}: {message.action} {message.id} has a transaction id it never had"
        elif told == NEVER_GIVEN:
            parked = (arrival.charger, session.start.raw) in books.ledger.ever_parked
            if not parked and not session.start.given_up:
                yield f"{arrival.charger}: {message.action} {message.id} went up with -1"
        elif told not in given[session.n]:
            yield (
                f"{arrival.charger}: {message.action} {message.id} of session {session.n} went up with "
                f"{told}; the cloud gave {given[session.n]}"
            )


def _downwards(books: Books, given: dict[int, list[int]]) -> Iterator[str]:
    arrived: dict[tuple[str, str], list[Text]] = {}
    for text in books.ledger.texts:
        if text.side == "charger" and not text.up and text.kind == CALL:
            arrived.setdefault((text.charger, text.frame[2]), []).append(text)
    for call in books.ledger.cloud_calls:
        wanted = _transaction_of(call.payload)
        if wanted is None:
            continue
        session = _session(books, given, call, wanted)
        if session is None:
            continue
        reached = [t for t in arrived.get((call.charger, call.action), ()) if _is(t, call)]
        ids = [_transaction_of(text.frame[3]) for text in reached]  # two alike may be under way at once
        if ids and session.id not in ids:
            yield (
                f"{call.charger}: {call.action} for {wanted} reached the charger as {ids[0]}; "
                f"it knows {session.id}"
            )


def _session(books: Books, given: dict[int, list[int]], call: CloudCall, wanted: Any) -> Charging | None:
    """The one session the cloud can mean, if the box must know it: told and written down before."""
    if not books.is_16(call.charger):
        return next((s for s in books.ledger.sessions if s.id == wanted), None)
    meant = [s for s in books.ledger.sessions if s.charger == call.charger and wanted in given[s.n]]
    if len(meant) != 1 or len(set(given[meant[0].n])) != 1:
        return None
    start = meant[0].start
    assert start is not None
    arrivals = books.arrivals_of[start.n]
    told = [books.told(a) for a in arrivals]
    last = told[-1] if told else None
    if last is None or last.got_at is None or start.answer is None:
        return None
    known_at = last.got_at
    if (call.text.got_at or 0.0) < max(known_at, start.answer.got_at or 0.0):
        return None
    if books.lost_memory(call.charger, known_at, known_at + SETTLED_WITHIN_S):
        return None
    return meant[0]


def _is(text: Text, call: CloudCall) -> bool:
    """The same CALL: nothing differs but its id and its transaction id, and it came at this time."""
    got_at = call.text.got_at
    if got_at is None or not got_at <= text.sent_at <= got_at + HELD_S:
        return False
    same_id = text.id == call.text.id or text.id.startswith("box-")  # one that collided gets another
    return same_id and _blank(text.frame[3]) == _blank(call.payload)


def _blank(payload: dict[str, Any]) -> str:
    plain = json.loads(json.dumps(payload))
    for holder in (plain, *(v for v in plain.values() if isinstance(v, dict))):
        holder.pop("transactionId", None)
    return json.dumps(plain, sort_keys=True)


def _transaction_of(payload: dict[str, Any]) -> Any:
    for holder in (payload, *(v for v in payload.values() if isinstance(v, dict))):
        if "transactionId" in holder:
            return holder["transactionId"]
    return None
