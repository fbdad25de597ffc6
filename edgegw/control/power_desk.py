"""What people and systems ask and order about charging power, without the web around it.

An order is acted on at once and answered when it is on the disk; it leaves one line in the log.
"""

from __future__ import annotations

import logging

from edgegw.control import power_models as models
from edgegw.control.durable import holds_on_disk
from edgegw.control.power_view import connector_views, power_view
from edgegw.control.problem import Problem
from edgegw.runtime import clock
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.load import LoadLoop

log = logging.getLogger("edgegw.control")


class PowerDesk:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def view(self) -> models.PowerView:
        return power_view(self._gateway.load, self._gateway.sessions, clock.now())

    def of(self, identity: str) -> tuple[models.ConnectorPowerView, ...]:
        """The balanced connectors of one charger; () when it has none."""
        return connector_views(self._gateway.load, self._gateway.sessions, clock.now(), identity)

    async def set_limit(self, order: models.LimitOrder, asker: str) -> models.PowerView:
        """Raises Problem: nothing is balanced, no such circuit, a limit that is none, not stored."""
        load = load_of(self._gateway)
        now = clock.now()
        load.control.look_at_clock(now)
        try:
            load.control.limits.set(
                order.source,
                now_wall=now.wall,
                circuit=order.circuit,
                limit_a=order.limit_a,
                limit_w=order.limit_w,
                chargers_only=order.chargers_only,
                priority=order.priority,
                expires_at=now.wall + order.for_s if order.for_s is not None else None,
                fallback_a=order.fallback_a,
                floor_14a=order.floor_14a,
            )
        except ValueError as error:
            raise Problem(422, "invalid", str(error)) from error
        load.limits_changed()
        log.info("%s set a limit: %s", asker, order)
        await holds_on_disk(load, "the limit holds")
        return self.view()

    async def clear_limits(self, circuit: str | None, source: str | None, asker: str) -> models.LimitCleared:
        """Raises Problem: nothing is balanced, no such circuit, not stored."""
        load = load_of(self._gateway)
        names = [one.name for one in load.control.plan.circuits]
        if circuit is not None and circuit not in names:
            words = f'there is no circuit "{circuit}"; there are: {", ".join(names)}'
            raise Problem(422, "invalid", words)
        limits = load.control.limits
        sources = (
            {o.source for o in (*limits.orders(clock.now().wall), *limits.ended)}
            if source is None
            else {source}
        )
        cleared = sum(limits.clear(one, circuit) for one in sorted(sources))
        load.limits_changed()
        log.info("%s cleared %d limits", asker, cleared)
        await holds_on_disk(load, f"{cleared} limits are cleared")
        return models.LimitCleared(cleared=cleared)


def load_of(gateway: Gateway) -> LoadLoop:
    """Raises Problem."""
    if gateway.load is None:
        raise Problem(409, "not_balanced", "nothing is balanced here: the site file has no [[circuit]]")
    return gateway.load
