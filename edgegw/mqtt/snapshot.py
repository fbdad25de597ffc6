"""From the live gateway to the view that is published: one picture of everything, at one instant.

Rules of this file:
- Read only: nothing here changes a session, awaits, or asks a clock; time comes in as `now`.
- The same facts give the same objects (`is`), so that whoever makes topics of them can tell what is new.
- A site has CHARGERS_MAX chargers here; those the site file names come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edgegw.config_mqtt import Mqtt
from edgegw.core.events import Instant
from edgegw.mqtt import payloads, snapshot_box, snapshot_power
from edgegw.mqtt.numbers import lowest, phases, rounded
from edgegw.mqtt.snapshot_box import AlarmsMaker, HealthMaker, InfoMaker
from edgegw.mqtt.snapshot_chargers import ChargerMaker
from edgegw.mqtt.snapshot_firmware import FirmwareMaker
from edgegw.mqtt.snapshot_sessions import SessionMaker, shown_token
from edgegw.mqtt.snapshot_sources import SiteFacts, Sources
from edgegw.mqtt.view import ChargerFacts, View
from edgegw.runtime.gateway import Gateway

# With unknown = "accept" anybody on the chargers' network can make up identities, eight topics for each.
CHARGERS_MAX = 2_000


class Snapshots:
    """Built once per gateway; `view` is called as often as states are published."""

    def __init__(self, gateway: Gateway, site: SiteFacts, sources: Sources, settings: Mqtt) -> None:
        """ValueError for a salt that is too short."""
        self._gateway = gateway
        self._site = site
        self._info = InfoMaker(site, settings.commands)
        self._health = HealthMaker(site, sources)
        self._alarms = AlarmsMaker(sources)
        self._balancer = snapshot_power.BalancerMaker()
        self._firmware = FirmwareMaker(sources.files)
        self._sessions = SessionMaker(shown_token(settings.card_ids, site.salt))
        self._chargers: dict[str, ChargerMaker] = {}
        gateway.file_listeners.append(self._firmware.heard)

    def view(self, now: Instant) -> View:
        gateway, load = self._gateway, self._gateway.load
        named = gateway.named
        alarms = self._alarms.alarms()
        active = sum(alarm.state == "active" for alarm in alarms.values())
        chargers = self._charger_facts(named, now)
        circuits = snapshot_power.circuits(load)
        meters = snapshot_power.meters(load, now)
        return View(
            at=now.wall,
            info=self._info.info(chargers, meters, circuits, named),
            health=self._health.health(now, active),
            cloud=snapshot_box.cloud_state(gateway, now, self._site.started_at),
            site=self._site_state(chargers, alarms, active, now),
            balancer=self._balancer.state(load, gateway.sessions, now),
            meters=meters,
            circuits=circuits,
            limits=snapshot_power.limits(load, now),
            chargers=chargers,
            named=named,
            alarms=alarms,
        )

    # --- chargers --------------------------------------------------------------------------------

    def _charger_facts(self, named: frozenset[str], now: Instant) -> dict[str, ChargerFacts]:
        gateway = self._gateway
        self._firmware.look()
        url, sessions = gateway.settings.cloud_url, gateway.sessions
        identities = self._identities(named)
        self._forget(self._chargers.keys() - identities.keys())
        found: dict[str, ChargerFacts] = {}
        for identity in identities:
            maker = self._chargers.get(identity)
            if maker is None:
                maker = self._chargers[identity] = ChargerMaker(identity, self._sessions)
            session = sessions.get(identity)
            state = session.charger.state if session is not None else None
            found[identity] = maker.facts(session, self._firmware.state(state, identity), url, now)
        return found

    def _identities(self, named: frozenset[str]) -> dict[str, None]:
        """Sorted, without the surplus and without those that are gone for good."""
        gateway = self._gateway
        others = (identity for identity in gateway.sessions.keys() - named if gateway.expects(identity))
        found = [*sorted(named), *sorted(others)][:CHARGERS_MAX]
        return dict.fromkeys(sorted(found))

    def _forget(self, gone: set[str]) -> None:
        if gone:
            for identity in gone:
                del self._chargers[identity]
            self._sessions.forget(gone)
            self._firmware.forget(gone)

    # --- the site --------------------------------------------------------------------------------

    def _site_state(
        self,
        chargers: Mapping[str, ChargerFacts],
        alarms: Mapping[str, payloads.AlarmState],
        active: int,
        now: Instant,
    ) -> payloads.SiteState:
        load = self._gateway.load
        wired, seen = snapshot_power.main_circuit(load)
        facts = chargers.values()
        connectors = [connector for one in facts for connector in one.connectors.values()]
        sessions = self._gateway.sessions.values()
        return payloads.SiteState(
            import_w=snapshot_power.import_w(load, now),
            current_l_a=phases(seen.measured_a if seen is not None and not seen.stale else None),
            fuse_a=rounded(wired.limit_a) if wired is not None else None,
            limit_a=lowest(seen.limit_a) if seen is not None else None,
            limit_l_a=phases(seen.limit_a if seen is not None else None),
            limit_source=seen.limit_source if seen is not None else "",
            headroom_a=snapshot_power.headroom_a(seen),
            chargers_w=_sum_w(connectors),
            chargers_known=len(chargers),
            chargers_connected=sum(one.online for one in facts),
            connectors_charging=sum(_is_charging(connector) for connector in connectors),
            transactions_running=sum(len(s.charger.state.transactions.running) for s in sessions),
            energy_wh=sum(connector.energy_wh for connector in connectors),
            alarms=active,
            worst_severity=snapshot_box.worst_severity(alarms.values()),
        )


CHARGING_W = 100.0  # more is no standby


def _is_charging(connector: payloads.ConnectorState) -> bool:
    """2.x says "Occupied" of a car that charges and of one that does not: there the power tells."""
    if connector.power_w is not None:
        return connector.power_w > CHARGING_W
    return connector.status == "Charging" or (connector.status == "Occupied" and bool(connector.transaction))


def _sum_w(connectors: Iterable[payloads.ConnectorState]) -> float | None:
    """Of those that say; None when none does."""
    known = [connector.power_w for connector in connectors if connector.power_w is not None]
    return round(sum(known)) if known else None
