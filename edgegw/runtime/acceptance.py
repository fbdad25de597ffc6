"""Chargers that a person let in, or turned away again, without the site file: kept over restarts.

Rules of this file: what the site file names is its own and always welcome; who was taken back stays outside
although the store knows it from before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import msgspec

from edgegw.core.records import Document, SaveDocument
from edgegw.errors import EdgegwError

log = logging.getLogger("edgegw.gateway")

KIND = "accepted"
ACCEPTED_MAX = 2000  # as many as [chargers] max_connections has room for at first


class TooMany(EdgegwError):
    """No further charger can be accepted here; the text says what to do."""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """The last word of a person on one charger."""

    at: float  # wall
    welcome: bool


class Acceptance:
    def __init__(self) -> None:
        self._words: dict[str, Word] = {}

    @property
    def welcome(self) -> frozenset[str]:
        return frozenset(name for name, word in self._words.items() if word.welcome)

    def word(self, identity: str) -> Word | None:
        """None: nobody has said anything."""
        return self._words.get(identity)

    def words(self) -> list[tuple[str, Word]]:
        return sorted(self._words.items())

    def say(self, identity: str, *, welcome: bool, wall: float) -> tuple[Word, SaveDocument]:
        """A word and the document that keeps it: it counts when it was kept (`take`). Raises TooMany."""
        if identity not in self._words and len(self._words) >= ACCEPTED_MAX:
            raise TooMany(
                f"{ACCEPTED_MAX} chargers were accepted or taken back here: name chargers in [chargers] known"
            )
        word = Word(at=wall, welcome=welcome)
        return word, _document(identity, word)

    def take(self, identity: str, word: Word) -> None:
        """It counts from now on."""
        self._words[identity] = word

    def recover(self, documents: Iterable[Document], known: frozenset[str]) -> list[SaveDocument]:
        """What was kept, but for those that the site file names by now: their documents can go."""
        gone = []
        for document in documents:
            if document.kind != KIND:
                continue
            if document.key in known:
                gone.append(_document(document.key, None))
                continue
            try:
                self._words[document.key] = msgspec.json.decode(document.value, type=Word)
            except msgspec.MsgspecError as error:
                log.warning("what was said of charger %r cannot be read: %s", document.key, error)
        return gone


def _document(identity: str, word: Word | None) -> SaveDocument:
    """What keeps it; None: that nothing is said of it any more."""
    value = msgspec.json.encode(word) if word is not None else None
    return SaveDocument(kind=KIND, charger="", key=identity, value=value)
