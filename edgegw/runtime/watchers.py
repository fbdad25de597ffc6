"""Those who are told of facts and decide nothing: a bug in one of them stops neither the others nor work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from edgegw.runtime.loop_guard import LoopGuard

Fact = TypeVar("Fact")

log = logging.getLogger(__name__)


class Watchers(list[Callable[[Fact], object]]):
    """Append who wants to be told."""

    def __init__(self) -> None:
        super().__init__()
        self._guard = LoopGuard(log, "telling who watches")  # the edge between deciding and watching

    @property
    def bugs(self) -> int:
        return self._guard.bugs

    def tell(self, fact: Fact) -> None:
        for watcher in self:
            with self._guard:
                watcher(fact)
