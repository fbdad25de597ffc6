"""Limits that come and go: set by the building or the grid operator, or following the clock.

Rules of this file:
- The lowest limit of a circuit holds, whoever set it; one above the fuse changes nothing. Priority only says
  who is named first when two are equal: nobody can lift what another has lowered.
- One order per source, circuit and kind; a new one takes the place of the old one. An order that expires
  ends, or falls back to `fallback_a` when it has one: then it stays until it is set anew or cleared. Expiry
  is a dead-man: when whoever set the limit falls silent, the fallback holds.
- Wall clock seconds since 1970 come in as arguments. A step of that clock makes no order longer or shorter
  (`clock_stepped`); where nobody knows how much of its life is left, the lower of limit and fallback holds,
  and never longer than its whole life. A schedule runs on the site's local time: where the
  clocks change it begins at the earlier and ends at the later of two instants.
- A limit for the chargers alone under §14a EnWG is never below what the law leaves them (`p_min_w`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

import msgspec
from msgspec.structs import replace

from edgegw.balance.model import INFINITE, PHASES, Amps, Limit
from edgegw.balance.order import Order as Order
from edgegw.balance.order import on_all
from edgegw.balance.tree import Tree

ORDERS_MAX = 64  # sources x circuits; more is a mistake of who sets them
STEUVE_W = 4200.0  # BNetzA BK6-22-300, annex 1, 4.5.2
# By number of controllable devices behind one energy management; from nine on the last.
_SIMULTANEITY = {2: 0.80, 3: 0.75, 4: 0.70, 5: 0.65, 6: 0.60, 7: 0.55, 8: 0.50}
_SIMULTANEITY_MANY = 0.45
_DAY_MIN = 24 * 60


def p_min_w(devices: int) -> float:
    """What the grid operator must leave `devices` controllable devices together, in watts (as above)."""
    if devices <= 0:
        return 0.0
    return STEUVE_W + (devices - 1) * _SIMULTANEITY.get(devices, _SIMULTANEITY_MANY) * STEUVE_W


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A lower limit at times of the day. `to_min` at or before `from_min` is on the next day."""

    name: str
    circuit: str
    from_min: int  # minutes since midnight
    to_min: int
    limit_a: float  # per phase
    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)  # of its beginning; Monday is 0

    @property
    def source(self) -> str:
        return f"schedule {self.name}"

    def spans(self, first: date, days: int, zone: tzinfo) -> Iterator[tuple[float, float]]:
        """(begin, end) of those that begin on one of `days` days from `first`; wall."""
        length = (self.to_min - self.from_min) % _DAY_MIN or _DAY_MIN
        for day in (first + timedelta(days=n) for n in range(days)):
            if day.weekday() in self.days:
                yield (
                    min(_instants(day, self.from_min, zone)),
                    max(_instants(day, self.from_min + length, zone)),
                )


def _instants(day: date, minutes: int, zone: tzinfo) -> tuple[float, float]:
    """Both readings of a local time: they differ in the hours when the clocks change."""
    local = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)
    return tuple(local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))  # type: ignore[return-value]


class LimitBook:
    """All limits of a site. Not a decision: the balancer takes what `resolve` says."""

    def __init__(
        self, tree: Tree, zone: tzinfo, schedules: Iterable[Schedule] = (), nominal_v: float = 230.0
    ) -> None:
        """ValueError when a schedule names a circuit that is not there, or a time or day that is none."""
        self._tree = tree
        self._zone = zone
        self._nominal_v = nominal_v
        self._schedules = tuple(sorted(schedules, key=lambda schedule: schedule.name))
        self._orders: dict[tuple[str, str, bool], Order] = {}
        self.revision = 0  # raised by whatever must be kept over a restart
        self._ended: dict[tuple[str, str, bool], Order] = {}  # by themselves, and nothing took their place
        self.lapsed: deque[Order] = deque(maxlen=ORDERS_MAX)  # not told yet; whoever tells them empties it
        self._root = next(circuit.name for circuit in tree.circuits if not circuit.parent)
        for schedule in self._schedules:
            self._check_schedule(schedule)

    def rewired(self, tree: Tree) -> None:
        """Other connectors hang behind the same circuits from now on."""
        assert tree.circuits == self._tree.circuits
        self._tree = tree

    def _check_schedule(self, schedule: Schedule) -> None:
        self._check_circuit(schedule.circuit)
        minutes = 0 <= schedule.from_min < _DAY_MIN and 0 <= schedule.to_min <= _DAY_MIN
        if not minutes or not schedule.days or not set(schedule.days) <= set(range(7)):
            raise ValueError(f"schedule {schedule.name}: its times or days are none")
        _check_amps((schedule.limit_a,))

    def _check_circuit(self, name: str) -> None:
        if name not in self._tree.index:
            known = ", ".join(circuit.name for circuit in self._tree.circuits)
            raise ValueError(f'there is no circuit "{name}"; there are: {known}')

    # --- orders -----------------------------------------------------------------------------------

    def set(
        self,
        source: str,
        *,
        now_wall: float,
        circuit: str = "",
        limit_a: float | Amps | None = None,
        limit_w: float | None = None,
        chargers_only: bool = False,
        priority: int = 0,
        expires_at: float | None = None,
        fallback_a: float | None = None,
        floor_14a: bool = False,
    ) -> Order:
        """Take an order: amps per phase, or watts over all three. Without a circuit it is for the whole site.

        ValueError in words when it makes no sense; then nothing has changed. Returns the order as it holds.
        """
        circuit = circuit or self._root
        self._check_circuit(circuit)
        if not source or len(source) > 64 or not source.isprintable():
            raise ValueError("a limit needs the name of its source, at most 64 printable characters")
        if expires_at is not None and not now_wall < expires_at < INFINITE:
            raise ValueError("the limit has expired already")
        if floor_14a and not chargers_only:
            raise ValueError("§14a EnWG limits the chargers alone: set chargers_only")
        if fallback_a is not None:
            _check_amps((fallback_a,))
            if expires_at is None:
                raise ValueError("a fallback needs a limit that expires")
        amps = self._amps(limit_a, limit_w)
        if floor_14a:
            floor = self.floor_a(circuit)
            amps = (max(amps[0], floor), max(amps[1], floor), max(amps[2], floor))
            fallback_a = None if fallback_a is None else max(fallback_a, floor)
        key = (source, circuit, chargers_only)
        if key not in self._orders and len(self._orders) >= ORDERS_MAX:
            raise ValueError(f"there are {ORDERS_MAX} limits already; clear one first")
        order = Order(
            source=source,
            circuit=circuit,
            limit_a=amps,
            chargers_only=chargers_only,
            priority=priority,
            set_at=now_wall,
            expires_at=expires_at,
            fallback_a=fallback_a,
            asked_w=limit_w,
            floor_14a=floor_14a,
        )
        self._orders[key] = order
        self._ended.pop(key, None)
        self.revision += 1
        return order

    def _amps(self, limit_a: float | Amps | None, limit_w: float | None) -> Amps:
        if (limit_a is None) == (limit_w is None):
            raise ValueError("a limit is either in amps per phase or in watts")
        if limit_w is not None:
            limit_a = limit_w / (self._nominal_v * PHASES)
        amps = (limit_a,) * PHASES if isinstance(limit_a, int | float) else tuple(limit_a or ())
        _check_amps(amps)
        if len(amps) != PHASES:
            raise ValueError("a limit in amps is one number, or one for each of three phases")
        return float(amps[0]), float(amps[1]), float(amps[2])

    def floor_a(self, circuit: str) -> float:
        """Amps per phase that §14a EnWG leaves the connectors behind `circuit`, each one device."""
        devices = len(self._tree.below[self._tree.index[circuit]])
        return p_min_w(devices) / (self._nominal_v * PHASES)

    def clear(self, source: str, circuit: str | None = None) -> int:
        """Release what `source` set, on one circuit or on all; how many that were."""
        gone = [key for key in self._orders if key[0] == source and circuit in (None, key[1])]
        for key in gone:
            del self._orders[key]
        for key in [key for key in self._ended if key[0] == source and circuit in (None, key[1])]:
            del self._ended[key]
        self.revision += bool(gone)
        return len(gone)

    def orders(self, now_wall: float) -> tuple[Order, ...]:
        """Those that hold or will fall back, for people; the highest priority first."""
        held = [order for order in self._orders.values() if order.at(now_wall) is not None]
        return tuple(sorted(held, key=lambda order: (-order.priority, order.source, order.circuit)))

    @property
    def ended(self) -> tuple[Order, ...]:
        """Those whose time was over, without a fallback, until their source sets or clears them."""
        return tuple(self._ended.values())

    # --- time -------------------------------------------------------------------------------------

    def clock_stepped(self, seconds: float) -> None:
        """The wall clock was set forward (negative: back) by so much: no order lives longer or shorter."""
        for key, order in self._orders.items():
            self._orders[key] = order.moved(seconds)
        self.revision += bool(self._orders)

    def _expire(self, now_wall: float) -> None:
        """Those whose time is over fall back or are forgotten; `lapsed` holds them to be told."""
        over = [
            (key, order)
            for key, order in self._orders.items()
            if not order.expired and order.state(now_wall) == "fallback"
        ]
        for key, order in over:
            self.lapsed.append(order)
            if order.fallback_a is None:
                del self._orders[key]
                self._note_ended(key, order)
            else:
                self._orders[key] = replace(order, expired=True)
        self.revision += bool(over)

    def _note_ended(self, key: tuple[str, str, bool], order: Order) -> None:
        self._ended[key] = order
        if len(self._ended) > ORDERS_MAX:
            del self._ended[next(iter(self._ended))]

    # --- what holds -------------------------------------------------------------------------------

    def resolve(self, now_wall: float) -> tuple[Limit, ...]:
        """Everything that holds now; orders that ended are forgotten. The balancer takes the lowest."""
        self._expire(now_wall)
        limits = []
        for order in self.orders(now_wall):
            amps = order.at(now_wall)
            assert amps is not None
            limits.append(
                Limit(
                    circuit=order.circuit,
                    limit_a=amps,
                    source=order.source,
                    chargers_only=order.chargers_only,
                )
            )
        for schedule in self._schedules:
            if any(begin <= now_wall < end for begin, end in self._spans(schedule, now_wall, 3)):
                even = on_all(schedule.limit_a)
                limits.append(Limit(circuit=schedule.circuit, limit_a=even, source=schedule.source))
        return tuple(limits)

    def next_change(self, now_wall: float) -> float | None:
        """The next instant at which `resolve` may say something else; None when it never does."""
        moments = [
            order.expires_at
            for order in self._orders.values()
            if order.expires_at is not None and not order.expired
        ]
        for schedule in self._schedules:
            for span in self._spans(schedule, now_wall, 10):
                moments.extend(span)
        return min((moment for moment in moments if moment > now_wall), default=None)

    def _spans(self, schedule: Schedule, now_wall: float, days: int) -> Iterator[tuple[float, float]]:
        today = datetime.fromtimestamp(now_wall, self._zone).date()
        return schedule.spans(today - timedelta(days=1), days, self._zone)

    # --- over a restart ---------------------------------------------------------------------------

    def to_json(self) -> list[dict[str, Any]]:
        """The orders as JSON values; schedules come from the site file."""
        orders = sorted(self._orders.values(), key=lambda order: (order.source, order.circuit))
        return [msgspec.to_builtins(order) for order in orders]

    def restore(
        self,
        saved: Iterable[Mapping[str, Any]],
        now_wall: float | None = None,
        *,
        trusted: bool = True,
        not_before: float = 0.0,
    ) -> list[str]:
        """Take back what `to_json` gave. What no longer fits the site is left out; told in words.

        How much of an order's life is left is known only when our clock can be trusted, and when it was set
        by a clock that could be (not earlier than `not_before`) and not in the future.
        """
        complaints = []
        for one in saved:
            try:
                order = msgspec.convert(one, Order)
                self._check_circuit(order.circuit)
                _check_amps(order.limit_a)
            except (msgspec.ValidationError, ValueError) as fault:
                complaints.append(f"a stored limit is left out: {fault}")
                continue
            if now_wall is not None and not (trusted and not_before <= order.set_at <= now_wall):
                known, order = order, order.from_unknown_time(now_wall)
                self.revision += 1
                if order.expired and not known.expired:
                    self.lapsed.append(order)
            self._orders[order.source, order.circuit, order.chargers_only] = order
        self.revision += bool(complaints)
        return complaints


def _check_amps(amps: Iterable[float]) -> None:
    for value in amps:
        if not 0.0 <= value < INFINITE:
            raise ValueError(f"a limit of {value:g} is none: it must be zero or more")
