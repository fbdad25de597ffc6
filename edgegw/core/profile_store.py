"""What is kept over a restart of the cloud's wishes for one charger's power: document of kind "profiles".

Rules of this file: what waits for the charger's word is not kept. After a restart the charger has what it had
accepted, the cloud has had no answer, and so the book is the one from before.
"""

from __future__ import annotations

import msgspec

from edgegw.balance.profile_book import ProfileBook
from edgegw.core.power import PowerState, RemoteStart
from edgegw.core.records import Document, SaveDocument
from edgegw.core.state import ChargerState

KIND = "profiles"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    book: msgspec.Raw
    starts: tuple[RemoteStart, ...] = ()
    prioritised: tuple[str, ...] = ()


def settled(power: PowerState) -> ProfileBook:
    """The book without what the charger has not accepted yet."""
    return power.wishes[0].before if power.wishes else power.book


def save(state: ChargerState) -> SaveDocument:
    """Durable: whoever is told Accepted must not be told otherwise by a power cut."""
    power = state.power
    book = settled(power)
    if not book.profiles and not power.starts and not power.prioritised:
        return state.document(KIND, "", None)
    kept = Kept(
        book=msgspec.Raw(book.to_json()),
        starts=tuple(power.starts),
        prioritised=tuple(sorted(power.prioritised)),
    )
    return state.document(KIND, "", msgspec.json.encode(kept))


def recover(state: ChargerState, document: Document) -> None:
    """A document of kind "profiles". ValueError (msgspec) when it is not one."""
    kept = msgspec.json.decode(document.value, type=Kept)
    power = state.power
    power.book = ProfileBook.from_json(bytes(kept.book))
    power.starts = list(kept.starts)
    power.prioritised = set(kept.prioritised)
