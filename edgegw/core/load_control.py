"""The site's load balancing between meter and chargers: readings and charger states in, limits out.

Rules of this file:
- It reads every charger's state and writes none; what it wants of a charger is a `LimitsGranted` event.
- It reads no clock. Whoever has one calls `decide` on every new reading and at least once a second.
- An alarm is told when it begins and when it ends, not each second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from edgegw.balance.balancer import Balancer
from edgegw.balance.building import Building
from edgegw.balance.connector_orders import ConnectorOrders, apply
from edgegw.balance.limits import LimitBook
from edgegw.balance.model import Allocation, Circuit, Connector, Plug, Reading, Settings
from edgegw.balance.tree import Tree
from edgegw.core import actuation, charging_limits, plugs
from edgegw.core.effects import Noticed
from edgegw.core.events import Instant, LimitGrant, LimitsGranted
from edgegw.core.leaving import Leavers
from edgegw.core.limit_watch import LimitWatch
from edgegw.core.power import Wiring
from edgegw.core.records import Document
from edgegw.core.state import ChargerState

CONNECTOR_ORDERS = "connector_orders"  # kind of the document that keeps them


class PowerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The electrical site, from the site file."""

    circuits: tuple[Circuit, ...] = ()
    connectors: tuple[Connector, ...] = ()
    wirings: dict[str, tuple[Wiring, ...]] = {}  # by charger
    circuit_of_meter: dict[str, tuple[str, ...]] = {}
    settings: Settings = Settings()


class Held(NamedTuple):
    """What is kept free for a connector that cannot be lowered now, in amps per phase, and why it cannot."""

    held_a: float
    why: str


class LoadControl:
    __slots__ = (
        "_balancer",
        "_leavers",
        "_order",
        "_told",
        "_watch",
        "allocation",
        "connector_orders",
        "held",
        "limits",
        "plan",
        "readings",
    )

    def __init__(self, plan: PowerPlan, limits: LimitBook) -> None:
        self.plan = plan
        self.limits = limits
        self.connector_orders = ConnectorOrders()
        self.readings: dict[str, Reading] = {}  # by circuit
        self.allocation: Allocation | None = None
        self._balancer = Balancer(plan.circuits, plan.connectors, plan.settings)
        self._order = [(connector, *split_id(connector.id)) for connector in plan.connectors]
        self.held: dict[str, Held] = {}  # by connector id, of the last decision: those that nobody can lower
        self._told: dict[str, str] = {}  # alarms that are on
        self._watch = LimitWatch(limits)
        self._leavers = Leavers()

    def replan(
        self, plan: PowerPlan, chargers: Mapping[str, ChargerState], now: Instant, *, hold_s: float
    ) -> None:
        """Balance by another plan from now on; before the chargers' own states are changed for it.

        What stands stays counted: a connector in both plans with the limit it has, one that goes with what
        it may draw for `hold_s` more (the life of a live limit), one that comes with its maximum until it
        took a limit. ValueError when circuits and connectors make no tree; then nothing has changed.
        """
        Tree(plan.circuits, plan.connectors)
        kept = {connector.id for connector in plan.connectors}
        plugged = self.plugs(chargers, now)
        for connector, _, _ in self._order:
            if connector.id not in kept:
                self._leavers.add(connector, plugged[connector.id], now, hold_s)
        self._leavers.forget(kept)
        self.plan = plan
        self._order = [(connector, *split_id(connector.id)) for connector in plan.connectors]
        self.limits.rewired(Tree(plan.circuits, plan.connectors))
        self._rebuild()

    @property
    def counted(self) -> tuple[Connector, ...]:
        """The connectors of the plan, and those that have left and may still draw."""
        return (*self.plan.connectors, *self._leavers.connectors)

    def plugs(self, chargers: Mapping[str, ChargerState], now: Instant) -> dict[str, Plug]:
        """What is known of every connector that counts, by its id."""
        self.look_at_clock(now)
        orders = self.connector_orders.resolve(now.wall)
        left = {plug.connector: plug for plug in self._leavers.plugs}
        return left | {
            connector.id: apply(
                orders.get(connector.id), plugs.plug(chargers.get(charger), connector, number, now)
            )
            for connector, charger, number in self._order
        }

    def _rebuild(self) -> None:
        self._balancer = self._balancer.successor(self.plan.circuits, self.counted, self.plan.settings)

    @property
    def buildings(self) -> tuple[Building, ...]:
        """What every metered circuit shows, for people and alarms."""
        return tuple(self._balancer.meters.values())

    def read(self, meter: str, reading: Reading) -> None:
        """A plausible reading of one meter."""
        for circuit in self.plan.circuit_of_meter.get(meter, ()):
            self.readings[circuit] = reading

    def look_at_clock(self, now: Instant) -> None:
        """To be asked before a limit is set: the wall clock may have been set since the last decision."""
        step_s = self._watch.look_at_clock(now)
        if step_s:
            self.connector_orders.clock_stepped(step_s)

    def recover(self, documents: Iterable[Document], now: Instant, *, not_before: float) -> list[str]:
        """Orders for connectors of before a restart; what is left out, in words."""
        wired, complaints = [connector.id for connector in self.plan.connectors], list[str]()
        for document in documents:
            if document.kind == CONNECTOR_ORDERS:
                saved = msgspec.json.decode(document.value)
                complaints += self.connector_orders.restore(
                    saved, now.wall, wired=wired, trusted=now.trusted, not_before=not_before
                )
        return complaints

    def shortage(self, connectors: Sequence[str]) -> str | None:
        """`Balancer.shortage`, by the last decision."""
        return self._balancer.shortage(connectors)

    def decide(
        self, chargers: Mapping[str, ChargerState], now: Instant
    ) -> tuple[list[tuple[str, LimitsGranted]], list[Noticed]]:
        """What each charger is to be told now, and what people must hear."""
        states = [
            plugs.plug(chargers.get(charger), connector, number, now)
            for connector, charger, number in self._order
        ]
        self.look_at_clock(now)
        if self._leavers.end(now):
            self._rebuild()
        limits = self.limits.resolve(now.wall)
        orders = self.connector_orders.resolve(now.wall)
        states = [apply(orders.get(plug.connector), plug) for plug in states]
        plugged = [*states, *self._leavers.plugs]
        self.allocation = self._balancer.step(now.mono, self.readings, plugged, limits)
        self.held = {}
        for plug, (connector, charger, number) in zip(states, self._order, strict=True):
            if not plug.steered:
                words = plugs.why_not_steered(chargers.get(charger), number)
                self._tell_why(connector.id, f"{words}: {plug.reserved_a:.0f} A are kept for it")
                self.held[connector.id] = Held(plug.reserved_a, words)
        notices = self._watch.news(now) + self._ended() + self._alarms(self.allocation.alarms)
        return self._orders(chargers, now), notices

    def _ended(self) -> list[Noticed]:
        """Orders for connectors whose time is over."""
        ended = self.connector_orders.lapsed
        told = {"bypass": "it is balanced again", "limit": "its own limit has ended"}
        notices = [
            Noticed(f"connector_{order.kind}_ended", f"{order.connector}: {told[order.kind]}", warning=False)
            for order in ended
        ]
        ended.clear()
        return notices

    def _tell_why(self, connector: str, text: str) -> None:
        """Who cannot be steered now: the balancer knows that, not why."""
        assert self.allocation is not None
        grant = self.allocation.grants[connector]
        reason = msgspec.structs.replace(grant.reason, text=text)
        self.allocation.grants[connector] = msgspec.structs.replace(grant, reason=reason)

    def _orders(self, chargers: Mapping[str, ChargerState], now: Instant) -> list[tuple[str, LimitsGranted]]:
        assert self.allocation is not None
        wanted: dict[str, list[LimitGrant]] = {}
        for connector, charger, number in self._order:
            state = chargers.get(charger)
            power = state.power.connectors.get(number) if state is not None else None
            grant = self.allocation.grants[connector.id]
            if power is None:
                continue
            reason = grant.reason
            if (power.granted_a, power.why, power.binding) != (grant.limit_a, reason.text, reason.binding):
                limit = LimitGrant(number, grant.limit_a, reason.text, reason.binding)
                wanted.setdefault(charger, []).append(limit)
        for charger in self.plan.wirings:
            state = chargers.get(charger)
            if charger not in wanted and state is not None and _due(state, now):
                wanted[charger] = []
        return [(charger, LimitsGranted(tuple(grants))) for charger, grants in wanted.items()]

    def _alarms(self, alarms: Mapping[str, str]) -> list[Noticed]:
        begun = [Noticed(kind, text) for kind, text in alarms.items() if kind not in self._told]
        ended = [
            Noticed(f"{kind}_over", f"over: {text}", warning=False)
            for kind, text in self._told.items()
            if kind not in alarms
        ]
        self._told = dict(alarms)
        return [*begun, *ended]


def _due(state: ChargerState, now: Instant) -> bool:
    return bool(state.power.wishes) or actuation.due(state, now) or charging_limits.due(state, now)


def split_id(connector_id: str) -> tuple[str, int]:
    """("CP-7", 1) of "CP-7/1"."""
    charger, _, number = connector_id.rpartition("/")
    return charger, int(number)
