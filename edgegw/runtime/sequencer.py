"""The order of effects is the order of durability: this is where that is true.

One `Sequencer` per charger. Effects are carried out in list order, and lists in the order in which they
were pushed. Store operations that must be durable hold back every later effect of this charger until
their commit is synced; the others go along with the next commit. When a commit fails, nothing behind it
is carried out. No I/O of its own: the simulation drives it with a store that loses power.

Carrying out an effect may push more (a leg that is closed is an event): that waits for its turn. What
was meant for a leg that is gone must not reach the next one: `forget` it when the leg is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from edgegw.core.effects import Effect
from edgegw.core.records import Append, Discard, SaveDocument, SaveTransaction, Settle, StoreOp

_STORE_OPS = frozenset({Append, Settle, Discard, SaveDocument, SaveTransaction})
_ALWAYS_DURABLE = frozenset({Append, Settle, Discard})

Done = Callable[[BaseException | None], None]


class Sequencer:
    """`commit(ops, done)` stores `ops` in one transaction and calls `done` once, later."""

    __slots__ = ("_backlog", "_busy", "_commit", "_failed", "_generation", "_halted", "_perform", "_waiting")

    def __init__(
        self,
        perform: Callable[[Effect], None],
        commit: Callable[[list[StoreOp], Done], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._perform = perform
        self._commit = commit
        self._failed = failed
        self._backlog: deque[Effect] = deque()
        self._waiting = False
        self._busy = False
        self._halted = False
        self._generation = 0

    @property
    def held(self) -> int:
        """Effects behind a commit that is under way."""
        return len(self._backlog)

    @property
    def idle(self) -> bool:
        return not self._waiting and not self._backlog

    def push(self, effects: list[Effect]) -> None:
        if self._halted:
            return
        if self._busy or self._waiting or self._backlog:
            self._backlog.extend(effects)
            return
        generation = self._generation
        self._busy = True
        try:
            for index, effect in enumerate(effects):
                if type(effect) in _STORE_OPS:
                    self._backlog.extendleft(reversed(effects[index:]))
                    break
                self._perform(effect)
                if generation != self._generation:
                    return
        finally:
            self._busy = False
        if self._backlog:
            self._drain()

    def _drain(self) -> None:
        backlog = self._backlog
        self._busy = True
        try:
            while backlog and not self._waiting:
                if type(backlog[0]) in _STORE_OPS:
                    self._store()
                else:
                    self._perform(backlog.popleft())
        finally:
            self._busy = False

    def _store(self) -> None:
        """Hand the store operations at the head over in one transaction."""
        ops: list[StoreOp] = []
        while self._backlog and type(self._backlog[0]) in _STORE_OPS:
            ops.append(self._backlog.popleft())  # type: ignore[arg-type]
        generation = self._generation
        if not any(_is_durable(op) for op in ops):
            self._commit(ops, self._lazy_done)
            return
        self._waiting = True
        self._commit(ops, lambda error: self._done(generation, error))

    def _lazy_done(self, error: BaseException | None) -> None:
        """Nobody waited for it; if the store is broken the next durable commit says so."""

    def _done(self, generation: int, error: BaseException | None) -> None:
        if generation != self._generation:
            return
        if error is None:
            self._waiting = False
            self._drain()
            return
        self.halt()
        self._failed(error)

    def forget(self, *kinds: type[Effect]) -> None:
        """Drop the effects of these kinds that wait: the leg they were meant for is gone."""
        kept = [effect for effect in self._backlog if type(effect) not in kinds]
        self._backlog.clear()
        self._backlog.extend(kept)

    def halt(self) -> None:
        """Forget everything that has not been carried out, and take nothing more until `reset`.

        Whoever decides from here on decides on what the store may not hold.
        """
        self._halted = True
        self._generation += 1
        self._backlog.clear()
        self._waiting = False

    def reset(self) -> None:
        """Start over with nothing to do."""
        self.halt()
        self._halted = False


def _is_durable(op: StoreOp) -> bool:
    return type(op) in _ALWAYS_DURABLE or (type(op) is SaveDocument and op.durable)
