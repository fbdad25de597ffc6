"""An operator at work while cars charge: connectors are left out of balancing, limited, and balanced again.

Rules of this file: what the gateway would refuse is refused here too, by its own question
(`LoadControl.shortage`). Orders outlive a power cut of the box, as the store keeps them.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from edgegw.balance.connector_orders import ConnectorOrder
from edgegw.core import plugs
from tests.simulation.fuse import run


class Site(run.Watched):
    """A world with an operator. `done` counts bypasses, `had` those that were told their maximum."""

    def __init__(self, seed: int, tell: Callable[[str], None] | None = None) -> None:
        self._saved: list[dict[str, object]] = []
        super().__init__(seed, tell)
        self.asked = {}
        self.operator = random.Random(f"operator {seed}")
        self.done = self.refused = 0
        self.had: set[str] = set()
        self.at(45.0, self._orders)

    def _begin(self) -> None:
        super()._begin()
        wired = [connector.id for connector in self.plan.connectors]
        self.control.connector_orders.restore(self._saved, self.instant.wall, wired=wired)

    def decide(self) -> None:
        super().decide()
        orders = self.control.connector_orders
        self._saved = orders.to_json()
        for charger, box in self.boxes.items():
            order = orders.of(f"{charger}/1")
            c = box.state.power.connectors.get(1)
            if (
                order is not None
                and order.kind == "bypass"
                and c is not None
                and c.granted_a == c.wiring.max_a
            ):
                self.had.add(charger)

    def _orders(self) -> None:
        self.at(self.now + self.operator.uniform(3.0, 40.0), self._orders)
        if not self.alive:
            return
        charger = self.operator.choice(sorted(self.copper))
        name, draw = f"{charger}/1", self.operator.random()
        if draw < 0.1:
            self.control.connector_orders.clear("bypass", name)
        elif draw < 0.2:
            self._set(name, "limit", self.operator.choice((0.0, 3.0, 6.0, 9.0, 16.0)))
        elif self._is_steered(charger) and self.control.shortage([name]) == "":
            self.done += 1
            self._set(name, "bypass", None)
        else:
            self.refused += 1
        self.decide()

    def _is_steered(self, charger: str) -> bool:
        wired = next(one for one in self.plan.connectors if one.id == f"{charger}/1")
        return plugs.plug(self.boxes[charger].state, wired, 1, self.instant).steered

    def _set(self, name: str, kind: str, limit_a: float | None) -> None:
        now = self.instant.wall
        life_s = self.operator.uniform(20.0, 600.0)
        self.tell(f"operator: {kind} of {name} for {life_s:.0f} s {limit_a}")
        self.control.connector_orders.set(
            ConnectorOrder(kind=kind, connector=name, limit_a=limit_a, set_at=now, expires_at=now + life_s)
        )


def simulate(
    seed: int, tell: Callable[[str], None] | None = None, hours: float = 0.25
) -> tuple[run.Verdict, Site]:
    site = Site(seed, tell)
    run._plan_day(site, random.Random(f"day {seed}"), hours * 3600)
    site.run(hours * 3600)
    checks = site.checks
    verdict = run.Verdict(seed, tuple(checks.complaints), checks.over_s, checks.longest_s, site.limit_calls)
    return verdict, site
