"""The commands of the last ten minutes by transaction: one that comes twice is carried out once.

Rules of this file:
- The key is what names a command (transaction, else correlation data); the fingerprint is everything else
  that it says. The same of both: the same answer again. Another fingerprint: a transaction used twice.
- Bounded in number and in bytes. When it is full nothing new is carried out: forgetting a command early could
  carry it out twice.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

KEPT_S = 600.0
ENTRIES_MAX = 4096
ANSWER_BYTES_MAX = 16 * 1024
BYTES_MAX = 8 * 1024 * 1024  # of all answers together
WAITERS_MAX = 50  # askers that sent a command again before it was done

Key = tuple[str, bytes]


class ReplyTo(msgspec.Struct, frozen=True):
    """Where an answer goes."""

    topic: str
    correlation: bytes | None = None


class Kept:
    """One command. `answer` None: it still runs."""

    __slots__ = ("answer", "fingerprint", "until", "waiting")

    def __init__(self, fingerprint: bytes) -> None:
        self.fingerprint = fingerprint
        self.answer: bytes | None = None
        self.until = float("inf")
        self.waiting: list[ReplyTo] = []


class Answered:
    def __init__(self) -> None:
        self._running: dict[Key, Kept] = {}
        self._done: dict[Key, Kept] = {}  # in the order of `until`
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._running) + len(self._done)

    @property
    def running(self) -> int:
        return len(self._running)

    def find(self, key: Key, now_mono: float) -> Kept | None:
        for old in list(self._expired(now_mono)):
            self._bytes -= len(self._done.pop(old).answer or b"")
        return self._running.get(key) or self._done.get(key)

    def _expired(self, now_mono: float) -> Iterator[Key]:
        for key, kept in self._done.items():
            if kept.until > now_mono:
                return
            yield key

    def is_full(self, share: float = 1.0) -> bool:
        """For who may use that share of the room."""
        ahead = (len(self._running) + 1) * ANSWER_BYTES_MAX  # room for what is under way
        return len(self) >= ENTRIES_MAX * share or self._bytes + ahead > BYTES_MAX * share

    def begin(self, key: Key, fingerprint: bytes) -> None:
        self._running[key] = Kept(fingerprint)

    def finish(self, key: Key, answer: bytes, now_mono: float) -> list[ReplyTo]:
        """Who else waits for the answer. KeyError when it does not run."""
        kept = self._running.pop(key)
        kept.answer, kept.until = answer, now_mono + KEPT_S
        waiting, kept.waiting = kept.waiting, []
        self._done[key] = kept
        self._bytes += len(answer)
        return waiting
