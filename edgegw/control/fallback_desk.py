"""Seeing a connector fall back: its live limit is not renewed, its standing one holds, then all is as before.

Without risk for a fuse: a lower limit is sent all the same, and what it stands at counts until it has ended.
"""

from __future__ import annotations

import logging

from edgegw.balance.model import INFINITE
from edgegw.control.problem import Problem
from edgegw.control.wiring_models import FallbackTest
from edgegw.core.events import RenewalWithheld
from edgegw.core.power import ConnectorPower
from edgegw.redaction import plain
from edgegw.runtime import clock
from edgegw.runtime.gateway import Gateway

log = logging.getLogger("edgegw.control")

SEEN_WITHIN_S = 180.0  # after the end: chargers that send MeterValues once a minute are seen too
SAME_A = 0.1


class FallbackDesk:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def let_fall(self, identity: str, connector: int, asker: str) -> FallbackTest:
        """Raises Problem: it is not balanced (404), or has no limit that ends above its safe one (409)."""
        c = self._connector(identity, connector)
        now = clock.now().mono
        left_s = c.expires_at - now
        if c.accepted_a is None or c.safe_accepted_a is None or left_s <= 0:
            text = f"{identity}/{connector} has no limit of ours now: let a car charge first"
            raise Problem(409, "nothing_to_end", text)
        if c.expires_at == INFINITE:
            text = f"the limit of {identity}/{connector} does not end while it is connected: cut its network"
            raise Problem(409, "does_not_end", text)
        if c.accepted_a <= c.safe_accepted_a + SAME_A:
            has = f"{identity}/{connector} has its safe limit of {c.safe_accepted_a:g} A"
            text = f"{has} now: nothing would change; let a car draw more first"
            raise Problem(409, "nothing_to_end", text)
        self._gateway.tell(identity, RenewalWithheld(connector, left_s + SEEN_WITHIN_S))
        log.info("%s lets the limit of %s/%d run out", asker, identity, connector)
        return _view(identity, c, now)

    def end(self, identity: str, connector: int, asker: str) -> FallbackTest:
        """Raises Problem 404."""
        c = self._connector(identity, connector)
        self._gateway.tell(identity, RenewalWithheld(connector, 0.0))
        log.info("%s has the limits of %s/%d renewed again", asker, identity, connector)
        return _view(identity, c, clock.now().mono)

    def _connector(self, identity: str, connector: int) -> ConnectorPower:
        session = self._gateway.sessions.get(identity)
        found = session.charger.state.power.connectors.get(connector) if session is not None else None
        if found is None:
            raise Problem(409, "not_balanced", f"{plain(identity)}/{connector} is not balanced here")
        return found


def _view(identity: str, c: ConnectorPower, now: float) -> FallbackTest:
    return FallbackTest(
        charger=identity,
        connector=c.wiring.connector,
        limit_a=c.accepted_a if c.accepted_a is not None else c.wiring.max_a,
        safe_a=c.safe_accepted_a if c.safe_accepted_a is not None else c.wiring.safe_a,
        falls_in_s=round(max(0.0, min(c.expires_at - now, 1e6)), 1),
        renewed_in_s=round(max(0.0, c.unrenewed_until - now), 1),
    )
