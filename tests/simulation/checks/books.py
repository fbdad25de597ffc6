"""What every checker needs: the ledger sorted by charger, by message, by socket. Derives, judges nothing."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

from tests.simulation.ledger import CALL, ERROR, RESULT, Arrival, Asked, Ledger, Message, Text
from tests.simulation.script import V16, Script

SETTLED_WITHIN_S = 20.0  # longer than any commit takes, the slowest disk of a script included


class Books:
    def __init__(self, ledger: Ledger, script: Script) -> None:
        self.ledger = ledger
        self.script = script
        self.by_raw: dict[tuple[str, bytes], Message] = {
            (m.charger, m.raw): m for m in ledger.messages if m.raw
        }

    @cached_property
    def sent_ids(self) -> dict[tuple[str, str], list[Asked]]:
        """What each charger sent under each message id, in order."""
        found: dict[tuple[str, str], list[Asked]] = defaultdict(list)
        for asked in self.ledger.asked:
            found[asked.charger, asked.text.id].append(asked)
        return found

    @cached_property
    def origin(self) -> dict[int, Message]:
        """Arrival (by n of its text) -> the transaction message it is, by id and content."""
        found: dict[int, Message] = {}
        for arrival in self.ledger.arrivals:
            for asked in self.sent_ids.get((arrival.charger, arrival.text.id), ()):
                if asked.message is not None and same_message(asked, arrival):
                    found[arrival.text.n] = asked.message
                    break
        return found

    @cached_property
    def arrivals_of(self) -> dict[int, list[Arrival]]:
        """Message (by n) -> its arrivals at the cloud, in order."""
        found: dict[int, list[Arrival]] = defaultdict(list)
        for arrival in self.ledger.arrivals:
            message = self.origin.get(arrival.text.n)
            if message is not None:
                found[message.n].append(arrival)
        return found

    @cached_property
    def by_leg(self) -> dict[int, list[Text]]:
        found: dict[int, list[Text]] = defaultdict(list)
        for text in self.ledger.texts:
            found[text.leg].append(text)
        return found

    @cached_property
    def _on_disk(self) -> dict[tuple[str, str], float]:
        """(charger, message id) -> when the box first answered it with its row on disk."""
        found: dict[tuple[str, str], float] = {}
        for text in self.ledger.texts:
            if text.row_on_disk:
                found.setdefault((text.charger, text.id), text.sent_at)
        return found

    def on_disk_before(self, message: Message, when: float) -> bool:
        return self._on_disk.get((message.charger, message.id), float("inf")) < when

    def is_16(self, charger: str) -> bool:
        return self.ledger.versions[charger] == V16

    def lost_memory(self, charger: str, start: float, end: float) -> bool:
        """Did the box forget things of this charger in [start, end]: power, failed commit, session anew?"""
        ledger = self.ledger
        return (
            any(start <= t <= end for t in ledger.cuts)
            or any(start <= t <= end for t in ledger.store_failures)
            or any(start <= t <= end and c == charger for t, c in ledger.rebuilds)
        )

    def told(self, arrival: Arrival, kind: int = RESULT) -> Text | None:
        """The first reply to this arrival that reached the box while the leg still counted."""
        for reply in arrival.replies:
            if reply.got_at is not None and reply.kind == kind:
                return reply
        return None


def same_message(asked: Asked, arrival: Arrival) -> bool:
    """Same action and same payload but for the two tokens that may differ."""
    if asked.action != arrival.action:
        return False
    return _plain(asked.payload) == _plain(arrival.payload)


def _plain(payload: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in payload.items() if k not in ("transactionId", "offline")}


__all__ = ["CALL", "ERROR", "RESULT", "SETTLED_WITHIN_S", "Books", "same_message"]
