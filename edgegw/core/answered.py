"""The newest CALLs of a charger, each with what it was told: how a message that is said twice is known.

Rules of this file:
- The oldest that is not billing is forgotten first: a flood of states must not make a repeated Stop new.
- This is on the way of every message: only `forget_chatter` looks through all of them.
"""

from __future__ import annotations

import msgspec

ANSWERED_MAX = 24  # message ids of a charger that are remembered with their answer
ANSWER_BYTES_MAX = 2048  # a longer answer is not remembered


class Answered(msgspec.Struct, frozen=True, gc=False):
    """A CALL of the charger and what it was told; `answer` None while nobody has answered."""

    fingerprint: int  # hash of the raw frame
    answer: bytes | None
    transactional: bool
    earlier: bool = False  # from before this connection
    by_cloud: bool = False  # the answer is the cloud's own


class AnsweredCalls:
    """By message id, the oldest first: billing and the rest."""

    __slots__ = ("_billing", "_chatter")

    def __init__(self) -> None:
        self._billing: dict[str, Answered] = {}
        self._chatter: dict[str, Answered] = {}

    def get(self, message_id: str) -> Answered | None:
        return self._chatter.get(message_id) or self._billing.get(message_id)

    def forget(self, message_id: str) -> None:
        """The charger may use this id again."""
        if self._chatter.pop(message_id, None) is None:
            self._billing.pop(message_id, None)

    def put(self, message_id: str, raw: bytes, *, transactional: bool, answer: bytes | None = None) -> bool:
        """A CALL that is new: the last to be forgotten, whoever had its id. True: another was forgotten."""
        chatter, billing = self._chatter, self._billing
        chatter.pop(message_id, None)
        billing.pop(message_id, None)
        (billing if transactional else chatter)[message_id] = Answered(hash(raw), answer, transactional)
        if len(chatter) + len(billing) <= ANSWERED_MAX:
            return False
        full = chatter or billing
        del full[next(iter(full))]
        return True

    def answer(self, message_id: str, answer: bytes, *, by_cloud: bool) -> None:
        known = self.get(message_id)
        if known is None:
            return
        kept = self._billing if known.transactional else self._chatter
        if len(answer) <= ANSWER_BYTES_MAX:
            kept[message_id] = Answered(
                known.fingerprint, answer, known.transactional, known.earlier, by_cloud
            )
        elif not known.transactional:
            del kept[message_id]  # asked again, it must be answered again

    def forget_chatter(self) -> None:
        """Only billing that was answered stays, as from before."""
        told = {m: known for m, known in self._billing.items() if known.answer is not None}
        self._billing = {m: msgspec.structs.replace(known, earlier=True) for m, known in told.items()}
        self._chatter.clear()
