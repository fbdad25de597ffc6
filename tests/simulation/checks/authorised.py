"""Who may charge, when the box decides: the charger's list, then its cache, then the policy.

A model of its own: what the cloud said of a tag and what lists the charger accepted, at the times at
which the box heard it. Where the box lost its memory soon after it heard something, it may know it or
not: then either is right, and accepting a tag that every possible entry refuses is still wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.simulation.checks.books import CALL, RESULT, Books
from tests.simulation.ledger import Asked, Text
from tests.simulation.script import WALL_2026

UNSURE_S = 20.0
EXPIRY_S = 14 * 86400.0
UNKNOWN = "unknown"  # no entry
MAYBE = "maybe "

Change = tuple[int, float, str]  # (n, when, status)


def check(books: Books) -> Iterator[str]:
    for charger in books.ledger.versions:
        yield from _Lists(books, charger).check()


class _Lists:
    def __init__(self, books: Books, charger: str) -> None:
        self._books = books
        self._charger = charger
        self._cache: dict[str, list[Change]] = defaultdict(list)
        self._list: dict[str, list[Change]] = defaultdict(list)
        self._clears: list[Change] = []
        # A clock that was right and jumps by years makes every card old, whoever is to blame.
        self._steps = books.script.steps if books.script.wall_at_start == WALL_2026 else []
        self._calls_down = [
            t
            for t in books.ledger.texts
            if not t.up and t.side == "charger" and t.charger == charger and t.kind == CALL
        ]
        self._learn()

    # --- what the box heard --------------------------------------------------------------------------

    def _learn(self) -> None:
        for arrival in self._books.ledger.arrivals:
            if arrival.charger == self._charger:
                tag = _tag(arrival.payload)
                for reply in arrival.replies:
                    status = _status(reply)
                    if tag and status and reply.got_at is not None:
                        self._cache[tag].append((reply.got_n, reply.got_at, status))
        answered = [(self._answer_to(c), c) for c in self._calls_down if c.frame[2] in _LISTS]
        for text, call in sorted(((t, c) for t, c in answered if t is not None), key=lambda p: p[0].got_n):
            self._heard(text, call.frame[2], call.frame[3])

    def _heard(self, text: Text, action: str, payload: dict[str, Any]) -> None:
        """The answer, as it came from the charger to the box, is the moment at which a CALL counts."""
        assert text.got_at is not None
        if action == "ClearCache":
            self._clears.append((text.got_n, text.got_at, UNKNOWN))
        elif action == "SendLocalList":
            self._listed(text.got_n, text.got_at, payload)
        elif text.frame[2].get("status") == "Accepted":
            # A remote start vouches for a tag nobody has heard of: or not, if somebody has.
            self._cache[_tag(payload)].append((text.got_n, text.got_at, MAYBE + "Accepted"))

    def _listed(self, n: int, when: float, payload: dict[str, Any]) -> None:
        entries = {_tag(e): e for e in payload["localAuthorizationList"]}
        if payload["updateType"] == "Full":
            for tag in [t for t in self._list if t not in entries]:
                self._list[tag].append((n, when, UNKNOWN))
        for tag, entry in entries.items():
            info = entry.get("idTagInfo") or entry.get("idTokenInfo") or {}
            self._list[tag].append((n, when, info["status"]))
            self._cache[tag].append((n, when, UNKNOWN))

    def _answer_to(self, call: Text) -> Text | None:
        for text in self._books.by_leg[call.leg]:
            if text.up and text.kind == RESULT and text.id == call.id and text.got_n > call.n:
                return text
        return None

    # --- what it may therefore have said ---------------------------------------------------------------

    def check(self) -> Iterator[str]:
        books = self._books
        from_cloud = {
            (a.text.id, a.charger)
            for a in books.ledger.arrivals
            if any(reply.got_at is not None for reply in a.replies)
        }
        for asked in books.ledger.asked:
            tag = _tag(asked.payload)
            if asked.charger != self._charger or not tag:
                continue
            for answer in asked.answers:
                said = _status(answer)
                if said is None or (asked.text.id, asked.charger) in from_cloud:
                    continue  # the cloud has, or may have, decided
                yield from self._judge(asked, answer, tag, said)

    def _judge(self, asked: Asked, answer: Text, tag: str, said: str) -> Iterator[str]:
        allowed = self._allowed(tag, answer)
        if said not in allowed:
            yield (
                f"{self._charger}: the box said {said} to {tag} ({asked.action} {asked.text.id} at "
                f"{answer.sent_at:.3f}); it may say {sorted(allowed)}"
            )

    def _allowed(self, tag: str, answer: Text) -> set[str]:
        listed = self._possible(self._list[tag], answer)
        expired = any(when <= answer.sent_at and by > EXPIRY_S for when, by in self._steps)
        allowed = listed - {UNKNOWN}
        if UNKNOWN in listed:
            cached = self._possible(self._cache_of(tag), answer)
            allowed |= cached - {UNKNOWN}
            if UNKNOWN in cached or expired:
                allowed |= self._policy()
        return allowed

    def _cache_of(self, tag: str) -> list[Change]:
        """A listed tag is not cached (1.6 3.5.2): what is heard of it meanwhile may count or not."""
        found = [*self._clears]
        for n, when, status in self._cache[tag]:
            listed = [s for at, _, s in self._list[tag] if at < n]
            maybe = status != UNKNOWN and listed and listed[-1] != UNKNOWN
            found.append((n, when, MAYBE + status if maybe else status))
        return sorted(found)

    def _policy(self) -> set[str]:
        if self._books.script.accept_unknown:
            return {"Accepted"}
        return {"Invalid"} if self._books.is_16(self._charger) else {"Unknown"}

    def _possible(self, changes: list[Change], answer: Text) -> set[str]:
        """The newest entry, and older ones as far as memory may have been lost after the newer."""
        possible: set[str] = set()
        earliest = answer.sent_at - UNSURE_S  # an answer may have been made up to a commit before it left
        for n, when, status in reversed(changes):
            if n > answer.n:
                continue
            if status.startswith(MAYBE):
                possible.add(status.removeprefix(MAYBE))
                continue  # whatever was before is possible too
            possible.add(status)
            if when < earliest and not self._books.lost_memory(self._charger, when, when + UNSURE_S):
                return possible
        return possible | {UNKNOWN}


_LISTS = {"SendLocalList", "ClearCache", "RemoteStartTransaction", "RequestStartTransaction"}


def _tag(payload: dict[str, Any]) -> str:
    token = payload.get("idTag") or (payload.get("idToken") or {}).get("idToken") or ""
    return str(token).casefold()


def _status(answer: Text) -> str | None:
    if answer.kind != RESULT:
        return None
    info = answer.frame[2].get("idTagInfo") or answer.frame[2].get("idTokenInfo") or {}
    return info.get("status")
