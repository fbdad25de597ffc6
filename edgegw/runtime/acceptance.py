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

    def say(self, identity: str, *, welcome: bool, wall: float) -> SaveDocument:
        """Raises TooMany. The document must be kept."""
        if identity not in self._words and len(self._words) >= ACCEPTED_MAX:
            raise TooMany(
                f"{ACCEPTED_MAX} chargers were accepted or taken back here: name chargers in [chargers] known"
            )
        self._words[identity] = Word(at=wall, welcome=welcome)
        value = msgspec.json.encode(self._words[identity])
        return SaveDocument(kind=KIND, charger="", key=identity, value=value)

    def recover(self, documents: Iterable[Document], known: frozenset[str]) -> list[SaveDocument]:
        """What was kept, but for those that the site file names by now: their documents can go."""
        gone = []
        for document in documents:
            if document.kind != KIND:
                continue
            if document.key in known:
                gone.append(SaveDocument(kind=KIND, charger="", key=document.key, value=None))
                continue
            try:
                self._words[document.key] = msgspec.json.decode(document.value, type=Word)
            except msgspec.MsgspecError as error:
                log.warning("what was said of charger %r cannot be read: %s", document.key, error)
        return gone
