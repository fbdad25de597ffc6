"""Store operations that nobody waits for, gathered until a durable one comes by or a moment has passed.

A state that changes and changes back, a sample of a transaction's record: each is worth keeping and none
is worth a trip to the disk of its own. Only the last word per key is kept; the moment is counted from the
first, so nothing waits longer than RIDE_S and the disk. What is lost in a crash is what `records` says may be
lost.

Nobody who waits slows this down, so it slows itself down: while what went before is not on disk, the rest
stays here. A disk that stands still costs one word per key, and no queue that grows with every message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from edgegw.core.records import SaveDocument, SaveTransaction, StoreOp

RIDE_S = 0.1
WAITING_MAX = 256  # keys; half a transaction of the store

Key = tuple[str, str, str]


class RideAlong:
    """`commit` is called with what waits, in the order in which it was last said."""

    __slots__ = ("_commit", "_timer", "_under_way", "_waiting")

    def __init__(self, commit: Callable[[list[StoreOp]], asyncio.Future[None] | None]) -> None:
        """`commit` returns what is done when they are on disk; None: they are."""
        self._commit = commit
        self._under_way: asyncio.Future[None] | None = None
        self._waiting: dict[Key, StoreOp] = {}
        self._timer: asyncio.TimerHandle | None = None

    def take(self, ops: Sequence[StoreOp]) -> bool:
        """False, and nothing is taken, when somebody waits for one of `ops`."""
        for op in ops:
            if type(op) is SaveDocument:
                if op.durable:
                    return False
            elif type(op) is not SaveTransaction:
                return False
        waiting = self._waiting
        for op in ops:
            key = _key(op)
            waiting.pop(key, None)
            waiting[key] = op
        if self._timer is None:
            self._set_out_later()
        elif len(waiting) >= WAITING_MAX and not self._is_under_way:
            self.flush()
        return True

    @property
    def _is_under_way(self) -> bool:
        return self._under_way is not None and not self._under_way.done()

    def _set_out_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(RIDE_S, self._set_out)

    def _set_out(self) -> None:
        if self._is_under_way:
            self._set_out_later()
        else:
            self.flush()

    def flush(self) -> None:
        """Hand over what waits. To be called before anything durable is committed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            ops = list(self._waiting.values())
            self._waiting.clear()
            self._under_way = self._commit(ops)


def _key(op: StoreOp) -> Key:
    if type(op) is SaveDocument:
        return op.kind, op.charger, op.key
    assert type(op) is SaveTransaction
    return "", op.record.charger, op.record.id  # no document is of kind ""
