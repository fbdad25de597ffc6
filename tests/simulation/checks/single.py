"""One CALL at a time, per socket and direction, from the box (OCPP-J 4.1.1): to the cloud and to the charger.

To a charger no id is used for two CALLs while the first is unanswered, given up or not.

A CALL is out until an answer to it arrives at the box or 30 s have passed since it was decided; a disk
that takes seconds to commit delays its sending, not its end.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.checks.books import CALL, Books
from tests.simulation.ledger import Text

GIVE_UP_S = 30.0


def check(books: Books) -> Iterator[str]:
    give_up_s = GIVE_UP_S - max((3 * s for _, _, s in books.script.store_slow), default=0.1)
    for texts in books.by_leg.values():
        yield from _leg(texts, give_up_s)
        if texts[0].side == "charger":
            yield from _ids(texts)


def _ids(texts: list[Text]) -> Iterator[str]:
    unanswered: dict[str, Text] = {}
    for text in sorted(texts, key=lambda t: t.got_n if t.up else t.n):
        if text.up and text.kind != CALL and text.got_at is not None:
            unanswered.pop(text.id, None)
        elif not text.up and text.kind == CALL:
            if text.id in unanswered:
                yield f"{text.charger}: two unanswered CALLs with the id {text.id} at the charger"
            unanswered[text.id] = text


def _leg(texts: list[Text], give_up_s: float) -> Iterator[str]:
    to_cloud = texts[0].side == "cloud"
    answers: dict[str, list[int]] = {}
    for text in texts:
        if text.up is not to_cloud and text.kind != CALL and text.got_at is not None:
            answers.setdefault(text.id, []).append(text.got_n)
    out: Text | None = None
    for text in texts:
        if text.up is not to_cloud or text.kind != CALL:
            continue
        if out is not None and not _over(out, text, answers, give_up_s):
            peer = "cloud" if to_cloud else "charger"
            yield f"{text.charger}: {text.id} sent to the {peer} while {out.id} was not answered"
        out = text


def _over(out: Text, following: Text, answers: dict[str, list[int]], give_up_s: float) -> bool:
    if following.sent_at - out.sent_at >= give_up_s:
        return True
    return any(out.n < got_n <= following.n for got_n in answers.get(out.id, ()))
