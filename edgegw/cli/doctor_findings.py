"""What the doctor found, and how its checks are run: beside each other, each with an end.

Rules of this file:
- A finding is in words and says what to do. "wrong": something does not work. "look": it works, and somebody
  should look at it. "ok", and "left out" with the reason.
- A check that hangs is a finding, and so is one with a bug: the others are told all the same.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

log = logging.getLogger("edgegw.doctor")

Level = Literal["wrong", "look", "ok", "left out"]
LEVELS: tuple[Level, ...] = ("wrong", "look", "ok", "left out")


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    about: str  # "cloud", "clock", ...
    text: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """`look` may take its time, but not longer than `within_s`."""

    about: str
    look: Callable[[], Iterable[Finding]]
    within_s: float = 20.0


def wrong(about: str, text: str, todo: str = "") -> Finding:
    return Finding("wrong", about, text, todo)


def look(about: str, text: str, todo: str = "") -> Finding:
    return Finding("look", about, text, todo)


def ok(about: str, text: str) -> Finding:
    return Finding("ok", about, text)


def left_out(about: str, text: str) -> Finding:
    return Finding("left out", about, text)


def run_all(checks: Sequence[Check], told: Callable[[int, int], None]) -> list[Finding]:
    """All of them at once; what they found, in the order of `checks`."""
    done: queue.SimpleQueue[tuple[int, list[Finding]]] = queue.SimpleQueue()
    began = time.monotonic()
    for number, check in enumerate(checks):  # daemons: one that hangs must not keep the command from ending
        threading.Thread(
            target=lambda n=number, c=check: done.put((n, _run(c))), name=f"check {check.about}", daemon=True
        ).start()
    found: dict[int, list[Finding]] = {}
    told(0, len(checks))
    while waited_for := [n for n in range(len(checks)) if n not in found]:
        left_s = max(checks[n].within_s for n in waited_for) - (time.monotonic() - began)
        try:
            number, findings = done.get(timeout=max(0.0, left_s))
        except queue.Empty:
            found |= {n: [_too_long(checks[n])] for n in waited_for}
        else:
            found[number] = findings
        told(len(found), len(checks))
    return [finding for n in range(len(checks)) for finding in found[n]]


def _run(check: Check) -> list[Finding]:
    try:
        return list(check.look())
    except Exception as bug:  # the edge of one check: the others must be told
        log.exception("the check of %s failed", check.about)
        return [look(check.about, f"could not be checked: {type(bug).__name__}: {bug}")]


def _too_long(check: Check) -> Finding:
    return wrong(check.about, f"no answer within {check.within_s:.0f} s", "find out what hangs there")


def worst_first(findings: Iterable[Finding]) -> Iterator[Finding]:
    kept = list(findings)
    for level in LEVELS:
        yield from (finding for finding in kept if finding.level == level)
