"""Whether anybody can still look at the console: one that nobody sees must not live on."""

from __future__ import annotations

import os
import select
from collections.abc import Callable


def parent_is_gone() -> Callable[[], bool]:
    """Of a console in a browser: the server whose visitor it shows."""
    parent = os.getppid()
    return lambda: os.getppid() != parent


def terminal_is_gone(fileno: int) -> Callable[[], bool]:
    """Closed at its other end. Who has it as controlling terminal gets SIGHUP; others hear nothing of it."""

    def is_gone() -> bool:
        poll = select.poll()
        poll.register(fileno, 0)
        return bool(poll.poll(0))  # asked for nothing, it tells of hang-ups and errors alone

    return is_gone
