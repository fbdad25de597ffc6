"""Leaving connectors out of balancing for a while, and limiting single ones.

Rules of this file: those of `control.service`. A bypass is refused when it could not hold; what is ordered
is acted on at once and answered when it is on the disk.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from edgegw.balance.connector_orders import ConnectorOrder, Kind
from edgegw.control import detail_models as models
from edgegw.control.durable import holds_on_disk
from edgegw.control.power_desk import load_of
from edgegw.control.problem import Problem
from edgegw.core import plugs
from edgegw.core.load_control import split_id
from edgegw.runtime import clock
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.load import LoadLoop
from edgegw.wire.timestamps import format_timestamp

log = logging.getLogger("edgegw.control")


class ConnectorDesk:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    # --- questions ------------------------------------------------------------------------------

    def orders(self, identity: str) -> models.ConnectorOrders:
        """Empty for a charger that is not balanced."""
        return models.ConnectorOrders(orders=tuple(self._orders(identity)))

    def is_bypassed(self, identity: str) -> bool:
        load = self._gateway.load
        if load is None or identity not in load.control.plan.wirings:
            return False
        return any(order.kind == "bypass" for order in self._orders(identity))

    def _orders(self, identity: str) -> Iterator[models.ConnectorOrderView]:
        load = self._gateway.load
        if load is None:
            return
        now = clock.now()
        for wiring in load.control.plan.wirings.get(identity, ()):
            order = load.control.connector_orders.of(f"{identity}/{wiring.connector}")
            if order is not None and now.wall < order.expires_at:
                yield models.ConnectorOrderView(
                    kind=order.kind,
                    connector=wiring.connector,
                    limit_a=order.limit_a,
                    until=format_timestamp(order.expires_at),
                    left_s=round(order.expires_at - now.wall, 1),
                )

    # --- orders ---------------------------------------------------------------------------------

    async def bypass(self, identity: str, order: models.BypassOrder, asker: str) -> models.ConnectorOrders:
        """Raises Problem: "not_balanced", "not_steered", "no_room", "not_stored"."""
        load, names = self._connectors(identity, order.connector)
        self._check_steered(load, names)
        load.step()  # by what is so now
        short = load.control.shortage(names)
        if short is None:
            raise Problem(409, "not_ready", "nothing was worked out yet; try again in a second")
        if short:
            text = f"{' and '.join(names)} cannot be left out of balancing, it does not fit: {short}"
            raise Problem(409, "no_room", text)
        self._set(load, "bypass", names, None, order.for_s)
        log.info("%s left %s out of balancing for %.0f s", asker, ", ".join(names), order.for_s)
        await holds_on_disk(load, f"{' and '.join(names)} is left out of balancing")
        return self.orders(identity)

    async def limit(
        self, identity: str, order: models.ConnectorLimitOrder, asker: str
    ) -> models.ConnectorOrders:
        """In place of a bypass, as a bypass is of it. Raises Problem: "not_balanced", "not_stored"."""
        load, names = self._connectors(identity, order.connector)
        self._set(load, "limit", names, order.limit_a, order.for_s)
        log.info("%s limited %s to %g A for %.0f s", asker, ", ".join(names), order.limit_a, order.for_s)
        await holds_on_disk(load, f"the limit of {' and '.join(names)} holds")
        return self.orders(identity)

    async def end(
        self, kind: Kind, identity: str, connector: int | None, asker: str
    ) -> models.ConnectorOrders:
        """Raises Problem: "not_balanced", "no_such_order", "not_stored"."""
        load, names = self._connectors(identity, connector)
        ended = [name for name in names if load.control.connector_orders.clear(kind, name)]
        if not ended:
            raise Problem(404, "no_such_order", f"there is no {kind} on {', '.join(names)}")
        load.limits_changed()
        log.info("%s ended the %s of %s", asker, kind, ", ".join(ended))
        await holds_on_disk(load, f"the {kind} of {' and '.join(ended)} has ended")
        return self.orders(identity)

    def _set(self, load: LoadLoop, kind: Kind, names: list[str], limit_a: float | None, for_s: float) -> None:
        now = clock.now()
        load.control.look_at_clock(now)
        for name in names:
            order = ConnectorOrder(
                kind=kind, connector=name, limit_a=limit_a, set_at=now.wall, expires_at=now.wall + for_s
            )
            try:
                load.control.connector_orders.set(order)
            except ValueError as error:
                raise Problem(422, "invalid", str(error)) from error
        load.limits_changed()

    def _connectors(self, identity: str, connector: int | None) -> tuple[LoadLoop, list[str]]:
        load = load_of(self._gateway)
        wired = [wiring.connector for wiring in load.control.plan.wirings.get(identity, ())]
        if not wired:
            text = f"{identity} is not balanced here: give it a [[connector]] or commission it"
            raise Problem(409, "not_balanced", text)
        if connector is not None and connector not in wired:
            known = ", ".join(map(str, wired))
            raise Problem(
                409, "not_balanced", f"{identity} has no balanced connector {connector}; there are {known}"
            )
        return load, [f"{identity}/{number}" for number in wired if connector in (None, number)]

    def _check_steered(self, load: LoadLoop, names: list[str]) -> None:
        now = clock.now()
        for name in names:
            identity, number = split_id(name)
            session = self._gateway.sessions.get(identity)
            state = session.charger.state if session is not None else None
            wired = next(one for one in load.control.plan.connectors if one.id == name)
            if not plugs.plug(state, wired, number, now).steered:
                why = plugs.why_not_steered(state, number)
                text = f"{name} {why}: nothing can be told to it, and its reserve is kept free already"
                raise Problem(409, "not_steered", text)
