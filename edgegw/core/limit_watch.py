"""Limits over time: steps of the wall clock, and what people must hear of limits that nobody renewed.

Rules of this file:
- It decides no limit; `balance.limits` does.
- A wall clock that leaves the monotonic one by more than STEP_MIN_S was set; then the orders move with it, so
  that a dead-man is neither longer nor shorter for it.
- A limit that fell back is told when it begins and when it is over, also when that is after a restart; one
  that ended without a fallback is told once.
"""

from __future__ import annotations

from edgegw.balance.limits import LimitBook
from edgegw.balance.order import Order
from edgegw.core.effects import Noticed
from edgegw.core.events import Instant

STEP_MIN_S = 2.0  # less is the time service at work, and no dead-man is that exact

Key = tuple[str, str, bool]


class LimitWatch:
    __slots__ = ("_book", "_fallen", "_wall_at_zero")

    def __init__(self, book: LimitBook) -> None:
        """`book`: with the orders of before the restart; those that had fallen back were told then."""
        self._book = book
        self._wall_at_zero: float | None = None  # wall when mono is 0
        new = {_key(order) for order in book.lapsed}
        fallen = (order for order in book.orders(0.0) if order.expired)
        self._fallen = {_key(order): _fell(order) for order in fallen if _key(order) not in new}

    def look_at_clock(self, now: Instant) -> float:
        """To be asked before an order is set or judged. By how many seconds the clock was set since."""
        wall_at_zero = now.wall - now.mono
        if self._wall_at_zero is None:
            self._wall_at_zero = wall_at_zero
        step_s = wall_at_zero - self._wall_at_zero
        if abs(step_s) <= STEP_MIN_S:
            return 0.0
        self._wall_at_zero = wall_at_zero
        self._book.clock_stepped(step_s)
        return step_s

    def news(self, now: Instant) -> list[Noticed]:
        """What has become of limits since the last time."""
        notices = []
        while self._book.lapsed:
            order = self._book.lapsed.popleft()
            if order.fallback_a is None:
                text = f"the limit of {amount(order)} on {order.circuit} by {order.source} has ended"
                notices.append(Noticed("limit_ended", text, warning=False))
        orders = {_key(order): order for order in self._book.orders(now.wall)}
        fallen = {key: _fell(order) for key, order in orders.items() if order.expired}
        notices += [Noticed("limit_expired", text) for key, text in fallen.items() if key not in self._fallen]
        for key in self._fallen.keys() - fallen.keys():
            notices.append(Noticed("limit_expired_over", _over(key, orders.get(key)), warning=False))
        self._fallen = fallen
        return notices


def _key(order: Order) -> Key:
    return order.source, order.circuit, order.chargers_only


def _fell(order: Order) -> str:
    told = f"the limit of {amount(order)} on {order.circuit} by {order.source} was not renewed"
    return f"{told}: {order.fallback_a:g} A hold"


def _over(key: Key, order: Order | None) -> str:
    source, circuit, _ = key
    if order is None:
        return f"over: the fallback of {source} on {circuit} was cleared"
    return f"over: {source} has set its limit on {circuit} again: {amount(order)}"


def amount(order: Order) -> str:
    if order.asked_w is not None:
        return f"{order.asked_w:g} W"
    first, second, third = order.limit_a
    return f"{first:g} A" if first == second == third else f"{first:g} {second:g} {third:g} A"
