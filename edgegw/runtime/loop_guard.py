"""For loops that must not end: a bug in one pass is logged, and the loop goes on.

Rules of this file: only for what somebody else would not notice; whoever decides for a charger starts over
instead (`session`, `own_station`).
"""

from __future__ import annotations

import logging
from types import TracebackType

BUGS_LOGGED_EVERY = 1000  # the first is news; a thousand tracebacks are none


class LoopGuard:
    """`with guard:` around each pass. A cancellation ends the loop, as it must."""

    def __init__(self, log: logging.Logger, doing: str) -> None:
        """`doing`: what stands in the log, such as "publishing"."""
        self.bugs = 0
        self._log = log
        self._doing = doing

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, bug: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Whether it goes on behind the `with`."""
        if not isinstance(bug, Exception):
            return False
        self.bugs += 1
        if self.bugs % BUGS_LOGGED_EVERY == 1:
            self._log.error("bug while %s (%d so far); it goes on", self._doing, self.bugs, exc_info=bug)
        return True
