"""Bytes: what comes out is what went in, but for the tokens that may differ. With a differ of its own.

Upwards: the transactionId of a 1.6 MeterValues or StopTransaction, the `offline` flag of a
TransactionEvent. Downwards: the transactionId of a 1.6 CALL, and a message id that collided. An answer
of a charger: its message id, and messagesInQueue. Messages of the box itself repeat a charger's bytes
under another id (boot, states).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.simulation.checks.books import CALL, ERROR, RESULT, Books
from tests.simulation.ledger import Text

_NUMBER = re.compile(rb'("transactionId"\s*:\s*)-?\d+(?=\s*[,}])')
_OFFLINE_IN_FRONT = re.compile(rb'\{"offline":true,')
_OFFLINE_VALUE = re.compile(rb'("offline"\s*:\s*)(?:true|false)')
_ID = re.compile(rb'^(\s*\[\s*\d\s*,\s*)"(?:[^"\\]|\\.)*"')
_IN_QUEUE = re.compile(rb'("messagesInQueue"\s*:\s*)(?:true|false)')
_OWN_ACTIONS = {"StatusNotification", "BootNotification"}


def check(books: Books) -> Iterator[str]:
    yield from _upwards(books)
    yield from _downwards(books)
    yield from _answers(books)


def _upwards(books: Books) -> Iterator[str]:
    said = {(a.charger, a.text.raw) for a in books.ledger.asked}
    cores = {(a.charger, _core(a.text)) for a in books.ledger.asked}
    without_id = {
        (a.charger, _ID.sub(rb"\1", a.text.raw)) for a in books.ledger.asked if a.action in _OWN_ACTIONS
    }
    for arrival in books.ledger.arrivals:
        text = arrival.text
        if (arrival.charger, text.raw) in said or (arrival.charger, _core(text)) in cores:
            continue
        if arrival.action in _OWN_ACTIONS and (arrival.charger, _ID.sub(rb"\1", text.raw)) in without_id:
            continue
        yield f"{arrival.charger}: no charger said what the cloud read: {text.raw!r}"


def _core(text: Text) -> bytes:
    """The text without the tokens that may differ upwards."""
    action = text.frame[2]
    if action in ("MeterValues", "StopTransaction"):
        return _NUMBER.sub(rb"\1?", text.raw)
    if action == "TransactionEvent":
        return _OFFLINE_VALUE.sub(rb"\1?", _OFFLINE_IN_FRONT.sub(b"{", text.raw))
    return text.raw


def _downwards(books: Books) -> Iterator[str]:
    asked = {(c.charger, _down_core(c.text)) for c in books.ledger.cloud_calls}
    for text in books.ledger.texts:
        if text.side != "charger" or text.up or text.kind != CALL:
            continue
        if (text.charger, _down_core(text)) not in asked and not text.id.startswith("box-"):
            yield f"{text.charger}: the cloud never asked {text.raw!r}"


def _down_core(text: Text) -> bytes:
    raw = _ID.sub(rb"\1", text.raw)
    return _NUMBER.sub(rb"\1?", raw)


def _answers(books: Books) -> Iterator[str]:
    """Every answer the cloud got is one that the charger gave."""
    given = {
        (t.charger, _answer_core(t))
        for t in books.ledger.texts
        if t.side == "charger" and t.up and t.kind in (RESULT, ERROR)
    }
    for call in books.ledger.cloud_calls:
        for text in call.answers:
            rejected = call.action == "RemoteStopTransaction" and text.frame[2:] == [{"status": "Rejected"}]
            if (text.charger, _answer_core(text)) not in given and not rejected:
                yield f"{text.charger}: no charger answered {text.raw!r}"


def _answer_core(text: Text) -> bytes:
    return _IN_QUEUE.sub(rb"\1?", _ID.sub(rb"\1", text.raw))
