"""One charger with all that is known of it. Rules: those of `control.service`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edgegw.catalogue.model import Severity
from edgegw.control import detail_models as models
from edgegw.control import detail_view, handshakes
from edgegw.control.alarm_desk import AlarmDesk
from edgegw.control.connector_desk import ConnectorDesk
from edgegw.control.event_models import EventList
from edgegw.control.models import Notice
from edgegw.control.power_desk import PowerDesk
from edgegw.control.profile_view import profile_view
from edgegw.control.view import charger_view
from edgegw.runtime import clock
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.session import Session

EVENTS_SHOWN = 20

Events = Callable[[str, Severity, int], Awaitable[EventList]]


class DetailDesk:
    def __init__(
        self,
        gateway: Gateway,
        session: Callable[[str], Session],
        events: Events,
        power: PowerDesk,
        connectors: ConnectorDesk,
        alarms: AlarmDesk,
    ) -> None:
        """`session` raises Problem for a charger that is not known."""
        self._gateway = gateway
        self._session = session
        self._events = events
        self._power = power
        self._connectors = connectors
        self._alarms = alarms

    async def detail(self, identity: str) -> models.ChargerDetail:
        """Raises Problem."""
        session = self._session(identity)
        state = session.charger.state
        events = await self._events(identity, "info", EVENTS_SHOWN)
        orders = self._connectors.orders(identity).orders
        bypassed = [order.until for order in orders if order.kind == "bypass"]
        return models.ChargerDetail(
            charger=charger_view(session),
            power=self._power.of(identity),
            events=events.events,
            clock_offset_s=detail_view.clock_offset_s(state),
            boot=detail_view.boot_view(state),
            handshake_failures=self._failures(session, identity),
            profile_answers=detail_view.answer_views(state),
            alarms=self._alarms.of_charger(identity),
            orders=orders,
            bypassed_until=max(bypassed, default=None),
        )

    def _failures(self, session: Session, identity: str) -> tuple[Notice, ...]:
        connected = (one for one in self._gateway.sessions.values() if one.charger_leg is not None)
        others = [one.peer_ip for one in connected if one is not session]
        return handshakes.newest(self._gateway.handshake_failures, session, identity, others)

    def profile(self, identity: str, connector: int, span_s: int) -> models.ProfileView:
        """Raises Problem."""
        return profile_view(self._session(identity).charger.state, connector, span_s, clock.now())
