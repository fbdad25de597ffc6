"""Weighted max-min shares: what each session would get if current could be moved without cost.

Rules of this file:
- Pure arithmetic over rows; nothing here knows what a charger is.
- Progressive filling: one level rises, each claim holds `weight x level` amps but never less than its floor
  nor more than its ceiling; where a row is full its claims stop. That is the weighted max-min allocation,
  which is unique: no claim can get more without taking from one that has no more per weight.
- Floors come first, for all. Then the classes are filled from the highest priority down.
- A row that cannot even hold the floors leaves its claims at their floors: who is paused is not decided
  here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import groupby

import msgspec

_SLACK_A = 1e-9


class Claim(msgspec.Struct, gc=False):
    """One session's claim. `rows` are indexes into the budgets; each takes the claim's amps once."""

    rows: tuple[int, ...]
    floor_a: float
    ceiling_a: float  # not below floor_a
    weight: float = 1.0
    priority: int = 0


def fill(claims: Sequence[Claim], budgets_a: Sequence[float]) -> list[float]:
    """The amps of each claim, in the order of `claims`. Budgets may be negative or infinite.

    O(n d log n) for n claims on d rows each.
    """
    left = list(budgets_a)
    amps = [claim.floor_a for claim in claims]
    for claim in claims:
        for row in claim.rows:
            left[row] -= claim.floor_a
    order = sorted(range(len(claims)), key=lambda n: -claims[n].priority)
    for _, members in groupby(order, key=lambda n: claims[n].priority):
        _fill_class(claims, list(members), amps, left)
    return amps


def _fill_class(claims: Sequence[Claim], members: list[int], amps: list[float], left: list[float]) -> None:
    """Raise `amps` of the members of one class; `left` is what the rows still have, and shrinks."""
    level = _Level(claims, members, left)
    events = _events(claims, members)
    at = 0
    while at < len(events) or level.rising:
        until = events[at][0] if at < len(events) else float("inf")
        if level.rise(until, amps):
            continue
        if at == len(events):
            break
        _, starts, number = events[at]
        at += 1
        if starts:
            level.start(number)
        else:
            level.stop(number, amps)


def _events(claims: Sequence[Claim], members: Iterable[int]) -> list[tuple[float, bool, int]]:
    """(level, starts, claim) as the level rises: a claim starts at its floor, stops at its ceiling."""
    events = []
    for number in members:
        claim = claims[number]
        if claim.ceiling_a > claim.floor_a:
            events.append((claim.floor_a / claim.weight, True, number))
            if claim.ceiling_a < float("inf"):
                events.append((claim.ceiling_a / claim.weight, False, number))
    events.sort()
    return events


class _Level:
    """The rising level of one class.

    A row is looked at when a claim on it starts or stops, not at every event: between two changes what it
    has left falls in a straight line, so the level at which it will be full stands in a heap.
    """

    def __init__(self, claims: Sequence[Claim], members: Sequence[int], left: list[float]) -> None:
        self.claims = claims
        self.left = left  # of each row, at the level `_seen`
        self.at = 0.0
        self.rising: set[int] = set()
        self._pull: dict[int, float] = {}  # row -> weights of the claims that rise on it
        self._seen: dict[int, float] = {}
        self._ends: list[tuple[float, int, int]] = []  # (level at which it is full, change, row)
        self._change: dict[int, int] = {}  # of a row; older entries of the heap are void
        self._on_row: dict[int, list[int]] = {}
        for number in members:
            for row in claims[number].rows:
                self._on_row.setdefault(row, []).append(number)
        self._full = {row for row in self._on_row if left[row] <= _SLACK_A}

    def start(self, number: int) -> None:
        claim = self.claims[number]
        if self._full and not self._full.isdisjoint(claim.rows):
            return
        self.rising.add(number)
        for row in claim.rows:
            self._turn(row, claim.weight)

    def stop(self, number: int, amps: list[float]) -> None:
        """Ends its rise where the level stands now."""
        if number not in self.rising:
            return
        self.rising.discard(number)
        claim = self.claims[number]
        amps[number] = min(claim.ceiling_a, max(claim.floor_a, self.at * claim.weight))
        for row in claim.rows:
            self._turn(row, -claim.weight)

    def _turn(self, row: int, weight: float) -> None:
        """From here on the row falls with another slope."""
        pull = self._pull.get(row, 0.0)
        self.left[row] -= pull * (self.at - self._seen.get(row, self.at))
        self._seen[row] = self.at
        self._change[row] = change = self._change.get(row, 0) + 1
        pull += weight
        self._pull[row] = pull = pull if pull > _SLACK_A else 0.0
        if pull and row not in self._full:
            heappush(self._ends, (self.at + max(0.0, self.left[row]) / pull, change, row))

    def rise(self, until: float, amps: list[float]) -> bool:
        """Rise to `until`, or to where the next row is full: then True, and its claims have stopped."""
        if not self.rising or until <= self.at:
            self.at = max(self.at, until) if until < float("inf") else self.at
            return False
        while self._ends and self._ends[0][1] != self._change[self._ends[0][2]]:
            heappop(self._ends)
        if self._ends and self._ends[0][0] < until:
            self.at, _, row = heappop(self._ends)
            self._full.add(row)
            for number in self._on_row[row]:
                self.stop(number, amps)
            return True
        if until == float("inf"):  # nothing holds them: no row and no ceiling
            for number in self.rising:
                amps[number] = float("inf")
            self.rising.clear()
            return False
        self.at = until
        return False
