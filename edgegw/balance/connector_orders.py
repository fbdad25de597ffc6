"""What people ordered for single connectors: left out of balancing, or limited, for a while.

Rules of this file:
- One order per connector: the newest is what its operator means. Every one has an end.
- Wall clock seconds come in as arguments; a step of that clock makes no order longer or shorter
  (`clock_stepped`). After a restart with a clock that cannot be trusted a limit holds for its whole life
  again, and a bypass is over: of both the lower current is drawn.
- It decides nothing: `apply` writes an order into what the balancer sees of a plug.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from edgegw.balance.model import INFINITE, Plug

ORDERS_MAX = 1000  # one for every connector of a very large site
Kind = Literal["bypass", "limit"]


class ConnectorOrder(msgspec.Struct, frozen=True, kw_only=True):
    kind: Kind
    connector: str  # Connector.id
    limit_a: float | None = None  # per phase, of a limit
    set_at: float  # wall
    expires_at: float  # wall


class ConnectorOrders:
    def __init__(self) -> None:
        self.revision = 0  # raised by whatever must be kept over a restart
        self.lapsed: deque[ConnectorOrder] = deque(
            maxlen=ORDERS_MAX
        )  # not told yet; who tells them empties it
        self._orders: dict[str, ConnectorOrder] = {}

    def set(self, order: ConnectorOrder) -> None:
        """Takes the place of the one before. ValueError in words when it makes no sense."""
        _check(order)
        if order.connector not in self._orders and len(self._orders) >= ORDERS_MAX:
            raise ValueError(f"there are {ORDERS_MAX} orders for connectors already; end one first")
        self._orders[order.connector] = order
        self.revision += 1

    def clear(self, kind: Kind, connector: str) -> bool:
        """Whether there was one of this kind."""
        order = self._orders.get(connector)
        if order is None or order.kind != kind:
            return False
        del self._orders[connector]
        self.revision += 1
        return True

    def of(self, connector: str) -> ConnectorOrder | None:
        """As `resolve` left it."""
        return self._orders.get(connector)

    def resolve(self, now_wall: float) -> Mapping[str, ConnectorOrder]:
        """By connector, those that hold now; the others are over, and in `lapsed`."""
        for order in [order for order in self._orders.values() if now_wall >= order.expires_at]:
            del self._orders[order.connector]
            self.lapsed.append(order)
            self.revision += 1
        return self._orders

    def clock_stepped(self, seconds: float) -> None:
        """The wall clock was set forward (negative: back) by so much."""
        for name, order in self._orders.items():
            self._orders[name] = _moved(order, seconds)
        self.revision += bool(self._orders)

    # --- over a restart ---------------------------------------------------------------------------

    def to_json(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(order) for _, order in sorted(self._orders.items())]

    def restore(
        self,
        saved: Iterable[Mapping[str, Any]],
        now_wall: float,
        *,
        wired: Iterable[str],
        trusted: bool = True,
        not_before: float = 0.0,
    ) -> list[str]:
        """Take back what `to_json` gave; what is left out is told in words. Trust: as `LimitBook.restore`."""
        complaints, known = [], set(wired)
        for one in saved:
            try:
                order = msgspec.convert(one, ConnectorOrder)
                _check(order)
            except (msgspec.ValidationError, ValueError) as fault:
                complaints.append(f"a stored order for a connector is left out: {fault}")
                continue
            if order.connector not in known:
                complaints.append(
                    f"a stored {order.kind} of {order.connector} is left out: it is not wired here"
                )
            elif trusted and not_before <= order.set_at <= now_wall:
                self._orders[order.connector] = order
            elif order.kind == "limit":
                self._orders[order.connector] = _moved(order, now_wall - order.set_at)
            else:
                complaints.append(f"the bypass of {order.connector} is over: the clock was not set meanwhile")
        self.revision += bool(complaints) or not trusted
        return complaints


def apply(order: ConnectorOrder | None, plug: Plug) -> Plug:
    """What the balancer is to see of it."""
    if order is None:
        return plug
    if order.kind == "bypass":
        return replace(plug, bypassed=True)
    assert order.limit_a is not None
    return replace(plug, operator_a=order.limit_a)


def _moved(order: ConnectorOrder, seconds: float) -> ConnectorOrder:
    return replace(order, set_at=order.set_at + seconds, expires_at=order.expires_at + seconds)


def _check(order: ConnectorOrder) -> None:
    if not order.set_at < order.expires_at < INFINITE:
        raise ValueError("an order for a connector needs an end that is still to come")
    if (order.limit_a is not None) != (order.kind == "limit"):
        raise ValueError("a limit needs amps, a bypass has none")
    if order.limit_a is not None and not 0.0 <= order.limit_a < INFINITE:
        raise ValueError(f"a limit of {order.limit_a:g} A is none: it must be zero or more")
