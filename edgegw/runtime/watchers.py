"""Those who are told of facts and decide nothing: a bug in one of them stops neither the others nor work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

Fact = TypeVar("Fact")

log = logging.getLogger(__name__)

BUGS_LOGGED_EVERY = 1000  # the first of a kind is news; a thousand tracebacks are none


class Watchers(list[Callable[[Fact], object]]):
    """Append who wants to be told."""

    def __init__(self) -> None:
        super().__init__()
        self.bugs = 0

    def tell(self, fact: Fact) -> None:
        for watcher in self:
            try:
                watcher(fact)
            except Exception:  # the edge between those who decide and those who watch
                self.bugs += 1
                if self.bugs % BUGS_LOGGED_EVERY == 1:
                    log.exception("bug in a watcher (%d so far); what it watches goes on", self.bugs)
