"""Energy: what the cloud bills from Start and Stop is what the charger's meter counted, per transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.simulation.checks.books import Books
from tests.simulation.ledger import Arrival, Charging


def check(books: Books) -> Iterator[str]:
    for session in books.ledger.sessions:
        stop = next((m for m in books.ledger.messages if m.session is session and m.part == "stop"), None)
        if stop is None or session.start is None:
            continue
        arrivals = [a for a in books.arrivals_of[stop.n] if a.processed]
        if arrivals:
            yield from _one(books, session, arrivals[0])


def _one(books: Books, session: Charging, stop: Arrival) -> Iterator[str]:
    told = _key(stop)
    if told == -1:
        return
    billed = _meter(stop)
    starts = [
        a
        for a in books.ledger.arrivals
        if a.charger == session.charger
        and a.action in ("StartTransaction", "TransactionEvent")
        and _opens(a, told)
    ]
    if not starts or billed is None:
        return  # `delivered` and `identity` have their say on these
    wh = billed - (_meter(starts[-1]) or 0)
    counted = session.meter_wh - session.meter_start_wh
    if wh != counted:
        yield f"{session.charger}: session {session.n}: billed {wh} Wh, counted {counted} Wh"


def _opens(arrival: Arrival, told: Any) -> bool:
    if arrival.action == "TransactionEvent":
        return arrival.payload["eventType"] == "Started" and _key(arrival) == told
    return any(r.kind == 3 and r.frame[2].get("transactionId") == told for r in arrival.replies[:1])


def _key(arrival: Arrival) -> Any:
    info = arrival.payload.get("transactionInfo") or arrival.payload
    return info.get("transactionId")


def _meter(arrival: Arrival) -> int | None:
    payload = arrival.payload
    if arrival.action == "StartTransaction":
        return int(payload["meterStart"])
    if arrival.action == "StopTransaction":
        return int(payload["meterStop"])
    return int(payload["meterValue"][0]["sampledValue"][0]["value"])
